//! Idempotence and drift: the world is broken in one way at a time, the plan shows exactly that, apply mends exactly that,
//! and the plan is empty again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};

use aws_sdk_iam::Client as Iam;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::Seed;

use crate::permissions;
use crate::support::{Lab, helm};

const LBC: &str = "aws-load-balancer-controller";
const EBS: &str = "aws-ebs-csi-driver";
const OTHER_POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeVpcs","Resource":"*"}]}"#;

/// Names and clients for breaking things.
pub(crate) struct World<'a> {
    lab: &'a Lab,
    pub(crate) iam: Iam,
    pub(crate) provider: String,
    pub(crate) lbc_role: String,
    pub(crate) ebs_role: String,
    pub(crate) policy: String,
}

impl World<'_> {
    pub(crate) async fn of(lab: &Lab) -> World<'_> {
        let iam = lab.iam().await;
        let role = async |component: &str| {
            let roles = iam.list_roles().send().await.unwrap();
            let ours = |name: &str| name.contains(component);
            roles.roles().iter().map(|role| role.role_name().to_owned()).find(|name| ours(name)).unwrap()
        };
        let providers = iam.list_open_id_connect_providers().send().await.unwrap();
        let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
        World {
            lab,
            provider: providers.open_id_connect_provider_list()[0].arn().unwrap().to_owned(),
            lbc_role: role(LBC).await,
            ebs_role: role(EBS).await,
            policy: policies.policies()[0].arn().unwrap().to_owned(),
            iam,
        }
    }

    pub(crate) async fn break_by(&self, drift: &str) {
        let iam = &self.iam;
        match drift {
            "audience removed" => {
                let call = iam.remove_client_id_from_open_id_connect_provider();
                call.open_id_connect_provider_arn(&self.provider).client_id("sts.amazonaws.com").send().await.unwrap();
            }
            "provider deleted" => {
                let call = iam.delete_open_id_connect_provider();
                call.open_id_connect_provider_arn(&self.provider).send().await.unwrap();
            }
            "trust edited" => {
                let role = iam.get_role().role_name(&self.lbc_role).send().await.unwrap();
                let trust = role.role().unwrap().assume_role_policy_document().unwrap().to_owned();
                let trust = percent_encoding::percent_decode_str(&trust).decode_utf8().unwrap().replace(LBC, "aws-lb");
                iam.update_assume_role_policy().role_name(&self.lbc_role).policy_document(trust).send().await.unwrap();
            }
            "description changed" => {
                iam.update_role().role_name(&self.ebs_role).description("mine").send().await.unwrap();
            }
            "tag removed" => {
                let call = iam.untag_role().role_name(&self.lbc_role);
                call.tag_keys("eks-bootstrap/component").send().await.unwrap();
            }
            "provider untagged" => {
                let call = self.iam.untag_open_id_connect_provider().open_id_connect_provider_arn(&self.provider);
                call.tag_keys("eks-bootstrap/cluster").send().await.unwrap();
            }
            "policy untagged" => {
                let call = self.iam.untag_policy().policy_arn(&self.policy);
                call.tag_keys("eks-bootstrap/component").send().await.unwrap();
            }
            "policy version rolled back" => self.other_policy_version().await,
            "policy full of other versions" => {
                // Five versions, none of which says what is wanted.
                let versions = iam.list_policy_versions().policy_arn(&self.policy).send().await.unwrap();
                for version in versions.versions().iter().filter(|version| !version.is_default_version()) {
                    let call = iam.delete_policy_version().policy_arn(&self.policy);
                    call.version_id(version.version_id().unwrap()).send().await.unwrap();
                }
                let wanted = versions.versions().iter().find(|version| version.is_default_version()).unwrap();
                self.other_policy_version().await;
                let call = iam.delete_policy_version().policy_arn(&self.policy);
                call.version_id(wanted.version_id().unwrap()).send().await.unwrap();
                for _ in 0..4 {
                    self.other_policy_version().await;
                }
            }
            "attachment detached" => {
                let call = iam.detach_role_policy().role_name(&self.lbc_role).policy_arn(&self.policy);
                call.send().await.unwrap();
            }
            "role deleted" => {
                let arn = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";
                iam.detach_role_policy().role_name(&self.ebs_role).policy_arn(arn).send().await.unwrap();
                iam.delete_role().role_name(&self.ebs_role).send().await.unwrap();
            }
            "annotation changed" => {
                let other = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/other"});
                let path = format!("/api/v1/namespaces/kube-system/serviceaccounts/{LBC}");
                self.lab.patch(&path, &json!({"metadata": {"annotations": other}})).await;
            }
            "annotation of the chart's account changed" => {
                let other = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/other"});
                let path = "/api/v1/namespaces/kube-system/serviceaccounts/ebs-csi-controller-sa";
                self.lab.patch(path, &json!({"metadata": {"annotations": other}})).await;
            }
            "service account deleted" => {
                self.lab.delete(&format!("/api/v1/namespaces/kube-system/serviceaccounts/{LBC}")).await;
            }
            "CRD deleted" => {
                let name = "targetgroupbindings.elbv2.k8s.aws";
                self.lab.delete(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")).await;
            }
            "release deleted" => self.lab.helm(&["uninstall", EBS, "-n", "kube-system"]).await,
            "values changed" => self.upgrade(&self.lab.charts().join(LBC).display().to_string()).await,
            "chart version changed" => {
                let chart = self.lab.work.path().join("older");
                copy(&self.lab.charts().join(LBC), &chart);
                let metadata = fs::read_to_string(chart.join("Chart.yaml")).unwrap();
                fs::write(chart.join("Chart.yaml"), metadata.replace("version: 3.5.0", "version: 3.4.0")).unwrap();
                self.upgrade(&chart.display().to_string()).await;
            }
            "object deleted" => {
                self.lab.delete(&format!("/apis/apps/v1/namespaces/kube-system/deployments/{LBC}")).await;
            }
            "release failed" => self.mark(LBC, "failed").await,
            "upgrade interrupted" => self.mark(LBC, "pending-upgrade").await,
            "edited by hand and failed" => {
                self.scale(5).await;
                self.mark(LBC, "failed").await;
            }
            "edited by hand and interrupted" => {
                self.scale(4).await;
                self.mark(LBC, "pending-upgrade").await;
            }
            "install interrupted" => {
                self.lab.helm(&["uninstall", EBS, "-n", "kube-system"]).await;
                self.lab.run(&["apply", "--yes"]).await.expect(0);
                self.mark(EBS, "pending-install").await;
            }
            other => panic!("no such drift: {other}"),
        }
    }

    async fn other_policy_version(&self) {
        let call = self.iam.create_policy_version().policy_arn(&self.policy).policy_document(OTHER_POLICY);
        call.set_as_default(true).send().await.unwrap();
    }

    /// Changes a field that the chart sets, under another field manager.
    async fn scale(&self, replicas: u32) {
        let path = format!("/apis/apps/v1/namespaces/kube-system/deployments/{LBC}");
        self.lab.patch(&path, &json!({"spec": {"replicas": replicas}})).await;
    }

    /// Upgrades the controller by hand, with one value that is not ours.
    async fn upgrade(&self, chart: &str) {
        self.lab
            .helm(&["upgrade", LBC, chart, "-n", "kube-system", "--reuse-values", "--set", "enableShield=false"])
            .await;
    }

    /// Gives the newest record of a release another status, as a helm of ours that was killed leaves it.
    async fn mark(&self, release: &str, status: &str) {
        let records =
            self.lab.reader().await.list("v1", "Secret", "kube-system", &format!("owner=helm,name={release}")).await;
        let number =
            |secret: &Value| -> u64 { secret["metadata"]["labels"]["version"].as_str().unwrap().parse().unwrap() };
        let record = records.unwrap().into_iter().max_by_key(number).unwrap();
        let packed = STANDARD.decode(STANDARD.decode(record["data"]["release"].as_str().unwrap()).unwrap()).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        let mut release: Value = serde_json::from_str(&text).unwrap();
        release["info"]["status"] = json!(status);
        // This process, started at another time: one that has ended, and whose id was given again.
        let writer = eks_bootstrap::helm_writer::label(number(&record)).unwrap();
        let mut writer: Vec<_> = writer.split('.').collect();
        writer[2] = "1";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(release.to_string().as_bytes()).unwrap();
        let text = STANDARD.encode(STANDARD.encode(gzip.finish().unwrap()));
        let path = format!("/api/v1/namespaces/kube-system/secrets/{}", record["metadata"]["name"].as_str().unwrap());
        let labels = json!({"status": status, eks_bootstrap::helm_writer::WRITER_LABEL: writer.join(".")});
        let fields = json!({"data": {"release": text}, "metadata": {"labels": labels}});
        self.lab.patch(&path, &fields).await;
    }
}

pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap();
        }
    }
}

/// The steps that write, with their calls.
fn writing(plan: &Value) -> Vec<(String, Vec<String>)> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|call| call.as_str().unwrap().to_owned()).collect()
    };
    plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| !step["calls"].as_array().unwrap().is_empty())
        .map(|step| (step["id"].as_str().unwrap().to_owned(), strings(&step["calls"])))
        .collect()
}

pub(crate) type Drift = (&'static str, &'static [(&'static str, &'static [&'static str])]);

/// Drift -> the steps that write, each with its calls.
pub(crate) const IAM_AND_KUBERNETES: [Drift; 15] = [
    ("audience removed", &[("iam.oidc-provider", &["iam:AddClientIDToOpenIDConnectProvider"])]),
    ("provider deleted", &[("iam.oidc-provider", &["iam:CreateOpenIDConnectProvider"])]),
    ("trust edited", &[("iam.role.lbc", &["iam:UpdateAssumeRolePolicy"])]),
    ("description changed", &[("iam.role.ebs", &["iam:UpdateRole"])]),
    ("tag removed", &[("iam.role.lbc", &["iam:TagRole"])]),
    ("provider untagged", &[("iam.oidc-provider", &["iam:TagOpenIDConnectProvider"])]),
    ("policy untagged", &[("iam.policy.lbc", &["iam:TagPolicy"])]),
    ("policy version rolled back", &[("iam.policy.lbc", &["iam:SetDefaultPolicyVersion"])]),
    ("policy full of other versions", &[("iam.policy.lbc", &["iam:DeletePolicyVersion", "iam:CreatePolicyVersion"])]),
    ("attachment detached", &[("iam.attachment.lbc", &["iam:AttachRolePolicy"])]),
    ("role deleted", &[("iam.role.ebs", &["iam:CreateRole"]), ("iam.attachment.ebs", &["iam:AttachRolePolicy"])]),
    ("annotation changed", &[("k8s.service-account.lbc", &["k8s:patch ServiceAccount"])]),
    ("annotation of the chart's account changed", &[("helm.ebs", &["k8s:patch ServiceAccount"])]),
    ("service account deleted", &[("k8s.service-account.lbc", &["k8s:patch ServiceAccount"])]),
    ("CRD deleted", &[("k8s.crds.lbc", &["k8s:patch CustomResourceDefinition"])]),
];

pub(crate) const HELM: [Drift; 9] = [
    ("release deleted", &[("helm.ebs", &["helm:upgrade"])]),
    ("values changed", &[("helm.lbc", &["helm:upgrade"])]),
    ("chart version changed", &[("helm.lbc", &["helm:upgrade"])]),
    ("object deleted", &[("helm.lbc", &["helm:upgrade"])]),
    ("release failed", &[("helm.lbc", &["helm:upgrade"])]),
    ("upgrade interrupted", &[("helm.lbc", &["helm:rollback"])]),
    ("install interrupted", &[("helm.ebs", &["helm:uninstall", "helm:upgrade"])]),
    ("edited by hand and failed", &[("helm.lbc", &["helm:upgrade"])]),
    ("edited by hand and interrupted", &[("helm.lbc", &["helm:rollback"])]),
];

/// Breaks, plans and mends, for every row.
async fn mend_all(lab: &Lab, drifts: &[Drift], used: &mut BTreeSet<String>) {
    let allowed = permissions::of(lab, "apply").await;
    let world = World::of(lab).await;
    for (drift, expected) in drifts {
        world.break_by(drift).await;
        mend(lab, drift, expected, &[]).await;
        used.extend(permissions::covered(&allowed, &lab.sandbox.simulator.calls()));
    }
    all_is_mended(lab, &[]).await;
}

/// Plans and mends one drift; returns the plan. That nothing of the one before is left shows in this plan, and after the last one
/// in [`all_is_mended`].
pub(crate) async fn mend(lab: &Lab, drift: &str, expected: &[(&str, &[&str])], wanted: &[&str]) -> Value {
    let command = |words: &[&'static str]| [words, wanted].concat();
    let plan = lab.run(&command(&["plan", "-o", "json", "--detailed-exitcode"])).await.expect(2).json();
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, calls)| ((*id).to_owned(), calls.iter().map(|call| (*call).to_owned()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(writing(&plan), expected, "{drift}: {plan:#}");
    lab.forget();
    lab.run(&command(&["apply", "--yes"])).await.expect(0);
    let aws: usize = expected.iter().flat_map(|(_, calls)| calls).filter(|call| !call.starts_with("k8s:")).count();
    let aws = aws - expected.iter().flat_map(|(_, calls)| calls).filter(|call| call.starts_with("helm:")).count();
    assert_eq!(lab.aws_writes().len(), aws, "{drift}: {:?}", lab.aws_writes());
    plan
}

/// There is nothing to do any more.
pub(crate) async fn all_is_mended(lab: &Lab, wanted: &[&str]) {
    let plan = lab.run(&[&["plan", "-o", "json", "--detailed-exitcode"], wanted].concat()).await.expect(0).json();
    assert_eq!(writing(&plan), []);
}

/// A second apply writes nothing, neither to AWS nor to Kubernetes, and does not start helm.
pub(crate) async fn second_apply_is_nothing(lab: &Lab, wanted: &[&str]) {
    let objects = [
        ("v1", "ServiceAccount", LBC),
        ("v1", "ServiceAccount", "ebs-csi-controller-sa"),
        ("apps/v1", "Deployment", LBC),
        ("apps/v1", "Deployment", "ebs-csi-controller"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "targetgroupbindings.elbv2.k8s.aws"),
    ];
    let versions = async || {
        let mut versions = Vec::new();
        for (api_version, kind, name) in objects {
            let object = lab.object(api_version, kind, name).await;
            versions.push((
                name,
                object["metadata"]["generation"].clone(),
                object["metadata"]["managedFields"].clone(),
            ));
        }
        let records = lab.reader().await.list("v1", "Secret", "kube-system", "owner=helm").await.unwrap();
        (versions, records.len())
    };
    let before = versions().await;
    lab.forget();
    let run = lab.run(&[&["apply", "--yes"], wanted].concat()).await.expect(0);
    assert!(run.stdout.starts_with("nothing to do"), "{}", run.stdout);
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
    assert_eq!(lab.helm_runs(), Vec::<String>::new());
    assert_eq!(versions().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_drift_is_found_and_mended_with_helm_4() {
    let lab = Lab::start().await;
    let allowed = permissions::of(&lab, "apply").await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    let mut used = permissions::covered(&allowed, &lab.sandbox.simulator.calls());
    second_apply_is_nothing(&lab, &[]).await;
    mend_all(&lab, &IAM_AND_KUBERNETES, &mut used).await;
    mend_all(&lab, &HELM, &mut used).await;
    second_apply_is_nothing(&lab, &[]).await;
    // The least policy holds nothing that no run ever needed, but for the courtesy of naming clusters that exist, and tags of
    // volumes, which are asked where a volume may lack one that the driver's policy wants (`policies_of_choice.rs`). Providers of
    // former issuers are deleted where a cluster was made again (`former_issuers.rs`).
    let elsewhere = ["eks:ListClusters", "tag:GetResources", "iam:DeleteOpenIDConnectProvider"];
    used.extend(elsewhere.map(ToOwned::to_owned));
    assert_eq!(permissions::actions(&allowed), used);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_helm_drift_is_found_and_mended_with_helm_3() {
    let lab = Lab::with(Seed::builtin(), helm(HelmMajor::Three)).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    second_apply_is_nothing(&lab, &[]).await;
    mend_all(&lab, &HELM, &mut BTreeSet::new()).await;
    lab.stop().await;
}
