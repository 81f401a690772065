//! The components that are off unless they are asked for: metrics-server and the StorageClass gp3. What the plan says without
//! them, what they do, how drift is mended, and what others made.

use crate::support::HelmMajor;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::drift::{Drift, all_is_mended, mend};
use crate::support::{Lab, helm};

const BOTH: [&str; 4] = ["--enable", "metrics-server", "--enable", "gp3-storage-class"];
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const API: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";

fn with(command: &[&'static str]) -> Vec<&'static str> {
    [command, &BOTH].concat()
}

/// A class as older EKS clusters have it.
pub(crate) async fn create_gp2(lab: &Lab, default: bool) {
    let gp2 = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/aws-ebs",
        "metadata": {"name": "gp2", "annotations": {DEFAULT: default.to_string()}}, "parameters": {"type": "gp2"}});
    lab.create(CLASSES, &gp2).await;
}

/// The classes that are the default.
pub(crate) async fn default_classes(lab: &Lab) -> Vec<String> {
    let classes = lab.reader().await.list("storage.k8s.io/v1", "StorageClass", "", "").await.unwrap();
    let default = classes.iter().filter(|class| class["metadata"]["annotations"][DEFAULT] == "true");
    default.map(|class| class["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn class(lab: &Lab) -> Value {
    lab.object("storage.k8s.io/v1", "StorageClass", "gp3").await
}

fn diagnostics(plan: &Value) -> String {
    plan["diagnostics"].to_string()
}

/// Drift -> the steps that write, each with its calls.
pub(crate) const DRIFTS: [Drift; 9] = [
    ("metrics-server uninstalled", &[("helm.metrics", &["helm:upgrade"])]),
    ("metrics API deleted", &[("helm.metrics", &["helm:upgrade"])]),
    ("priority of the metrics API lowered", &[("helm.metrics", &["k8s:patch APIService"])]),
    ("metrics-server scaled in its values", &[("helm.metrics", &["helm:upgrade"])]),
    ("class deleted", &[("k8s.storage-class.gp3", &["k8s:patch StorageClass"])]),
    ("class no longer the default", &[("k8s.storage-class.gp3", &["k8s:patch StorageClass"])]),
    ("a second default", &[("k8s.storage-class.gp3", &["k8s:patch StorageClass"])]),
    ("expansion forbidden", &[("k8s.storage-class.gp3", &["k8s:patch StorageClass"])]),
    (
        "class made anew without encryption",
        &[("k8s.storage-class.gp3", &["k8s:delete StorageClass", "k8s:patch StorageClass"])],
    ),
];

pub(crate) async fn break_by(lab: &Lab, drift: &str) {
    let gp3 = format!("{CLASSES}/gp3");
    match drift {
        "metrics-server uninstalled" => lab.helm(&["uninstall", "metrics-server", "-n", "kube-system"]).await,
        "metrics API deleted" => lab.delete(API).await,
        "priority of the metrics API lowered" => lab.patch(API, &json!({"spec": {"versionPriority": 1}})).await,
        "metrics-server scaled in its values" => {
            let chart = lab.charts().join("metrics-server").display().to_string();
            lab.helm(&["upgrade", "metrics-server", &chart, "-n", "kube-system", "--set", "replicas=2"]).await;
        }
        "class deleted" => lab.delete(&gp3).await,
        "class no longer the default" => {
            lab.patch(&gp3, &json!({"metadata": {"annotations": {DEFAULT: "false"}}})).await;
        }
        "a second default" => {
            let gp2 = format!("{CLASSES}/gp2");
            lab.patch(&gp2, &json!({"metadata": {"annotations": {DEFAULT: "true"}}})).await;
        }
        "expansion forbidden" => lab.patch(&gp3, &json!({"allowVolumeExpansion": false})).await,
        "class made anew without encryption" => {
            let mut class = class(lab).await;
            let kept = ["name", "labels", "annotations"];
            class["metadata"].as_object_mut().unwrap().retain(|name, _| kept.contains(&name.as_str()));
            class["parameters"] = json!({"type": "gp3"});
            lab.delete(&gp3).await;
            lab.create(CLASSES, &class).await;
        }
        other => panic!("no such drift: {other}"),
    }
}

async fn every_drift_is_mended(major: HelmMajor) {
    let lab = Lab::with(Seed::builtin(), helm(major)).await;
    create_gp2(&lab, true).await;
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "shop"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}}});
    lab.create("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", &scaler).await;
    let plan = lab.run(&["plan", "-o", "json"]).await.expect(0).json();
    let told = diagnostics(&plan);
    assert!(
        told.contains("1 HorizontalPodAutoscaler does nothing") && told.contains("--enable metrics-server"),
        "{told}"
    );
    assert!(!told.contains("StorageClass"), "one default is right: {told}");

    let plan = lab.run(&with(&["plan", "-o", "json"])).await.expect(0).json();
    assert_eq!(plan["diagnostics"], json!([]));
    let place = |id: &str| plan["steps"].as_array().unwrap().iter().position(|step| step["id"] == id).unwrap();
    assert!(place("helm.metrics") < place("helm.lbc") && place("helm.ebs") < place("k8s.storage-class.gp3"));
    let run = lab.run(&with(&["apply", "--yes"])).await.expect(0);
    assert!(run.stderr.contains("proof.metrics"), "{}", run.stderr);
    assert_eq!(default_classes(&lab).await, ["gp3"]);
    let parameters = &class(&lab).await["parameters"];
    assert_eq!(parameters, &json!({"type": "gp3", "encrypted": "true"}));
    assert!(!lab.sandbox.simulator.snapshot().to_string().contains("metrics-server"), "it has nothing in IAM");
    // The API answers as one of metrics-server.
    let nodes = lab.reader().await.list("metrics.k8s.io/v1beta1", "NodeMetrics", "", "").await.unwrap();
    assert!(!nodes.is_empty());

    lab.run(&with(&["plan", "--detailed-exitcode"])).await.expect(0);
    // What helm does not mend is the same with either.
    let by_helm = |drift: &Drift| drift.1.iter().any(|(_, calls)| calls.contains(&"helm:upgrade"));
    for (drift, expected) in DRIFTS.into_iter().filter(|drift| major == HelmMajor::Four || by_helm(drift)) {
        break_by(&lab, drift).await;
        mend(&lab, drift, expected, &BOTH).await;
        assert_eq!(default_classes(&lab).await, ["gp3"], "{drift}");
        assert_eq!(
            lab.helm_writes().len(),
            usize::from(expected[0].1 == ["helm:upgrade"]),
            "{drift}: {:?}",
            lab.helm_writes()
        );
    }
    all_is_mended(&lab, &BOTH).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drift_of_optional_components_is_mended_with_helm_4() {
    every_drift_is_mended(HelmMajor::Four).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drift_of_optional_components_is_mended_with_helm_3() {
    every_drift_is_mended(HelmMajor::Three).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_is_used_blocked_or_adopted() {
    let addon: Seed = serde_saphyr::from_str(
        "account: \"111122223333\"\nregion: eu-west-1\nclusters: [{name: demo, addons: [{name: metrics-server}]}]\n",
    )
    .unwrap();
    let mut seed = Seed::builtin();
    seed.clusters[0].addons.extend(addon.clusters[0].addons.clone());
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let step = |plan: &Value, id: &str| {
        plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).cloned().unwrap()
    };
    // Unencrypted, and as popular a name as any.
    let mut gp3 = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"},
        "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}, "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true});
    lab.create(CLASSES, &gp3).await;
    let only = ["--only", "helm.metrics", "--only", "k8s.storage-class.gp3"];
    let plan = [&["plan", "-o", "json"][..], &BOTH, &only].concat();
    let found = lab.run(&plan).await.expect(0).json();
    assert_eq!(
        (&step(&found, "helm.metrics")["action"], &step(&found, "helm.metrics")["owner"]),
        (&json!("keep"), &json!("an EKS add-on"))
    );
    let blocked = step(&found, "k8s.storage-class.gp3");
    assert_eq!((&blocked["action"], &blocked["mend"]), (&json!("blocked"), &json!("--adopt k8s.storage-class.gp3")));
    let apply = [&["apply", "--yes"][..], &BOTH, &only].concat();
    lab.run(&apply).await.expect(4);
    let before = class(&lab).await;
    lab.run(&[&apply[..], &["--adopt", "k8s.storage-class.gp3"]].concat()).await.expect(0);
    let adopted = class(&lab).await;
    assert_ne!(before["metadata"]["uid"], adopted["metadata"]["uid"], "made anew");
    assert_eq!(adopted["metadata"]["annotations"]["eks-bootstrap.dev/adopted-from"], "someone else");
    lab.run(&[&plan[..], &["--detailed-exitcode"]].concat()).await.expect(0);

    // One that fits is used as it is.
    lab.delete(&format!("{CLASSES}/gp3")).await;
    gp3["parameters"]["encrypted"] = json!("true");
    gp3["metadata"]["annotations"] = json!({DEFAULT: "true"});
    lab.create(CLASSES, &gp3).await;
    let found = lab.run(&plan).await.expect(0).json();
    let kept = step(&found, "k8s.storage-class.gp3");
    assert_eq!((&kept["action"], &kept["owner"]), (&json!("keep"), &json!("someone else")), "{kept:#}");
    // Two defaults are told of, and with the component on there is one again.
    create_gp2(&lab, true).await;
    let told = diagnostics(&lab.run(&["plan", "-o", "json"]).await.expect(0).json());
    assert!(told.contains("2 StorageClasses are the default (gp2, gp3)"), "{told}");
    lab.run(&apply).await.expect(0);
    assert_eq!(default_classes(&lab).await, ["gp3"]);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_release_of_metrics_server_is_named() {
    let lab = Lab::start().await;
    let chart = lab.charts().join("metrics-server").display().to_string();
    lab.helm(&["install", "numbers", &chart, "-n", "kube-system", "--set", "fullnameOverride=metrics-server"]).await;
    let arguments = ["plan", "-o", "json", "--enable", "metrics-server", "--only", "helm.metrics"];
    let plan = lab.run(&arguments).await.expect(0).json();
    let step = &plan["steps"][0];
    assert_eq!(
        (&step["action"], &step["owner"]),
        (&json!("blocked"), &json!("Helm release kube-system/numbers")),
        "{step:#}"
    );
    let reference = ObjectRef::new("apps/v1", "Deployment", "kube-system", "metrics-server");
    assert!(lab.reader().await.get(&reference).await.unwrap().is_some());
    lab.stop().await;
}
