//! Which statements of a role's trust policy are ours for former issuers of the cluster: one that was deleted and made again
//! under its name keeps its ARN and its roles, and gets another issuer. Called by `role.rs` and the steps beside it.
//!
//! In a role that our tags give to this cluster, such a statement is one that says word for word what ours says, through another
//! provider of the account that is either gone, so that nobody gets in by it, or that our tags give to this cluster too. A role
//! that is shared with clusters that live keeps their statements: their providers are there and are not made for this one.

use std::collections::BTreeSet;

use crate::context::ReadContext;
use crate::error::Result;
use crate::names;
use crate::owner;
use crate::policy::{self, Document};
use crate::read::iam::Role;
use crate::steps::role::RoleStep;

impl RoleStep {
    /// ARNs of the providers of former issuers that the role still trusts for us.
    pub(in crate::steps) async fn former(&self, cx: &ReadContext, role: Option<&Role>) -> Result<BTreeSet<String>> {
        let mut former = BTreeSet::new();
        let Some(role) = role.filter(|role| owner::of_tags(&role.tags, &self.cluster_arn).is_ours()) else {
            return Ok(former);
        };
        for arn in policy::our_other_providers(&role.trust, &self.provider_arn, &self.subject) {
            let goes = match cx.iam.oidc_provider(&arn).await {
                Ok(None) => true,
                Ok(Some(provider)) => owner::is_made_for(&provider.tags, &self.cluster_arn),
                // Nothing is taken out on suspicion; the provider's step says what could not be read.
                Err(error) if error.denied() => false,
                Err(error) => return Err(error),
            };
            if goes {
                former.insert(arn);
            }
        }
        Ok(former)
    }

    /// The trust policy that the role is to have: our statement in it, those for former issuers not, all others as they are.
    pub(in crate::steps) fn merged(&self, trust: &Document, former: &BTreeSet<String>) -> Document {
        policy::merge_trust(&policy::release_providers(trust, former, &self.subject), &self.statement)
    }

    /// Why the trust policy is written.
    pub(super) fn trust_reason(former: &BTreeSet<String>, refusal: &str) -> String {
        let ids: Vec<_> = former.iter().map(|arn| names::last_part(arn)).collect();
        match (ids.as_slice(), refusal) {
            ([], "") => "trust differs".to_owned(),
            ([], refusal) => format!("trust: {refusal}"),
            (ids, _) => format!("trusts the cluster's former issuer {}", ids.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Op;
    use crate::op::iam::{IamOp, Tags};
    use crate::plan::Action;
    use crate::policy::Statement;
    use crate::steps::role::tests::{our_tags, role, step};

    const ACCOUNT: &str = "arn:aws:iam::111122223333:oidc-provider/";
    const HOST: &str = "oidc.eks.eu-west-1.amazonaws.com/id";

    fn of_issuer(id: &str, account: &str) -> Statement {
        let (provider, issuer) = (format!("{account}{HOST}/{id}"), format!("https://{HOST}/{id}"));
        let statement = policy::irsa_statement(&provider, &issuer, "kube-system", "aws-load-balancer-controller");
        Statement { sid: Some(format!("{}{id}", policy::SID)), ..statement }
    }

    /// A trust policy of statements for issuers.
    fn trust(statements: Vec<Statement>) -> Document {
        Document { statements, ..Document::trust(step().statement) }
    }

    #[test]
    fn only_statements_word_for_word_ours_may_be_of_a_former_issuer() {
        let edited = Statement { condition: policy::Condition::new(), ..of_issuer("EDITED", ACCOUNT) };
        let unmarked = Statement { sid: Some("Theirs".to_owned()), ..of_issuer("UNMARKED", ACCOUNT) };
        let elsewhere = of_issuer("ELSEWHERE", "arn:aws:iam::999988887777:oidc-provider/");
        let all = trust(vec![step().statement, of_issuer("FORMER", ACCOUNT), edited, unmarked, elsewhere]);
        let found = policy::our_other_providers(&all, &step().provider_arn, &step().subject);
        assert_eq!(found, BTreeSet::from([format!("{ACCOUNT}{HOST}/FORMER")]));
        let other = policy::our_other_providers(&all, &step().provider_arn, "system:serviceaccount:kube-system:other");
        assert_eq!(other, BTreeSet::new());
    }

    #[test]
    fn a_former_issuer_is_replaced_and_a_living_one_stays() {
        let former = BTreeSet::from([format!("{ACCOUNT}{HOST}/FORMER")]);
        let living = of_issuer("LIVING", ACCOUNT);
        let observed = role(trust(vec![of_issuer("FORMER", ACCOUNT), living.clone()]), our_tags());
        let assessment = step().diff(Some(&observed), &former, 2048);
        assert_eq!(assessment.reason, "trusts the cluster's former issuer FORMER; another cluster uses it too");
        let [change] = assessment.changes.as_slice() else { panic!("{assessment:?}") };
        let Op::Iam(IamOp::UpdateAssumeRolePolicy { trust: written, .. }) = &change.op else { panic!("{change:?}") };
        let written = Document::parse(written).unwrap();
        assert_eq!(written.statements, [living, step().statement]);
        let settled = step().diff(Some(&role(written, our_tags())), &BTreeSet::new(), 2048);
        assert_eq!(settled.action, Action::Keep, "{settled:?}");
    }

    #[test]
    fn an_adopted_role_is_given_back_without_them() {
        let former = BTreeSet::from([format!("{ACCOUNT}{HOST}/FORMER")]);
        let theirs = Statement { sid: Some("Theirs".to_owned()), ..of_issuer("THEIRS", ACCOUNT) };
        let mut tags: Tags = our_tags();
        tags.insert(owner::tags::ADOPTED_FROM.to_owned(), "eksctl".to_owned());
        let observed = role(trust(vec![theirs.clone(), of_issuer("FORMER", ACCOUNT), step().statement]), tags);
        assert_eq!(step().trust_left(&observed, &former).unwrap().statements, [theirs]);
    }
}
