//! What a trust document means: may this principal assume the role?
//!
//! The product has a reading of its own in `crate::policy`; this one is written apart from it on purpose, so that the sandbox does not
//! believe a document only because the product does. What it cannot evaluate it refuses instead of guessing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::document::{principals, strings};

/// Who asks.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// A token of this OIDC provider (its ARN).
    Federated(String),
    /// A service of AWS.
    Service(&'static str),
    /// A caller of AWS with credentials.
    Caller {
        /// ARN of the caller: a user or a session.
        arn: String,
        /// The caller's account.
        account: String,
        /// ARN of the role behind a session.
        role: Option<String>,
    },
}

/// One question to a trust document.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) action: String,
    pub(super) who: Who,
    /// Condition keys in lower case and their values.
    pub(super) keys: BTreeMap<String, Vec<String>>,
}

/// Answers whether the document lets the principal do the action; an error names what cannot be evaluated.
pub(super) fn allows(document: &str, question: &Question) -> Result<bool, String> {
    let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.clone(),
        statement => vec![statement.clone()],
    };
    let mut allowed = false;
    for statement in &statements {
        let statement = statement.as_object().ok_or("a statement is no object")?;
        let denies = statement.get("Effect").and_then(Value::as_str) == Some("Deny");
        if !applies(statement, question, denies)? {
            continue;
        }
        if denies {
            return Ok(false);
        }
        allowed = true;
    }
    Ok(allowed)
}

fn applies(statement: &Map<String, Value>, question: &Question, denies: bool) -> Result<bool, String> {
    if let Some(key) = ["NotAction", "NotPrincipal"].iter().find(|key| statement.contains_key(**key)) {
        return Err(format!("the element {key} of a trust document"));
    }
    let actions = statement.get("Action").and_then(strings).unwrap_or_default();
    let action = question.action.to_ascii_lowercase();
    if !actions.iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), &action)) {
        return Ok(false);
    }
    let named = principals(statement).map_err(|error| error.message)?;
    let who = &question.who;
    if !named.iter().any(|(kind, name)| is_principal(kind, name, who) || (denies && is_everyone(kind, name, who))) {
        return Ok(false);
    }
    let Some(conditions) = statement.get("Condition").and_then(Value::as_object) else { return Ok(true) };
    for (operator, tests) in conditions {
        for (key, expected) in tests.as_object().ok_or("a condition is no object")? {
            if !holds(operator, key, expected, question)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A denial for everyone is for whoever comes, by whatever way; for all federated principals, for each token. That such a statement
/// lets in everyone too is not taken for granted: who gets in is named.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
fn is_everyone(kind: &str, name: &str, who: &Who) -> bool {
    name == "*" && (kind == "AWS" || (kind == "Federated" && matches!(who, Who::Federated(_))))
}

fn is_principal(kind: &str, name: &str, who: &Who) -> bool {
    match (kind, who) {
        ("Federated", Who::Federated(provider)) => name == provider,
        ("Service", Who::Service(service)) => name == *service,
        ("AWS", Who::Caller { arn, account, role }) => {
            let root = name.split(':').nth(4) == Some(account) && name.ends_with(":root");
            name == "*" || name == arn || name == account || root || role.as_deref() == Some(name)
        }
        _ => false,
    }
}

fn holds(operator: &str, key: &str, expected: &Value, question: &Question) -> Result<bool, String> {
    let (set, bare) = match operator.split_once(':') {
        Some((set, bare)) => (Some(set), bare),
        None => (None, operator),
    };
    let (bare, if_exists) = bare.strip_suffix("IfExists").map_or((bare, false), |bare| (bare, true));
    let actual = question.keys.get(&key.to_ascii_lowercase());
    let expected: Vec<String> = match expected {
        Value::Array(items) => items.iter().map(scalar).collect(),
        item => vec![scalar(item)],
    };
    if bare == "Null" {
        return Ok(expected.iter().any(|value| (value == "true") == actual.is_none()));
    }
    let negated = bare.contains("Not");
    let compare: fn(&str, &str) -> bool = match bare.replace("Not", "").as_str() {
        "StringEquals" => |pattern, value| pattern == value,
        "StringEqualsIgnoreCase" => |pattern, value| pattern.eq_ignore_ascii_case(value),
        "StringLike" | "ArnEquals" | "ArnLike" => glob,
        "Bool" if !negated => |pattern, value| pattern.eq_ignore_ascii_case(value),
        _ => return Err(format!("the condition operator {operator}")),
    };
    let one = |value: &String| expected.iter().any(|pattern| compare(pattern, value)) != negated;
    match (set, actual) {
        (None, None) => Ok(if_exists || negated),
        (None, Some(values)) if negated => Ok(values.iter().all(one)),
        (None, Some(values)) => Ok(values.iter().any(one)),
        (Some("ForAnyValue"), values) => Ok(values.map_or(if_exists, |values| values.iter().any(one))),
        (Some("ForAllValues"), values) => Ok(values.is_none_or(|values| values.iter().all(one))),
        (Some(_), _) => Err(format!("the condition operator {operator}")),
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Matches a pattern with `*` and `?` against the whole text.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(condition: &Value, sub: &str) -> Result<bool, String> {
        let provider = "arn:aws:iam::111122223333:oidc-provider/issuer/id/A";
        let document = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Federated": provider},
            "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition}]});
        let keys = [("issuer/id/a:sub", sub), ("issuer/id/a:aud", "sts.amazonaws.com")];
        let question = Question {
            action: "sts:AssumeRoleWithWebIdentity".into(),
            who: Who::Federated(provider.into()),
            keys: keys.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect(),
        };
        allows(&document.to_string(), &question)
    }

    #[test]
    fn conditions_decide() {
        let sub = "system:serviceaccount:kube-system:a";
        let table = [
            (json!({}), true),
            (json!({"StringEquals": {"issuer/id/A:sub": sub, "issuer/id/A:aud": "sts.amazonaws.com"}}), true),
            (json!({"StringEquals": {"issuer/id/A:sub": [sub, "other"]}}), true),
            (json!({"StringEquals": {"issuer/id/A:sub": "system:serviceaccount:kube-system:*"}}), false),
            (json!({"StringLike": {"issuer/id/A:sub": "system:serviceaccount:kube-system:?"}}), true),
            (json!({"StringNotEquals": {"issuer/id/A:sub": sub}}), false),
            (json!({"StringNotLike": {"issuer/id/A:sub": "*:other:*"}}), true),
            (json!({"StringEquals": {"issuer/id/B:sub": sub}}), false),
            (json!({"StringEqualsIfExists": {"issuer/id/B:sub": sub}}), true),
            (json!({"ForAnyValue:StringEquals": {"issuer/id/A:aud": ["x", "sts.amazonaws.com"]}}), true),
            (json!({"ForAllValues:StringLike": {"issuer/id/A:aud": "sts.*"}}), true),
            (json!({"Null": {"issuer/id/A:sub": "true"}}), false),
            (json!({"Null": {"issuer/id/B:sub": "true"}}), true),
        ];
        for (condition, expected) in table {
            assert_eq!(ask(&condition, sub), Ok(expected), "{condition}");
        }
        assert!(ask(&json!({"DateLessThan": {"aws:CurrentTime": "2020"}}), sub).is_err());
    }

    #[test]
    fn a_denial_for_everyone_is_for_every_way_in() {
        let provider = "arn:aws:iam::111122223333:oidc-provider/issuer/id/A";
        let ways = [
            (Who::Federated(provider.into()), json!({"Federated": provider})),
            (Who::Service("pods.eks.amazonaws.com"), json!({"Service": "pods.eks.amazonaws.com"})),
        ];
        let lets_in = |who: &Who, allowed: &Value, other: Value| {
            let allow = json!({"Effect": "Allow", "Principal": allowed, "Action": "sts:*"});
            let document = json!({"Version": "2012-10-17", "Statement": [allow, other]}).to_string();
            let question = Question { action: "sts:AssumeRole".into(), who: who.clone(), keys: BTreeMap::new() };
            allows(&document, &question)
        };
        let deny = |principal: Value| json!({"Effect": "Deny", "Principal": principal, "Action": "sts:*"});
        for (who, allowed) in &ways {
            assert_eq!(
                lets_in(who, allowed, deny(json!({"AWS": "arn:aws:iam::111122223333:root"}))),
                Ok(true),
                "{who:?}"
            );
            for everyone in [json!("*"), json!({"AWS": "*"}), json!({"AWS": ["*"]})] {
                assert_eq!(lets_in(who, allowed, deny(everyone.clone())), Ok(false), "{who:?} {everyone}");
            }
            let federated = matches!(who, Who::Federated(_));
            assert_eq!(lets_in(who, allowed, deny(json!({"Federated": "*"}))), Ok(!federated), "{who:?}");
            // Nobody gets in by an Allow for everyone.
            let open = json!({"Effect": "Allow", "Principal": "*", "Action": "sts:*"});
            assert_eq!(lets_in(who, &json!({"Service": "ec2.amazonaws.com"}), open), Ok(false), "{who:?}");
        }
    }

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("iam:Create*", "iam:CreateRole", true),
            ("?", "", false),
            ("*a*b", "xaybzb", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
