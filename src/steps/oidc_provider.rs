//! The cluster's IAM OIDC provider: it lets IAM trust the tokens of the cluster's service accounts.
//!
//! There is one per issuer and account, and its ARN follows from the issuer, so whoever made it, it is the right one and
//! is used; only a missing audience is added. The thumbprint is left out: IAM checks issuers against its own trusted
//! roots (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>).

use async_trait::async_trait;

use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::{self, AUDIENCE, Document};
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
                let left = cx.iam.role(&role.name).await?.and_then(|role| step.trust_left(&role));
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

#[async_trait]
impl Step for OidcProviderStep {
    fn id(&self) -> StepId {
        ID
    }

    fn needs(&self) -> Vec<StepId> {
        Vec::new()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("iam/oidc-provider/{}", crate::names::issuer_host(&self.issuer)))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let provider = cx.iam.oidc_provider(&self.arn).await?;
        Ok(match (goal, &provider) {
            (Goal::Present, _) => self.diff(provider.as_ref()),
            (Goal::Absent, None) => Assessment::keep("absent"),
            (Goal::Absent, Some(provider)) => {
                let owner = owner::of_tags(&provider.tags, &self.cluster_arn);
                // Nobody else's provider is ever deleted, so who trusts it makes no difference.
                let trusting = if owner.is_ours() { self.trusting(cx).await? } else { Vec::new() };
                self.absent_diff(owner, &trusting)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::{OUR_NAME, tags};
    use crate::plan::Action;

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
