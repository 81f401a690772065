//! In place of the EBS CSI driver's controller: volumes for claims, attachments, and the end of released volumes.
//!
//! The binding of claims and the protection of volumes in use are Kubernetes' own and real.

use serde_json::{Value, json};

use super::cluster::{Call, Cluster, Controller, SIMULATED, finalizers, is_going, text};
use crate::error::Result;
use crate::read::kube::ObjectRef;
use crate::sandbox::aws::{Tags, digest};

const DEPLOYMENT: &str = "ebs-csi-controller";
const DRIVER: &str = "ebs.csi.aws.com";
const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const PROVISIONER: &str = "/metadata/annotations/volume.kubernetes.io~1storage-provisioner";
const SELECTED_NODE: &str = "/metadata/annotations/volume.kubernetes.io~1selected-node";
const PROVISIONED_BY: &str = "/metadata/annotations/pv.kubernetes.io~1provisioned-by";

/// Brings claims and volumes to where the driver would bring them now; does nothing while there is no driver.
pub(super) async fn reconcile(cluster: &Cluster) -> Result<()> {
    if cluster.controller(DEPLOYMENT).await?.is_none() {
        return Ok(());
    }
    let (claims, volumes, classes, attachments) = futures::try_join!(
        cluster.list("v1", "PersistentVolumeClaim"),
        cluster.list("v1", "PersistentVolume"),
        cluster.list("storage.k8s.io/v1", "StorageClass"),
        cluster.list("storage.k8s.io/v1", "VolumeAttachment"),
    )?;
    // Asked again: nothing is done for a driver that had gone before the objects became what was read.
    let Some(controller) = cluster.controller(DEPLOYMENT).await? else { return Ok(()) };
    let mut failed = None;
    for claim in claims.iter().filter(|claim| wants_volume(claim)) {
        let class = classes.iter().find(|class| class["metadata"]["name"] == claim["spec"]["storageClassName"]);
        let Some(class) = class.filter(|class| class["provisioner"] == DRIVER) else { continue };
        let waits = class["volumeBindingMode"] == "WaitForFirstConsumer";
        if waits && text(claim, SELECTED_NODE).is_empty() {
            continue;
        }
        failed = failed.or(provision(cluster, &controller, claim, class).await.err());
    }
    for attachment in &attachments {
        failed = failed.or(attach(cluster, attachment).await.err());
    }
    for volume in volumes.iter().filter(|volume| text(volume, PROVISIONED_BY) == DRIVER) {
        let name = &volume["metadata"]["name"];
        // EC2 refuses to delete what is attached, and the driver tries again once it is not.
        let attached = attachments.iter().any(|other| other["spec"]["source"]["persistentVolumeName"] == *name);
        if !attached {
            failed = failed.or(release(cluster, &controller, volume).await.err());
        }
    }
    failed.map_or(Ok(()), Err)
}

fn wants_volume(claim: &Value) -> bool {
    text(claim, "/spec/volumeName").is_empty() && text(claim, PROVISIONER) == DRIVER && !is_going(claim)
}

fn name_of(claim: &Value) -> String {
    format!("pvc-{}", text(claim, "/metadata/uid"))
}

/// The id of the volume behind a PersistentVolume; made from its name, which holds the claim's uid.
fn volume_id(name: &str) -> String {
    format!("vol-0{}", digest(name, 16))
}

/// The tags that the driver sets: more of them where it is told the cluster's name.
fn tags(controller: &Controller, claim: &Value) -> Tags {
    let name = name_of(claim);
    let mut tags = Tags::new();
    let mut set = |key: &str, value: &str| tags.insert(key.to_owned(), value.to_owned());
    set("CSIVolumeName", &name);
    set("ebs.csi.aws.com/cluster", "true");
    set("kubernetes.io/created-for/pv/name", &name);
    set("kubernetes.io/created-for/pvc/name", text(claim, "/metadata/name"));
    set("kubernetes.io/created-for/pvc/namespace", text(claim, "/metadata/namespace"));
    if let Some(cluster) = controller.flag("--k8s-tag-cluster-id") {
        set(&format!("kubernetes.io/cluster/{cluster}"), "owned");
        set("KubernetesCluster", cluster);
        set("Name", &format!("{cluster}-dynamic-{name}"));
    }
    if let Some(extra) = controller.flag("--extra-tags") {
        for (key, value) in extra.split(',').filter_map(|pair| pair.split_once('=')) {
            set(key, value);
        }
    }
    tags
}

async fn provision(cluster: &Cluster, controller: &Controller, claim: &Value, class: &Value) -> Result<()> {
    let name = name_of(claim);
    let tags = tags(controller, claim);
    let all = cluster.place.arn("ec2", "volume/*");
    let none = Tags::new();
    let call = Call {
        service: "EC2",
        prefix: "ec2",
        operation: "CreateVolume",
        resource: &all,
        request_tags: &tags,
        resource_tags: &none,
    };
    if let Err(refusal) = cluster.may(controller, &call) {
        let message = format!(
            "failed to provision volume with StorageClass \"{}\": rpc error: code = Internal desc = Could not create \
             volume \"{name}\": could not create volume in EC2: {refusal}",
            text(class, "/metadata/name")
        );
        return cluster.warn(claim, controller, "ProvisioningFailed", &message).await;
    }
    cluster.simulator.put_resource(&cluster.place.arn("ec2", &format!("volume/{}", volume_id(&name))), &tags);
    let zone = zone_of(cluster, text(claim, SELECTED_NODE)).await?;
    cluster.create(&volume(claim, class, zone.as_deref())).await
}

/// The zone of the node that the scheduler has chosen; a volume can be attached in its own zone only.
async fn zone_of(cluster: &Cluster, node: &str) -> Result<Option<String>> {
    if node.is_empty() {
        return Ok(None);
    }
    let node = cluster.read.get(&ObjectRef::new("v1", "Node", "", node)).await?.unwrap_or_default();
    let zone = text(&node, "/metadata/labels/topology.kubernetes.io~1zone").to_owned();
    Ok(Some(zone).filter(|zone| !zone.is_empty()))
}

/// The PersistentVolume of a claim, as the external provisioner makes it.
fn volume(claim: &Value, class: &Value, zone: Option<&str>) -> Value {
    let name = name_of(claim);
    let policy = class["reclaimPolicy"].as_str().unwrap_or("Delete");
    // Only volumes that the driver is to delete carry its finalizer.
    let finalizers: &[&str] = if policy == "Delete" { &[FINALIZER] } else { &[] };
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "finalizers": finalizers,
            "annotations": {
                "pv.kubernetes.io/provisioned-by": DRIVER,
                SIMULATED: "the volume behind it is simulated by the eks-bootstrap sandbox",
            },
        },
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem"),
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": class["metadata"]["name"],
            "mountOptions": class["mountOptions"],
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim["metadata"]["name"],
                "namespace": claim["metadata"]["namespace"], "uid": claim["metadata"]["uid"],
                "resourceVersion": claim["metadata"]["resourceVersion"],
            },
            "csi": {
                "driver": DRIVER, "volumeHandle": volume_id(&name),
                "fsType": class["parameters"]["csi.storage.k8s.io/fstype"].as_str().unwrap_or("ext4"),
            },
        },
    });
    if let Some(zone) = zone {
        let zone = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]});
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}});
    }
    volume
}

/// Says that a volume is attached: nothing of a simulated node waits for the device.
async fn attach(cluster: &Cluster, attachment: &Value) -> Result<()> {
    let ours = text(attachment, "/spec/attacher") == DRIVER && !is_going(attachment);
    if !ours || attachment["status"]["attached"] == true {
        return Ok(());
    }
    let status = json!({"status": {"attached": true, "attachmentMetadata": {"devicePath": "/dev/xvdaa"}}});
    cluster.merge(attachment, "/status", &status).await
}

/// Deletes what is released and to be deleted; what is to be retained is only let go.
async fn release(cluster: &Cluster, controller: &Controller, volume: &Value) -> Result<()> {
    let held = finalizers(volume).iter().any(|name| name == FINALIZER);
    let phase = text(volume, "/status/phase");
    let done = matches!(phase, "Released" | "Failed") || (is_going(volume) && phase != "Bound");
    if text(volume, "/spec/persistentVolumeReclaimPolicy") != "Delete" {
        let let_go = |names: &mut Vec<String>| names.retain(|name| name != FINALIZER);
        return if held { cluster.finalizers(volume, let_go).await } else { Ok(()) };
    }
    if !done || (is_going(volume) && !held) {
        return Ok(());
    }
    let arn = cluster.place.arn("ec2", &format!("volume/{}", text(volume, "/spec/csi/volumeHandle")));
    if let Some(tags) = cluster.simulator.tagged_resources().get(&arn) {
        let none = Tags::new();
        let call = Call {
            service: "EC2",
            prefix: "ec2",
            operation: "DeleteVolume",
            resource: &arn,
            request_tags: &none,
            resource_tags: tags,
        };
        if let Err(refusal) = cluster.may(controller, &call) {
            let id = text(volume, "/spec/csi/volumeHandle");
            let message = format!(
                "rpc error: code = Internal desc = Could not delete volume ID \"{id}\": DeleteDisk could not delete volume: {refusal}"
            );
            return cluster.warn(volume, controller, "VolumeFailedDelete", &message).await;
        }
        cluster.simulator.remove_resource(&arn);
    }
    if !is_going(volume) {
        cluster.delete(volume).await?;
    }
    // Read again: the deletion has changed it.
    let name = text(volume, "/metadata/name");
    let now = cluster.read.get(&ObjectRef::new("v1", "PersistentVolume", "", name)).await?;
    match now.filter(is_going) {
        Some(now) => cluster.finalizers(&now, |names| names.retain(|name| name != FINALIZER)).await,
        None => Ok(()),
    }
}
