//! The EBS CSI driver's policy on the nodes' roles: only on request, remembered by tags, and gone when it is not wanted any
//! more. What others attached is used and stays.

use crate::support::HelmMajor;
use eks_bootstrap::policy::Document;
use eks_bootstrap::sandbox::aws::{At, Effect, Fault, Seed};
use serde_json::{Value, json};

use crate::drift::Drift;
use crate::permissions_enforced::iam;
use crate::support::{Aws, Lab, Run, helm, of_aws};

const V2: &str = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";
const STEP: &str = "iam.node-role.ebs";
/// Drift -> the step that writes, with its call.
pub(crate) const DRIFT: Drift = ("policy taken off a node role", &[(STEP, &["iam:AttachRolePolicy"])]);
/// Self-managed nodes, which no node group names; someone else has attached the policy there already.
const OWN_NODES: &str = "own-nodes";

fn world(seed: &mut Seed) {
    let more: Seed = serde_saphyr::from_str(&format!(
        "account: \"111122223333\"\nregion: eu-west-1\nroles:\n- name: {OWN_NODES}\n  attached: [\"{V2}\"]\n  tags: {{team: b}}\n  \
         trust: {{Version: \"2012-10-17\", Statement: [{{Effect: Allow, Principal: {{Service: ec2.amazonaws.com}}, Action: \"sts:AssumeRole\"}}]}}\n"
    ))
    .unwrap();
    seed.roles.extend(more.roles);
}

/// A command on the steps of AWS.
fn command(words: &[&'static str]) -> Vec<&'static str> {
    let steps = ["--only", STEP, "-c", "demo"];
    of_aws(words).into_iter().chain(steps).collect()
}

const WANTED: [&str; 3] = ["--attach-node-role", "--node-role", OWN_NODES];

async fn run(aws: &Aws, words: &[&'static str], more: &[&'static str]) -> Run {
    aws.run(&[&command(words)[..], more].concat(), &[]).await
}

fn step(plan: &Value) -> Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == STEP).cloned().unwrap()
}

/// AWS denies one write.
fn refused(number: u64) -> Fault {
    let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "no".to_owned() };
    Fault::once(At::Write(number), denied)
}

/// The roles, without those that the program makes.
fn others(aws: &Aws) -> Value {
    let mut roles = aws.simulator.snapshot()["roles"].clone();
    roles.as_object_mut().unwrap().retain(|name, _| !name.starts_with("demo-aws-"));
    roles
}

fn attached(aws: &Aws, role: &str) -> bool {
    aws.simulator.snapshot()["roles"][role]["attached"].to_string().contains(V2)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_comes_on_request_and_goes_with_it() {
    let aws = Aws::start(world).await;
    let before = others(&aws);
    let plan = run(&aws, &["plan", "-o", "json"], &[]).await.expect(0).json();
    assert_eq!(step(&plan)["action"], "skip", "{plan:#}");
    run(&aws, &["apply", "--yes"], &[]).await.expect(0);
    assert_eq!(others(&aws), before, "nobody asked for it");

    let plan = run(&aws, &["plan", "-o", "json", "--detailed-exitcode"], &WANTED).await.expect(2).json();
    let found = step(&plan);
    let reason = found["reason"].as_str().unwrap();
    assert!(reason.ends_with("demo-nodes-system, demo-nodes-workers: every pod on these nodes can use it"), "{reason}");
    assert!(plan["diagnostics"].to_string().contains("AWS advises against it"), "{plan:#}");
    run(&aws, &["apply", "--yes"], &WANTED).await.expect(0);
    for role in ["demo-nodes-system", "demo-nodes-workers"] {
        assert!(attached(&aws, role), "{role}");
    }
    let text = run(&aws, &["plan", "--detailed-exitcode"], &WANTED).await.expect(0).stdout;
    assert!(text.contains("on own-nodes by someone else, so it stays there"), "{text}");
    aws.simulator.clear_calls();
    run(&aws, &["apply", "--yes"], &WANTED).await.expect(0);
    assert_eq!(aws.writes(), Vec::<String>::new());

    // An attachment is taken away by hand.
    let iam = iam(&aws.simulator);
    iam.detach_role_policy().role_name("demo-nodes-system").policy_arn(V2).send().await.unwrap();
    let plan = run(&aws, &["plan", "-o", "json", "--detailed-exitcode"], &WANTED).await.expect(2).json();
    assert_eq!(step(&plan)["calls"], json!(DRIFT.1[0].1));
    run(&aws, &["apply", "--yes"], &WANTED).await.expect(0);
    run(&aws, &["plan", "--detailed-exitcode"], &WANTED).await.expect(0);

    // The flag is gone: what is ours goes, what is theirs stays.
    let plan = run(&aws, &["plan", "-o", "json", "--detailed-exitcode"], &[]).await.expect(2).json();
    assert_eq!(step(&plan)["action"], "delete", "{plan:#}");
    run(&aws, &["apply", "--yes"], &[]).await.expect(0);
    assert_eq!(others(&aws), before);
    assert!(attached(&aws, OWN_NODES));
    run(&aws, &["plan", "--detailed-exitcode"], &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn destroy_takes_it_off_with_and_without_the_flag() {
    let mut seed = Seed::builtin();
    world(&mut seed);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let simulator = &lab.sandbox.simulator;
    let before = simulator.snapshot()["roles"].clone();
    for wanted in [&WANTED[..], &[]] {
        lab.run(&[&["apply", "--yes"], &WANTED[..]].concat()).await.expect(0);
        assert!(simulator.snapshot()["roles"]["demo-nodes-system"].to_string().contains(V2));
        let printed = lab.run(&[&["permissions", "--for", "destroy"], &WANTED[..]].concat()).await.expect(0).stdout;
        simulator.set_caller_policy(Some(Document::parse(&printed).unwrap()));
        lab.run(&[&["destroy", "--confirm", "demo"], wanted].concat()).await.expect(0);
        simulator.set_caller_policy(None);
        assert_eq!(simulator.snapshot()["roles"], before);
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_two_clusters_use_keeps_the_policy_for_the_other() {
    let two = |seed: &mut Seed| {
        let mut other = seed.clusters[0].clone();
        other.name = "other".to_owned();
        seed.clusters.push(other);
    };
    let aws = Aws::start(two).await;
    let unrelated = include_str!("../fixtures/unrelated-ca.pem");
    aws.simulator.set_cluster_endpoint("other", "https://127.0.0.1:9", unrelated);
    let apply = async |cluster: &'static str, more: &[&'static str]| {
        let words = [&of_aws(&["apply", "--yes", "--only", STEP]), &["-c", cluster][..], more].concat();
        aws.run(&words, &[]).await.expect(0);
    };
    apply("demo", &["--attach-node-role"]).await;
    apply("other", &["--attach-node-role"]).await;
    apply("demo", &[]).await;
    assert!(attached(&aws, "demo-nodes-system"), "the other cluster's");
    apply("other", &[]).await;
    assert!(!attached(&aws, "demo-nodes-system"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_interruption_is_taken_up_again() {
    for number in 1..=6 {
        let aws = Aws::start(world).await;
        run(&aws, &["apply", "--yes"], &[]).await.expect(0);
        let before = others(&aws);
        aws.simulator.clear_calls();
        aws.simulator.inject(refused(number));
        run(&aws, &["apply", "--yes"], &WANTED).await;
        run(&aws, &["apply", "--yes"], &WANTED).await.expect(0);
        run(&aws, &["plan", "--detailed-exitcode"], &WANTED).await.expect(0);
        aws.simulator.clear_calls();
        aws.simulator.inject(refused(number));
        run(&aws, &["apply", "--yes"], &[]).await;
        run(&aws, &["apply", "--yes"], &[]).await.expect(0);
        assert_eq!(others(&aws), before, "write {number} refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_policy_is_enough() {
    let aws = Aws::start(world).await;
    for (purpose, words) in [("plan", &["plan"][..]), ("apply", &["apply", "--yes"])] {
        aws.simulator.set_caller_policy(None);
        let printed = [&["permissions", "-c", "demo", "--for", purpose][..], &WANTED].concat();
        let printed = aws.run(&printed, &[]).await.expect(0).stdout;
        aws.simulator.set_caller_policy(Some(Document::parse(&printed).unwrap()));
        run(&aws, words, &WANTED).await.expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_cannot_be_used_are_refused() {
    let aws = Aws::start(|_| {}).await;
    let plan = async |role: &'static str| {
        let words = ["apply", "--yes", "-c", "demo", "--only", STEP, "--attach-node-role", "--node-role", role];
        aws.run(&words, &[]).await
    };
    let missing = plan("nobody").await.expect(4).stderr;
    assert!(missing.contains("the node role nobody does not exist"), "{missing}");
    let foreign = plan("arn:aws:iam::999988887777:role/nodes").await.expect(64).stderr;
    assert!(foreign.contains("it is of account 999988887777, and the cluster of 111122223333"), "{foreign}");
    assert_eq!(aws.writes(), Vec::<String>::new());
}
