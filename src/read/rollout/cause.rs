//! Why a workload does not roll out: its own conditions, its pods, and the events of both. The newest cause wins, since an
//! older one may be over. A cause is told beside what is known already, so what cannot be read is left out.

use jiff::Timestamp;
use serde_json::Value;

use crate::object::{condition, is, items, name, selector, text};
use crate::read::kube::{Few, KubeRead, ObjectRef};

/// So many pods of a workload are looked at.
const PODS: usize = 50;
/// For so many pods that do not tell themselves what keeps them, events are read.
const SILENT: usize = 3;
/// So many events of one object are read.
const EVENTS: usize = 100;

/// A cause, and since when it is known.
type Cause = (Timestamp, String);

/// What keeps a workload from being ready, where something is known to; `want` is how many pods it is to have.
pub(super) async fn of(kube: &KubeRead, workload: &Value, reference: &ObjectRef, want: i64) -> Option<String> {
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    let selector = selector(workload);
    let few = Few { api_version: "v1", kind: "Pod", namespace, labels: &selector, fields: "", most: PODS };
    // Without a selector these would be the pods of everybody.
    let pods = if selector.is_empty() { Vec::new() } else { kube.few(few).await.unwrap_or_default() };
    let mut causes: Vec<_> = of_conditions(workload).into_iter().chain(pods.iter().filter_map(trouble_of)).collect();
    // What was refused once is over where all pods are there.
    if i64::try_from(pods.len()).is_ok_and(|there| there < want) {
        causes.extend(newest_event(&events(kube, namespace, &reference.kind, &reference.name).await));
    }
    for pod in pods.iter().filter(|pod| !is(pod, "Ready") && trouble_of(pod).is_none()).take(SILENT) {
        let event = newest_event(&events(kube, namespace, "Pod", name(pod)).await);
        causes.extend(event.map(|(time, text)| (time, of_pod(pod, &text))));
    }
    newest(causes)
}

fn newest(causes: Vec<Cause>) -> Option<String> {
    // Of equally new ones the first, which is the workload's own.
    causes.into_iter().rev().max_by_key(|(time, _)| *time).map(|(_, text)| text)
}

async fn events(kube: &KubeRead, namespace: &str, kind: &str, name: &str) -> Vec<Value> {
    let fields = format!("type=Warning,involvedObject.kind={kind},involvedObject.name={name}");
    let few = Few { api_version: "v1", kind: "Event", namespace, labels: "", fields: &fields, most: EVENTS };
    kube.few(few).await.unwrap_or_default()
}

/// The newest of some events, as `FailedCreate: message`.
fn newest_event(events: &[Value]) -> Option<Cause> {
    let newest = events.iter().max_by_key(|event| time_of_event(event))?;
    Some((time_of_event(newest), said(text(newest, "/reason"), text(newest, "/message"))))
}

fn time_of_event(event: &Value) -> Timestamp {
    let pointers = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    pointers.into_iter().find_map(|pointer| time(event, pointer)).unwrap_or_default()
}

fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// A Deployment that may not create pods says so in a condition, and so does a Job that gave up.
fn of_conditions(workload: &Value) -> Option<Cause> {
    let failing = ["ReplicaFailure", "Failed"].into_iter().find_map(|kind| {
        condition(workload, kind).filter(|condition| condition["status"] == "True" && workload["kind"] != "DaemonSet")
    })?;
    Some((time(failing, "/lastTransitionTime").unwrap_or_default(), text(failing, "/message").to_owned()))
}

/// `Reason: the first line of the message`, not too long.
fn said(reason: &str, message: &str) -> String {
    let message: String = message.lines().next().unwrap_or_default().chars().take(300).collect();
    let colon = if message.is_empty() { "" } else { ": " };
    format!("{reason}{colon}{message}")
}

/// With the end of the pod's name: `pod ...x7k2q ImagePullBackOff: message`.
fn of_pod(pod: &Value, said: &str) -> String {
    let name = name(pod);
    let short: String = name.chars().skip(name.chars().count().saturating_sub(5)).collect();
    format!("pod ...{short} {said}")
}

/// What a pod itself says of what keeps it: its containers, where it could go, or why it was thrown out.
fn trouble_of(pod: &Value) -> Option<Cause> {
    let made = time(pod, "/metadata/creationTimestamp").unwrap_or_default();
    let statuses = items(pod, "/status/initContainerStatuses").chain(items(pod, "/status/containerStatuses"));
    for status in statuses {
        let ended = time(status, "/lastState/terminated/finishedAt").unwrap_or(made);
        let reason = text(status, "/state/waiting/reason");
        if !matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
            return Some((ended, of_pod(pod, &said(reason, last_words(status)))));
        }
        let terminated = &status["state"]["terminated"];
        if terminated["exitCode"].as_i64().is_some_and(|code| code != 0) {
            let reason = terminated["reason"].as_str().unwrap_or("Error");
            let ended = time(terminated, "/finishedAt").unwrap_or(made);
            return Some((ended, of_pod(pod, &said(reason, text(terminated, "/message")))));
        }
    }
    if text(pod, "/status/phase") == "Failed" {
        let reason = pod.pointer("/status/reason").and_then(Value::as_str).unwrap_or("Failed");
        return Some((made, of_pod(pod, &said(reason, text(pod, "/status/message")))));
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|scheduled| scheduled["status"] == "False")?;
    let reason = unscheduled["reason"].as_str().unwrap_or("Unschedulable");
    let since = time(unscheduled, "/lastTransitionTime").unwrap_or(made);
    Some((since, of_pod(pod, &said(reason, text(unscheduled, "/message")))))
}

/// The last end of a container tells more than the wait for its next start.
fn last_words(status: &Value) -> &str {
    let ended = &status["lastState"]["terminated"];
    let reason = Some(text(ended, "/reason")).filter(|reason| !matches!(*reason, "" | "Error" | "Completed"));
    ended["message"].as_str().or(reason).unwrap_or_else(|| text(status, "/state/waiting/message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said_of(pod: &Value) -> Option<String> {
        trouble_of(pod).map(|(_, text)| text)
    }

    #[test]
    fn the_trouble_of_a_pod_is_named() {
        let pod =
            |status: Value| json!({"metadata": {"name": "aws-load-balancer-controller-7d-x7k2q"}, "status": status});
        let waiting = |place: &str, waiting: Value, last: Value| {
            pod(json!({place: [{"state": {"waiting": waiting}, "lastState": {"terminated": last}}]}))
        };
        let back_off = || json!({"reason": "CrashLoopBackOff", "message": "back-off"});
        let cases = [
            (
                waiting("containerStatuses", json!({"reason": "ImagePullBackOff", "message": "403"}), Value::Null),
                "pod ...x7k2q ImagePullBackOff: 403",
            ),
            (
                waiting("containerStatuses", back_off(), json!({"message": "failed to get VPC ID"})),
                "pod ...x7k2q CrashLoopBackOff: failed to get VPC ID",
            ),
            (
                waiting("initContainerStatuses", back_off(), json!({"reason": "OOMKilled"})),
                "pod ...x7k2q CrashLoopBackOff: OOMKilled",
            ),
            (
                waiting("containerStatuses", back_off(), json!({"reason": "Error"})),
                "pod ...x7k2q CrashLoopBackOff: back-off",
            ),
            (
                pod(json!({"initContainerStatuses": [{"state": {"terminated": {"exitCode": 1, "message": "no"}}}]})),
                "pod ...x7k2q Error: no",
            ),
            (
                pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})),
                "pod ...x7k2q Evicted: low on memory",
            ),
            (
                pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": "0/2 nodes are available"}]})),
                "pod ...x7k2q Unschedulable: 0/2 nodes are available",
            ),
        ];
        for (pod, text) in cases {
            assert_eq!(said_of(&pod).as_deref(), Some(text), "{pod}");
        }
        assert_eq!(said_of(&waiting("containerStatuses", json!({"reason": "ContainerCreating"}), Value::Null)), None);
    }

    #[test]
    fn workloads_that_give_up_say_so_in_a_condition() {
        let of = |kind: &str, condition: &str, status: &str| {
            of_conditions(&json!({"kind": kind, "status": {"conditions": [
                {"type": condition, "status": status, "message": "no", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
            .map(|(_, text)| text)
        };
        assert_eq!(of("Deployment", "ReplicaFailure", "True").as_deref(), Some("no"));
        assert_eq!(of("Job", "Failed", "True").as_deref(), Some("no"));
        assert_eq!(of("Deployment", "ReplicaFailure", "False"), None);
        assert_eq!(of("Deployment", "Available", "True"), None);
    }

    #[test]
    fn the_newest_cause_wins() {
        let event = |reason: &str, time: &str| json!({"reason": reason, "message": "m\nn", "lastTimestamp": time});
        let events = [event("FailedMount", "2026-01-01T00:00:05Z"), event("FailedCreate", "2026-01-01T00:00:01Z")];
        let (time, text) = newest_event(&events).unwrap();
        assert_eq!(text, "FailedMount: m");
        let series = json!({"reason": "Unhealthy", "eventTime": "2025-01-01T00:00:00.000001Z",
            "series": {"lastObservedTime": "2026-01-01T00:00:06.000001Z"}, "lastTimestamp": null});
        let (later, other) = newest_event(&[series]).unwrap();
        assert!(later > time);
        assert_eq!(newest(vec![(time, text.clone()), (later, other.clone())]), Some(other));
        assert_eq!(newest(vec![(time, text.clone()), (time, "second".to_owned())]), Some(text));
        assert_eq!(newest(Vec::new()), None);
    }
}
