//! The steps: one file per kind of object, in the order Desired, Observed, observe, diff, tests. `catalogue.rs` lists them.
//!
//! A step never writes: it observes, compares and returns changes, and the engine runs their ops.

pub mod api_service;
pub mod attachment;
pub mod catalogue;
pub mod chart_crds;
pub mod identity;
pub mod kube_object;
pub mod oidc_provider;
pub mod policy;
pub mod release;
pub mod role;
pub mod storage_class;
pub mod webhook;

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::Result;
use crate::op::iam::Tags;
use crate::owner::tags;
use crate::plan::{Assessment, FieldDiff, Goal, ResourceId, StepId};

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

    /// What is to be seen in the cluster while an op of this step runs, such as `deployment 1/2 ready`.
    async fn progress(&self, _cx: &ReadContext) -> Option<String> {
        None
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
