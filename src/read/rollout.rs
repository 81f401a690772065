//! Whether workloads have rolled out, and if not, why: read from their status, their pods and their events.

mod cause;

use serde_json::Value;

use crate::error::Result;
use crate::object::is;
use crate::read::kube::{KubeRead, ObjectRef};

/// How far a set of workloads is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Whether every workload runs its present revision with all replicas ready.
    pub ready: bool,
    /// For people: `deployment 1/2 ready; pod ...x7k2 ImagePullBackOff: 403 from the registry`.
    pub text: String,
    /// What keeps it, where something is known to.
    pub cause: Option<String>,
}

/// Kinds that roll out, or run to their end.
pub(crate) const WORKLOADS: [&str; 4] = ["Deployment", "DaemonSet", "StatefulSet", JOB];
/// The kind that runs to its end. Helm does not wait for it, and the cluster may take it away afterwards.
const JOB: &str = "Job";

/// Looks at the workloads among `objects`.
///
/// # Errors
/// A read that failed.
pub async fn of(kube: &KubeRead, objects: &[ObjectRef]) -> Result<Rollout> {
    let mut parts = Vec::new();
    let mut ready = true;
    let mut cause = None;
    for reference in objects.iter().filter(|reference| WORKLOADS.contains(&reference.kind.as_str())) {
        let Some(workload) = kube.get(reference).await? else {
            if reference.kind == JOB {
                continue;
            }
            ready = false;
            parts.push(format!("{reference} does not exist yet"));
            continue;
        };
        let progress = progress(&workload);
        let done = if reference.kind == JOB { "done" } else { "ready" };
        parts.push(format!("{} {}/{} {done}", reference.kind.to_lowercase(), progress.have, progress.want));
        if !progress.ready {
            ready &= reference.kind == JOB;
            if cause.is_none() {
                cause = Box::pin(cause::of(kube, &workload, reference, progress.want)).await;
            }
        }
    }
    parts.extend(cause.clone());
    Ok(Rollout { ready, text: parts.join("; "), cause })
}

#[derive(Debug, PartialEq, Eq)]
struct Progress {
    ready: bool,
    have: i64,
    want: i64,
}

fn progress(workload: &Value) -> Progress {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    if workload["kind"] == JOB {
        let want = number("/spec/completions").unwrap_or(1);
        return Progress { ready: is(workload, "Complete"), have: number("/status/succeeded").unwrap_or(0), want };
    }
    let seen = number("/status/observedGeneration").unwrap_or(0) >= number("/metadata/generation").unwrap_or(0);
    let daemon = workload["kind"] == "DaemonSet" || number("/status/desiredNumberScheduled").is_some();
    let (want, have, updated) = if daemon {
        let want = number("/status/desiredNumberScheduled").unwrap_or(0);
        (want, number("/status/numberReady").unwrap_or(0), number("/status/updatedNumberScheduled").unwrap_or(0))
    } else {
        let want = number("/spec/replicas").unwrap_or(1);
        (want, number("/status/readyReplicas").unwrap_or(0), number("/status/updatedReplicas").unwrap_or(0))
    };
    Progress { ready: seen && have >= want && updated >= want, have, want }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_counts_the_present_revision_only() {
        let deployment = |generation: i64, ready: i64, updated: i64| {
            progress(&json!({
                "kind": "Deployment",
                "metadata": {"generation": generation},
                "spec": {"replicas": 2},
                "status": {"observedGeneration": 3, "readyReplicas": ready, "updatedReplicas": updated},
            }))
        };
        assert!(deployment(3, 2, 2).ready);
        assert!(!deployment(4, 2, 2).ready, "not yet observed");
        assert!(!deployment(3, 1, 2).ready);
        assert!(!deployment(3, 2, 1).ready, "old revision");
        let daemon_set = json!({"kind": "DaemonSet", "metadata": {"generation": 1}, "status": {
            "observedGeneration": 1, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 3}});
        assert_eq!(progress(&daemon_set), Progress { ready: true, have: 3, want: 3 });
    }

    #[test]
    fn a_job_is_done_when_it_completed() {
        let job = |status: Value| progress(&json!({"kind": "Job", "spec": {"completions": 2}, "status": status}));
        assert!(job(json!({"succeeded": 2, "conditions": [{"type": "Complete", "status": "True"}]})).ready);
        assert_eq!(job(json!({"succeeded": 1})), Progress { ready: false, have: 1, want: 2 });
    }
}
