//! Single objects and what they depend on.

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
    let annotated =
        |class: &str| is_alb(&json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": class}}}), &classes);
    assert!(annotated("alb") && !annotated("nginx"));
    assert!(!is_alb(&json!({"spec": {}}), &classes));
}

#[test]
fn services_are_told_by_class_and_annotation() {
    let service = |kind: &str, class: Option<&str>, annotation: &str| {
        let annotations = json!({"service.beta.kubernetes.io/aws-load-balancer-type": annotation});
        is_nlb(&json!({"metadata": {"annotations": annotations}, "spec": {"type": kind, "loadBalancerClass": class}}))
    };
    assert!(service("LoadBalancer", Some("service.k8s.aws/nlb"), ""));
    assert!(service("LoadBalancer", None, "external") && service("LoadBalancer", None, "nlb-ip"));
    assert!(!service("LoadBalancer", None, "nlb"), "the in-tree controller's");
    assert!(!service("ClusterIP", None, "external"));
}

#[test]
fn gateways_are_told_by_the_controller_of_their_class() {
    let class =
        |name: &str, controller: &str| json!({"metadata": {"name": name}, "spec": {"controllerName": controller}});
    let classes =
        [class("alb", "gateway.k8s.aws/alb"), class("nlb", "gateway.k8s.aws/nlb"), class("mesh", "istio.io/gateway")];
    let known = gateway_controllers(&classes);
    assert_eq!(known, [("alb", "gateway.k8s.aws.alb"), ("nlb", "gateway.k8s.aws.nlb")].into());
}

#[test]
fn volumes_are_told_by_driver() {
    let of = |driver: &str| {
        volume(&json!({"metadata": {"name": "pvc-1"}, "spec": {
            "csi": {"driver": driver, "volumeHandle": "vol-1"}, "capacity": {"storage": "4Gi"},
            "persistentVolumeReclaimPolicy": "Retain"}}))
    };
    assert_eq!(of(EBS_DRIVER).unwrap().shown, "PersistentVolume/pvc-1 (vol-1, 4Gi, Retain)");
    assert_eq!(of("efs.csi.aws.com"), None);
}

#[test]
fn a_group_is_known_by_annotation_and_by_the_finalizer_of_one_that_leaves_it() {
    let ingress = json!({"metadata": {"namespace": "shop", "name": "web", "finalizers": ["group.ingress.k8s.aws/old"],
        "annotations": {"alb.ingress.kubernetes.io/group.name": "edge"}}});
    let stacks: Vec<_> = of_ingress(&ingress).stacks.into_iter().map(|(_, stack)| stack).collect();
    assert_eq!(stacks, ["edge", "old", "shop/web"]);
}

#[test]
fn bindings_of_the_controller_go_with_what_they_were_made_for() {
    let stacks = BTreeSet::from([("ingress.k8s.aws/stack".to_owned(), "shop/web".to_owned())]);
    let derived = |labels: Value| of_binding(&json!({"metadata": {"labels": labels}}), &stacks).derived;
    assert!(derived(json!({"ingress.k8s.aws/stack-namespace": "shop", "ingress.k8s.aws/stack-name": "web"})));
    assert!(!derived(json!({"ingress.k8s.aws/stack-namespace": "shop", "ingress.k8s.aws/stack-name": "gone"})));
    assert!(!derived(json!({"ingress.k8s.aws/stack": "edge"})));
    assert!(!derived(json!({})), "a user's own");
}
