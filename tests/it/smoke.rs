//! The smoke workload: `verify --deep` proves what the controllers do, names the cause where they do not, and leaves the
//! world as it was, whatever ends it; `smoke print` prints what a real API server takes.

use std::collections::BTreeSet;

use eks_bootstrap::read::kube::ObjectRef;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Lab, finish, program, signal};

const LBC: &str = "aws-load-balancer-controller";
const NAMESPACE: &str = "eks-bootstrap-smoke";
const DEEP: [&str; 3] = ["verify", "--deep", "--yes"];

/// Everything that a run could leave behind, in the cluster and in AWS.
async fn world(lab: &Lab) -> Value {
    let reader = lab.reader().await;
    let mut names = BTreeSet::new();
    for (api_version, kind) in [
        ("v1", "Namespace"),
        ("v1", "PersistentVolume"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Service"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("storage.k8s.io/v1", "VolumeAttachment"),
        ("networking.k8s.io/v1", "Ingress"),
        ("elbv2.k8s.aws/v1beta1", "TargetGroupBinding"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("policy/v1", "PodDisruptionBudget"),
    ] {
        for object in reader.list(api_version, kind, "", "").await.unwrap() {
            names.insert(ObjectRef { kind: kind.to_owned(), ..ObjectRef::of(&object) }.to_string());
        }
    }
    let simulator = &lab.sandbox.simulator;
    json!({"objects": names, "aws": simulator.snapshot(), "tagged": simulator.tagged_resources()})
}

/// The findings of the smoke workload by the end of their ids: status and everything that is said.
fn smoke_findings(document: &Value) -> Vec<(String, String, String)> {
    let findings = document["findings"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    let own = findings.iter().filter(|finding| finding["id"].as_str().unwrap().starts_with("EKB-SMOK-"));
    own.map(|finding| {
        let text = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
        (text("id").split_off("EKB-SMOK-".len()), text("status"), finding.to_string())
    })
    .collect()
}

fn status<'a>(findings: &'a [(String, String, String)], number: &str) -> &'a str {
    &findings.iter().find(|finding| finding.0 == number).unwrap().1
}

fn said<'a>(findings: &'a [(String, String, String)], number: &str) -> &'a str {
    &findings.iter().find(|finding| finding.0 == number).unwrap().2
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_run_proves_everything_and_leaves_nothing() {
    let lab = Lab::start().await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    let chart = lab.charts().join("metrics-server").display().to_string();
    lab.helm(&["install", "metrics-server", &chart, "-n", "kube-system", "--wait"]).await;
    let before = world(&lab).await;
    lab.forget();

    let refused = lab.run(&["verify", "--deep"]).await.expect(4);
    assert!(refused.stderr.contains("Ingress/eks-bootstrap-smoke/web"), "{}", refused.stderr);
    assert!(refused.stderr.contains("internet-facing Application Load Balancer"), "{}", refused.stderr);
    assert!(refused.stderr.contains("pass --yes"), "{}", refused.stderr);
    assert_eq!(world(&lab).await, before);

    let run = lab.run(&["verify", "--deep", "--yes", "-o", "json"]).await.expect(0);
    let findings = smoke_findings(&run.json());
    assert_eq!(findings.len(), 8);
    for (number, status, text) in &findings {
        assert_eq!(status, "ok", "{number}: {text}\n{}", run.stderr);
    }
    assert!(said(&findings, "003").contains("pvc-"), "{findings:?}");
    assert!(said(&findings, "005").contains("http://127.0.0.1:"), "{findings:?}");
    assert_eq!(world(&lab).await, before);
    assert_eq!(lab.aws_writes(), Vec::<String>::new());

    // A namespace of someone else is never taken.
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}})).await;
    let refused = lab.run(&DEEP).await.expect(4);
    assert!(refused.stderr.contains("was not made by a smoke run"), "{}", refused.stderr);
    lab.delete(&format!("/api/v1/namespaces/{NAMESPACE}")).await;

    what_is_printed_is_taken_by_the_api_server(&lab).await;
    lab.stop().await;
}

/// Every printed manifest passes a server-side dry run, and its pods the restricted standard of its namespace.
async fn what_is_printed_is_taken_by_the_api_server(lab: &Lab) {
    // Without credentials, region or cluster: it asks nobody.
    let mut command = program(&["smoke", "print", "--namespace", "printed", "--with-storage-class"], lab.work.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let printed = crate::support::Run::from(output).expect(0).stdout;
    let objects: Vec<Value> = printed.split("---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    assert_eq!(objects.len(), 9, "{printed}");
    lab.create("/api/v1/namespaces", &objects[0]).await;
    let reader = lab.reader().await;
    for object in &objects[1..] {
        reader.dry_run_create(object).await.unwrap_or_else(|error| panic!("{}: {error}", ObjectRef::of(object)));
        if let Some(template) = object.pointer("/spec/template") {
            let mut pod = template.clone();
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            pod["metadata"]["name"] = "probe".into();
            pod["metadata"]["namespace"] = "printed".into();
            pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "data", "emptyDir": {}}));
            reader.dry_run_create(&pod).await.unwrap();
            pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
            let refused = reader.dry_run_create(&pod).await.unwrap_err().to_string();
            assert!(refused.contains("violates PodSecurity"), "the namespace would take anything: {refused}");
        }
    }
    let list = lab.run(&["smoke", "print", "-o", "json"]).await.expect(0).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 8);
    let refused = lab.run(&["smoke", "print", "--image", "a: b"]).await.expect(64);
    assert!(refused.stderr.contains("the smoke image"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_run_it_names_the_cause_and_cleans_up() {
    let lab = Lab::start().await;
    let missing = lab.run(&["verify", "--deep", "--yes", "--timeout", "60s", "-o", "json"]).await.expect(3);
    let findings = smoke_findings(&missing.json());
    assert_eq!(status(&findings, "002"), "ok", "{findings:?}");
    for (number, cause) in [("003", "no CSIDriver ebs.csi.aws.com"), ("004", "no IngressClass of the controller")] {
        assert_eq!(status(&findings, number), "failed", "{findings:?}");
        assert!(said(&findings, number).contains(cause) && said(&findings, number).contains("eks-bootstrap apply"));
    }

    lab.run(&["apply", "--yes"]).await.expect(0);
    let iam = lab.iam().await;
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles.roles().iter().map(aws_sdk_iam::types::Role::role_name).find(|name| name.contains(LBC)).unwrap();
    let attached = iam.list_attached_role_policies().role_name(role).send().await.unwrap();
    let policy = attached.attached_policies()[0].policy_arn().unwrap();
    iam.detach_role_policy().role_name(role).policy_arn(policy).send().await.unwrap();
    let before = world(&lab).await;

    let failed = lab.run(&["verify", "--deep", "--yes", "--timeout", "15s", "-o", "json"]).await.expect(3);
    let findings = smoke_findings(&failed.json());
    assert_eq!(status(&findings, "004"), "failed", "{findings:?}");
    for part in ["FailedDeployModel", "AccessDenied", "elasticloadbalancing:CreateLoadBalancer"] {
        assert!(said(&findings, "004").contains(part), "{findings:?}");
        assert!(failed.stderr.contains(part), "told while waiting: {}", failed.stderr);
    }
    assert_eq!(status(&findings, "005"), "skipped", "{findings:?}");
    assert_eq!(status(&findings, "006"), "skipped", "{findings:?}");
    assert!(said(&findings, "006").contains("metrics-server is not installed"), "{findings:?}");
    assert_eq!(status(&findings, "008"), "ok", "{findings:?}");
    assert_eq!(world(&lab).await, before);

    // An address never comes now, so the run is in its middle until it is told to stop.
    let ingress = ObjectRef::new("networking.k8s.io/v1", "Ingress", NAMESPACE, "web");
    let has_finalizer = |found: &Value| found["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let running = lab.spawn(&DEEP);
    lab.until(&ingress, has_finalizer).await;
    signal(&running, Signal::INT);
    let interrupted = finish(running).await.expect(130);
    assert!(
        interrupted.stderr.contains("interrupted: removing what was made (at most 6 min)"),
        "{}",
        interrupted.stderr
    );
    assert!(interrupted.stdout.contains("interrupted"), "{}", interrupted.stdout);
    assert!(interrupted.stdout.contains("everything that was made is removed"), "{}", interrupted.stdout);
    assert_eq!(world(&lab).await, before);

    // One that is killed leaves its objects, and the next one removes them first.
    let running = lab.spawn(&DEEP);
    lab.until(&ingress, has_finalizer).await;
    signal(&running, Signal::KILL);
    finish(running).await;
    assert_ne!(world(&lab).await, before);
    iam.attach_role_policy().role_name(role).policy_arn(policy).send().await.unwrap();
    let run = lab.run(&DEEP).await.expect(0);
    assert!(run.stderr.contains("removed first: Namespace/eks-bootstrap-smoke"), "{}", run.stderr);
    let mut after = world(&lab).await;
    let mut wanted = before;
    // The policy is attached again.
    after["aws"] = Value::Null;
    wanted["aws"] = Value::Null;
    assert_eq!(after, wanted);
    lab.stop().await;
}
