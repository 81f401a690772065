//! Whether workloads have rolled out, and if not, why: read from their status, their pods and their events.

use serde_json::Value;

use crate::error::Result;
use crate::object::{condition, selector};
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

/// Kinds that roll out.
pub(crate) const WORKLOADS: [&str; 3] = ["Deployment", "DaemonSet", "StatefulSet"];

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
            ready = false;
            parts.push(format!("{reference} does not exist yet"));
            continue;
        };
        let progress = progress(&workload);
        parts.push(format!("{} {}/{} ready", reference.kind.to_lowercase(), progress.have, progress.want));
        if !progress.ready {
            ready = false;
            if cause.is_none() {
                cause = match cause_of(kube, &workload, reference).await {
                    // What may not be read explains nothing.
                    Err(error) if error.denied() => None,
                    cause => cause?,
                };
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

async fn cause_of(kube: &KubeRead, workload: &Value, reference: &ObjectRef) -> Result<Option<String>> {
    // A Deployment that may not create pods says so in a condition; DaemonSets only in events.
    if let Some(condition) = condition(workload, "ReplicaFailure").filter(|failing| failing["status"] == "True") {
        return Ok(condition["message"].as_str().map(ToOwned::to_owned));
    }
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    let pods = kube.list("v1", "Pod", namespace, &selector(workload)).await?;
    Ok(pods.iter().find_map(trouble_of))
}

/// What keeps a pod from being ready, with the end of its name: `pod ...x7k2 ImagePullBackOff: message`.
fn trouble_of(pod: &Value) -> Option<String> {
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let short: String = name.chars().skip(name.chars().count().saturating_sub(5)).collect();
    let say = |reason: &str, message: &str| {
        let message: String = message.lines().next().unwrap_or_default().chars().take(200).collect();
        let colon = if message.is_empty() { "" } else { ": " };
        Some(format!("pod ...{short} {reason}{colon}{message}"))
    };
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|pointer| pod.pointer(pointer).and_then(Value::as_array))
        .flatten();
    for status in statuses {
        let waiting = &status["state"]["waiting"];
        let reason = waiting["reason"].as_str().unwrap_or_default();
        if !matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
            // The last end of the container tells more than the wait for its next start.
            let ended = status.pointer("/lastState/terminated/message").and_then(Value::as_str);
            return say(reason, ended.or(waiting["message"].as_str()).unwrap_or_default());
        }
        let terminated = &status["state"]["terminated"];
        if terminated["exitCode"].as_i64().is_some_and(|code| code != 0) {
            return say(
                terminated["reason"].as_str().unwrap_or("Error"),
                terminated["message"].as_str().unwrap_or_default(),
            );
        }
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|scheduled| scheduled["status"] == "False")?;
    say(unscheduled["reason"].as_str().unwrap_or("Unschedulable"), unscheduled["message"].as_str().unwrap_or_default())
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
    fn the_trouble_of_a_pod_is_named() {
        let pod =
            |status: Value| json!({"metadata": {"name": "aws-load-balancer-controller-7d-x7k2q"}, "status": status});
        let pulling =
            json!({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "403"}}}]});
        assert_eq!(trouble_of(&pod(pulling)).as_deref(), Some("pod ...x7k2q ImagePullBackOff: 403"));
        let crashing = json!({"containerStatuses": [{
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "lastState": {"terminated": {"message": "failed to get VPC ID"}},
        }]});
        assert_eq!(trouble_of(&pod(crashing)).as_deref(), Some("pod ...x7k2q CrashLoopBackOff: failed to get VPC ID"));
        let waiting = json!({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]});
        assert_eq!(trouble_of(&pod(waiting)), None);
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/2 nodes are available"}]});
        assert_eq!(
            trouble_of(&pod(unscheduled)).as_deref(),
            Some("pod ...x7k2q Unschedulable: 0/2 nodes are available")
        );
    }
}
