//! Reading fields of Kubernetes objects, for steps, checks and whoever else looks at one. Pure; nothing here judges.

use serde_json::Value;

/// The text at a JSON pointer, empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list at a JSON pointer.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// An object's name.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// An object's namespace.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `NAMESPACE/NAME`.
pub(crate) fn full_name(object: &Value) -> String {
    format!("{}/{}", namespace(object), name(object))
}

/// An annotation; its name need not be escaped.
pub(crate) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(name).and_then(Value::as_str)
}

/// A condition of the status.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").find(|condition| condition["type"] == kind)
}

/// Whether a condition of the status is `True`.
pub(crate) fn is(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// The label selector of a workload as kubectl and the API take it.
pub(crate) fn selector(workload: &Value) -> String {
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// `a, b and 3 more`: a list that stays readable.
pub(crate) fn some_of<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<_> = names.iter().take(4).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_read_and_lists_stay_short() {
        let object = json!({"metadata": {"name": "a", "namespace": "b", "annotations": {"x/y": "z"}},
            "spec": {"selector": {"matchLabels": {"k": "v", "m": "n"}}},
            "status": {"conditions": [{"type": "Available", "status": "True"}, {"type": "Old", "status": "False"}]}});
        assert_eq!(full_name(&object), "b/a");
        assert_eq!(annotation(&object, "x/y"), Some("z"));
        assert_eq!(selector(&object), "k=v,m=n");
        assert!(is(&object, "Available") && !is(&object, "Old") && !is(&object, "None"));
        assert_eq!(some_of(&["1", "2"]), "1, 2");
        assert_eq!(some_of(&["1", "2", "3", "4", "5", "6"]), "1, 2, 3, 4 and 2 more");
    }
}
