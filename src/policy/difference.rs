//! What differs between two documents, in pieces that a person can read.
//!
//! Documents are compared grant by grant, so regrouping statements is no difference. Each grant that was added or removed
//! is then shown at the statement it belongs to, folded to one line per action or resource, or per statement where the
//! whole statement is new or gone. Used by the plan; the numbers in its one-line summary come from [`action_counts`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Condition, Document, Grant, Statement};

/// One difference: where, and what stood and stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDifference {
    /// The place, such as `Statement[4].Action`; the index is that of the new document unless the statement is gone.
    pub path: String,
    /// What is gone.
    pub before: Option<String>,
    /// What is new.
    pub after: Option<String>,
}

/// How many actions gained and lost a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionCounts {
    /// Actions with a grant that did not exist before.
    pub added: usize,
    /// Actions with a grant that no longer exists.
    pub removed: usize,
}

/// Says whether two documents grant and deny the same.
pub fn same_meaning(a: &Document, b: &Document) -> bool {
    a.effective_version() == b.effective_version() && a.other == b.other && a.grants() == b.grants()
}

/// Counts the actions whose grants differ.
pub fn action_counts(before: &Document, after: &Document) -> ActionCounts {
    let (before, after) = (before.grants(), after.grants());
    let actions = |from: &BTreeSet<Grant>, to: &BTreeSet<Grant>| {
        to.difference(from).map(|grant| grant.action.as_str()).collect::<BTreeSet<_>>().len()
    };
    ActionCounts { added: actions(&before, &after), removed: actions(&after, &before) }
}

/// Lists what differs; empty exactly where [`same_meaning`] holds.
pub fn diff(before: &Document, after: &Document) -> Vec<PolicyDifference> {
    let mut differences = Vec::new();
    if before.effective_version() != after.effective_version() {
        differences.push(changed("Version", before.effective_version(), after.effective_version()));
    }
    for name in before.other.keys().chain(after.other.keys()).collect::<BTreeSet<_>>() {
        let text = |document: &Document| document.other.get(name).map(ToString::to_string);
        let (before, after) = (text(before), text(after));
        if before != after {
            differences.push(PolicyDifference { path: name.clone(), before, after });
        }
    }

    let (had, has) = (before.grants(), after.grants());
    let mut gone = shares(before, &had, &has);
    let mut new = shares(after, &has, &had);
    for (index, share) in new.iter_mut().enumerate() {
        if !share.whole() {
            continue;
        }
        let counterpart =
            gone.iter_mut().filter(|other| other.whole()).find(|other| share.edited_from(other.statement));
        if let Some(counterpart) = counterpart {
            edited(counterpart.statement, share.statement, index, &mut differences);
            counterpart.grants.clear();
            share.grants.clear();
        }
    }
    for (index, share) in gone.iter().enumerate() {
        let place = if share.whole() { index } else { share.place_in(after).unwrap_or(index) };
        share.describe(place, &mut differences, |path, text| PolicyDifference {
            path,
            before: Some(text),
            after: None,
        });
    }
    for (index, share) in new.iter().enumerate() {
        share.describe(index, &mut differences, |path, text| PolicyDifference {
            path,
            before: None,
            after: Some(text),
        });
    }
    differences
}

/// One element of a grant.
type Facet = fn(&Grant) -> &str;

/// The part of one statement's grants that the other document lacks.
struct Share<'a> {
    statement: &'a Statement,
    all: BTreeSet<Grant>,
    grants: BTreeSet<Grant>,
}

/// Gives each grant of `mine` that `theirs` lacks to the first statement that holds it, so that none is shown twice.
fn shares<'a>(document: &'a Document, mine: &BTreeSet<Grant>, theirs: &BTreeSet<Grant>) -> Vec<Share<'a>> {
    let mut left: BTreeSet<Grant> = mine.difference(theirs).cloned().collect();
    let share = |statement: &'a Statement| {
        let all = statement.grants();
        let grants: BTreeSet<Grant> = all.intersection(&left).cloned().collect();
        left.retain(|grant| !grants.contains(grant));
        Share { statement, all, grants }
    };
    document.statements.iter().map(share).collect()
}

impl Share<'_> {
    fn whole(&self) -> bool {
        !self.grants.is_empty() && self.grants == self.all
    }

    /// An edit of a statement: the same `Sid`, or all elements but one in common.
    fn edited_from(&self, before: &Statement) -> bool {
        let after = self.statement;
        let same_sid = after.sid.as_ref().is_some_and(|sid| !sid.is_empty() && before.sid.as_ref() == Some(sid));
        let elements = Element::ALL.iter().filter(|element| element.items(before) != element.items(after)).count();
        let rest =
            [before.effect != after.effect, before.other != after.other, conditions(before) != conditions(after)];
        same_sid || elements + rest.iter().filter(|differs| **differs).count() == 1
    }

    /// The statement of the other document that holds most of what this statement kept.
    fn place_in(&self, document: &Document) -> Option<usize> {
        let common = |statement: &Statement| statement.grants().intersection(&self.all).count();
        let places = document.statements.iter().map(common).enumerate().filter(|(_, common)| *common > 0);
        places.max_by_key(|(index, common)| (*common, usize::MAX - index)).map(|(index, _)| index)
    }

    fn describe(
        &self,
        place: usize,
        differences: &mut Vec<PolicyDifference>,
        difference: impl Fn(String, String) -> PolicyDifference,
    ) {
        let path = format!("Statement[{place}]");
        if self.whole() {
            differences.push(difference(path, sentence(self.statement)));
            return;
        }
        let mut left = self.grants.clone();
        let facets: [(&str, Facet); 3] = [
            ("Action", |grant| &grant.action),
            ("Resource", |grant| &grant.resource),
            ("Principal", |grant| &grant.principal),
        ];
        for (name, facet) in facets {
            let values: BTreeSet<String> = left.iter().map(|grant| facet(grant).to_owned()).collect();
            for value in values {
                let complete =
                    self.all.iter().filter(|grant| facet(grant) == value).all(|grant| self.grants.contains(grant));
                if complete {
                    left.retain(|grant| facet(grant) != value);
                    differences.push(difference(format!("{path}.{name}"), self.spelled(&value)));
                }
            }
        }
        for grant in left {
            let text = format!("{} {} on {}", grant.effect, self.spelled(&grant.action), grant.resource);
            differences.push(difference(path.clone(), text));
        }
    }

    /// Action names are compared in lower case and shown as written.
    fn spelled(&self, text: &str) -> String {
        let mut names = self.statement.action.iter().flatten();
        names.find(|name| name.to_lowercase() == text).map_or_else(|| text.to_owned(), Clone::clone)
    }
}

/// The elements of a statement that are lists.
#[derive(Clone, Copy)]
enum Element {
    Principal,
    NotPrincipal,
    Action,
    NotAction,
    Resource,
    NotResource,
}

impl Element {
    const ALL: [Self; 6] =
        [Self::Principal, Self::NotPrincipal, Self::Action, Self::NotAction, Self::Resource, Self::NotResource];

    const fn name(self) -> &'static str {
        match self {
            Self::Principal => "Principal",
            Self::NotPrincipal => "NotPrincipal",
            Self::Action => "Action",
            Self::NotAction => "NotAction",
            Self::Resource => "Resource",
            Self::NotResource => "NotResource",
        }
    }

    /// What identifies the items.
    fn items(self, statement: &Statement) -> BTreeSet<String> {
        self.spellings(statement).into_keys().collect()
    }

    /// The items by what identifies them, each with its spelling.
    fn spellings(self, statement: &Statement) -> BTreeMap<String, String> {
        let names = |list: &Option<Vec<String>>| -> BTreeMap<String, String> {
            list.iter().flatten().map(|name| (name.to_lowercase(), name.clone())).collect()
        };
        let exact = |list: &Option<Vec<String>>| -> BTreeMap<String, String> {
            list.iter().flatten().map(|name| (name.clone(), name.clone())).collect()
        };
        let principals = |principals: &Option<super::Principals>| -> BTreeMap<String, String> {
            principals.iter().flat_map(super::Principals::each).map(|name| (name.clone(), name)).collect()
        };
        match self {
            Self::Principal => principals(&statement.principal),
            Self::NotPrincipal => principals(&statement.not_principal),
            Self::Action => names(&statement.action),
            Self::NotAction => names(&statement.not_action),
            Self::Resource => exact(&statement.resource),
            Self::NotResource => exact(&statement.not_resource),
        }
    }
}

/// One statement became another: element by element, condition key by condition key.
fn edited(before: &Statement, after: &Statement, index: usize, differences: &mut Vec<PolicyDifference>) {
    let path = format!("Statement[{index}]");
    if before.effect != after.effect {
        differences.push(changed(&format!("{path}.Effect"), &before.effect.to_string(), &after.effect.to_string()));
    }
    for element in Element::ALL {
        let (had, has) = (element.spellings(before), element.spellings(after));
        let path = format!("{path}.{}", element.name());
        let gone: Vec<&String> = had.iter().filter(|(key, _)| !has.contains_key(*key)).map(|(_, name)| name).collect();
        let new: Vec<&String> = has.iter().filter(|(key, _)| !had.contains_key(*key)).map(|(_, name)| name).collect();
        if let ([gone], [new]) = (gone.as_slice(), new.as_slice()) {
            differences.push(changed(&path, gone, new));
            continue;
        }
        for name in gone {
            differences.push(PolicyDifference { path: path.clone(), before: Some(name.clone()), after: None });
        }
        for name in new {
            differences.push(PolicyDifference { path: path.clone(), before: None, after: Some(name.clone()) });
        }
    }
    let (had, has) = (conditions(before), conditions(after));
    for key in had.keys().chain(has.keys()).collect::<BTreeSet<_>>() {
        let text = |conditions: &BTreeMap<(String, String), BTreeSet<String>>| {
            conditions.get(key).map(|values| values.iter().cloned().collect::<Vec<_>>().join(", "))
        };
        let (before, after) = (text(&had), text(&has));
        if before != after {
            differences.push(PolicyDifference { path: format!("{path}.Condition.{}.{}", key.0, key.1), before, after });
        }
    }
    for name in before.other.keys().chain(after.other.keys()).collect::<BTreeSet<_>>() {
        let text = |statement: &Statement| statement.other.get(name).map(ToString::to_string);
        if text(before) != text(after) {
            differences.push(PolicyDifference {
                path: format!("{path}.{name}"),
                before: text(before),
                after: text(after),
            });
        }
    }
}

fn conditions(statement: &Statement) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut flat = BTreeMap::new();
    for (operator, keys) in &statement.condition {
        for (key, values) in keys {
            flat.insert((operator.clone(), key.to_lowercase()), values.iter().cloned().collect());
        }
    }
    flat
}

/// A statement in one line.
fn sentence(statement: &Statement) -> String {
    let listed = |element: Element| -> Option<String> {
        let names: Vec<String> = element.spellings(statement).into_values().collect();
        match names.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [one, two] => Some(format!("{one}, {two}")),
            [one, .., last] => Some(format!("{one} .. {last} ({} in all)", names.len())),
        }
    };
    let mut text = statement.effect.to_string();
    let parts = [
        (" ", Element::Action),
        (" all actions but ", Element::NotAction),
        (" on ", Element::Resource),
        (" on all resources but ", Element::NotResource),
        (" to ", Element::Principal),
        (" to all but ", Element::NotPrincipal),
    ];
    for (word, element) in parts {
        if let Some(names) = listed(element) {
            text.push_str(word);
            text.push_str(&names);
        }
    }
    if !statement.condition.is_empty() {
        text.push_str(" if ");
        text.push_str(&condition_text(&statement.condition));
    }
    text
}

fn condition_text(condition: &Condition) -> String {
    let test =
        |operator: &String, key: &String, values: &Vec<String>| format!("{key} {operator} {}", values.join(" or "));
    let tests =
        condition.iter().flat_map(|(operator, keys)| keys.iter().map(move |(key, values)| test(operator, key, values)));
    tests.collect::<Vec<_>>().join(" and ")
}

fn changed(path: &str, before: &str, after: &str) -> PolicyDifference {
    PolicyDifference { path: path.into(), before: Some(before.into()), after: Some(after.into()) }
}

impl fmt::Display for PolicyDifference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(out, "{}  {before} -> {after}", self.path),
            (Some(before), None) => write!(out, "{}  - {before}", self.path),
            (None, Some(after)) => write!(out, "{}  + {after}", self.path),
            (None, None) => out.write_str(&self.path),
        }
    }
}

impl fmt::Display for ActionCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.added == 1 { "action" } else { "actions" };
        write!(out, "+{} {noun}, -{}", self.added, self.removed)
    }
}
