//! What a destroy leaves in AWS, read back from AWS: IAM objects of ours, and what the controllers made for the cluster.
//!
//! Called by the engine at the end of a destroy and by the command where there was nothing to do. It decides nothing and
//! deletes nothing; the list is what a person has to look at.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::context::ReadContext;
use crate::dependants::in_aws::{self, Reach, Unconfirmed};
use crate::error::Result;
use crate::names;
use crate::op::iam::Tags;
use crate::owner::{self, Owner};
use crate::read::former;

/// What is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// ARNs, sorted.
    pub arns: Vec<String>,
    /// What the tagging API shows and its own service could not confirm: it may be left.
    pub unconfirmed: Vec<Unconfirmed>,
    /// What could not be read; then the list may be incomplete.
    pub unread: Vec<String>,
}

/// Asks AWS.
pub async fn read(cx: &ReadContext) -> LeftBehind {
    let mut left = BTreeSet::new();
    let mut unconfirmed = BTreeSet::new();
    let mut unread = Vec::new();
    match iam(cx).await {
        Ok(arns) => left.extend(arns),
        Err(error) => unread.push(error.to_string()),
    }
    match former::providers(&cx.iam, &cx.facts).await {
        Ok(former) => {
            left.extend(former.arns);
            unread.extend(former.denied);
        }
        Err(error) => unread.push(error.to_string()),
    }
    // Load balancers with what belongs to them, and volumes, by the controllers' tags.
    for shown in [in_aws::load_balancers(cx, Reach::World).await, in_aws::volumes(cx).await] {
        let found = match shown {
            Ok(shown) => shown.confirmed(cx).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => {
                left.extend(found.things.into_iter().map(|thing| thing.arn));
                unconfirmed.extend(found.unconfirmed);
                unread.extend(found.unread.iter().map(ToString::to_string));
            }
            Err(error) => unread.push(error.to_string()),
        }
    }
    LeftBehind { arns: left.into_iter().collect(), unconfirmed: unconfirmed.into_iter().collect(), unread }
}

/// Provider, roles and policies that we made for this cluster, whether their components are wanted now or not.
async fn iam(cx: &ReadContext) -> Result<Vec<String>> {
    let facts = cx.facts.as_ref();
    let made = |tags: &Tags| owner::of_tags(tags, &facts.arn) == Owner::Ours { adopted: false };
    let mut left = Vec::new();
    let provider = facts.provider_arn();
    if cx.iam.oidc_provider(&provider).await?.is_some_and(|provider| made(&provider.tags)) {
        left.push(provider);
    }
    // By their names' end, which is the same for all components: those of files that this run was not told of count too.
    let end = format!("-{}", names::cluster_hash(&facts.arn));
    let (roles, policies) = futures::try_join!(cx.iam.trusts(), cx.iam.local_policies())?;
    for role in roles.iter().filter(|role| role.name.ends_with(&end)) {
        let role = cx.iam.role(&role.name).await?;
        left.extend(role.filter(|role| made(&role.tags)).map(|role| role.arn));
    }
    for arn in policies.into_iter().filter(|arn| arn.ends_with(&end)) {
        let policy = cx.iam.policy(&arn).await?;
        left.extend(policy.filter(|policy| made(&policy.tags)).map(|_| arn));
    }
    Ok(left)
}
