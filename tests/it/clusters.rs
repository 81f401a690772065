//! Clusters that are not the usual one: a local cluster on an Outpost, one without nodes yet, Fargate, and namespaces with quotas.

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::{Seed, SeedFargateProfile, SeedSelector};
use serde_json::{Value, json};

use crate::support::{Lab, helm};

const ID: &str = "0f2d3c4b-5a69-4788-9b0a-1c2d3e4f5a6b";
const QUOTAS: &str = "/api/v1/namespaces/kube-system/resourcequotas";

/// What `verify --pre` says of a check, about something.
async fn before(lab: &Lab, check: &str, about: Option<&str>) -> Value {
    let run = lab.run(&["verify", "--pre", "-o", "json"]).await;
    let findings = run.json()["findings"].as_array().unwrap().clone();
    let of = |it: &&Value| it["id"] == check && it["about"].as_str() == about;
    findings.iter().find(of).unwrap_or_else(|| panic!("no {check}: {findings:#?}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outpost_without_nodes_gets_some_and_is_finished() {
    let mut seed = Seed::builtin();
    seed.clusters[0].outpost_id = Some(ID.to_owned());
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let nodes = lab.reader().await.list("v1", "Node", "", "").await.unwrap();
    for node in &nodes {
        lab.delete(&format!("/api/v1/nodes/{}", node["metadata"]["name"].as_str().unwrap())).await;
    }
    no_nodes_are_no_error(&lab).await;
    fargate_only(&lab).await;
    quotas(&lab).await;

    for node in &nodes {
        let metadata = &node["metadata"];
        let metadata =
            json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"]});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": node["status"],
            "spec": {"providerID": node["spec"]["providerID"]}});
        lab.create("/api/v1/nodes", &node).await;
    }
    // Helm gets its tokens from the program too, and so does whoever uses the sandbox's kubeconfig.
    lab.run(&["apply", "--yes"]).await.expect(0);
    let environment = lab.sandbox.environment();
    let (_, kubeconfig) = environment.iter().find(|(name, _)| *name == "KUBECONFIG").unwrap();
    lab.run(&["plan", "--detailed-exitcode", "--kubeconfig", kubeconfig]).await.expect(0);
    let refused = lab.run(&["token", "--cluster-id", "demo/1"]).await.expect(64);
    assert!(refused.stderr.contains("--cluster-id") && refused.stderr.contains("demo/1"), "{}", refused.stderr);
    lab.stop().await;
}

async fn no_nodes_are_no_error(lab: &Lab) {
    let simulator = &lab.sandbox.simulator;
    let coming = before(lab, "EKB-CLUS-004", None).await;
    assert_eq!((coming["status"].as_str(), coming["observed"].as_str()), (Some("warning"), Some("no nodes")));
    simulator.set_capacity("demo", 0, &[]);
    let zero = before(lab, "EKB-CLUS-004", None).await;
    assert_eq!(zero["status"], "warning", "{zero}");
    let mend = zero["mend"].as_str().unwrap();
    assert!(mend.starts_with("aws eks update-nodegroup-config --cluster-name demo --nodegroup-name "), "{mend}");
    assert_eq!(before(lab, "EKB-NET-005", None).await["reason"], "there are no nodes yet");
}

async fn fargate_only(lab: &Lab) {
    let selector = |namespace: &str| SeedSelector { namespace: namespace.to_owned(), labels: [].into() };
    let profile = |namespace: &str| SeedFargateProfile { name: "fp".to_owned(), selectors: vec![selector(namespace)] };
    let simulator = &lab.sandbox.simulator;
    simulator.set_capacity("demo", 0, &[profile("default")]);
    assert_eq!(before(lab, "EKB-CLUS-004", None).await["status"], "warning", "for other pods");
    simulator.set_capacity("demo", 0, &[profile("kube-*")]);
    let placed = before(lab, "EKB-CLUS-004", None).await;
    assert_eq!(placed["status"], "ok", "{placed}");
    let driver = before(lab, "EKB-CLUS-010", Some("ebs")).await;
    assert_eq!(driver["status"], "warning", "{driver}");
    let controller = before(lab, "EKB-CLUS-010", Some("lbc")).await;
    assert!(controller["says"].as_str().unwrap().contains("target type instance"), "{controller}");
    simulator.set_capacity("demo", 2, &[]);
}

async fn quotas(lab: &Lab) {
    assert_eq!(before(lab, "EKB-CLUS-011", Some("kube-system")).await["says"], "no quota");
    let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": {"limits.cpu": "8"}}});
    lab.create(QUOTAS, &quota).await;
    let found = before(lab, "EKB-CLUS-011", Some("kube-system")).await;
    assert_eq!(found["status"], "failed", "{found}");
    // What the API server says to such a pod.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "kube-system"},
        "spec": {"containers": [{"name": "c", "image": "example.com/c"}]}});
    let error = lab.reader().await.dry_run_create(&pod).await.unwrap_err();
    assert!(format!("{error:?}").contains("must specify limits.cpu"), "{error:?}");
    let range =
        json!({"metadata": {"name": "team"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}});
    lab.create("/api/v1/namespaces/kube-system/limitranges", &range).await;
    assert_eq!(before(lab, "EKB-CLUS-011", Some("kube-system")).await["status"], "ok");
    lab.reader().await.dry_run_create(&pod).await.unwrap();
    lab.delete(&format!("{QUOTAS}/team")).await;
    lab.delete("/api/v1/namespaces/kube-system/limitranges/team").await;
}
