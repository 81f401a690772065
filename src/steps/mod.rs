//! The steps: one file per kind of object, in the order Desired, Observed, observe, diff, tests. `catalogue.rs` lists them.
//!
//! A step never writes: it observes, compares and returns changes, and the engine runs their ops.

pub mod addon;
pub mod admission;
pub mod api_service;
pub mod association;
pub mod attachment;
pub mod catalogue;
pub mod chart_crds;
pub mod drain;
pub mod former_trust;
pub mod identity;
pub mod kube_object;
pub mod namespace;
pub mod node_role;
pub mod oidc_provider;
pub mod pod_identity_agent;
pub mod pods;
pub mod policy;
pub mod release;
pub mod role;
pub mod storage_class;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::op::iam::Tags;
use crate::owner::tags;
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::held::parting_alone;
use crate::read::kube::ObjectRef;
use crate::retry::BackOff;

pub use catalogue::{all, ids};

/// A node of the graph: one object that must be in a given state.
#[async_trait]
pub trait Step: Send + Sync {
    /// Its stable name.
    fn id(&self) -> StepId;

    /// The steps that come before it when the goal is `Present`; for `Absent` the order is reversed.
    fn needs(&self) -> Vec<StepId>;

    /// Steps that end before this one begins but whose failure does not stop it.
    fn after(&self) -> Vec<StepId> {
        Vec::new()
    }

    /// The object that it looks after.
    fn resource(&self) -> ResourceId;

    /// Reads the world and returns what is missing for `goal`. Writes nothing.
    ///
    /// # Errors
    /// When a read fails; a denied read makes the step unknown.
    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment>;

    /// Proves that what the steps before it made really works. Runs only where one of them changed something, and is
    /// asked again until it succeeds or its time is over: IAM and pods need seconds.
    ///
    /// # Errors
    /// The reason why it does not work (yet).
    async fn prove(&self, _cx: &ReadContext) -> Result<()> {
        Ok(())
    }

    /// The one write that is tried, once, where the proof fails; the plan's reason speaks of it. For what can only be known
    /// when it has happened, such as pods that were admitted before AWS' webhook knew of their role.
    fn remedy(&self) -> Option<Change> {
        None
    }

    /// Why waiting for this step is in vain; asked while it settles.
    async fn hopeless(&self, _cx: &ReadContext) -> Option<Error> {
        None
    }

    /// The objects that helm writes for it, as the last plan saw them: those that `--recreate` may name.
    fn objects(&self) -> Vec<ObjectRef> {
        Vec::new()
    }

    /// What is to be seen in the cluster while an op of this step runs, such as `deployment 1/2 ready`.
    async fn progress(&self, _cx: &ReadContext) -> Option<String> {
        None
    }
}

/// The step of this id; none where the configuration asks for none.
pub fn find(cx: &ReadContext, id: &str) -> Option<Arc<dyn Step>> {
    all(&cx.config, &cx.facts).into_iter().find(|step| step.id().as_str() == id)
}

/// How long a plan waits for an object that is just being deleted: seconds are normal, since a CRD goes only after its
/// objects, and longer than this a finalizer holds it.
const PARTING: Duration = Duration::from_secs(5);

/// Reads an object; one that is just being deleted is waited for, so that it is not taken for one that stays.
async fn settled(cx: &ReadContext, object: &ObjectRef) -> Result<Option<Value>> {
    let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(1), PARTING);
    loop {
        let found = cx.kube.get(object).await?;
        if found.as_ref().is_none_or(|found| parting_alone(found).is_none()) || !back_off.wait().await {
            return Ok(found);
        }
    }
}

/// The keys of our own tags among `observed`; tags that the user asked for are the user's.
fn our_tag_keys(observed: &Tags) -> Vec<String> {
    let ours = [tags::MANAGED_BY, tags::CLUSTER, tags::COMPONENT, tags::ADOPTED_FROM];
    observed.keys().filter(|key| ours.contains(&key.as_str())).cloned().collect()
}

/// The tags that are missing or differ, with their differences; tags that we do not set are not looked at.
fn tag_diff(wanted: &Tags, observed: &Tags) -> Option<(Tags, Vec<FieldDiff>)> {
    let missing: Tags = wanted
        .iter()
        .filter(|(key, value)| observed.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let fields = missing
        .iter()
        .map(|(key, value)| FieldDiff::new(format!("tags.{key}"), observed.get(key).cloned(), value.clone()))
        .collect();
    (!missing.is_empty()).then_some((missing, fields))
}
