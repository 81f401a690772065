//! Identity and ownership: who the controllers are to AWS, what they may do, and whom their objects belong to.
//!
//! Failure modes 1 to 6, 13 to 18, 22 and 23. What cannot be planted here: a private issuer or a proxy in front of it and a
//! stale thumbprint (16), since IAM reads keys and thumbprints itself and the simulated one is told the keys; policies of the
//! organisation (18), of which the account is not told; a wrong clock (23), since simulator and program share the machine's.

use std::time::{Duration, Instant};

use aws_sdk_eks::types::ResolveConflicts;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{At, Effect, Fault as AwsFault, Seed};
use serde_json::{Value, json};

use super::{Fault, Stage};
use crate::drift::World;

const LBC: &str = "aws-load-balancer-controller";
const ACCOUNTS: &str = "/api/v1/namespaces/kube-system/serviceaccounts";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/kube-system/deployments";
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// A fault about the load balancer controller.
fn lbc(mode: u8, check: &'static str, says: &'static str, mend: &'static str) -> Fault {
    Fault { mode, check, about: Some("lbc"), status: "failed", says, mend }
}

fn ebs(mode: u8, check: &'static str, says: &'static str, mend: &'static str) -> Fault {
    Fault { about: Some("ebs"), ..lbc(mode, check, says, mend) }
}

fn everywhere(mode: u8, check: &'static str, says: &'static str, mend: &'static str) -> Fault {
    Fault { about: None, ..lbc(mode, check, says, mend) }
}

/// The same as a warning.
fn warned(mode: u8, check: &'static str, says: &'static str, mend: &'static str) -> Fault {
    Fault { status: "warning", ..lbc(mode, check, says, mend) }
}

/// The trust policy of a role.
async fn trust(world: &World<'_>, role: &str) -> String {
    let role = world.iam.get_role().role_name(role).send().await.unwrap();
    let document = role.role().unwrap().assume_role_policy_document().unwrap();
    percent_encoding::percent_decode_str(document).decode_utf8().unwrap().into_owned()
}

async fn set_trust(world: &World<'_>, role: &str, document: &str) {
    world.iam.update_assume_role_policy().role_name(role).policy_document(document).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_is_judged_clause_by_clause_and_mended() {
    let stage = Stage::start().await;
    let world = World::of(&stage.lab).await;
    let right = trust(&world, &world.lbc_role).await;
    let issuer = world.provider.split_once(":oidc-provider/").unwrap().1.to_owned();
    let other = issuer.replace(issuer.rsplit('/').next().unwrap(), "0123456789ABCDEF0123456789ABCDEF");
    let ec2 = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let apply = "eks-bootstrap apply --only iam.role.lbc";
    let edits = [
        (right.replace(LBC, "aws-lb"), "names another service account"),
        (right.replace("sts.amazonaws.com", "sts.amazonaws.com.cn"), "names another audience"),
        (
            right.replace(&format!("\"{issuer}:"), &format!("\"oidc-provider/{issuer}:")),
            "has a prefix before the issuer",
        ),
        (right.replace(&format!("\"{issuer}:"), &format!("\"{other}:")), "conditions on another cluster's issuer"),
        (right.replace(&issuer, &other), "trusts another OIDC provider"),
        (ec2.to_string(), "trusts an AWS service"),
    ];
    for (document, says) in edits {
        set_trust(&world, &world.lbc_role, &document).await;
        // The exchange fails as well and names the same clause.
        stage.finds(&lbc(1, "EKB-IRSA-005", "refused: ", apply)).await;
        stage.is_found_and_mended(&lbc(1, "EKB-IRSA-004", says, apply)).await;
    }
    stage.begin_again().await;

    let theirs = trust(&world, &world.ebs_role).await.replace("ebs-csi-controller-sa", "aws-ebs-csi-driver");
    set_trust(&world, &world.ebs_role, &theirs).await;
    let expected = "system:serviceaccount:kube-system:ebs-csi-controller-sa";
    stage.is_found_and_mended(&ebs(1, "EKB-IRSA-004", expected, "eks-bootstrap apply --only iam.role.ebs")).await;

    statements_of_others(&stage, &world, &right).await;
    slow_iam(&stage).await;
    stage.destroyed().await;
    stage.stop().await;
}

/// What others wrote into the trust policy is theirs: the mend is a command for them.
async fn statements_of_others(stage: &Stage, world: &World<'_>, right: &str) {
    let document: Value = serde_json::from_str(right).unwrap();
    let mut open = document.clone();
    open["Statement"][0].as_object_mut().unwrap().remove("Condition");
    set_trust(world, &world.lbc_role, &open.to_string()).await;
    let says = "names no sub: every service account of the cluster";
    let broad = warned(22, "EKB-IRSA-009", says, "eks-bootstrap apply --only iam.role.lbc");
    stage.is_found_and_mended(&broad).await;

    let command =
        format!("aws iam update-assume-role-policy --role-name {} --policy-document '{right}'", world.lbc_role);
    let command: &'static str = command.leak();
    let mut wide = document.clone();
    let mut theirs = document["Statement"][0].clone();
    theirs["Sid"] = json!("Theirs");
    let sub =
        theirs["Condition"]["StringEquals"].as_object().unwrap().keys().find(|key| key.ends_with(":sub")).cloned();
    theirs["Condition"] = json!({"StringLike": {sub.unwrap(): "system:serviceaccount:*:*"}});
    wide["Statement"].as_array_mut().unwrap().push(theirs);
    set_trust(world, &world.lbc_role, &wide.to_string()).await;
    let says = "every service account that matches `system:serviceaccount:*:*`";
    stage.is_found_and_mended(&warned(22, "EKB-IRSA-009", says, command)).await;

    let mut denying = document;
    let deny = json!({"Effect": "Deny", "Principal": {"Federated": world.provider}, "Action": "sts:*"});
    denying["Statement"].as_array_mut().unwrap().push(deny);
    set_trust(world, &world.lbc_role, &denying.to_string()).await;
    stage.is_found_and_mended(&lbc(1, "EKB-IRSA-004", "a statement of the trust policy denies it", command)).await;
}

/// IAM needs seconds after a change: what is refused although the trust policy allows it is told from what is wrong.
async fn slow_iam(stage: &Stage) {
    let error =
        Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "Not authorized to perform".to_owned() };
    stage.lab.forget();
    let at = At::Operation { name: "AssumeRoleWithWebIdentity".to_owned(), nth: 1 };
    stage.lab.sandbox.simulator.inject(AwsFault { at, effect: error, times: 2 });
    let says = "refused although the trust policy allows it: IAM needs seconds after a change";
    stage.is_found_and_mended(&lbc(23, "EKB-IRSA-005", says, "eks-bootstrap verify --wait 2m")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_roles_and_policies_are_mended_one_by_one() {
    let stage = Stage::start().await;
    let world = World::of(&stage.lab).await;
    let provider = "eks-bootstrap apply --only iam.oidc-provider";
    let policy = "eks-bootstrap apply --only iam.policy.lbc";
    for (drift, fault) in [
        ("provider deleted", everywhere(16, "EKB-OIDC-001", "has no OIDC provider", provider)),
        ("audience removed", everywhere(16, "EKB-OIDC-002", "takes another audience", provider)),
        ("provider deleted", lbc(16, "EKB-IRSA-005", "AWS does not take the cluster's tokens", provider)),
        (
            "role deleted",
            ebs(
                14,
                "EKB-IRSA-003",
                "does not exist",
                "eks-bootstrap apply --only iam.role.ebs --only iam.attachment.ebs",
            ),
        ),
        (
            "policy version rolled back",
            lbc(
                4,
                "EKB-POL-004",
                "not allowed: acm:DescribeCertificate",
                "eks-bootstrap apply --only iam.policy.lbc --only iam.attachment.lbc",
            ),
        ),
        ("policy version rolled back", lbc(4, "EKB-POL-003", "is older than the installed v3.5.0", policy)),
        ("policy full of other versions", lbc(5, "EKB-POL-002", "all five versions are used, apply deletes v", policy)),
        (
            "attachment detached",
            lbc(
                2,
                "EKB-POL-001",
                "does not have its policy",
                "eks-bootstrap apply --only iam.policy.lbc --only iam.attachment.lbc",
            ),
        ),
    ] {
        world.break_by(drift).await;
        stage.is_found_and_mended(&fault).await;
    }

    let arn = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    let (first, second) = (arn("AmazonEBSCSIDriverPolicyV2"), arn("service-role/AmazonEBSCSIDriverPolicy"));
    world.iam.detach_role_policy().role_name(&world.ebs_role).policy_arn(&first).send().await.unwrap();
    let attach = "eks-bootstrap apply --only iam.attachment.ebs";
    stage.is_found_and_mended(&ebs(14, "EKB-POL-001", "does not have its policy", attach)).await;
    world.iam.attach_role_policy().role_name(&world.ebs_role).policy_arn(&second).send().await.unwrap();
    let detach = format!("aws iam detach-role-policy --role-name {} --policy-arn {second}", world.ebs_role);
    let says = "AmazonEBSCSIDriverPolicyV2 and AmazonEBSCSIDriverPolicy are both attached";
    stage.is_found_and_mended(&Fault { about: Some("ebs"), ..warned(6, "EKB-POL-006", says, detach.leak()) }).await;

    boundaries(&stage, &world).await;
    stage.destroyed().await;
    stage.stop().await;
}

async fn boundaries(stage: &Stage, world: &World<'_>) {
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["acm:*", "ec2:Describe*"], "Resource": "*"}]});
    let made =
        world.iam.create_policy().policy_name("fence").policy_document(document.to_string()).send().await.unwrap();
    let fence = made.policy().unwrap().arn().unwrap().to_owned();
    let call = world.iam.put_role_permissions_boundary().role_name(&world.lbc_role);
    call.permissions_boundary(&fence).send().await.unwrap();
    let mend = format!("aws iam delete-role-permissions-boundary --role-name {}", world.lbc_role);
    let says = "the permissions boundary fence does not allow what the controller does";
    stage.is_found_and_mended(&lbc(18, "EKB-POL-004", says, mend.leak())).await;

    // The boundary of the configuration: AWS' widest policy, so that nothing else changes.
    let wanted = "arn:aws:iam::aws:policy/AdministratorAccess";
    let flags = ["--permissions-boundary", wanted];
    let bounded = |findings: &[Value]| {
        let of = |finding: &&Value| finding["id"] == "EKB-POL-005" && finding["about"] == "lbc";
        findings.iter().find(of).unwrap().clone()
    };
    let found = bounded(&stage.findings(&flags).await);
    assert_eq!((found["status"].as_str(), found["observed"].as_str()), (Some("failed"), Some("no boundary")));
    stage.mend(found["mend"].as_str().unwrap()).await;
    assert_eq!(bounded(&stage.findings(&flags).await)["status"], "ok");
    world.iam.delete_policy().policy_arn(&fence).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_pods_releases_and_their_owners_are_mended() {
    let stage = Stage::start().await;
    let world = World::of(&stage.lab).await;
    let account = "eks-bootstrap apply --only k8s.service-account.lbc";
    let release = "eks-bootstrap apply --only helm.lbc";
    for (drift, fault) in [
        ("annotation changed", lbc(2, "EKB-IRSA-002", "the annotation names another role", account)),
        ("service account deleted", lbc(2, "EKB-IRSA-001", "does not exist", account)),
        ("release failed", lbc(13, "EKB-OWN-003", "the release is failed", release)),
        ("upgrade interrupted", lbc(13, "EKB-OWN-003", "is pending-upgrade for", release)),
    ] {
        world.break_by(drift).await;
        stage.is_found_and_mended(&fault).await;
    }
    annotations(&stage, &world).await;
    owners(&stage).await;
    two_managers(&stage, &world).await;
    stage.destroyed().await;
    stage.stop().await;
}

async fn annotate(stage: &Stage, account: &str, role: &Value) {
    let fields = json!({"metadata": {"annotations": {ROLE_ANNOTATION: role}}});
    stage.lab.patch(&format!("{ACCOUNTS}/{account}"), &fields).await;
}

/// Waits until the running pods of the controller are new ones, and all of them.
pub(super) async fn restarted(stage: &Stage, holds: impl Fn(&Value) -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let selector = format!("app.kubernetes.io/name={LBC}");
        let pods = stage.lab.reader().await.list("v1", "Pod", "kube-system", &selector).await.unwrap();
        let mut running = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).peekable();
        if running.peek().is_some() && running.all(&holds) {
            return;
        }
        assert!(Instant::now() < end, "{pods:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn annotations(stage: &Stage, world: &World<'_>) {
    // A hand took the annotation away, pods were restarted, the annotation came back: everything looks right.
    annotate(stage, LBC, &Value::Null).await;
    let restart = "kubectl rollout restart deployment/aws-load-balancer-controller -n kube-system";
    stage.mend(restart).await;
    let role = |pod: &Value| pod["spec"]["containers"].to_string().contains("AWS_ROLE_ARN");
    restarted(stage, |pod| !role(pod)).await;
    let account = "eks-bootstrap apply --only k8s.service-account.lbc";
    let mend = stage.finds(&lbc(2, "EKB-IRSA-002", "the annotation is missing", account)).await;
    stage.mend(&mend).await;
    let says = "2 of 2 running pods do not carry their role";
    stage.is_found_and_mended(&lbc(1, "EKB-IRSA-006", says, restart)).await;

    annotate(stage, "ebs-csi-controller-sa", &json!("arn:aws:iam::999988887777:role/ebs")).await;
    let mend = format!(
        "kubectl annotate serviceaccount ebs-csi-controller-sa -n kube-system \
         {ROLE_ANNOTATION}=arn:aws:iam::111122223333:role/{} --overwrite",
        world.ebs_role
    );
    let says = "the annotation names a role of another account";
    stage.is_found_and_mended(&ebs(2, "EKB-IRSA-002", says, mend.leak())).await;
}

async fn owners(stage: &Stage) {
    // Another tool's service account, with its role.
    let marks = json!({"metadata": {
        "labels": {"app.kubernetes.io/managed-by": "eksctl"},
        "annotations": {ROLE_ANNOTATION: "arn:aws:iam::111122223333:role/eksctl-demo"},
    }});
    stage.lab.patch(&format!("{ACCOUNTS}/{LBC}"), &marks).await;
    let adopt = "eks-bootstrap apply --only k8s.service-account.lbc --adopt k8s.service-account.lbc";
    let says = "the service account belongs to eksctl and does not fit";
    stage.is_found_and_mended(&lbc(3, "EKB-OWN-004", says, adopt)).await;
    // What was adopted would be given back by destroy; from here on it is ours again.
    stage.lab.delete(&format!("{ACCOUNTS}/{LBC}")).await;
    stage.mend("eks-bootstrap apply --only k8s.service-account.lbc").await;

    let fields =
        json!({"spec": {"template": {"spec": {"serviceAccountName": "default", "serviceAccount": "default"}}}});
    stage.lab.patch(&format!("{DEPLOYMENTS}/{LBC}"), &fields).await;
    restarted(stage, |pod| pod["spec"]["serviceAccountName"] == "default").await;
    let set = "kubectl set serviceaccount deployment/aws-load-balancer-controller aws-load-balancer-controller -n kube-system";
    stage.is_found_and_mended(&lbc(3, "EKB-IRSA-007", "runs as another service account", set)).await;

    let eks = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "EKS"}}});
    stage.lab.patch("/apis/storage.k8s.io/v1/csidrivers/ebs.csi.aws.com", &eks).await;
    let label = "kubectl label csidriver ebs.csi.aws.com app.kubernetes.io/managed-by=Helm --overwrite && kubectl \
                 annotate csidriver ebs.csi.aws.com meta.helm.sh/release-name=aws-ebs-csi-driver \
                 meta.helm.sh/release-namespace=kube-system --overwrite";
    stage.is_found_and_mended(&ebs(15, "EKB-OWN-004", "managed-by=EKS", label)).await;
}

async fn two_managers(stage: &Stage, world: &World<'_>) {
    let eks = stage.lab.eks().await;
    eks.create_addon().cluster_name("demo").addon_name("aws-ebs-csi-driver").send().await.unwrap();
    let delete = "aws eks delete-addon --cluster-name demo --addon-name aws-ebs-csi-driver --preserve";
    let says = "an EKS add-on and a helm release both install it";
    // Over a release EKS refuses to install it, unless it is told to overwrite what others own.
    stage.is_found_and_mended(&ebs(15, "EKB-OWN-001", says, delete)).await;
    let create = eks.create_addon().cluster_name("demo").addon_name("aws-ebs-csi-driver");
    create.resolve_conflicts(ResolveConflicts::Overwrite).send().await.unwrap();
    let driver = ObjectRef::new("storage.k8s.io/v1", "CSIDriver", "", "ebs.csi.aws.com");
    stage.lab.until(&driver, |it| it["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "EKS").await;
    let mend = stage.finds(&ebs(15, "EKB-OWN-001", says, delete)).await;
    stage.mend(&mend).await;
    stage.is_mended_step_by_step().await;

    let name = "alb-ingress-controller";
    let labels = json!({"app.kubernetes.io/name": name});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "old"}]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": pod});
    let old = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec});
    stage.lab.create(DEPLOYMENTS, &old).await;
    let delete = "kubectl delete deployment alb-ingress-controller -n kube-system";
    stage.is_found_and_mended(&lbc(15, "EKB-OWN-002", "its predecessor still runs", delete)).await;

    let role = format!("arn:aws:iam::111122223333:role/{}", world.ebs_role);
    let call = eks.create_pod_identity_association().cluster_name("demo").namespace("kube-system");
    call.service_account("ebs-csi-controller-sa").role_arn(role).send().await.unwrap();
    let back = "eks-bootstrap migrate --to irsa --component ebs --adopt eks.pod-identity.ebs";
    let says = "a Pod Identity association exists, and new pods get its role";
    stage.is_found_and_mended(&Fault { about: Some("ebs"), ..warned(11, "EKB-PODID-001", says, back) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partition_is_told_from_another_role() {
    let seed = Seed::from_yaml(
        "account: \"111122223333\"\npartition: aws-cn\nregion: cn-north-1\n\
         clusters:\n- name: demo\n  version: \"1.34\"\n  nodegroups: [{name: a, role: nodes, nodes: 2}]\n",
    )
    .unwrap();
    let stage = Stage::with(seed).await;
    let account = stage.lab.object("v1", "ServiceAccount", LBC).await;
    let right = account["metadata"]["annotations"][ROLE_ANNOTATION].as_str().unwrap().to_owned();
    annotate(&stage, LBC, &json!(right.replace("arn:aws-cn:", "arn:aws:"))).await;
    let says = "the annotation names a role of another partition";
    let account = "eks-bootstrap apply --only k8s.service-account.lbc";
    stage.is_found_and_mended(&lbc(17, "EKB-IRSA-002", says, account)).await;
    stage.destroyed().await;
    stage.stop().await;
}
