//! What in the cluster depends on the controllers: load balancers and volumes that only they can delete. `destroy` refuses
//! while there are any, since without the controllers they stay in AWS, cost money, and their objects hang on finalizers
//! (kubernetes-sigs/aws-load-balancer-controller#1629).
//!
//! Finding out reads the cluster; judging single objects is pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::Result;
use crate::read::kube::{KubeRead, ObjectRef};

/// The driver's name in volumes.
pub(crate) const EBS_DRIVER: &str = "ebs.csi.aws.com";
/// The controller's name in Ingress classes.
pub(crate) const ALB_CONTROLLER: &str = "ingress.k8s.aws/alb";

/// Ingresses, Services and bindings that the AWS Load Balancer Controller works for.
///
/// # Errors
/// A read that failed.
pub async fn of_load_balancers(kube: &KubeRead) -> Result<Vec<String>> {
    let (classes, ingresses, services, bindings) = futures::try_join!(
        kube.list("networking.k8s.io/v1", "IngressClass", "", ""),
        kube.list("networking.k8s.io/v1", "Ingress", "", ""),
        kube.list("v1", "Service", "", ""),
        kube.list("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "", ""),
    )?;
    let classes = alb_classes(&classes);
    let names = |kind: &str, objects: Vec<&Value>| -> Vec<String> {
        objects.into_iter().map(|object| name(kind, object)).collect()
    };
    let mut found = names("Ingress", ingresses.iter().filter(|ingress| is_alb(ingress, &classes)).collect());
    found.extend(names("Service", services.iter().filter(|service| is_nlb(service)).collect()));
    found.extend(names("TargetGroupBinding", bindings.iter().collect()));
    Ok(found)
}

/// Volumes of the EBS CSI driver, with what a person wants to know of them.
///
/// # Errors
/// A read that failed.
pub async fn volumes(kube: &KubeRead) -> Result<Vec<String>> {
    let volumes = kube.list("v1", "PersistentVolume", "", "").await?;
    Ok(volumes.iter().filter_map(volume).collect())
}

/// `KIND/NAMESPACE/NAME`; items of lists do not say their kind.
fn name(kind: &str, object: &Value) -> String {
    ObjectRef { kind: kind.to_owned(), ..ObjectRef::of(object) }.to_string()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The class that the chart brings, and every other one of the same controller.
pub(crate) fn alb_classes(classes: &[Value]) -> BTreeSet<String> {
    let ours = classes.iter().filter(|class| text(class, "/spec/controller") == ALB_CONTROLLER);
    ours.map(|class| text(class, "/metadata/name").to_owned()).chain(["alb".to_owned()]).collect()
}

/// Whether an Ingress is one of these classes, by its field or by the older annotation.
pub(crate) fn is_alb(ingress: &Value, classes: &BTreeSet<String>) -> bool {
    let class = text(ingress, "/spec/ingressClassName");
    let annotated = text(ingress, "/metadata/annotations/kubernetes.io~1ingress.class");
    classes.contains(class) || annotated == "alb"
}

fn is_nlb(service: &Value) -> bool {
    let annotated = text(service, "/metadata/annotations/service.beta.kubernetes.io~1aws-load-balancer-type");
    text(service, "/spec/type") == "LoadBalancer"
        && (text(service, "/spec/loadBalancerClass") == "service.k8s.aws/nlb"
            || matches!(annotated, "external" | "nlb-ip"))
}

fn volume(volume: &Value) -> Option<String> {
    (text(volume, "/spec/csi/driver") == EBS_DRIVER).then(|| {
        format!(
            "PersistentVolume/{} ({}, {}, {})",
            text(volume, "/metadata/name"),
            text(volume, "/spec/csi/volumeHandle"),
            text(volume, "/spec/capacity/storage"),
            text(volume, "/spec/persistentVolumeReclaimPolicy"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ingresses_are_told_by_class_and_annotation() {
        let classes = alb_classes(&[
            json!({"metadata": {"name": "public"}, "spec": {"controller": ALB_CONTROLLER}}),
            json!({"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}),
        ]);
        let with = |class: &str| is_alb(&json!({"spec": {"ingressClassName": class}}), &classes);
        assert!(with("alb") && with("public") && !with("nginx"));
        let annotated = |class: &str| {
            is_alb(&json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": class}}}), &classes)
        };
        assert!(annotated("alb") && !annotated("nginx"));
        assert!(!is_alb(&json!({"spec": {}}), &classes));
    }

    #[test]
    fn services_are_told_by_class_and_annotation() {
        let service = |kind: &str, class: Option<&str>, annotation: &str| {
            let annotations = json!({"service.beta.kubernetes.io/aws-load-balancer-type": annotation});
            is_nlb(
                &json!({"metadata": {"annotations": annotations}, "spec": {"type": kind, "loadBalancerClass": class}}),
            )
        };
        assert!(service("LoadBalancer", Some("service.k8s.aws/nlb"), ""));
        assert!(service("LoadBalancer", None, "external") && service("LoadBalancer", None, "nlb-ip"));
        assert!(!service("LoadBalancer", None, "nlb"), "the in-tree controller's");
        assert!(!service("ClusterIP", None, "external"));
    }

    #[test]
    fn volumes_are_told_by_driver() {
        let of = |driver: &str| {
            volume(&json!({"metadata": {"name": "pvc-1"}, "spec": {
                "csi": {"driver": driver, "volumeHandle": "vol-1"}, "capacity": {"storage": "4Gi"},
                "persistentVolumeReclaimPolicy": "Retain"}}))
        };
        assert_eq!(of(EBS_DRIVER).as_deref(), Some("PersistentVolume/pvc-1 (vol-1, 4Gi, Retain)"));
        assert_eq!(of("efs.csi.aws.com"), None);
    }
}
