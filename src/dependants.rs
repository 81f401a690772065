//! What in the cluster depends on the controllers: load balancers and volumes that only they can delete. `destroy` refuses
//! while there are any, or deletes the load balancers' objects first, since without the controllers they stay in AWS, cost
//! money, and their objects hang on finalizers (kubernetes-sigs/aws-load-balancer-controller#1629).
//!
//! Finding out reads the cluster; judging single objects is pure. What AWS holds for them is in `in_aws.rs`.

mod classes;
pub mod in_aws;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::Result;
use crate::object::text;
use crate::read::kube::{KubeRead, ObjectRef};
use classes::AlbClasses;

/// The driver's name in volumes.
pub(crate) const EBS_DRIVER: &str = "ebs.csi.aws.com";
/// The controller's name in Ingress classes.
pub(crate) const ALB_CONTROLLER: &str = "ingress.k8s.aws/alb";
/// The controller's names in Gateway classes, with the beginning of the tags of what it makes for such Gateways.
const GATEWAY_CONTROLLERS: [(&str, &str); 2] =
    [("gateway.k8s.aws/alb", "gateway.k8s.aws.alb"), ("gateway.k8s.aws/nlb", "gateway.k8s.aws.nlb")];
/// The finalizer of a group of Ingresses ends with the group's name.
const GROUP_FINALIZER: &str = "group.ingress.k8s.aws/";
const INGRESS_FINALIZER: &str = "ingress.k8s.aws/resources";
const SERVICE_FINALIZER: &str = "service.k8s.aws/resources";
const ACCELERATOR: &str = "GlobalAccelerator";

/// One object for which the AWS Load Balancer Controller keeps something in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependant {
    /// The object.
    pub object: ObjectRef,
    /// Its uid, which its events name.
    pub uid: String,
    /// The tags by which the controller knows what it made for it: `ingress.k8s.aws/stack` = `NAMESPACE/NAME`.
    pub stacks: BTreeSet<(String, String)>,
    /// ARNs that it names.
    pub arns: BTreeSet<String>,
    /// Whether the controller itself made it for another object, with which it goes.
    pub derived: bool,
    /// Whether it is being deleted.
    pub going: bool,
    /// What its deletion waits for.
    pub finalizers: Vec<String>,
}

/// What of the cluster explains load balancers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// Objects that the controller works for.
    pub dependants: Vec<Dependant>,
    /// The tags of whatever the other objects of the same kinds may once have had: one whose class was changed is not the
    /// controller's any more, and its load balancer is not nobody's for that.
    pub others: BTreeSet<(String, String)>,
}

/// Ingresses, Services, bindings, Gateways and accelerators, and which of them the AWS Load Balancer Controller works for: by their class, or
/// by a finalizer of its own, which it sets before it makes anything, whatever name it was told to listen to. The chart's
/// other kinds configure these and have nothing in AWS of their own.
///
/// # Errors
/// A read that failed: what could not be read might explain anything.
pub async fn of_load_balancers(kube: &KubeRead) -> Result<Objects> {
    let (ingress_classes, parameters, ingresses, services, bindings, gateway_classes, gateways, accelerators) = futures::try_join!(
        kube.list("networking.k8s.io/v1", "IngressClass", "", ""),
        kube.list("elbv2.k8s.aws/v1beta1", "IngressClassParams", "", ""),
        kube.list("networking.k8s.io/v1", "Ingress", "", ""),
        kube.list("v1", "Service", "", ""),
        kube.list("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "", ""),
        kube.list("gateway.networking.k8s.io/v1", "GatewayClass", "", ""),
        kube.list("gateway.networking.k8s.io/v1", "Gateway", "", ""),
        kube.list("aga.k8s.aws/v1beta1", "GlobalAccelerator", "", ""),
    )?;
    let mut found = Objects::default();
    let classes = AlbClasses::new(&ingress_classes, &parameters);
    for ingress in &ingresses {
        let dependant = of_ingress(ingress, &classes);
        let held = dependant.held_by(&[INGRESS_FINALIZER, GROUP_FINALIZER]);
        found.add(dependant, held || classes.serve(ingress));
    }
    for service in &services {
        let dependant = of("v1", "Service", service, &["service.k8s.aws"]);
        let held = dependant.held_by(&[SERVICE_FINALIZER]);
        found.add(dependant, held || is_nlb(service));
    }
    let controllers = gateway_controllers(&gateway_classes);
    for gateway in &gateways {
        let prefixes = GATEWAY_CONTROLLERS.map(|known| known.1);
        let dependant = of("gateway.networking.k8s.io/v1", "Gateway", gateway, &prefixes);
        // A Gateway's finalizer has the name of the controller.
        let held = dependant.held_by(&GATEWAY_CONTROLLERS.map(|known| known.0));
        found.add(dependant, held || controllers.contains(text(gateway, "/spec/gatewayClassName")));
    }
    for accelerator in &accelerators {
        let mut dependant = of("aga.k8s.aws/v1beta1", ACCELERATOR, accelerator, &["aga.k8s.aws"]);
        dependant.names(text(accelerator, "/status/acceleratorARN"));
        found.add(dependant, true);
    }
    let stacks: BTreeSet<_> = found.dependants.iter().flat_map(|dependant| dependant.stacks.clone()).collect();
    found.dependants.extend(bindings.iter().map(|binding| of_binding(binding, &stacks)));
    Ok(found)
}

impl Objects {
    fn add(&mut self, dependant: Dependant, ours: bool) {
        if ours {
            self.dependants.push(dependant);
        } else {
            self.others.extend(dependant.stacks);
        }
    }
}

impl Dependant {
    /// Whether its deletion waits for something that begins with one of these.
    fn held_by(&self, beginnings: &[&str]) -> bool {
        self.finalizers.iter().any(|finalizer| beginnings.iter().any(|beginning| finalizer.starts_with(beginning)))
    }

    fn names(&mut self, arn: &str) {
        self.arns.extend(Some(arn.to_owned()).filter(|arn| !arn.is_empty()));
    }

    /// Whether the controller keeps the shared security group for it. Bindings and accelerators do not bring it about, nor does
    /// their end end it.
    pub(crate) fn has_security_groups(&self) -> bool {
        matches!(self.object.kind.as_str(), "Ingress" | "Service" | "Gateway")
    }

    /// Whether it is an accelerator, which lives in another region.
    pub(crate) fn is_accelerator(&self) -> bool {
        self.object.kind == ACCELERATOR
    }
}

/// A volume of EBS that a PersistentVolume stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The id in AWS.
    pub id: String,
    /// What a person wants to know of it.
    pub shown: String,
    /// Whether it is the EBS CSI driver's.
    pub driven: bool,
}

/// Volumes of EBS, whoever brings them.
///
/// # Errors
/// A read that failed.
pub async fn volumes(kube: &KubeRead) -> Result<Vec<Volume>> {
    let volumes = kube.list("v1", "PersistentVolume", "", "").await?;
    Ok(volumes.iter().filter_map(volume).collect())
}

/// Items of lists do not say their kind.
fn of(api_version: &str, kind: &str, object: &Value, prefixes: &[&str]) -> Dependant {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    Dependant {
        object: ObjectRef::new(api_version, kind, namespace, name),
        uid: text(object, "/metadata/uid").to_owned(),
        stacks: prefixes.iter().map(|prefix| (format!("{prefix}/stack"), format!("{namespace}/{name}"))).collect(),
        arns: BTreeSet::new(),
        derived: false,
        going: object.pointer("/metadata/deletionTimestamp").is_some(),
        finalizers: finalizers
            .into_iter()
            .flatten()
            .filter_map(|finalizer| finalizer.as_str().map(ToOwned::to_owned))
            .collect(),
    }
}

/// Ingresses of a group share what is made, under the group's name; an Ingress may be leaving one, and while it changes
/// groups it has something in both.
fn of_ingress(ingress: &Value, classes: &AlbClasses) -> Dependant {
    let mut dependant = of("networking.k8s.io/v1", "Ingress", ingress, &["ingress.k8s.aws"]);
    let annotated = text(ingress, "/metadata/annotations/alb.ingress.kubernetes.io~1group.name");
    let left = dependant.finalizers.iter().filter_map(|finalizer| finalizer.strip_prefix(GROUP_FINALIZER));
    let groups = left.chain([annotated]).chain(classes.group(ingress));
    let groups: Vec<_> = groups.filter(|group| !group.is_empty()).map(ToOwned::to_owned).collect();
    dependant.stacks.extend(groups.into_iter().map(|group| ("ingress.k8s.aws/stack".to_owned(), group)));
    dependant
}

/// Users make bindings, and so does the controller, which labels its own with their stack.
fn of_binding(binding: &Value, stacks: &BTreeSet<(String, String)>) -> Dependant {
    let mut dependant = of("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", binding, &[]);
    dependant.names(text(binding, "/spec/targetGroupARN"));
    let prefixes = ["ingress.k8s.aws", "service.k8s.aws"].into_iter().chain(GATEWAY_CONTROLLERS.map(|known| known.1));
    for prefix in prefixes {
        let label = |name: &str| binding["metadata"]["labels"].get(format!("{prefix}/{name}")).and_then(Value::as_str);
        let stack = match (label("stack"), label("stack-namespace"), label("stack-name")) {
            (Some(group), _, _) => group.to_owned(),
            (None, Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            _ => continue,
        };
        let stack = (format!("{prefix}/stack"), stack);
        dependant.derived |= stacks.contains(&stack);
        dependant.stacks.insert(stack);
    }
    dependant
}

/// Gateway classes of the controller.
fn gateway_controllers(classes: &[Value]) -> BTreeSet<&str> {
    let ours = classes.iter().filter(|class| {
        let controller = text(class, "/spec/controllerName");
        GATEWAY_CONTROLLERS.iter().any(|known| known.0 == controller)
    });
    ours.map(|class| text(class, "/metadata/name")).collect()
}

fn is_nlb(service: &Value) -> bool {
    let annotated = text(service, "/metadata/annotations/service.beta.kubernetes.io~1aws-load-balancer-type");
    text(service, "/spec/type") == "LoadBalancer"
        && match text(service, "/spec/loadBalancerClass") {
            "" => matches!(annotated, "external" | "nlb-ip"),
            class => class == "service.k8s.aws/nlb",
        }
}

/// A volume of the former in-tree plugin is the driver's too: it takes over what such a volume asks for.
fn volume(volume: &Value) -> Option<Volume> {
    // `aws://eu-west-1a/vol-...` or the id alone.
    let in_tree = text(volume, "/spec/awsElasticBlockStore/volumeID").rsplit('/').next().unwrap_or_default();
    let id = if in_tree.is_empty() { text(volume, "/spec/csi/volumeHandle") } else { in_tree };
    id.starts_with("vol-").then(|| Volume {
        id: id.to_owned(),
        shown: format!(
            "PersistentVolume/{} ({id}, {}, {})",
            text(volume, "/metadata/name"),
            text(volume, "/spec/capacity/storage"),
            text(volume, "/spec/persistentVolumeReclaimPolicy"),
        ),
        driven: !in_tree.is_empty() || text(volume, "/spec/csi/driver") == EBS_DRIVER,
    })
}

#[cfg(test)]
mod tests;
