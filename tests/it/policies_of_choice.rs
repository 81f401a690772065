//! What a component's role may do, by choice: narrower policies, AWS' policies for the EBS CSI driver, keys, and policies that
//! exist. Each is applied, the second plan is empty, another choice swaps what is attached, and `destroy` leaves the world of
//! before.

use std::collections::BTreeSet;

use eks_bootstrap::read::kube::ObjectRef;
use serde_json::{Value, json};

use crate::drift::Drift;
use crate::permissions;
use crate::support::{Lab, Run};

const LBC: &str = "aws-load-balancer-controller";
const EBS: &str = "aws-ebs-csi-driver";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// Drift -> the steps that write, each with its calls.
pub(crate) const DRIFTS: [Drift; 3] = [
    ("another of our policies in place of the chosen one", &[("iam.policy.lbc", &["iam:SetDefaultPolicyVersion"])]),
    ("tag that the policy compares with removed from the role", &[("iam.role.ebs", &["iam:TagRole"])]),
    ("a second policy of AWS beside the chosen one", &[("iam.attachment.ebs", &["iam:DetachRolePolicy"])]),
];
const VOLUMES: &str = "/api/v1/persistentvolumes";

async fn with(lab: &Lab, words: &[&str], choice: &[&str]) -> Run {
    lab.run(&[words, choice].concat()).await
}

/// The step of a row does what the row says.
fn is_mended(plan: &Value, row: &Drift) {
    let [(id, calls)] = row.1 else { panic!("{row:?}") };
    assert_eq!(step(plan, id)["calls"], json!(calls), "{}", row.0);
}

/// Applies with only what `permissions` prints for it; afterwards the plan is empty and `verify` finds nothing.
async fn applied(lab: &Lab, choice: &[&str]) -> Value {
    let plan = with(lab, &["plan", "-o", "json"], choice).await.expect(0).json();
    let printed = with(lab, &["permissions", "--for", "apply"], choice).await.expect(0).stdout;
    let policy = eks_bootstrap::policy::Document::parse(&printed).unwrap();
    lab.sandbox.simulator.set_caller_policy(Some(policy));
    let run = with(lab, &["apply", "--yes"], choice).await;
    lab.sandbox.simulator.set_caller_policy(None);
    run.expect(0);
    let after = with(lab, &["plan", "--detailed-exitcode"], choice).await.expect(0);
    assert!(after.stdout.contains("nothing to do") || after.stdout.contains("unchanged"), "{}", after.stdout);
    with(lab, &["verify", "--wait", "60s"], choice).await.expect(0);
    plan
}

async fn destroyed(lab: &Lab, choice: &[&str], before: &Value) {
    let printed = with(lab, &["permissions", "--for", "destroy"], choice).await.expect(0).stdout;
    let policy = eks_bootstrap::policy::Document::parse(&printed).unwrap();
    lab.sandbox.simulator.set_caller_policy(Some(policy));
    let run = with(lab, &["destroy", "--confirm", "demo"], choice).await;
    lab.sandbox.simulator.set_caller_policy(None);
    let run = run.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
    assert_eq!(lab.sandbox.simulator.snapshot(), *before);
}

fn step(plan: &Value, id: &str) -> Value {
    let found = plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id);
    found.unwrap_or_else(|| panic!("no {id}: {plan:#}")).clone()
}

/// The name of the role of ours with this component in it.
async fn role(lab: &Lab, component: &str) -> String {
    let roles = lab.iam().await.list_roles().send().await.unwrap();
    let ours = roles.roles().iter().map(|role| role.role_name().to_owned());
    ours.into_iter().find(|name| name.contains(component)).unwrap()
}

/// The names of what is attached to a role.
async fn attached(lab: &Lab, role: &str) -> BTreeSet<String> {
    let attached = lab.iam().await.list_attached_role_policies().role_name(role).send().await.unwrap();
    attached.attached_policies().iter().filter_map(|policy| policy.policy_name().map(ToOwned::to_owned)).collect()
}

/// The document in force of a policy of the account.
async fn document(lab: &Lab, named: &str) -> String {
    let iam = lab.iam().await;
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    let policy = policies.policies().iter().find(|policy| policy.policy_name().unwrap().contains(named)).unwrap();
    let version = iam.get_policy_version().policy_arn(policy.arn().unwrap());
    let version = version.version_id(policy.default_version_id().unwrap()).send().await.unwrap();
    let document = version.policy_version().unwrap().document().unwrap().to_owned();
    percent_encoding::percent_decode_str(&document).decode_utf8().unwrap().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_policy_is_narrowed_and_widened() {
    let lab = Lab::start().await;
    let before = lab.sandbox.simulator.snapshot();
    let scoped = ["--lbc-policy", "scoped"];
    let plan = applied(&lab, &scoped).await;
    assert_eq!(step(&plan, "iam.policy.lbc")["action"], "create");
    let text = document(&lab, LBC).await;
    assert!(text.contains(r#""aws:ResourceTag/elbv2.k8s.aws/cluster":"demo""#), "{text}");
    assert!(text.contains(r#""ec2:Vpc":"arn:aws:ec2:eu-west-1:*:vpc/vpc-0a1b2c3d4e5f60718""#), "{text}");
    // The whole policy in its place is drift, which verify names and the plan mends.
    let narrow = ["--lbc-policy", "target-group-binding-only"];
    let found = with(&lab, &["verify", "-o", "json"], &narrow).await.expect(3).json();
    let meaning = found["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "EKB-POL-002").unwrap();
    assert_eq!(meaning["status"], "failed", "{meaning:#}");
    let plan = applied(&lab, &narrow).await;
    assert_eq!(step(&plan, "iam.policy.lbc")["calls"], json!(["iam:CreatePolicyVersion"]));
    assert!(!document(&lab, LBC).await.contains("CreateLoadBalancer"));
    // What is enough for bindings is not enough for load balancers.
    let found = lab.run(&["verify", "-o", "json"]).await.expect(3).json();
    let of = |id: &str| {
        let mut findings = found["findings"].as_array().unwrap().iter();
        findings.find(|finding| finding["id"] == id && finding["about"] == "lbc").cloned().unwrap()
    };
    assert_eq!((&of("EKB-POL-003")["status"], &of("EKB-POL-004")["status"]), (&json!("failed"), &json!("failed")));
    let plan = applied(&lab, &[]).await;
    assert_eq!(step(&plan, "iam.policy.lbc")["calls"], json!(["iam:CreatePolicyVersion"]));
    // Back to a choice of before: its version is there still.
    let plan = applied(&lab, &scoped).await;
    is_mended(&plan, &DRIFTS[0]);
    destroyed(&lab, &scoped, &before).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drivers_policies_are_swapped() {
    let lab = Lab::start().await;
    let before = lab.sandbox.simulator.snapshot();
    applied(&lab, &[]).await;
    let ebs = role(&lab, EBS).await;
    assert_eq!(attached(&lab, &ebs).await, BTreeSet::from(["AmazonEBSCSIDriverPolicyV2".to_owned()]));
    // A volume that somebody made by hand, without a tag.
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "data"}, "spec": {
        "capacity": {"storage": "4Gi"}, "accessModes": ["ReadWriteOnce"],
        "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-0123456789abcdef0"}}});
    lab.create(VOLUMES, &volume).await;
    let quiet = lab.run(&["plan", "-o", "json"]).await.expect(0).json()["diagnostics"].to_string();
    assert!(!quiet.contains("vol-0123456789abcdef0"), "V2 is attached already: {quiet}");
    let scoped = ["--ebs-policy", "cluster-scoped"];
    let plan = applied(&lab, &scoped).await;
    let told = plan["diagnostics"].to_string();
    assert!(told.contains("1 volume in the cluster lacks the tag ebs.csi.aws.com/cluster-name=demo"), "{told}");
    assert_eq!(
        step(&plan, "iam.attachment.ebs")["calls"],
        json!(["iam:AttachRolePolicy", "iam:DetachRolePolicy"]),
        "the new one first"
    );
    assert_eq!(step(&plan, "iam.role.ebs")["calls"], json!(["iam:TagRole"]));
    assert_eq!(attached(&lab, &ebs).await, BTreeSet::from(["AmazonEBSCSIDriverEKSClusterScopedPolicy".to_owned()]));
    // The policy compares with the role's tag, so its loss is found and mended.
    let iam = lab.iam().await;
    iam.untag_role().role_name(&ebs).tag_keys("eks-cluster-name").send().await.unwrap();
    let found = with(&lab, &["verify", "-o", "json"], &scoped).await.expect(3).json();
    let refused = found["findings"].as_array().unwrap().iter().find(|finding| finding["status"] == "failed").unwrap();
    assert_eq!((&refused["id"], &refused["about"]), (&json!("EKB-POL-004"), &json!("ebs")), "{refused:#}");
    let mend = refused["mend"].as_str().unwrap();
    assert!(mend.contains("iam.role.ebs") && mend.ends_with(" --ebs-policy cluster-scoped"), "{refused:#}");
    is_mended(&applied(&lab, &scoped).await, &DRIFTS[1]);
    // A second policy of AWS' beside the chosen one is drift.
    let arn = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";
    iam.attach_role_policy().role_name(&ebs).policy_arn(arn).send().await.unwrap();
    is_mended(&applied(&lab, &scoped).await, &DRIFTS[2]);
    let older = ["--ebs-policy", "v1"];
    let plan = applied(&lab, &older).await;
    assert!(!plan["diagnostics"].to_string().contains("vol-0"), "V1 asks for no tag: {plan:#}");
    assert_eq!(attached(&lab, &ebs).await, BTreeSet::from(["AmazonEBSCSIDriverPolicy".to_owned()]));
    // Nothing chosen: what is attached stays.
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let told = with(&lab, &["plan", "-o", "json"], &["--ebs-policy", "v2"]).await.expect(0).json();
    assert!(told["diagnostics"].to_string().contains("ebs.csi.aws.com/cluster=true"), "{told:#}");
    lab.delete(&format!("{VOLUMES}/data")).await;
    lab.gone(&ObjectRef::new("v1", "PersistentVolume", "", "data")).await;
    destroyed(&lab, &older, &before).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_get_a_policy_of_their_own() {
    let lab = Lab::start().await;
    let before = lab.sandbox.simulator.snapshot();
    let file = lab.work.path().join("demo.yaml");
    let class = "gp3StorageClass: {enabled: true, kmsKeyId: KEY}".replace("KEY", KEY);
    let text = format!(
        "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {{name: demo}}\n  components: {{{class}, awsEbsCsiDriver: {{kmsKeys: [{KEY}]}}}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let choice = ["-f", "demo.yaml"];
    let plan = applied(&lab, &choice).await;
    assert_eq!(step(&plan, "iam.policy.ebs-kms")["action"], "create");
    let ebs = role(&lab, EBS).await;
    let names = attached(&lab, &ebs).await;
    assert!(names.len() == 2 && names.iter().any(|name| name.contains("-kms")), "{names:?}");
    let text = document(&lab, "-kms").await;
    assert!(text.contains(r#""kms:GrantIsForAWSResource":"true""#) && !text.contains(r#""Resource":"*""#), "{text}");
    // The class with this key needs nothing more.
    let found = with(&lab, &["verify", "-o", "json"], &choice).await.expect(0).json();
    let keys = found["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "EKB-EBS-007").unwrap();
    assert_eq!((&keys["status"], &keys["about"]), (&json!("ok"), &json!("gp3")), "{keys:#}");
    // Detached by hand: found, named, mended.
    let iam = lab.iam().await;
    let policies = iam.list_attached_role_policies().role_name(&ebs).send().await.unwrap();
    let policy = policies.attached_policies().iter().find(|policy| policy.policy_name().unwrap().contains("-kms"));
    let arn = policy.unwrap().policy_arn().unwrap();
    iam.detach_role_policy().role_name(&ebs).policy_arn(arn).send().await.unwrap();
    let found = with(&lab, &["verify", "-o", "json"], &choice).await.expect(3).json();
    let bad = found["findings"].as_array().unwrap().iter().find(|finding| finding["status"] == "failed").unwrap();
    assert_eq!(bad["id"], "EKB-POL-001", "{bad:#}");
    assert!(bad["mend"].as_str().unwrap().contains("--only iam.policy.ebs-kms"), "{bad:#}");
    assert_eq!(step(&applied(&lab, &choice).await, "iam.attachment.ebs")["calls"], json!(["iam:AttachRolePolicy"]));
    let allowed = permissions::of(&lab, "apply").await;
    assert!(!allowed.to_json().contains("-kms"), "without keys nothing about them is needed");
    destroyed(&lab, &choice, &before).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_exists_is_attached_and_never_changed() {
    let lab = Lab::start().await;
    let iam = lab.iam().await;
    let mine = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["ec2:*", "elasticloadbalancing:*", "iam:*", "acm:*", "cognito-idp:*", "shield:*",
            "waf-regional:*"], "Resource": "*"}]});
    let made = iam.create_policy().policy_name("mine").policy_document(mine.to_string()).send().await.unwrap();
    let arn = made.policy().unwrap().arn().unwrap();
    let before = lab.sandbox.simulator.snapshot();
    // One that does not exist is refused before anything is written.
    let nowhere = arn.replace("mine", "other");
    let blocked = with(&lab, &["plan", "-o", "json"], &["--lbc-policy-arn", &nowhere]).await.expect(0).json();
    assert_eq!(step(&blocked, "iam.attachment.lbc")["action"], "blocked");
    lab.forget();
    let refused = with(&lab, &["apply", "--yes"], &["--lbc-policy-arn", &nowhere]).await.expect(4);
    assert!(refused.stderr.contains("iam.attachment.lbc") && lab.aws_writes().is_empty(), "{}", refused.stderr);

    let choice = ["--lbc-policy-arn", arn];
    let plan = with(&lab, &["plan", "-o", "json"], &choice).await.expect(0).json();
    assert!(plan["steps"].as_array().unwrap().iter().all(|step| step["id"] != "iam.policy.lbc"));
    let reason = step(&plan, "iam.attachment.lbc")["reason"].to_string();
    assert!(reason.contains("the policy lacks wafv2:AssociateWebACL, wafv2:DisassociateWebACL"), "{reason}");
    assert!(reason.contains("and 1 more"), "{reason}");
    with(&lab, &["apply", "--yes"], &choice).await.expect(0);
    with(&lab, &["plan", "--detailed-exitcode"], &choice).await.expect(0);
    let lbc = role(&lab, LBC).await;
    assert_eq!(attached(&lab, &lbc).await, BTreeSet::from(["mine".to_owned()]));
    // verify says what IAM refuses.
    let found = with(&lab, &["verify", "-o", "json"], &choice).await.expect(3).json();
    let refused = found["findings"].as_array().unwrap().iter().find(|finding| finding["status"] == "failed").unwrap();
    assert_eq!(refused["id"], "EKB-POL-004", "{refused:#}");
    destroyed(&lab, &choice, &before).await;
    lab.stop().await;
}
