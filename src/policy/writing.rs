//! From [`Document`] to text: the order of elements is IAM's usual one, lists of one are written as single strings.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::{Document, Principals, Statement};

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(version) = &self.version {
            map.serialize_entry("Version", version)?;
        }
        if let Some(id) = &self.id {
            map.serialize_entry("Id", id)?;
        }
        map.serialize_entry("Statement", &self.statements)?;
        for (name, value) in &self.other {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(sid) = &self.sid {
            map.serialize_entry("Sid", sid)?;
        }
        map.serialize_entry("Effect", &self.effect.to_string())?;
        for (name, principals) in [("Principal", &self.principal), ("NotPrincipal", &self.not_principal)] {
            match principals {
                Some(Principals::Everyone) => map.serialize_entry(name, "*")?,
                Some(Principals::Named(types)) => map.serialize_entry(name, &shortest(types))?,
                None => {}
            }
        }
        let lists = [
            ("Action", &self.action),
            ("NotAction", &self.not_action),
            ("Resource", &self.resource),
            ("NotResource", &self.not_resource),
        ];
        for (name, list) in lists {
            if let Some(list) = list {
                map.serialize_entry(name, &one_or_many(list))?;
            }
        }
        if !self.condition.is_empty() {
            let condition: BTreeMap<_, _> =
                self.condition.iter().map(|(operator, keys)| (operator, shortest(keys))).collect();
            map.serialize_entry("Condition", &condition)?;
        }
        for (name, value) in &self.other {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn one_or_many(list: &[String]) -> Value {
    match list {
        [single] => single.as_str().into(),
        many => many.into(),
    }
}

fn shortest(lists: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, Value> {
    lists.iter().map(|(name, list)| (name.as_str(), one_or_many(list))).collect()
}
