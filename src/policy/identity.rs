//! What identity policies and a permissions boundary let a principal do: one action on one resource in one context.
//!
//! The sandbox's AWS decides by it who may call what and answers `SimulatePrincipalPolicy` from it. An operator that is not
//! understood is an error and never a guess. Policies of resources, organisations and sessions have no place here.
//!
//! The order of decisions follows "Policy evaluation logic" of the IAM user guide: a `Deny` counts before everything, then
//! identity policy and boundary must both allow.

use std::collections::{BTreeMap, BTreeSet};

use super::operator::{Test, glob};
use super::{Document, Effect, Statement};

/// Condition keys with their values. Keys are case-insensitive, as in IAM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

/// One action on one resource.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// The action, such as `iam:CreateRole`.
    pub action: &'a str,
    /// The ARN, or `*` for actions that know no resources.
    pub resource: &'a str,
    /// What is known of the request besides.
    pub context: &'a Context,
}

/// What the policies say to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Allowed or not.
    pub decision: AccessDecision,
    /// The statements that decide; none for an implicit deny.
    pub matched: Vec<Matched>,
    /// Condition keys that the statements for this action and resource ask for and the request does not have.
    pub missing: BTreeSet<String>,
    /// Whether the boundary allows it; none without a boundary.
    pub within_boundary: Option<bool>,
}

/// Allowed or not, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessDecision {
    /// A statement allows it, the boundary too, and none denies it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// Nothing allows it.
    ImplicitDeny,
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// Index of the identity policy; one past the last is the boundary.
    pub policy: usize,
    /// Index of the statement in it.
    pub statement: usize,
}

/// A statement whose meaning is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`Statement[{statement}].Condition` has {what}, which is not evaluated")]
pub struct NotEvaluated {
    /// Index of the statement in its document.
    pub statement: usize,
    /// What is not understood.
    pub what: String,
}

impl Context {
    /// A request of which nothing is known.
    pub fn new() -> Context {
        Context::default()
    }

    /// Adds values of a key.
    pub fn add(&mut self, key: &str, values: impl IntoIterator<Item = impl Into<String>>) {
        self.0.entry(key.to_lowercase()).or_default().extend(values.into_iter().map(Into::into));
    }

    /// The values of a key; none where the request does not have it.
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(&key.to_lowercase()).map_or(&[], Vec::as_slice)
    }
}

/// Judges a request by the identity policies of a principal and the boundary that it may have.
///
/// # Errors
/// A statement for this action and resource that has a condition which is not understood.
pub fn evaluate(
    identity: &[&Document],
    boundary: Option<&Document>,
    request: AccessRequest<'_>,
) -> Result<Access, NotEvaluated> {
    let (mut allows, mut denies, mut missing) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (policy, document) in identity.iter().copied().chain(boundary).enumerate() {
        for (statement, content) in document.statements.iter().enumerate() {
            let holds = applies(document, content, request, &mut missing);
            if !holds.map_err(|what| NotEvaluated { statement, what })? {
                continue;
            }
            let list = if content.effect == Effect::Deny { &mut denies } else { &mut allows };
            list.push(Matched { policy, statement });
        }
    }
    let of_boundary = |matched: &Matched| matched.policy == identity.len();
    let within_boundary = boundary.map(|_| allows.iter().any(of_boundary) && !denies.iter().any(of_boundary));
    let granted = allows.iter().any(|matched| !of_boundary(matched));
    let (decision, matched) = if !denies.is_empty() {
        (AccessDecision::ExplicitDeny, denies)
    } else if granted && within_boundary != Some(false) {
        (AccessDecision::Allowed, allows)
    } else {
        (AccessDecision::ImplicitDeny, Vec::new())
    };
    Ok(Access { decision, matched, missing, within_boundary })
}

fn applies(
    document: &Document,
    statement: &Statement,
    request: AccessRequest<'_>,
    missing: &mut BTreeSet<String>,
) -> Result<bool, String> {
    let action = request.action.to_lowercase();
    let names = |pattern: &String| glob(&pattern.to_lowercase(), &action);
    if !listed(statement.action.as_deref(), statement.not_action.as_deref(), names) {
        return Ok(false);
    }
    let mut open = Ok(false);
    let on = |pattern: &String| match with_variables(document, pattern, request.context) {
        Ok(Some(pattern)) => glob(&pattern, request.resource),
        Ok(None) => {
            open = Ok(true);
            false
        }
        Err(what) => {
            open = Err(what);
            false
        }
    };
    let concerned = listed(statement.resource.as_deref(), statement.not_resource.as_deref(), on);
    // A `NotResource` with a variable that has no value says nothing about this request.
    if open? && statement.not_resource.is_some() || !concerned {
        return Ok(false);
    }
    let mut holds = true;
    for (operator, keys) in &statement.condition {
        let test = Test::parse(operator).ok_or_else(|| format!("the operator `{operator}`"))?;
        for (key, values) in keys {
            let actual: Vec<&str> = request.context.values(key).iter().map(String::as_str).collect();
            if actual.is_empty() {
                missing.insert(key.clone());
            }
            let mut wanted = Vec::new();
            for value in values {
                match with_variables(document, value, request.context)? {
                    Some(value) => wanted.push(value),
                    None => holds = false,
                }
            }
            holds &= test.holds(&actual, &wanted);
        }
    }
    Ok(holds)
}

/// Whether a list names it, or its complement does.
fn listed(named: Option<&[String]>, but: Option<&[String]>, mut matches: impl FnMut(&String) -> bool) -> bool {
    match (named, but) {
        (Some(named), _) => named.iter().any(matches),
        (None, Some(but)) => !but.iter().any(&mut matches),
        (None, None) => false,
    }
}

/// Puts the values of policy variables (`${aws:PrincipalTag/team}`) in their places; nothing where one has no value, because
/// such a statement applies to nothing.
fn with_variables(document: &Document, text: &str, context: &Context) -> Result<Option<String>, String> {
    // Before this version `${` is plain text.
    if document.effective_version() != "2012-10-17" {
        return Ok(Some(text.to_owned()));
    }
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let strange = || format!("the policy variable in `{text}`");
        let (variable, tail) = after.split_once('}').ok_or_else(strange)?;
        let (key, default) = match variable.split_once(',') {
            None => (variable.trim(), None),
            Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        };
        let value = match (context.values(key), default) {
            ([value], _) => value.as_str(),
            ([], Some(default)) => default,
            ([], None) if !matches!(key, "*" | "?" | "$") => return Ok(None),
            _ => return Err(strange()),
        };
        if value.contains(['*', '?']) {
            return Err(strange());
        }
        done.push_str(before);
        done.push_str(value);
        rest = tail;
    }
    Ok(Some(done + rest))
}

#[cfg(test)]
mod tests;
