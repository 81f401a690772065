//! Releases of which the caller may read a part: Kubernetes' own role for people who look, and one object that is denied.

use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::support::{HelmMajor, Lab, Run, helm};

const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const CONTROLLER: &str = "/apis/apps/v1/namespaces/kube-system/deployments/aws-load-balancer-controller";
const SERVICE: &str = "/api/v1/namespaces/kube-system/services/aws-load-balancer-webhook-service";

/// Gives the caller's group a role of the cluster and nothing else.
async fn may(lab: &Lab, role: &str) {
    if lab.raw(BINDINGS).await["items"].as_array().unwrap().iter().any(|it| it["metadata"]["name"] == "caller") {
        lab.delete(&format!("{BINDINGS}/caller")).await;
    }
    let api = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "caller"},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": "callers"}],
    });
    lab.create(BINDINGS, &binding).await;
}

async fn plan(lab: &Lab) -> Run {
    // RBAC answers from a cache that follows the bindings within moments.
    for _ in 0..50 {
        let run = lab.run(&["plan", "-o", "json"]).await;
        if run.code == 77 {
            return run;
        }
    }
    panic!("a caller without rights has seen everything");
}

fn step<'a>(plan: &'a Value, id: &str) -> &'a Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
}

fn rights(step: &Value) -> Vec<&str> {
    step["denied"].as_array().unwrap().iter().map(|denied| denied["right"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_read_of_a_release_is_compared_and_the_rest_is_told() {
    let mut seed = Seed::builtin();
    seed.caller.groups = Some(vec!["callers".to_owned()]);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    may(&lab, "cluster-admin").await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    lab.forget();

    // Kubernetes' role `view` reads workloads and no Secrets, in which helm keeps its records.
    may(&lab, "view").await;
    let shown = plan(&lab).await.json();
    for (release, chart) in [("helm.lbc", "3.5.0"), ("helm.ebs", "2.64.0")] {
        let release = step(&shown, release);
        assert_eq!((&release["action"], &release["partlyRead"]), (&json!("unknown"), &json!(true)), "{release}");
        let reason = release["reason"].as_str().unwrap();
        assert!(reason.starts_with(&format!("partly read: chart {chart} by the labels of ")), "{reason}");
        assert!(rights(release).contains(&"list secrets in kube-system"), "{release}");
    }
    // It is no proof that all is right, and no reason to be silent about what is not.
    lab.patch(CONTROLLER, &json!({"spec": {"replicas": 0}})).await;
    let shown = plan(&lab).await.json();
    let reason = step(&shown, "helm.lbc")["reason"].as_str().unwrap();
    assert!(reason.contains("Deployment/kube-system/aws-load-balancer-controller is scaled to nothing"), "{reason}");

    // Everything but Deployments: one object is unknown, and the release is compared all the same.
    let allow = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list"]});
    let groups = [
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "elbv2.k8s.aws",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
    ];
    let mut rules: Vec<_> = groups.into_iter().map(|group| allow(group, &["*"])).collect();
    rules.push(allow("apps", &["daemonsets"]));
    let most = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "most"}, "rules": rules});
    lab.create(ROLES, &most).await;
    may(&lab, "most").await;
    lab.patch(SERVICE, &json!({"metadata": {"labels": {"app.kubernetes.io/name": "edited"}}})).await;
    let mut release = Value::Null;
    for _ in 0..50 {
        let shown = plan(&lab).await.json();
        release = step(&shown, "helm.lbc").clone();
        if !rights(&release).contains(&"list secrets in kube-system") {
            break;
        }
    }
    assert_eq!((&release["action"], &release["partlyRead"]), (&json!("update"), &json!(true)), "{release}");
    assert_eq!(rights(&release), ["get Deployment/kube-system/aws-load-balancer-controller"], "{release}");
    let paths: Vec<_> = release["fields"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["Service/kube-system/aws-load-balancer-webhook-service metadata.labels.app.kubernetes.io/name"]);
    // None of this wrote anything, or ran a helm that does.
    assert_eq!((lab.aws_writes(), lab.helm_writes()), (Vec::new(), Vec::new()));
    lab.stop().await;
}
