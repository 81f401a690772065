//! The role of a component's service account: its trust policy (for IRSA or EKS Pod Identity), description, tags, boundary.
//!
//! The trust policy gets one statement of ours; statements of others stay as they are. A role that the user names
//! (`--lbc-role-arn`) gets that statement too and nothing else: it stays the user's. Statements of ours for former issuers of
//! the cluster go (`former.rs`).
//! <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>

mod absent;
mod former;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use async_trait::async_trait;

use crate::config::Identity;
use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner, tags};
use crate::plan::{Action, Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::{self, Document, PodIdentityRequest, Statement, TrustRequest, TrustVerdict};
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
    /// Its ARN, by which the pods ask for it.
    pub arn: String,
    /// Its path.
    pub path: String,
    /// Its description.
    pub description: String,
    /// ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// Our tags and the user's.
    pub tags: Tags,
    /// The one of these tags that the role's policy compares with; a role that the user named must carry it already.
    pub required_tag: Option<(String, String)>,
    /// Our trust statement.
    pub statement: Statement,
    /// The provider that it trusts.
    pub provider_arn: String,
    /// The cluster's issuer.
    pub issuer: String,
    /// The subject of the service account's tokens.
    pub subject: String,
    /// How the pods get the role.
    pub identity: Identity,
    /// The service account, as EKS Pod Identity asks for it.
    pub pods: PodIdentityRequest,
    /// Whether our statement for the other way may be there: it stays until `iam.trust` takes it out.
    pub migrating: bool,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The user named this role: it must exist, and only its trust is extended.
    pub named_by_user: bool,
    /// Whether a role of that name may be taken over.
    pub adopt: bool,
    /// ARNs of the policies that the component's attachment step attaches and detaches.
    pub attached_by_us: Vec<String>,
    /// The name that AWS' documentation gives to such a role.
    pub documented: Option<&'static str>,
    /// How the user names another role.
    pub setting: String,
}

impl RoleStep {
    fn change(&self, fields: Vec<FieldDiff>, op: IamOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Iam(op) }
    }

    /// Our statement for one of the two ways.
    pub(in crate::steps) fn statement_of(&self, identity: Identity) -> Statement {
        match identity {
            Identity::Irsa => policy::irsa_statement(
                &self.provider_arn,
                &self.issuer,
                &self.pods.namespace,
                &self.pods.service_account,
            ),
            Identity::PodIdentity => self.pods.statement(),
        }
    }

    /// Why a trust policy does not let the service account in; nothing where it does.
    fn refusals(&self, trust: &Document) -> Vec<String> {
        if self.identity == Identity::PodIdentity {
            return self.pods.refusals(trust);
        }
        self.judge(trust).clauses().iter().map(ToString::to_string).collect()
    }

    /// How a trust policy takes a token of the service account.
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
        let through = match self.identity {
            Identity::Irsa => "the OIDC provider",
            Identity::PodIdentity => "EKS Pod Identity",
        };
        let mut fields = vec![FieldDiff::new("trust", None, format!("{short} through {through}"))];
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

    /// The role that was named does not exist, and one of its name does, under another path.
    fn misnamed(&self, role: &Role, goal: Goal) -> Assessment {
        if goal == Goal::Absent {
            return Assessment::keep("absent");
        }
        let reason = format!("role {} was named but does not exist; {} does", self.arn, role.arn);
        Assessment {
            mend: Some(format!("{} {}", self.setting, role.arn)),
            ..Assessment::blocked(&self.id, Owner::Unmarked, reason)
        }
    }

    /// How many other clusters' service accounts the role lets in, for the plan's reason.
    fn shared(&self, trust: &Document) -> String {
        match policy::other_clusters(trust, &self.provider_arn) {
            0 => String::new(),
            1 => "; another cluster uses it too".to_owned(),
            count => format!("; {count} other clusters use it too"),
        }
    }

    /// Why IAM would not take the trust policy that the role would get, or why the role cannot serve.
    fn hindrance(&self, role: &Role, merged: &Document, limit: usize) -> Option<Assessment> {
        let blocked = |reason: String, mend: String| Assessment {
            mend: Some(mend),
            ..Assessment::blocked(&self.id, owner::of_tags(&role.tags, &self.cluster_arn), reason)
        };
        if let Some((key, value)) = self.required_tag.as_ref().filter(|_| self.named_by_user)
            && role.tags.get(key) != Some(value)
        {
            let mend = format!("aws iam tag-role --role-name {} --tags Key={key},Value={value}", self.name);
            return Some(blocked(format!("was named and lacks the tag {key}={value} that its policy asks for"), mend));
        }
        let len = merged.minified_len();
        if len > limit && !policy::same_meaning(&role.trust, merged) {
            let reason =
                format!("its trust policy would have {len} characters, IAM takes {limit}{}", self.shared(merged));
            let mend = format!(
                "{} with another role (or without it, to get one of ours), or a raised quota \"Role trust policy length\" \
                 and leave to call iam:GetAccountSummary",
                self.setting
            );
            return Some(blocked(reason, mend));
        }
        None
    }

    fn diff(&self, observed: Option<&Role>, former: &BTreeSet<String>, limit: usize) -> Assessment {
        let Some(role) = observed else { return self.create() };
        let owner = owner::of_tags(&role.tags, &self.cluster_arn);
        let short = self.subject.trim_start_matches("system:serviceaccount:");
        let merged = self.merged(&role.trust, former);
        let refusals = self.refusals(&role.trust);
        let refusal = refusals.join("; ");
        let ours = owner.is_ours() || self.adopt;
        let shared = self.shared(&merged);
        if let Some(hindrance) = self.hindrance(role, &merged, limit).filter(|_| ours || self.named_by_user) {
            return hindrance;
        }
        if self.identity == Identity::Irsa && !self.migrating && policy::holds_pod_identity(&role.trust, &self.pods) {
            let component = self.id.as_str().rsplit('.').next().unwrap_or_default();
            let reason = format!(
                "{short} uses EKS Pod Identity; `eks-bootstrap migrate --to irsa --component {component}` moves it back; to stay"
            );
            return Assessment {
                mend: Some(format!("--identity {component}=pod-identity")),
                ..Assessment::blocked(&self.id, owner, reason)
            };
        }
        if !ours && refusals.is_empty() {
            return Assessment::keep(format!("exists and trusts {short}, used as it is{shared}")).owned_by(owner);
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
            reasons.push(RoleStep::trust_reason(former, &refusal));
        }
        if !self.named_by_user {
            self.diff_rest(role, &owner, &mut changes, &mut reasons);
        }
        let assessment = if changes.is_empty() {
            Assessment::keep(format!("exists, trusts {short}{shared}"))
        } else {
            Assessment::update(format!("{}{shared}", reasons.join(", ")), changes)
        };
        assessment.owned_by(owner)
    }

    /// Everything but the trust; only for roles that are ours.
    fn diff_rest(&self, role: &Role, owner: &Owner, changes: &mut Vec<Change>, reasons: &mut Vec<String>) {
        let name = || self.name.clone();
        if role.description != self.description {
            let before = (!role.description.is_empty()).then(|| role.description.clone());
            let fields = vec![FieldDiff::new("description", before, self.description.clone())];
            let op = IamOp::UpdateRole {
                role: name(),
                description: self.description.clone(),
                max_session_seconds: role.max_session_seconds,
            };
            changes.push(self.change(fields, op));
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
        if self.identity == Identity::Irsa { vec![oidc_provider::ID] } else { Vec::new() }
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("iam/role/{}", self.name))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let role = cx.iam.role(&self.name).await?;
        // IAM finds roles by their names, whatever their paths; only the ARN that was named says which is meant.
        if let Some(role) = role.as_ref().filter(|role| self.named_by_user && role.arn != self.arn) {
            return Ok(self.misnamed(role, goal));
        }
        let former = self.former(cx, role.as_ref()).await?;
        if goal == Goal::Absent {
            let hangers = self.hangers(cx).await?;
            return Ok(self.absent_diff(role.as_ref(), &former, &hangers));
        }
        let merged = role.as_ref().map(|role| self.merged(&role.trust, &former));
        // Asked only where the default is not enough; who may not ask has the default.
        let limit = match merged.filter(|merged| merged.minified_len() > policy::TRUST_POLICY_LIMIT) {
            Some(_) => cx.iam.trust_policy_limit().await,
            None => policy::TRUST_POLICY_LIMIT,
        };
        let mut assessment = self.diff(role.as_ref(), &former, limit);
        if assessment.action == Action::Create {
            // People who followed the documentation have such a role; it is offered, never changed unasked.
            let Some(name) = self.documented else { return Ok(assessment) };
            let documented = cx.iam.role(name).await?.filter(|role| self.refusals(&role.trust).is_empty());
            if let Some(role) = documented {
                let _ = write!(assessment.reason, "; {name} does so already: {} {} uses that", self.setting, role.arn);
            }
        }
        Ok(assessment)
    }
}

#[cfg(test)]
pub(super) mod tests;
