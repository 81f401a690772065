//! A policy document and what two spellings of it have in common: [`Document::canonical`] and [`Document::grants`].
//!
//! The types keep everything that a text holds (order, spelling, `Sid`, unknown elements), so that a document can be
//! written back without loss. Reading, checking and writing stand in `reading.rs` and `writing.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::{MANAGED_POLICY_LIMIT, TRUST_POLICY_LIMIT};

/// Condition operators, each with its keys and their values.
pub type Condition = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// A policy or trust document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The language version; absent means `2008-10-17`.
    pub version: Option<String>,
    /// The document's own id, without meaning.
    pub id: Option<String>,
    /// The statements in the order of the text.
    pub statements: Vec<Statement>,
    /// Elements that this program does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

/// One statement of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Identifies the statement in its document; without meaning.
    pub sid: Option<String>,
    /// Whether the statement allows or denies.
    pub effect: Effect,
    /// Whom it concerns; trust policies only.
    pub principal: Option<Principals>,
    /// Whom it does not concern.
    pub not_principal: Option<Principals>,
    /// The actions it concerns.
    pub action: Option<Vec<String>>,
    /// The actions it does not concern.
    pub not_action: Option<Vec<String>>,
    /// The resources it concerns.
    pub resource: Option<Vec<String>>,
    /// The resources it does not concern.
    pub not_resource: Option<Vec<String>>,
    /// When it holds.
    pub condition: Condition,
    /// Elements that this program does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Refuses, whatever other statements grant.
    Deny,
}

/// Whom a statement concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principals {
    /// `"*"`.
    Everyone,
    /// Lists by type: `AWS`, `Service`, `Federated`, `CanonicalUser`.
    Named(BTreeMap<String, Vec<String>>),
}

/// The two kinds of documents that this program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A managed policy, attached to a role.
    Permissions,
    /// A role's trust policy.
    Trust,
}

/// The smallest part of a document with a meaning of its own: one action on one resource under one condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Whether it allows or denies.
    pub effect: Effect,
    /// One principal as `Type:value`; empty where the document names none.
    pub principal: String,
    /// One action in lower case, or a whole `NotAction` list.
    pub action: String,
    /// One resource, or a whole `NotResource` list; empty where the document names none.
    pub resource: String,
    /// The conditions as canonical JSON.
    pub condition: String,
    /// Unknown elements as canonical JSON.
    pub other: String,
}

impl Document {
    /// The document as minified JSON, in its own order and spelling: what is sent to IAM.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a document has only string keys")
    }

    /// The document as JSON for people to read.
    pub fn to_pretty_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a document has only string keys")
    }

    /// The document's canonical text: the same for every spelling, order and grouping into lists, without `Sid` and `Id`.
    pub fn canonical(&self) -> String {
        let statements: BTreeSet<String> =
            self.statements.iter().map(|statement| statement.canonical().to_string()).collect();
        let mut map: Map<String, Value> = self.other.clone().into_iter().collect();
        let statements = statements.iter().map(|text| serde_json::from_str(text).expect("written by us")).collect();
        map.insert("Statement".into(), Value::Array(statements));
        map.insert("Version".into(), self.effective_version().into());
        Value::Object(map).to_string()
    }

    /// The version that IAM applies.
    pub fn effective_version(&self) -> &str {
        self.version.as_deref().unwrap_or("2008-10-17")
    }

    /// The document's size as IAM counts it against its limits: whitespace is free.
    pub fn minified_len(&self) -> usize {
        counted_len(&self.to_json())
    }

    /// Everything the document grants and denies, action by action, resource by resource, condition by condition.
    pub fn grants(&self) -> BTreeSet<Grant> {
        self.statements.iter().flat_map(Statement::grants).collect()
    }
}

impl Statement {
    /// The statement's canonical form, without `Sid`: sorted lists, lower-case actions and condition keys.
    fn canonical(&self) -> Value {
        let mut map: Map<String, Value> = self.other.clone().into_iter().collect();
        map.insert("Effect".into(), self.effect.to_string().into());
        let lists = [
            ("Action", lowered(self.action.as_ref())),
            ("NotAction", lowered(self.not_action.as_ref())),
            ("Resource", self.resource.clone()),
            ("NotResource", self.not_resource.clone()),
        ];
        for (name, list) in lists {
            if let Some(list) = list {
                map.insert(name.into(), sorted(&list));
            }
        }
        for (name, principals) in [("Principal", &self.principal), ("NotPrincipal", &self.not_principal)] {
            if let Some(principals) = principals {
                map.insert(name.into(), principals.canonical());
            }
        }
        if !self.condition.is_empty() {
            map.insert("Condition".into(), self.canonical_condition());
        }
        Value::Object(map)
    }

    /// The conditions in canonical form. Condition keys are case-insensitive in IAM, operators and values are not.
    fn canonical_condition(&self) -> Value {
        let keys = |keys: &BTreeMap<String, Vec<String>>| -> Map<String, Value> {
            keys.iter().map(|(key, values)| (key.to_lowercase(), sorted(values))).collect()
        };
        self.condition
            .iter()
            .map(|(operator, tests)| (operator.clone(), Value::Object(keys(tests))))
            .collect::<Map<_, _>>()
            .into()
    }

    /// What this statement alone grants or denies.
    pub fn grants(&self) -> BTreeSet<Grant> {
        let actions = alternatives(lowered(self.action.as_ref()), lowered(self.not_action.as_ref()), "NotAction");
        let resources = alternatives(self.resource.clone(), self.not_resource.clone(), "NotResource");
        let principals = match (&self.principal, &self.not_principal) {
            (Some(principals), _) => principals.each(),
            (None, Some(principals)) => BTreeSet::from([format!("NotPrincipal{}", principals.canonical())]),
            (None, None) => BTreeSet::from([String::new()]),
        };
        let condition = self.canonical_condition().to_string();
        let other = Value::Object(self.other.clone().into_iter().collect()).to_string();
        let mut grants = BTreeSet::new();
        for principal in &principals {
            for action in &actions {
                for resource in &resources {
                    grants.insert(Grant {
                        effect: self.effect,
                        principal: principal.clone(),
                        action: action.clone(),
                        resource: resource.clone(),
                        condition: condition.clone(),
                        other: other.clone(),
                    });
                }
            }
        }
        grants
    }
}

impl Principals {
    /// Each principal on its own, as `Type:value`; everyone is `*`.
    pub(crate) fn each(&self) -> BTreeSet<String> {
        match self {
            Self::Everyone => BTreeSet::from(["*".into()]),
            Self::Named(types) => {
                let each =
                    types.iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")));
                // IAM documents `"*"` and `{"AWS": "*"}` as the same.
                each.map(|principal| if principal == "AWS:*" { "*".into() } else { principal }).collect()
            }
        }
    }

    fn canonical(&self) -> Value {
        match self {
            Self::Named(types) if self.each() != Self::Everyone.each() => {
                types.iter().map(|(kind, names)| (kind.clone(), sorted(names))).collect::<Map<_, _>>().into()
            }
            Self::Everyone | Self::Named(_) => "*".into(),
        }
    }
}

impl Kind {
    /// How many characters IAM takes by default, whitespace not counted.
    pub const fn limit(self) -> usize {
        match self {
            Self::Permissions => MANAGED_POLICY_LIMIT,
            Self::Trust => TRUST_POLICY_LIMIT,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Permissions => "managed",
            Self::Trust => "trust",
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        })
    }
}

/// How many characters of a text IAM counts against its limits: all but the whitespace between JSON tokens.
pub fn counted_len(text: &str) -> usize {
    let (mut counted, mut in_string, mut escaped) = (0, false, false);
    for letter in text.chars() {
        if in_string || !letter.is_whitespace() {
            counted += 1;
        }
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    counted
}

/// Action names are case-insensitive in IAM.
fn lowered(list: Option<&Vec<String>>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(|name| name.to_lowercase()).collect())
}

fn sorted(list: &[String]) -> Value {
    list.iter().collect::<BTreeSet<_>>().into_iter().map(|item| Value::from(item.as_str())).collect()
}

/// A positive list can be taken apart; the complement of a list cannot.
fn alternatives(positive: Option<Vec<String>>, negative: Option<Vec<String>>, name: &str) -> Vec<String> {
    match (positive, negative) {
        (Some(list), _) => list,
        (None, Some(list)) => vec![format!("{name}{}", sorted(&list))],
        (None, None) => vec![String::new()],
    }
}
