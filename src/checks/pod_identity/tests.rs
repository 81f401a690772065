//! What each link that is wrong is called.

use super::*;
use crate::component::LOAD_BALANCER_CONTROLLER;
use crate::policy::Document;
use serde_json::json;

fn wanted() -> Wanted<'static> {
    Wanted {
        component: &LOAD_BALANCER_CONTROLLER,
        request: PodIdentityRequest {
            cluster_arn: "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned(),
            namespace: "kube-system".to_owned(),
            service_account: "aws-load-balancer-controller".to_owned(),
        },
        role_arn: "arn:r".to_owned(),
    }
}

fn role(trust: Document) -> Role {
    Role {
        arn: "arn:r".to_owned(),
        path: "/".to_owned(),
        trust,
        description: String::new(),
        permissions_boundary: None,
        tags: crate::op::iam::Tags::new(),
    }
}

fn association(role_arn: &str, untagged_session: bool) -> AssociationDetail {
    AssociationDetail {
        id: "a-1".to_owned(),
        arn: String::new(),
        role_arn: role_arn.to_owned(),
        tags: crate::op::iam::Tags::new(),
        addon_arn: None,
        untagged_session,
    }
}

#[test]
fn each_link_is_judged() {
    let pod = |node: &str, variable: &str| {
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": node, "containers": [
            {"name": "c", "env": [{"name": variable, "value": "x"}]}]}})
    };
    let right = pod("n1", pods::CONTAINER_CREDENTIALS);
    let open = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],
        "Principal":{"Service":"pods.eks.amazonaws.com"}}]}"#;
    let open = || Document::parse(open).unwrap();
    let ours = || Document::trust(wanted().request.statement());
    let with = |trust: Document| Ok(Some(role(trust)));
    let account = |annotations: Value| Ok(Some(json!({"metadata": {"annotations": annotations}})));
    let running = |pod: &Value| Ok(Some(vec![pod.clone()]));
    let agents = |nodes: &[&str]| Ok(Some(nodes.iter().map(|node| (*node).to_owned()).collect()));
    let (w, bad, weak) = (wanted(), Some(Severity::Error), Some(Severity::Warning));
    let cases = [
        ("agent", w.agent(&agents(&["n1"]), &running(&right), false), None),
        ("no agent", w.agent(&Ok(None), &running(&right), false), bad),
        ("auto mode", w.agent(&Ok(None), &running(&right), true), None),
        ("agent elsewhere", w.agent(&agents(&["n2"]), &running(&right), false), bad),
        ("association", w.associated(&Ok(Some(association("arn:r", false)))), None),
        ("another role", w.associated(&Ok(Some(association("arn:x", false)))), bad),
        ("no tags", w.associated(&Ok(Some(association("arn:r", true)))), bad),
        ("no association", w.associated(&Ok(None)), bad),
        ("trust", w.trusted(&with(ours())), None),
        ("open trust", w.trusted(&with(open())), None),
        ("no trust", w.trusted(&with(Document { statements: Vec::new(), ..open() })), bad),
        ("narrow", w.narrow(&with(ours())), None),
        ("broad", w.narrow(&with(open())), weak),
        ("carried", w.carried(&running(&right)), None),
        ("not carried", w.carried(&running(&pod("n1", "AWS_REGION"))), bad),
        ("bare", w.bare(&account(json!({}))), None),
        ("annotated", w.bare(&account(json!({ROLE_ANNOTATION: "arn:old"}))), bad),
    ];
    for (name, finding, severity) in cases {
        assert_eq!(finding.severity(), severity, "{name}: {finding:?}");
    }
}
