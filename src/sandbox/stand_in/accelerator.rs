//! In place of the AWS Load Balancer Controller: objects of kind GlobalAccelerator, where its feature gate is open, as upstream.
//!
//! An accelerator is a thing of the account, not of a region: its tags say where its cluster is.

use serde_json::{Value, json};

use super::cluster::{Call, Cluster, Controller, is_going, text};
use super::load_balancer::DEPLOYMENT;
use crate::error::Result;
use crate::sandbox::aws::{Tags, digest};

const KIND: (&str, &str) = ("aga.k8s.aws/v1beta1", "GlobalAccelerator");
const FINALIZER: &str = "aga.k8s.aws/resources";
const GATE: &str = "GlobalAcceleratorController=true";

/// Brings all of them to where the controller would bring them now; does nothing while there is no controller.
pub(super) async fn reconcile(cluster: &Cluster) -> Result<()> {
    let Some(controller) = cluster.controller(DEPLOYMENT).await? else { return Ok(()) };
    if !controller.flag("--feature-gates").is_some_and(|gates| gates.split(',').any(|gate| gate == GATE)) {
        return Ok(());
    }
    let mut failed = None;
    for object in cluster.list(KIND.0, KIND.1).await? {
        let done = if is_going(&object) {
            remove(cluster, &controller, &object).await
        } else {
            deploy(cluster, &controller, &object).await
        };
        failed = failed.or(done.err());
    }
    failed.map_or(Ok(()), Err)
}

fn arn_and_tags(cluster: &Cluster, object: &Value) -> (String, Tags) {
    let place = &cluster.place;
    let stack = format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    let id = digest(&format!("{} {} {stack}", place.region, place.cluster), 32);
    let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    let arn = format!("arn:{}:globalaccelerator::{}:accelerator/{id}", place.partition, place.account);
    let tags = [
        ("elbv2.k8s.aws/cluster", place.cluster.clone()),
        ("elbv2.k8s.aws/cluster-region", place.region.clone()),
        ("aga.k8s.aws/stack", stack),
        ("aga.k8s.aws/resource", "GlobalAccelerator".to_owned()),
    ];
    (arn, tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

async fn deploy(cluster: &Cluster, controller: &Controller, object: &Value) -> Result<()> {
    let (arn, tags) = arn_and_tags(cluster, object);
    let add = |names: &mut Vec<String>| {
        if !names.iter().any(|name| name == FINALIZER) {
            names.push(FINALIZER.to_owned());
        }
    };
    cluster.finalizers(object, add).await?;
    if !cluster.simulator.tagged_resources().contains_key(&arn) {
        let all = arn.replacen(arn.rsplit('/').next().unwrap_or_default(), "*", 1);
        if !may(cluster, controller, object, "CreateAccelerator", &all, &Tags::new()).await? {
            return Ok(());
        }
        cluster.simulator.put_resource(&arn, &tags);
    }
    if text(object, "/status/acceleratorARN") == arn {
        return Ok(());
    }
    cluster.merge(object, "/status", &json!({"status": {"acceleratorARN": arn, "status": "DEPLOYED"}})).await
}

async fn remove(cluster: &Cluster, controller: &Controller, object: &Value) -> Result<()> {
    let (arn, tags) = arn_and_tags(cluster, object);
    if cluster.simulator.tagged_resources().contains_key(&arn) {
        if !may(cluster, controller, object, "DeleteAccelerator", &arn, &tags).await? {
            return Ok(());
        }
        cluster.simulator.remove_resource(&arn);
    }
    cluster.finalizers(object, |names| names.retain(|name| name != FINALIZER)).await
}

async fn may(
    cluster: &Cluster,
    controller: &Controller,
    object: &Value,
    operation: &str,
    resource: &str,
    resource_tags: &Tags,
) -> Result<bool> {
    let (_, tags) = arn_and_tags(cluster, object);
    let call = Call {
        service: "Global Accelerator",
        prefix: "globalaccelerator",
        operation,
        resource,
        request_tags: &tags,
        resource_tags,
    };
    let Err(refusal) = cluster.may(controller, &call) else { return Ok(true) };
    let reason = if operation.starts_with("Delete") { "FailedCleanup" } else { "FailedDeploy" };
    cluster.warn(object, controller, reason, &format!("Failed to deploy stack due to {refusal}")).await?;
    Ok(false)
}
