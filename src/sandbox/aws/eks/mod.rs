//! The simulated EKS: clusters as seeded, node groups and access entries to read, add-ons and Pod Identity associations to change.

pub(super) mod addon;
mod addon_update;
pub(super) mod association;
pub(super) mod catalogue;
pub(super) mod cluster;
mod configuration;
mod fargate;
pub(super) mod resource;
mod routes;
mod tags;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(super) use routes::route;

use super::error::{ApiError, Result};
use super::paging::page;
use super::world::{CallContext, World};
use cluster::Cluster;

/// Answers an EKS call.
pub(super) fn call(world: &mut World, cx: &CallContext, operation: &str, input: &Map<String, Value>) -> Result<Value> {
    match operation {
        "DescribeCluster" => Ok(json!({"cluster": find(world, cx, input)?.describe()})),
        "ListClusters" => cluster::list(world, cx, input),
        "ListNodegroups" => cluster::list_nodegroups(world, cx, input),
        "DescribeNodegroup" => cluster::describe_nodegroup(world, cx, input),
        "ListFargateProfiles" => fargate::list(world, cx, input),
        "DescribeFargateProfile" => fargate::describe(world, cx, input),
        "ListAccessEntries" => cluster::list_access_entries(world, cx, input),
        "DescribeAccessEntry" => cluster::describe_access_entry(world, cx, input),
        "TagResource" => tags::tag(world, cx, input),
        "UntagResource" => tags::untag(world, cx, input),
        "ListTagsForResource" => tags::list(world, input),
        "DescribeAddonConfiguration" => configuration::describe(world, input),
        "DescribeAddonVersions" => catalogue::describe_versions(world, input),
        "ListAddons" => addon::list(world, cx, input),
        "DescribeAddon" => addon::describe(world, cx, input),
        "CreateAddon" => addon::create(world, cx, input),
        "UpdateAddon" => addon::update(world, cx, input),
        "DeleteAddon" => addon::delete(world, cx, input),
        "DescribeUpdate" => addon_update::describe(world, cx, input),
        "CreatePodIdentityAssociation" => association::create(world, cx, input),
        "ListPodIdentityAssociations" => association::list(world, cx, input),
        "DescribePodIdentityAssociation" => association::describe(world, cx, input),
        "UpdatePodIdentityAssociation" => association::update(world, cx, input),
        "DeletePodIdentityAssociation" => association::delete(world, cx, input),
        other => Err(ApiError::not_implemented(&format!("eks:{other}"))),
    }
}

/// Says whether EKS takes this name for a cluster.
pub(super) fn valid_name(name: &str) -> bool {
    let characters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    characters && first && name.len() <= 100
}

/// Finds the cluster that a call names in the region that it was signed for.
fn find<'a>(world: &'a mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<&'a mut Cluster> {
    let name = text(input, "name").unwrap_or_default().to_owned();
    if !valid_name(&name) {
        let text = "The cluster name should satisfy the regular expression ^[0-9A-Za-z][A-Za-z0-9-_]*$";
        return Err(ApiError::invalid_parameter(text).with("clusterName", &name));
    }
    let missing = ApiError::not_found(format!("No cluster found for name: {name}.")).with("clusterName", &name);
    world.clusters.get_mut(&(cx.region.clone(), name)).ok_or(missing)
}

/// Finds a cluster that can take changes.
fn active<'a>(world: &'a mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<&'a mut Cluster> {
    let cluster = find(world, cx, input)?;
    if cluster.status != "ACTIVE" && cluster.status != "UPDATING" {
        let text = format!("Cluster '{}' is not in ACTIVE status", cluster.name);
        let error = ApiError::new("InvalidRequestException", 400, text);
        return Err(error.with("clusterName", &cluster.name));
    }
    Ok(cluster)
}

fn text<'a>(input: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    input.get(key).and_then(Value::as_str)
}

fn required<'a>(input: &'a Map<String, Value>, key: &str) -> Result<&'a str> {
    text(input, key)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::invalid_parameter(format!("{key} can't be null or empty")))
}

/// Cuts the page that a call asks for and answers it under `key`.
fn paged(world: &World, input: &Map<String, Value>, key: &str, items: Vec<(String, Value)>) -> Result<Value> {
    let asked = match text(input, "maxResults").map(str::parse::<u64>) {
        None => 100,
        Some(Ok(asked)) if (1..=100).contains(&asked) => asked,
        Some(_) => return Err(ApiError::invalid_parameter("maxResults must be between 1 and 100")),
    };
    let page = page(items, text(input, "nextToken"), world.page_of(Some(asked), 100))
        .ok_or_else(|| ApiError::invalid_parameter("Invalid token"))?;
    let mut answer = Map::from_iter([(key.to_owned(), Value::Array(page.items))]);
    if let Some(next) = page.next {
        answer.insert("nextToken".to_owned(), Value::from(next));
    }
    Ok(Value::Object(answer))
}

/// Writes a time as the JSON protocols do.
#[expect(clippy::cast_precision_loss, reason = "whole seconds of this century are exact")]
fn seconds(moment: Timestamp) -> f64 {
    moment.as_second() as f64
}

/// Checks a role that EKS is asked to use: it must be of the account, exist, and have spread to EKS.
fn check_role(world: &World, cx: &CallContext, arn: &str) -> Result<()> {
    let prefix = world.iam_arn("role/");
    if !arn.starts_with("arn:") || !arn.contains(":role/") {
        return Err(ApiError::invalid_parameter("Role ARN is not valid"));
    }
    if !arn.starts_with(&prefix) {
        return Err(ApiError::invalid_parameter("Role provided in the request belongs to another account"));
    }
    if !world.role_is_visible(arn, cx.now) {
        return Err(ApiError::invalid_parameter("Role provided in the request does not exist."));
    }
    Ok(())
}
