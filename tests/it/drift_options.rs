//! Drift of what organisations ask for: boundaries, tags, keys, images of another registry, with both versions of Helm where
//! Helm is involved. Every row is broken, planned, mended and planned again, as in `drift.rs`.

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::json;

use crate::drift::{Drift, World, all_is_mended, mend};
use crate::support::{Lab, helm};

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const BOUNDARY: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const WANTED: [&str; 10] = [
    "--permissions-boundary",
    BOUNDARY,
    "--tag",
    "team=a",
    "--iam-path",
    "/platform/",
    "--kms-key",
    KEY,
    "--image-registry",
    "registry.example.com/eks",
];

/// Drift -> the steps that write, each with its calls.
pub(crate) const IN_AWS: [Drift; 9] = [
    ("boundary removed", &[("iam.role.lbc", &["iam:PutRolePermissionsBoundary"])]),
    ("another boundary", &[("iam.role.ebs", &["iam:PutRolePermissionsBoundary"])]),
    ("tag of the organisation removed from a role", &[("iam.role.ebs", &["iam:TagRole"])]),
    ("tag of the organisation changed on a policy", &[("iam.policy.lbc", &["iam:TagPolicy"])]),
    ("tag of the organisation removed from the provider", &[("iam.oidc-provider", &["iam:TagOpenIDConnectProvider"])]),
    ("policy for KMS keys rolled back", &[("iam.policy.ebs-kms", &["iam:SetDefaultPolicyVersion"])]),
    ("policy for KMS keys without its version", &[("iam.policy.ebs-kms", &["iam:CreatePolicyVersion"])]),
    ("policy for KMS keys detached", &[("iam.attachment.ebs", &["iam:AttachRolePolicy"])]),
    (
        "policy for KMS keys deleted",
        &[("iam.policy.ebs-kms", &["iam:CreatePolicy"]), ("iam.attachment.ebs", &["iam:AttachRolePolicy"])],
    ),
];

pub(crate) const OF_HELM: [Drift; 2] = [
    ("controller's image from another registry", &[("helm.lbc", &["helm:upgrade"])]),
    ("driver's image from another registry", &[("helm.ebs", &["helm:upgrade"])]),
];

/// Upgrades a release by hand, with the image that the chart has.
async fn move_image(lab: &Lab, release: &str, repository: &str) {
    let chart = lab.charts().join(release).display().to_string();
    let image = format!("image.repository={repository}");
    lab.helm(&["upgrade", release, &chart, "-n", "kube-system", "--reuse-values", "--set", &image]).await;
}

async fn break_by(lab: &Lab, world: &World<'_>, drift: &str) {
    let iam = &world.iam;
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    let arn = |keys: bool| {
        let of = |arn: &&str| arn.contains("-kms") == keys;
        policies.policies().iter().filter_map(|policy| policy.arn()).find(of).unwrap().to_owned()
    };
    let other =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY}});
    let roll_back = async || {
        let call = iam.create_policy_version().policy_arn(arn(true)).policy_document(other.to_string());
        call.set_as_default(true).send().await.unwrap();
    };
    let detach = async || {
        iam.detach_role_policy().role_name(&world.ebs_role).policy_arn(arn(true)).send().await.unwrap();
    };
    match drift {
        "boundary removed" => {
            iam.delete_role_permissions_boundary().role_name(&world.lbc_role).send().await.map(drop).unwrap();
        }
        "another boundary" => {
            let call = iam.put_role_permissions_boundary().role_name(&world.ebs_role);
            call.permissions_boundary("arn:aws:iam::aws:policy/PowerUserAccess").send().await.map(drop).unwrap();
        }
        "tag of the organisation removed from a role" => {
            iam.untag_role().role_name(&world.ebs_role).tag_keys("team").send().await.map(drop).unwrap();
        }
        "tag of the organisation changed on a policy" => {
            let tag = aws_sdk_iam::types::Tag::builder().key("team").value("b").build().unwrap();
            iam.tag_policy().policy_arn(arn(false)).tags(tag).send().await.map(drop).unwrap();
        }
        "tag of the organisation removed from the provider" => {
            let call = iam.untag_open_id_connect_provider().open_id_connect_provider_arn(&world.provider);
            call.tag_keys("team").send().await.map(drop).unwrap();
        }
        "policy for KMS keys rolled back" => roll_back().await,
        "policy for KMS keys without its version" => {
            roll_back().await;
            let versions = iam.list_policy_versions().policy_arn(arn(true)).send().await.unwrap();
            for version in versions.versions().iter().filter(|version| !version.is_default_version()) {
                let call = iam.delete_policy_version().policy_arn(arn(true));
                call.version_id(version.version_id().unwrap()).send().await.unwrap();
            }
        }
        "policy for KMS keys detached" => detach().await,
        "policy for KMS keys deleted" => {
            detach().await;
            let versions = iam.list_policy_versions().policy_arn(arn(true)).send().await.unwrap();
            for version in versions.versions().iter().filter(|version| !version.is_default_version()) {
                let call = iam.delete_policy_version().policy_arn(arn(true));
                call.version_id(version.version_id().unwrap()).send().await.unwrap();
            }
            iam.delete_policy().policy_arn(arn(true)).send().await.map(drop).unwrap();
        }
        "controller's image from another registry" => {
            let chart = "aws-load-balancer-controller";
            move_image(lab, chart, &format!("public.ecr.aws/eks/{chart}")).await;
        }
        "driver's image from another registry" => {
            let chart = "aws-ebs-csi-driver";
            move_image(lab, chart, &format!("public.ecr.aws/ebs-csi-driver/{chart}")).await;
        }
        other => panic!("no such drift: {other}"),
    }
}

async fn start(major: HelmMajor) -> Lab {
    let lab = Lab::with(Seed::builtin(), helm(major)).await;
    lab.run(&[&["apply", "--yes"], &WANTED[..]].concat()).await.expect(0);
    lab
}

async fn mend_all(lab: &Lab, drifts: &[Drift]) {
    let world = World::of(lab).await;
    for (drift, expected) in drifts {
        break_by(lab, &world, drift).await;
        mend(lab, drift, expected, &WANTED).await;
    }
    all_is_mended(lab, &WANTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drift_of_an_organisations_options_is_mended_with_helm_4() {
    let lab = start(HelmMajor::Four).await;
    let before = lab.sandbox.simulator.snapshot();
    mend_all(&lab, &IN_AWS).await;
    mend_all(&lab, &OF_HELM).await;
    // Whoever made it, an object under another path is not taken for ours, and none is made beside it.
    let moved = WANTED.map(|word| if word == "/platform/" { "/other/" } else { word });
    let elsewhere = [&["plan", "-o", "json"], &moved[..]].concat();
    let plan = lab.run(&elsewhere).await.expect(0).json();
    let role = plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == "iam.role.lbc").unwrap();
    assert_eq!((&role["action"], &role["mend"]), (&json!("blocked"), &json!("--iam-path /platform/")), "{role:#}");
    let after = lab.sandbox.simulator.snapshot();
    assert_eq!(after["roles"], before["roles"], "mended to the same");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_another_registry_are_mended_with_helm_3() {
    let lab = start(HelmMajor::Three).await;
    mend_all(&lab, &OF_HELM).await;
    lab.stop().await;
}
