//! What is left to do until a component's role is gone or given back; called by `role.rs` for `Goal::Absent`.
//!
//! A role of ours is deleted once nothing of others hangs on it. An adopted one loses our trust statement, those for former
//! issuers too, and our tags; one that the user named loses the statement. Pure.

use std::collections::BTreeSet;

use crate::config::Identity;
use crate::op::iam::IamOp;
use crate::owner::{self, Owner, tags};
use crate::plan::{Assessment, Change, FieldDiff};
use crate::policy::{self, Document};
use crate::read::iam::Role;
use crate::steps::our_tag_keys;
use crate::steps::role::{RoleStep, trust_fields};

/// What hangs on a role beside what our attachment step looks after.
#[derive(Debug, Default)]
pub(super) struct Hangers {
    /// ARNs of managed policies.
    pub(super) policies: Vec<String>,
    /// Inline policies.
    pub(super) inline: Vec<String>,
    /// Instance profiles.
    pub(super) profiles: Vec<String>,
}

impl Hangers {
    fn texts(&self) -> Vec<String> {
        let policies = self.policies.iter().map(|arn| format!("policy {arn}"));
        let inline = self.inline.iter().map(|name| format!("inline policy {name}"));
        let profiles = self.profiles.iter().map(|name| format!("instance profile {name}"));
        policies.chain(inline).chain(profiles).collect()
    }
}

impl RoleStep {
    /// The trust policy that the role has after a destroy; none where the role is deleted.
    pub(in crate::steps) fn trust_left(&self, role: &Role, former: &BTreeSet<String>) -> Option<Document> {
        match owner::of_tags(&role.tags, &self.cluster_arn) {
            Owner::Ours { adopted: false } if !self.named_by_user => None,
            Owner::Ours { .. } => Some(self.released(&role.trust, former)),
            _ if self.named_by_user => Some(self.released(&role.trust, former)),
            _ => Some(role.trust.clone()),
        }
    }

    /// Without our statements, unless there are no others: IAM takes no trust policy without statements.
    fn released(&self, trust: &Document, former: &BTreeSet<String>) -> Document {
        let released = policy::release_providers(trust, former, &self.subject);
        let released = policy::release_trust(&released, &self.statement_of(Identity::Irsa));
        let released = policy::release_trust(&released, &self.statement_of(Identity::PodIdentity));
        if released.statements.is_empty() { trust.clone() } else { released }
    }

    pub(super) fn absent_diff(
        &self,
        observed: Option<&Role>,
        former: &BTreeSet<String>,
        hangers: &Hangers,
    ) -> Assessment {
        let Some(role) = observed else { return Assessment::keep("absent") };
        let owner = owner::of_tags(&role.tags, &self.cluster_arn);
        let assessment = match &owner {
            Owner::Ours { adopted: false } if !self.named_by_user => self.delete(&owner, hangers),
            Owner::Ours { .. } => self.release(role, former, true),
            _ if self.named_by_user => self.release(role, former, false),
            other => Assessment::skip(format!("belongs to {other}, left as it is")),
        };
        assessment.owned_by(owner)
    }

    fn delete(&self, owner: &Owner, hangers: &Hangers) -> Assessment {
        let texts = hangers.texts();
        if let Some(first) = texts.first() {
            let more = if texts.len() > 1 { format!(" and {} more", texts.len() - 1) } else { String::new() };
            let reason = format!("someone put {first}{more} on it; take that off, or leave the role");
            return Assessment {
                mend: Some(format!("--skip {}", self.id)),
                ..Assessment::blocked(&self.id, owner.clone(), reason)
            };
        }
        let fields = vec![FieldDiff::new("role", self.name.clone(), None)];
        let op = IamOp::DeleteRole { role: self.name.clone() };
        Assessment::delete("ours, deleted", vec![self.change(fields, op)])
    }

    fn release(&self, role: &Role, former: &BTreeSet<String>, untag: bool) -> Assessment {
        let mut changes: Vec<Change> = Vec::new();
        let released = self.released(&role.trust, former);
        if released != role.trust {
            let fields = trust_fields(&role.trust, &released);
            let op = IamOp::UpdateAssumeRolePolicy { role: self.name.clone(), trust: released.to_json() };
            changes.push(self.change(fields, op));
        }
        let keys = if untag { our_tag_keys(&role.tags) } else { Vec::new() };
        if !keys.is_empty() {
            let fields =
                keys.iter().map(|key| FieldDiff::new(format!("tags.{key}"), role.tags.get(key).cloned(), None));
            let fields = fields.collect();
            changes.push(self.change(fields, IamOp::UntagRole { role: self.name.clone(), keys }));
        }
        if changes.is_empty() {
            return Assessment::keep("not ours to delete, holds nothing of ours that can be taken out");
        }
        match role.tags.get(tags::ADOPTED_FROM) {
            Some(from) => Assessment::update(format!("given back to {from}: our trust and tags go"), changes),
            None => Assessment::update("named by the user and stays: our trust statement goes", changes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::iam::Tags;
    use crate::plan::{Action, StepId};
    use crate::policy::Statement;
    use crate::steps::role::tests::{our_tags, role, step};

    fn foreign() -> Document {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
            "Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
        Document::parse(text).unwrap()
    }

    /// Name, step, what exists, and what follows.
    type Case = (&'static str, RoleStep, Option<Role>, Action, &'static [&'static str]);

    fn shared(statement: &Statement) -> Document {
        policy::merge_trust(&foreign(), statement)
    }

    #[test]
    fn only_what_is_ours_is_deleted_and_the_rest_given_back() {
        let only_ours = Document::trust(step().statement);
        let mut adopted = our_tags();
        adopted.insert(tags::ADOPTED_FROM.to_owned(), "eksctl".to_owned());
        let named = RoleStep { named_by_user: true, ..step() };
        let cases: [Case; 7] = [
            ("absent", step(), None, Action::Keep, &[]),
            ("ours", step(), Some(role(only_ours.clone(), our_tags())), Action::Delete, &["iam:DeleteRole"]),
            (
                "adopted",
                step(),
                Some(role(shared(&step().statement), adopted)),
                Action::Update,
                &["iam:UpdateAssumeRolePolicy", "iam:UntagRole"],
            ),
            (
                "named",
                named.clone(),
                Some(role(shared(&step().statement), Tags::new())),
                Action::Update,
                &["iam:UpdateAssumeRolePolicy"],
            ),
            ("named, given back", named.clone(), Some(role(foreign(), Tags::new())), Action::Keep, &[]),
            ("only our statement", named, Some(role(only_ours.clone(), Tags::new())), Action::Keep, &[]),
            ("foreign", step(), Some(role(only_ours, Tags::new())), Action::Skip, &[]),
        ];
        for (name, step, observed, action, expected) in cases {
            let assessment = step.absent_diff(observed.as_ref(), &BTreeSet::new(), &Hangers::default());
            let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
            assert_eq!(
                (assessment.action, calls),
                (action, expected.iter().map(|c| (*c).to_owned()).collect()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_others_put_on_our_role_blocks() {
        let hangers = Hangers { inline: vec!["x".to_owned()], profiles: vec!["y".to_owned()], ..Hangers::default() };
        let ours = role(Document::trust(step().statement), our_tags());
        let assessment = step().absent_diff(Some(&ours), &BTreeSet::new(), &hangers);
        assert_eq!(assessment.action, Action::Blocked);
        assert!(assessment.reason.contains("inline policy x and 1 more"), "{}", assessment.reason);
        let id = StepId::new("iam.role.lbc");
        assert_eq!(assessment.mend, Some(format!("--skip {id}")));
    }

    #[test]
    fn what_remains_of_a_trust_is_known_beforehand() {
        let provider = &step().provider_arn;
        let trusts = |trust: &Document| policy::trusts_provider(trust, provider);
        let none = BTreeSet::new();
        assert_eq!(step().trust_left(&role(Document::trust(step().statement), our_tags()), &none), None);
        let foreign_owned = role(shared(&step().statement), Tags::new());
        assert!(trusts(&step().trust_left(&foreign_owned, &none).unwrap()));
        let named = RoleStep { named_by_user: true, ..step() };
        assert!(!trusts(&named.trust_left(&foreign_owned, &none).unwrap()));
    }
}
