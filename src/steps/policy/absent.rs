//! What is left to do until a component's policy is gone or given back; called by `policy.rs` for `Goal::Absent`. Pure.
//!
//! IAM deletes a policy only when its other versions are gone and nothing holds it.

use std::collections::BTreeSet;

use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner};
use crate::plan::{Assessment, FieldDiff};
use crate::read::iam::PolicyVersion;
use crate::steps::our_tag_keys;
use crate::steps::policy::PolicyStep;

/// What deleting a policy depends on.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) tags: Tags,
    pub(super) versions: Vec<PolicyVersion>,
    /// `KIND/NAME` of what it is attached to.
    pub(super) holders: BTreeSet<String>,
}

impl PolicyStep {
    pub(super) fn absent_diff(&self, found: Option<&Found>) -> Assessment {
        let Some(found) = found else { return Assessment::keep("absent") };
        let owner = owner::of_tags(&found.tags, &self.cluster_arn);
        let assessment = match &owner {
            Owner::Ours { adopted: false } => self.delete(&owner, found),
            Owner::Ours { adopted: true } => self.release(found),
            other => Assessment::skip(format!("belongs to {other}, left as it is")),
        };
        assessment.owned_by(owner)
    }

    fn delete(&self, owner: &Owner, found: &Found) -> Assessment {
        // Our own role is freed of it by the attachment's step, which comes before this one.
        let ours = format!("role/{}", self.role);
        let others: Vec<_> = found.holders.iter().filter(|holder| **holder != ours).map(String::as_str).collect();
        if !others.is_empty() {
            let reason = format!("someone attached it to {}; detach it there, or leave the policy", others.join(", "));
            return Assessment {
                mend: Some(format!("--skip {}", self.id)),
                ..Assessment::blocked(&self.id, owner.clone(), reason)
            };
        }
        let mut changes: Vec<_> = found
            .versions
            .iter()
            .filter(|version| !version.default)
            .map(|version| {
                let fields = vec![FieldDiff::new(format!("versions.{}", version.id), "not in force".to_owned(), None)];
                let op = IamOp::DeletePolicyVersion { arn: self.arn.clone(), version: version.id.clone() };
                self.change(fields, op)
            })
            .collect();
        let fields = vec![FieldDiff::new("policy", self.name.clone(), None)];
        changes.push(self.change(fields, IamOp::DeletePolicy { arn: self.arn.clone() }));
        Assessment::delete("ours, deleted", changes)
    }

    fn release(&self, found: &Found) -> Assessment {
        let keys = our_tag_keys(&found.tags);
        let fields = keys.iter().map(|key| FieldDiff::new(format!("tags.{key}"), found.tags.get(key).cloned(), None));
        let fields = fields.collect();
        let op = IamOp::UntagPolicy { arn: self.arn.clone(), keys };
        Assessment::update("adopted, so given back: our tags go", vec![self.change(fields, op)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::tags;
    use crate::plan::Action;
    use crate::steps::policy::tests::{our_tags, step};

    #[test]
    fn only_what_is_ours_is_deleted() {
        let version = |id: &str, default| PolicyVersion { id: id.to_owned(), default };
        let found = |tags: Tags, holders: &[&str]| Found {
            tags,
            versions: vec![version("v3", false), version("v2", true), version("v1", false)],
            holders: holders.iter().map(|holder| (*holder).to_owned()).collect(),
        };
        let mut adopted = our_tags();
        adopted.insert(tags::ADOPTED_FROM.to_owned(), "eksctl".to_owned());
        let deletion: &[&str] = &["iam:DeletePolicyVersion", "iam:DeletePolicyVersion", "iam:DeletePolicy"];
        let cases: [(&str, Option<Found>, Action, &[&str]); 6] = [
            ("absent", None, Action::Keep, &[]),
            ("ours", Some(found(our_tags(), &[])), Action::Delete, deletion),
            ("ours, on our role", Some(found(our_tags(), &["role/r"])), Action::Delete, deletion),
            ("ours, held by another", Some(found(our_tags(), &["role/r", "user/u"])), Action::Blocked, &[]),
            ("adopted", Some(found(adopted, &["user/u"])), Action::Update, &["iam:UntagPolicy"]),
            ("foreign", Some(found(Tags::new(), &[])), Action::Skip, &[]),
        ];
        for (name, found, action, expected) in cases {
            let assessment = step(false).absent_diff(found.as_ref());
            let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
            assert_eq!(
                (assessment.action, calls),
                (action, expected.iter().map(|c| (*c).to_owned()).collect()),
                "{name}"
            );
        }
    }
}
