//! Proof that a component's pods get their role: a token for the service account is exchanged for it, as a pod would do.
//!
//! Nothing is written: the API server signs the token and keeps nothing of it, and STS' credentials are thrown away. IAM
//! may take seconds until it lets the role be assumed, so the engine asks again.

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::plan::{Assessment, Goal, ResourceId, StepId};
use crate::policy::AUDIENCE;
use crate::steps::Step;

/// The proof for one service account.
#[derive(Debug, Clone)]
pub struct IdentityStep {
    /// The step.
    pub id: StepId,
    /// The steps that make what is proved.
    pub needs: Vec<StepId>,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
}

#[async_trait]
impl Step for IdentityStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("ServiceAccount/{}/{}", self.namespace, self.service_account))
    }

    async fn plan(&self, _cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return Ok(Assessment::skip("nothing to prove"));
        }
        Ok(Assessment::prove("a token of the service account is exchanged for the role"))
    }

    async fn prove(&self, cx: &ReadContext) -> Result<()> {
        let token = cx.kube.service_account_token(&self.namespace, &self.service_account, AUDIENCE).await?;
        let Some(token) = token else {
            return Err(Error::Refused {
                what: format!("service account {}/{} does not exist", self.namespace, self.service_account),
                mend: "run apply without --only and --skip".to_owned(),
            });
        };
        cx.sts.assume_with_token(&self.role_arn, token.expose()).await
    }
}
