//! Proof that EKS' webhook gives new pods of a service account their identity in the wanted way.
//!
//! Associations reach the webhook seconds after EKS has taken them, and a pod that is admitted earlier never gets its role
//! (aws/amazon-eks-pod-identity-webhook#210). So a pod is created as a dry run, again until it comes back right: nothing is
//! kept of it, and the real pods are only made, or replaced, after that.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::config::Identity;
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::plan::{Assessment, Goal, ResourceId, StepId};
use crate::read::pods;
use crate::steps::Step;

/// The proof for one service account.
#[derive(Debug, Clone)]
pub struct AdmissionStep {
    /// The step.
    pub id: StepId,
    /// The steps that make what is proved.
    pub needs: Vec<StepId>,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// How pods are to get the role.
    pub identity: Identity,
    /// The role.
    pub role_arn: String,
}

impl AdmissionStep {
    /// A pod that asks for nothing, so that no admission rule has a reason to refuse it.
    fn pod(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("eks-bootstrap-dry-run-{}", self.service_account), "namespace": self.namespace},
            "spec": {
                "serviceAccountName": self.service_account,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "dry-run",
                    "image": "registry.k8s.io/pause:3.10",
                    "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "8Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        })
    }
}

#[async_trait]
impl Step for AdmissionStep {
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
        Ok(Assessment::prove("a pod that is created as a dry run comes back with its identity"))
    }

    async fn prove(&self, cx: &ReadContext) -> Result<()> {
        let admitted = cx.kube.dry_run_create(&self.pod()).await?;
        match pods::trouble(&admitted, self.identity, &self.role_arn) {
            None => Ok(()),
            Some(trouble) => Err(Error::Refused {
                what: format!(
                    "EKS' webhook does not give new pods of {} their identity: {trouble}",
                    self.service_account
                ),
                mend: "look whether the webhook `pod-identity-webhook` is registered and the association is there"
                    .to_owned(),
            }),
        }
    }
}
