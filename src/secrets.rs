//! Whether a value is a secret, by its path and by its shape. Pure; the one judgement for everything that shows values of charts,
//! add-ons and objects: plans, their JSON and commands, `config view`, errors, logs. Plans end up in logs and pull requests.
//!
//! A path makes everything below it a secret, in maps, lists and entries such as `{name: DB_PASSWORD, value: x}`. What only refers
//! to a Secret or bounds one (`existingSecret`, `secretKeyRef`, `tokenExpirationSeconds`) is shown, as are booleans, nulls and
//! what is empty: a plan that hides those says nothing. In doubt a value is hidden.

mod scrub;
mod shape;
mod words;

use serde_json::{Map, Value};

pub use scrub::Scrub;
use words::Says;

/// What stands for a value that nobody is to read over a shoulder.
pub const HIDDEN: &str = "(hidden)";

/// A place in a document, as far as secrets are concerned.
#[derive(Debug, Clone, Default)]
pub struct Place {
    says: Says,
    /// The name of the nearest field, and of the one above it.
    near: [String; 2],
}

impl Place {
    /// A place where everything is a secret, as in the data of a Secret.
    pub fn secret() -> Place {
        Place { says: Says::Secret, ..Place::default() }
    }

    /// The place of a path such as `spec.containers[a].env[DB_PASSWORD].value`, as differences of objects have them.
    pub fn of_path(path: &str) -> Place {
        // A key of these holds dots.
        let of_metadata = ["metadata.annotations.", "metadata.labels."];
        if let Some(key) = of_metadata.iter().find_map(|map| path.split_once(map)).map(|(_, key)| key) {
            return Place::default().field(key);
        }
        segments(path).fold(Place::default(), |place, (name, key)| {
            let place = if name.is_empty() { place } else { place.field(name) };
            match key {
                // The entry of a list that is told by this key.
                Some(key) => Place { near: [key.to_owned(), place.near[0].clone()], ..place },
                None => place,
            }
        })
    }

    /// A field below, of which only the name is known.
    pub fn field(&self, name: &str) -> Place {
        let own = words::of(name, &self.near[0]);
        // `volumes[x].secret` and `projected.sources[x].secret` name a Secret to mount.
        let is_mounted = |near: &String| ["volumes", "sources"].iter().any(|list| near.to_lowercase().ends_with(list));
        let mounts = name == "secret" && self.near.iter().any(is_mounted);
        let of_entry = name == "value" && words::of(&self.near[0], "") == Says::Secret;
        let says = match own {
            _ if of_entry => Says::Secret,
            Says::Secret if mounts => Says::Reference,
            Says::Nothing if self.says == Says::Secret && words::bounds(name) => Says::Reference,
            Says::Nothing => self.says,
            other => other,
        };
        Place { says, near: [name.to_owned(), self.near[0].clone()] }
    }

    /// A field below with its value, which may say that the name is that of a reference.
    pub fn member(&self, name: &str, value: &Value) -> Place {
        let place = self.field(name);
        let refers = place.says == Says::Secret && words::of(name, "") == Says::Secret && names_a_secret(name, value);
        if refers { Place { says: Says::Reference, ..place } } else { place }
    }

    /// Whether a value here that is no map and no list is not to be shown.
    pub fn hides(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::String(text) if text.is_empty() => false,
            Value::String(text) => self.says == Says::Secret || shape::is_secret(text),
            Value::Number(_) => self.says == Says::Secret,
            Value::Array(items) => items.iter().any(|item| self.item(item).hides(item)),
            Value::Object(fields) => fields.iter().any(|(name, field)| self.inside(fields, name, field).hides(field)),
        }
    }

    /// The value with what is hidden in it replaced.
    pub fn masked(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => Value::Array(items.iter().map(|item| self.item(item).masked(item)).collect()),
            Value::Object(fields) => {
                let masked =
                    |(name, field): (&String, &Value)| (name.clone(), self.inside(fields, name, field).masked(field));
                Value::Object(fields.iter().map(masked).collect())
            }
            scalar if self.hides(scalar) => Value::from(HIDDEN),
            scalar => scalar.clone(),
        }
    }

    /// An entry of a list here.
    fn item(&self, item: &Value) -> Place {
        // Names of Secrets, such as those that a service account mounts.
        if self.says == Says::Secret && names_a_secret(&self.near[0], item) {
            return Place { says: Says::Reference, ..self.clone() };
        }
        self.clone()
    }

    /// A field of a map, which may be an entry that its name tells: `{name: DB_PASSWORD, value: x}`.
    fn inside(&self, fields: &Map<String, Value>, name: &str, field: &Value) -> Place {
        let told = ["name", "key"].iter().find_map(|name| fields.get(*name)?.as_str());
        match told.filter(|_| name == "value") {
            Some(told) => Place { near: [told.to_owned(), String::new()], ..self.clone() }.member(name, field),
            None => self.member(name, field),
        }
    }
}

/// The text as it is shown at this place: on a difference, in a message.
pub fn shown(place: &Place, value: &Value) -> String {
    match place.masked(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The document without its secrets: what has none is there as it is, and `paths` are the places of what was taken out, each up
/// to its first list, since helm replaces lists as a whole.
pub fn without(value: &Value) -> (Value, Vec<String>) {
    let mut paths = Vec::new();
    let kept = kept(&Place::default(), value, "", &mut paths).unwrap_or(Value::Object(Map::new()));
    (kept, paths)
}

fn kept(place: &Place, value: &Value, path: &str, paths: &mut Vec<String>) -> Option<Value> {
    let Value::Object(fields) = value else {
        if place.hides(value) {
            paths.push(path.to_owned());
            return None;
        }
        return Some(value.clone());
    };
    let mut map = Map::new();
    for (name, field) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Some(field) = kept(&place.inside(fields, name, field), field, &path, paths) {
            map.insert(name.clone(), field);
        }
    }
    Some(Value::Object(map))
}

/// Whether a value is that of a field which names Secrets, although its own name could be that of one: `{name: x}`, or a volume's
/// `{secretName: x, items: ..}`.
fn names_a_secret(name: &str, value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    let has = |wanted: &str| fields.get(wanted).is_some_and(Value::is_string);
    let only = |known: &[&str]| fields.keys().all(|key| known.contains(&key.as_str()));
    let lower = name.to_lowercase();
    (lower.contains("secret") && has("name") && only(&["name", "namespace", "optional", "create", "annotations"]))
        || (has("secretName") && only(&["secretName", "items", "defaultMode", "optional", "key"]))
}

/// The parts of a path, each with the key of the entry that follows it.
fn segments(path: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let key = after.strip_prefix('[').and_then(|inside| inside.split_once(']'));
        rest = match key {
            Some((_, after)) => after,
            None if after.starts_with('[') => "",
            None => after,
        };
        Some((name, key.map(|(key, _)| key)))
    })
}

#[cfg(test)]
mod tests;
