//! When two values of one field are the same to the API server. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{quantity, types};

/// Whether two scalars of a field are the same.
pub(super) fn same(kind: &str, path: &str, built_in: bool, one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        // JSON has one kind of number: 1 and 1.0 are one value.
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => true,
        _ if !built_in => false,
        _ if types::is_quantity(path) => quantity::equal(one, other),
        (Value::String(one), Value::String(other)) if types::is_bytes(kind, path) => {
            bytes(one).is_some_and(|one| bytes(other) == Some(one))
        }
        _ => false,
    }
}

/// YAML folds base64 into lines; the API server writes it in one.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// Whether the API server drops a value on writing, so that its absence is no difference. For kinds of CRDs nothing is
/// dropped but null.
pub(super) fn dropped(path: &str, built_in: bool, value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    if !built_in || types::keeps_zero(path) {
        return false;
    }
    match value {
        Value::Object(fields) if types::is_map(path) => fields.is_empty(),
        Value::Object(fields) => fields.iter().all(|(name, field)| dropped(&format!("{path}.{name}"), built_in, field)),
        other => zero(other),
    }
}

/// Whether a value is the zero of its type.
pub(super) fn zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
