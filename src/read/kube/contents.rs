//! Everything in a namespace, of every kind that the API server lists: what deleting it would take along.

use futures::future::try_join_all;
use serde_json::Value;

use super::{KubeRead, root};
use crate::error::Result;
use crate::object::{items, text};

/// Groups that show objects of other groups once more, or only answer questions.
const VIEWS: [&str; 2] = ["metrics.k8s.io", "events.k8s.io"];

impl KubeRead {
    /// Every object in a namespace.
    ///
    /// # Errors
    /// A kind that cannot be read: then nobody knows what is there.
    pub async fn contents(&self, namespace: &str) -> Result<Vec<Value>> {
        let groups = self.api.read("discover API groups", "/apis").await?.unwrap_or_default();
        let versions = items(&groups, "/groups")
            .filter(|group| !VIEWS.contains(&text(group, "/name")))
            .map(|group| text(group, "/preferredVersion/groupVersion").to_owned());
        let versions = versions.chain(["v1".to_owned()]).filter(|version| !version.is_empty());
        let each = versions.map(|version| async move { self.of_version(&version, namespace).await });
        Ok(try_join_all(each).await?.concat())
    }

    async fn of_version(&self, version: &str, namespace: &str) -> Result<Vec<Value>> {
        let root = root(version);
        let list = self.api.read(&format!("discover {version}"), &root).await?.unwrap_or_default();
        let mut all = Vec::new();
        for resource in items(&list, "/resources") {
            let listed = items(resource, "/verbs").any(|verb| verb == "list");
            let (plural, kind) = (text(resource, "/name"), text(resource, "/kind"));
            if resource["namespaced"] != true || !listed || plural.contains('/') {
                continue;
            }
            for mut object in self.list(version, kind, namespace, "").await? {
                object["apiVersion"] = Value::from(version);
                object["kind"] = Value::from(kind);
                all.push(object);
            }
        }
        Ok(all)
    }
}
