//! The cluster's IAM OIDC provider: it lets IAM trust the tokens of the cluster's service accounts.
//!
//! There is one per issuer and account, and its ARN follows from the issuer, so whoever made it, it is the right one and
//! is used; only a missing audience is added. Those that we made for former issuers of a cluster that was made again are deleted:
//! nobody gets tokens of them any more, whoever trusts them. The thumbprint is left out: IAM checks issuers against its own trusted
//! roots (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>).

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner};
use crate::plan::{Action, Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::{self, AUDIENCE, Document};
use crate::read::former::{self, Former};
use crate::read::iam::OidcProvider;
use crate::steps::role::RoleStep;
use crate::steps::{Step, tag_diff};

/// The step's id.
pub const ID: StepId = StepId::new("iam.oidc-provider");

/// The provider of one cluster.
#[derive(Debug, Clone)]
pub struct OidcProviderStep {
    /// Its ARN, computed from the issuer.
    pub arn: String,
    /// The issuer with its scheme.
    pub issuer: String,
    /// Our tags and the user's.
    pub tags: Tags,
    /// The roles that the same run looks after: what they trust after a destroy is known.
    pub roles: Vec<RoleStep>,
    /// The cluster's ARN, to tell our tags for it from those for another.
    pub cluster_arn: String,
}

impl OidcProviderStep {
    fn change(&self, fields: Vec<FieldDiff>, op: IamOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Iam(op) }
    }

    fn diff(&self, observed: Option<&OidcProvider>) -> Assessment {
        let Some(provider) = observed else {
            let fields = vec![
                FieldDiff::new("url", None, self.issuer.clone()),
                FieldDiff::new("audience", None, AUDIENCE.to_owned()),
            ];
            let op = IamOp::CreateOpenIdConnectProvider {
                url: self.issuer.clone(),
                audience: AUDIENCE.to_owned(),
                tags: self.tags.clone(),
            };
            return Assessment::create(format!("audience {AUDIENCE}"), vec![self.change(fields, op)]);
        };
        let owner = owner::of_tags(&provider.tags, &self.cluster_arn);
        let mut changes = Vec::new();
        let mut reasons = Vec::new();
        if !provider.audiences.contains(AUDIENCE) {
            let arn = self.arn.clone();
            let op = IamOp::AddClientIdToOpenIdConnectProvider { arn, audience: AUDIENCE.to_owned() };
            changes.push(self.change(vec![FieldDiff::new("audiences", None, AUDIENCE.to_owned())], op));
            reasons.push(format!("audience {AUDIENCE} is missing"));
        }
        // Tags of a provider that someone else made are theirs.
        if owner.is_ours()
            && let Some((missing, fields)) = tag_diff(&self.tags, &provider.tags)
        {
            changes.push(self.change(fields, IamOp::TagOpenIdConnectProvider { arn: self.arn.clone(), tags: missing }));
            reasons.push("tags differ".to_owned());
        }
        let assessment = if changes.is_empty() {
            Assessment::keep(format!("exists, audience {AUDIENCE}"))
        } else {
            Assessment::update(reasons.join(", "), changes)
        };
        assessment.owned_by(owner)
    }
}

impl OidcProviderStep {
    /// Roles that will still trust the provider once the roles of this run are deleted or given back.
    async fn trusting(&self, cx: &ReadContext) -> Result<Vec<String>> {
        let trusts = |trust: &Document| policy::trusts_provider(trust, &self.arn);
        let mut trusting = Vec::new();
        for role in cx.iam.trusts().await? {
            // A trust policy that nobody can read may be one.
            if !role.trust.as_ref().is_none_or(trusts) {
                continue;
            }
            if let Some(step) = self.roles.iter().find(|step| step.name == role.name) {
                let role = cx.iam.role(&role.name).await?;
                let former = step.former(cx, role.as_ref()).await?;
                let left = role.and_then(|role| step.trust_left(&role, &former));
                if !left.as_ref().is_some_and(trusts) {
                    continue;
                }
            }
            trusting.push(role.name);
        }
        Ok(trusting)
    }

    fn absent_diff(&self, owner: Owner, trusting: &[String]) -> Assessment {
        let assessment = match (&owner, trusting) {
            (Owner::Ours { .. }, []) => {
                let fields = vec![FieldDiff::new("url", self.issuer.clone(), None)];
                let op = IamOp::DeleteOpenIdConnectProvider { arn: self.arn.clone() };
                Assessment::delete("ours, and no other role trusts it", vec![self.change(fields, op)])
            }
            (Owner::Ours { .. }, [role]) => Assessment::skip(format!("kept: role {role} trusts it")),
            (Owner::Ours { .. }, [role, rest @ ..]) => {
                Assessment::skip(format!("kept: role {role} and {} more trust it", rest.len()))
            }
            (other, _) => Assessment::skip(format!("belongs to {other}, left as it is")),
        };
        assessment.owned_by(owner)
    }
}

/// Adds that the providers of former issuers go, first of all: an account at its quota has room then.
fn with_former(goal: Goal, former: &Former, mut assessment: Assessment) -> Assessment {
    if let Some(denied) = &former.denied {
        assessment.notes.push(format!("providers of the cluster's former issuers are not looked for: {denied}"));
    }
    if former.arns.is_empty() {
        return assessment;
    }
    let deletion = |arn: &String| {
        let issuer = arn.split_once(":oidc-provider/").map_or(arn.as_str(), |(_, issuer)| issuer);
        Change {
            resource: resource_of(issuer),
            fields: vec![FieldDiff::new("url", format!("https://{issuer}"), None)],
            op: Op::Iam(IamOp::DeleteOpenIdConnectProvider { arn: arn.clone() }),
        }
    };
    let changes = former.arns.iter().map(deletion).chain(assessment.changes).collect();
    let ids: Vec<_> = former.arns.iter().map(|arn| crate::names::last_part(arn)).collect();
    let action = match (assessment.action, goal) {
        (Action::Keep | Action::Skip, Goal::Present) => Action::Update,
        (Action::Keep | Action::Skip, Goal::Absent) => Action::Delete,
        (action, _) => action,
    };
    let reason = format!("{}; ours for the former issuer {} goes", assessment.reason, ids.join(", "));
    Assessment { action, reason, changes, ..assessment }
}

fn resource_of(issuer: &str) -> ResourceId {
    ResourceId(format!("iam/oidc-provider/{issuer}"))
}

#[async_trait]
impl Step for OidcProviderStep {
    fn id(&self) -> StepId {
        ID
    }

    fn needs(&self) -> Vec<StepId> {
        Vec::new()
    }

    fn resource(&self) -> ResourceId {
        resource_of(crate::names::issuer_host(&self.issuer))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let (provider, former) =
            futures::try_join!(cx.iam.oidc_provider(&self.arn), former::providers(&cx.iam, &cx.facts))?;
        let assessment = match (goal, &provider) {
            (Goal::Present, _) => self.diff(provider.as_ref()),
            (Goal::Absent, None) => Assessment::keep("absent"),
            (Goal::Absent, Some(provider)) => {
                let owner = owner::of_tags(&provider.tags, &self.cluster_arn);
                // Nobody else's provider is ever deleted, so who trusts it makes no difference.
                let trusting = if owner.is_ours() { self.trusting(cx).await? } else { Vec::new() };
                self.absent_diff(owner, &trusting)
            }
        };
        Ok(with_former(goal, &former, assessment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::{OUR_NAME, tags};

    fn step() -> OidcProviderStep {
        OidcProviderStep {
            arn: "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB".to_owned(),
            issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/AB".to_owned(),
            tags: Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned()), ("team".to_owned(), "a".to_owned())]),
            roles: Vec::new(),
            cluster_arn: "arn:c".to_owned(),
        }
    }

    fn provider(audiences: &[&str], tags: &[(&str, &str)]) -> OidcProvider {
        OidcProvider {
            audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_provider_that_others_need_or_made_stays() {
        let role = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let action = |owner: Owner, names: &[&str]| step().absent_diff(owner, &role(names)).action;
        assert_eq!(action(Owner::Ours { adopted: false }, &[]), Action::Delete);
        assert_eq!(action(Owner::Ours { adopted: false }, &["x"]), Action::Skip);
        assert_eq!(action(Owner::OtherCluster { arn: "arn:d".to_owned() }, &[]), Action::Skip);
        assert_eq!(action(Owner::Unmarked, &[]), Action::Skip);
    }

    #[test]
    fn what_is_ours_for_former_issuers_goes_whatever_becomes_of_the_provider() {
        let gone = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/GONE".to_owned();
        let former = Former { arns: vec![gone], denied: None };
        let of = |goal: Goal, assessment: Assessment| {
            let assessment = with_former(goal, &former, assessment);
            let calls: Vec<_> = assessment
                .changes
                .iter()
                .map(|change| (change.op.call(), crate::names::last_part(&change.resource.0).to_owned()))
                .collect();
            assert!(assessment.reason.ends_with("; ours for the former issuer GONE goes"), "{}", assessment.reason);
            (assessment.action, calls)
        };
        let call = |call: &str, id: &str| (format!("iam:{call}OpenIDConnectProvider"), id.to_owned());
        let delete = call("Delete", "GONE");
        assert_eq!(of(Goal::Present, step().diff(None)), (Action::Create, vec![delete.clone(), call("Create", "AB")]));
        assert_eq!(of(Goal::Present, Assessment::keep("exists")), (Action::Update, vec![delete.clone()]));
        assert_eq!(of(Goal::Absent, Assessment::keep("absent")), (Action::Delete, vec![delete.clone()]));
        let ours = step().absent_diff(Owner::Ours { adopted: false }, &[]);
        assert_eq!(of(Goal::Absent, ours), (Action::Delete, vec![delete, call("Delete", "AB")]));

        let denied = Former { arns: Vec::new(), denied: Some("iam:ListOpenIDConnectProviders is denied".to_owned()) };
        let told = with_former(Goal::Present, &denied, Assessment::keep("exists"));
        assert_eq!((told.action, told.notes.len()), (Action::Keep, 1));
    }

    #[test]
    fn differences_are_found_one_by_one() {
        let calls = |observed: Option<OidcProvider>| -> (Action, Vec<String>) {
            let assessment = step().diff(observed.as_ref());
            (assessment.action, assessment.changes.iter().map(|change| change.op.call()).collect())
        };
        let create = vec!["iam:CreateOpenIDConnectProvider".to_owned()];
        let add = vec!["iam:AddClientIDToOpenIDConnectProvider".to_owned()];
        let tag = vec!["iam:TagOpenIDConnectProvider".to_owned()];
        assert_eq!(calls(None), (Action::Create, create));
        assert_eq!(calls(Some(provider(&["sts.amazonaws.com", "x"], &[]))), (Action::Keep, vec![]));
        assert_eq!(calls(Some(provider(&["sts.amazonaws.com.cn"], &[]))), (Action::Update, add));
        let ours = provider(&["sts.amazonaws.com"], &[(tags::MANAGED_BY, OUR_NAME), ("team", "b")]);
        assert_eq!(calls(Some(ours)), (Action::Update, tag));
    }
}
