//! The role and its trust policy, judged for the service account's token as STS would judge it.

use super::{BROAD, Identity, ROLE, TRUST};
use crate::check::Finding;
use crate::error::Result;
use crate::op::shell::quote;
use crate::owner;
use crate::policy::{self, BroadTrust, Clause, ClauseKind, Document, Statement, TrustVerdict};
use crate::read::iam::Role;

/// The judgement of the trust policy; none where there is no role to judge.
pub(super) fn verdict(identity: &Identity, role: &Result<Option<Role>>) -> Option<TrustVerdict> {
    let role = role.as_ref().ok()?.as_ref()?;
    Some(policy::evaluate_trust(&role.trust, &identity.request()))
}

pub(super) fn exists(identity: &Identity, role: &Result<Option<Role>>) -> Finding {
    let wanted = identity.role_arn.clone();
    match role {
        Ok(Some(role)) if role.arn == wanted => ROLE.passed(format!("role {} exists", identity.role_name())),
        Ok(Some(role)) => ROLE.failed(
            "the role exists under another path",
            role.arn.clone(),
            wanted,
            format!("eks-bootstrap apply --iam-path {}", role.path),
        ),
        Ok(None) if identity.named => ROLE.failed(
            "the role that was named does not exist",
            "no such role",
            wanted,
            format!("correct --{0}-role-arn, or leave it out to get a role of ours", identity.component.short),
        ),
        Ok(None) => {
            let says = format!("role {} does not exist", identity.role_name());
            ROLE.failed(says, "no such role", wanted, identity.apply(&["iam.role", "iam.attachment"]))
        }
        Err(error) => ROLE.unread(error),
    }
}

pub(super) fn trusts(identity: &Identity, role: &Result<Option<Role>>, verdict: Option<&TrustVerdict>) -> Finding {
    let (role, verdict) = match (role, verdict) {
        (Ok(Some(role)), Some(verdict)) => (role, verdict),
        (Err(error), _) => return TRUST.unread(error),
        _ => return TRUST.skipped(format!("needs {}", ROLE.id)),
    };
    let Some(headline) = headline(verdict.clauses()) else {
        return TRUST.passed(format!("its trust policy lets {} in", identity.account()));
    };
    let lines = |part: fn(&Clause) -> &String| {
        let lines: Vec<_> = verdict.clauses().iter().map(|clause| part(clause).as_str()).collect();
        lines.join("\n")
    };
    let (observed, expected) = (lines(|clause| &clause.observed), lines(|clause| &clause.expected));
    TRUST.failed(headline, observed, expected, trust_mend(identity, role, verdict.clauses()))
}

/// What is wrong, by the clause that is furthest from right; none where nothing is.
pub(super) fn headline(clauses: &[Clause]) -> Option<&'static str> {
    Some(match clauses.iter().map(|clause| clause.kind).max()? {
        ClauseKind::Audience => "the trust policy names another audience",
        ClauseKind::Subject => "the trust policy names another service account",
        ClauseKind::LiteralWildcard => "the trust policy has a wildcard where it is taken literally",
        ClauseKind::KeyPrefix => "a condition key of the trust policy has a prefix before the issuer",
        ClauseKind::OtherIssuer => "the trust policy has conditions on another cluster's issuer",
        ClauseKind::UnknownKey => "the trust policy depends on what a token does not tell",
        ClauseKind::NotUnderstood => "a condition of the trust policy cannot be judged",
        ClauseKind::Condition => "a condition of the trust policy refuses the service account",
        ClauseKind::Action => "the trust policy allows another action",
        ClauseKind::OtherProvider => "the trust policy trusts another OIDC provider",
        ClauseKind::ServicePrincipal => "the trust policy trusts an AWS service, not the cluster's OIDC provider",
        ClauseKind::OtherPrincipal => "the trust policy trusts someone else than the cluster's OIDC provider",
        ClauseKind::ExplicitDeny => "a statement of the trust policy denies it",
        ClauseKind::NoStatement => "no statement of the trust policy allows anything",
    })
}

fn trust_mend(identity: &Identity, role: &Role, clauses: &[Clause]) -> String {
    let denying: Vec<_> = clauses
        .iter()
        .filter(|clause| clause.kind == ClauseKind::ExplicitDeny)
        .filter_map(|clause| clause.statement)
        .collect();
    if denying.is_empty() { apply(identity, role) } else { rewrite(identity, role, &denying) }
}

/// Statements of others are not ours to change: apply leaves them, so the command is the aws CLI's.
fn rewrite(identity: &Identity, role: &Role, without: &[usize]) -> String {
    let document = policy::merge_trust(&left(&role.trust, without), &wanted(identity));
    format!(
        "aws iam update-assume-role-policy --role-name {} --policy-document {}",
        identity.role_name(),
        quote(&document.to_json())
    )
}

fn left(trust: &Document, without: &[usize]) -> Document {
    let kept = trust.statements.iter().enumerate().filter(|(place, _)| !without.contains(place));
    Document { statements: kept.map(|(_, statement)| statement.clone()).collect(), ..trust.clone() }
}

fn apply(identity: &Identity, role: &Role) -> String {
    let command = identity.apply(&["iam.role"]);
    if identity.named || owner::of_tags(&role.tags, &identity.cluster_arn).is_ours() {
        return command;
    }
    format!("{command} --adopt iam.role.{}", identity.component.short)
}

fn wanted(identity: &Identity) -> Statement {
    let component = &identity.component;
    policy::irsa_statement(&identity.provider_arn, &identity.issuer, component.namespace, component.service_account)
}

pub(super) fn broad(identity: &Identity, role: &Result<Option<Role>>, verdict: Option<&TrustVerdict>) -> Finding {
    let (role, verdict) = match (role, verdict) {
        (Ok(Some(role)), Some(verdict)) => (role, verdict),
        (Err(error), _) => return BROAD.unread(error),
        _ => return BROAD.skipped(format!("needs {}", ROLE.id)),
    };
    if verdict.broad.is_empty() {
        return BROAD.passed("its trust policy lets in no other service account");
    }
    let merged = policy::merge_trust(&role.trust, &wanted(identity));
    let after_apply = policy::evaluate_trust(&merged, &identity.request());
    let mend = if after_apply.broad.is_empty() {
        apply(identity, role)
    } else {
        let places: Vec<_> = verdict.broad.iter().map(place).collect();
        rewrite(identity, role, &places)
    };
    let observed = verdict.broad.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let expected = format!("sub is `{}`, aud is `{}`", identity.component.subject(), policy::AUDIENCE);
    BROAD.failed("the trust policy lets in more than this service account", observed, expected, mend)
}

fn place(broad: &BroadTrust) -> usize {
    match broad {
        BroadTrust::NoSubject { statement }
        | BroadTrust::WildcardSubject { statement, .. }
        | BroadTrust::NoAudience { statement }
        | BroadTrust::AnyPrincipal { statement } => *statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::checks::irsa::tests::identity;
    use std::collections::BTreeMap;

    fn role(trust: &str, ours: bool) -> Role {
        let identity = identity();
        let trust = trust
            .replace("PROVIDER", &identity.provider_arn)
            .replace("ISSUER", identity.issuer.trim_start_matches("https://"));
        let tags = [
            (owner::tags::MANAGED_BY.to_owned(), owner::OUR_NAME.to_owned()),
            (owner::tags::CLUSTER.to_owned(), identity.cluster_arn.clone()),
        ];
        Role {
            arn: identity.role_arn,
            path: "/".to_owned(),
            trust: Document::parse(&trust).unwrap(),
            description: String::new(),
            permissions_boundary: None,
            max_session_seconds: None,
            tags: if ours { BTreeMap::from(tags) } else { BTreeMap::new() },
        }
    }

    fn found(check: fn(&Identity, &Result<Option<Role>>, Option<&TrustVerdict>) -> Finding, role: Role) -> Finding {
        let role = Ok(Some(role));
        let identity = identity();
        let verdict = verdict(&identity, &role);
        check(&identity, &role, verdict.as_ref())
    }

    fn mend(finding: &Finding) -> &str {
        match &finding.verdict {
            Verdict::Failed { mend, .. } => mend,
            other => panic!("{other:?}"),
        }
    }

    const OURS: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"EksBootstrapIrsa","Effect":"Allow",
        "Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{"StringEquals":{
        "ISSUER:aud":"sts.amazonaws.com","ISSUER:sub":"SUB"}}}]}"#;

    fn statement(subject: &str) -> String {
        OURS.replace("SUB", subject)
    }

    #[test]
    fn who_owns_the_role_decides_the_mend() {
        let wrong = statement("system:serviceaccount:kube-system:aws-lb");
        let ours = found(trusts, role(&wrong, true));
        assert_eq!(ours.says, "the trust policy names another service account");
        assert_eq!(mend(&ours), "eks-bootstrap apply --only iam.role.lbc");
        let foreign = found(trusts, role(&wrong, false));
        assert_eq!(mend(&foreign), "eks-bootstrap apply --only iam.role.lbc --adopt iam.role.lbc");
    }

    #[test]
    fn a_statement_of_others_that_denies_is_taken_out_by_hand() {
        let deny = r#"{"Effect":"Deny","Action":"sts:*","Principal":"*"},"#;
        let trust = statement("system:serviceaccount:kube-system:aws-load-balancer-controller")
            .replace("\"Statement\":[", &format!("\"Statement\":[{deny}"));
        let finding = found(trusts, role(&trust, true));
        assert_eq!(finding.says, "a statement of the trust policy denies it");
        let command = mend(&finding);
        assert!(
            command.starts_with("aws iam update-assume-role-policy --role-name r --policy-document '{"),
            "{command}"
        );
        assert!(!command.contains("Deny"), "{command}");
    }

    #[test]
    fn broad_trust_is_a_warning_mended_where_apply_can() {
        let open = r#"{"Version":"2012-10-17","Statement":{"Sid":"EksBootstrapIrsa","Effect":"Allow",
            "Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"}}}"#;
        let finding = found(broad, role(open, true));
        assert_eq!(finding.severity(), Some(Severity::Warning));
        assert_eq!(mend(&finding), "eks-bootstrap apply --only iam.role.lbc");
        let foreign = found(broad, role(&open.replace("EksBootstrapIrsa", "Theirs"), true));
        let command = mend(&foreign);
        assert!(command.contains("EksBootstrapIrsa") && !command.contains("Theirs"), "{command}");
        let exact = statement("system:serviceaccount:kube-system:aws-load-balancer-controller");
        assert_eq!(found(broad, role(&exact, true)).severity(), None);
    }
}
