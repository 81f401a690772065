//! Lists: maps by the keys of their entries, sets, and those that are one value. Pure.

use serde_json::Value;

use super::schema::{self, ListKind};
use super::types;
use super::walk::{Place, Walk};

/// The keys of a list's entries, each with its default.
type Keys = Vec<(String, Option<Value>)>;

impl Walk<'_> {
    /// Compares two lists; returns the object's, corrected.
    pub(super) fn list(&mut self, document: &[Value], object: &[Value], place: &Place<'_>) -> Vec<Value> {
        match self.kind_of(place) {
            ListKind::ByKeys(keys) => match (identities(document, &keys), identities(object, &keys)) {
                (Some(wanted), Some(found)) => self.by_keys((document, &wanted), (object, &found), place),
                // Two entries of one key, which the API accepts of environment variables: the later one counts, so order does.
                _ => self.as_one(document, object, place),
            },
            ListKind::Set => self.set(document, object, place),
            ListKind::OneValue => self.as_one(document, object, place),
        }
    }

    fn kind_of(&self, place: &Place<'_>) -> ListKind {
        if !self.built_in {
            return schema::list(place.schema);
        }
        if let Some(keys) = types::keys(self.kind, &place.names) {
            let default = |text: &str| Value::from(text);
            return ListKind::ByKeys(keys.iter().map(|(key, value)| ((*key).to_owned(), value.map(default))).collect());
        }
        if types::is_set(&place.names) { ListKind::Set } else { ListKind::OneValue }
    }

    fn by_keys(
        &mut self,
        (document, wanted): (&[Value], &[String]),
        (object, found): (&[Value], &[String]),
        place: &Place<'_>,
    ) -> Vec<Value> {
        let mut corrected: Vec<Option<Value>> = object.iter().cloned().map(Some).collect();
        let mut missing = Vec::new();
        for (entry, key) in document.iter().zip(wanted) {
            let below = place.entry(key);
            if let Some(at) = found.iter().position(|other| other == key) {
                corrected[at] = Some(self.value(entry, &object[at], &below));
                continue;
            }
            // A port whose number was changed keeps its name, which no two may have.
            let name = entry.get("name").filter(|name| !name.is_null());
            let clash = name.and_then(|name| {
                (0..object.len()).find(|at| object[*at].get("name") == Some(name) && !wanted.contains(&found[*at]))
            });
            let before = clash.map_or(&Value::Null, |at| &object[at]);
            if self.report(&below, before, entry, clash.is_some()) {
                clash.map(|at| corrected[at].take());
                missing.push(entry.clone());
            }
        }
        if self.built_in && types::runs_code(&place.names) {
            for (at, key) in found.iter().enumerate().filter(|(_, key)| !wanted.contains(*key)) {
                if self.report(&place.entry(key), &object[at], &Value::Null, true) {
                    corrected[at] = None;
                }
            }
        }
        corrected.into_iter().flatten().chain(missing).collect()
    }

    fn set(&mut self, document: &[Value], object: &[Value], place: &Place<'_>) -> Vec<Value> {
        let mut corrected = object.to_vec();
        for entry in document.iter().filter(|entry| !object.contains(entry)) {
            if self.report(&place.entry(&text(entry)), &Value::Null, entry, false) {
                corrected.push(entry.clone());
            }
        }
        corrected
    }

    /// Entry by entry; where there are more or fewer, what is the same at both ends is set aside, so that one entry that was
    /// added or removed is one difference.
    fn as_one(&mut self, document: &[Value], object: &[Value], place: &Place<'_>) -> Vec<Value> {
        let exact = self.built_in && !types::has_unknown_defaults(&place.names);
        let place = &Place { one_value: exact, in_list: true, ..place.clone() };
        let same = |walk: &Self, wanted: &Value, now: &Value| walk.equal(wanted, now, &place.entry(""));
        let (mut start, mut end) = (0, 0);
        let shorter = document.len().min(object.len());
        if document.len() != object.len() {
            while start < shorter && same(self, &document[start], &object[start]) {
                start += 1;
            }
            while end < shorter - start
                && same(self, &document[document.len() - 1 - end], &object[object.len() - 1 - end])
            {
                end += 1;
            }
        }
        let before = self.found.len();
        let (wanted, now) = (&document[start..document.len() - end], &object[start..object.len() - end]);
        for at in 0..wanted.len().max(now.len()) {
            let below = place.entry(&(start + at).to_string());
            match (wanted.get(at), now.get(at)) {
                (Some(wanted), Some(now)) => drop(self.value(wanted, now, &below)),
                (Some(wanted), None) => {
                    self.report(&below, &Value::Null, wanted, false);
                }
                (None, Some(now)) => {
                    self.report(&below, now, &Value::Null, false);
                }
                (None, None) => {}
            }
        }
        if self.found.len() == before { object.to_vec() } else { document.to_vec() }
    }
}

/// What tells each entry from the others; none where one has no key or two have the same.
fn identities(entries: &[Value], keys: &Keys) -> Option<Vec<String>> {
    let identity = |entry: &Value| {
        let parts: Option<Vec<_>> =
            keys.iter().map(|(key, default)| entry.get(key).or(default.as_ref()).map(text)).collect();
        parts.map(|parts| parts.join("/"))
    };
    let all: Vec<_> = entries.iter().map(identity).collect::<Option<_>>()?;
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    (distinct.len() == all.len()).then_some(all)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
