//! What in the cluster depends on the controllers: load balancers and volumes that only they can delete. `destroy` refuses
//! while there are any, or deletes the load balancers' objects first, since without the controllers they stay in AWS, cost
//! money, and their objects hang on finalizers (kubernetes-sigs/aws-load-balancer-controller#1629).
//!
//! Finding out reads the cluster; judging single objects is pure. What AWS holds for them is in `in_aws.rs`.

pub mod in_aws;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::Result;
use crate::object::text;
use crate::read::kube::{KubeRead, ObjectRef};

/// The driver's name in volumes.
pub(crate) const EBS_DRIVER: &str = "ebs.csi.aws.com";
/// The controller's name in Ingress classes.
pub(crate) const ALB_CONTROLLER: &str = "ingress.k8s.aws/alb";
/// The controller's names in Gateway classes, with the beginning of the tags of what it makes for such Gateways.
const GATEWAY_CONTROLLERS: [(&str, &str); 2] =
    [("gateway.k8s.aws/alb", "gateway.k8s.aws.alb"), ("gateway.k8s.aws/nlb", "gateway.k8s.aws.nlb")];
/// The finalizer of a group of Ingresses ends with the group's name.
const GROUP_FINALIZER: &str = "group.ingress.k8s.aws/";

/// One object for which the AWS Load Balancer Controller keeps something in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependant {
    /// The object.
    pub object: ObjectRef,
    /// Its uid, which its events name.
    pub uid: String,
    /// The tags by which the controller knows what it made for it: `ingress.k8s.aws/stack` = `NAMESPACE/NAME`.
    pub stacks: BTreeSet<(String, String)>,
    /// Whether the controller itself made it for another object, with which it goes.
    pub derived: bool,
    /// Whether it is being deleted.
    pub going: bool,
    /// What its deletion waits for.
    pub finalizers: Vec<String>,
}

/// Ingresses, Services, bindings and Gateways that the AWS Load Balancer Controller works for.
///
/// # Errors
/// A read that failed.
pub async fn of_load_balancers(kube: &KubeRead) -> Result<Vec<Dependant>> {
    let (ingress_classes, ingresses, services, bindings, gateway_classes, gateways) = futures::try_join!(
        kube.list("networking.k8s.io/v1", "IngressClass", "", ""),
        kube.list("networking.k8s.io/v1", "Ingress", "", ""),
        kube.list("v1", "Service", "", ""),
        kube.list("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "", ""),
        kube.list("gateway.networking.k8s.io/v1", "GatewayClass", "", ""),
        kube.list("gateway.networking.k8s.io/v1", "Gateway", "", ""),
    )?;
    let classes = alb_classes(&ingress_classes);
    let ingresses = ingresses.iter().filter(|ingress| is_alb(ingress, &classes));
    let mut found: Vec<_> = ingresses.map(of_ingress).collect();
    let services = services.iter().filter(|service| is_nlb(service));
    found.extend(services.map(|service| of("v1", "Service", service, Some("service.k8s.aws"))));
    let controllers = gateway_controllers(&gateway_classes);
    found.extend(gateways.iter().filter_map(|gateway| {
        let prefix = controllers.get(text(gateway, "/spec/gatewayClassName"))?;
        Some(of("gateway.networking.k8s.io/v1", "Gateway", gateway, Some(prefix)))
    }));
    let stacks: BTreeSet<_> = found.iter().flat_map(|dependant| dependant.stacks.clone()).collect();
    found.extend(bindings.iter().map(|binding| of_binding(binding, &stacks)));
    Ok(found)
}

/// Volumes of the EBS CSI driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The id in AWS.
    pub id: String,
    /// What a person wants to know of it.
    pub shown: String,
}

/// Volumes of the EBS CSI driver.
///
/// # Errors
/// A read that failed.
pub async fn volumes(kube: &KubeRead) -> Result<Vec<Volume>> {
    let volumes = kube.list("v1", "PersistentVolume", "", "").await?;
    Ok(volumes.iter().filter_map(volume).collect())
}

/// Items of lists do not say their kind.
fn of(api_version: &str, kind: &str, object: &Value, prefix: Option<&str>) -> Dependant {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    Dependant {
        object: ObjectRef::new(api_version, kind, namespace, name),
        uid: text(object, "/metadata/uid").to_owned(),
        stacks: prefix.map(|prefix| (format!("{prefix}/stack"), format!("{namespace}/{name}"))).into_iter().collect(),
        derived: false,
        going: object.pointer("/metadata/deletionTimestamp").is_some(),
        finalizers: finalizers
            .into_iter()
            .flatten()
            .filter_map(|finalizer| finalizer.as_str().map(ToOwned::to_owned))
            .collect(),
    }
}

/// Ingresses of a group share what is made, under the group's name; an Ingress may be leaving one.
fn of_ingress(ingress: &Value) -> Dependant {
    let mut dependant = of("networking.k8s.io/v1", "Ingress", ingress, Some("ingress.k8s.aws"));
    let annotated = text(ingress, "/metadata/annotations/alb.ingress.kubernetes.io~1group.name");
    let left = dependant.finalizers.iter().filter_map(|finalizer| finalizer.strip_prefix(GROUP_FINALIZER));
    let groups: Vec<_> = left.chain([annotated]).filter(|group| !group.is_empty()).map(ToOwned::to_owned).collect();
    dependant.stacks.extend(groups.into_iter().map(|group| ("ingress.k8s.aws/stack".to_owned(), group)));
    dependant
}

/// Users make bindings, and so does the controller, which labels its own with their stack.
fn of_binding(binding: &Value, stacks: &BTreeSet<(String, String)>) -> Dependant {
    let mut dependant = of("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", binding, None);
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

/// The class that the chart brings, and every other one of the same controller.
pub(crate) fn alb_classes(classes: &[Value]) -> BTreeSet<String> {
    let ours = classes.iter().filter(|class| text(class, "/spec/controller") == ALB_CONTROLLER);
    ours.map(|class| text(class, "/metadata/name").to_owned()).chain(["alb".to_owned()]).collect()
}

/// Gateway classes of the controller, with the beginning of their tags.
fn gateway_controllers(classes: &[Value]) -> BTreeMap<&str, &'static str> {
    let ours = classes.iter().filter_map(|class| {
        let controller = text(class, "/spec/controllerName");
        let known = GATEWAY_CONTROLLERS.iter().find(|known| known.0 == controller)?;
        Some((text(class, "/metadata/name"), known.1))
    });
    ours.collect()
}

/// Whether an Ingress is one of these classes, by its field or by the older annotation.
pub(crate) fn is_alb(ingress: &Value, classes: &BTreeSet<String>) -> bool {
    let class = text(ingress, "/spec/ingressClassName");
    let annotated = text(ingress, "/metadata/annotations/kubernetes.io~1ingress.class");
    classes.contains(class) || classes.contains(annotated)
}

fn is_nlb(service: &Value) -> bool {
    let annotated = text(service, "/metadata/annotations/service.beta.kubernetes.io~1aws-load-balancer-type");
    text(service, "/spec/type") == "LoadBalancer"
        && (text(service, "/spec/loadBalancerClass") == "service.k8s.aws/nlb"
            || matches!(annotated, "external" | "nlb-ip"))
}

fn volume(volume: &Value) -> Option<Volume> {
    let id = text(volume, "/spec/csi/volumeHandle");
    (text(volume, "/spec/csi/driver") == EBS_DRIVER).then(|| Volume {
        id: id.to_owned(),
        shown: format!(
            "PersistentVolume/{} ({id}, {}, {})",
            text(volume, "/metadata/name"),
            text(volume, "/spec/capacity/storage"),
            text(volume, "/spec/persistentVolumeReclaimPolicy"),
        ),
    })
}

#[cfg(test)]
mod tests;
