//! What a chart contains, as rows of rights: from the tables for charts that are known here, from what helm renders for those of
//! the user's own components. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Place::{Cluster, Namespace};
use super::{LBC, Place, RBAC};
use crate::component::Component;
use crate::object::text;
use crate::read::kinds::{self, Resourced};
use crate::read::manifest;

/// Objects of one kind in a chart: component, place, API group, plural, names.
type InChart = (&'static str, Place, &'static str, &'static str, &'static [&'static str]);

const EBS: &str = crate::component::EBS_CSI_DRIVER.name;
const METRICS: &str = crate::component::METRICS_SERVER.name;

/// What the charts contain.
#[rustfmt::skip]
const CHARTS: &[InChart] = &[
    (LBC, Namespace, "", "services", &["aws-load-balancer-webhook-service"]),
    (LBC, Namespace, "", "secrets", &["aws-load-balancer-tls"]),
    (LBC, Namespace, "apps", "deployments", &["aws-load-balancer-controller"]),
    (LBC, Namespace, RBAC, "roles", &["aws-load-balancer-controller-leader-election-role"]),
    (LBC, Namespace, RBAC, "rolebindings", &["aws-load-balancer-controller-leader-election-rolebinding"]),
    (LBC, Cluster, RBAC, "clusterroles", &["aws-load-balancer-controller-role"]),
    (LBC, Cluster, RBAC, "clusterrolebindings", &["aws-load-balancer-controller-rolebinding"]),
    (LBC, Cluster, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["aws-load-balancer-webhook"]),
    (LBC, Cluster, "admissionregistration.k8s.io", "validatingwebhookconfigurations", &["aws-load-balancer-webhook"]),
    (LBC, Cluster, "networking.k8s.io", "ingressclasses", &["alb"]),
    (LBC, Cluster, "elbv2.k8s.aws", "ingressclassparams", &["alb"]),
    (EBS, Namespace, "", "serviceaccounts", &["ebs-csi-controller-sa", "ebs-csi-node-sa"]),
    (EBS, Namespace, "apps", "deployments", &["ebs-csi-controller"]),
    (EBS, Namespace, "apps", "daemonsets", &["ebs-csi-node", "ebs-csi-node-windows"]),
    (EBS, Namespace, "policy", "poddisruptionbudgets", &["ebs-csi-controller"]),
    (EBS, Namespace, RBAC, "roles", &["ebs-csi-leases-role"]),
    (EBS, Namespace, RBAC, "rolebindings", &["ebs-csi-leases-rolebinding"]),
    (EBS, Cluster, RBAC, "clusterroles", &["ebs-csi-node-role", "ebs-external-attacher-role", "ebs-external-provisioner-role", "ebs-external-resizer-role", "ebs-external-snapshotter-role"]),
    (EBS, Cluster, RBAC, "clusterrolebindings", &["ebs-csi-node-getter-binding", "ebs-csi-attacher-binding", "ebs-csi-provisioner-binding", "ebs-csi-resizer-binding", "ebs-csi-snapshotter-binding"]),
    (EBS, Cluster, "storage.k8s.io", "csidrivers", &["ebs.csi.aws.com"]),
    (METRICS, Namespace, "", "serviceaccounts", &["metrics-server"]),
    (METRICS, Namespace, "", "services", &["metrics-server"]),
    (METRICS, Namespace, "apps", "deployments", &["metrics-server"]),
    (METRICS, Namespace, "policy", "poddisruptionbudgets", &["metrics-server"]),
    (METRICS, Namespace, RBAC, "rolebindings", &["metrics-server-auth-reader"]),
    (METRICS, Cluster, RBAC, "clusterroles", &["system:metrics-server", "system:metrics-server-aggregated-reader"]),
    (METRICS, Cluster, RBAC, "clusterrolebindings", &["metrics-server:system:auth-delegator", "system:metrics-server"]),
    (METRICS, Cluster, "apiregistration.k8s.io", "apiservices", &["v1beta1.metrics.k8s.io"]),
];

/// The CRDs that a step of ours applies before the chart.
const CHART_CRDS: &[(&str, &[&str])] = &[(
    LBC,
    &[
        "albtargetcontrolconfigs.elbv2.k8s.aws",
        "globalaccelerators.aga.k8s.aws",
        "ingressclassparams.elbv2.k8s.aws",
        "listenerruleconfigurations.gateway.k8s.aws",
        "loadbalancerconfigurations.gateway.k8s.aws",
        "targetgroupbindings.elbv2.k8s.aws",
        "targetgroupconfigurations.gateway.k8s.aws",
    ],
)];

/// Roles that are there and to which a chart binds its service account: component, place, plural, names.
const BOUND: &[(&str, Place, &str, &[&str])] = &[
    (METRICS, Cluster, "clusterroles", &["system:auth-delegator"]),
    (METRICS, Namespace, "roles", &["extension-apiserver-authentication-reader"]),
];

/// Objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: Place,
    /// Another namespace than the component's.
    pub(super) namespace: Option<String>,
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) names: Vec<String>,
    pub(super) made: Made,
}

/// When helm makes an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Made {
    /// With the release, to which it belongs.
    #[default]
    WithRelease,
    /// By a hook, while it installs or upgrades: no plan reads it.
    ByHook,
    /// By a hook of `helm test`, by hand.
    ByTest,
    /// By a hook while it uninstalls, and maybe by others.
    ByHookOfRemoval,
}

/// What a chart contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The component.
    component: String,
    /// Its objects.
    pub(super) rows: Vec<Row>,
    /// Its CRDs, by name.
    pub(super) crds: Vec<String>,
    /// Roles that are there and to which it binds service accounts.
    pub(super) bound: Vec<Row>,
    /// Kinds of which nobody here knows plural and place.
    pub(super) unknown: Vec<Kind>,
}

/// API version and kind.
pub type Kind = (String, String);
/// What the API server said of kinds that are neither Kubernetes' own nor the chart's.
pub type Told = BTreeMap<Kind, Resourced>;

impl Contents {
    /// What is known of a built-in component's chart.
    pub(super) fn built_in(component: &Component) -> Contents {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let row = |place: Place, group: &str, plural: &str, names: &[&str]| Row {
            place,
            group: group.to_owned(),
            plural: plural.to_owned(),
            names: texts(names),
            namespace: None,
            made: Made::default(),
        };
        let of = |row: &&str| **row == *component.name;
        Contents {
            component: component.name.to_owned(),
            rows: CHARTS.iter().filter(|it| of(&it.0)).map(|it| row(it.1, it.2, it.3, it.4)).collect(),
            crds: CHART_CRDS.iter().filter(|it| of(&it.0)).flat_map(|it| texts(it.1)).collect(),
            bound: BOUND.iter().filter(|it| of(&it.0)).map(|it| row(it.1, RBAC, it.2, it.3)).collect(),
            unknown: Vec::new(),
        }
    }

    /// What helm renders of a component's chart, and the CRDs beside it. Kinds that neither Kubernetes nor the chart brings are
    /// looked up in `told`; those that are not there either are named as unknown.
    pub fn rendered(component: &Component, objects: &[Value], crds: &[Value], told: &Told) -> Contents {
        let (mut rows, mut unknown) = (Vec::<Row>::new(), BTreeSet::new());
        for object in objects {
            let made = made(object);
            let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
            let key = (version.to_owned(), kind.to_owned());
            let found = kinds::of_crds(crds, version, kind).or_else(|| kinds::of_group(version, kind));
            let Some(found) = found.or_else(|| told.get(&key).cloned()) else {
                unknown.insert(key);
                continue;
            };
            let elsewhere = |namespace: &str| !namespace.is_empty() && namespace != component.namespace;
            let namespace =
                Some(text(object, "/metadata/namespace")).filter(|name| found.namespaced && elsewhere(name));
            add(
                &mut rows,
                Row {
                    place: if found.namespaced { Namespace } else { Cluster },
                    namespace: namespace.map(ToOwned::to_owned),
                    group: kinds::group(version).to_owned(),
                    plural: found.plural,
                    names: vec![text(object, "/metadata/name").to_owned()],
                    made,
                },
            );
        }
        let mut bound = Vec::new();
        for binding in objects.iter().filter(|object| text(object, "/kind").ends_with("RoleBinding")) {
            let role = |field: &str| text(binding, &format!("/roleRef/{field}")).to_owned();
            let (place, plural) = if role("kind") == "Role" { (Namespace, "roles") } else { (Cluster, "clusterroles") };
            let namespace = Some(text(binding, "/metadata/namespace"))
                .filter(|name| place == Namespace && !name.is_empty() && *name != component.namespace);
            let own = rows.iter().any(|row| row.plural == plural && row.names.contains(&role("name")));
            if !own {
                let row = Row {
                    place,
                    namespace: namespace.map(ToOwned::to_owned),
                    group: RBAC.to_owned(),
                    plural: plural.to_owned(),
                    names: vec![role("name")],
                    made: Made::default(),
                };
                add(&mut bound, row);
            }
        }
        let crds: BTreeSet<_> = crds.iter().map(|crd| text(crd, "/metadata/name").to_owned()).collect();
        let (crds, unknown) = (crds.into_iter().collect(), unknown.into_iter().collect());
        Contents { component: component.name.to_owned(), rows, crds, bound, unknown }
    }

    /// The kinds of which nobody here knows plural and place.
    pub fn unknown(&self) -> &[Kind] {
        &self.unknown
    }

    /// Whether it is this component's.
    pub fn is_of(&self, component: &Component) -> bool {
        self.component == component.name
    }
}

fn add(rows: &mut Vec<Row>, new: Row) {
    let alike = |row: &&mut Row| {
        row.place == new.place
            && row.namespace == new.namespace
            && row.group == new.group
            && row.plural == new.plural
            && row.made == new.made
    };
    match rows.iter_mut().find(alike) {
        Some(row) if row.names.contains(&new.names[0]) => {}
        Some(row) => row.names.extend(new.names),
        None => rows.push(new),
    }
}

/// When helm makes an object.
fn made(object: &Value) -> Made {
    let hooks = manifest::hooks(object);
    if hooks.is_empty() {
        return Made::WithRelease;
    }
    let any = |ends: &[&str]| hooks.iter().any(|hook| ends.iter().any(|end| hook.ends_with(end)));
    match (any(&["-install", "-upgrade", "-rollback"]), any(&["-delete"])) {
        (_, true) => Made::ByHookOfRemoval,
        (true, false) => Made::ByHook,
        (false, false) => Made::ByTest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{BUILT_IN, METRICS_SERVER};
    use serde_json::json;

    #[test]
    fn rows_follow_from_what_is_rendered() {
        let object = |version: &str, kind: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        let mut binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "b");
        binding["roleRef"] = json!({"kind": "ClusterRole", "name": "view"});
        let mut own = object("rbac.authorization.k8s.io/v1", "RoleBinding", "c");
        own["roleRef"] = json!({"kind": "Role", "name": "r"});
        let objects = [
            object("v1", "Service", "a"),
            object("v1", "Service", "b"),
            object("networking.k8s.io/v1", "IngressClass", "alb"),
            object("networking.k8s.io/v1", "NetworkPolicy", "n"),
            object("example.com/v1", "Thing", "t"),
            object("rbac.authorization.k8s.io/v1", "Role", "r"),
            own,
            binding,
        ];
        // A CRD of the chart says what its kind is called in the plural.
        let crd = json!({"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"kind": "Thing", "plural": "thingies"}}});
        let contents = Contents::rendered(&BUILT_IN[0], &objects, &[crd], &Told::new());
        let rows: Vec<_> = contents
            .rows
            .iter()
            .map(|row| (row.place, row.group.as_str(), row.plural.as_str(), row.names.join(",")))
            .collect();
        assert_eq!(rows[0], (Namespace, "", "services", "a,b".to_owned()));
        assert_eq!(rows[1], (Cluster, "networking.k8s.io", "ingressclasses", "alb".to_owned()));
        assert_eq!(rows[2], (Namespace, "networking.k8s.io", "networkpolicies", "n".to_owned()));
        assert_eq!(rows[3], (Cluster, "example.com", "thingies", "t".to_owned()));
        assert_eq!(contents.crds, ["things.example.com"]);
        let bound: Vec<_> = contents.bound.iter().map(|row| (row.place, row.names.join(","))).collect();
        assert_eq!(bound, [(Cluster, "view".to_owned())]);
        assert_eq!(contents.unknown, []);
    }

    /// `Oxen` follow no rule, and a rule would have put them into the whole cluster.
    #[test]
    fn kinds_are_told_by_crds_or_the_api_server_and_never_guessed() {
        let object =
            |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
        let crd = json!({"metadata": {"name": "oxen.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Ox", "plural": "oxen"}}});
        let objects =
            [object("example.com/v1", "Ox"), object("monitoring.example/v1", "Monitor"), object("v1", "Endpoints")];
        let row = |contents: &Contents, kind: usize| {
            let row = &contents.rows[kind];
            (row.place, row.plural.clone())
        };
        let offline = Contents::rendered(&BUILT_IN[0], &objects, std::slice::from_ref(&crd), &Told::new());
        assert_eq!(row(&offline, 0), (Namespace, "oxen".to_owned()));
        assert_eq!(row(&offline, 1), (Namespace, "endpoints".to_owned()));
        let monitor = ("monitoring.example/v1".to_owned(), "Monitor".to_owned());
        assert_eq!(offline.unknown(), std::slice::from_ref(&monitor));
        let told = Told::from([(monitor, Resourced { plural: "monitory".to_owned(), namespaced: true })]);
        let online = Contents::rendered(&BUILT_IN[0], &objects, &[crd], &told);
        assert_eq!((row(&online, 1), online.unknown.len()), ((Namespace, "monitory".to_owned()), 0));
    }

    #[test]
    fn other_namespaces_and_hooks_are_rows_of_their_own() {
        let object = |name: &str, namespace: &str, hook: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace,
                "annotations": if hook.is_empty() { json!({}) } else { json!({"helm.sh/hook": hook}) }}})
        };
        let own = BUILT_IN[0].namespace;
        let objects = [
            object("a", own, ""),
            object("b", "shop", ""),
            object("c", own, "pre-install, post-upgrade"),
            object("d", own, "pre-install,pre-delete"),
            object("e", own, "test"),
        ];
        let contents = Contents::rendered(&BUILT_IN[0], &objects, &[], &Told::new());
        let rows: Vec<_> =
            contents.rows.iter().map(|row| (row.names.join(","), row.namespace.as_deref(), row.made)).collect();
        let both = Made::ByHookOfRemoval;
        assert_eq!(
            rows,
            [
                ("a".to_owned(), None, Made::WithRelease),
                ("b".to_owned(), Some("shop"), Made::WithRelease),
                ("c".to_owned(), None, Made::ByHook),
                ("d".to_owned(), None, both),
                ("e".to_owned(), None, Made::ByTest),
            ]
        );
    }

    #[test]
    fn the_tables_know_the_built_in_charts() {
        let contents = Contents::built_in(&METRICS_SERVER);
        assert!(contents.is_of(&METRICS_SERVER) && contents.rows.len() > 5 && contents.bound.len() == 2);
    }

    #[test]
    fn the_tables_speak_of_components_that_exist() {
        let known: Vec<_> = BUILT_IN.iter().map(|component| component.name).collect();
        let named = CHARTS.iter().map(|row| row.0).chain(CHART_CRDS.iter().map(|row| row.0));
        assert!(named.into_iter().chain(BOUND.iter().map(|row| row.0)).all(|name| known.contains(&name)));
        for component in BUILT_IN {
            assert!(CHARTS.iter().any(|row| row.0 == component.name), "{} has a chart", component.name);
            assert_eq!(CHART_CRDS.iter().any(|row| row.0 == component.name), component.has_crds, "{}", component.name);
        }
    }
}
