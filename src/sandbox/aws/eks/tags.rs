//! Tags of EKS objects. These three operations have error names of their own in AWS: `NotFoundException` and `BadRequestException`.

use serde_json::{Map, Value, json};

use super::text;
use crate::sandbox::aws::document::strings;
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::seed::Tags;
use crate::sandbox::aws::world::{CallContext, World, tags_json};

/// Most tags of an object.
const TAG_LIMIT: usize = 50;

fn check(tags: &Tags) -> std::result::Result<(), String> {
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(format!("Invalid tag key: {key}"));
        }
        if value.chars().count() > 256 {
            return Err(format!("Invalid tag value: {value}"));
        }
    }
    if tags.len() > TAG_LIMIT { Err(format!("An object can have at most {TAG_LIMIT} tags")) } else { Ok(()) }
}

fn given(input: &Map<String, Value>) -> Tags {
    let tags = input.get("tags").and_then(Value::as_object).into_iter().flatten();
    tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Reads the tags of a call that makes something.
pub(super) fn read(input: &Map<String, Value>) -> Result<Tags> {
    let tags = given(input);
    check(&tags).map_err(ApiError::invalid_parameter)?;
    Ok(tags)
}

fn find<'a>(world: &'a mut World, input: &Map<String, Value>) -> Result<(String, &'a mut Tags)> {
    let arn = text(input, "resourceArn").unwrap_or_default().to_owned();
    if !arn.starts_with(&format!("arn:{}:eks:", world.partition.name)) {
        return Err(ApiError::new("BadRequestException", 400, format!("Invalid ARN: {arn}")));
    }
    for cluster in world.clusters.values_mut() {
        if cluster.arn == arn {
            return Ok((arn, &mut cluster.tags));
        }
        let addons = cluster.addons.values_mut().map(|it| (&it.arn, &mut it.tags));
        let groups = cluster.nodegroups.values_mut().map(|it| (&it.arn, &mut it.tags));
        let associations = cluster.associations.values_mut().map(|it| (&it.arn, &mut it.tags));
        if let Some((_, tags)) = addons.chain(groups).chain(associations).find(|(candidate, _)| **candidate == arn) {
            return Ok((arn, tags));
        }
    }
    Err(ApiError::new("NotFoundException", 404, format!("No resource found for ARN: {arn}")))
}

pub(super) fn tag(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let (arn, tags) = find(world, input)?;
    let mut changed = tags.clone();
    changed.extend(given(input));
    check(&changed).map_err(|text| ApiError::new("BadRequestException", 400, text))?;
    tags.clone_from(&changed);
    world.tag_index.record(&arn, cx.now, Some(&changed));
    Ok(json!({}))
}

pub(super) fn untag(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let (arn, tags) = find(world, input)?;
    for key in input.get("tagKeys").and_then(strings).unwrap_or_default() {
        tags.remove(&key);
    }
    let changed = tags.clone();
    world.tag_index.record(&arn, cx.now, Some(&changed));
    Ok(json!({}))
}

pub(super) fn list(world: &mut World, input: &Map<String, Value>) -> Result<Value> {
    let (_, tags) = find(world, input)?;
    Ok(json!({"tags": tags_json(tags)}))
}
