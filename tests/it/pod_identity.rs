//! EKS Pod Identity: apply with both Helm versions, drift, what others made, the way there and back with interruptions.

use crate::support::HelmMajor;
use eks_bootstrap::policy::Document;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{At, Effect, Fault, Seed};
use serde_json::{Value, json};

use crate::drift::{Drift, all_is_mended, mend};
use crate::permissions_enforced::{stumbled, without};
use crate::support::{Aws, Lab, Run, helm};

const WAY: [&str; 2] = ["--identity", "pod-identity"];
const LBC: &str = "aws-load-balancer-controller";
const EBS_ACCOUNT: &str = "ebs-csi-controller-sa";
const AGENT: &str = "eks-pod-identity-agent";
const ANNOTATION: &str = "eks.amazonaws.com/role-arn";
const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

fn with(command: &[&'static str]) -> Vec<&'static str> {
    [command, &WAY].concat()
}

/// The simulated cluster's part of the world.
fn eks(lab: &Lab) -> Value {
    lab.sandbox.simulator.snapshot()
}

/// The names of the variables of all containers of a Deployment's running pods.
async fn variables(lab: &Lab, deployment: &str) -> Vec<Vec<String>> {
    let reader = lab.reader().await;
    let workload = lab.object("apps/v1", "Deployment", deployment).await;
    let labels = workload["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let selector: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
    let pods = reader.list("v1", "Pod", "kube-system", &selector.join(",")).await.unwrap();
    let running = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    running
        .flat_map(|pod| pod["spec"]["containers"].as_array().unwrap())
        .map(|container| {
            let env = container["env"].as_array().cloned().unwrap_or_default();
            env.iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
        })
        .collect()
}

async fn all_carry(lab: &Lab, wanted: &str, unwanted: &str) {
    for deployment in [LBC, "ebs-csi-controller"] {
        let found = variables(lab, deployment).await;
        assert!(!found.is_empty(), "no pods of {deployment}");
        for names in found {
            let has = |name: &str| names.iter().any(|found| found == name);
            assert!(has(wanted) && !has(unwanted), "{deployment}: {names:?}");
        }
    }
}

async fn annotation(lab: &Lab, account: &str) -> Value {
    lab.object("v1", "ServiceAccount", account).await["metadata"]["annotations"][ANNOTATION].clone()
}

/// A seed in which everything spreads for some time, as AWS does it.
fn slow() -> Seed {
    Seed { consistency_seconds: 2, ..Seed::builtin() }
}

/// Runs a command under the policy that is printed for it, and under no other.
async fn under_printed_policy(lab: &Lab, purpose: &'static str, command: &[&'static str]) -> Run {
    let printed = lab.run(&with(&["permissions", "--for", purpose])).await.expect(0).stdout;
    lab.sandbox.simulator.set_caller_policy(Some(Document::parse(&printed).unwrap()));
    let run = lab.run(command).await.expect(0);
    lab.sandbox.simulator.set_caller_policy(None);
    run
}

/// Runs a command once without each of the statements of its printed policy whose names are given, and expects it to stumble.
async fn needs_each(lab: &Lab, purpose: &'static str, command: &[&'static str], names: &[&str]) {
    let printed = lab.run(&with(&["permissions", "--for", purpose])).await.expect(0).stdout;
    let policy = Document::parse(&printed).unwrap();
    for name in names {
        let place = policy.statements.iter().position(|statement| statement.sid.as_deref() == Some(name));
        let (less, removed) = without(&policy, place.unwrap_or_else(|| panic!("no {name}: {printed}")));
        lab.sandbox.simulator.set_caller_policy(Some(less));
        let run = lab.run(command).await;
        assert!(run.code != 0 && stumbled(&run, &removed), "{purpose} gets along without {name}: {}", run.stderr);
    }
    lab.sandbox.simulator.set_caller_policy(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_of_eks_is_needed() {
    let lab = Lab::start().await;
    let apply = with(&["apply", "--yes"]);
    // In this order, since each run does what does not need the statement that it lacks.
    let first = ["ReadAgentVersions", "ReadEks", "MakeEks", "TagEks", "HandToPods"];
    needs_each(&lab, "apply", &apply, &first).await;
    lab.run(&apply).await.expect(0);
    World::of(&lab).await.break_by("association with another role").await;
    needs_each(&lab, "apply", &apply, &["ChangeAssociation"]).await;
    lab.run(&apply).await.expect(0);
    let destroy = ["destroy", "--confirm", "demo"];
    needs_each(&lab, "destroy", &destroy, &["ReadEks", "RemoveEks"]).await;
    lab.run(&destroy).await.expect(0);
    lab.stop().await;
}

/// The ids of the checks of identity that fail.
async fn failing(lab: &Lab) -> Vec<String> {
    let found = lab.run(&with(&["verify", "-o", "json"])).await.json();
    let all = found["findings"].as_array().unwrap();
    let wrong = all.iter().filter(|finding| !["ok", "skipped"].contains(&finding["status"].as_str().unwrap()));
    let ids = wrong.map(|finding| finding["id"].as_str().unwrap().to_owned());
    ids.filter(|id| ["PODID", "IRSA", "OIDC"].iter().any(|family| id.contains(family))).collect()
}

async fn applies_and_is_destroyed(seed: Seed, major: HelmMajor) {
    let lab = Lab::with(seed, helm(major)).await;
    let before = eks(&lab);
    let plan = lab.run(&with(&["plan", "-o", "json"])).await.expect(0).json();
    let ids: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert!(!ids.contains(&"iam.oidc-provider"), "{ids:?}");
    let place = |id: &str| ids.iter().position(|found| *found == id).unwrap_or_else(|| panic!("{id}: {ids:?}"));
    assert!(place("eks.pod-identity.lbc") < place("proof.admission.lbc"));
    assert!(place("proof.admission.lbc") < place("helm.lbc") && place("helm.lbc") < place("proof.pods.lbc"));

    under_printed_policy(&lab, "apply", &with(&["apply", "--yes"])).await;
    all_carry(&lab, URI, TOKEN).await;
    for account in [LBC, EBS_ACCOUNT] {
        assert_eq!(annotation(&lab, account).await, Value::Null);
    }
    let world = eks(&lab).to_string();
    assert!(world.contains(AGENT) && world.contains("eks-bootstrap/managed-by"));
    assert!(!world.contains("oidc-provider/oidc"), "no provider is needed: {world}");
    lab.until(&ObjectRef::new("apps/v1", "DaemonSet", "kube-system", AGENT), |_| true).await;

    lab.run(&with(&["plan", "--detailed-exitcode"])).await.expect(0);
    lab.forget();
    let again = lab.run(&with(&["apply", "--yes"])).await.expect(0);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (Vec::new(), Vec::new()));

    // A destroy that is not told of the way finds what is ours all the same.
    let run = under_printed_policy(&lab, "destroy", &["destroy", "--confirm", "demo"]).await;
    assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
    assert_eq!(eks(&lab), before);
    lab.gone(&ObjectRef::new("apps/v1", "DaemonSet", "kube-system", AGENT)).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_identity_is_set_up_and_destroyed_with_helm_4() {
    applies_and_is_destroyed(slow(), HelmMajor::Four).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_identity_is_set_up_and_destroyed_with_helm_3() {
    applies_and_is_destroyed(Seed::builtin(), HelmMajor::Three).await;
}

/// Drift -> the steps that write, each with its calls.
pub(crate) const DRIFTS: [Drift; 8] = [
    ("association deleted", &[("eks.pod-identity.lbc", &["eks:CreatePodIdentityAssociation"])]),
    ("association with another role", &[("eks.pod-identity.lbc", &["eks:UpdatePodIdentityAssociation"])]),
    ("association untagged", &[("eks.pod-identity.ebs", &["eks:TagResource"])]),
    ("trust without TagSession", &[("iam.role.lbc", &["iam:UpdateAssumeRolePolicy"])]),
    ("agent deleted", &[("eks.pod-identity-agent", &["eks:CreateAddon"])]),
    ("annotation put back", &[("k8s.service-account.lbc", &["k8s:patch ServiceAccount"])]),
    ("annotation put back on the chart's", &[("proof.pods.ebs", &["k8s:patch ServiceAccount"])]),
    ("annotation put back, and pods restarted", &[("k8s.service-account.lbc", &["k8s:patch ServiceAccount"])]),
];

/// Drift -> what verify finds.
const CHECKED: [(&str, &str); 7] = [
    ("association deleted", "EKB-PODID-003"),
    ("association with another role", "EKB-PODID-003"),
    ("trust without TagSession", "EKB-PODID-004"),
    ("agent deleted", "EKB-PODID-002"),
    ("annotation put back", "EKB-PODID-006"),
    ("annotation put back on the chart's", "EKB-PODID-006"),
    ("annotation put back, and pods restarted", "EKB-PODID-006"),
];

pub(crate) struct World<'a> {
    lab: &'a Lab,
    iam: aws_sdk_iam::Client,
    eks: aws_sdk_eks::Client,
}

impl World<'_> {
    pub(crate) async fn of(lab: &Lab) -> World<'_> {
        World { lab, iam: lab.iam().await, eks: lab.eks().await }
    }

    async fn association(&self, account: &str) -> (String, String) {
        let call = self.eks.list_pod_identity_associations().cluster_name("demo").service_account(account);
        let found = call.send().await.unwrap();
        let found = &found.associations()[0];
        (found.association_id().unwrap().to_owned(), found.association_arn().unwrap().to_owned())
    }

    async fn annotate(&self, account: &str) {
        let fields = json!({"metadata": {"annotations": {ANNOTATION: "arn:aws:iam::111122223333:role/old"}}});
        self.lab.patch(&format!("/api/v1/namespaces/kube-system/serviceaccounts/{account}"), &fields).await;
    }

    pub(crate) async fn break_by(&self, drift: &str) {
        match drift {
            "association deleted" => {
                let (id, _) = self.association(LBC).await;
                let call = self.eks.delete_pod_identity_association().cluster_name("demo").association_id(id);
                call.send().await.unwrap();
            }
            "association with another role" => {
                let (id, _) = self.association(LBC).await;
                let call = self.eks.update_pod_identity_association().cluster_name("demo").association_id(id);
                call.role_arn("arn:aws:iam::111122223333:role/demo-nodes-system").send().await.unwrap();
            }
            "association untagged" => {
                let (_, arn) = self.association(EBS_ACCOUNT).await;
                self.eks.untag_resource().resource_arn(arn).tag_keys("eks-bootstrap/component").send().await.unwrap();
            }
            "trust without TagSession" => {
                let roles = self.iam.list_roles().send().await.unwrap();
                let role = roles.roles().iter().find(|role| role.role_name().contains(LBC)).unwrap();
                let trust = role.assume_role_policy_document().unwrap();
                let trust = percent_encoding::percent_decode_str(trust).decode_utf8().unwrap();
                let trust = trust.replace("\"sts:TagSession\"", "\"sts:SetSourceIdentity\"");
                let call = self.iam.update_assume_role_policy().role_name(role.role_name());
                call.policy_document(trust).send().await.unwrap();
            }
            "agent deleted" => {
                self.eks.delete_addon().cluster_name("demo").addon_name(AGENT).send().await.unwrap();
                while self.eks.describe_addon().cluster_name("demo").addon_name(AGENT).send().await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                self.lab.gone(&ObjectRef::new("apps/v1", "DaemonSet", "kube-system", AGENT)).await;
            }
            "annotation put back" => self.annotate(LBC).await,
            "annotation put back on the chart's" => self.annotate(EBS_ACCOUNT).await,
            "annotation put back, and pods restarted" => {
                self.annotate(LBC).await;
                let moment = json!({"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"});
                let fields = json!({"spec": {"template": {"metadata": {"annotations": moment}}}});
                self.lab.patch(&format!("/apis/apps/v1/namespaces/kube-system/deployments/{LBC}"), &fields).await;
                let deployment = ObjectRef::new("apps/v1", "Deployment", "kube-system", LBC);
                self.lab
                    .until(&deployment, |it| {
                        let (status, wanted) = (&it["status"], &it["spec"]["replicas"]);
                        status["observedGeneration"] == it["metadata"]["generation"]
                            && status["updatedReplicas"] == *wanted
                            && status["replicas"] == *wanted
                    })
                    .await;
                // The association counts alone.
                self.until_pods(|names| {
                    let has = |wanted: &str| names.iter().any(|name| name == wanted);
                    has(URI) && !has(TOKEN)
                })
                .await;
            }
            other => panic!("no such drift: {other}"),
        }
    }

    async fn until_pods(&self, wanted: impl Fn(&[String]) -> bool) {
        for _ in 0..1200 {
            let found = variables(self.lab, LBC).await;
            if !found.is_empty() && found.iter().all(|names| wanted(names)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("pods did not become as wanted: {:?}", variables(self.lab, LBC).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drift_of_pod_identity_is_mended() {
    let lab = Lab::start().await;
    lab.run(&with(&["apply", "--yes"])).await.expect(0);
    let world = World::of(&lab).await;
    assert_eq!(failing(&lab).await, Vec::<String>::new());
    for (drift, expected) in DRIFTS {
        world.break_by(drift).await;
        let found = failing(&lab).await;
        for (_, check) in CHECKED.iter().filter(|row| row.0 == drift) {
            assert!(found.iter().any(|id| id == check), "{drift}: {found:?}");
        }
        mend(&lab, drift, expected, &WAY).await;
    }
    all_is_mended(&lab, &WAY).await;
    all_carry(&lab, URI, TOKEN).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_is_used_blocked_or_adopted() {
    let mut seed = Seed::builtin();
    let others: Seed = serde_saphyr::from_str(
        "account: \"111122223333\"\nregion: eu-west-1\nclusters:\n- name: demo\n  addons: [{name: eks-pod-identity-agent}]\n  \
         podIdentityAssociations: [{namespace: kube-system, serviceAccount: aws-load-balancer-controller, \
         roleArn: \"arn:aws:iam::111122223333:role/demo-nodes-system\"}]\n",
    )
    .unwrap();
    seed.clusters[0].addons.extend(others.clusters[0].addons.clone());
    seed.clusters[0].pod_identity_associations.clone_from(&others.clusters[0].pod_identity_associations);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let before = eks(&lab);
    // With IRSA it would take the place of the annotation.
    let refused = lab.run(&["apply", "--yes"]).await.expect(4);
    let mend = "with --identity lbc=pod-identity --adopt eks.pod-identity.lbc\n";
    assert!(refused.stderr.contains(mend), "{}", refused.stderr);
    assert_eq!(eks(&lab), before);
    let plan = lab.run(&with(&["plan", "-o", "json"])).await.expect(0).json();
    let step = |id: &str| plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).cloned().unwrap();
    assert_eq!(step("eks.pod-identity-agent")["action"], "keep");
    let blocked = step("eks.pod-identity.lbc");
    assert_eq!((&blocked["action"], &blocked["mend"]), (&json!("blocked"), &json!("--adopt eks.pod-identity.lbc")));
    lab.run(&with(&["apply", "--yes"])).await.expect(4);
    assert_eq!(eks(&lab), before);
    lab.run(&with(&["apply", "--yes", "--adopt", "eks.pod-identity.lbc"])).await.expect(0);
    lab.run(&with(&["plan", "--detailed-exitcode"])).await.expect(0);
    needs_each(&lab, "destroy", &with(&["destroy", "--confirm", "demo"]), &["RemoveEks"]).await;
    // Neither the agent nor the association was ours to delete.
    let run = lab.run(&with(&["destroy", "--confirm", "demo"])).await.expect(0);
    assert!(run.stdout.contains("given back to"), "{}", run.stdout);
    let after = eks(&lab).to_string();
    assert!(after.contains(AGENT) && !after.contains("eks-bootstrap"), "{after}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_moves_there_and_back_one_at_a_time() {
    let lab = Lab::with(slow(), helm(HelmMajor::Four)).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    let irsa = eks(&lab);
    all_carry(&lab, TOKEN, URI).await;

    // Without a terminal nothing is done unasked.
    let refused = lab.run(&["migrate", "--to", "pod-identity", "--component", "lbc"]).await.expect(4);
    assert!(refused.stderr.contains("not confirmed"), "{}", refused.stderr);
    assert_eq!(eks(&lab), irsa);

    let run = lab.run(&["migrate", "--to", "pod-identity", "--component", "lbc", "--yes"]).await.expect(0);
    let line = "`spec.components.awsLoadBalancerController.identity: podIdentity`";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    let only_lbc = ["--identity", "lbc=pod-identity"];
    lab.run(&[&["plan", "--detailed-exitcode"][..], &only_lbc].concat()).await.expect(0);
    for names in variables(&lab, "ebs-csi-controller").await {
        assert!(names.iter().any(|name| name == TOKEN), "the other component stays: {names:?}");
    }
    // The configuration that has not been told is not applied over it.
    let refused = lab.run(&["apply", "--yes"]).await.expect(4);
    assert!(refused.stderr.contains("lbc=pod-identity"), "{}", refused.stderr);
    // Nor by half, and what verify says of it leads no further.
    let refused = lab.run(&["apply", "--yes", "--only", "k8s.service-account.lbc"]).await.expect(4);
    assert!(refused.stderr.contains("run the same command with --identity lbc=pod-identity\n"), "{}", refused.stderr);
    assert!(refused.stderr.contains("migrate --to irsa --component lbc` moves it back"), "{}", refused.stderr);
    let found = lab.run(&["verify", "-o", "json"]).await.expect(3).json();
    let beside =
        found["findings"].as_array().unwrap().iter().find(|it| it["id"] == "EKB-PODID-001" && it["about"] == "lbc");
    assert!(beside.unwrap().to_string().contains("eks-bootstrap migrate --to irsa --component lbc"), "{beside:?}");

    // The rest, then everything back.
    lab.run(&["migrate", "--to", "pod-identity", "--yes"]).await.expect(0);
    lab.run(&with(&["plan", "--detailed-exitcode"])).await.expect(0);
    all_carry(&lab, URI, TOKEN).await;
    let trusts = eks(&lab).to_string();
    assert!(!trusts.contains("EksBootstrapIrsa"), "the former trust is gone: {trusts}");
    lab.forget();
    let again = lab.run(&["migrate", "--to", "pod-identity", "--yes"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (Vec::new(), Vec::new()));

    lab.run(&["migrate", "--to", "irsa", "--yes"]).await.expect(0);
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    all_carry(&lab, TOKEN, URI).await;
    let mut back = eks(&lab);
    // Of the move only the agent stays, for whoever else uses it; a destroy takes it.
    assert!(back.to_string().contains(AGENT));
    lab.run(&["destroy", "--confirm", "demo", "--only", "eks.pod-identity-agent"]).await.expect(0);
    back = eks(&lab);
    assert_eq!(back, irsa);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_write_of_a_move_leads_to_the_same_world_in_the_end() {
    let lab = Lab::start().await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    let there = ["migrate", "--to", "pod-identity", "--component", "ebs", "--yes"];
    let back = ["migrate", "--to", "irsa", "--component", "ebs", "--yes"];
    lab.forget();
    lab.run(&there).await.expect(0);
    // Trust, agent, association, trust.
    assert_eq!(lab.aws_writes().len(), 4, "{:?}", lab.aws_writes());
    let moved = eks(&lab);
    lab.forget();
    lab.run(&back).await.expect(0);
    // Trust, association, trust.
    assert_eq!(lab.aws_writes().len(), 3, "{:?}", lab.aws_writes());
    let home = eks(&lab);

    let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "no".to_owned() };
    // The agent is there by now.
    for (way, wanted) in [(&there, &moved), (&back, &home)] {
        for number in 1..=3 {
            for effect in [denied.clone(), Effect::LoseAnswer] {
                let other = if way == &there { &back } else { &there };
                lab.run(other).await.expect(0);
                lab.forget();
                lab.sandbox.simulator.inject(Fault::once(At::Write(number), effect.clone()));
                let first = lab.run(way).await;
                let fatal = effect == denied;
                assert_eq!(first.code, if fatal { 77 } else { 0 }, "write {number}, {effect:?}: {}", first.stderr);
                if fatal {
                    lab.run(way).await.expect(0);
                }
                assert_eq!(eks(&lab), *wanted, "{way:?}, write {number}, {effect:?}");
            }
        }
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_ways_are_refused_before_the_first_call() {
    let aws = Aws::start(|_| {}).await;
    for (arguments, part) in [
        (&["plan", "-c", "demo", "--identity", "oidc"][..], "known: irsa, pod-identity"),
        (&["plan", "-c", "demo", "--identity", "podIdentity"], "did you mean `pod-identity`"),
        (&["plan", "-c", "demo", "--identity", "lcb=irsa"], "known: lbc"),
        (&["plan", "-c", "demo", "--identity", "metrics-server=irsa"], "--identity"),
        (&["plan", "-c", "demo", "--identity", "irsa,pod-identity"], "another one says the opposite"),
        (&["migrate", "-c", "demo", "--to", "irsa", "--component", "efs"], "--component"),
        (
            &["migrate", "-c", "demo", "--to", "irsa", "--component", "ebs", "--disable", "aws-ebs-csi-driver"],
            "turned off",
        ),
        (&["migrate", "-c", "demo", "--to", "oidc"], "invalid value"),
        (&["migrate", "-c", "demo"], "--to"),
    ] {
        let run = aws.run(arguments, &[]).await.expect(64);
        assert!(run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    }
    std::fs::write(
        aws.file("bad.yaml"),
        "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec: {identity: pod-identity}\n",
    )
    .unwrap();
    let run = aws.run(&["plan", "-c", "demo", "-f", "bad.yaml"], &[]).await.expect(64);
    assert!(run.stderr.contains("spec.identity") && run.stderr.contains("podIdentity"), "{}", run.stderr);
    assert_eq!(aws.simulator.calls().len(), 0);
}
