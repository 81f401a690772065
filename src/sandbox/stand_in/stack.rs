//! The load balancers that Ingresses and Services ask for, and what belongs to each in AWS. Pure.
//!
//! A stack is what the AWS Load Balancer Controller makes one load balancer for: an Ingress, a group of Ingresses, or a
//! Service. Names, tags and finalizers are the controller's; ids are made from the names, so that nothing has to be kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::cluster::{Place, SIMULATED, finalizers, is_going, text};
use crate::sandbox::aws::{Tags, digest};

const CONTROLLER: &str = "ingress.k8s.aws/alb";
const SERVICE_CLASS: &str = "service.k8s.aws/nlb";
const INGRESS_FINALIZER: &str = "ingress.k8s.aws/resources";
const GROUP_FINALIZER: &str = "group.ingress.k8s.aws/";
const SERVICE_FINALIZER: &str = "service.k8s.aws/resources";
/// On bindings that users make and on those of the controller itself.
pub(super) const BINDING_FINALIZER: &str = "elbv2.k8s.aws/resources";

/// What a stack is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ingress,
    Service,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Kind::Ingress => "ingress.k8s.aws",
            Kind::Service => "service.k8s.aws",
        }
    }
}

/// Kind and name of a stack: `NAMESPACE/NAME`, or the name of a group.
pub(super) type StackId = (Kind, String);

/// A load balancer to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stack {
    /// Objects that want it.
    pub(super) members: Vec<Value>,
    /// Objects that no longer want it and wait for their finalizer to be taken off.
    pub(super) leaving: Vec<Value>,
}

/// Where a load balancer sends requests: namespace, Service, port as written.
pub(super) type Target = (String, String, String);

/// The controller's Ingress classes by name, with the groups that their parameters put Ingresses into.
pub(super) type Classes = BTreeMap<String, String>;

/// Reads the classes and their parameters.
pub(super) fn classes(classes: &[Value], parameters: &[Value]) -> Classes {
    let ours = classes.iter().filter(|class| text(class, "/spec/controller") == CONTROLLER);
    let group = |class: &Value| {
        let wanted = text(class, "/spec/parameters/name");
        let found = parameters.iter().find(|parameters| text(parameters, "/metadata/name") == wanted);
        found.map(|parameters| text(parameters, "/spec/group/name").to_owned()).unwrap_or_default()
    };
    ours.map(|class| (text(class, "/metadata/name").to_owned(), group(class))).collect()
}

/// Sorts Ingresses and Services into stacks.
pub(super) fn stacks(classes: &Classes, ingresses: &[Value], services: &[Value]) -> BTreeMap<StackId, Stack> {
    let mut stacks: BTreeMap<StackId, Stack> = BTreeMap::new();
    let mut sort = |object: &Value, kind: Kind, wanted: bool| {
        let own = id_of(object, kind, classes);
        if wanted && !is_going(object) {
            stacks.entry((kind, own.clone())).or_default().members.push(object.clone());
        }
        for finalizer in finalizers(object) {
            let Some(id) = id_of_finalizer(object, kind, &finalizer) else { continue };
            if !wanted || is_going(object) || id != own {
                stacks.entry((kind, id)).or_default().leaving.push(object.clone());
            }
        }
    };
    for ingress in ingresses {
        let annotated = text(ingress, "/metadata/annotations/kubernetes.io~1ingress.class");
        let chosen = [text(ingress, "/spec/ingressClassName"), annotated];
        let chosen = chosen.iter().any(|class| classes.contains_key(*class));
        sort(ingress, Kind::Ingress, chosen || annotated == "alb");
    }
    for service in services {
        let annotated = text(service, "/metadata/annotations/service.beta.kubernetes.io~1aws-load-balancer-type");
        let chosen =
            text(service, "/spec/loadBalancerClass") == SERVICE_CLASS || matches!(annotated, "external" | "nlb-ip");
        sort(service, Kind::Service, text(service, "/spec/type") == "LoadBalancer" && chosen);
    }
    stacks
}

fn own_id(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// The group of the class's parameters comes before that of the annotation.
fn id_of(object: &Value, kind: Kind, classes: &Classes) -> String {
    let of_class = classes.get(text(object, "/spec/ingressClassName")).filter(|group| !group.is_empty());
    let annotated = text(object, "/metadata/annotations/alb.ingress.kubernetes.io~1group.name");
    let group = of_class.map_or(annotated, String::as_str);
    if kind == Kind::Ingress && !group.is_empty() { group.to_owned() } else { own_id(object) }
}

fn id_of_finalizer(object: &Value, kind: Kind, finalizer: &str) -> Option<String> {
    match kind {
        Kind::Ingress if finalizer == INGRESS_FINALIZER => Some(own_id(object)),
        Kind::Ingress => finalizer.strip_prefix(GROUP_FINALIZER).map(ToOwned::to_owned),
        Kind::Service => (finalizer == SERVICE_FINALIZER).then(|| own_id(object)),
    }
}

/// The finalizer of a stack's members.
pub(super) fn finalizer(id: &StackId) -> String {
    match id {
        (Kind::Service, _) => SERVICE_FINALIZER.to_owned(),
        (Kind::Ingress, name) if name.contains('/') => INGRESS_FINALIZER.to_owned(),
        (Kind::Ingress, group) => format!("{GROUP_FINALIZER}{group}"),
    }
}

impl Stack {
    /// All backends of its members, each once.
    pub(super) fn targets(&self) -> BTreeSet<Target> {
        self.members.iter().flat_map(targets_of).collect()
    }
}

fn targets_of(object: &Value) -> Vec<Target> {
    let namespace = text(object, "/metadata/namespace");
    if object["kind"] == "Service" {
        let ports = object["spec"]["ports"].as_array().into_iter().flatten();
        let name = text(object, "/metadata/name");
        return ports.map(|port| (namespace.to_owned(), name.to_owned(), port["port"].to_string())).collect();
    }
    let rules = object["spec"]["rules"].as_array().into_iter().flatten();
    let paths = rules.flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten());
    let backends = paths.map(|path| &path["backend"]).chain([&object["spec"]["defaultBackend"]]);
    backends.filter_map(|backend| target(namespace, backend)).collect()
}

/// The Service of a backend; actions by annotation have none.
pub(super) fn target(namespace: &str, backend: &Value) -> Option<Target> {
    let service = &backend["service"];
    let (name, port) = (service["name"].as_str()?, &service["port"]);
    let port = port["name"].as_str().map_or_else(|| port["number"].to_string(), ToOwned::to_owned);
    (port != "\"use-annotation\"" && port != "use-annotation").then(|| (namespace.to_owned(), name.to_owned(), port))
}

/// Letters and digits, cut to what the controller leaves of a name.
fn short(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

fn tags(place: &Place, id: &StackId, resource: &str) -> Tags {
    let prefix = id.0.prefix();
    [
        ("elbv2.k8s.aws/cluster".to_owned(), place.cluster.clone()),
        (format!("{prefix}/stack"), id.1.clone()),
        (format!("{prefix}/resource"), resource.to_owned()),
    ]
    .into()
}

/// The load balancer's ARN and tags.
pub(super) fn load_balancer(place: &Place, id: &StackId) -> (String, Tags) {
    let kind = if id.0 == Kind::Ingress { "app" } else { "net" };
    let hash = digest(&format!("{} {:?}", place.cluster, id), 26);
    let (namespace, name) = id.1.split_once('/').unwrap_or((&id.1, ""));
    let name: Vec<_> = [short(namespace), short(name)].into_iter().filter(|part| !part.is_empty()).collect();
    let resource = format!("loadbalancer/{kind}/k8s-{}-{}/{}", name.join("-"), &hash[..10], &hash[10..]);
    (place.arn("elasticloadbalancing", &resource), tags(place, id, "LoadBalancer"))
}

/// Name and ARN of a target group.
pub(super) fn target_group(place: &Place, id: &StackId, target: &Target) -> (String, String) {
    let (namespace, service, port) = target;
    let hash = digest(&format!("{} {id:?} {target:?}", place.cluster), 26);
    let name = format!("k8s-{}-{}-{}", short(namespace), short(service), &hash[..10]);
    debug_assert!(!port.is_empty(), "ports are numbers or names");
    let arn = place.arn("elasticloadbalancing", &format!("targetgroup/{name}/{}", &hash[10..]));
    (name, arn)
}

/// Everything of a stack in AWS, by ARN.
pub(super) fn resources(place: &Place, id: &StackId, stack: &Stack) -> BTreeMap<String, Tags> {
    let (balancer, balancer_tags) = load_balancer(place, id);
    let hash = digest(&balancer, 33);
    let listener = format!("{}/{}", balancer.replace(":loadbalancer/", ":listener/"), &hash[..16]);
    let group = place.arn("ec2", &format!("security-group/sg-{}", &hash[16..]));
    let mut all = BTreeMap::from([
        (balancer, balancer_tags),
        (listener, tags(place, id, "80")),
        (group, tags(place, id, "ManagedLBSecurityGroup")),
    ]);
    for member in &stack.members {
        for target in targets_of(member) {
            let (_, arn) = target_group(place, id, &target);
            let owner = own_id(member);
            let name = match id.0 {
                Kind::Ingress => format!("{owner}-{}:{}", target.1, target.2),
                Kind::Service => format!("{owner}:{}", target.2),
            };
            all.insert(arn, tags(place, id, &name));
        }
    }
    all
}

/// Says whether a tagged resource belongs to a stack.
pub(super) fn belongs(place: &Place, id: &StackId, tags: &Tags) -> bool {
    tags.get("elbv2.k8s.aws/cluster") == Some(&place.cluster)
        && tags.get(&format!("{}/stack", id.0.prefix())) == Some(&id.1)
}

/// The security group that all load balancers of a cluster share: it goes with the last of them.
pub(super) fn shared_group(place: &Place) -> (String, Tags) {
    let arn = place.arn("ec2", &format!("security-group/sg-{}", digest(&format!("{} backend", place.cluster), 17)));
    let tags = [("elbv2.k8s.aws/cluster", place.cluster.as_str()), ("elbv2.k8s.aws/resource", "backend-sg")];
    (arn, tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// The labels by which the controller finds a stack's bindings.
pub(super) fn binding_labels(id: &StackId) -> BTreeMap<String, String> {
    let prefix = id.0.prefix();
    match id.1.split_once('/') {
        Some((namespace, name)) => BTreeMap::from([
            (format!("{prefix}/stack-namespace"), namespace.to_owned()),
            (format!("{prefix}/stack-name"), name.to_owned()),
        ]),
        None => BTreeMap::from([(format!("{prefix}/stack"), id.1.clone())]),
    }
}

/// The binding of a target group to its Service.
pub(super) fn binding(place: &Place, id: &StackId, target: &Target) -> Value {
    let (name, arn) = target_group(place, id, target);
    let port = target.2.parse::<u16>().map_or_else(|_| Value::from(target.2.as_str()), Value::from);
    json!({
        "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
        "metadata": {
            "name": name, "namespace": target.0, "labels": binding_labels(id), "finalizers": [BINDING_FINALIZER],
            "annotations": {SIMULATED: "made by the eks-bootstrap sandbox in the controller's place"},
        },
        "spec": {"targetGroupARN": arn, "targetType": "ip", "serviceRef": {"name": target.1, "port": port}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            cluster: "demo".into(),
            region: "eu-west-1".into(),
            partition: "aws".into(),
            account: "111122223333".into(),
            issuer: String::new(),
        }
    }

    fn ingress(name: &str, metadata: &Value) -> Value {
        let mut ingress = json!({"kind": "Ingress", "metadata": metadata, "spec": {
            "ingressClassName": "public", "defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}}});
        ingress["metadata"]["name"] = name.into();
        ingress["metadata"]["namespace"] = "shop".into();
        ingress
    }

    fn sorted(ingresses: &[Value], services: &[Value]) -> Vec<(String, usize, usize)> {
        let class = json!({"metadata": {"name": "public"}, "spec": {"controller": CONTROLLER}});
        let stacks = stacks(&classes(&[class], &[]), ingresses, services);
        stacks.into_iter().map(|((_, id), stack)| (id, stack.members.len(), stack.leaving.len())).collect()
    }

    #[test]
    fn groups_share_a_stack_and_leave_it_one_by_one() {
        let group = json!({"alb.ingress.kubernetes.io/group.name": "edge"});
        let finalizers = json!(["group.ingress.k8s.aws/edge"]);
        let stays = ingress("a", &json!({"annotations": group, "finalizers": finalizers}));
        let goes = ingress("b", &json!({"annotations": group, "finalizers": finalizers, "deletionTimestamp": "x"}));
        let alone = ingress("c", &json!({}));
        assert_eq!(sorted(&[stays, goes, alone], &[]), [("edge".into(), 1, 1), ("shop/c".into(), 1, 0)]);
        let left_group = ingress("a", &json!({"finalizers": finalizers}));
        assert_eq!(sorted(&[left_group], &[]), [("edge".into(), 0, 1), ("shop/a".into(), 1, 0)]);
    }

    #[test]
    fn the_parameters_of_a_class_name_a_group() {
        let class = json!({"metadata": {"name": "public"}, "spec": {"controller": CONTROLLER,
            "parameters": {"name": "shared"}}});
        let parameters = json!({"metadata": {"name": "shared"}, "spec": {"group": {"name": "edge"}}});
        let both = [
            ingress("a", &json!({})),
            ingress(
                "b",
                &json!({"annotations": {
            "alb.ingress.kubernetes.io/group.name": "other"}}),
            ),
        ];
        let stacks = stacks(&classes(&[class], &[parameters]), &both, &[]);
        let found: Vec<_> = stacks.iter().map(|((_, id), stack)| (id.as_str(), stack.members.len())).collect();
        assert_eq!(found, [("edge", 2)]);
    }

    #[test]
    fn objects_of_other_controllers_are_left_alone() {
        let mut other = ingress("a", &json!({"finalizers": ["other/resources"]}));
        other["spec"]["ingressClassName"] = "nginx".into();
        let service = |class: Option<&str>| {
            json!({"kind": "Service", "metadata": {"namespace": "shop", "name": "s"}, "spec": {
            "type": "LoadBalancer", "loadBalancerClass": class, "ports": [{"port": 80}]}})
        };
        assert_eq!(sorted(&[other], &[service(None)]), []);
        assert_eq!(sorted(&[], &[service(Some(SERVICE_CLASS))]), [("shop/s".into(), 1, 0)]);
    }

    #[test]
    fn a_stack_has_the_controllers_names_and_tags() {
        let id = (Kind::Ingress, "shop/web-frontend".to_owned());
        let stack = Stack { members: vec![ingress("web-frontend", &json!({}))], leaving: Vec::new() };
        let all = resources(&place(), &id, &stack);
        let kinds: Vec<_> = all.values().map(|tags| tags["ingress.k8s.aws/resource"].as_str()).collect();
        assert_eq!(kinds, ["ManagedLBSecurityGroup", "80", "LoadBalancer", "shop/web-frontend-web:http"]);
        assert!(all.values().all(|tags| belongs(&place(), &id, tags)));
        let (arn, _) = load_balancer(&place(), &id);
        assert!(arn.contains(":loadbalancer/app/k8s-shop-webfront-"), "{arn}");
        assert_eq!(finalizer(&id), INGRESS_FINALIZER);
        assert_eq!(
            binding(&place(), &id, &stack.targets().into_iter().next().unwrap())["spec"]["serviceRef"]["port"],
            "http"
        );
    }
}
