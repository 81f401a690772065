//! What the controllers keep in AWS, by their tags, and which of it an object of the cluster explains. What none explains is
//! nobody's any more: no controller will delete it. Called by the drain step, by `destroy` before it asks and after it is done,
//! and by a check.
//!
//! The tagging API goes on showing what is deleted, for minutes to hours. So nothing counts on its word: each thing is confirmed
//! by its own service, after the cluster was read. In this order (tags, cluster, service) a thing without an object cannot be one
//! whose object came or went in between.

mod confirm;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::context::ReadContext;
use crate::dependants::{Dependant, Objects, Volume};
use crate::error::{Error, Result};
use crate::names::last_part;
use crate::read::tagging::{Tagged, Tags};

/// The tag of the AWS Load Balancer Controller on everything that it makes for a cluster.
pub const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";
/// Its tag on accelerators, since a cluster of the same name may be in another region.
const REGION_TAG: &str = "elbv2.k8s.aws/cluster-region";

/// How far is looked for load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In the cluster's region.
    Region,
    /// And for accelerators, in the region of theirs.
    World,
}

/// What the tagging API shows.
#[derive(Debug, Default)]
pub struct Shown {
    things: Vec<Tagged>,
    unread: Vec<Error>,
}

/// Something with its tags that its service knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// Its ARN.
    pub arn: String,
    /// All of its tags.
    pub tags: Tags,
    /// What uses it: load balancers of a target group, instances of a volume.
    pub used_by: Vec<String>,
}

/// Something that the tagging API shows and of which it is not known whether it is there, or whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unconfirmed {
    /// Its ARN.
    pub arn: String,
    /// Why nobody knows.
    pub reason: String,
    /// The IAM action that is missing, if that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// What is in AWS.
#[derive(Debug, Default)]
pub struct Found {
    /// What is there, and the cluster's.
    pub things: Vec<Thing>,
    /// What may be; never waited for, never to be deleted on that ground.
    pub unconfirmed: Vec<Unconfirmed>,
    /// What could not be read.
    pub unread: Vec<Error>,
}

/// Everything that the load balancer controller made for the cluster, as the tagging API shows it.
///
/// # Errors
/// A read of the cluster's region that failed; accelerators, which live in another one, may be unread.
pub async fn load_balancers(cx: &ReadContext, reach: Reach) -> Result<Shown> {
    let facts = cx.facts.as_ref();
    let elsewhere = async {
        match cx.accelerators.as_ref().filter(|_| reach == Reach::World) {
            Some(reader) => reader.tagged(CLUSTER_TAG, &facts.cluster).await,
            None => Ok(Vec::new()),
        }
    };
    let (here, elsewhere) = futures::join!(cx.tagging.tagged(CLUSTER_TAG, &facts.cluster, None), elsewhere);
    let mut shown = Shown { things: here?, unread: Vec::new() };
    match elsewhere {
        Ok(accelerators) => shown.things.extend(accelerators),
        Err(error) => shown.unread.push(error),
    }
    // In the accelerators' own region both answers hold them, with those of clusters of the same name elsewhere.
    shown.things.retain(|thing| thing.tags.get(REGION_TAG).is_none_or(|region| *region == facts.region));
    shown.things.sort_by(|one, other| one.arn.cmp(&other.arn));
    shown.things.dedup_by(|one, other| one.arn == other.arn);
    Ok(shown)
}

/// Volumes, by the EBS driver's tag and by the one that older drivers and the in-tree plugin set, which others than volumes
/// carry too.
///
/// # Errors
/// A read that failed.
pub async fn volumes(cx: &ReadContext) -> Result<Shown> {
    let cluster = &cx.facts.cluster;
    let owned = format!("kubernetes.io/cluster/{cluster}");
    let (newer, older) = futures::try_join!(
        cx.tagging.tagged("ebs.csi.aws.com/cluster-name", cluster, None),
        cx.tagging.tagged(&owned, "owned", Some("ec2:volume")),
    )?;
    let mut things: Vec<_> = newer.into_iter().chain(older).collect();
    things.sort_by(|one, other| one.arn.cmp(&other.arn));
    things.dedup_by(|one, other| one.arn == other.arn);
    Ok(Shown { things, unread: Vec::new() })
}

impl Shown {
    /// Whether the tagging API shows nothing.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Only what is of a kind, such as `:loadbalancer/`.
    pub(crate) fn only(mut self, part: &str) -> Shown {
        self.things.retain(|thing| thing.arn.contains(part));
        self
    }

    /// Asks every service which of its things are there. To be called after the cluster was read.
    ///
    /// # Errors
    /// A read that failed for another reason than a missing right.
    pub async fn confirmed(self, cx: &ReadContext) -> Result<Found> {
        Box::pin(confirm::ask(cx, self)).await
    }
}

/// Whether an object of the cluster explains why this exists.
pub fn explains(dependant: &Dependant, thing: &Thing) -> bool {
    is_shared(thing) && dependant.has_security_groups()
        || dependant.arns.contains(&thing.arn)
        || is_of(&thing.tags, &dependant.stacks)
}

/// One security group is shared by all load balancers and goes with the last of them.
fn is_shared(thing: &Thing) -> bool {
    thing.tags.get("elbv2.k8s.aws/resource").is_some_and(|value| value == "backend-sg")
}

fn is_of(tags: &Tags, stacks: &BTreeSet<(String, String)>) -> bool {
    stacks.iter().any(|(key, value)| tags.get(key) == Some(value))
}

/// The ARNs that no object of the controller's explains: it will not delete them.
pub fn unexplained(things: &[Thing], dependants: &[Dependant]) -> BTreeSet<String> {
    let alone = things.iter().filter(|thing| !dependants.iter().any(|dependant| explains(dependant, thing)));
    alone.map(|thing| thing.arn.clone()).collect()
}

/// The ARNs that are nobody's: no object of whatever class explains them, and nothing that is somebody's uses them.
pub fn orphans(things: &[Thing], objects: &Objects) -> BTreeSet<String> {
    let mut alone = unexplained(things, &objects.dependants);
    let any = !objects.others.is_empty() || !objects.dependants.is_empty();
    let others = |thing: &&Thing| is_of(&thing.tags, &objects.others) || is_shared(thing) && any;
    let kept: Vec<_> = things.iter().filter(others).map(|thing| thing.arn.clone()).collect();
    alone.retain(|arn| !kept.contains(arn));
    let in_use = |thing: &&Thing| thing.used_by.iter().any(|user| !alone.contains(user));
    let used: Vec<_> = things.iter().filter(in_use).map(|thing| thing.arn.clone()).collect();
    alone.retain(|arn| !used.contains(arn));
    alone
}

/// The ARNs of volumes that no PersistentVolume stands for and that are attached to nothing. Root volumes of nodes carry the
/// cluster's older tag too.
pub fn volumes_without_object(things: &[Thing], volumes: &[Volume]) -> BTreeSet<String> {
    let alone = things.iter().filter(|thing| thing.used_by.is_empty());
    let alone = alone.filter(|thing| !volumes.iter().any(|volume| last_part(&thing.arn) == volume.id));
    alone.map(|thing| thing.arn.clone()).collect()
}

/// An ARN without what is the same for all: `loadbalancer/app/k8s-shop/0123`.
pub fn short(arn: &str) -> &str {
    arn.splitn(6, ':').last().unwrap_or(arn)
}

#[cfg(test)]
mod tests;
