//! The least policies: what `permissions` prints covers every call that runs make, on the resources that they make it on,
//! and can be printed before anything is allowed.

use std::collections::BTreeSet;

use eks_bootstrap::policy::{Document, MANAGED_POLICY_LIMIT, PARTITIONS};
use eks_bootstrap::sandbox::aws::Call;

use crate::support::{Aws, Lab, Run, program};

/// The policy that the program prints inside a sandbox.
pub(crate) async fn of(lab: &Lab, purpose: &str) -> Document {
    let printed = lab.run(&["permissions", "--for", purpose]).await.expect(0).stdout;
    lab.sandbox.simulator.clear_calls();
    Document::parse(&printed).unwrap()
}

/// All actions that a policy names.
pub(crate) fn actions(policy: &Document) -> BTreeSet<String> {
    policy.statements.iter().flat_map(|statement| statement.action.clone().unwrap_or_default()).collect()
}

/// The actions of `calls`; fails the test where one is not allowed on its resource. What AWS grants to everyone, to ask who
/// one is and to exchange a token, is left out.
pub(crate) fn covered(policy: &Document, calls: &[Call]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for call in calls.iter().filter(|call| call.service != "sts") {
        let service = if call.service == "tagging" { "tag" } else { call.service };
        let action = format!("{service}:{}", call.operation);
        let resource = resource(call);
        let allowed = policy.statements.iter().any(|statement| {
            let named = statement.action.iter().flatten().any(|named| *named == action);
            let on = statement.resource.iter().flatten().any(|pattern| fits(pattern, &resource));
            named && on
        });
        assert!(allowed, "{action} on {resource} is not allowed by {}", policy.to_pretty_json());
        used.insert(action);
    }
    used
}

/// The ARN that IAM checks a call against, from its parameters.
fn resource(call: &Call) -> String {
    let of = |name: &str| call.parameters.get(name).cloned();
    let iam = |kind: &str, name: String| format!("arn:aws:iam::111122223333:{kind}/{name}");
    if let Some(role) = of("RoleName") {
        return iam("role", role);
    }
    if let Some(url) = of("Url") {
        return iam("oidc-provider", url.trim_start_matches("https://").to_owned());
    }
    if let Some(name) = of("PolicyName") {
        return iam("policy", name);
    }
    if call.service == "eks" {
        return "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned();
    }
    of("PolicyArn")
        .or_else(|| of("PolicySourceArn"))
        .or_else(|| of("OpenIDConnectProviderArn"))
        .unwrap_or_else(|| "*".to_owned())
}

/// IAM's `*` within a resource.
fn fits(pattern: &str, resource: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            resource.len() >= start.len() + end.len() && resource.starts_with(start) && resource.ends_with(end)
        }
        None => pattern == resource,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_can_be_printed_before_anything_is_allowed() {
    let home = tempfile::tempdir().unwrap();
    let offline = |arguments: &[&str]| Run::from(program(arguments, home.path()).output().unwrap());
    let base = ["permissions", "-c", "demo", "-r", "eu-west-1", "--account", "111122223333"];
    let plan = offline(&[&base[..], &["--for", "plan"]].concat()).expect(0);
    insta::assert_snapshot!("permissions_for_plan", plan.stdout);
    let boundary = "arn:aws:iam::111122223333:policy/bound";
    let apply = offline(&[&base[..], &["--permissions-boundary", boundary]].concat()).expect(0);
    let policy = Document::parse(&apply.stdout).unwrap();
    let make = policy.statements.iter().find(|statement| statement.sid.as_deref() == Some("MakeRole")).unwrap();
    assert_eq!(make.condition["StringEquals"]["iam:PermissionsBoundary"], [boundary]);
    let named = "arn:aws:iam::111122223333:role/mine";
    let apply = offline(&[&base[..], &["--lbc-role-arn", named]].concat()).expect(0);
    let policy = Document::parse(&apply.stdout).unwrap();
    let rest = policy.statements.iter().find(|statement| statement.sid.as_deref() == Some("MakeRole")).unwrap();
    assert!(rest.resource.iter().flatten().all(|arn| arn.contains("ebs-csi")), "{}", apply.stdout);
    assert!(apply.stdout.contains(named), "{}", apply.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_in_the_cluster_can_be_printed_for_anyone() {
    let home = tempfile::tempdir().unwrap();
    let offline = |arguments: &[&str]| Run::from(program(arguments, home.path()).output().unwrap());
    let base =
        ["permissions", "--kubernetes", "-c", "demo", "-r", "cn-north-1", "--account", "111122223333", "--for", "plan"];
    let principal = "arn:aws-cn:iam::111122223333:role/ci/deployer";
    let named = offline(&[&base[..], &["--principal", principal, "--group", "platform:ci"]].concat()).expect(0);
    insta::assert_snapshot!("rights_for_plan", named.stdout);
    let unknown = offline(&base).expect(0);
    assert!(unknown.stdout.contains("the caller is not known: name it with --principal"), "{}", unknown.stdout);
    let disabled = offline(&[&base[..], &["--disable", "aws-load-balancer-controller"]].concat()).expect(0);
    assert!(!disabled.stdout.contains("load-balancer"), "{}", disabled.stdout);

    let aws = Aws::start(|_| {}).await;
    let caller = aws.run(&["permissions", "--kubernetes", "-c", "demo"], &[]).await.expect(0);
    let command = "#   aws eks create-access-entry --cluster-name demo --region eu-west-1 \
                   --principal-arn arn:aws:iam::111122223333:role/platform-admin --kubernetes-groups eks-bootstrap";
    assert!(caller.stdout.contains(command), "{}", caller.stdout);
    let user =
        Aws::start(|seed| seed.credentials[0].caller = Some("arn:aws:iam::111122223333:user/ops".to_owned())).await;
    let caller = user.run(&["permissions", "--kubernetes", "-c", "demo"], &[]).await.expect(0);
    assert!(caller.stdout.contains("--principal-arn arn:aws:iam::111122223333:user/ops "), "{}", caller.stdout);

    for (flags, message) in [
        (&["--kubernetes", "--group", "system:masters"][..], "EKS keeps names that begin with `system:`"),
        (&["--group", "mine"], "--group is about rights in the cluster"),
        (&["--principal", principal], "--principal is about rights in the cluster"),
        (&["--kubernetes", "--principal", "deployer"], "--principal"),
    ] {
        let plain = ["permissions", "-c", "demo", "-r", "eu-west-1", "--account", "111122223333"];
        let refused = offline(&[&plain[..], flags].concat()).expect(64);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_fits_into_one_of_iams() {
    let regions = [
        "eu-west-1",
        "cn-north-1",
        "us-gov-west-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    ];
    let home = tempfile::tempdir().unwrap();
    let cluster = "c".repeat(100);
    for (region, partition) in regions.iter().zip(PARTITIONS) {
        let boundary = format!("arn:{partition}:iam::111122223333:policy/bound");
        for purpose in ["plan", "apply", "verify", "destroy", "migrate"] {
            let base = ["permissions", "-c", &cluster, "-r", region, "--account", "111122223333", "--for", purpose];
            let arguments = [&base[..], &["--permissions-boundary", &boundary]].concat();
            let policy = Run::from(program(&arguments, home.path()).output().unwrap()).expect(0).stdout;
            let policy = Document::parse(&policy).unwrap();
            assert!(policy.minified_len() <= MANAGED_POLICY_LIMIT, "{region} {purpose}: {}", policy.minified_len());
            let foreign = policy.to_json().replace(&format!("arn:{partition}:"), "");
            assert!(!foreign.contains("arn:"), "{region} {purpose}: {foreign}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_asked_for_where_it_is_not_given() {
    let aws = Aws::start(|_| {}).await;
    let run = aws.run(&["permissions", "-c", "demo"], &[]).await.expect(0);
    assert!(run.stdout.contains("arn:aws:eks:eu-west-1:111122223333:cluster/demo"), "{}", run.stdout);
    assert_eq!(aws.simulator.calls().len(), 1);
}
