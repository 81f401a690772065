//! The Pod Identity agent's DaemonSet, which EKS makes with the add-on and takes away with it.

use serde_json::{Value, json};

use super::cluster::{Cluster, SIMULATED};
use crate::error::Result;
use crate::read::kube::ObjectRef;
use crate::steps::pod_identity_agent::{NAME, daemon_set};

/// Makes it while the add-on is ACTIVE, and deletes it afterwards. One that someone else made stays.
pub(super) async fn reconcile(cluster: &Cluster) -> Result<()> {
    let found = cluster.read.get(&daemon_set()).await?;
    match (cluster.simulator.addon_is_active(&cluster.place.cluster, NAME), found) {
        (true, None) => cluster.create(&manifest()).await,
        (false, Some(found)) if found["metadata"]["annotations"][SIMULATED].is_string() => cluster.delete(&found).await,
        _ => Ok(()),
    }
}

fn manifest() -> Value {
    let ObjectRef { api_version, kind, namespace, name } = daemon_set();
    let labels = json!({"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "EKS"});
    let selector = json!({"app.kubernetes.io/name": NAME});
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": name, "namespace": namespace, "labels": labels,
            "annotations": {SIMULATED: "made by the eks-bootstrap sandbox, as EKS makes it with the add-on"},
        },
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": selector},
                "spec": {
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": NAME, "image": "eks/eks-pod-identity-agent:simulated", "args": ["server"]}],
                },
            },
        },
    })
}
