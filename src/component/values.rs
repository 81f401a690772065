//! Chart values as trees: putting one at a path, filling places, laying one on another. Pure; used by `component.rs` and, for
//! files laid on files, by `config_file.rs`.

use serde_json::Value;

/// `value` at the end of a path of names.
pub(super) fn nested<'a>(path: impl DoubleEndedIterator<Item = &'a str>, value: Value) -> Value {
    path.rev().fold(value, |value, name| serde_json::json!({ name: value }))
}

/// Replaces `${place}` texts in `value`.
pub(super) fn fill<'a>(value: &mut Value, known: &impl Fn(&str) -> Option<&'a String>) {
    match value {
        Value::String(text) => {
            let place = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            if let Some(filled) = place.and_then(known) {
                text.clone_from(filled);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, known)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, known)),
        _ => {}
    }
}

/// Lays `over` on `value` as helm lays values: objects are merged, everything else is replaced. A null stays, since to
/// helm it means "not even the chart's default".
pub fn merge(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(fields), Value::Object(overs)) => {
            for (name, over) in overs {
                merge(fields.entry(name.clone()).or_insert(Value::Null), over);
            }
        }
        (value, over) => *value = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_merged_as_helm_merges_them() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut value, &json!({"a": {"b": 3, "c": null}, "d": [2, 3], "e": true}));
        assert_eq!(value, json!({"a": {"b": 3, "c": null}, "d": [2, 3], "e": true}));
    }

    #[test]
    fn places_are_filled() {
        let mut value = json!({"a": "${cluster}", "b": ["${other}", "x"]});
        let demo = "demo".to_owned();
        fill(&mut value, &|place| (place == "cluster").then_some(&demo));
        assert_eq!(value, json!({"a": "demo", "b": ["${other}", "x"]}));
    }

    #[test]
    fn a_path_of_names_leads_to_the_value() {
        assert_eq!(nested("a.b.c".split('.'), json!(1)), json!({"a": {"b": {"c": 1}}}));
    }
}
