//! What refuses an installation or holds it up, and is not ours: webhooks of other tools, tainted nodes, admission, namespaces
//! and CRDs that do not go. Each is said with the true fix, before anything is written where that is possible.

use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::read::{held, rollout};
use serde_json::{Value, json};

use super::Stage;

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// In a cluster in which nothing is installed.
pub(super) async fn refusals(stage: &Stage) {
    a_webhook_of_another_tool(stage).await;
    nodes_that_nobody_may_use(stage).await;
    a_daemon_set_that_may_not_create_pods(stage).await;
    what_does_not_go(stage).await;
}

/// Status and text of the one finding of a check before an installation.
async fn before(stage: &Stage, check: &str) -> (String, String) {
    let findings = stage.findings(&["--pre"]).await;
    let found = findings.iter().find(|finding| finding["id"] == check).unwrap();
    let text = format!("{} | {} | {}", found["says"], found["observed"], found["mend"]);
    (found["status"].as_str().unwrap().to_owned(), text)
}

async fn a_webhook_of_another_tool(stage: &Stage) {
    let lab = &stage.lab;
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "policies"},
        "webhooks": [{
            "name": "mutate.policies.example.com", "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"namespace": "policies", "name": "engine", "path": "/mutate"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["serviceaccounts"]}],
        }],
    });
    lab.create(MUTATING, &configuration).await;
    let (status, text) = before(stage, "EKB-HOOK-009").await;
    assert_eq!(status, "failed", "{text}");
    for part in ["mutate.policies.example.com", "no ready endpoint behind Service policies/engine", "serviceaccounts"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let only = ["--only", "k8s.service-account.lbc", "--timeout", "10s"];
    let run = stage.run(&[&["apply", "--yes"][..], &only].concat()).await.expect(1);
    for part in [
        "failed calling webhook \"mutate.policies.example.com\"",
        "hint: webhook `mutate.policies.example.com` is not managed by eks-bootstrap: start the pods behind its Service \
         policies/engine",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    lab.delete(&format!("{MUTATING}/policies")).await;
    assert_eq!(before(stage, "EKB-HOOK-009").await.0, "ok");
}

async fn nodes_that_nobody_may_use(stage: &Stage) {
    let lab = &stage.lab;
    let taint = async |taints: Value| {
        for node in lab.reader().await.list("v1", "Node", "", "").await.unwrap() {
            let path = format!("/api/v1/nodes/{}", node["metadata"]["name"].as_str().unwrap());
            lab.patch(&path, &json!({"spec": {"taints": taints}})).await;
        }
    };
    taint(json!([{"key": "karpenter.sh/controller", "value": "true", "effect": "NoSchedule"}])).await;
    let (status, text) = before(stage, "EKB-CLUS-004").await;
    assert_eq!(status, "failed", "{text}");
    assert!(text.contains("tainted karpenter.sh/controller=true:NoSchedule"), "{text}");
    taint(Value::Null).await;
    assert_eq!(before(stage, "EKB-CLUS-004").await.0, "ok");
}

/// Its status only counts; why it has no pods stands in events.
async fn a_daemon_set_that_may_not_create_pods(stage: &Stage) {
    let lab = &stage.lab;
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": "strict", "labels": labels}})).await;
    let pod = json!({"metadata": {"labels": {"app": "d"}}, "spec": {"hostNetwork": true,
        "containers": [{"name": "c", "image": "example.com/c"}]}});
    let spec = json!({"selector": {"matchLabels": {"app": "d"}}, "template": pod});
    lab.create("/apis/apps/v1/namespaces/strict/daemonsets", &json!({"metadata": {"name": "d"}, "spec": spec})).await;
    let reference = ObjectRef::new("apps/v1", "DaemonSet", "strict", "d");
    let kube = lab.reader().await;
    let mut rolled = rollout::Rollout::default();
    for _ in 0..200 {
        rolled = rollout::of(&kube, std::slice::from_ref(&reference)).await.unwrap();
        if rolled.cause.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let cause = rolled.cause.unwrap_or_else(|| panic!("no cause: {}", rolled.text));
    assert!(cause.starts_with("FailedCreate: ") && cause.contains("violates PodSecurity"), "{cause}");
    lab.delete("/api/v1/namespaces/strict").await;
}

async fn what_does_not_go(stage: &Stage) {
    let lab = &stage.lab;
    let held = json!({"name": "held", "finalizers": ["example.com/hold"]});
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": "stuck"}})).await;
    lab.create("/api/v1/namespaces/stuck/configmaps", &json!({"metadata": held})).await;
    lab.delete("/api/v1/namespaces/stuck").await;
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
    });
    lab.create(CRDS, &crd).await;
    let cluster_wide = |version: &str, kind: &str, name: &str| ObjectRef {
        namespace: None,
        ..ObjectRef::new(version, kind, "", name)
    };
    let definition = cluster_wide("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com");
    let is = |object: &Value, kind: &str| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|it| it["type"] == kind && it["status"] == "True"))
    };
    lab.until(&definition, |crd| is(crd, "Established")).await;
    let widgets = "/apis/example.com/v1/widgets";
    lab.create(widgets, &json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": held})).await;
    lab.delete(&format!("{CRDS}/widgets.example.com")).await;

    let kube = lab.reader().await;
    let namespace = cluster_wide("v1", "Namespace", "stuck");
    let found = lab.until(&namespace, |found| is(found, "NamespaceContentRemaining")).await;
    let told = held::parting(&kube, &found).await.unwrap();
    assert!(told.starts_with("Namespace/stuck is being deleted since "), "{told}");
    assert!(told.ends_with("held by ConfigMap/stuck/held (finalizer example.com/hold)"), "{told}");
    let told = held::parting(&kube, &kube.get(&definition).await.unwrap().unwrap()).await.unwrap();
    assert!(told.ends_with("held by Widget/held (finalizer example.com/hold)"), "{told}");

    let free = json!({"metadata": {"finalizers": null}});
    lab.patch("/api/v1/namespaces/stuck/configmaps/held", &free).await;
    lab.patch(&format!("{widgets}/held"), &free).await;
    lab.gone(&namespace).await;
    lab.gone(&definition).await;
}
