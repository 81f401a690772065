//! The trust statement of IAM roles for service accounts (IRSA), and its place among statements of others.
//!
//! A role may be shared: other clusters, people and tools have statements of their own in its trust policy, and those are
//! never touched. Ours carries the `Sid` [`SID`] and names our cluster's provider; only such a statement is replaced. A cluster
//! that is deleted and made again under its name has another issuer, hence another provider; which of the others was its own is
//! not to be seen here, and the caller says it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::pod_identity::POD_IDENTITY_SID;
use super::{Condition, Document, Effect, Principals, Statement};

/// The audience of EKS service-account tokens, the same in every partition.
pub const AUDIENCE: &str = "sts.amazonaws.com";

/// The action that exchanges a service-account token for credentials.
pub const WEB_IDENTITY_ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// How the `Sid` of our trust statement begins; where another cluster's statement has it already, eight digits follow.
pub const SID: &str = "EksBootstrapIrsa";

/// Whether a trust policy holds a wanted statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPresence {
    /// The statement with this index, whoever wrote it, means the same.
    Present(usize),
    /// The statement with this index is ours and says something else, or says it a second time.
    Outdated(usize),
    /// There is no such statement.
    Absent,
}

/// The `sub` claim of a service account's token.
pub fn subject(namespace: &str, service_account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{service_account}")
}

/// The statement that lets one service account, and no other, assume the role.
///
/// The issuer is taken with and without `https://`.
pub fn irsa_statement(provider_arn: &str, issuer: &str, namespace: &str, service_account: &str) -> Statement {
    statement_for(provider_arn, issuer, &subject(namespace, service_account))
}

fn statement_for(provider_arn: &str, issuer: &str, subject: &str) -> Statement {
    let issuer = bare_issuer(issuer);
    let claims = BTreeMap::from([
        (format!("{issuer}:aud"), vec![AUDIENCE.to_owned()]),
        (format!("{issuer}:sub"), vec![subject.to_owned()]),
    ]);
    Statement {
        sid: Some(SID.into()),
        effect: Effect::Allow,
        principal: Some(Principals::Named(BTreeMap::from([("Federated".into(), vec![provider_arn.into()])]))),
        not_principal: None,
        action: Some(vec![WEB_IDENTITY_ACTION.into()]),
        not_action: None,
        resource: None,
        not_resource: None,
        condition: Condition::from([("StringEquals".into(), claims)]),
        other: BTreeMap::new(),
    }
}

/// The trust policy of a role that only one service account uses.
pub fn irsa_document(provider_arn: &str, issuer: &str, namespace: &str, service_account: &str) -> Document {
    Document::trust(irsa_statement(provider_arn, issuer, namespace, service_account))
}

impl Document {
    /// A trust policy of one statement.
    pub fn trust(statement: Statement) -> Document {
        Document { version: Some("2012-10-17".into()), id: None, statements: vec![statement], other: BTreeMap::new() }
    }
}

/// Looks for a wanted statement in a trust policy; one of ours that differs counts before a foreign one that fits.
pub fn find_trust(existing: &Document, wanted: &Statement) -> TrustPresence {
    let ours = existing.statements.iter().enumerate().filter(|(_, statement)| is_ours(statement, wanted));
    for (earlier, (index, statement)) in ours.enumerate() {
        if earlier > 0 || statement.grants() != wanted.grants() {
            return TrustPresence::Outdated(index);
        }
    }
    let present = existing.statements.iter().position(|statement| statement.grants() == wanted.grants());
    present.map_or(TrustPresence::Absent, TrustPresence::Present)
}

/// The trust policy with the wanted statement in it.
///
/// Foreign statements stay as they are and where they are. Our own are replaced in place, and a second one of ours is
/// dropped. A foreign statement that means the same as the wanted one makes a new one needless. Merging again changes nothing.
pub fn merge_trust(existing: &Document, wanted: &Statement) -> Document {
    let mut merged = existing.clone();
    let mut placed = false;
    merged.statements.retain_mut(|statement| {
        if !is_ours(statement, wanted) {
            return true;
        }
        let first = !placed;
        placed = true;
        if first && statement.grants() != wanted.grants() {
            *statement = Statement { sid: statement.sid.take(), ..wanted.clone() };
        }
        first
    });
    let fits = |statement: &Statement| statement.grants() == wanted.grants();
    if !merged.statements.iter().any(fits) {
        let taken = merged.statements.iter().any(|statement| statement.sid == wanted.sid);
        let sid = if taken { wanted.sid.as_ref().map(|sid| distinct_sid(sid, wanted)) } else { wanted.sid.clone() };
        merged.statements.push(Statement { sid, ..wanted.clone() });
    }
    merged
}

/// The trust policy without our statement: what [`merge_trust`] added is taken out, statements of others stay.
pub fn release_trust(existing: &Document, wanted: &Statement) -> Document {
    let mut released = existing.clone();
    released.statements.retain(|statement| !is_ours(statement, wanted));
    released
}

/// The other providers of the account through which a statement that is word for word ours lets `subject` in: those of other
/// clusters that share the role, and those of former issuers of this one.
pub fn our_other_providers(trust: &Document, provider_arn: &str, subject: &str) -> BTreeSet<String> {
    let account = |arn: &str| arn.split_once(":oidc-provider/").map(|(account, _)| account.to_owned());
    let ours = trust.statements.iter().filter_map(|statement| provider_of_ours(statement, subject));
    ours.filter(|arn| arn != provider_arn && account(arn) == account(provider_arn)).collect()
}

/// The trust policy without our statements that let `subject` in through these providers.
pub fn release_providers(existing: &Document, providers: &BTreeSet<String>, subject: &str) -> Document {
    let mut released = existing.clone();
    let goes = |statement: &Statement| provider_of_ours(statement, subject).is_some_and(|arn| providers.contains(&arn));
    released.statements.retain(|statement| !goes(statement));
    released
}

/// The provider of a statement that says what ours says for `subject`, and nothing else.
fn provider_of_ours(statement: &Statement, subject: &str) -> Option<String> {
    statement.sid.as_deref().filter(|sid| sid.starts_with(SID))?;
    let mut principals = statement.principal.as_ref()?.each().into_iter();
    let (Some(principal), None) = (principals.next(), principals.next()) else { return None };
    let arn = principal.strip_prefix("Federated:")?.to_owned();
    let (_, issuer) = arn.split_once(":oidc-provider/")?;
    let same = statement.grants() == statement_for(&arn, issuer, subject).grants();
    same.then_some(arn)
}

/// Whether a trust policy allows anything to identities of an OIDC provider.
pub fn trusts_provider(trust: &Document, provider_arn: &str) -> bool {
    let principal = format!("Federated:{provider_arn}");
    trust.statements.iter().any(|statement| {
        statement.effect == Effect::Allow
            && statement.principal.as_ref().is_some_and(|principals| principals.each().contains(&principal))
    })
}

/// How many other EKS clusters a trust policy lets in through their OIDC providers.
pub fn other_clusters(trust: &Document, provider_arn: &str) -> usize {
    let statements = trust.statements.iter().filter(|statement| statement.effect == Effect::Allow);
    let principals = statements.filter_map(|statement| statement.principal.as_ref()).flat_map(Principals::each);
    let providers: BTreeSet<_> = principals
        .filter_map(|principal| principal.strip_prefix("Federated:").map(ToOwned::to_owned))
        .filter(|arn| arn.contains(":oidc-provider/oidc.eks") && arn != provider_arn)
        .collect();
    providers.len()
}

/// Ours is a statement with our `Sid` for the provider of the wanted one. The same `Sid` with another provider is that of
/// another cluster which shares the role.
fn is_ours(statement: &Statement, wanted: &Statement) -> bool {
    // A statement for Pod Identity names in its Sid whom it is for, since its principal is the same for all.
    if wanted.sid.as_deref().is_some_and(|sid| sid.starts_with(POD_IDENTITY_SID)) {
        return statement.sid == wanted.sid;
    }
    let marked = statement.sid.as_deref().is_some_and(|sid| sid.starts_with(SID));
    marked && statement.principal.as_ref().map(Principals::each) == wanted.principal.as_ref().map(Principals::each)
}

fn distinct_sid(sid: &str, wanted: &Statement) -> String {
    let principals = wanted.principal.as_ref().map(Principals::each).unwrap_or_default();
    let digest = Sha256::digest(principals.into_iter().collect::<Vec<_>>().join(" "));
    format!("{sid}{}", &hex::encode(digest)[..8])
}

/// The issuer as it stands in provider ARNs and condition keys.
pub(super) fn bare_issuer(issuer: &str) -> &str {
    issuer.trim_start_matches("https://").trim_end_matches('/')
}
