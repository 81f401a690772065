//! What each link that is wrong is called.

use super::agent::Agents;
use super::*;
use crate::component::LOAD_BALANCER_CONTROLLER;
use crate::policy::Document;
use crate::read::eks::Addon;
use crate::read::iam::Role;
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
        max_session_seconds: None,
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
    let agents =
        |nodes: &[&str]| Ok(Agents { nodes: Some(nodes.iter().map(|node| (*node).to_owned()).collect()), addon: None });
    let of_eks = |status: &str| {
        let addon = Some(Addon { status: status.to_owned(), ..Addon::default() });
        Ok(Agents { addon, nodes: Some(vec!["n1".to_owned()]) })
    };
    let (w, bad, weak) = (wanted(), Some(Severity::Error), Some(Severity::Warning));
    let cases = [
        ("agent", w.agent(&agents(&["n1"]), &running(&right), false), None),
        ("no agent", w.agent(&Ok(Agents::default()), &running(&right), false), bad),
        ("auto mode", w.agent(&Ok(Agents::default()), &running(&right), true), None),
        ("agent elsewhere", w.agent(&agents(&["n2"]), &running(&right), false), bad),
        ("agent of EKS", w.agent(&of_eks("ACTIVE"), &running(&right), false), None),
        ("degraded agent", w.agent(&of_eks("DEGRADED"), &running(&right), false), weak),
        ("failed agent", w.agent(&of_eks("CREATE_FAILED"), &running(&right), false), bad),
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

#[test]
fn an_open_statement_of_others_is_taken_out_by_hand() {
    let mend = |sid: &str| {
        let open = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"{sid}","Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],
            "Principal":{{"Service":"pods.eks.amazonaws.com"}}}}]}}"#
        );
        match wanted().narrow(&Ok(Some(role(Document::parse(&open).unwrap())))).verdict {
            crate::check::Verdict::Failed { mend, .. } => mend,
            other => panic!("{other:?}"),
        }
    };
    let ours = wanted().request.statement().sid.unwrap();
    assert_eq!(mend(&ours), "eks-bootstrap apply --only iam.role.lbc --identity lbc=pod-identity");
    let theirs = mend("Theirs");
    assert!(
        theirs.starts_with("aws iam update-assume-role-policy --role-name") && !theirs.contains("Theirs"),
        "{theirs}"
    );
    assert!(theirs.contains(&ours), "{theirs}");
}
