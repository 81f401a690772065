//! The running pods of a controller carry their identity in the wanted way, and only in that way.
//!
//! What EKS' webhook puts into a pod stays for the pod's life, so pods that are older than the change are replaced. Pods
//! that are right are left alone. An annotation that someone put back onto a service account of the chart goes too: it has no
//! effect beside the association, and would get one the moment that is deleted.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use crate::component::Component;
use crate::config::Identity;
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::kube::ObjectRef;
use crate::read::{names, pods, rollout};
use crate::steps::kube_object::without_annotations;
use crate::steps::{Step, catalogue};

/// The pods of one Deployment.
#[derive(Debug, Clone)]
pub struct PodsStep {
    /// The step.
    pub id: StepId,
    /// The steps before it.
    pub needs: Vec<StepId>,
    /// The component; what its Deployment is called is in its release's manifest.
    pub component: Component,
    /// The service account whose annotation is to go; none where another step looks after it or it is to stay.
    pub bare_account: Option<String>,
    /// How the pods are to get their role.
    pub identity: Identity,
    /// The role.
    pub role_arn: String,
    /// The Deployment that was found last.
    pub found: Arc<Mutex<Option<ObjectRef>>>,
}

impl PodsStep {
    /// The Deployment as its chart calls it, or as its release does.
    fn deployment(component: &Component) -> ObjectRef {
        ObjectRef::new("apps/v1", "Deployment", component.namespace, component.deployment().unwrap_or(component.name))
    }

    /// The same as the cluster has it now, kept for the remedy, which asks nobody.
    async fn installed(&self, cx: &ReadContext) -> Result<ObjectRef> {
        let deployment = PodsStep::deployment(&names::as_installed(&cx.kube, &self.component).await?);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(deployment.clone());
        Ok(deployment)
    }

    async fn running(&self, cx: &ReadContext) -> Result<(ObjectRef, Vec<Value>)> {
        let deployment = self.installed(cx).await?;
        let pods = pods::running(&cx.kube, self.component.namespace, &deployment.name).await?.unwrap_or_default();
        Ok((deployment, pods))
    }

    fn restart(object: ObjectRef, fields: Vec<FieldDiff>) -> Change {
        Change { resource: ResourceId(object.to_string()), fields, op: Op::Kube(KubeOp::Restart { object }) }
    }

    async fn stale_annotation(&self, cx: &ReadContext) -> Result<Option<Change>> {
        let Some(account) = &self.bare_account else { return Ok(None) };
        let reference = ObjectRef::new("v1", "ServiceAccount", self.component.namespace, account);
        let account = cx.kube.get(&reference).await?;
        Ok(account.and_then(|account| without_annotations(&reference, &account, &[catalogue::ROLE_ANNOTATION])))
    }

    /// What is wrong with the running pods; nothing where there are none.
    async fn trouble(&self, cx: &ReadContext) -> Result<Option<Trouble>> {
        let (deployment, pods) = self.running(cx).await?;
        let count = pods.len();
        let mut troubles = pods.iter().filter_map(|pod| pods::trouble(pod, self.identity, &self.role_arn));
        let Some(first) = troubles.next() else { return Ok(None) };
        Ok(Some(Trouble { wrong: 1 + troubles.count(), of: count, first, deployment }))
    }
}

struct Trouble {
    wrong: usize,
    of: usize,
    first: String,
    deployment: ObjectRef,
}

#[async_trait]
impl Step for PodsStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(PodsStep::deployment(&self.component).to_string())
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return Ok(Assessment::skip("nothing to prove"));
        }
        let (stale, trouble) = futures::try_join!(self.stale_annotation(cx), self.trouble(cx))?;
        let mut reasons = Vec::new();
        if stale.is_some() {
            reasons.push("an IRSA annotation is left, which has no effect beside the association".to_owned());
        }
        let restart = trouble.map(|trouble| {
            reasons.push(format!("{} of {} running pods: {}", trouble.wrong, trouble.of, trouble.first));
            // How many there are changes by itself; that they are replaced does not.
            PodsStep::restart(trouble.deployment, vec![FieldDiff::new("pods", trouble.first, "replaced".to_owned())])
        });
        let changes: Vec<_> = stale.into_iter().chain(restart).collect();
        if changes.is_empty() {
            return Ok(Assessment::prove("running pods carry their identity; if they do not, they are replaced once"));
        }
        Ok(Assessment::update(reasons.join(", "), changes))
    }

    async fn prove(&self, cx: &ReadContext) -> Result<()> {
        let (deployment, running) = self.running(cx).await?;
        let what = match running.iter().find_map(|pod| pods::trouble(pod, self.identity, &self.role_arn)) {
            Some(trouble) => format!("running pods of {} do not carry their identity: {trouble}", deployment.name),
            None if running.is_empty() => format!("no pods of {} run", deployment.name),
            None => return Ok(()),
        };
        Err(Error::Refused { what, mend: "run the same command again".to_owned() })
    }

    fn remedy(&self) -> Option<Change> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(PodsStep::restart(found.unwrap_or_else(|| PodsStep::deployment(&self.component)), Vec::new()))
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        rollout::of(&cx.kube, &[self.installed(cx).await.ok()?]).await.ok().map(|rollout| rollout.text)
    }
}
