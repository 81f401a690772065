//! Walks through a document and the object beside each other. Pure.
//!
//! A map is compared by the keys that the document sets. Inside a value that the API server takes as one (an atomic list or
//! map), a key that the document does not set counts too, unless it is a default.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::shown::shown;
use super::{Comparison, Difference, Schemas, scalars, schema, types};
use crate::escape::line;
use crate::plan::FieldDiff;

/// What of the metadata a document sets; the rest is the address or the server's.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

pub(super) fn compare(document: &Value, object: &Value, schemas: &Schemas, leave: &[String]) -> Comparison {
    let text = |name: &str| document[name].as_str().unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let schema = schemas.get(api_version, kind);
    let helm_looks = types::helm_looks(api_version);
    let mut walk = Walk { kind, helm_looks, built_in: types::built_in(api_version), leave, found: Vec::new() };
    let mut corrected = object.clone();
    let root = Place { schema, ..Place::default() };
    let metadata = root.member("metadata");
    let below =
        |parent: &str, name: &str| object.get(parent).and_then(|parent| parent.get(name)).unwrap_or(&Value::Null);
    for name in METADATA {
        let (Some(wanted), now) = (document["metadata"].get(name), below("metadata", name)) else { continue };
        // Metadata is the server's own type in every kind.
        let fixed = Walk { built_in: true, helm_looks, kind, leave, found: Vec::new() }
            .collected(&mut walk.found, |walk| {
                walk.value(wanted, now, &Place { schema: None, ..metadata.member(name) })
            });
        if fixed != *now {
            corrected["metadata"][name] = fixed;
        }
    }
    for (name, wanted) in fields_of(document) {
        let now = object.get(&name).unwrap_or(&Value::Null);
        if !walk.built_in && schema::prunes(schema, &name) {
            continue;
        }
        let fixed = walk.value(&wanted, now, &root.member(&name));
        if fixed != *now {
            corrected[&name] = fixed;
        }
    }
    Comparison { differences: walk.found, corrected }
}

/// What a document sets beside its address and metadata.
fn fields_of(document: &Value) -> Map<String, Value> {
    let mut fields = document.as_object().cloned().unwrap_or_default();
    for name in ["apiVersion", "kind", "metadata", "status"] {
        fields.remove(name);
    }
    if document["kind"] == "Secret"
        && let Some(Value::Object(texts)) = fields.remove("stringData")
    {
        // The API server stores texts as bytes, over those of the same name.
        let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
        for (name, text) in texts {
            data[&name] = Value::from(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
    if fields.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
        // A controller fills in the rules of an aggregated role.
        fields.remove("rules");
    }
    fields
}

/// A place in a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Place<'a> {
    /// As people read it: `spec.template.spec.containers[a].image`.
    pub(super) shown: String,
    /// Without entries, as the tables of types have it: `spec.template.spec.containers.image`.
    pub(super) names: String,
    /// An entry of a map with keys of the user's, which stays whatever its value is.
    pub(super) of_map: bool,
    /// Inside a value that is taken as one.
    pub(super) one_value: bool,
    /// Inside a list that is taken as one.
    pub(super) in_list: bool,
    /// What the CRD says of it.
    pub(super) schema: Option<&'a Value>,
}

impl<'a> Place<'a> {
    pub(super) fn member(&self, name: &str) -> Place<'a> {
        let join = |path: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Place {
            shown: join(&self.shown),
            names: join(&self.names),
            of_map: types::is_map(&self.names),
            schema: schema::member(self.schema, name),
            ..self.clone()
        }
    }

    pub(super) fn entry(&self, key: &str) -> Place<'a> {
        let schema = self.schema.and_then(|schema| schema.get("items"));
        // As the plan shows it, since `ignoreDrift` takes paths from there.
        Place { shown: format!("{}[{}]", self.shown, line(key)), schema, ..self.clone() }
    }
}

/// One walk, with what it has found.
pub(super) struct Walk<'a> {
    pub(super) kind: &'a str,
    pub(super) built_in: bool,
    pub(super) helm_looks: bool,
    /// Paths that stay as they are in the object.
    pub(super) leave: &'a [String],
    pub(super) found: Vec<Difference>,
}

impl Walk<'_> {
    /// Runs a walk and hands over what it has found.
    fn collected<T>(mut self, all: &mut Vec<Difference>, run: impl FnOnce(&mut Self) -> T) -> T {
        let result = run(&mut self);
        all.extend(self.found);
        result
    }

    /// Whether two values are the same, without reporting.
    pub(super) fn equal(&self, document: &Value, object: &Value, place: &Place<'_>) -> bool {
        let mut probe = Walk {
            kind: self.kind,
            built_in: self.built_in,
            helm_looks: self.helm_looks,
            leave: self.leave,
            found: Vec::new(),
        };
        probe.value(document, object, place);
        probe.found.is_empty()
    }

    /// Compares a value; returns the object's, corrected.
    pub(super) fn value(&mut self, document: &Value, object: &Value, place: &Place<'_>) -> Value {
        let absent = scalars::zero(object);
        if document.is_null()
            || (object.is_null() && self.built_in && types::may_be_dropped(&place.names))
            || scalars::same(self.kind, &place.names, self.built_in, document, object)
            || (object.is_null() || absent && scalars::zero(document))
                && !(place.of_map && is_scalar(document))
                && scalars::dropped(&place.names, self.built_in, document)
        {
            return object.clone();
        }
        match (document, object) {
            (Value::Object(wanted), Value::Object(now)) => Value::Object(self.object(wanted, now, place)),
            (Value::Array(wanted), Value::Array(now)) => Value::Array(self.list(wanted, now, place)),
            // Labels that are all gone are told one by one; a structure that is gone is told as one.
            (Value::Object(wanted), Value::Null) if !wanted.is_empty() && wanted.values().all(is_scalar) => {
                Value::Object(self.object(wanted, &Map::new(), place))
            }
            _ => {
                let counts = self.report(place, object, document, false);
                if counts { document.clone() } else { object.clone() }
            }
        }
    }

    fn object(
        &mut self,
        document: &Map<String, Value>,
        object: &Map<String, Value>,
        place: &Place<'_>,
    ) -> Map<String, Value> {
        let as_one = place.one_value || self.is_one_value(place);
        let place = &Place { one_value: as_one, ..place.clone() };
        let mut corrected = object.clone();
        for (name, wanted) in document {
            if !self.built_in && schema::prunes(place.schema, name) {
                continue;
            }
            let now = object.get(name).unwrap_or(&Value::Null);
            let fixed = self.value(wanted, now, &place.member(name));
            if fixed != *now {
                corrected.insert(name.clone(), fixed);
            }
        }
        if self.built_in
            && document.contains_key("containers")
            && document.get("initContainers").is_none_or(Value::is_null)
        {
            // Code that somebody added counts although the document says nothing of the list.
            if let Some(Value::Array(added)) = object.get("initContainers") {
                let left = self.list(&[], added, &place.member("initContainers"));
                corrected.insert("initContainers".to_owned(), Value::Array(left));
            }
        }
        let rivals = if self.built_in { types::rivals(&place.names, document, object.keys()) } else { Vec::new() };
        for (name, now) in object.iter().filter(|(name, _)| document.get(*name).is_none_or(Value::is_null)) {
            let below = place.member(name);
            let extra = as_one && !scalars::zero(now) && !self.is_default(&below, now);
            if (extra || rivals.contains(&name)) && self.report(&below, now, &Value::Null, !place.in_list) {
                corrected.remove(name);
            }
        }
        corrected
    }

    fn is_one_value(&self, place: &Place<'_>) -> bool {
        self.built_in && types::is_one_value(&place.names)
    }

    fn is_default(&self, place: &Place<'_>, value: &Value) -> bool {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        self.built_in && types::is_default(&place.names, &text)
    }

    /// Adds a difference; whether it counts.
    pub(super) fn report(&mut self, place: &Place<'_>, before: &Value, after: &Value, beyond_merge: bool) -> bool {
        if self.leave.contains(&place.shown) {
            return false;
        }
        let text = |value: &Value| shown(self.kind, &place.shown, value);
        let field = FieldDiff::new(place.shown.clone(), text(before), text(after));
        // A chart may look up the Secret that is there and take its data for its own, so that helm would keep the change.
        let looked_up = self.kind == "Secret" && place.shown.starts_with("data");
        let beyond_merge = beyond_merge || looked_up || !self.helm_looks;
        self.found.push(Difference { field, beyond_merge });
        true
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}
