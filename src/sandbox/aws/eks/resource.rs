//! The object of an EKS call as policies name it.

use serde_json::{Map, Value};

use super::text;
use crate::sandbox::aws::seed::Tags;
use crate::sandbox::aws::world::{CallContext, World, digest};

/// Returns the ARN that a call acts on and the tags of what is there: a named part where it exists, else the cluster.
pub(in super::super) fn of(
    world: &World,
    cx: &CallContext,
    operation: &str,
    input: &Map<String, Value>,
) -> (String, Tags) {
    if let Some(arn) = text(input, "resourceArn") {
        return (arn.to_owned(), tags_of(world, arn));
    }
    let Some(name) = text(input, "name") else { return ("*".to_owned(), Tags::new()) };
    let Some(cluster) = world.clusters.get(&(cx.region.clone(), name.to_owned())) else {
        let prefix = format!("arn:{}:eks:{}:{}", world.partition.name, cx.region, world.account);
        return (format!("{prefix}:cluster/{name}"), Tags::new());
    };
    let whole = (cluster.arn.clone(), cluster.tags.clone());
    if operation.starts_with("Create") || operation.starts_with("List") {
        return whole;
    }
    let addon = text(input, "addonName").and_then(|name| cluster.addons.get(name)).map(|it| (&it.arn, &it.tags));
    let group =
        text(input, "nodegroupName").and_then(|name| cluster.nodegroups.get(name)).map(|it| (&it.arn, &it.tags));
    let association =
        text(input, "associationId").and_then(|id| cluster.associations.get(id)).map(|it| (&it.arn, &it.tags));
    // Profiles have no tags here.
    if let Some(profile) = text(input, "fargateProfileName") {
        return (cluster.arn_of("fargateprofile", &format!("{profile}/{}", digest(profile, 36))), Tags::new());
    }
    let part = addon.or(group).or(association);
    part.map_or(whole, |(arn, tags)| (arn.clone(), tags.clone()))
}

fn tags_of(world: &World, arn: &str) -> Tags {
    let mut found = Tags::new();
    for cluster in world.clusters.values() {
        let addons = cluster.addons.values().map(|it| (&it.arn, &it.tags));
        let groups = cluster.nodegroups.values().map(|it| (&it.arn, &it.tags));
        let associations = cluster.associations.values().map(|it| (&it.arn, &it.tags));
        let all = std::iter::once((&cluster.arn, &cluster.tags)).chain(addons).chain(groups).chain(associations);
        found.extend(all.filter(|(candidate, _)| *candidate == arn).flat_map(|(_, tags)| tags.clone()));
    }
    found
}
