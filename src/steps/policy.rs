//! A component's customer managed policy, compared by meaning and not by text.
//!
//! IAM keeps at most five versions of a policy and never changes one: another document is a new version, put in force; at
//! five the oldest that is not in force goes first. A version with the wanted meaning that is already there is put in
//! force again (<https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html>).

mod absent;

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner, tags};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::{self, Document};
use crate::read::iam::PolicyVersion;
use crate::steps::policy::absent::Found;
use crate::steps::{Step, tag_diff};

/// How many versions IAM keeps.
const VERSION_LIMIT: usize = 5;

/// A managed policy of ours.
#[derive(Debug, Clone)]
pub struct PolicyStep {
    /// The step.
    pub id: StepId,
    /// The policy's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its description; IAM never changes it.
    pub description: String,
    /// What it is to say.
    pub document: Document,
    /// Our tags and the user's.
    pub tags: Tags,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The role that it is attached to by us.
    pub role: String,
    /// Whether the policy may be taken over.
    pub adopt: bool,
}

struct Observed {
    tags: Tags,
    document: Document,
    /// Only where the document differs: all versions, newest first, and the documents of those not in force.
    versions: Vec<(PolicyVersion, Option<Document>)>,
}

impl PolicyStep {
    async fn observe(&self, cx: &ReadContext) -> Result<Option<Observed>> {
        let Some(found) = cx.iam.policy(&self.arn).await? else { return Ok(None) };
        let Some(document) = cx.iam.policy_document(&self.arn, &found.default_version).await? else { return Ok(None) };
        let mut versions = Vec::new();
        if !policy::same_meaning(&document, &self.document) {
            for version in cx.iam.policy_versions(&self.arn).await? {
                let other = if version.default { None } else { cx.iam.policy_document(&self.arn, &version.id).await? };
                versions.push((version, other));
            }
        }
        Ok(Some(Observed { tags: found.tags, document, versions }))
    }

    async fn found(&self, cx: &ReadContext) -> Result<Option<Found>> {
        let Some(policy) = cx.iam.policy(&self.arn).await? else { return Ok(None) };
        let (versions, holders) =
            futures::try_join!(cx.iam.policy_versions(&self.arn), cx.iam.policy_holders(&self.arn))?;
        Ok(Some(Found { tags: policy.tags, versions, holders }))
    }

    fn change(&self, fields: Vec<FieldDiff>, op: IamOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Iam(op) }
    }

    fn diff(&self, observed: Option<&Observed>) -> Assessment {
        let len = self.document.minified_len();
        if len > policy::MANAGED_POLICY_LIMIT {
            let reason = format!("it would have {len} characters, IAM takes {}", policy::MANAGED_POLICY_LIMIT);
            let mend = "shorten it: fewer actions and resources, or wildcards; or name a policy of your own".to_owned();
            return Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, Owner::Unmarked, reason) };
        }
        let Some(observed) = observed else {
            let fields = vec![
                FieldDiff::new("document", None, format!("{} statements", self.document.statements.len())),
                FieldDiff::new("path", None, self.path.clone()),
            ];
            let op = IamOp::CreatePolicy {
                name: self.name.clone(),
                path: self.path.clone(),
                description: self.description.clone(),
                document: self.document.to_json(),
                tags: self.tags.clone(),
            };
            let reason = format!("{} actions", actions(&self.document));
            return Assessment::create(reason, vec![self.change(fields, op)]);
        };
        let owner = owner::of_tags(&observed.tags, &self.cluster_arn);
        let same = policy::same_meaning(&observed.document, &self.document);
        if !owner.is_ours() && !self.adopt {
            if same {
                return Assessment::keep("exists and says the same, used as it is").owned_by(owner);
            }
            let reason = format!("exists, owned by {owner}, and says something else");
            return Assessment::blocked(&self.id, owner, reason);
        }
        let mut changes = Vec::new();
        let mut reasons = Vec::new();
        if !same {
            let counts = policy::action_counts(&observed.document, &self.document);
            reasons.push(format!("+{} actions, -{}", counts.added, counts.removed));
            changes.extend(self.version_changes(observed));
        }
        let mut wanted = self.tags.clone();
        if !owner.is_ours() {
            wanted.insert(tags::ADOPTED_FROM.to_owned(), adopted_from(&owner));
            reasons.push(format!("adopted from {owner}"));
        }
        if let Some((missing, fields)) = tag_diff(&wanted, &observed.tags) {
            changes.push(self.change(fields, IamOp::TagPolicy { arn: self.arn.clone(), tags: missing }));
            reasons.push("tags differ".to_owned());
        }
        let assessment = if changes.is_empty() {
            Assessment::keep(format!("exists, {} actions", actions(&self.document)))
        } else {
            Assessment::update(reasons.join(", "), changes)
        };
        assessment.owned_by(owner)
    }

    /// The calls that put the wanted document in force.
    fn version_changes(&self, observed: &Observed) -> Vec<Change> {
        let fields: Vec<_> = policy::diff(&observed.document, &self.document)
            .into_iter()
            .map(|difference| FieldDiff::new(difference.path, difference.before, difference.after))
            .collect();
        let arn = || self.arn.clone();
        let kept = observed.versions.iter().find(|(_, document)| {
            document.as_ref().is_some_and(|document| policy::same_meaning(document, &self.document))
        });
        if let Some((version, _)) = kept {
            let op = IamOp::SetDefaultPolicyVersion { arn: arn(), version: version.id.clone() };
            return vec![self.change(fields, op)];
        }
        let mut changes = Vec::new();
        if observed.versions.len() >= VERSION_LIMIT
            && let Some((oldest, _)) = observed.versions.iter().rev().find(|(version, _)| !version.default)
        {
            let pruned =
                vec![FieldDiff::new(format!("versions.{}", oldest.id), "oldest not in force".to_owned(), None)];
            changes.push(self.change(pruned, IamOp::DeletePolicyVersion { arn: arn(), version: oldest.id.clone() }));
        }
        let op = IamOp::CreatePolicyVersion { arn: arn(), document: self.document.to_json() };
        changes.push(self.change(fields, op));
        changes
    }
}

/// What the adoption tag remembers; IAM's tag values take letters, digits, spaces and `_.:/=+-@`.
pub(super) fn adopted_from(owner: &Owner) -> String {
    owner.to_string().chars().filter(|c| c.is_alphanumeric() || " _.:/=+-@".contains(*c)).take(256).collect()
}

fn actions(document: &Document) -> usize {
    document.grants().into_iter().map(|grant| grant.action).collect::<std::collections::BTreeSet<_>>().len()
}

#[async_trait]
impl Step for PolicyStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        Vec::new()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("iam/policy/{}", self.name))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return Ok(self.absent_diff(self.found(cx).await?.as_ref()));
        }
        Ok(self.diff(self.observe(cx).await?.as_ref()))
    }

    /// IAM has one policy of a name, whatever its path, and reads it by its path: one under another path never shows. Who may
    /// not list policies waits for as long as IAM may be late.
    async fn hopeless(&self, cx: &ReadContext) -> Option<Error> {
        let suffix = format!("/{}", self.name);
        let all = cx.iam.local_policies().await.ok()?;
        let other = all.into_iter().find(|arn| *arn != self.arn && arn.ends_with(&suffix))?;
        let path = other.split_once(":policy").map_or("/", |(_, path)| path.trim_end_matches(self.name.as_str()));
        Some(Error::Refused {
            mend: format!("use that path (--iam-path {path}), or names of your own (--name-prefix)"),
            what: format!("policy {} exists under another path: {other}", self.name),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::owner::OUR_NAME;
    use crate::plan::Action;

    const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

    fn document(actions: &[&str]) -> Document {
        let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
        Document::parse(&serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()).unwrap()
    }

    pub(in crate::steps) fn our_tags() -> Tags {
        Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned()), (tags::CLUSTER.to_owned(), CLUSTER.to_owned())])
    }

    pub(in crate::steps) fn step(adopt: bool) -> PolicyStep {
        PolicyStep {
            id: StepId::new("iam.policy.lbc"),
            arn: "arn:aws:iam::111122223333:policy/p".to_owned(),
            name: "p".to_owned(),
            path: "/".to_owned(),
            description: String::new(),
            document: document(&["ec2:DescribeVpcs", "ec2:DescribeSubnets"]),
            tags: our_tags(),
            cluster_arn: CLUSTER.to_owned(),
            role: "r".to_owned(),
            adopt,
        }
    }

    #[test]
    fn a_document_that_iam_would_not_take_is_blocked() {
        let many: Vec<_> = (0..400).map(|number| format!("ec2:DescribeThings{number}")).collect();
        let names: Vec<_> = many.iter().map(String::as_str).collect();
        let long = PolicyStep { document: document(&names), ..step(false) };
        let assessment = long.diff(None);
        assert_eq!((assessment.action, assessment.changes.len()), (Action::Blocked, 0));
        assert!(assessment.reason.ends_with("characters, IAM takes 6144"), "{}", assessment.reason);
        assert_eq!(step(false).diff(None).action, Action::Create);
    }

    fn versions(documents: &[(&str, &Document)]) -> Vec<(PolicyVersion, Option<Document>)> {
        let newest_in_force = |place| place == 0;
        documents
            .iter()
            .enumerate()
            .map(|(place, (id, document))| {
                let default = newest_in_force(place);
                (PolicyVersion { id: (*id).to_owned(), default }, (!default).then(|| (*document).clone()))
            })
            .collect()
    }

    fn calls(assessment: &Assessment) -> Vec<String> {
        assessment.changes.iter().map(|change| change.op.call()).collect()
    }

    #[test]
    fn differences_become_the_calls_that_mend_them() {
        let wanted = document(&["ec2:DescribeSubnets", "ec2:DescribeVpcs"]);
        let old = document(&["ec2:DescribeVpcs"]);
        let observed =
            |tags: Tags, document: &Document, versions| Observed { tags, document: document.clone(), versions };
        let one = versions(&[("v1", &old)]);
        let rolled_back = versions(&[("v1", &old), ("v2", &wanted)]);
        let full = versions(&[("v7", &old), ("v6", &old), ("v5", &old), ("v4", &old), ("v3", &old)]);
        let cases: [(Option<Observed>, bool, Action, &[&str]); 7] = [
            (None, false, Action::Create, &["iam:CreatePolicy"]),
            (Some(observed(our_tags(), &wanted, vec![])), false, Action::Keep, &[]),
            (Some(observed(our_tags(), &old, one)), false, Action::Update, &["iam:CreatePolicyVersion"]),
            (Some(observed(our_tags(), &old, rolled_back)), false, Action::Update, &["iam:SetDefaultPolicyVersion"]),
            (
                Some(observed(our_tags(), &old, full)),
                false,
                Action::Update,
                &["iam:DeletePolicyVersion", "iam:CreatePolicyVersion"],
            ),
            (Some(observed(Tags::new(), &old, versions(&[("v1", &old)]))), false, Action::Blocked, &[]),
            (
                Some(observed(Tags::new(), &old, versions(&[("v1", &old)]))),
                true,
                Action::Update,
                &["iam:CreatePolicyVersion", "iam:TagPolicy"],
            ),
        ];
        for (place, (observed, adopt, action, expected)) in cases.iter().enumerate() {
            let assessment = step(*adopt).diff(observed.as_ref());
            assert_eq!(assessment.action, *action, "case {place}: {assessment:?}");
            assert_eq!(calls(&assessment), *expected, "case {place}");
        }
    }

    #[test]
    fn the_oldest_version_not_in_force_is_pruned() {
        let old = document(&["ec2:DescribeVpcs"]);
        let mut versions = versions(&[("v9", &old), ("v8", &old), ("v7", &old), ("v6", &old), ("v5", &old)]);
        // The oldest is in force.
        for (version, document) in &mut versions {
            version.default = version.id == "v5";
            *document = (!version.default).then(|| old.clone());
        }
        let assessment = step(false).diff(Some(&Observed { tags: our_tags(), document: old, versions }));
        let Op::Iam(IamOp::DeletePolicyVersion { version, .. }) = &assessment.changes[0].op else {
            panic!("{assessment:?}")
        };
        assert_eq!(version, "v6");
    }

    #[test]
    fn a_foreign_policy_that_says_the_same_is_used() {
        let same = document(&["ec2:DescribeVpcs", "ec2:DescribeSubnets"]);
        let assessment = step(false).diff(Some(&Observed { tags: Tags::new(), document: same, versions: vec![] }));
        assert_eq!(assessment.action, Action::Keep);
        assert_eq!(assessment.owner, Some(Owner::Unmarked));
    }
}
