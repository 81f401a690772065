//! The failure modes that users of EKS meet: each is planted in a sandbox, `verify` finds it and prints a mend, the printed
//! mend is run as it stands, and `verify` passes again. At the end of each, `destroy` leaves the world of before `apply`.

mod addons;
mod commands;
mod components;
mod identity;
mod limits;
mod pod_identity;
mod refusals;
mod workload;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::support::{Lab, Run, helm};

/// What `verify` is to say about a planted fault.
pub(crate) struct Fault {
    /// Its number among the failure modes that the project knows.
    pub(crate) mode: u8,
    /// The check that finds it.
    pub(crate) check: &'static str,
    /// What the finding is about.
    pub(crate) about: Option<&'static str>,
    /// `failed`, `warning` or `unknown`.
    pub(crate) status: &'static str,
    /// A part of what it says: the headline, what was observed, what was expected.
    pub(crate) says: &'static str,
    /// The mend, as printed.
    pub(crate) mend: &'static str,
}

/// A sandbox in which faults are planted one after another.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    /// What every command is told of the wanted state.
    wanted: Vec<&'static str>,
    aws: Value,
    cluster: BTreeMap<String, Vec<String>>,
}

impl Stage {
    /// A sandbox with everything applied, that remembers how it was before.
    pub(crate) async fn start() -> Stage {
        Stage::with(Seed::builtin()).await
    }

    /// The same in another world.
    pub(crate) async fn with(seed: Seed) -> Stage {
        Stage::wanting(seed, &[]).await
    }

    /// The same with another wanted state.
    pub(crate) async fn wanting(seed: Seed, wanted: &[&'static str]) -> Stage {
        let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
        let aws = lab.sandbox.simulator.snapshot();
        let cluster = objects(&lab).await;
        let stage = Stage { lab, wanted: wanted.to_vec(), aws, cluster };
        stage.run(&["apply", "--yes"]).await.expect(0);
        stage.passes().await;
        stage
    }

    /// A command on the wanted state.
    pub(crate) async fn run(&self, command: &[&str]) -> Run {
        self.lab.run(&[command, &self.wanted].concat()).await
    }

    /// Nothing fails.
    pub(crate) async fn passes(&self) {
        self.run(&["verify", "--wait", "60s"]).await.expect(0);
    }

    /// The findings of a run.
    pub(crate) async fn findings(&self, arguments: &[&str]) -> Vec<Value> {
        let run = self.run(&[&["verify", "-o", "json"], arguments].concat()).await;
        assert!(matches!(run.code, 0 | 3), "{}", run.stderr);
        run.json()["findings"].as_array().unwrap().clone()
    }

    /// The planted fault is found as it should be; gives the mend as it was printed.
    pub(crate) async fn finds(&self, fault: &Fault) -> String {
        let findings = self.findings(&[]).await;
        let found = findings.iter().find(|finding| {
            let about = finding["about"].as_str();
            finding["id"] == fault.check && about == fault.about && finding["status"] == fault.status
        });
        let bad: Vec<_> = findings.iter().filter(|finding| finding["status"] != "ok").collect();
        let Some(found) = found else { panic!("mode {}: {} not {}: {bad:#?}", fault.mode, fault.check, fault.status) };
        let text = format!("{} | {} | {}", found["says"], found["observed"], found["expected"]);
        assert!(text.contains(fault.says), "mode {}: {text}", fault.mode);
        let mend = found["mend"].as_str().unwrap_or_default();
        assert_eq!(mend, fault.mend, "mode {}", fault.mode);
        mend.to_owned()
    }

    /// The whole life of a fault that has been planted: found, mended by the printed command, gone.
    pub(crate) async fn is_found_and_mended(&self, fault: &Fault) {
        let mend = self.finds(fault).await;
        self.mend(&mend).await;
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let findings = self.findings(&[]).await;
            let is_it = |finding: &Value| finding["id"] == fault.check && finding["status"] == fault.status;
            let bad: Vec<_> =
                findings.iter().filter(|finding| finding["status"] == "failed" || is_it(finding)).collect();
            if bad.is_empty() {
                break;
            }
            assert!(Instant::now() < end, "mode {} after `{mend}`: {bad:#?}", fault.mode);
        }
    }

    /// Runs one printed mend after the other, until nothing fails.
    pub(crate) async fn is_mended_step_by_step(&self) {
        let mut mends: Vec<String> = Vec::new();
        loop {
            let findings = self.findings(&["--wait", "20s"]).await;
            let Some(bad) = findings.iter().find(|finding| finding["status"] == "failed") else { return };
            let mend = bad["mend"].as_str().unwrap_or_default().to_owned();
            assert!(mends.len() < 8 && mends.last() != Some(&mend), "after {mends:#?}: {bad:#}");
            self.mend(&mend).await;
            mends.push(mend);
        }
    }

    /// Destroys everything, compares the world with the one before the first apply, and applies again.
    pub(crate) async fn begin_again(&self) {
        self.destroyed().await;
        self.run(&["apply", "--yes"]).await.expect(0);
        self.passes().await;
    }

    /// Destroys everything and compares the world with the one before the first apply.
    pub(crate) async fn destroyed(&self) {
        let run = self.run(&["destroy", "--confirm", "demo"]).await.expect(0);
        assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
        assert_eq!(self.lab.sandbox.simulator.snapshot(), self.aws);
        // Pods and what belongs to them end after their owners.
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let now = objects(&self.lab).await;
            if now == self.cluster {
                return;
            }
            assert!(Instant::now() < end, "after destroy: {now:#?}\nbefore apply: {:#?}", self.cluster);
        }
    }

    /// Ends the sandbox.
    pub(crate) async fn stop(self) {
        self.lab.stop().await;
    }

    /// Runs a printed mend as it stands. The program's own commands run as they are; those of kubectl and the aws CLI, which a
    /// bare machine does not have, are read here and sent to the same API. One that is not understood fails the test.
    pub(crate) async fn mend(&self, command: &str) {
        for command in command.split(" && ") {
            let words: Vec<_> = command.split_whitespace().collect();
            match words.as_slice() {
                ["eks-bootstrap", arguments @ ..] => {
                    let mut arguments = arguments.to_vec();
                    match arguments.first() {
                        Some(&"apply" | &"migrate") => arguments.push("--yes"),
                        Some(&"destroy") => arguments.extend(["--confirm", "demo"]),
                        _ => {}
                    }
                    self.lab.run(&arguments).await.expect(0);
                }
                ["kubectl", arguments @ ..] => self.kubectl(arguments).await,
                ["aws", service, operation, arguments @ ..] => self.aws_cli(service, operation, arguments).await,
                ["helm", arguments @ ..] => self.lab.helm(arguments).await,
                other => panic!("nobody can run `{other:?}`"),
            }
        }
    }

    async fn kubectl(&self, arguments: &[&str]) {
        match arguments {
            ["delete", kind, name] => self.lab.delete(&path(kind, None, name)).await,
            ["delete", kind, name, "-n", namespace] => self.lab.delete(&path(kind, Some(namespace), name)).await,
            ["rollout", "restart", target, "-n", namespace] => {
                let (kind, name) = target.split_once('/').unwrap();
                let stamp = json!({"kubectl.kubernetes.io/restartedAt": format!("{:?}", Instant::now())});
                let fields = json!({"spec": {"template": {"metadata": {"annotations": stamp}}}});
                self.lab.patch(&path(kind, Some(namespace), name), &fields).await;
            }
            [verb @ ("annotate" | "label"), kind, name, rest @ ..] => {
                let mut marks = serde_json::Map::new();
                for word in rest {
                    if let Some((mark, value)) = word.split_once('=') {
                        marks.insert(mark.to_owned(), json!(value));
                    } else if let Some(mark) = word.strip_suffix('-') {
                        marks.insert(mark.to_owned(), Value::Null);
                    }
                }
                let namespace = rest.iter().position(|word| *word == "-n").map(|place| rest[place + 1]);
                let fields = json!({"metadata": {format!("{verb}s").replace("annotates", "annotations"): marks}});
                self.lab.patch(&path(kind, namespace, name), &fields).await;
            }
            ["set", "serviceaccount", target, account, "-n", namespace] => {
                let (kind, name) = target.split_once('/').unwrap();
                // The API server fills the older of both fields from the newer one, and keeps what it filled in.
                let fields = json!({"serviceAccountName": account, "serviceAccount": account});
                let fields = json!({"spec": {"template": {"spec": fields}}});
                self.lab.patch(&path(kind, Some(namespace), name), &fields).await;
            }
            ["uncordon", node] => {
                let fields = json!({"spec": {"unschedulable": null}});
                self.lab.patch(&path("node", None, node), &fields).await;
            }
            other => assert!(commands::kubectl(&self.lab, other).await, "nobody can run kubectl {other:?}"),
        }
    }

    async fn aws_cli(&self, service: &str, operation: &str, arguments: &[&str]) {
        let flag = |name: &str| {
            let place = arguments.iter().position(|word| *word == name);
            place.map(|place| arguments[place + 1].trim_matches('\'').to_owned())
        };
        let (iam, eks) = (self.lab.iam().await, self.lab.eks().await);
        match (service, operation) {
            ("iam", "update-assume-role-policy") => {
                let call = iam.update_assume_role_policy().set_role_name(flag("--role-name"));
                call.set_policy_document(flag("--policy-document")).send().await.map(drop).unwrap();
            }
            ("eks", "delete-addon") => {
                let call = eks.delete_addon().set_cluster_name(flag("--cluster-name"));
                let preserve = arguments.contains(&"--preserve");
                call.set_addon_name(flag("--addon-name")).preserve(preserve).send().await.map(drop).unwrap();
            }
            ("eks", "update-addon") => {
                let call = eks.update_addon().set_cluster_name(flag("--cluster-name"));
                let conflicts = flag("--resolve-conflicts").map(|text| text.as_str().into());
                let call = call.set_addon_name(flag("--addon-name")).set_resolve_conflicts(conflicts);
                call.send().await.map(drop).unwrap();
            }
            ("eks", "wait") => {
                assert_eq!(arguments[0], "addon-deleted");
                let describe = || {
                    let call = eks.describe_addon().set_cluster_name(flag("--cluster-name"));
                    call.set_addon_name(flag("--addon-name")).send()
                };
                while describe().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            ("eks", "delete-pod-identity-association") => {
                let call = eks.delete_pod_identity_association().set_cluster_name(flag("--cluster-name"));
                call.set_association_id(flag("--association-id")).send().await.map(drop).unwrap();
            }
            ("iam", "detach-role-policy") => {
                let call = iam.detach_role_policy().set_role_name(flag("--role-name"));
                call.set_policy_arn(flag("--policy-arn")).send().await.map(drop).unwrap();
            }
            ("iam", "delete-role-permissions-boundary") => {
                let call = iam.delete_role_permissions_boundary().set_role_name(flag("--role-name"));
                call.send().await.map(drop).unwrap();
            }
            other => {
                let known = commands::aws(&self.lab, service, operation, arguments).await;
                assert!(known, "nobody can run aws {other:?}");
            }
        }
    }
}

/// The path of an object of one of the kinds that mends name.
fn path(kind: &str, namespace: Option<&str>, name: &str) -> String {
    let (group, plural) = match kind.to_ascii_lowercase().as_str() {
        "pod" => ("/api/v1", "pods"),
        "service" => ("/api/v1", "services"),
        "serviceaccount" => ("/api/v1", "serviceaccounts"),
        "secret" => ("/api/v1", "secrets"),
        "node" => ("/api/v1", "nodes"),
        "deployment" => ("/apis/apps/v1", "deployments"),
        "daemonset" => ("/apis/apps/v1", "daemonsets"),
        "storageclass" => ("/apis/storage.k8s.io/v1", "storageclasses"),
        "csidriver" => ("/apis/storage.k8s.io/v1", "csidrivers"),
        "ingressclass" => ("/apis/networking.k8s.io/v1", "ingressclasses"),
        "networkpolicy" => ("/apis/networking.k8s.io/v1", "networkpolicies"),
        "mutatingwebhookconfiguration" => ("/apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations"),
        "validatingwebhookconfiguration" => {
            ("/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")
        }
        other => panic!("no mend is known to name a {other}"),
    };
    match namespace {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{group}/{plural}/{name}"),
    }
}

/// The names of all objects that an apply may make, by kind.
async fn objects(lab: &Lab) -> BTreeMap<String, Vec<String>> {
    let reader = lab.reader().await;
    let mut all = BTreeMap::new();
    for (api_version, kind) in [
        ("v1", "ServiceAccount"),
        ("v1", "Secret"),
        ("v1", "Service"),
        ("v1", "ConfigMap"),
        ("v1", "PersistentVolume"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Namespace"),
        ("v1", "Pod"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "StatefulSet"),
        ("policy/v1", "PodDisruptionBudget"),
        ("networking.k8s.io/v1", "Ingress"),
        ("networking.k8s.io/v1", "IngressClass"),
        ("storage.k8s.io/v1", "CSIDriver"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("apiregistration.k8s.io/v1", "APIService"),
    ] {
        let mut names: Vec<_> = reader
            .list(api_version, kind, "", "")
            .await
            .unwrap()
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str().map(ToOwned::to_owned))
            // The groups of CRDs, which a destroy keeps.
            .filter(|name| kind != "APIService" || !name.ends_with(".k8s.aws"))
            .collect();
        names.sort();
        all.insert(kind.to_owned(), names);
    }
    all
}
