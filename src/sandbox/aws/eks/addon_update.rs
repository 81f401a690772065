//! Changes of add-ons, as DescribeUpdate knows them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{find, required, seconds, text};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::world::{CallContext, World};

/// A change of an add-on.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) id: String,
    pub(super) addon: String,
    pub(super) created: Timestamp,
    pub(super) settled: Timestamp,
    pub(super) parameters: Vec<(String, String)>,
}

impl Update {
    pub(super) fn describe(&self, now: Timestamp) -> Value {
        let parameters: Vec<_> =
            self.parameters.iter().map(|(key, value)| json!({"type": key, "value": value})).collect();
        json!({
            "id": self.id,
            "status": if now < self.settled { "InProgress" } else { "Successful" },
            "type": "AddonUpdate",
            "params": parameters,
            "createdAt": seconds(self.created),
            "errors": [],
        })
    }
}

pub(super) fn describe(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let cluster = find(world, cx, input)?;
    let id = required(input, "updateId")?;
    let update = cluster.updates.get(id).filter(|update| text(input, "addonName") == Some(&update.addon));
    let update = update.ok_or_else(|| {
        ApiError::not_found(format!("No update found for ID: {id}")).with("clusterName", &cluster.name)
    })?;
    Ok(json!({"update": update.describe(cx.now)}))
}
