//! How a value is shown in a difference: without secrets, and certificates by their digest. Pure.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::secrets::{self, HIDDEN, Place};

/// The value of a field; none where there is none.
pub(super) fn shown(kind: &str, path: &str, value: &Value) -> Option<String> {
    let holds = |map: &str| path == map || path.strip_prefix(map).is_some_and(|rest| rest.starts_with('.'));
    match value {
        Value::Null => None,
        _ if kind == "Secret" && (holds("data") || holds("stringData")) => Some(HIDDEN.to_owned()),
        Value::String(text) if path.ends_with("caBundle") => Some(digest(text)),
        // A schema names fields of secrets and holds none.
        _ if kind == "CustomResourceDefinition" => Some(text(&short(value, path))),
        value => Some(secrets::shown(&Place::of_path(path), &short(value, path))),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn digest(text: &str) -> String {
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    format!("{} bytes of base64, sha256:{}...", text.len(), &digest[..12])
}

/// The value with digests in place of the certificates in it.
fn short(value: &Value, path: &str) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), short(field, name))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| short(item, path)).collect()),
        Value::String(text) if path == "caBundle" => Value::from(digest(text)),
        other => other.clone(),
    }
}
