//! Removes what a run has made, in the order in which nothing is left in AWS: load balancer and volume first, while their
//! objects still say whose they are, then the namespace and the temporary StorageClass. Names what stays.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::plan::{LeftOver, cluster_wide};
use crate::error::Result;
use crate::object::items;
use crate::op::kube::{KubeOp, KubeWrite};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::retry::BackOff;

/// What has to be gone before its namespace is deleted: the controllers' finalizers are taken off while it still exists.
const FIRST: [(&str, &str); 5] = [
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("v1", "PersistentVolumeClaim"),
    // A namespace that still has pods looks again only after half of their grace period.
    ("v1", "Pod"),
];
/// What is left when the namespace's objects are gone takes moments.
const LAST_PATIENCE: Duration = Duration::from_mins(1);
/// A sign of life.
const SIGN: Duration = Duration::from_secs(5);

/// Removes everything of `what` and returns what stays, with what holds it. `told` hears what is still there.
pub(super) async fn remove(
    kube: &KubeRead,
    write: &KubeWrite,
    what: &LeftOver,
    patience: Duration,
    told: &(dyn Fn(Vec<String>) + Send + Sync),
) -> Vec<String> {
    let dependants = async || {
        let mut found = Vec::new();
        for namespace in &what.namespaces {
            found.extend(dependants(kube, namespace).await?);
        }
        Ok(found)
    };
    let mut stays = until_gone(write, patience, told, dependants).await;
    let rest = async || {
        let namespaces = what.namespaces.iter().map(|name| cluster_wide("v1", "Namespace", name));
        let classes = what.classes.iter().map(|name| cluster_wide("storage.k8s.io/v1", "StorageClass", name));
        let mut found = Vec::new();
        for reference in namespaces.chain(classes) {
            found.extend(kube.get(&reference).await?.map(|object| Left::of(reference, &object)));
        }
        Ok(found)
    };
    stays.extend(until_gone(write, LAST_PATIENCE, told, rest).await);
    stays
}

/// Something that is still there.
struct Left {
    reference: ObjectRef,
    going: bool,
    /// Only waited for: someone else deletes it.
    waited_for: bool,
    held_by: Vec<String>,
}

impl Left {
    fn of(reference: ObjectRef, object: &Value) -> Left {
        // A namespace says in its conditions what it waits for.
        let waits = items(object, "/status/conditions")
            .filter(|condition| condition["type"] == "NamespaceFinalizersRemaining" && condition["status"] == "True")
            .filter_map(|condition| condition["message"].as_str());
        let held_by = items(object, "/metadata/finalizers").filter_map(Value::as_str).chain(waits);
        Left {
            going: object.pointer("/metadata/deletionTimestamp").is_some(),
            waited_for: false,
            held_by: held_by.map(ToOwned::to_owned).collect(),
            reference,
        }
    }

    fn name(&self) -> String {
        if self.held_by.is_empty() {
            self.reference.to_string()
        } else {
            format!("{} (held by {})", self.reference, self.held_by.join(", "))
        }
    }
}

/// Load balancers, workloads, claims, and what goes with them: pods and volumes.
async fn dependants(kube: &KubeRead, namespace: &str) -> Result<Vec<Left>> {
    let mut found = Vec::new();
    for (api_version, kind) in FIRST {
        for object in kube.list(api_version, kind, namespace, "").await? {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let left = Left::of(ObjectRef::new(api_version, kind, namespace, name), &object);
            found.push(Left { waited_for: kind == "Pod", ..left });
        }
    }
    for volume in kube.list("v1", "PersistentVolume", "", "").await? {
        let name = volume.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        if volume.pointer("/spec/claimRef/namespace").and_then(Value::as_str) == Some(namespace) {
            let left = Left::of(cluster_wide("v1", "PersistentVolume", name), &volume);
            found.push(Left { waited_for: true, ..left });
        }
    }
    Ok(found)
}

/// Deletes what `look` finds until it finds nothing, or the time is over.
async fn until_gone(
    write: &KubeWrite,
    patience: Duration,
    told: &(dyn Fn(Vec<String>) + Send + Sync),
    look: impl AsyncFn() -> Result<Vec<Left>>,
) -> Vec<String> {
    let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(1), patience);
    let mut signed = Instant::now();
    loop {
        let (names, problem) = match look().await {
            Ok(left) if left.is_empty() => return Vec::new(),
            Ok(left) => {
                let mut problem = None;
                for object in left.iter().filter(|left| !left.going && !left.waited_for) {
                    let op = KubeOp::Delete { object: object.reference.clone() };
                    problem = problem.or(op.run(write).await.err());
                }
                (left.iter().map(Left::name).collect::<Vec<_>>(), problem)
            }
            Err(error) => (vec!["what is left cannot be read".to_owned()], Some(error)),
        };
        if signed.elapsed() >= SIGN {
            signed = Instant::now();
            told(names.clone());
        }
        if !back_off.wait().await {
            let problem = problem.map(|error| format!(": {error}")).unwrap_or_default();
            return names.into_iter().map(|name| format!("{name}{problem}")).collect();
        }
    }
}
