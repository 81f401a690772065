//! The form of the configuration file as JSON Schema, made from the types that read it, and what it says of fields that do
//! not exist. Editors complete and check the file by it; the copy in `schema/` is held against it by a test.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::component;
use crate::config_file::{API_VERSION, ClusterBootstrap};
use crate::validate;

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ClusterBootstrap>();
    // What the types cannot say: these two fields have one value each.
    for (field, value) in [("apiVersion", API_VERSION), ("kind", "ClusterBootstrap")] {
        if let Some(field) = schema.pointer_mut(&format!("/properties/{field}")) {
            field["const"] = json!(value);
        }
    }
    describe_components(&mut schema);
    schema.insert("title".to_owned(), json!("ClusterBootstrap"));
    schema.to_value()
}

/// Names the policies that there are to choose from, in the form of each component that has some.
fn describe_components(schema: &mut schemars::Schema) {
    for component in component::BUILT_IN.iter().filter(|component| component.has_role()) {
        let field = format!("/$defs/ComponentsSpec/properties/{}/$ref", component.field());
        let Some(form) = schema.pointer(&field).and_then(Value::as_str).map(str::to_owned) else { continue };
        if let Some(policy) = schema.pointer_mut(&format!("{}/properties/policy", form.trim_start_matches('#'))) {
            policy["enum"] = component.choices.iter().map(|choice| json!(choice.name)).chain([Value::Null]).collect();
        }
    }
}

/// A field that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where it is, `spec.iam.pat`.
    pub path: String,
    /// The known fields of that place, nearest name first.
    pub known: Vec<String>,
    /// Whether the first of them is near.
    pub near: bool,
}

/// The first field of `document` that does not exist.
pub fn unknown_field(document: &Value) -> Option<Unknown> {
    unknown_field_of(&schema(), document)
}

/// The first field of `document` that another schema of ours does not know.
pub fn unknown_field_of(schema: &Value, document: &Value) -> Option<Unknown> {
    walk(schema, schema, document, "")
}

fn walk(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<Unknown> {
    let schema = resolved(root, schema);
    if let (Some(items), Some(kind)) = (value.as_array(), schema.get("items")) {
        return items.iter().enumerate().find_map(|(place, item)| walk(root, kind, item, &format!("{path}[{place}]")));
    }
    let fields = value.as_object()?;
    let known = schema.get("properties").and_then(Value::as_object)?;
    for (name, field) in fields {
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match known.get(name) {
            Some(schema) => {
                if let Some(unknown) = walk(root, schema, field, &here) {
                    return Some(unknown);
                }
            }
            None if schema["additionalProperties"] == false => {
                let mut names: Vec<_> = validate::nearest(name, known.keys().map(String::as_str))
                    .into_iter()
                    .map(ToOwned::to_owned)
                    .collect();
                let near = !names.is_empty();
                let rest: Vec<_> = known.keys().filter(|known| !names.contains(known)).cloned().collect();
                names.extend(rest);
                return Some(Unknown { path: here, known: names, near });
            }
            None => {}
        }
    }
    None
}

/// The place of the first list that stands where a mapping is wanted. Serde takes one for the other, field by field.
pub fn misplaced_list(document: &Value) -> Option<String> {
    fn walk(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
        let known = resolved(root, schema).get("properties").and_then(Value::as_object)?;
        if value.is_array() {
            return Some(if path.is_empty() { "the document".to_owned() } else { path.to_owned() });
        }
        known.iter().find_map(|(name, schema)| {
            let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(root, schema, value.get(name)?, &here)
        })
    }
    let schema = schema();
    walk(&schema, &schema, document, "")
}

/// The paths of all fields of the file.
#[cfg(test)]
pub(crate) fn fields() -> Vec<Vec<String>> {
    fn list(root: &Value, schema: &Value, path: &[String], all: &mut Vec<Vec<String>>) {
        let Some(known) = resolved(root, schema).get("properties").and_then(Value::as_object) else {
            all.push(path.to_vec());
            return;
        };
        for (name, schema) in known {
            list(root, schema, &[path, std::slice::from_ref(name)].concat(), all);
        }
    }
    let (schema, mut all) = (schema(), Vec::new());
    list(&schema, &schema, &[], &mut all);
    all
}

/// The schema itself, behind references and the `anyOf` of optional fields.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return root.pointer(reference.trim_start_matches('#')).map_or(schema, |schema| resolved(root, schema));
    }
    let choices = schema.get("anyOf").and_then(Value::as_array);
    choices
        .into_iter()
        .flatten()
        .map(|choice| resolved(root, choice))
        .find(|choice| choice.get("properties").is_some())
        .unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_does_not_exist_is_found_with_its_place_and_a_suggestion() {
        let document =
            |iam: Value| json!({"apiVersion": API_VERSION, "kind": "ClusterBootstrap", "spec": {"iam": iam}});
        assert_eq!(unknown_field(&document(json!({"path": "/", "tags": {"anything": "goes"}}))), None);
        let unknown = unknown_field(&document(json!({"nameprefix": "x"}))).unwrap();
        assert_eq!((unknown.path.as_str(), unknown.near), ("spec.iam.nameprefix", true));
        assert_eq!(unknown.known[0], "namePrefix");
        let unknown = unknown_field(&document(json!({"zzz": 1}))).unwrap();
        assert!(!unknown.near && unknown.known.len() >= 4, "{unknown:?}");
        let values = json!({"spec": {"components": {"awsEbsCsiDriver": {"values": {"any": {"thing": 1}}}}}});
        assert_eq!(unknown_field(&values), None);
        assert_eq!(misplaced_list(&values), None);
        assert_eq!(misplaced_list(&json!({"spec": {"cluster": ["demo"]}})).as_deref(), Some("spec.cluster"));
    }
}
