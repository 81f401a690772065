//! What differs between two sets of chart values, with the path of each; secrets are not shown. Pure.

use serde_json::Value;

use crate::names;
use crate::plan::FieldDiff;
use crate::steps::kube_object::text;

pub(super) fn value_diff(before: &Value, after: &Value) -> Vec<FieldDiff> {
    value_differences("values", before, after)
}

/// Every value that differs, in either direction, with its path under `root`.
pub(in crate::steps) fn value_differences(root: &str, before: &Value, after: &Value) -> Vec<FieldDiff> {
    let mut fields = Vec::new();
    compare(before, after, root, &mut fields);
    fields
}

fn compare(before: &Value, after: &Value, path: &str, fields: &mut Vec<FieldDiff>) {
    let shown = |value: &Value| match value {
        Value::String(_) if names::is_secret(path) => Some("(hidden)".to_owned()),
        other => text(other),
    };
    let empty = serde_json::Map::new();
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) => {
            let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
            let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for name in names {
                let of = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
                compare(&of(before), &of(after), &format!("{path}.{name}"), fields);
            }
        }
        (before, after) => fields.push(FieldDiff::new(path, shown(before), shown(after))),
    }
}
