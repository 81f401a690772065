//! The JSON patch that turns one object into another (<https://www.rfc-editor.org/rfc/rfc6902>). Pure.
//!
//! Lists whose length differs are replaced as a whole: positions in them mean nothing once somebody else has written, and the
//! patch begins with a test of the version that was read, so that it is done to what was compared or not at all.

use serde::Serialize;
use serde_json::Value;

/// One operation of a JSON patch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// The value must be this.
    Test {
        /// Where, as a JSON pointer.
        path: String,
        /// What must be there.
        value: Value,
    },
    /// Sets a member, whether it is there or not.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Sets an item or member that is there.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a member away.
    Remove {
        /// Where.
        path: String,
    },
}

/// The operations that turn `before` into `after`, guarded by the version of `before`.
pub fn patch(before: &Value, after: &Value) -> Vec<Operation> {
    let version = before.pointer("/metadata/resourceVersion").cloned();
    let guard = version.map(|value| Operation::Test { path: "/metadata/resourceVersion".to_owned(), value });
    let mut operations: Vec<_> = guard.into_iter().collect();
    turn(before, after, "", &mut operations);
    operations
}

fn turn(before: &Value, after: &Value, path: &str, operations: &mut Vec<Operation>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            for name in old.keys().filter(|name| !new.contains_key(*name)) {
                operations.push(Operation::Remove { path: format!("{path}/{}", escaped(name)) });
            }
            for (name, value) in new {
                let below = format!("{path}/{}", escaped(name));
                match old.get(name) {
                    Some(old) => turn(old, value, &below, operations),
                    None => operations.push(Operation::Add { path: below, value: value.clone() }),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                turn(old, new, &format!("{path}/{place}"), operations);
            }
        }
        (_, after) => operations.push(Operation::Replace { path: path.to_owned(), value: after.clone() }),
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
