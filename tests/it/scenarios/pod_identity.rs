//! EKS Pod Identity: pods that were admitted too early, links that are missing or lead elsewhere, and trusts that are open.
//!
//! Failure modes 11 and 22. What drift is mended by a plan is in `tests/it/pod_identity.rs`, associations beside IRSA in
//! `identity.rs`; here `verify` finds the fault and its own mend takes it away.

use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{Seed, SeedIssue};
use serde_json::{Value, json};

use super::identity::restarted;
use super::{Fault, Stage};
use crate::pod_identity::World;

const LBC: &str = "aws-load-balancer-controller";
const AGENT: &str = "eks-pod-identity-agent";
const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// A fault about the load balancer controller.
fn lbc(mode: u8, check: &'static str, says: &'static str, mend: &'static str) -> Fault {
    Fault { mode, check, about: Some("lbc"), status: "failed", says, mend }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_pod_identity_is_mended() {
    let stage = Stage::wanting(Seed::builtin(), &["--identity", "pod-identity"]).await;
    admitted_too_early(&stage).await;
    links(&stage).await;
    agents(&stage).await;
    open_trusts(&stage).await;
    stage.destroyed().await;
    stage.stop().await;
}

/// 11: the association is gone while pods are admitted, and comes back: everything in AWS looks right.
async fn admitted_too_early(stage: &Stage) {
    let world = World::of(&stage.lab).await;
    world.break_by("association deleted").await;
    stage.mend("kubectl rollout restart deployment/aws-load-balancer-controller -n kube-system").await;
    restarted(stage, |pod| !pod["spec"]["containers"].to_string().contains(URI)).await;
    let associate = "eks-bootstrap apply --only eks.pod-identity.lbc --identity lbc=pod-identity";
    let mend = stage.finds(&lbc(11, "EKB-PODID-003", "there is no association", associate)).await;
    stage.mend(&mend).await;
    let restart = "eks-bootstrap apply --only proof.pods.lbc --identity lbc=pod-identity";
    let says = "2 of 2 running pods do not use Pod Identity";
    stage.is_found_and_mended(&lbc(11, "EKB-PODID-005", says, restart)).await;
}

/// 11: each link that is wrong, and an annotation that misleads.
async fn links(stage: &Stage) {
    let world = World::of(&stage.lab).await;
    let associate = "eks-bootstrap apply --only eks.pod-identity.lbc --identity lbc=pod-identity";
    let role = "eks-bootstrap apply --only iam.role.lbc --identity lbc=pod-identity";
    let bare =
        "kubectl annotate serviceaccount aws-load-balancer-controller -n kube-system eks.amazonaws.com/role-arn-";
    for (drift, check, says, mend) in [
        ("association with another role", "EKB-PODID-003", "the association names another role", associate),
        ("trust without TagSession", "EKB-PODID-004", "sts:TagSession is missing", role),
        ("annotation put back", "EKB-PODID-006", "annotated with a role, which has no effect", bare),
    ] {
        world.break_by(drift).await;
        stage.is_found_and_mended(&lbc(11, check, says, mend)).await;
    }
    // A mend of another family is for the same wanted state: the role that it makes is one for Pod Identity.
    let iam = stage.lab.iam().await;
    let ebs = "AmazonEBSCSIDriverPolicyV2";
    let roles = iam.list_roles().send().await.unwrap();
    let name =
        roles.roles().iter().map(aws_sdk_iam::types::Role::role_name).find(|name| name.contains("ebs-csi")).unwrap();
    iam.detach_role_policy().role_name(name).policy_arn(format!("arn:aws:iam::aws:policy/{ebs}")).send().await.unwrap();
    iam.delete_role().role_name(name).send().await.unwrap();
    let again = "eks-bootstrap apply --only iam.role.ebs --only iam.attachment.ebs --identity pod-identity";
    let gone = lbc(14, "EKB-IRSA-003", "does not exist", again);
    stage.is_found_and_mended(&Fault { about: Some("ebs"), ..gone }).await;
}

/// 11: no agent, an add-on that failed, and a node whose agent is not ready.
async fn agents(stage: &Stage) {
    let lab = &stage.lab;
    let apply = "eks-bootstrap apply --only eks.pod-identity-agent --identity lbc=pod-identity";
    World::of(lab).await.break_by("agent deleted").await;
    stage.is_found_and_mended(&lbc(11, "EKB-PODID-002", "there is no Pod Identity agent", apply)).await;

    let issue = SeedIssue {
        code: "AccessDenied".to_owned(),
        message: "the add-on manager may not create DaemonSets".to_owned(),
        resource_ids: Vec::new(),
    };
    lab.sandbox.simulator.set_addon_health("demo", AGENT, "CREATE_FAILED", &[issue]);
    let place = format!("--cluster-name demo --addon-name {AGENT}");
    let again = format!("aws eks delete-addon {place} && aws eks wait addon-deleted {place} && {apply}");
    let says = "CREATE_FAILED: AccessDenied: the add-on manager may not";
    stage.is_found_and_mended(&lbc(11, "EKB-PODID-002", says, again.leak())).await;
    lab.until(&ObjectRef::new("apps/v1", "DaemonSet", "kube-system", AGENT), |it| {
        it["status"]["numberReady"].as_i64() > Some(0)
            && it["status"]["numberReady"] == it["status"]["desiredNumberScheduled"]
    })
    .await;
    not_ready(stage).await;
    let restart = "kubectl rollout restart daemonset/eks-pod-identity-agent -n kube-system";
    let says = "a node with pods of the controller has no ready agent";
    stage.is_found_and_mended(&lbc(11, "EKB-PODID-002", says, restart)).await;
}

/// Writes into the status of the agent's pods what a kubelet writes when their containers do not answer.
async fn not_ready(stage: &Stage) {
    let selector = format!("app.kubernetes.io/name={AGENT}");
    let pods = stage.lab.reader().await.list("v1", "Pod", "kube-system", &selector).await.unwrap();
    for pod in pods {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let conditions = [
            condition("PodScheduled", "True"),
            condition("Initialized", "True"),
            condition("ContainersReady", "False"),
            condition("Ready", "False"),
        ];
        let path = format!("/api/v1/namespaces/kube-system/pods/{}/status", pod["metadata"]["name"].as_str().unwrap());
        stage.lab.patch(&path, &json!({"status": {"conditions": conditions}})).await;
    }
}

/// 22: without conditions every association of the account that may pass the role gets it. Ours is mended by an apply,
/// that of others by a command for them.
async fn open_trusts(stage: &Stage) {
    let iam = stage.lab.iam().await;
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles.roles().iter().find(|role| role.role_name().contains(LBC)).unwrap();
    let name = role.role_name();
    let right = percent_encoding::percent_decode_str(role.assume_role_policy_document().unwrap());
    let right = right.decode_utf8().unwrap().into_owned();
    let document: Value = serde_json::from_str(&right).unwrap();
    let set = async |document: &Value| {
        let call = iam.update_assume_role_policy().role_name(name).policy_document(document.to_string());
        call.send().await.unwrap();
    };
    let says = "without a condition on each of the three";
    let open = |mend: &'static str| Fault { status: "warning", ..lbc(22, "EKB-PODID-007", says, mend) };

    let mut ours = document.clone();
    ours["Statement"][0].as_object_mut().unwrap().remove("Condition");
    set(&ours).await;
    let role = "eks-bootstrap apply --only iam.role.lbc --identity lbc=pod-identity";
    stage.is_found_and_mended(&open(role)).await;

    let mut theirs = document.clone();
    let mut statement = ours["Statement"][0].clone();
    statement["Sid"] = json!("Theirs");
    theirs["Statement"].as_array_mut().unwrap().push(statement);
    set(&theirs).await;
    let command = format!("aws iam update-assume-role-policy --role-name {name} --policy-document '{right}'");
    stage.is_found_and_mended(&open(command.leak())).await;
}
