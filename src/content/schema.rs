//! The schemas of a chart's CRDs: which lists of a custom resource are maps or sets. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// Schemas by API version and kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schemas(BTreeMap<(String, String), Value>);

impl Schemas {
    /// The schemas of all served versions of `crds`.
    pub fn of(crds: &[Value]) -> Schemas {
        let text = |crd: &Value, pointer: &str| {
            crd.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned).unwrap_or_default()
        };
        let mut schemas = BTreeMap::new();
        for crd in crds {
            let (group, kind) = (text(crd, "/spec/group"), text(crd, "/spec/names/kind"));
            for version in crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
                let Some(schema) = version.pointer("/schema/openAPIV3Schema") else { continue };
                let api_version = format!("{group}/{}", text(version, "/name"));
                schemas.insert((api_version, kind.clone()), schema.clone());
            }
        }
        Schemas(schemas)
    }

    /// The schema of one kind alone.
    #[must_use]
    pub fn only(&self, api_version: &str, kind: &str) -> Schemas {
        let of = |(key, schema): (&(String, String), &Value)| (key.clone(), schema.clone());
        let this = |(key, _): &(&(String, String), &Value)| key.0 == api_version && key.1 == kind;
        Schemas(self.0.iter().filter(this).map(of).collect())
    }

    pub(super) fn get(&self, api_version: &str, kind: &str) -> Option<&Value> {
        self.0.get(&(api_version.to_owned(), kind.to_owned()))
    }
}

/// The schema of a member; none where the schema does not say.
pub(super) fn member<'a>(schema: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    let schema = schema?;
    schema.get("properties").and_then(|properties| properties.get(name)).or_else(|| schema.get("additionalProperties"))
}

/// Whether the API server prunes a member, so that it can never be there.
pub(super) fn prunes(schema: Option<&Value>, name: &str) -> bool {
    let Some(schema) = schema else { return false };
    let keeps = ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"];
    let declared = schema.get("properties").is_some_and(|properties| properties.get(name).is_some());
    let open = schema.get("additionalProperties").is_some() || keeps.iter().any(|word| schema[*word] == true);
    schema["type"] == "object" && !declared && !open
}

/// What a list of a custom resource is.
pub(super) enum ListKind {
    ByKeys(Vec<(String, Option<Value>)>),
    Set,
    OneValue,
}

pub(super) fn list(schema: Option<&Value>) -> ListKind {
    let Some(schema) = schema else { return ListKind::OneValue };
    match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let default = |key: &str| schema.pointer(&format!("/items/properties/{key}/default")).cloned();
            let keys = keys.filter_map(Value::as_str).map(|key| (key.to_owned(), default(key)));
            ListKind::ByKeys(keys.collect())
        }
        Some("set") => ListKind::Set,
        _ => ListKind::OneValue,
    }
}
