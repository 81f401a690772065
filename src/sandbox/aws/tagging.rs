//! The simulated Resource Groups Tagging API: what has or had tags, seen with a delay; deletions are seen much later than the rest.
//!
//! As in AWS, IAM's policies and OIDC providers are answered in the partition's global region only, accelerators in that of their
//! API, and roles are not answered at all (aws/aws-sdk#581).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::accelerator;
use super::clock::visible;
use super::document::strings;
use super::error::{ApiError, Result};
use super::paging::page;
use super::seed::Tags;
use super::world::{CallContext, World};

/// What the tagging API knows: the tags of every object and when they changed.
#[derive(Debug)]
pub(super) struct TagIndex {
    lag: Duration,
    /// So long what is deleted is still shown (aws/aws-cli#8197).
    ghosts: Duration,
    /// Changes by ARN, oldest first; `None` is a deletion.
    changes: BTreeMap<String, Vec<(Timestamp, Option<Tags>)>>,
}

impl TagIndex {
    pub(super) fn new(lag: Duration, ghosts: Duration) -> Self {
        Self { lag, ghosts, changes: BTreeMap::new() }
    }

    /// Sets how long ago tags have to have changed to be seen.
    pub(super) fn set_lag(&mut self, lag: Duration) {
        self.lag = lag;
    }

    /// Notes the tags of an object after a change; `None` if it was deleted.
    pub(super) fn record(&mut self, arn: &str, now: Timestamp, tags: Option<&Tags>) {
        self.changes.entry(arn.to_owned()).or_default().push((now, tags.cloned()));
    }

    /// Returns the tags that an object has now.
    pub(super) fn present(&self, arn: &str) -> Option<&Tags> {
        self.changes.get(arn)?.last()?.1.as_ref()
    }

    /// The ARNs of everything that is there and has or had tags.
    pub(super) fn there(&self) -> impl Iterator<Item = &String> {
        self.changes.iter().filter(|(_, changes)| changes.last().is_some_and(|(_, tags)| tags.is_some())).map(|it| it.0)
    }

    /// Returns everything that has tags now.
    pub(super) fn all(&self) -> BTreeMap<String, Tags> {
        let present = |(arn, changes): (&String, &Vec<(Timestamp, Option<Tags>)>)| {
            let tags = changes.last()?.1.as_ref()?;
            (!tags.is_empty()).then(|| (arn.clone(), tags.clone()))
        };
        self.changes.iter().filter_map(present).collect()
    }

    /// Returns the tags of everything that is known to have or to have had tags.
    fn seen(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Tags)> {
        self.changes.iter().filter_map(move |(arn, changes)| {
            let lag = |tags: &Option<Tags>| if tags.is_some() { self.lag } else { self.ghosts };
            let known: Vec<_> = changes.iter().filter(|(when, tags)| visible(*when, lag(tags), now)).collect();
            let tags = known.last()?.1.as_ref()?;
            // Tags of an earlier object of the same name do not count.
            let life = known.iter().rev().map_while(|(_, tags)| tags.as_ref());
            life.into_iter().any(|tags| !tags.is_empty()).then_some((arn, tags))
        })
    }
}

/// Answers a call of the tagging API.
pub(super) fn call(world: &World, cx: &CallContext, operation: &str, input: &Map<String, Value>) -> Result<Value> {
    match operation {
        "GetResources" => resources(world, cx, input),
        other => Err(ApiError::not_implemented(&format!("tag:{other}"))),
    }
}

fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterException", 400, text)
}

fn resources(world: &World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let arns = input.get("ResourceARNList").and_then(strings).unwrap_or_default();
    let types = input.get("ResourceTypeFilters").and_then(strings).unwrap_or_default();
    let filters = input.get("TagFilters").and_then(Value::as_array).cloned().unwrap_or_default();
    if !arns.is_empty() && (!filters.is_empty() || !types.is_empty()) {
        return Err(invalid("ResourceARNList cannot be combined with other filters"));
    }
    if types.len() > 100 || arns.len() > 100 || filters.len() > 50 {
        return Err(invalid("too many filters"));
    }
    let mut wanted = Vec::new();
    for filter in &filters {
        let key =
            filter["Key"].as_str().filter(|key| !key.is_empty()).ok_or_else(|| invalid("TagFilter without Key"))?;
        wanted.push((key, strings(&filter["Values"]).unwrap_or_default()));
    }
    let size = match input.get("ResourcesPerPage").and_then(Value::as_u64) {
        None => 50,
        Some(size @ 1..=100) => size,
        Some(size) => return Err(invalid(format!("ResourcesPerPage {size} is not between 1 and 100"))),
    };
    let tagged: Vec<(String, Value)> = world
        .tag_index
        .seen(cx.now)
        .filter(|(arn, _)| in_region(arn, world, &cx.region))
        .filter(|(arn, _)| arns.is_empty() || arns.contains(arn))
        .filter(|(arn, _)| types.is_empty() || types.iter().any(|kind| is_type(arn, kind)))
        .filter(|(_, tags)| {
            wanted
                .iter()
                .all(|(key, values)| tags.get(*key).is_some_and(|value| values.is_empty() || values.contains(value)))
        })
        .map(|(arn, tags)| {
            let tags: Vec<_> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
            (arn.clone(), json!({"ResourceARN": arn, "Tags": tags}))
        })
        .collect();
    let mark = input.get("PaginationToken").and_then(Value::as_str).filter(|mark| !mark.is_empty());
    let page = page(tagged, mark, world.page_of(Some(size), 100))
        .ok_or_else(|| ApiError::new("PaginationTokenExpiredException", 400, "the pagination token is not valid"))?;
    Ok(json!({"PaginationToken": page.next.unwrap_or_default(), "ResourceTagMappingList": page.items}))
}

fn in_region(arn: &str, world: &World, region: &str) -> bool {
    if arn.split(':').nth(2) == Some("globalaccelerator") {
        return region == accelerator::REGION;
    }
    match arn.split(':').nth(3) {
        None | Some("") => region == world.partition.global_region,
        Some(own) => own == region,
    }
}

/// Matches `service` or `service:type` against an ARN.
fn is_type(arn: &str, filter: &str) -> bool {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let (service, resource) = (parts.get(2).copied().unwrap_or_default(), parts.get(5).copied().unwrap_or_default());
    match filter.split_once(':') {
        None => service == filter,
        Some((wanted, kind)) => {
            let rest = resource.strip_prefix(kind);
            service == wanted && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        }
    }
}
