//! What a cluster offers to charts: its version and the kinds that it serves, in the form that helm's `.Capabilities` has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::{KubeRead, root};
use crate::error::{Error, KubeError, Result};
use crate::flight::Flights;
use crate::object::{items, text};

/// How many groups are asked side by side.
const AT_ONCE: usize = 8;
/// How long one group may take: one that an unavailable server aggregates is left out, as helm does.
const PER_GROUP: Duration = Duration::from_secs(3);

/// What charts may ask of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// As the API server says it: `v1.35.2-eks-1a2b3c4`.
    pub kubernetes: String,
    /// `apps/v1` and `apps/v1/Deployment`; the core group is `v1` and `v1/Pod`.
    pub api_versions: BTreeSet<String>,
}

/// Asked once for a run.
pub(super) type Known = Flights<(), Arc<Capabilities>>;

impl KubeRead {
    /// Version and kinds of the cluster; the first answer holds for the run, so that a plan and the run after it agree.
    ///
    /// # Errors
    /// The version or the list of groups cannot be read.
    pub async fn capabilities(&self) -> Result<Arc<Capabilities>> {
        let reader = self.clone();
        self.capabilities.get((), || async move { reader.read_capabilities().await.map(Arc::new) }).await
    }

    async fn read_capabilities(&self) -> Result<Capabilities> {
        let missing = |path: &str| {
            Error::Kube(KubeError {
                operation: format!("read {path}"),
                status: Some(404),
                reason: "NotFound".to_owned(),
                message: "the API server does not answer it".to_owned(),
            })
        };
        let get = |path: &'static str| async move {
            self.api.read(&format!("read {path}"), path).await?.ok_or_else(|| missing(path))
        };
        let (version, core, groups) = futures::try_join!(get("/version"), get("/api"), get("/apis"))?;
        let versions: Vec<_> = items(&core, "/versions")
            .filter_map(|version| version.as_str().map(ToOwned::to_owned))
            .chain(
                items(&groups, "/groups")
                    .flat_map(|group| items(group, "/versions"))
                    .map(|version| text(version, "/groupVersion").to_owned()),
            )
            .collect();
        let each = stream::iter(versions).map(|version| async move {
            let path = root(&version);
            let kinds = tokio::time::timeout(PER_GROUP, self.api.read(&format!("discover {version}"), &path)).await;
            match kinds {
                Ok(Err(error)) if error.denied() => Err(error),
                Ok(Ok(Some(list))) => Ok(kinds_of(&version, &list)),
                Ok(Ok(None) | Err(_)) | Err(_) => Ok(Vec::new()),
            }
        });
        let api_versions: Vec<Vec<String>> = each.buffered(AT_ONCE).try_collect().await?;
        let kubernetes = text(&version, "/gitVersion").to_owned();
        Ok(Capabilities { kubernetes, api_versions: api_versions.into_iter().flatten().collect() })
    }
}

/// The version itself, and each of its kinds.
fn kinds_of(version: &str, list: &Value) -> Vec<String> {
    let kinds = items(list, "/resources").map(|resource| format!("{version}/{}", text(resource, "/kind")));
    std::iter::once(version.to_owned()).chain(kinds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_are_written_as_charts_ask_for_them() {
        let list = json!({"resources": [{"kind": "Pod", "name": "pods"}, {"kind": "Binding", "name": "pods/binding"}]});
        assert_eq!(kinds_of("v1", &list), ["v1", "v1/Pod", "v1/Binding"]);
        let list = json!({"resources": [{"kind": "VolumeSnapshot", "name": "volumesnapshots"}]});
        let found = kinds_of("snapshot.storage.k8s.io/v1", &list);
        assert_eq!(found, ["snapshot.storage.k8s.io/v1", "snapshot.storage.k8s.io/v1/VolumeSnapshot"]);
    }
}
