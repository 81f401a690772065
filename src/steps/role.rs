//! The role of a component's service account (IRSA): its trust policy, description, tags, boundary.
//!
//! The trust policy gets one statement of ours; statements of others stay as they are. A role that the user names
//! (`--lbc-role-arn`) gets that statement too and nothing else: it stays the user's.
//! <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>

mod absent;

use std::fmt::Write as _;

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner, tags};
use crate::plan::{Action, Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::{self, Document, Statement, TrustRequest, TrustVerdict};
use crate::read::iam::Role;
use crate::steps::policy::adopted_from;
use crate::steps::role::absent::Hangers;
use crate::steps::{Step, oidc_provider, tag_diff};

/// A role for one service account.
#[derive(Debug, Clone)]
pub struct RoleStep {
    /// The step.
    pub id: StepId,
    /// The role's name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its description.
    pub description: String,
    /// ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// Our tags and the user's.
    pub tags: Tags,
    /// Our trust statement.
    pub statement: Statement,
    /// The provider that it trusts.
    pub provider_arn: String,
    /// The cluster's issuer.
    pub issuer: String,
    /// The subject of the service account's tokens.
    pub subject: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The user named this role: it must exist, and only its trust is extended.
    pub named_by_user: bool,
    /// Whether a role of that name may be taken over.
    pub adopt: bool,
    /// ARNs of the policies that the component's attachment step attaches and detaches.
    pub attached_by_us: Vec<String>,
    /// The name that AWS's documentation gives to such a role, and the flag that uses it.
    pub documented: (&'static str, String),
}

impl RoleStep {
    fn change(&self, fields: Vec<FieldDiff>, op: IamOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Iam(op) }
    }

    /// Whether a trust policy lets the service account in.
    fn judge(&self, trust: &Document) -> TrustVerdict {
        let request = TrustRequest {
            provider_arn: self.provider_arn.clone(),
            issuer: self.issuer.clone(),
            audience: policy::AUDIENCE.to_owned(),
            subject: self.subject.clone(),
        };
        policy::evaluate_trust(trust, &request)
    }

    async fn hangers(&self, cx: &ReadContext) -> Result<Hangers> {
        let (attached, inline, profiles) = futures::try_join!(
            cx.iam.attached_policies(&self.name),
            cx.iam.inline_policies(&self.name),
            cx.iam.instance_profiles(&self.name),
        )?;
        let policies =
            attached.unwrap_or_default().into_iter().filter(|arn| !self.attached_by_us.contains(arn)).collect();
        Ok(Hangers { policies, inline, profiles })
    }

    fn create(&self) -> Assessment {
        let short = self.subject.trim_start_matches("system:serviceaccount:");
        if self.named_by_user {
            let reason = format!("role {} was named but does not exist", self.name);
            return Assessment {
                mend: Some("correct the role's ARN, or leave it out to get a role of ours".to_owned()),
                ..Assessment::blocked(&self.id, Owner::Unmarked, reason)
            };
        }
        let trust = Document::trust(self.statement.clone());
        let mut fields = vec![FieldDiff::new("trust", None, format!("{short} through the OIDC provider"))];
        if let Some(boundary) = &self.permissions_boundary {
            fields.push(FieldDiff::new("permissionsBoundary", None, boundary.clone()));
        }
        let op = IamOp::CreateRole {
            name: self.name.clone(),
            path: self.path.clone(),
            description: self.description.clone(),
            trust: trust.to_json(),
            permissions_boundary: self.permissions_boundary.clone(),
            tags: self.tags.clone(),
        };
        Assessment::create(format!("trusts {short}"), vec![self.change(fields, op)])
    }

    fn diff(&self, observed: Option<&Role>) -> Assessment {
        let Some(role) = observed else { return self.create() };
        let owner = owner::of_tags(&role.tags, &self.cluster_arn);
        let short = self.subject.trim_start_matches("system:serviceaccount:");
        let merged = policy::merge_trust(&role.trust, &self.statement);
        let verdict = self.judge(&role.trust);
        let refusal = verdict.clauses().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let ours = owner.is_ours() || self.adopt;
        if !ours && verdict.allowed() {
            return Assessment::keep(format!("exists and trusts {short}, used as it is")).owned_by(owner);
        }
        let trust_differs = !policy::same_meaning(&role.trust, &merged);
        if !ours && !self.named_by_user {
            let reason = format!("exists, owned by {owner}, and does not trust {short}: {refusal}");
            return Assessment::blocked(&self.id, owner, reason);
        }
        if role.path != self.path && !self.named_by_user {
            let reason = format!("exists under path {}, and IAM cannot move roles", role.path);
            return Assessment {
                mend: Some(format!("--iam-path {}", role.path)),
                ..Assessment::blocked(&self.id, owner, reason)
            };
        }
        let mut changes = Vec::new();
        let mut reasons = Vec::new();
        if trust_differs {
            let fields = trust_fields(&role.trust, &merged);
            let op = IamOp::UpdateAssumeRolePolicy { role: self.name.clone(), trust: merged.to_json() };
            changes.push(self.change(fields, op));
            reasons.push(if verdict.allowed() { "trust differs".to_owned() } else { format!("trust: {refusal}") });
        }
        if !self.named_by_user {
            self.diff_rest(role, &owner, &mut changes, &mut reasons);
        }
        let assessment = if changes.is_empty() {
            Assessment::keep(format!("exists, trusts {short}"))
        } else {
            Assessment::update(reasons.join(", "), changes)
        };
        assessment.owned_by(owner)
    }

    /// Everything but the trust; only for roles that are ours.
    fn diff_rest(&self, role: &Role, owner: &Owner, changes: &mut Vec<Change>, reasons: &mut Vec<String>) {
        let name = || self.name.clone();
        if role.description != self.description {
            let before = (!role.description.is_empty()).then(|| role.description.clone());
            let fields = vec![FieldDiff::new("description", before, self.description.clone())];
            changes
                .push(self.change(fields, IamOp::UpdateRole { role: name(), description: self.description.clone() }));
            reasons.push("description differs".to_owned());
        }
        if let Some(boundary) = &self.permissions_boundary
            && role.permissions_boundary.as_ref() != Some(boundary)
        {
            let fields =
                vec![FieldDiff::new("permissionsBoundary", role.permissions_boundary.clone(), boundary.clone())];
            let op = IamOp::PutRolePermissionsBoundary { role: name(), permissions_boundary: boundary.clone() };
            changes.push(self.change(fields, op));
            reasons.push("permissions boundary differs".to_owned());
        }
        let mut wanted = self.tags.clone();
        if !owner.is_ours() {
            wanted.insert(tags::ADOPTED_FROM.to_owned(), adopted_from(owner));
            reasons.push(format!("adopted from {owner}"));
        }
        if let Some((missing, fields)) = tag_diff(&wanted, &role.tags) {
            changes.push(self.change(fields, IamOp::TagRole { role: name(), tags: missing }));
            reasons.push("tags differ".to_owned());
        }
    }
}

fn trust_fields(before: &Document, after: &Document) -> Vec<FieldDiff> {
    policy::diff(before, after)
        .into_iter()
        .map(|difference| FieldDiff::new(format!("trust.{}", difference.path), difference.before, difference.after))
        .collect()
}

#[async_trait]
impl Step for RoleStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        vec![oidc_provider::ID]
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("iam/role/{}", self.name))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let role = cx.iam.role(&self.name).await?;
        if goal == Goal::Absent {
            let hangers = self.hangers(cx).await?;
            return Ok(self.absent_diff(role.as_ref(), &hangers));
        }
        let mut assessment = self.diff(role.as_ref());
        if assessment.action == Action::Create {
            // People who followed the documentation have such a role; it is offered, never changed unasked.
            let (name, flag) = &self.documented;
            let documented = cx.iam.role(name).await?.filter(|role| self.judge(&role.trust).allowed());
            if let Some(role) = documented {
                let _ = write!(assessment.reason, "; {name} does so already: {flag} {} uses that", role.arn);
            }
        }
        Ok(assessment)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::owner::OUR_NAME;

    const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";
    const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/AB";
    const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB";

    pub(in crate::steps) fn our_tags() -> Tags {
        Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned()), (tags::CLUSTER.to_owned(), CLUSTER.to_owned())])
    }

    pub(in crate::steps) fn step() -> RoleStep {
        RoleStep {
            id: StepId::new("iam.role.lbc"),
            name: "r".to_owned(),
            path: "/".to_owned(),
            description: "d".to_owned(),
            permissions_boundary: None,
            tags: our_tags(),
            statement: statement("aws-load-balancer-controller"),
            provider_arn: PROVIDER.to_owned(),
            issuer: ISSUER.to_owned(),
            subject: "system:serviceaccount:kube-system:aws-load-balancer-controller".to_owned(),
            cluster_arn: CLUSTER.to_owned(),
            named_by_user: false,
            adopt: false,
            attached_by_us: Vec::new(),
            documented: ("AmazonEKSLoadBalancerControllerRole", "--lbc-role-arn".to_owned()),
        }
    }

    fn statement(service_account: &str) -> Statement {
        policy::irsa_statement(PROVIDER, ISSUER, "kube-system", service_account)
    }

    pub(in crate::steps) fn role(trust: Document, tags: Tags) -> Role {
        Role {
            arn: "arn:aws:iam::111122223333:role/r".to_owned(),
            path: "/".to_owned(),
            trust,
            description: "d".to_owned(),
            permissions_boundary: None,
            tags,
        }
    }

    fn right() -> Document {
        Document::trust(statement("aws-load-balancer-controller"))
    }

    fn wrong() -> Document {
        Document::trust(statement("aws-lb"))
    }

    fn calls(assessment: &Assessment) -> Vec<String> {
        assessment.changes.iter().map(|change| change.op.call()).collect()
    }

    #[test]
    fn differences_become_the_calls_that_mend_them() {
        let bounded = RoleStep { permissions_boundary: Some("arn:b".to_owned()), ..step() };
        let adopting = RoleStep { adopt: true, ..step() };
        let named = RoleStep { named_by_user: true, ..step() };
        let cases: [(RoleStep, Option<Role>, Action, &[&str]); 10] = [
            (step(), None, Action::Create, &["iam:CreateRole"]),
            (step(), Some(role(right(), our_tags())), Action::Keep, &[]),
            (step(), Some(role(wrong(), our_tags())), Action::Update, &["iam:UpdateAssumeRolePolicy"]),
            (
                step(),
                Some(Role { description: String::new(), ..role(right(), our_tags()) }),
                Action::Update,
                &["iam:UpdateRole"],
            ),
            (bounded, Some(role(right(), our_tags())), Action::Update, &["iam:PutRolePermissionsBoundary"]),
            (step(), Some(role(right(), Tags::new())), Action::Keep, &[]),
            (step(), Some(role(wrong(), Tags::new())), Action::Blocked, &[]),
            (
                adopting,
                Some(role(wrong(), Tags::new())),
                Action::Update,
                &["iam:UpdateAssumeRolePolicy", "iam:TagRole"],
            ),
            (named.clone(), None, Action::Blocked, &[]),
            (named, Some(role(wrong(), Tags::new())), Action::Update, &["iam:UpdateAssumeRolePolicy"]),
        ];
        for (place, (step, observed, action, expected)) in cases.iter().enumerate() {
            let assessment = step.diff(observed.as_ref());
            assert_eq!(assessment.action, *action, "case {place}: {assessment:?}");
            assert_eq!(calls(&assessment), *expected, "case {place}");
        }
    }

    #[test]
    fn statements_of_others_stay() {
        let foreign = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
            "Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
        let assessment = step().diff(Some(&role(Document::parse(foreign).unwrap(), our_tags())));
        let Op::Iam(IamOp::UpdateAssumeRolePolicy { trust, .. }) = &assessment.changes[0].op else {
            panic!("{assessment:?}")
        };
        assert!(trust.contains("ec2.amazonaws.com") && trust.contains("aws-load-balancer-controller"), "{trust}");
    }

    #[test]
    fn a_role_under_another_path_cannot_be_moved() {
        let moved = Role { path: "/other/".to_owned(), ..role(right(), our_tags()) };
        let assessment = step().diff(Some(&moved));
        assert_eq!(assessment.action, Action::Blocked);
        assert_eq!(assessment.mend.as_deref(), Some("--iam-path /other/"));
    }
}
