//! Messages of others without our secrets: helm, the API server and EKS repeat values that they refuse. Pure.

use serde_json::Value;

use super::{HIDDEN, Place};
use crate::error::{AwsError, Error, KubeError, Seen};

/// Shorter ones would make a riddle of every message.
const SHORTEST: usize = 4;

/// The secrets of a document.
#[derive(Debug, Clone, Default)]
pub struct Scrub {
    /// Longest first, since one may hold another.
    secrets: Vec<String>,
}

impl Scrub {
    /// Those that `document` holds.
    pub fn of(document: &Value) -> Scrub {
        let mut secrets = Vec::new();
        collect(document, &Place::default().masked(document), &mut secrets);
        for part in ["data", "stringData"].iter().filter(|_| document["kind"] == "Secret") {
            collect(&document[*part], &Place::secret().masked(&document[*part]), &mut secrets);
        }
        secrets.retain(|secret| secret.chars().count() >= SHORTEST);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Scrub { secrets }
    }

    /// The text without them.
    pub fn text(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }

    /// The error without them, where what it says comes from someone else.
    pub fn error(&self, error: Error) -> Error {
        match error {
            Error::HelmFailed { command, message, seen } => Error::HelmFailed {
                command,
                message: self.text(&message),
                seen: seen.map(|Seen(text)| Seen(self.text(&text))),
            },
            Error::Kube(error) => Error::Kube(KubeError { message: self.text(&error.message), ..error }),
            Error::Aws(error) => Error::Aws(AwsError { message: self.text(&error.message), ..error }),
            Error::TimedOut { what, limit } => Error::TimedOut { what: self.text(&what), limit },
            Error::NotSettled { what, seconds, last } => Error::NotSettled { what, seconds, last: self.text(&last) },
            other => other,
        }
    }
}

/// Every text that the mask replaced, whole, by its lines, and as JSON and Go write it.
fn collect(value: &Value, masked: &Value, secrets: &mut Vec<String>) {
    match (value, masked) {
        (Value::Object(fields), Value::Object(masked)) => {
            fields.iter().for_each(|(name, field)| collect(field, &masked[name], secrets));
        }
        (Value::Array(items), Value::Array(masked)) => {
            items.iter().zip(masked).for_each(|(item, masked)| collect(item, masked, secrets));
        }
        (Value::String(text), masked) if masked != value => {
            secrets.extend(text.lines().map(str::trim).map(ToOwned::to_owned));
            secrets.push(text.clone());
            secrets.push(value.to_string().trim_matches('"').to_owned());
        }
        (number @ Value::Number(_), masked) if masked != number => secrets.push(number.to_string()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_helm_repeats_is_hidden() {
        let values = json!({"auth": {"password": "hunter2hunter2", "pin": 1}, "token": "hunter2", "apiKey": 12345,
            "key": "a\"b", "tls": {"key": "one line\nanother line"}, "name": "demo"});
        let scrub = Scrub::of(&values);
        let message = "'hunter2hunter2' and \"hunter2\" and 12345 and another line of demo";
        assert_eq!(scrub.text(message), "'(hidden)' and \"(hidden)\" and (hidden) and (hidden) of demo");
        let failed = Error::HelmFailed {
            command: "upgrade x".to_owned(),
            message: "got hunter2".to_owned(),
            seen: Some(Seen("pod says hunter2".to_owned())),
        };
        let chain = crate::error::chain_of(&scrub.error(failed)).join(": ");
        assert_eq!(chain, "helm upgrade x failed: got (hidden): pod says (hidden)");
        let secret = json!({"kind": "Secret", "data": {"a": "aHVudGVyMg=="}});
        assert_eq!(Scrub::of(&secret).text("illegal: aHVudGVyMg=="), "illegal: (hidden)");
        assert_eq!(Scrub::of(&json!({"password": "x"})).text("x is not x"), "x is not x", "too short to be told");
    }
}
