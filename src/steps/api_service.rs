//! Proof that the aggregated API of a component is served: its APIService is available.
//!
//! The API server asks the component itself and keeps the answer in a condition, so that pods that are ready behind a port
//! which the control plane does not reach are told from an API that works (kubernetes-sigs/metrics-server#1010).

use async_trait::async_trait;
use serde_json::Value;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::object::condition;
use crate::plan::{Assessment, Goal, ResourceId, StepId};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::steps::Step;

/// The proof for one API.
#[derive(Debug, Clone)]
pub struct ApiServiceStep {
    /// The step.
    pub id: StepId,
    /// The steps that make what is proved.
    pub needs: Vec<StepId>,
    /// The APIService, as `v1beta1.metrics.k8s.io`.
    pub name: String,
}

/// Why an API is not served; none where it is.
///
/// # Errors
/// A read that failed.
pub async fn unavailable(kube: &KubeRead, name: &str) -> Result<Option<String>> {
    let reference = ObjectRef::new("apiregistration.k8s.io/v1", "APIService", "", name);
    Ok(judge(kube.get(&reference).await?.as_ref()))
}

fn judge(api: Option<&Value>) -> Option<String> {
    let Some(api) = api else { return Some("nobody has registered it".to_owned()) };
    let Some(available) = condition(api, "Available") else {
        return Some("the API server has not asked it yet".to_owned());
    };
    if available["status"] == "True" {
        return None;
    }
    let text = |name: &str| available[name].as_str().unwrap_or_default();
    Some(format!("{}: {}", text("reason"), text("message")))
}

#[async_trait]
impl Step for ApiServiceStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("APIService/{}", self.name))
    }

    async fn plan(&self, _cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return Ok(Assessment::skip("nothing to prove"));
        }
        Ok(Assessment::prove(format!("the API {} is available", self.name)))
    }

    async fn prove(&self, cx: &ReadContext) -> Result<()> {
        match unavailable(&cx.kube, &self.name).await? {
            None => Ok(()),
            Some(reason) => Err(Error::Refused {
                what: format!("the API {} is not available: {reason}", self.name),
                mend: "look at its pods, and whether the control plane reaches their port".to_owned(),
            }),
        }
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        unavailable(&cx.kube, &self.name).await.ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_available_api_is_served() {
        let with = |conditions: Value| judge(Some(&json!({"status": {"conditions": conditions}})));
        assert_eq!(judge(None).as_deref(), Some("nobody has registered it"));
        assert_eq!(with(json!([])).as_deref(), Some("the API server has not asked it yet"));
        assert_eq!(with(json!([{"type": "Available", "status": "True"}])), None);
        let failing =
            json!([{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": "x"}]);
        assert_eq!(with(failing).as_deref(), Some("FailedDiscoveryCheck: x"));
    }
}
