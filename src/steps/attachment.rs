//! A managed policy attached to a component's role. Other attachments are left alone.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::names::last_part;
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::steps::Step;

/// IAM attaches at most ten managed policies to a role unless the quota was raised.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const ATTACHMENT_LIMIT: usize = 10;

/// One policy on one role.
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
    /// The cluster's ARN, to tell our tags for it from those for another.
    pub cluster_arn: String,
    /// Whether the policies are AWS's, so that existence differs by partition and has to be asked.
    pub aws_managed: bool,
}

impl AttachmentStep {
    /// Which policy is to be attached; `None` where no one exists.
    async fn choose(&self, cx: &ReadContext) -> Result<String> {
        if !self.aws_managed {
            return Ok(self.policies[0].clone());
        }
        for arn in &self.policies {
            if cx.iam.policy(arn).await?.is_some() {
                return Ok(arn.clone());
            }
        }
        Err(Error::Refused {
            what: format!("none of the AWS managed policies {} exists in this partition", self.policies.join(", ")),
            mend: "attach a policy of your own to a role and name the role".to_owned(),
        })
    }
}

/// What may be detached: everything of ours from a role that we made, and a policy that we made from any role.
#[derive(Debug, Clone, Copy)]
struct Made {
    role: bool,
    policy: bool,
}

impl AttachmentStep {
    async fn absent(&self, cx: &ReadContext, attached: &BTreeSet<String>) -> Result<Assessment> {
        let made = |tags: Option<&Tags>| {
            tags.is_some_and(|tags| owner::of_tags(tags, &self.cluster_arn) == Owner::Ours { adopted: false })
        };
        let role = cx.iam.role(&self.role).await?;
        let policy = if self.aws_managed { None } else { cx.iam.policy(&self.policies[0]).await? };
        let made =
            Made { role: made(role.as_ref().map(|role| &role.tags)), policy: made(policy.as_ref().map(|p| &p.tags)) };
        Ok(self.absent_diff(attached, made))
    }

    fn absent_diff(&self, attached: &BTreeSet<String>, made: Made) -> Assessment {
        let held: Vec<_> = self.policies.iter().filter(|arn| attached.contains(*arn)).collect();
        if held.is_empty() {
            return Assessment::keep("absent");
        }
        let names = held.iter().map(|arn| last_part(arn)).collect::<Vec<_>>().join(", ");
        if !made.role && !made.policy {
            return Assessment::skip(format!("{names} stays attached: neither it nor the role was made by us"));
        }
        let detach = |arn: &String| {
            let fields = vec![FieldDiff::new("attachedPolicies", arn.clone(), None)];
            let op = Op::Iam(IamOp::DetachRolePolicy { role: self.role.clone(), policy: arn.clone() });
            Change { resource: self.resource(), fields, op }
        };
        Assessment::delete(format!("detach {names}"), held.into_iter().map(detach).collect())
    }
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
        if let Some(arn) = self.policies.iter().find(|arn| attached.contains(*arn)) {
            return Ok(Assessment::keep(format!("{} attached", last_part(arn))));
        }
        let policy = self.choose(cx).await?;
        if attached.len() >= ATTACHMENT_LIMIT {
            tracing::warn!(
                role = self.role,
                attached = attached.len(),
                "the role's quota of attached policies may be used up"
            );
        }
        let name = last_part(&policy).to_owned();
        let fields = vec![FieldDiff::new("attachedPolicies", None, policy.clone())];
        let op = Op::Iam(IamOp::AttachRolePolicy { role: self.role.clone(), policy });
        let changes = vec![Change { resource: self.resource(), fields, op }];
        Ok(Assessment::create(format!("attach {name}"), changes))
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
            cluster_arn: "arn:c".to_owned(),
            aws_managed: true,
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
            let attached = attached.iter().map(|arn| (*arn).to_owned()).collect();
            let assessment = step.absent_diff(&attached, Made { role, policy });
            assert_eq!((assessment.action, assessment.changes.len()), (action, writes), "case {place}");
        }
    }
}
