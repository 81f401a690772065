//! The end of a move between IRSA and EKS Pod Identity: our trust statement for the way that is no longer used goes, once
//! the running pods use the other one. Statements of others stay.
//!
//! The role's own step leaves that statement where it is, so that pods which still run on it keep their permissions.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::config::Identity;
use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::iam::IamOp;
use crate::owner;
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy;
use crate::read::iam::Role;
use crate::steps::Step;
use crate::steps::role::RoleStep;

/// The trust policy of one role.
#[derive(Debug, Clone)]
pub struct FormerTrustStep {
    /// The step.
    pub id: StepId,
    /// The steps that prove the way that stays.
    pub needs: Vec<StepId>,
    /// The role, as its own step makes it.
    pub role: RoleStep,
}

impl FormerTrustStep {
    fn diff(&self, observed: Option<&Role>, former_issuers: &BTreeSet<String>) -> Assessment {
        let former = self.role.identity.other();
        let name = |identity: Identity| match identity {
            Identity::Irsa => "IRSA",
            Identity::PodIdentity => "EKS Pod Identity",
        };
        let nothing = || Assessment::keep(format!("nothing of ours for {}", name(former)));
        let Some(role) = observed else { return nothing() };
        let statement = self.role.statement_of(former);
        let owner = owner::of_tags(&role.tags, &self.role.cluster_arn);
        let ours = owner.is_ours() || self.role.named_by_user || self.role.adopt;
        if !ours || policy::release_trust(&role.trust, &statement) == role.trust {
            return nothing();
        }
        // What the role's own step makes of it is taken into account, so that the plan shows what will be written.
        let trust = self.role.merged(&role.trust, former_issuers);
        let trust = policy::release_trust(&trust, &statement);
        let sid = statement.sid.unwrap_or_default();
        let fields = vec![FieldDiff::new(format!("trust.{sid}"), name(former).to_owned(), None)];
        let op = Op::Iam(IamOp::UpdateAssumeRolePolicy { role: self.role.name.clone(), trust: trust.to_json() });
        let change = Change { resource: self.resource(), fields, op };
        let reason =
            format!("our statement for {} goes, once running pods use {}", name(former), name(self.role.identity));
        Assessment::update(reason, vec![change]).owned_by(owner)
    }
}

#[async_trait]
impl Step for FormerTrustStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        self.role.resource()
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return Ok(Assessment::skip("goes with the role"));
        }
        let role = cx.iam.role(&self.role.name).await?;
        let former_issuers = self.role.former(cx, role.as_ref()).await?;
        Ok(self.diff(role.as_ref(), &former_issuers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::iam::Tags;
    use crate::plan::Action;
    use crate::policy::Document;
    use crate::steps::role::tests::{our_tags, role, step};

    #[test]
    fn only_our_statement_of_the_former_way_goes() {
        let role_step = RoleStep { identity: Identity::PodIdentity, ..step() };
        let role_step = RoleStep { statement: role_step.statement_of(Identity::PodIdentity), ..role_step };
        let step = FormerTrustStep { id: StepId::new("iam.trust.lbc"), needs: Vec::new(), role: role_step.clone() };
        let irsa = Document::trust(role_step.statement_of(Identity::Irsa));
        let both = policy::merge_trust(&irsa, &role_step.statement);
        let one = Document::trust(role_step.statement.clone());
        let written = |assessment: &Assessment| match assessment.changes.as_slice() {
            [Change { op: Op::Iam(IamOp::UpdateAssumeRolePolicy { trust, .. }), .. }] => trust.clone(),
            other => panic!("{other:?}"),
        };
        // What is written is the same before and after the role's own step.
        let none = BTreeSet::new();
        let before = step.diff(Some(&role(irsa.clone(), our_tags())), &none);
        let after = step.diff(Some(&role(both, our_tags())), &none);
        assert_eq!(before.changes, after.changes);
        assert_eq!(written(&after), one.to_json());
        for (observed, action) in [
            (None, Action::Keep),
            (Some(role(one, our_tags())), Action::Keep),
            (Some(role(irsa, Tags::new())), Action::Keep),
        ] {
            assert_eq!(step.diff(observed.as_ref(), &none).action, action, "{observed:?}");
        }
    }
}
