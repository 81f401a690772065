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
use crate::owner;
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::policy::AUDIENCE;
use crate::read::iam::OidcProvider;
use crate::steps::Step;
use crate::steps::tag_diff;

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

    async fn plan(&self, cx: &ReadContext, _goal: Goal) -> Result<Assessment> {
        Ok(self.diff(cx.iam.oidc_provider(&self.arn).await?.as_ref()))
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
