//! Components of the user's own: the shipped examples go through the whole life with both Helm versions, under exactly the printed
//! permissions; what drifts is mended; bad values are refused before anything is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::HelmMajor;
use eks_bootstrap::permissions::entry::GROUP;
use eks_bootstrap::policy::Document;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::drift::{Drift, all_is_mended, mend};
use crate::support::{Lab, Run, helm, program};

const DNS_POLICY: &str = "arn:aws:iam::111122223333:policy/demo-external-dns-2bfeae5e";
const DNS_ROLE: &str = "demo-external-dns-2bfeae5e";
const EFS_ROLE: &str = "demo-aws-efs-csi-driver-2bfeae5e";
const EFS_POLICY: &str = "arn:aws:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy";

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

/// Runs a command with the example file, under the policy that is printed for it.
async fn with_example(lab: &Lab, words: &[&str], purpose: &str) -> Run {
    let file = example("own-components.yaml");
    let printed = lab.run(&["permissions", "--for", purpose, "-f", &file]).await.expect(0).stdout;
    lab.sandbox.simulator.set_caller_policy(Some(Document::parse(&printed).unwrap()));
    let run = lab.run(&[words, &["-f", &file]].concat()).await;
    lab.sandbox.simulator.set_caller_policy(None);
    run
}

/// Gives the caller's group the rights that are printed for a purpose, as an administrator would, and waits until the API
/// server knows: each role gets a rule of no meaning that is asked for.
async fn grant(lab: &Lab, purpose: &str) {
    let file = example("own-components.yaml");
    let printed =
        lab.run(&["permissions", "--kubernetes", "--for", purpose, "-f", &file, "-o", "json"]).await.expect(0);
    let mut marks = Vec::new();
    for object in printed.json()["items"].as_array().unwrap() {
        let mut object = object.clone();
        let place = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        if let Some(rules) = object.get_mut("rules").and_then(Value::as_array_mut) {
            let mark = format!("{purpose}-{}.test", if place.is_empty() { "all" } else { &place });
            rules.push(json!({"apiGroups": [mark], "resources": ["marks"], "verbs": ["get"]}));
            marks.push((mark, place));
        }
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let name = object["metadata"]["name"].as_str().unwrap();
        let place = object["metadata"]["namespace"].as_str().map(|it| format!("/namespaces/{it}")).unwrap_or_default();
        lab.apply(&format!("/apis/rbac.authorization.k8s.io/v1{place}/{plural}/{name}"), &object).await;
    }
    let reader = lab.reader().await;
    let begun = Instant::now();
    for (mark, place) in marks {
        let attributes = json!({"group": mark, "resource": "marks", "verb": "get", "namespace": place});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
            "spec": {"user": "anyone", "groups": [GROUP], "resourceAttributes": attributes},
        });
        while reader.dry_run_create(&review).await.unwrap()["status"]["allowed"] != true {
            assert!(begun.elapsed() < Duration::from_mins(1), "the API server does not see {mark}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The findings about the two components that are not as they should be.
async fn complaints(lab: &Lab) -> Vec<Value> {
    let found = with_example(lab, &["verify", "-o", "json"], "verify").await.json();
    let all = found["findings"].as_array().unwrap();
    let about = |finding: &&Value| matches!(finding["about"].as_str(), Some("dns" | "efs"));
    assert!(all.iter().filter(about).any(|finding| finding["id"] == "EKB-COMP-002" && finding["status"] == "ok"));
    let wrong = |finding: &&Value| !matches!(finding["status"].as_str(), Some("ok" | "skipped"));
    all.iter().filter(about).filter(wrong).cloned().collect()
}

/// Hooks without a policy of deletion: helm leaves what they make, and `helm test` has not run.
const HOOKS: [(&str, &str); 3] = [("made", "post-install"), ("removed", "post-delete"), ("tried", "test")];

fn plant_hooks(lab: &Lab) {
    for (name, event) in HOOKS {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("dns-{name}"), "annotations": {"helm.sh/hook": event}}});
        let path = lab.charts().join(format!("external-dns/templates/hook-{name}.yaml"));
        fs::write(path, object.to_string()).unwrap();
    }
}

async fn hooked(lab: &Lab) -> Vec<String> {
    let objects = lab.reader().await.list("v1", "ConfigMap", "external-dns", "").await.unwrap();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    objects.iter().map(name).filter(|name| name.starts_with("dns-")).collect()
}

async fn lives_and_goes(major: HelmMajor) {
    let mut seed = Seed::builtin();
    seed.caller.groups = Some(vec![GROUP.to_owned()]);
    let lab = Lab::with(seed, helm(major)).await;
    plant_hooks(&lab);
    let before = lab.sandbox.simulator.snapshot();
    let namespace = ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", "external-dns") };
    // Rights in a namespace are given where it exists; whoever gives them makes it, so it is not ours and stays.
    let admin = major == HelmMajor::Four;
    if admin {
        let made = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "external-dns"}});
        lab.create("/api/v1/namespaces", &made).await;
        grant(&lab, "apply").await;
    } else {
        lab.apply(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/all",
            &json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "all"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": GROUP}],
            }),
        )
        .await;
    }
    with_example(&lab, &["apply", "--yes"], "apply").await.expect(0);
    if admin {
        grant(&lab, "plan").await;
    }
    with_example(&lab, &["plan", "--detailed-exitcode"], "plan").await.expect(0);
    let world = lab.sandbox.simulator.snapshot().to_string();
    assert!(world.contains(DNS_ROLE) && world.contains(EFS_ROLE) && world.contains(EFS_POLICY));
    let deployed =
        lab.reader().await.get(&ObjectRef::new("apps/v1", "Deployment", "external-dns", "external-dns")).await;
    let container = &deployed.unwrap().unwrap()["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].to_string();
    assert!(
        arguments.contains("--txt-owner-id=demo") && arguments.contains("--domain-filter=example.com"),
        "{container}"
    );
    assert_eq!(container["env"][0]["value"], "eu-west-1");
    if admin {
        grant(&lab, "verify").await;
    }
    assert_eq!(complaints(&lab).await, Vec::<Value>::new());

    // The other drifts, and this one with Helm 4, have a test of their own.
    if major == HelmMajor::Three {
        let file = example("own-components.yaml");
        for (drift, expected) in DRIFTS.iter().filter(|(_, steps)| steps[0].0.starts_with("helm.")) {
            break_by(&lab, &lab.iam().await, drift).await;
            mend(&lab, drift, expected, &["-f", &file]).await;
        }
        all_is_mended(&lab, &["-f", &file]).await;
    }

    // What a hook made is no part of the release and no drift; with helm 3 the release was deleted by hand once.
    let made: &[&str] = if major == HelmMajor::Three { &["dns-made", "dns-removed"] } else { &["dns-made"] };
    assert_eq!(hooked(&lab).await, made);

    // Who forgets the file is told what is left.
    if admin {
        grant(&lab, "destroy").await;
    }
    let run = lab.run(&["destroy", "--confirm", "demo"]).await.expect(0);
    let said = format!("{}{}", run.stdout, run.stderr);
    for left in [DNS_ROLE, EFS_ROLE, DNS_POLICY] {
        assert!(said.contains(left), "{left}: {said}");
    }
    // Deleting CRDs needs rights beyond the printed ones: to look for objects of every kind of theirs.
    let words = [&["destroy", "--confirm", "demo"][..], if admin { &[] } else { &["--purge-crds"] }].concat();
    let run = with_example(&lab, &words, "destroy").await.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}{}", run.stdout, run.stderr);
    assert_eq!(lab.sandbox.simulator.snapshot(), before);
    assert_eq!(hooked(&lab).await, Vec::<String>::new());
    let left = lab.reader().await.get(&namespace).await.unwrap();
    assert_eq!(left.is_some(), admin, "{left:?}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_live_and_go_with_helm_4() {
    lives_and_goes(HelmMajor::Four).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_live_and_go_with_helm_3() {
    lives_and_goes(HelmMajor::Three).await;
}

/// What is changed behind our back, which step finds it, and the calls that mend it.
pub(crate) const DRIFTS: [Drift; 5] = [
    ("policy detached", &[("iam.attachment.efs", &["iam:AttachRolePolicy"])]),
    ("policy widened", &[("iam.policy.dns", &["iam:SetDefaultPolicyVersion"])]),
    ("annotation changed", &[("k8s.service-account.dns", &["k8s:patch ServiceAccount"])]),
    ("release deleted", &[("helm.dns", &["helm:upgrade"])]),
    ("CRD deleted", &[("k8s.crds.dns", &["k8s:patch CustomResourceDefinition"])]),
];

async fn break_by(lab: &Lab, iam: &aws_sdk_iam::Client, drift: &str) {
    match drift {
        "policy detached" => {
            iam.detach_role_policy().role_name(EFS_ROLE).policy_arn(EFS_POLICY).send().await.unwrap();
        }
        "policy widened" => {
            let statement = json!({"Effect": "Allow", "Action": "route53:*", "Resource": "*"});
            let other = json!({"Version": "2012-10-17", "Statement": [statement]});
            let call = iam.create_policy_version().policy_arn(DNS_POLICY).policy_document(other.to_string());
            call.set_as_default(true).send().await.unwrap();
        }
        "annotation changed" => {
            let account = "/api/v1/namespaces/external-dns/serviceaccounts/external-dns";
            let elsewhere = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/other"});
            lab.patch(account, &json!({"metadata": {"annotations": elsewhere}})).await;
        }
        "release deleted" => lab.helm(&["uninstall", "external-dns", "-n", "external-dns"]).await,
        "CRD deleted" => {
            let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            lab.delete(&format!("{crds}/dnsendpoints.externaldns.k8s.io")).await;
        }
        other => panic!("no such drift: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drift_of_them_is_mended_and_one_moves_to_pod_identity_and_back() {
    let lab = Lab::start().await;
    let file = example("own-components.yaml");
    let wanted = ["-f", file.as_str()];
    lab.run(&[&["apply", "--yes"][..], &wanted].concat()).await.expect(0);
    let iam = lab.iam().await;

    assert_eq!(complaints(&lab).await, Vec::<Value>::new());
    for (drift, expected) in &DRIFTS {
        break_by(&lab, &iam, drift).await;
        assert!(*drift != "annotation changed" || !complaints(&lab).await.is_empty());
        mend(&lab, drift, expected, &wanted).await;
    }

    for way in ["pod-identity", "irsa"] {
        let run = lab.run(&[&["migrate", "--to", way, "--component", "dns", "--yes"][..], &wanted].concat()).await;
        run.expect(0);
        let said = [
            &["plan", "--detailed-exitcode", "--identity", Box::leak(format!("dns={way}").into_boxed_str())][..],
            &wanted,
        ];
        lab.run(&said.concat()).await.expect(0);
    }

    // What others put into a namespace of ours keeps it.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}});
    lab.create("/api/v1/namespaces/external-dns/configmaps", &map).await;
    let run = lab.run(&[&["destroy", "--confirm", "demo"][..], &wanted].concat()).await.expect(0);
    assert!(run.stdout.contains("stays, since it holds what is not ours: ConfigMap mine"), "{}", run.stdout);
    lab.delete("/api/v1/namespaces/external-dns/configmaps/mine").await;
    let run = lab.run(&[&["destroy", "--confirm", "demo"][..], &wanted].concat()).await.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}{}", run.stdout, run.stderr);
    let namespace = ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", "external-dns") };
    lab.gone(&namespace).await;
    lab.stop().await;
}

/// A change to a good file, and what the error has to name: the field, the value, the mend.
const BAD: &[(&str, &str, [&str; 3])] = &[
    ("name: mine}", "name: metrics-server}", ["metadata.name", "metrics-server", "another one"]),
    ("name: mine}", "name: gp3-storage-class}", ["metadata.name", "gp3-storage-class", "another one"]),
    ("name: mine}", "name: Mine}", ["metadata.name", "Mine", "lower-case"]),
    ("shortName: my", "shortName: ebs", ["spec.shortName", "ebs", "another one"]),
    ("shortName: my", "shortName: a.b", ["spec.shortName", "a.b", "lower-case"]),
    ("namespace: mine", "namespace: My_Place", ["spec.namespace", "My_Place", "lower-case"]),
    ("name: mine, createdBy", "name: a/b, createdBy", ["spec.serviceAccount.name", "a/b", "lower-case"]),
    ("createdBy: chart", "createdBy: me", ["createdBy", "me", "eksBootstrap"]),
    ("version: 1.2.3", "version: latest", ["version of mine", "latest", "3.5.0"]),
    ("https://charts.example.com", "charts.example.com", ["chart repository of mine", "charts.example.com", "oci://"]),
    ("https://charts.example.com", "http://charts.example.com", ["chart repository of mine", "http://", "https"]),
    ("${role_arn}", "${role_arm}", ["spec.values", "${role_arm}", "${role_arn}"]),
    ("\"${role_arn}\"", "none", ["spec.values", "no ${role_arn}", "eks.amazonaws.com/role-arn"]),
    (
        "policyArns: [\"arn:${partition}:iam::aws:policy/X\"]",
        "policyArns: [X]",
        ["spec.policyArns", "`X`", ":policy/NAME"],
    ),
    ("${partition}", "${partitoin}", ["spec.policyArns", "${partitoin}", "${partition}"]),
    ("policyArns:", "policyDocument: {Version: x}\n  policyArns:", ["spec.policyDocument", "Version", "Statement"]),
    ("policyArns:", "policyDocument: ./nowhere.json\n  policyArns:", ["nowhere.json", "No such file", "--component"]),
    ("version: 1.2.3", "version: 1.2.3, digest: abc", ["chart digest of mine", "abc", "sha256:"]),
    ("replicasValue: a.b", "replicasValue: a..b", ["spec.replicasValue", "a..b", "controller.replicaCount"]),
    ("title: Mine", "titel: Mine", ["mine.yaml", "titel", "title"]),
    ("kind: Component", "kind: Componet", ["mine.yaml", "Componet", "Component"]),
    ("values: {a:", "values: [a, {a:", ["mine.yaml", "cannot use component file", "--component"]),
];

const GOOD: &str = r#"apiVersion: eks-bootstrap.dev/v1alpha1
kind: Component
metadata: {name: mine}
spec:
  title: Mine
  shortName: my
  namespace: mine
  serviceAccount: {name: mine, createdBy: chart}
  chart: {repository: https://charts.example.com, version: 1.2.3}
  policyArns: ["arn:${partition}:iam::aws:policy/X"]
  values: {a: {"eks.amazonaws.com/role-arn": "${role_arn}"}}
  replicasValue: a.b
"#;

#[test]
fn bad_values_are_refused_before_anything_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let file: PathBuf = home.path().join("mine.yaml");
    let plan = |more: &[&str]| {
        let words = [&["plan", "-c", "demo", "-r", "eu-west-1", "--component-file", "mine.yaml"][..], more].concat();
        Run::from(program(&words, home.path()).output().unwrap())
    };
    let mut wrong = Vec::new();
    for (part, bad, named) in BAD {
        assert!(GOOD.contains(part), "{part}");
        fs::write(&file, GOOD.replace(part, bad)).unwrap();
        let run = plan(&[]);
        let missing: Vec<_> = named.iter().filter(|name| !run.stderr.contains(**name)).collect();
        let errors = run.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        if run.code != 64 || !missing.is_empty() || errors != 1 {
            wrong.push(format!("{bad}: code {}, missing {missing:?}: {}", run.code, run.stderr));
        }
    }
    // A good file is good: the run ends only where AWS would be asked.
    fs::write(&file, GOOD).unwrap();
    let run = plan(&[]);
    if run.code == 64 {
        wrong.push(format!("the good file: {}", run.stderr));
    }
    let run = plan(&["--enable", "mien"]);
    if run.code != 64 || !run.stderr.contains("mine") {
        wrong.push(format!("--enable: {}", run.stderr));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
