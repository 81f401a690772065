//! The end of all load balancers before their controller goes: its objects are deleted while it still runs, and AWS is asked
//! until it shows nothing of theirs. Part of `destroy --drain` only; every other step waits for it.
//!
//! Volumes are not drained: they are users' data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use async_trait::async_trait;
use serde_json::Value;

use crate::component::Component;
use crate::context::ReadContext;
use crate::dependants::in_aws::{self, Reach, Thing, explains, short};
use crate::dependants::{self, Dependant};
use crate::error::Result;
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::Owner;
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::kube::ObjectRef;
use crate::read::names;
use crate::steps::Step;

/// The step.
pub const ID: StepId = StepId::new("drain.load-balancers");
/// So many objects are named while they are waited for.
const NAMED: usize = 3;

/// The end of all load balancers.
#[derive(Debug)]
pub struct DrainStep {
    /// Every other step, all of which wait for it when they are reversed.
    pub needs: Vec<StepId>,
    /// The controller; what its Deployment is called is in its release's manifest.
    pub controller: Component,
    /// What was seen when it was looked at first.
    pub first: OnceLock<FirstLook>,
}

/// Kept, since after the objects are gone nothing is explained by any.
#[derive(Debug)]
pub struct FirstLook {
    /// What no object explained: it stays, however long one waits.
    stranded: BTreeSet<String>,
    /// Whether there were accelerators. Else their region is not asked again and again: from many clusters there is no way to it.
    accelerators: bool,
}

struct Observed {
    dependants: Vec<Dependant>,
    /// What the objects explain, or explained.
    in_aws: Vec<Thing>,
    /// How many replicas of the controller are ready; none where it is gone.
    controller: Option<u64>,
    /// The last warning about an object, by its uid.
    warnings: BTreeMap<String, String>,
}

impl DrainStep {
    async fn deployment(&self, cx: &ReadContext) -> Result<Option<Value>> {
        let controller = names::as_installed(&cx.kube, &self.controller).await?;
        let name = controller.deployment().unwrap_or(controller.name);
        cx.kube.get(&ObjectRef::new("apps/v1", "Deployment", controller.namespace, name)).await
    }

    async fn observe(&self, cx: &ReadContext) -> Result<Observed> {
        // In this order: what a service still has of an object that was read as gone is not nobody's.
        let region = self.first.get().is_some_and(|first| !first.accelerators);
        let reach = if region { Reach::Region } else { Reach::World };
        let shown = in_aws::load_balancers(cx, reach).await?;
        let (objects, controller) = futures::try_join!(dependants::of_load_balancers(&cx.kube), self.deployment(cx))?;
        let dependants = objects.dependants;
        let mut found = shown.confirmed(cx).await?;
        let accelerators = dependants.iter().any(Dependant::is_accelerator);
        if accelerators && let Some(error) = found.unread.pop() {
            return Err(error);
        }
        let first = self
            .first
            .get_or_init(|| FirstLook { stranded: in_aws::unexplained(&found.things, &dependants), accelerators });
        let in_aws = found.things.into_iter().filter(|thing| !first.stranded.contains(&thing.arn)).collect();
        let namespaces: BTreeSet<_> = dependants
            .iter()
            .filter(|dependant| dependant.going)
            .filter_map(|dependant| dependant.object.namespace.clone())
            .collect();
        let mut warnings = BTreeMap::new();
        for namespace in namespaces {
            // Causes are a courtesy: a caller who may not read events still gets the rest.
            let events = cx.kube.list("v1", "Event", &namespace, "").await.unwrap_or_default();
            warnings.extend(latest_warnings(&events));
        }
        Ok(Observed { dependants, in_aws, controller: controller.as_ref().map(ready_replicas), warnings })
    }
}

/// What is left to do.
fn diff(observed: &Observed) -> Assessment {
    let Observed { dependants, in_aws, .. } = observed;
    if dependants.is_empty() && in_aws.is_empty() {
        return Assessment::keep("no object has a load balancer");
    }
    let stuck = dependants.iter().find(|dependant| !dependant.finalizers.is_empty());
    if let Some(stuck) = stuck.filter(|_| observed.controller.is_none()) {
        let reason = format!(
            "{} waits for {}, and its controller is gone: only that takes the finalizer off and deletes the load balancer",
            stuck.object,
            stuck.finalizers.join(", ")
        );
        let owner = Owner::Tool { name: "the controller".to_owned() };
        let mend = "install the controller again with `apply`, then run the same command".to_owned();
        return Assessment { mend: Some(mend), ..Assessment::blocked(&ID, owner, reason) };
    }
    let mut changes: Vec<_> = dependants.iter().filter(|dependant| !dependant.derived).map(deletion).collect();
    if changes.is_empty() {
        return Assessment::unknown(waiting(observed));
    }
    describe(&mut changes, dependants, in_aws);
    let reason = if dependants.iter().any(|dependant| dependant.going) {
        waiting(observed)
    } else {
        let objects = counted(changes.len(), "object", "objects");
        format!("{objects} deleted, with {} in AWS", counted(in_aws.len(), "thing", "things"))
    };
    Assessment::delete(reason, changes)
}

fn deletion(dependant: &Dependant) -> Change {
    let object = dependant.object.clone();
    let op = Op::Kube(KubeOp::Delete { object: object.clone() });
    Change { resource: ResourceId(object.to_string()), fields: Vec::new(), op }
}

/// Says of each object what goes with it; what several share goes with the last of them.
fn describe(changes: &mut [Change], dependants: &[Dependant], in_aws: &[Thing]) {
    let ours: Vec<_> = dependants.iter().filter(|dependant| !dependant.derived).collect();
    for thing in in_aws {
        let last = ours.iter().rposition(|dependant| explains(dependant, thing));
        if let Some(change) = last.and_then(|place| changes.get_mut(place)) {
            change.fields.push(FieldDiff::new("in AWS", short(&thing.arn).to_owned(), None));
        }
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn ready_replicas(deployment: &Value) -> u64 {
    deployment.pointer("/status/readyReplicas").and_then(Value::as_u64).unwrap_or(0)
}

/// What is still there and why.
fn waiting(observed: &Observed) -> String {
    let Observed { dependants, in_aws, warnings, controller } = observed;
    let mut parts = Vec::new();
    if *controller == Some(0) {
        parts.push("no replica of the controller is ready".to_owned());
    }
    let left = dependants.iter().filter(|dependant| dependant.going || dependant.derived);
    let named: Vec<_> = left.take(NAMED).collect();
    for dependant in &named {
        let reason = match warnings.get(&dependant.uid) {
            Some(warning) => warning.clone(),
            None => format!("waits for {}", dependant.finalizers.join(", ")),
        };
        parts.push(format!("{} {reason}", dependant.object));
    }
    let more = dependants.len().saturating_sub(named.len());
    if more > 0 {
        parts.push(format!("{} more", counted(more, "object", "objects")));
    }
    if let Some(first) = in_aws.first() {
        let more = if in_aws.len() > 1 { format!(" and {} more", in_aws.len() - 1) } else { String::new() };
        parts.push(format!("AWS still shows {}{more}", short(&first.arn)));
    }
    parts.join("; ")
}

/// The latest warning about each object.
fn latest_warnings(events: &[Value]) -> BTreeMap<String, String> {
    let text =
        |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let when = |event: &Value| {
        let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
        times.into_iter().map(|pointer| text(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default()
    };
    let mut warnings: Vec<_> = events.iter().filter(|event| event["type"] == "Warning").collect();
    warnings.sort_by_key(|event| when(event));
    let said = |event: &Value| {
        let message = text(event, "/message");
        // AWS's own words come last, after those of the SDK.
        let message = message.lines().next().unwrap_or_default().rsplit("api error ").next().unwrap_or_default();
        let message: String = message.chars().take(200).collect();
        format!("{}: {message}", text(event, "/reason"))
    };
    warnings.into_iter().map(|event| (text(event, "/involvedObject/uid"), said(event))).collect()
}

#[async_trait]
impl Step for DrainStep {
    fn id(&self) -> StepId {
        ID
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId("load balancers of the cluster".to_owned())
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Present {
            return Ok(Assessment::skip("only a destroy drains"));
        }
        Ok(diff(&self.observe(cx).await?))
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        Some(waiting(&self.observe(cx).await.ok()?))
    }
}

#[cfg(test)]
mod tests;
