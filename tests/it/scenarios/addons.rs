//! The EBS CSI driver as an EKS add-on: what EKS reports of it, a second manager, and a role, version or object that is not
//! as it was wanted; and KMS keys that its role may not use.
//!
//! Failure modes 14, 15 and 25. The add-on where a release is wanted is in `identity.rs`; moves between the two managers are
//! in `tests/it/addon.rs`.

use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{Seed, SeedIssue};
use serde_json::json;

use super::{Fault, Stage};
use crate::addon::settled;

const ADDON: &str = "aws-ebs-csi-driver";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OTHER_KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/9876abcd-12ab-34cd-56ef-1234567890ab";
const WANTED: [&str; 6] =
    ["--ebs-managed-by", "eks-addon", "--disable", "aws-load-balancer-controller", "--kms-key", KEY];

/// The command that is printed, with what the run was told of the wanted state.
fn told(command: &str) -> &'static str {
    let wanted = ["--ebs-managed-by eks-addon", "--disable aws-load-balancer-controller", &format!("--kms-key {KEY}")];
    format!("{command} {}", wanted.join(" ")).leak()
}

/// A fault about the add-on.
fn addon(mode: u8, says: &'static str, mend: &'static str) -> Fault {
    Fault { mode, check: "EKB-EBS-008", about: None, status: "failed", says, mend }
}

fn issue(code: &str, message: &str) -> [SeedIssue; 1] {
    [SeedIssue { code: code.to_owned(), message: message.to_owned(), resource_ids: Vec::new() }]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addon_is_judged_and_mended_as_it_is_wanted() {
    let stage = Stage::wanting(Seed::builtin(), &WANTED).await;
    let release = stage.findings(&[]).await.into_iter().find(|finding| finding["id"] == "EKB-EBS-001").unwrap();
    assert_eq!(
        (&release["status"], &release["reason"]),
        (&json!("skipped"), &json!("EKS is to install it as an add-on"))
    );
    what_eks_reports(&stage).await;
    what_was_not_wanted(&stage).await;
    objects_that_are_gone(&stage).await;
    a_release_beside_it(&stage).await;
    keys(&stage).await;
    stage.destroyed().await;
    stage.stop().await;
}

/// 14, 15: the states of an add-on that does not work.
async fn what_eks_reports(stage: &Stage) {
    let simulator = &stage.lab.sandbox.simulator;
    let apply = "eks-bootstrap apply --only eks.addon.ebs";
    simulator.set_addon_health("demo", ADDON, "CREATE_FAILED", &issue("AccessDenied", "UnauthorizedOperation"));
    let says = "is CREATE_FAILED: AccessDenied: UnauthorizedOperation";
    stage.is_found_and_mended(&addon(14, says, told(apply))).await;

    let conflict = issue("ConfigurationConflict", "DaemonSet ebs-csi-node: conflict with kubectl");
    simulator.set_addon_health("demo", ADDON, "DEGRADED", &conflict);
    let adopt = told("eks-bootstrap apply --only eks.addon.ebs --adopt eks.addon.ebs");
    stage.is_found_and_mended(&addon(15, "is DEGRADED: ConfigurationConflict", adopt)).await;

    // Pods that are not there: the mend is where the pods are looked at. EKS itself looks again only after minutes.
    let deployment = "/apis/apps/v1/namespaces/kube-system/deployments/ebs-csi-controller";
    stage.lab.patch(deployment, &json!({"spec": {"replicas": 0}})).await;
    simulator.set_addon_health("demo", ADDON, "DEGRADED", &issue("InsufficientNumberOfReplicas", "0 of 2"));
    let scale = "kubectl scale deployment/ebs-csi-controller -n kube-system --replicas=2";
    let mend = stage.finds(&addon(14, "is DEGRADED: InsufficientNumberOfReplicas: 0 of 2", scale)).await;
    stage.mend(&mend).await;
    simulator.set_addon_health("demo", ADDON, "ACTIVE", &[]);
    stage.passes().await;
}

/// 14: no role, and a version that EKS does not have as default.
async fn what_was_not_wanted(stage: &Stage) {
    let eks = stage.lab.eks().await;
    let described = eks.describe_addon().cluster_name("demo").addon_name(ADDON).send().await.unwrap();
    let role = described.addon().unwrap().service_account_role_arn().map(ToOwned::to_owned);
    let update = || eks.update_addon().cluster_name("demo").addon_name(ADDON);
    let apply = told("eks-bootstrap apply --only eks.addon.ebs");

    update().send().await.unwrap();
    settled(&stage.lab).await;
    let none = Fault { check: "EKB-OWN-001", about: Some("ebs"), ..addon(14, "another role", apply) };
    stage.finds(&none).await;
    stage.is_found_and_mended(&addon(14, "serviceAccountRoleArn: nothing", apply)).await;

    let older = update().set_service_account_role_arn(role).addon_version("v1.58.0-eksbuild.1");
    older.send().await.unwrap();
    settled(&stage.lab).await;
    stage.is_found_and_mended(&addon(14, "version: v1.58.0-eksbuild.1", apply)).await;
}

/// Objects that somebody deleted come back with an update of the add-on, and not before.
async fn objects_that_are_gone(stage: &Stage) {
    let apply = told("eks-bootstrap apply --only eks.addon.ebs");
    stage.lab.delete("/apis/storage.k8s.io/v1/csidrivers/ebs.csi.aws.com").await;
    stage.lab.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/ebs-csi-node").await;
    stage.lab.gone(&ObjectRef::new("apps/v1", "DaemonSet", "kube-system", "ebs-csi-node")).await;
    let of = |check: &'static str, says: &'static str| Fault { check, ..addon(14, says, apply) };
    stage.finds(&of("EKB-EBS-002", "daemonset/ebs-csi-node does not exist")).await;
    stage.finds(&of("EKB-EBS-003", "CSIDriver/ebs.csi.aws.com does not exist")).await;
    stage.is_found_and_mended(&of("EKB-EBS-008", "DaemonSet/kube-system/ebs-csi-node: absent")).await;
}

/// 15: someone installs the chart over the add-on.
async fn a_release_beside_it(stage: &Stage) {
    let chart = stage.lab.charts().join(ADDON).display().to_string();
    let over = ["install", ADDON, &chart, "-n", "kube-system", "--take-ownership", "--force-conflicts"];
    stage.lab.helm(&over).await;
    // The release is somebody's, who may want it: it is not proposed to uninstall it.
    let mend: &'static str = format!(
        "aws eks delete-addon --cluster-name demo --addon-name {ADDON} --preserve && eks-bootstrap apply \
         --ebs-managed-by helm --adopt helm.ebs --disable aws-load-balancer-controller --kms-key {KEY}"
    )
    .leak();
    let says = "an EKS add-on and a helm release both install it";
    let both = Fault { check: "EKB-OWN-001", about: Some("ebs"), ..addon(15, says, mend) };
    stage.finds(&both).await;
    // The other way out, which only whoever installed it may take.
    stage.lab.helm(&["uninstall", ADDON, "-n", "kube-system", "--wait"]).await;
    stage.run(&["apply", "--yes", "--only", "eks.addon.ebs"]).await.expect(0);
}

/// 25: the policy for the keys says something else, and a class names another key than it.
async fn keys(stage: &Stage) {
    let iam = stage.lab.iam().await;
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    let policy = policies.policies().iter().find(|policy| policy.policy_name().unwrap().contains("-kms")).unwrap();
    let other = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY}]});
    let version = iam.create_policy_version().policy_arn(policy.arn().unwrap()).policy_document(other.to_string());
    version.set_as_default(true).send().await.unwrap();
    let mend: &'static str = format!(
        "eks-bootstrap apply --only iam.policy.ebs-kms --kms-key {KEY} --ebs-managed-by eks-addon --disable \
         aws-load-balancer-controller"
    )
    .leak();
    let meaning = Fault { check: "EKB-POL-002", about: Some("ebs-kms"), ..addon(25, "without kms:", mend) };
    stage.is_found_and_mended(&meaning).await;

    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "secret"},
        "provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": "true", "kmsKeyId": OTHER_KEY}});
    stage.lab.create("/apis/storage.k8s.io/v1/storageclasses", &class).await;
    let account = stage.lab.object("v1", "ServiceAccount", "ebs-csi-controller-sa").await;
    let arn = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].as_str().unwrap().to_owned();
    let role = arn.rsplit('/').next().unwrap();
    let mend: &'static str = format!(
        "aws iam put-role-policy --role-name {role} --policy-name kms-secret --policy-document \
         '{{\"Statement\":[{{\"Action\":[\"kms:CreateGrant\",\"kms:Decrypt\",\"kms:GenerateDataKeyWithoutPlaintext\"],\
         \"Effect\":\"Allow\",\"Resource\":[\"{OTHER_KEY}\"]}}],\"Version\":\"2012-10-17\"}}'"
    )
    .leak();
    let says = "no way to the key of class secret";
    let class = Fault { check: "EKB-EBS-007", about: Some("secret"), status: "warning", ..addon(25, says, mend) };
    stage.is_found_and_mended(&class).await;
    stage.lab.delete("/apis/storage.k8s.io/v1/storageclasses/secret").await;
    iam.delete_role_policy().role_name(role).policy_name("kms-secret").send().await.unwrap();
}
