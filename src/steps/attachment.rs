//! The managed policies of a component attached to its role. Policies of others are left alone.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::names::last_part;
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::{self, Document};
use crate::steps::Step;

/// IAM attaches at most ten managed policies to a role unless the quota was raised.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const ATTACHMENT_LIMIT: usize = 10;

/// Where the first policy comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// We make it.
    Ours,
    /// It is AWS's: existence differs by partition and has to be asked.
    Aws,
    /// The user names it: what it lacks of these needs is said.
    Named(Option<Document>),
}

/// One policy on one role, and what goes with it.
#[derive(Debug, Clone)]
pub struct AttachmentStep {
    /// The step.
    pub id: StepId,
    /// The steps that make the role and the policy.
    pub needs: Vec<StepId>,
    /// The role's name.
    pub role: String,
    /// The policy: any of these will do if it is attached already; else the first that exists is attached.
    pub policies: Vec<String>,
    /// Policies that are to be attached beside it.
    pub also: Vec<String>,
    /// Those among all of them that the user names, and that must exist.
    pub named: Vec<String>,
    /// Policies that another configuration of the component attaches.
    pub others: Vec<String>,
    /// Whether those are taken off a role of ours: only where the user says which policy it is to be.
    pub swaps: bool,
    /// Which of all these may be of our making; their tags tell.
    pub possibly_ours: Vec<String>,
    /// The cluster's ARN, to tell our tags for it from those for another.
    pub cluster_arn: String,
    /// Where the policy comes from.
    pub source: Source,
}

/// How many of a policy's missing actions are named.
const SHOWN: usize = 3;

impl AttachmentStep {
    /// Which policy is to be attached; `None` where no one exists.
    async fn choose(&self, cx: &ReadContext) -> Result<String> {
        if !matches!(self.source, Source::Aws) {
            return Ok(self.policies[0].clone());
        }
        first_that_exists(cx, &self.policies).await
    }
}

/// The first of some AWS managed policies that exists in the partition.
pub(super) async fn first_that_exists(cx: &ReadContext, policies: &[String]) -> Result<String> {
    for arn in policies {
        if cx.iam.policy(arn).await?.is_some() {
            return Ok(arn.clone());
        }
    }
    Err(Error::Refused {
        what: format!("none of the AWS managed policies {} exists in this partition", policies.join(", ")),
        mend: "attach a policy of your own to a role and name the role".to_owned(),
    })
}

/// What may be detached: everything of ours from a role that we made, and policies that we made from any role.
#[derive(Debug, Clone, Default)]
struct Made {
    role: bool,
    policies: BTreeSet<String>,
}

impl Made {
    fn frees(&self, arn: &String) -> bool {
        self.role || self.policies.contains(arn)
    }
}

impl AttachmentStep {
    fn made_by_us(&self, tags: &Tags) -> bool {
        owner::of_tags(tags, &self.cluster_arn) == Owner::Ours { adopted: false }
    }

    /// Which of the attached ones among `arns` may be detached.
    async fn made(&self, cx: &ReadContext, arns: &[&String]) -> Result<Made> {
        let role = cx.iam.role(&self.role).await?;
        let mut made = Made { role: role.is_some_and(|role| self.made_by_us(&role.tags)), ..Made::default() };
        for arn in arns.iter().copied().filter(|arn| self.possibly_ours.contains(arn)) {
            if cx.iam.policy(arn).await?.is_some_and(|policy| self.made_by_us(&policy.tags)) {
                made.policies.insert(arn.clone());
            }
        }
        Ok(made)
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.policies.iter().chain(&self.also).chain(&self.others)
    }

    async fn absent(&self, cx: &ReadContext, attached: &BTreeSet<String>) -> Result<Assessment> {
        let held: Vec<_> = self.all().filter(|arn| attached.contains(*arn)).collect();
        Ok(self.absent_diff(&held, &self.made(cx, &held).await?))
    }

    fn absent_diff(&self, held: &[&String], made: &Made) -> Assessment {
        if held.is_empty() {
            return Assessment::keep("absent");
        }
        let (free, stay): (Vec<&String>, Vec<&String>) = held.iter().copied().partition(|arn| made.frees(arn));
        let stays = (!stay.is_empty())
            .then(|| format!("{} stays attached: neither it nor the role was made by us", names(&stay)));
        if free.is_empty() {
            return Assessment::skip(stays.unwrap_or_default());
        }
        let reason = [Some(format!("detach {}", names(&free))), stays].into_iter().flatten().collect::<Vec<_>>();
        Assessment::delete(reason.join("; "), free.into_iter().map(|arn| self.detach(arn)).collect())
    }

    fn detach(&self, arn: &str) -> Change {
        let fields = vec![FieldDiff::new("attachedPolicies", arn.to_owned(), None)];
        let op = Op::Iam(IamOp::DetachRolePolicy { role: self.role.clone(), policy: arn.to_owned() });
        Change { resource: self.resource(), fields, op }
    }

    fn attach(&self, arn: &str) -> Change {
        let fields = vec![FieldDiff::new("attachedPolicies", None, arn.to_owned())];
        let op = Op::Iam(IamOp::AttachRolePolicy { role: self.role.clone(), policy: arn.to_owned() });
        Change { resource: self.resource(), fields, op }
    }

    /// What is to be said of a policy that the user names; an error text where it does not exist.
    async fn named(&self, cx: &ReadContext) -> Result<std::result::Result<Option<String>, String>> {
        let mut found = Vec::new();
        for arn in &self.named {
            let Some(policy) = cx.iam.policy(arn).await? else {
                return Ok(Err(format!("policy {arn} was named but does not exist")));
            };
            found.push((arn, policy));
        }
        let (Source::Named(Some(needed)), Some((arn, policy))) = (&self.source, found.first()) else {
            return Ok(Ok(None));
        };
        let document = cx.iam.policy_document(arn, &policy.default_version).await?;
        let lacking = document.map(|document| policy::lacking(&document, needed)).unwrap_or_default();
        Ok(Ok(shortened(&lacking).map(|actions| format!("the policy lacks {actions}"))))
    }
}

/// The first of many actions.
fn shortened(actions: &[String]) -> Option<String> {
    let shown = actions.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match actions.len() {
        0 => None,
        count if count <= SHOWN => Some(shown),
        count => Some(format!("{shown} and {} more", count - SHOWN)),
    }
}

fn names(arns: &[&String]) -> String {
    arns.iter().map(|arn| last_part(arn)).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Step for AttachmentStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("iam/role/{}/attached-policy", self.role))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let attached = cx.iam.attached_policies(&self.role).await?.unwrap_or_default();
        if goal == Goal::Absent {
            return self.absent(cx, &attached).await;
        }
        let lacks = match self.named(cx).await? {
            Ok(lacks) => lacks,
            Err(reason) => {
                let mend = "correct the policy's ARN, make the policy, or leave it out";
                return Ok(Assessment {
                    mend: Some(mend.to_owned()),
                    ..Assessment::blocked(&self.id, Owner::Unmarked, reason)
                });
            }
        };
        let first = self.policies.iter().find(|arn| attached.contains(*arn)).cloned();
        let policy = match &first {
            Some(arn) => arn.clone(),
            None => self.choose(cx).await?,
        };
        let missing: Vec<&String> = first
            .is_none()
            .then_some(&policy)
            .into_iter()
            .chain(&self.also)
            .filter(|arn| !attached.contains(*arn))
            .collect();
        let retired: Vec<&String> = self.others.iter().filter(|arn| self.swaps && attached.contains(*arn)).collect();
        let made = if retired.is_empty() { Made::default() } else { self.made(cx, &retired).await? };
        let retired: Vec<&String> = retired.into_iter().filter(|arn| made.frees(arn)).collect();
        let said = |reason: String| [Some(reason), lacks.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if missing.is_empty() && retired.is_empty() {
            let held: Vec<&String> = [&policy].into_iter().chain(&self.also).collect();
            return Ok(Assessment::keep(said(format!("{} attached", names(&held)))));
        }
        if attached.len() + missing.len() > ATTACHMENT_LIMIT {
            tracing::warn!(
                role = self.role,
                attached = attached.len(),
                "the role's quota of attached policies may be used up"
            );
        }
        // The new one first: at no time is the component without its permissions.
        let attach = missing.iter().map(|arn| self.attach(arn));
        let changes: Vec<_> = attach.chain(retired.iter().map(|arn| self.detach(arn))).collect();
        let parts = [("attach", &missing), ("detach", &retired)];
        let parts = parts.into_iter().filter(|(_, arns)| !arns.is_empty());
        let reason = said(parts.map(|(verb, arns)| format!("{verb} {}", names(arns))).collect::<Vec<_>>().join(", "));
        Ok(if retired.is_empty() { Assessment::create(reason, changes) } else { Assessment::update(reason, changes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    #[test]
    fn what_we_did_not_make_stays_attached() {
        let step = AttachmentStep {
            id: StepId::new("iam.attachment.ebs"),
            needs: Vec::new(),
            role: "r".to_owned(),
            policies: vec!["arn:v2".to_owned(), "arn:v1".to_owned()],
            also: Vec::new(),
            named: Vec::new(),
            others: Vec::new(),
            swaps: false,
            possibly_ours: Vec::new(),
            cluster_arn: "arn:c".to_owned(),
            source: Source::Aws,
        };
        let cases: [(&[&str], bool, bool, Action, usize); 6] = [
            (&[], true, true, Action::Keep, 0),
            (&["arn:other"], true, false, Action::Keep, 0),
            (&["arn:v2", "arn:other"], true, false, Action::Delete, 1),
            (&["arn:v2", "arn:v1"], true, false, Action::Delete, 2),
            (&["arn:v2"], false, true, Action::Delete, 1),
            (&["arn:v2"], false, false, Action::Skip, 0),
        ];
        for (place, (attached, role, policy, action, writes)) in cases.into_iter().enumerate() {
            let attached: Vec<_> = attached.iter().map(|arn| (*arn).to_owned()).collect();
            let held: Vec<_> = step.all().filter(|arn| attached.contains(*arn)).collect();
            let policies = if policy { step.policies.iter().cloned().collect() } else { BTreeSet::new() };
            let assessment = step.absent_diff(&held, &Made { role, policies });
            assert_eq!((assessment.action, assessment.changes.len()), (action, writes), "case {place}");
        }
    }
}
