//! Components without checks of their own, metrics-server and one of the user's: a release that is gone, and a workload that somebody
//! scaled to nothing.

use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use super::{Fault, Stage};

/// The driver of the example file, which is installed beside the others.
fn efs() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/components/aws-efs-csi-driver.yaml")
}

fn fault(check: &'static str, about: &'static str, status: &'static str, says: &'static str, mend: String) -> Fault {
    Fault { mode: 0, check, about: Some(about), status, says, mend: mend.leak() }
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_and_workloads_of_other_components_are_mended() {
    let wanted = [
        "--disable",
        "aws-load-balancer-controller",
        "--disable",
        "aws-ebs-csi-driver",
        "--enable",
        "metrics-server",
        "--component-file",
        efs(),
    ];
    let stage = Stage::wanting(Seed::builtin(), &wanted).await;
    let lab = &stage.lab;
    // Switches are said again, each in its turn.
    let told = |command: &str| {
        let [off, lbc, _, ebs, on, metrics, own, file] = wanted;
        format!("{command} {on} {metrics} {off} {lbc} {off} {ebs} {own} {file}")
    };
    lab.helm(&["uninstall", "aws-efs-csi-driver", "-n", "kube-system"]).await;
    let mend = told("eks-bootstrap apply");
    stage.is_found_and_mended(&fault("EKB-COMP-001", "efs", "failed", "is not installed", mend)).await;

    lab.helm(&["uninstall", "metrics-server", "-n", "kube-system"]).await;
    let mend = told("eks-bootstrap apply");
    stage.is_found_and_mended(&fault("EKB-COMP-001", "metrics", "failed", "is not installed", mend)).await;

    let path = "/apis/apps/v1/namespaces/kube-system/deployments/efs-csi-controller";
    lab.patch(path, &json!({"spec": {"replicas": 0}})).await;
    let object = ObjectRef::new("apps/v1", "Deployment", "kube-system", "efs-csi-controller");
    lab.until(&object, |it| it.pointer("/status/replicas").and_then(Value::as_i64).unwrap_or(0) == 0).await;
    let mend = "kubectl scale deployment/efs-csi-controller -n kube-system --replicas=2".to_owned();
    stage.is_found_and_mended(&fault("EKB-COMP-002", "efs", "failed", "scaled to nothing", mend)).await;
    stage.destroyed().await;
    stage.stop().await;
}
