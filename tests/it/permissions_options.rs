//! Every option under what `permissions` prints for it: plan, apply, verify and destroy get along with the printed policy and
//! the printed rights in the cluster, whatever the configuration asks for.

use eks_bootstrap::sandbox::aws::{Seed, SeedPolicy, SeedRole};
use serde_json::json;

use crate::permissions_kubernetes::Rights;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ONLY_EBS: [&str; 2] = ["--disable", "aws-load-balancer-controller"];
const ONLY_LBC: [&str; 2] = ["--disable", "aws-ebs-csi-driver"];

/// A name for people, and the flags.
type Options = (&'static str, &'static [&'static [&'static str]]);

/// What belongs to the load balancer controller, or to both.
const FIRST: [Options; 7] = [
    ("metrics-server and the StorageClass", &[&["--enable", "metrics-server", "--enable", "gp3-storage-class"]]),
    (
        "boundary, path, prefix and tags",
        &[
            &["--permissions-boundary", "arn:aws:iam::111122223333:policy/bound", "--iam-path", "/platform/"],
            &["--name-prefix", "p-", "--tag", "team=a", "--tag", "cost/centre=b"],
        ],
    ),
    ("a narrow policy", &[&["--lbc-policy", "scoped"], &ONLY_LBC]),
    ("only bindings", &[&["--lbc-policy", "target-group-binding-only", "--isolated"], &ONLY_LBC]),
    ("a role that exists", &[&["--lbc-role-arn", "arn:aws:iam::111122223333:role/mine"], &ONLY_LBC]),
    ("a policy that exists", &[&["--lbc-policy-arn", "arn:aws:iam::111122223333:policy/bound"], &ONLY_LBC]),
    ("Pod Identity for one", &[&["--identity", "lbc=pod-identity"]]),
];

/// What belongs to the EBS CSI driver.
const SECOND: [Options; 6] = [
    ("keys and the older policy", &[&["--kms-key", KEY, "--ebs-policy", "v1"], &ONLY_EBS]),
    ("the cluster's volumes only", &[&["--ebs-policy", "cluster-scoped"], &ONLY_EBS]),
    (
        "a policy that exists, by Pod Identity",
        &[&["--ebs-policy-arn", "arn:aws:iam::111122223333:policy/bound", "--identity", "pod-identity"], &ONLY_EBS],
    ),
    ("the add-on", &[&["--ebs-managed-by", "eks-addon", "--kms-key", KEY, "--enable", "gp3-storage-class"], &ONLY_EBS]),
    ("the add-on by Pod Identity", &[&["--ebs-managed-by", "eks-addon", "--identity", "pod-identity"], &ONLY_EBS]),
    ("node roles", &[&["--attach-node-role", "--ebs-policy", "v2"], &ONLY_EBS]),
];

/// A policy and a role that exist before.
fn world(seed: &mut Seed) {
    let document = |mut statement: serde_json::Value| {
        statement["Effect"] = json!("Allow");
        json!({"Version": "2012-10-17", "Statement": [statement]})
    };
    let everything = document(json!({"Action": "*", "Resource": "*"}));
    let policy: SeedPolicy = serde_json::from_value(json!({"name": "bound", "documents": [everything]})).unwrap();
    let trust = document(json!({"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}));
    let role: SeedRole = serde_json::from_value(json!({"name": "mine", "trust": trust})).unwrap();
    seed.policies.push(policy);
    seed.roles.push(role);
}

/// What somebody edited is seen with the rights of a plan, which hold no verb that writes, and fixed with those of an apply.
async fn edits(rights: &Rights, flags: &[&str]) {
    for drift in [
        "controller scaled to nothing",
        "container added to the controller",
        "foreign image in the driver's controller",
    ] {
        crate::drift_content::break_by(&rights.lab, drift).await;
    }
    for (purpose, command, code) in
        [("plan", &["plan", "--detailed-exitcode"][..], 2), ("apply", &["apply", "--yes"], 0)]
    {
        let printed = rights.printed(purpose, flags).await;
        let run = rights.run(&printed, &[command, flags].concat()).await;
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(run.code == code && !told.contains("forbidden"), "{command:?}: {told}");
    }
}

async fn each(all: &[Options]) {
    let rights = Rights::start(world).await;
    let before = rights.lab.sandbox.simulator.snapshot();
    for (name, flags) in all {
        let flags = flags.concat();
        for (purpose, command, code) in [
            ("plan", &["plan", "--detailed-exitcode"][..], 2),
            ("apply", &["apply", "--yes"], 0),
            ("plan", &["plan", "--detailed-exitcode"], 0),
            ("verify", &["verify", "--wait", "60s"], 0),
            ("destroy", &["destroy", "--confirm", "demo"], 0),
        ] {
            let printed = rights.printed(purpose, &flags).await;
            let run = rights.run(&printed, &[command, &flags].concat()).await;
            assert_eq!(run.code, code, "{name}: {command:?}\n{}\n{}", run.stdout, run.stderr);
            let told = format!("{}{}", run.stdout, run.stderr);
            for unread in
                ["not readable", "could not be looked at", "left in AWS: not known", "AccessDenied", "forbidden"]
            {
                assert!(!told.contains(unread), "{name}: {command:?}: {told}");
            }
            if purpose == "apply" && *name == FIRST[0].0 {
                edits(&rights, &flags).await;
            }
        }
        assert_eq!(rights.lab.sandbox.simulator.snapshot(), before, "{name}");
    }
    rights.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_controller_get_along_with_what_is_printed() {
    each(&FIRST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_driver_get_along_with_what_is_printed() {
    each(&SECOND).await;
}
