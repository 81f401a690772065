//! How differences become calls, what stays, and what is refused.

use super::*;
use crate::owner::OUR_NAME;

const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";
const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/AB";
const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB";

pub(in crate::steps) fn our_tags() -> Tags {
    Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned()), (tags::CLUSTER.to_owned(), CLUSTER.to_owned())])
}

pub(in crate::steps) fn step() -> RoleStep {
    RoleStep {
        id: StepId::new("iam.role.lbc"),
        name: "r".to_owned(),
        arn: "arn:aws:iam::111122223333:role/r".to_owned(),
        path: "/".to_owned(),
        description: "d".to_owned(),
        permissions_boundary: None,
        tags: our_tags(),
        required_tag: None,
        statement: statement("aws-load-balancer-controller"),
        provider_arn: PROVIDER.to_owned(),
        issuer: ISSUER.to_owned(),
        subject: "system:serviceaccount:kube-system:aws-load-balancer-controller".to_owned(),
        identity: Identity::Irsa,
        pods: PodIdentityRequest {
            cluster_arn: CLUSTER.to_owned(),
            namespace: "kube-system".to_owned(),
            service_account: "aws-load-balancer-controller".to_owned(),
        },
        migrating: false,
        cluster_arn: CLUSTER.to_owned(),
        named_by_user: false,
        adopt: false,
        attached_by_us: Vec::new(),
        documented: Some("AmazonEKSLoadBalancerControllerRole"),
        setting: "--lbc-role-arn".to_owned(),
    }
}

fn statement(service_account: &str) -> Statement {
    policy::irsa_statement(PROVIDER, ISSUER, "kube-system", service_account)
}

pub(in crate::steps) fn role(trust: Document, tags: Tags) -> Role {
    Role {
        arn: "arn:aws:iam::111122223333:role/r".to_owned(),
        path: "/".to_owned(),
        trust,
        description: "d".to_owned(),
        permissions_boundary: None,
        max_session_seconds: None,
        tags,
    }
}

fn right() -> Document {
    Document::trust(statement("aws-load-balancer-controller"))
}

fn wrong() -> Document {
    Document::trust(statement("aws-lb"))
}

fn calls(assessment: &Assessment) -> Vec<String> {
    assessment.changes.iter().map(|change| change.op.call()).collect()
}

#[test]
fn differences_become_the_calls_that_mend_them() {
    let bounded = RoleStep { permissions_boundary: Some("arn:b".to_owned()), ..step() };
    let adopting = RoleStep { adopt: true, ..step() };
    let named = RoleStep { named_by_user: true, ..step() };
    let cases: [(RoleStep, Option<Role>, Action, &[&str]); 10] = [
        (step(), None, Action::Create, &["iam:CreateRole"]),
        (step(), Some(role(right(), our_tags())), Action::Keep, &[]),
        (step(), Some(role(wrong(), our_tags())), Action::Update, &["iam:UpdateAssumeRolePolicy"]),
        (
            step(),
            Some(Role { description: String::new(), ..role(right(), our_tags()) }),
            Action::Update,
            &["iam:UpdateRole"],
        ),
        (bounded, Some(role(right(), our_tags())), Action::Update, &["iam:PutRolePermissionsBoundary"]),
        (step(), Some(role(right(), Tags::new())), Action::Keep, &[]),
        (step(), Some(role(wrong(), Tags::new())), Action::Blocked, &[]),
        (adopting, Some(role(wrong(), Tags::new())), Action::Update, &["iam:UpdateAssumeRolePolicy", "iam:TagRole"]),
        (named.clone(), None, Action::Blocked, &[]),
        (named, Some(role(wrong(), Tags::new())), Action::Update, &["iam:UpdateAssumeRolePolicy"]),
    ];
    for (place, (step, observed, action, expected)) in cases.iter().enumerate() {
        let assessment = step.diff(observed.as_ref(), &BTreeSet::new(), 2048);
        assert_eq!(assessment.action, *action, "case {place}: {assessment:?}");
        assert_eq!(calls(&assessment), *expected, "case {place}");
    }
}

#[test]
fn statements_of_others_stay() {
    let foreign = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
    let assessment = step().diff(Some(&role(Document::parse(foreign).unwrap(), our_tags())), &BTreeSet::new(), 2048);
    let Op::Iam(IamOp::UpdateAssumeRolePolicy { trust, .. }) = &assessment.changes[0].op else {
        panic!("{assessment:?}")
    };
    assert!(trust.contains("ec2.amazonaws.com") && trust.contains("aws-load-balancer-controller"), "{trust}");
}

#[test]
fn a_role_under_another_path_cannot_be_moved() {
    let moved = Role { path: "/other/".to_owned(), ..role(right(), our_tags()) };
    let assessment = step().diff(Some(&moved), &BTreeSet::new(), 2048);
    assert_eq!(assessment.action, Action::Blocked);
    assert_eq!(assessment.mend.as_deref(), Some("--iam-path /other/"));
}

/// A trust policy that other clusters use.
fn of_clusters(count: usize) -> Document {
    let statements = (0..count).map(|number| {
        let issuer = format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{number:032}");
        let provider =
            format!("arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/{number:032}");
        policy::irsa_statement(&provider, &issuer, "kube-system", "aws-load-balancer-controller")
    });
    let statements = statements
        .enumerate()
        .map(|(place, statement)| Statement { sid: Some(format!("Cluster{place}")), ..statement });
    let mut trust = wrong();
    trust.statements = statements.collect();
    trust
}

#[test]
fn a_shared_role_says_so_and_is_not_filled_beyond_the_limit() {
    let named = RoleStep { named_by_user: true, ..step() };
    let extended = named.diff(Some(&role(of_clusters(3), Tags::new())), &BTreeSet::new(), 2048);
    assert_eq!(calls(&extended), ["iam:UpdateAssumeRolePolicy"]);
    assert!(extended.reason.ends_with("; 3 other clusters use it too"), "{}", extended.reason);
    let full = named.diff(Some(&role(of_clusters(6), Tags::new())), &BTreeSet::new(), 2048);
    assert_eq!((full.action, full.changes.len()), (Action::Blocked, 0), "{full:?}");
    assert!(full.reason.contains("characters, IAM takes 2048; 6 other clusters"), "{}", full.reason);
    assert!(full.mend.unwrap().contains("--lbc-role-arn"));
    assert_eq!(named.diff(Some(&role(of_clusters(6), Tags::new())), &BTreeSet::new(), 4096).action, Action::Update);
}

#[test]
fn a_named_role_must_carry_the_tag_that_its_policy_compares_with() {
    let tag = ("eks-cluster-name".to_owned(), "demo".to_owned());
    let named = RoleStep { named_by_user: true, required_tag: Some(tag.clone()), ..step() };
    let untagged = named.diff(Some(&role(right(), Tags::new())), &BTreeSet::new(), 2048);
    assert_eq!(untagged.action, Action::Blocked);
    assert_eq!(untagged.mend.as_deref(), Some("aws iam tag-role --role-name r --tags Key=eks-cluster-name,Value=demo"));
    assert_eq!(named.diff(Some(&role(right(), Tags::from([tag]))), &BTreeSet::new(), 2048).action, Action::Keep);
}
