//! The agent on the nodes that gives pods the credentials of their association: the EKS add-on `eks-pod-identity-agent`.
//!
//! Not needed on EKS Auto Mode, which brings it. One that runs already, as an add-on or otherwise, is used as it is. It
//! runs on Linux nodes of EC2 only; whether pods will end up on Fargate cannot be known from here.
//! <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html>

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::op::Op;
use crate::op::eks::EksOp;
use crate::op::iam::Tags;
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::eks::Addon;
use crate::read::kube::ObjectRef;
use crate::read::rollout;
use crate::steps::Step;
use crate::steps::association::AssociationStep;

/// The step's id.
pub const ID: StepId = StepId::new("eks.pod-identity-agent");
/// The add-on, and the DaemonSet that it makes.
pub const NAME: &str = "eks-pod-identity-agent";

/// The agent of one cluster.
#[derive(Debug, Clone)]
pub struct PodIdentityAgentStep {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// Its Kubernetes, as `1.35`.
    pub kubernetes_version: String,
    /// Whether EKS brings the agent itself.
    pub auto_mode: bool,
    /// Our tags and the user's.
    pub tags: Tags,
    /// The associations that the same run looks after: those of ours are gone after a destroy.
    pub associations: Vec<AssociationStep>,
}

/// Where the agent's DaemonSet is.
pub fn daemon_set() -> ObjectRef {
    ObjectRef::new("apps/v1", "DaemonSet", "kube-system", NAME)
}

impl PodIdentityAgentStep {
    fn change(&self, fields: Vec<FieldDiff>, op: EksOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Eks(op) }
    }

    fn owner(&self, addon: &Addon) -> Owner {
        match owner::of_tags(&addon.tags, &self.cluster_arn) {
            Owner::Unmarked => Owner::EksAddon,
            owner => owner,
        }
    }

    fn beside_addon(&self, addon: &Addon) -> Result<Assessment> {
        let what = format!("add-on {} is {}", addon.version, addon.status);
        let issues = addon.issues.join("; ");
        let told = if issues.is_empty() { what } else { format!("{what}: {issues}") };
        match addon.status.as_str() {
            // EKS calls an add-on degraded while its pods are late, too; its issues are told.
            "ACTIVE" | "DEGRADED" => Ok(Assessment::keep(told).owned_by(self.owner(addon))),
            "CREATE_FAILED" | "DELETE_FAILED" => Err(Error::Refused {
                what: format!("{NAME}: {told}"),
                mend: format!(
                    "mend that, then `aws eks delete-addon --cluster-name {} --addon-name {NAME}`",
                    self.cluster
                ),
            }),
            _ => Ok(Assessment::unknown(told)),
        }
    }

    async fn present(&self, cx: &ReadContext) -> Result<Assessment> {
        if self.auto_mode {
            return Ok(Assessment::keep("EKS Auto Mode brings it"));
        }
        if let Some(addon) = cx.eks.addon(&self.cluster, NAME).await? {
            return self.beside_addon(&addon);
        }
        if cx.kube.get(&daemon_set()).await?.is_some() {
            return Ok(Assessment::keep("runs without an add-on, used as it is"));
        }
        let versions = cx.eks.addon_versions(NAME, &self.kubernetes_version).await?;
        let Some(version) = versions.first() else {
            return Err(Error::Refused {
                what: format!("EKS offers no version of {NAME} for Kubernetes {}", self.kubernetes_version),
                mend: "install the agent by hand, or use --identity irsa".to_owned(),
            });
        };
        let op = EksOp::CreateAddon {
            cluster: self.cluster.clone(),
            addon: NAME.to_owned(),
            version: version.clone(),
            service_account_role_arn: None,
            configuration_values: None,
            resolve_conflicts: None,
            tags: self.tags.clone(),
        };
        let fields = vec![FieldDiff::new("version", None, version.clone())];
        Ok(Assessment::create(format!("add-on {version}"), vec![self.change(fields, op)]))
    }

    async fn absent(&self, cx: &ReadContext) -> Result<Assessment> {
        let Some(addon) = cx.eks.addon(&self.cluster, NAME).await? else { return Ok(Assessment::keep("absent")) };
        if addon.status == "DELETING" {
            return Ok(Assessment::unknown("is being deleted"));
        }
        let owner = self.owner(&addon);
        if owner != (Owner::Ours { adopted: false }) {
            let reason = format!("belongs to {owner}, left as it is");
            return Ok(Assessment::skip(reason).owned_by(owner));
        }
        let mut leaving = BTreeSet::new();
        for association in &self.associations {
            leaving.extend(association.made_by_us(cx).await?);
        }
        let all = cx.eks.all_associations(&self.cluster).await?;
        let staying = all.iter().filter(|association| !leaving.contains(&association.id)).count();
        Ok(self.absent_diff(&addon, staying).owned_by(owner))
    }

    fn absent_diff(&self, addon: &Addon, staying: usize) -> Assessment {
        match staying {
            0 => {
                let fields = vec![FieldDiff::new("version", addon.version.clone(), None)];
                let (cluster, addon) = (self.cluster.clone(), NAME.to_owned());
                let op = EksOp::DeleteAddon { cluster, addon, preserve: false };
                Assessment::delete("ours, and no other association needs it", vec![self.change(fields, op)])
            }
            1 => Assessment::skip("kept: another association needs it"),
            count => Assessment::skip(format!("kept: {count} other associations need it")),
        }
    }
}

#[async_trait]
impl Step for PodIdentityAgentStep {
    fn id(&self) -> StepId {
        ID
    }

    fn needs(&self) -> Vec<StepId> {
        Vec::new()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("eks/{}/addon/{NAME}", self.cluster))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        match goal {
            Goal::Present => self.present(cx).await,
            Goal::Absent => self.absent(cx).await,
        }
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        let addon = cx.eks.addon(&self.cluster, NAME).await.ok()??;
        let rollout = rollout::of(&cx.kube, &[daemon_set()]).await.ok()?;
        Some([vec![format!("add-on {}", addon.status)], addon.issues, vec![rollout.text]].concat().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::{OUR_NAME, tags};
    use crate::plan::Action;

    fn step() -> PodIdentityAgentStep {
        PodIdentityAgentStep {
            cluster: "demo".to_owned(),
            cluster_arn: "arn:c".to_owned(),
            kubernetes_version: "1.35".to_owned(),
            auto_mode: false,
            tags: Tags::new(),
            associations: Vec::new(),
        }
    }

    fn addon(status: &str, issues: &[&str]) -> Addon {
        Addon {
            version: "v1".to_owned(),
            status: status.to_owned(),
            role_arn: None,
            issues: issues.iter().map(|issue| (*issue).to_owned()).collect(),
            tags: Tags::new(),
        }
    }

    #[test]
    fn its_state_decides() {
        let kept = step().beside_addon(&addon("ACTIVE", &[])).unwrap();
        assert_eq!((kept.action, kept.owner), (Action::Keep, Some(Owner::EksAddon)));
        let ours = Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned())]);
        let kept = step().beside_addon(&Addon { tags: ours, ..addon("ACTIVE", &[]) }).unwrap();
        assert_eq!(kept.owner, Some(Owner::Ours { adopted: false }));
        let late = step().beside_addon(&addon("DEGRADED", &["InsufficientNumberOfReplicas: 1 of 3"])).unwrap();
        assert!(late.action == Action::Keep && late.reason.ends_with("1 of 3"), "{late:?}");
        assert_eq!(step().beside_addon(&addon("CREATING", &[])).unwrap().action, Action::Unknown);
        let failed = step().beside_addon(&addon("CREATE_FAILED", &["AccessDenied: no"])).unwrap_err();
        assert!(failed.to_string().contains("AccessDenied: no"), "{failed}");
    }

    #[test]
    fn it_stays_while_another_association_needs_it() {
        assert_eq!(step().absent_diff(&addon("ACTIVE", &[]), 0).action, Action::Delete);
        assert_eq!(step().absent_diff(&addon("ACTIVE", &[]), 1).action, Action::Skip);
        assert_eq!(step().absent_diff(&addon("ACTIVE", &[]), 2).reason, "kept: 2 other associations need it");
    }
}
