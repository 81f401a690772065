//! How a value is shown in a difference: on one line, without secrets, and certificates by their digest. Pure.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::names;

/// What stands for a value that nobody is to read over a shoulder.
const HIDDEN: &str = "(hidden)";

/// The value of a field; none where there is none.
pub(super) fn shown(kind: &str, path: &str, value: &Value) -> Option<String> {
    let holds = |map: &str| path == map || path.strip_prefix(map).is_some_and(|rest| rest.starts_with('.'));
    match value {
        Value::Null => None,
        _ if kind == "Secret" && (holds("data") || holds("stringData")) => Some(HIDDEN.to_owned()),
        Value::String(text) if path.ends_with("caBundle") => {
            let digest = hex::encode(Sha256::digest(text.as_bytes()));
            Some(format!("{} bytes of base64, sha256:{}...", text.len(), &digest[..12]))
        }
        Value::String(text) => Some(if secret_variable(path) { HIDDEN.to_owned() } else { printable(text) }),
        other => Some(masked(kind, path, other).to_string()),
    }
}

/// The same inside an entry or an object that is shown as a whole.
fn masked(kind: &str, path: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let secret = fields.get("name").and_then(Value::as_str).is_some_and(names::is_secret);
            let masked = fields.iter().map(|(name, field)| {
                let path = format!("{path}.{name}");
                let hidden = secret && name == "value" && field.is_string();
                let field = if hidden { Value::from(HIDDEN) } else { masked(kind, &path, field) };
                (name.clone(), field)
            });
            Value::Object(masked.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| masked(kind, path, item)).collect()),
        Value::String(_) if path.ends_with("caBundle") => Value::from(shown(kind, path, value).unwrap_or_default()),
        other => other.clone(),
    }
}

/// Whether a path is the value of a variable that is named as a secret: `env[DB_PASSWORD].value`.
fn secret_variable(path: &str) -> bool {
    let variable = path.strip_suffix("].value").and_then(|path| path.rsplit_once("env["));
    variable.is_some_and(|(_, name)| names::is_secret(name))
}

/// Text of a cluster without what a terminal would obey; lines stay lines.
pub(super) fn printable(text: &str) -> String {
    let safe = |character: char| !character.is_control() || character == '\n' || character == '\t';
    text.chars().flat_map(|it| if safe(it) { vec![it] } else { it.escape_default().collect() }).collect()
}
