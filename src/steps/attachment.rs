//! A managed policy attached to a component's role. Other attachments are left alone.

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::op::Op;
use crate::op::iam::IamOp;
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

fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
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

    async fn plan(&self, cx: &ReadContext, _goal: Goal) -> Result<Assessment> {
        let attached = cx.iam.attached_policies(&self.role).await?.unwrap_or_default();
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
