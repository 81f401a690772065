//! A look at some objects of a kind: one page and no more, for causes and examples, where all of them are not needed.

use serde_json::Value;

use super::{KubeRead, listing, root};
use crate::error::Result;
use crate::object::text;

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
        let operation = listing(kind, namespace);
        let mut list = self.api.read(&operation, &path).await?.unwrap_or_default();
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// At most `most` objects of a resource as the API server itself names it: plural and group, such as `configmaps.` or
    /// `widgets.example.com`. Their kind and version are filled in, which items of lists leave out.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn few_of_resource(&self, resource: &str, namespace: &str, most: usize) -> Result<Vec<Value>> {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let version = if group.is_empty() {
            "v1".to_owned()
        } else {
            let found =
                self.api.read(&format!("discover {group}"), &format!("/apis/{group}")).await?.unwrap_or_default();
            text(&found, "/preferredVersion/groupVersion").to_owned()
        };
        if version.is_empty() {
            return Ok(Vec::new());
        }
        let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        let path = format!("{}{within}/{plural}?limit={most}", root(&version));
        let mut list = self.api.read(&format!("list {resource}"), &path).await?.unwrap_or_default();
        let kind = text(&list, "/kind").trim_end_matches("List").to_owned();
        let Value::Array(mut items) = list["items"].take() else { return Ok(Vec::new()) };
        for item in &mut items {
            item["apiVersion"] = Value::from(version.as_str());
            item["kind"] = Value::from(kind.as_str());
        }
        Ok(items)
    }
}
