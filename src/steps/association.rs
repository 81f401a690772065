//! The EKS Pod Identity association: which role the pods of a service account get.
//!
//! There is at most one for a service account. One of ours is brought up to what is wanted; one of someone else is used
//! where it names the right role and blocks where it does not. An association that an add-on owns can only be changed
//! through the add-on. <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html>

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::Result;
use crate::names;
use crate::op::Op;
use crate::op::eks::EksOp;
use crate::op::iam::Tags;
use crate::owner::{self, Owner, tags};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::eks::AssociationDetail;
use crate::steps::policy::adopted_from;
use crate::steps::{Step, our_tag_keys, tag_diff};

/// One service account's association.
#[derive(Debug, Clone)]
pub struct AssociationStep {
    /// The step.
    pub id: StepId,
    /// The steps before it.
    pub needs: Vec<StepId>,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
    /// Our tags and the user's.
    pub tags: Tags,
    /// Whether it is to be there; not where a component goes back to IRSA.
    pub wanted: bool,
    /// Whether an association of someone else may be taken over.
    pub adopt: bool,
}

impl AssociationStep {
    fn change(&self, fields: Vec<FieldDiff>, op: EksOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Eks(op) }
    }

    fn role_name(&self) -> &str {
        names::last_part(&self.role_arn)
    }

    fn owner(&self, observed: &AssociationDetail) -> Owner {
        match &observed.addon_arn {
            Some(_) => Owner::EksAddon,
            None => owner::of_tags(&observed.tags, &self.cluster_arn),
        }
    }

    /// The association, and whether it is one that we made and a destroy deletes.
    pub(in crate::steps) async fn made_by_us(&self, cx: &ReadContext) -> Result<Option<String>> {
        let found = self.observe(cx).await?;
        Ok(found.filter(|found| self.owner(found) == Owner::Ours { adopted: false }).map(|found| found.id))
    }

    async fn observe(&self, cx: &ReadContext) -> Result<Option<AssociationDetail>> {
        cx.eks.association(&self.cluster, &self.namespace, &self.service_account).await
    }

    fn diff(&self, observed: Option<&AssociationDetail>) -> Assessment {
        let Some(found) = observed else {
            let op = EksOp::CreatePodIdentityAssociation {
                cluster: self.cluster.clone(),
                namespace: self.namespace.clone(),
                service_account: self.service_account.clone(),
                role_arn: self.role_arn.clone(),
                tags: self.tags.clone(),
            };
            let fields = vec![FieldDiff::new("roleArn", None, self.role_arn.clone())];
            return Assessment::create(format!("role {}", self.role_name()), vec![self.change(fields, op)]);
        };
        let owner = self.owner(found);
        let mut fields = Vec::new();
        if found.role_arn != self.role_arn {
            fields.push(FieldDiff::new("roleArn", found.role_arn.clone(), self.role_arn.clone()));
        }
        if found.untagged_session {
            fields.push(FieldDiff::new("disableSessionTags", "true".to_owned(), "false".to_owned()));
        }
        let fits = fields.is_empty();
        if let Some(addon) = found.addon_arn.as_ref().filter(|_| !fits) {
            let reason = format!("belongs to the add-on {addon} and names role {}", found.role_arn);
            let mend = format!("give the add-on's association the role {}, or name its role", self.role_arn);
            return Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) };
        }
        if !owner.is_ours() && !self.adopt {
            if fits {
                return Assessment::keep(format!("exists, role {}, used as it is", self.role_name())).owned_by(owner);
            }
            let reason = format!("exists, owned by {owner}, and names role {}", found.role_arn);
            return Assessment::blocked(&self.id, owner, reason);
        }
        let (mut changes, mut reasons) = (Vec::new(), Vec::new());
        if !fits {
            reasons.push(fields.iter().map(|field| format!("{} differs", field.path)).collect::<Vec<_>>().join(", "));
            let op = EksOp::UpdatePodIdentityAssociation {
                cluster: self.cluster.clone(),
                association_id: found.id.clone(),
                role_arn: self.role_arn.clone(),
            };
            changes.push(self.change(fields, op));
        }
        let mut wanted = self.tags.clone();
        if !owner.is_ours() {
            wanted.insert(tags::ADOPTED_FROM.to_owned(), adopted_from(&owner));
            reasons.push(format!("adopted from {owner}"));
        }
        if let Some((missing, fields)) = tag_diff(&wanted, &found.tags) {
            changes.push(self.change(fields, EksOp::TagResource { arn: found.arn.clone(), tags: missing }));
            reasons.push("tags differ".to_owned());
        }
        let assessment = if changes.is_empty() {
            Assessment::keep(format!("exists, role {}", self.role_name()))
        } else {
            Assessment::update(reasons.join(", "), changes)
        };
        assessment.owned_by(owner)
    }

    fn absent_diff(&self, observed: Option<&AssociationDetail>) -> Assessment {
        let Some(found) = observed else { return Assessment::keep("absent") };
        let owner = self.owner(found);
        let fields = vec![FieldDiff::new("roleArn", found.role_arn.clone(), None)];
        let op =
            EksOp::DeletePodIdentityAssociation { cluster: self.cluster.clone(), association_id: found.id.clone() };
        let delete = self.change(fields, op);
        let assessment = match &owner {
            Owner::Ours { adopted: false } => Assessment::delete("ours, deleted", vec![delete]),
            // With it there, pods would not go over to the other way.
            Owner::Ours { adopted: true } if !self.wanted => Assessment::delete("adopted, deleted", vec![delete]),
            Owner::Ours { adopted: true } => {
                let keys = our_tag_keys(&found.tags);
                let fields =
                    keys.iter().map(|key| FieldDiff::new(format!("tags.{key}"), found.tags.get(key).cloned(), None));
                let fields = fields.collect();
                let from = found.tags.get(tags::ADOPTED_FROM).cloned().unwrap_or_default();
                let untag = self.change(fields, EksOp::UntagResource { arn: found.arn.clone(), keys });
                Assessment::update(format!("given back to {from}: our tags go"), vec![untag])
            }
            other if !self.wanted && self.adopt => Assessment::delete(format!("of {other}, deleted"), vec![delete]),
            other if !self.wanted => {
                let reason = format!("owned by {other}; while it is there, pods use it");
                Assessment::blocked(&self.id, other.clone(), reason)
            }
            other => Assessment::skip(format!("belongs to {other}, left as it is")),
        };
        assessment.owned_by(owner)
    }
}

#[async_trait]
impl Step for AssociationStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("eks/{}/pod-identity-association/{}/{}", self.cluster, self.namespace, self.service_account))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let observed = self.observe(cx).await?;
        if goal == Goal::Present && self.wanted {
            return Ok(self.diff(observed.as_ref()));
        }
        Ok(self.absent_diff(observed.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::OUR_NAME;
    use crate::plan::Action;

    fn step() -> AssociationStep {
        AssociationStep {
            id: StepId::new("eks.pod-identity.lbc"),
            needs: Vec::new(),
            cluster: "demo".to_owned(),
            cluster_arn: "arn:c".to_owned(),
            namespace: "kube-system".to_owned(),
            service_account: "lbc".to_owned(),
            role_arn: "arn:right".to_owned(),
            tags: our_tags(),
            wanted: true,
            adopt: false,
        }
    }

    fn our_tags() -> Tags {
        Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned()), (tags::CLUSTER.to_owned(), "arn:c".to_owned())])
    }

    fn found(role: &str, tags: Tags) -> AssociationDetail {
        AssociationDetail {
            id: "a-1".to_owned(),
            arn: "arn:a".to_owned(),
            role_arn: role.to_owned(),
            tags,
            addon_arn: None,
            untagged_session: false,
        }
    }

    fn calls(assessment: &Assessment) -> Vec<String> {
        assessment.changes.iter().map(|change| change.op.call()).collect()
    }

    #[test]
    fn differences_become_the_calls_that_mend_them() {
        let adopting = AssociationStep { adopt: true, ..step() };
        let of_addon = AssociationDetail { addon_arn: Some("arn:addon".to_owned()), ..found("arn:x", Tags::new()) };
        let untagged = AssociationDetail { untagged_session: true, ..found("arn:right", our_tags()) };
        let (update, tag) = ("eks:UpdatePodIdentityAssociation", "eks:TagResource");
        let cases: [(AssociationStep, Option<AssociationDetail>, Action, &[&str]); 9] = [
            (step(), None, Action::Create, &["eks:CreatePodIdentityAssociation"]),
            (step(), Some(found("arn:right", our_tags())), Action::Keep, &[]),
            (step(), Some(found("arn:wrong", our_tags())), Action::Update, &[update]),
            (step(), Some(untagged), Action::Update, &[update]),
            (step(), Some(found("arn:right", Tags::new())), Action::Keep, &[]),
            (step(), Some(found("arn:wrong", Tags::new())), Action::Blocked, &[]),
            (adopting.clone(), Some(found("arn:wrong", Tags::new())), Action::Update, &[update, tag]),
            (step(), Some(of_addon.clone()), Action::Blocked, &[]),
            (adopting, Some(of_addon), Action::Blocked, &[]),
        ];
        for (place, (step, observed, action, expected)) in cases.iter().enumerate() {
            let assessment = step.diff(observed.as_ref());
            assert_eq!((assessment.action, calls(&assessment)), (*action, strings(expected)), "case {place}");
        }
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn only_what_is_ours_goes() {
        let mut adopted = our_tags();
        adopted.insert(tags::ADOPTED_FROM.to_owned(), "someone".to_owned());
        let back = AssociationStep { wanted: false, ..step() };
        let delete = "eks:DeletePodIdentityAssociation";
        let cases: [(AssociationStep, Option<AssociationDetail>, Action, &[&str]); 6] = [
            (step(), None, Action::Keep, &[]),
            (step(), Some(found("arn:right", our_tags())), Action::Delete, &[delete]),
            (step(), Some(found("arn:right", adopted.clone())), Action::Update, &["eks:UntagResource"]),
            (step(), Some(found("arn:right", Tags::new())), Action::Skip, &[]),
            (back.clone(), Some(found("arn:right", adopted)), Action::Delete, &[delete]),
            (back, Some(found("arn:right", Tags::new())), Action::Blocked, &[]),
        ];
        for (place, (step, observed, action, expected)) in cases.iter().enumerate() {
            let assessment = step.absent_diff(observed.as_ref());
            assert_eq!((assessment.action, calls(&assessment)), (*action, strings(expected)), "case {place}");
        }
    }
}
