//! The EBS CSI driver as an EKS add-on: installed with its objects, compared field by field, waited for with the cause in
//! sight, deleted by destroy, and never mixed with the chart.

use crate::support::HelmMajor;
use eks_bootstrap::policy::Document;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{Seed, SeedIssue};
use serde_json::{Value, json};

use crate::drift::{Drift, all_is_mended, mend};
use crate::support::{Lab, helm};

const ADDON: &str = "aws-ebs-csi-driver";
const STEP: &str = "eks.addon.ebs";
const BY_EKS: [&str; 4] = ["--ebs-managed-by", "eks-addon", "--ebs-addon-version", "v1.64.0-eksbuild.1"];
/// Only the driver, so that the run is about the add-on.
const DRIVER: [&str; 2] = ["--disable", "aws-load-balancer-controller"];

fn wanted() -> Vec<&'static str> {
    [&BY_EKS[..], &DRIVER].concat()
}

fn with(command: &[&'static str]) -> Vec<&'static str> {
    [command, &wanted()].concat()
}

fn step(plan: &Value, id: &str) -> Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).cloned().unwrap()
}

fn issue(code: &str, message: &str) -> Vec<SeedIssue> {
    vec![SeedIssue { code: code.to_owned(), message: message.to_owned(), resource_ids: Vec::new() }]
}

async fn eks(lab: &Lab) -> aws_sdk_eks::Client {
    let key = lab.sandbox.simulator.access_key();
    let credentials =
        aws_credential_types::Credentials::new(key.access_key_id, key.secret_access_key, None, None, "test");
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region("eu-west-1")
        .http_client(lab.sandbox.simulator.http_client())
        .credentials_provider(credentials)
        .load()
        .await;
    aws_sdk_eks::Client::new(&config)
}

/// Waits until an update of the add-on is over.
pub(crate) async fn settled(lab: &Lab) {
    let eks = eks(lab).await;
    for _ in 0..1200 {
        let answer = eks.describe_addon().cluster_name("demo").addon_name(ADDON).send().await.unwrap();
        if answer.addon().unwrap().status().unwrap().as_str() == "ACTIVE" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the add-on does not become ACTIVE");
}

pub(crate) const DRIFTS: [Drift; 5] = [
    ("another version", &[(STEP, &["eks:UpdateAddon"])]),
    ("configuration changed", &[(STEP, &["eks:UpdateAddon"])]),
    ("add-on untagged", &[(STEP, &["eks:TagResource"])]),
    ("object of the add-on deleted", &[(STEP, &["eks:UpdateAddon"])]),
    ("add-on deleted", &[(STEP, &["eks:CreateAddon"])]),
];

async fn break_by(lab: &Lab, drift: &str) {
    let eks = eks(lab).await;
    let described = eks.describe_addon().cluster_name("demo").addon_name(ADDON).send().await.unwrap();
    let addon = described.addon().unwrap();
    let update = eks.update_addon().cluster_name("demo").addon_name(ADDON);
    let update = update.set_service_account_role_arn(addon.service_account_role_arn().map(ToOwned::to_owned));
    match drift {
        "another version" => drop(update.addon_version("v1.58.0-eksbuild.1").send().await.unwrap()),
        "configuration changed" => {
            drop(update.configuration_values(r#"{"controller":{"replicaCount":3}}"#).send().await.unwrap());
        }
        "add-on untagged" => {
            let untag = eks.untag_resource().resource_arn(addon.addon_arn().unwrap());
            untag.tag_keys("eks-bootstrap/component").send().await.unwrap();
        }
        "object of the add-on deleted" => {
            lab.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/ebs-csi-node").await;
            lab.gone(&ObjectRef::new("apps/v1", "DaemonSet", "kube-system", "ebs-csi-node")).await;
        }
        "add-on deleted" => {
            eks.delete_addon().cluster_name("demo").addon_name(ADDON).send().await.unwrap();
            lab.gone(&ObjectRef::new("apps/v1", "Deployment", "kube-system", "ebs-csi-controller")).await;
            while eks.describe_addon().cluster_name("demo").addon_name(ADDON).send().await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            return;
        }
        other => panic!("no such drift: {other}"),
    }
    settled(lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_installed_mended_and_deleted() {
    let mut seed = Seed::builtin();
    // CREATING is to be seen before ACTIVE.
    seed.settle_seconds = 2;
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let before = lab.sandbox.simulator.snapshot();
    let printed = lab.run(&with(&["permissions", "--for", "apply"])).await.expect(0).stdout;
    lab.sandbox.simulator.set_caller_policy(Some(Document::parse(&printed).unwrap()));
    let run = lab.run(&with(&["apply", "--yes", "-o", "json"])).await.expect(0);
    lab.sandbox.simulator.set_caller_policy(None);
    assert!(
        run.stdout.contains(
            "add-on v1.64.0-eksbuild.1 is CREATING; Deployment/kube-system/ebs-csi-controller does not exist yet"
        ),
        "{}",
        run.stdout
    );
    assert_eq!(lab.helm_runs().iter().filter(|run| run.contains("upgrade")).count(), 0);
    let account = lab.object("v1", "ServiceAccount", "ebs-csi-controller-sa").await;
    let role = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].as_str().unwrap();
    assert!(role.contains(":role/demo-aws-ebs-csi-driver-"), "{role}");
    assert_eq!(account["metadata"]["labels"]["app.kubernetes.io/managed-by"], "EKS");
    lab.object("apps/v1", "DaemonSet", "ebs-csi-node").await;

    lab.forget();
    lab.run(&with(&["plan", "--detailed-exitcode"])).await.expect(0);
    let run = lab.run(&with(&["apply", "--yes"])).await.expect(0);
    assert!(run.stdout.starts_with("nothing to do"), "{}", run.stdout);
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
    for (drift, expected) in DRIFTS {
        break_by(&lab, drift).await;
        mend(&lab, drift, expected, &wanted()).await;
    }
    all_is_mended(&lab, &wanted()).await;

    // Without the flag nothing is installed over it, and nothing is forgotten.
    let plan = lab.run(&[&["plan", "-o", "json"], &DRIVER[..]].concat()).await.expect(0).json();
    let helm = step(&plan, "helm.ebs");
    assert_eq!((&helm["action"], &helm["mend"]), (&json!("blocked"), &json!("--ebs-managed-by eks-addon")), "{helm:#}");
    assert!(helm["reason"].as_str().unwrap().contains("--only eks.addon.ebs` (with --leave-volumes"), "{helm:#}");
    lab.run(&[&["apply", "--yes"], &DRIVER[..]].concat()).await.expect(4);

    lab.run(&["destroy", "--confirm", "demo"]).await.expect(0);
    assert_eq!(lab.sandbox.simulator.snapshot(), before);
    lab.gone(&ObjectRef::new("apps/v1", "Deployment", "kube-system", "ebs-csi-controller")).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_and_an_addon_of_others_are_not_mixed() {
    let lab = Lab::start().await;
    lab.run(&[&["apply", "--yes"], &DRIVER[..]].concat()).await.expect(0);
    lab.forget();
    let refused = lab.run(&with(&["apply", "--yes"])).await.expect(4);
    assert!(refused.stderr.contains("--ebs-managed-by helm"), "{}", refused.stderr);
    let plan = lab.run(&with(&["plan", "-o", "json"])).await.expect(0).json();
    let reason = step(&plan, STEP)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("eks-bootstrap destroy --cluster demo --only helm.ebs"), "{reason}");
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
    // The order that the plan gives works.
    lab.run(&["destroy", "--confirm", "demo", "--only", "helm.ebs"]).await.expect(0);
    lab.run(&with(&["apply", "--yes"])).await.expect(0);
    lab.run(&with(&["plan", "--detailed-exitcode"])).await.expect(0);
    // And back.
    let back = ["destroy", "--confirm", "demo", "--ebs-managed-by", "eks-addon", "--only", STEP];
    lab.run(&back).await.expect(0);
    lab.gone(&ObjectRef::new("v1", "ServiceAccount", "kube-system", "ebs-csi-controller-sa")).await;
    lab.run(&[&["apply", "--yes"], &DRIVER[..]].concat()).await.expect(0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_eks_finds_wrong_is_told_at_once() {
    let lab = Lab::start().await;
    let simulator = &lab.sandbox.simulator;
    simulator.addon_ends(
        ADDON,
        "CREATE_FAILED",
        issue("ConfigurationConflict", "ServiceAccount ebs-csi-controller-sa"),
    );
    let began = std::time::Instant::now();
    let failed = lab.run(&with(&["apply", "--yes"])).await.expect(1);
    assert!(failed.stderr.contains("CREATE_FAILED: ConfigurationConflict: ServiceAccount"), "{}", failed.stderr);
    assert!(failed.stderr.contains("--adopt eks.addon.ebs"), "{}", failed.stderr);
    assert!(began.elapsed().as_secs() < 60, "not after the timeout of ten minutes");
    // The next run takes it up.
    lab.run(&with(&["apply", "--yes"])).await.expect(0);

    simulator.set_addon_health("demo", ADDON, "DEGRADED", &issue("InsufficientNumberOfReplicas", "1 of 2"));
    let plan = lab.run(&with(&["plan", "-o", "json"])).await.expect(0).json();
    let found = step(&plan, STEP);
    assert_eq!(found["action"], "unknown");
    assert!(
        found["reason"].as_str().unwrap().ends_with("is DEGRADED: InsufficientNumberOfReplicas: 1 of 2"),
        "{found:#}"
    );
    // Nothing is to be written, and nothing is well either.
    let unwell = lab.run(&with(&["apply", "--yes"])).await.expect(1);
    assert!(unwell.stderr.contains("is DEGRADED: InsufficientNumberOfReplicas: 1 of 2"), "{}", unwell.stderr);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_someone_else_installed_is_adopted_only_on_request_and_given_back() {
    let mut seed = Seed::builtin();
    let addon: Seed = serde_saphyr::from_str(
        "account: \"111122223333\"\nregion: eu-west-1\nclusters: [{name: demo, addons: [{name: aws-ebs-csi-driver, tags: {team: a}}]}]\n",
    )
    .unwrap();
    seed.clusters[0].addons.extend(addon.clusters[0].addons.clone());
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let only = ["--only", STEP, "--only", "iam.role.ebs"];
    let run = async |command: &[&'static str], more: &[&'static str]| {
        lab.run(&[&with(command)[..], &only, more].concat()).await
    };
    let plan = run(&["plan", "-o", "json"], &[]).await.expect(0).json();
    assert_eq!(step(&plan, STEP)["mend"], "--adopt eks.addon.ebs");
    run(&["apply", "--yes"], &[]).await.expect(4);
    run(&["apply", "--yes"], &["--adopt", STEP]).await.expect(0);
    run(&["plan", "--detailed-exitcode"], &[]).await.expect(0);
    run(&["destroy", "--confirm", "demo"], &[]).await.expect(0);
    let world = lab.sandbox.simulator.snapshot();
    let tags = &world["clusters"]["eu-west-1/demo"]["addons"][ADDON]["tags"];
    assert_eq!(tags, &json!({"team": "a"}), "it stays and is theirs again");
    lab.stop().await;
}
