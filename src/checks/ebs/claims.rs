//! Claims that wait and volumes that failed, with what their events say.

use serde_json::Value;

use crate::check::{Finding, Scene};
use crate::checks::ebs::{CLAIMS, VOLUMES};
use crate::checks::trouble::{self, Cause, Seen};
use crate::checks::workload;
use crate::component::Component;
use crate::dependants::EBS_DRIVER;
use crate::error::Result;
use crate::object::{annotation, full_name, name, namespace, text};
use crate::read::kube::ObjectRef;

/// The driver's own name, and the in-tree one that Kubernetes hands to it.
const PROVISIONERS: [&str; 2] = [EBS_DRIVER, "kubernetes.io/aws-ebs"];

pub(super) async fn look(scene: &Scene<'_>, component: &Component) -> Result<Vec<Finding>> {
    let kube = &scene.cx.kube;
    let (claims, volumes, classes, events) = futures::try_join!(
        kube.list("v1", "PersistentVolumeClaim", "", ""),
        kube.list("v1", "PersistentVolume", "", ""),
        kube.list("storage.k8s.io/v1", "StorageClass", "", ""),
        kube.list("v1", "Event", "", ""),
    )?;
    let waiting: Vec<_> = claims.iter().filter(|claim| waits(claim, &classes)).collect();
    let claims = match waiting.first() {
        None => CLAIMS.passed("no claim waits for a volume of the driver"),
        Some(first) => waits_for(scene, component, first, waiting.len(), &events).await?,
    };
    Ok(vec![claims, failed(&volumes)])
}

/// Whether a claim waits for the driver. One of a class that waits for its first pod waits for that, until there is one.
fn waits(claim: &Value, classes: &[Value]) -> bool {
    let class = classes.iter().find(|class| name(class) == text(claim, "/spec/storageClassName"));
    let Some(class) = class else { return false };
    let for_pod = text(class, "/volumeBindingMode") == "WaitForFirstConsumer";
    text(claim, "/status/phase") == "Pending"
        && PROVISIONERS.contains(&text(class, "/provisioner"))
        && (!for_pod || annotation(claim, "volume.kubernetes.io/selected-node").is_some())
}

/// The newest warning about an object.
fn warning<'a>(events: &'a [Value], about: &Value) -> Option<&'a str> {
    let of = |event: &&Value| {
        event["type"] == "Warning"
            && text(event, "/involvedObject/name") == name(about)
            && text(event, "/involvedObject/namespace") == namespace(about)
    };
    let time = |event: &&Value| {
        let last = text(event, "/lastTimestamp");
        if last.is_empty() { text(event, "/metadata/creationTimestamp").to_owned() } else { last.to_owned() }
    };
    events.iter().filter(of).max_by_key(time).map(|event| text(event, "/message"))
}

async fn waits_for(
    scene: &Scene<'_>,
    component: &Component,
    claim: &Value,
    total: usize,
    events: &[Value],
) -> Result<Finding> {
    let kube = &scene.cx.kube;
    let Some(said) = warning(events, claim) else {
        // A volume takes seconds; one that is on its way is no failure.
        return Ok(CLAIMS.passed(format!("{total} claims wait, without a complaint")));
    };
    let Some(controller) = workload::workloads(component).into_iter().find(|it| it.kind == "Deployment") else {
        return Ok(CLAIMS.skipped("the driver has no controller"));
    };
    let account = ObjectRef::new("v1", "ServiceAccount", component.namespace, component.service_account);
    let selector = format!("app={}", controller.name);
    let (pods, account) =
        futures::try_join!(kube.list("v1", "Pod", component.namespace, &selector), kube.get(&account))?;
    let workload = workload::kubectl_name(&controller);
    let seen = Seen { workload: &workload, pods: &selector, account: account.as_ref(), subnets: &[] };
    let mend = match trouble::classify(said, trouble::have_role(&pods)) {
        Cause::Other | Cause::Image | Cause::Unschedulable => {
            format!("kubectl describe pvc {} -n {}", name(claim), namespace(claim))
        }
        cause => cause.mend(scene.cx, component, &seen),
    };
    let says = format!("{total} claims wait for the driver, such as {}", full_name(claim));
    let said: String = said.lines().next().unwrap_or_default().chars().take(600).collect();
    Ok(CLAIMS.failed(says, said, "Bound", mend))
}

fn failed(volumes: &[Value]) -> Finding {
    let ours: Vec<_> = volumes.iter().filter(|volume| text(volume, "/spec/csi/driver") == EBS_DRIVER).collect();
    let failed: Vec<_> =
        ours.iter().filter(|volume| matches!(text(volume, "/status/phase"), "Failed" | "Released")).collect();
    // A volume that is kept on purpose is Released too.
    let failed: Vec<_> = failed
        .into_iter()
        .filter(|volume| {
            text(volume, "/status/phase") == "Failed" || text(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete"
        })
        .collect();
    let Some(first) = failed.first() else { return VOLUMES.passed(format!("{} volumes, none failed", ours.len())) };
    let handle = text(first, "/spec/csi/volumeHandle");
    let observed = format!("{} ({handle}) is {}", name(first), text(first, "/status/phase"));
    let says = format!("{} of {} volumes could not be deleted", failed.len(), ours.len());
    VOLUMES.failed(says, observed, "Bound, or gone", format!("kubectl describe pv {}", name(first)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_waits_for_the_driver_only_where_it_is_its_turn() {
        let classes = [
            json!({"metadata": {"name": "gp3"}, "provisioner": EBS_DRIVER, "volumeBindingMode": "WaitForFirstConsumer"}),
            json!({"metadata": {"name": "now"}, "provisioner": EBS_DRIVER, "volumeBindingMode": "Immediate"}),
            json!({"metadata": {"name": "efs"}, "provisioner": "efs.csi.aws.com"}),
        ];
        let claim = |class: &str, phase: &str, node: Option<&str>| {
            let annotations = json!({"volume.kubernetes.io/selected-node": node});
            json!({"metadata": {"annotations": annotations}, "spec": {"storageClassName": class}, "status": {"phase": phase}})
        };
        assert!(waits(&claim("now", "Pending", None), &classes));
        assert!(waits(&claim("gp3", "Pending", Some("a")), &classes));
        assert!(!waits(&claim("gp3", "Pending", None), &classes), "no pod yet");
        assert!(!waits(&claim("now", "Bound", None), &classes));
        assert!(!waits(&claim("efs", "Pending", None), &classes));
    }

    #[test]
    fn the_newest_warning_counts() {
        let claim = json!({"metadata": {"name": "a", "namespace": "b"}});
        let event = |kind: &str, time: &str, message: &str| json!({"type": kind, "involvedObject": {"name": "a", "namespace": "b"}, "lastTimestamp": time, "message": message});
        let events = [
            event("Warning", "2026-01-02", "new"),
            event("Warning", "2026-01-01", "old"),
            event("Normal", "2026-01-03", "x"),
        ];
        assert_eq!(warning(&events, &claim), Some("new"));
        assert_eq!(warning(&[], &claim), None);
    }

    #[test]
    fn volumes_that_are_kept_on_purpose_have_not_failed() {
        let volume = |phase: &str, policy: &str| {
            json!({"metadata": {"name": "v"}, "spec": {"csi": {"driver": EBS_DRIVER, "volumeHandle": "vol-1"},
                "persistentVolumeReclaimPolicy": policy}, "status": {"phase": phase}})
        };
        assert_eq!(failed(&[volume("Bound", "Delete"), volume("Released", "Retain")]).severity(), None);
        assert!(failed(&[volume("Released", "Delete")]).severity().is_some());
        assert!(failed(&[volume("Failed", "Retain")]).severity().is_some());
    }
}
