//! Proof that a component's admission webhook answers: a Service is created as a server-side dry run.
//!
//! The AWS Load Balancer Controller's webhook is asked about every Service and fails closed, so a webhook that does not
//! answer blocks every later installation (kubernetes-sigs/aws-load-balancer-controller#4140).

use async_trait::async_trait;
use serde_json::json;

use crate::context::ReadContext;
use crate::error::Result;
use crate::plan::{Assessment, Goal, ResourceId, StepId};
use crate::steps::Step;

/// The proof for one webhook.
#[derive(Debug, Clone)]
pub struct WebhookStep {
    /// The step.
    pub id: StepId,
    /// The steps that make what is proved.
    pub needs: Vec<StepId>,
    /// The webhook's namespace.
    pub namespace: String,
    /// The release that brings the webhook; what its Service is called is in its manifest.
    pub release: String,
}

#[async_trait]
impl Step for WebhookStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("webhooks/{}/{}", self.namespace, self.release))
    }

    async fn plan(&self, _cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return Ok(Assessment::skip("nothing to prove"));
        }
        Ok(Assessment::prove("the admission webhook answers a dry-run Service"))
    }

    async fn prove(&self, cx: &ReadContext) -> Result<()> {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "eks-bootstrap-webhook-proof", "namespace": self.namespace},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "eks-bootstrap-webhook-proof"}},
        });
        cx.kube.dry_run_create(&service).await.map(drop)
    }
}
