//! Single objects and what they depend on.

use super::*;
use serde_json::json;

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
    assert!(!service("LoadBalancer", Some("tailscale"), "external"), "the class comes first");
}

#[test]
fn gateways_are_told_by_the_controller_of_their_class() {
    let class =
        |name: &str, controller: &str| json!({"metadata": {"name": name}, "spec": {"controllerName": controller}});
    let classes =
        [class("alb", "gateway.k8s.aws/alb"), class("nlb", "gateway.k8s.aws/nlb"), class("mesh", "istio.io/gateway")];
    let known = gateway_controllers(&classes);
    assert_eq!(known, ["alb", "nlb"].into());
}

#[test]
fn volumes_are_told_by_driver() {
    let of = |driver: &str| {
        volume(&json!({"metadata": {"name": "pvc-1"}, "spec": {
            "csi": {"driver": driver, "volumeHandle": "vol-1"}, "capacity": {"storage": "4Gi"},
            "persistentVolumeReclaimPolicy": "Retain"}}))
    };
    assert_eq!(of(EBS_DRIVER).unwrap().shown, "PersistentVolume/pvc-1 (vol-1, 4Gi, Retain)");
    let elsewhere = of("ebs.csi.eks.amazonaws.com").unwrap();
    assert!(of(EBS_DRIVER).unwrap().driven && !elsewhere.driven, "Auto Mode's are explained too");
    let in_tree =
        json!({"metadata": {"name": "old"}, "spec": {"awsElasticBlockStore": {"volumeID": "aws://eu-west-1a/vol-2"}}});
    let in_tree = volume(&in_tree).unwrap();
    assert_eq!((in_tree.id.as_str(), in_tree.driven), ("vol-2", true));
    let files = json!({"spec": {"csi": {"driver": "efs.csi.aws.com", "volumeHandle": "fs-1"}}});
    assert_eq!(volume(&files), None);
}

#[test]
fn a_group_is_known_by_annotation_and_by_the_finalizer_of_one_that_leaves_it() {
    let ingress = json!({"metadata": {"namespace": "shop", "name": "web", "finalizers": ["group.ingress.k8s.aws/old"],
        "annotations": {"alb.ingress.kubernetes.io/group.name": "edge"}}});
    let stacks: Vec<_> =
        of_ingress(&ingress, &AlbClasses::default()).stacks.into_iter().map(|(_, stack)| stack).collect();
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

#[test]
fn a_group_of_the_parameters_of_a_class_explains_what_is_made_for_it() {
    let class = json!({"metadata": {"name": "public"}, "spec": {"controller": ALB_CONTROLLER,
        "parameters": {"name": "shared"}}});
    let parameters = json!({"metadata": {"name": "shared"}, "spec": {"group": {"name": "edge"}}});
    let classes = AlbClasses::new(&[class], &[parameters]);
    let ingress = json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"ingressClassName": "public"}});
    let stacks: Vec<_> = of_ingress(&ingress, &classes).stacks.into_iter().map(|(_, stack)| stack).collect();
    assert_eq!(stacks, ["edge", "shop/web"]);
}

#[test]
fn finalizers_tell_what_the_controller_works_for_whatever_the_class_says() {
    let held = |finalizer: &str, beginnings: &[&str]| {
        let object = json!({"metadata": {"namespace": "a", "name": "b", "finalizers": [finalizer]}});
        of("v1", "Service", &object, &[]).held_by(beginnings)
    };
    assert!(held("service.k8s.aws/resources", &[SERVICE_FINALIZER]));
    assert!(held("group.ingress.k8s.aws/edge", &[INGRESS_FINALIZER, GROUP_FINALIZER]));
    assert!(!held("service.kubernetes.io/load-balancer-cleanup", &[SERVICE_FINALIZER]));
}
