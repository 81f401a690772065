//! A look at some objects of a kind: one page and no more, for causes and examples, where all of them are not needed.

use serde_json::Value;

use super::KubeRead;
use crate::error::Result;

/// Which objects, and how many of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Few<'a> {
    /// Such as `v1`.
    pub api_version: &'a str,
    /// Such as `Event`.
    pub kind: &'a str,
    /// Empty means all namespaces.
    pub namespace: &'a str,
    /// A label selector; empty means all.
    pub labels: &'a str,
    /// A field selector; empty means all.
    pub fields: &'a str,
    /// At most so many.
    pub most: usize,
}

impl KubeRead {
    /// At most `most` objects.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn few(&self, few: Few<'_>) -> Result<Vec<Value>> {
        let Few { api_version, kind, namespace, labels, fields, most } = few;
        let Some(path) = self.paths.collection(api_version, kind, namespace).await? else { return Ok(Vec::new()) };
        let escaped = |selector: &str| url::form_urlencoded::byte_serialize(selector.as_bytes()).collect::<String>();
        let path = format!("{path}?limit={most}&labelSelector={}&fieldSelector={}", escaped(labels), escaped(fields));
        let operation = format!("list {kind} in {}", if namespace.is_empty() { "all namespaces" } else { namespace });
        let mut list = self.api.read(&operation, &path).await?.unwrap_or_default();
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }
}
