//! The drain against what may be found.

use super::*;
use crate::plan::Action;
use serde_json::json;

fn dependant(name: &str, going: bool, derived: bool) -> Dependant {
    Dependant {
        object: ObjectRef::new("networking.k8s.io/v1", "Ingress", "shop", name),
        uid: format!("uid-{name}"),
        stacks: [("ingress.k8s.aws/stack".to_owned(), format!("shop/{name}"))].into(),
        arns: BTreeSet::new(),
        derived,
        going,
        finalizers: vec!["ingress.k8s.aws/resources".to_owned()],
    }
}

fn thing(resource: &str, stack: &str) -> Thing {
    Thing {
        arn: format!("arn:aws:elasticloadbalancing:r:1:{resource}"),
        tags: [("ingress.k8s.aws/stack".to_owned(), stack.to_owned())].into(),
        used_by: Vec::new(),
    }
}

fn observed(dependants: Vec<Dependant>, in_aws: Vec<Thing>) -> Observed {
    Observed { dependants, in_aws, controller: Some(2), warnings: BTreeMap::new() }
}

#[test]
fn nothing_is_left_only_when_cluster_and_aws_show_none() {
    let action = |observed: Observed| diff(&observed).action;
    let balancer = || vec![thing("loadbalancer/app/a/0", "shop/a")];
    assert_eq!(action(observed(vec![], vec![])), Action::Keep);
    assert_eq!(action(observed(vec![], balancer())), Action::Unknown);
    assert_eq!(action(observed(vec![dependant("a", false, true)], vec![])), Action::Unknown);
    assert_eq!(action(observed(vec![dependant("a", false, false)], vec![])), Action::Delete);
    assert_eq!(action(observed(vec![dependant("a", true, false)], vec![])), Action::Delete);
    let alone = Observed { controller: None, ..observed(vec![dependant("a", false, false)], vec![]) };
    assert_eq!(action(alone), Action::Blocked);
    let mut free = dependant("a", false, false);
    free.finalizers.clear();
    assert_eq!(action(Observed { controller: None, ..observed(vec![free], vec![]) }), Action::Delete);
}

#[test]
fn what_goes_with_an_object_is_shown_with_it() {
    let mut shared = thing("security-group/sg-1", "");
    shared.tags = [("elbv2.k8s.aws/resource".to_owned(), "backend-sg".to_owned())].into();
    let found = observed(
        vec![dependant("a", false, false), dependant("b", false, false), dependant("a", false, true)],
        vec![thing("loadbalancer/app/a/0", "shop/a"), shared],
    );
    let assessment = diff(&found);
    assert_eq!(assessment.reason, "2 objects deleted, with 2 things in AWS");
    let fields: Vec<_> = assessment.changes.iter().map(|change| change.fields[0].before.clone().unwrap()).collect();
    assert_eq!(fields, ["loadbalancer/app/a/0", "security-group/sg-1"]);
}

#[test]
fn waiting_has_a_cause() {
    let warning = |time: &str, message: &str| {
        json!({"type": "Warning", "reason": "FailedDeployModel", "message": message, "lastTimestamp": time,
               "involvedObject": {"uid": "uid-a"}})
    };
    let events = [
        warning(
            "2026-01-01T00:00:09Z",
            "Failed deploy model due to operation error, api error AccessDenied: DeleteLoadBalancer",
        ),
        warning("2026-01-01T00:00:05Z", "older"),
        json!({"type": "Normal", "reason": "Fine", "involvedObject": {"uid": "uid-b"}}),
    ];
    let mut found = observed(
        vec![dependant("a", true, false), dependant("b", true, false)],
        vec![thing("loadbalancer/app/a/0", "shop/a"), thing("targetgroup/a/0", "shop/a")],
    );
    found.warnings = latest_warnings(&events);
    assert_eq!(
        diff(&found).reason,
        "Ingress/shop/a FailedDeployModel: AccessDenied: DeleteLoadBalancer; Ingress/shop/b waits for \
         ingress.k8s.aws/resources; AWS still shows loadbalancer/app/a/0 and 1 more"
    );
    found.controller = Some(0);
    assert!(diff(&found).reason.starts_with("no replica of the controller is ready; Ingress/shop/a "));
}
