//! Whether a trust policy lets a service account's token assume its role and, if not, which clause refuses.
//!
//! `verify` and `plan` show the clauses to people; the sandbox's STS grants and refuses by the same verdict. Only
//! `sts:AssumeRoleWithWebIdentity` is judged. What cannot be judged from a token (an operator that is not understood, a
//! condition on the caller's network, a policy variable) counts as refused and says so: it is never taken for granted.
//!
//! Operators and missing keys follow "IAM JSON policy elements: Condition operators" of the IAM user guide.

use std::collections::BTreeSet;

use super::operator::{Comparison, Test, glob};
use super::trust::bare_issuer;
use super::verdict::{BroadTrust, Clause, ClauseKind, Decision, TrustRequest, TrustVerdict};
use super::{Document, Effect, Principals, Statement, WEB_IDENTITY_ACTION};

/// Judges a trust policy for one token.
pub fn evaluate_trust(document: &Document, request: &TrustRequest) -> TrustVerdict {
    let mut allowing = None;
    let mut denials = Vec::new();
    let mut nearest: (usize, Vec<Clause>) = (usize::MAX, Vec::new());
    for (index, statement) in document.statements.iter().enumerate() {
        let clauses = failing_clauses(statement, index, request);
        match statement.effect {
            Effect::Deny => denials.extend(denial(statement, index, &clauses)),
            Effect::Allow if clauses.is_empty() => allowing = allowing.or(Some(index)),
            Effect::Allow => {
                let distance = clauses.iter().map(|clause| clause.kind.distance()).sum();
                if distance < nearest.0 {
                    nearest = (distance, clauses);
                } else if distance == nearest.0 {
                    nearest.1.extend(clauses);
                }
            }
        }
    }
    let decision = match allowing {
        _ if !denials.is_empty() => Decision::Denied { clauses: denials },
        Some(statement) => Decision::Allowed { statement },
        None if nearest.1.is_empty() => {
            let expected = format!("a statement that allows {WEB_IDENTITY_ACTION} to {}", request.provider_arn);
            let observed = "no statement that allows anything".into();
            Decision::Denied {
                clauses: vec![Clause { statement: None, kind: ClauseKind::NoStatement, observed, expected }],
            }
        }
        None => Decision::Denied { clauses: nearest.1 },
    };
    TrustVerdict { decision, broad: broad_statements(document, request) }
}

/// A `Deny` counts when all of it holds, and also when what is left open cannot be judged from the token.
fn denial(statement: &Statement, index: usize, clauses: &[Clause]) -> Option<Clause> {
    let open = |clause: &Clause| matches!(clause.kind, ClauseKind::UnknownKey | ClauseKind::NotUnderstood);
    if !clauses.iter().all(open) {
        return None;
    }
    let name =
        statement.sid.as_deref().filter(|sid| !sid.is_empty()).map_or_else(String::new, |sid| format!(" `{sid}`"));
    let observed = clauses.first().map_or_else(
        || format!("statement{name} denies it"),
        |clause| {
            format!("statement{name} denies it under a condition that cannot be judged here ({})", clause.observed)
        },
    );
    let expected = "no statement that denies it".into();
    Some(Clause { statement: Some(index), kind: ClauseKind::ExplicitDeny, observed, expected })
}

fn failing_clauses(statement: &Statement, index: usize, request: &TrustRequest) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let mut fail = |kind, observed: String, expected: String| {
        clauses.push(Clause { statement: Some(index), kind, observed, expected });
    };
    if let Some((kind, observed)) = principal_mismatch(statement, &request.provider_arn) {
        fail(kind, observed, request.provider_arn.clone());
    }
    if !concerns_web_identity(statement) {
        let names = statement.action.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        let observed = if names.is_empty() { format!("all actions but {WEB_IDENTITY_ACTION}") } else { names };
        fail(ClauseKind::Action, observed, WEB_IDENTITY_ACTION.into());
    }
    for (operator, keys) in &statement.condition {
        for (key, values) in keys {
            if let Some((kind, observed, expected)) = condition_failure(operator, key, values, request) {
                fail(kind, observed, expected);
            }
        }
    }
    clauses
}

fn concerns_web_identity(statement: &Statement) -> bool {
    let wanted = WEB_IDENTITY_ACTION.to_lowercase();
    let listed = |list: &[String]| list.iter().any(|pattern| glob(&pattern.to_lowercase(), &wanted));
    match (&statement.action, &statement.not_action) {
        (Some(list), _) => listed(list),
        (None, Some(list)) => !listed(list),
        (None, None) => false,
    }
}

fn principal_mismatch(statement: &Statement, provider_arn: &str) -> Option<(ClauseKind, String)> {
    let federated = format!("Federated:{provider_arn}");
    let matches =
        |principals: &Principals| principals.each().iter().any(|each| *each == federated || is_everyone(each));
    if let Some(principals) = &statement.not_principal {
        return matches(principals).then(|| (ClauseKind::OtherPrincipal, format!("everyone but {provider_arn}")));
    }
    let Some(principals) = &statement.principal else {
        return Some((ClauseKind::OtherPrincipal, "no principal".into()));
    };
    if matches(principals) {
        return None;
    }
    let each = principals.each();
    let kind = if each.iter().any(|each| each.starts_with("Federated:")) {
        ClauseKind::OtherProvider
    } else if each.iter().any(|each| each.starts_with("Service:")) {
        ClauseKind::ServicePrincipal
    } else {
        ClauseKind::OtherPrincipal
    };
    let names: Vec<&str> =
        each.iter().map(|each| each.split_once(':').map_or(each.as_str(), |(_, name)| name)).collect();
    Some((kind, names.join(", ")))
}

fn is_everyone(principal: &str) -> bool {
    matches!(principal, "*" | "Federated:*")
}

/// A claim of the token that a condition key can ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Audience,
    Subject,
}

/// Whose condition key it is.
enum Key {
    Ours(Claim),
    Prefixed(Claim),
    OtherIssuer,
    Unknown,
}

fn key_of(key: &str, request: &TrustRequest) -> Key {
    let key = key.to_lowercase();
    let issuer = bare_issuer(&request.issuer).to_lowercase();
    let Some((before, claim)) = key.rsplit_once(':') else { return Key::Unknown };
    let claim = match claim {
        "aud" => Claim::Audience,
        "sub" => Claim::Subject,
        _ => return Key::Unknown,
    };
    if before == issuer {
        Key::Ours(claim)
    } else if before.strip_suffix(&issuer).is_some_and(|prefix| prefix.ends_with('/')) {
        Key::Prefixed(claim)
    } else {
        Key::OtherIssuer
    }
}

type Failure = (ClauseKind, String, String);

/// Why a condition does not hold for this token.
fn condition_failure(operator: &str, key: &str, values: &[String], request: &TrustRequest) -> Option<Failure> {
    let issuer = bare_issuer(&request.issuer);
    let Some(test) = Test::parse(operator).filter(|test| test.on_strings()) else {
        let expected = "an operator on strings, such as StringEquals".into();
        return Some((ClauseKind::NotUnderstood, format!("operator `{operator}` on `{key}`"), expected));
    };
    let (claim, prefixed) = match key_of(key, request) {
        Key::Ours(claim) => (Some(claim), false),
        Key::Prefixed(claim) => (Some(claim), true),
        Key::OtherIssuer => (None, false),
        Key::Unknown => {
            let expected = format!("conditions on {issuer}:aud and {issuer}:sub only");
            return Some((ClauseKind::UnknownKey, format!("`{key}`, which a token does not tell"), expected));
        }
    };
    let claim_value = claim.map(|claim| match claim {
        Claim::Audience => request.audience.as_str(),
        Claim::Subject => request.subject.as_str(),
    });
    if let Some(variable) = values.iter().find(|value| value.contains("${")) {
        let expected = claim_value.unwrap_or("a plain value").to_owned();
        return Some((ClauseKind::NotUnderstood, format!("policy variable in `{variable}`"), expected));
    }
    // A misspelled key is a key that the token does not have.
    let present = claim_value.filter(|_| !prefixed);
    if test.holds(present.as_slice(), values) {
        return None;
    }
    let observed = values.join(", ");
    Some(match (claim, claim_value) {
        (Some(claim), Some(_)) if prefixed => {
            let name = if claim == Claim::Audience { "aud" } else { "sub" };
            (ClauseKind::KeyPrefix, key.to_owned(), format!("{issuer}:{name}"))
        }
        (Some(_), Some(value)) if test.negated || test.comparison == Comparison::Null => {
            (ClauseKind::Condition, format!("{operator} {observed}"), format!("a condition that `{value}` meets"))
        }
        (Some(Claim::Subject), Some(value)) if test.literal() && values.iter().any(|text| glob(text, value)) => {
            (ClauseKind::LiteralWildcard, format!("{operator} {observed}"), value.to_owned())
        }
        (Some(Claim::Subject), Some(value)) => (ClauseKind::Subject, observed, value.to_owned()),
        (Some(Claim::Audience), Some(value)) => (ClauseKind::Audience, observed, value.to_owned()),
        _ => (ClauseKind::OtherIssuer, key.to_owned(), format!("a condition key of {issuer}")),
    })
}

/// Looks at every statement that lets in web identities of this provider.
fn broad_statements(document: &Document, request: &TrustRequest) -> Vec<BroadTrust> {
    let mut broad = Vec::new();
    for (statement, content) in document.statements.iter().enumerate() {
        let concerns = content.effect == Effect::Allow
            && concerns_web_identity(content)
            && principal_mismatch(content, &request.provider_arn).is_none();
        if !concerns {
            continue;
        }
        let everyone =
            content.principal.as_ref().is_none_or(|principals| principals.each().iter().any(|each| is_everyone(each)));
        if everyone {
            broad.push(BroadTrust::AnyPrincipal { statement });
        }
        let (subjects, audiences) =
            (limits(content, Claim::Subject, request), limits(content, Claim::Audience, request));
        match subjects {
            None => broad.push(BroadTrust::NoSubject { statement }),
            Some(patterns) => {
                broad.extend(patterns.into_iter().map(|pattern| BroadTrust::WildcardSubject { statement, pattern }));
            }
        }
        if audiences.is_none() {
            broad.push(BroadTrust::NoAudience { statement });
        }
    }
    broad
}

/// The wildcards that a statement allows for a claim; none at all where it does not limit the claim.
///
/// Several conditions on one claim must all hold, so one without wildcards is enough.
fn limits(statement: &Statement, claim: Claim, request: &TrustRequest) -> Option<BTreeSet<String>> {
    let mut found: Option<BTreeSet<String>> = None;
    for (operator, keys) in &statement.condition {
        let Some(test) = Test::parse(operator)
            .filter(|test| test.on_strings() && !test.negated && test.comparison != Comparison::Null)
        else {
            continue;
        };
        for (key, values) in keys {
            if !matches!(key_of(key, request), Key::Ours(ours) if ours == claim) {
                continue;
            }
            let wild = |value: &&String| test.comparison == Comparison::Like && value.contains(['*', '?']);
            let wildcards: BTreeSet<String> = values.iter().filter(wild).cloned().collect();
            found = Some(match found {
                Some(earlier) if earlier.len() <= wildcards.len() => earlier,
                _ => wildcards,
            });
        }
    }
    found
}
