//! Whether an aspect of the smoke workload works by now and, if not, what keeps it: read from the objects and their events.

use serde_json::Value;

use super::plan::{Plan, cluster_wide};
use super::{Aspect, Scheme, http};
use crate::error::Result;
use crate::object::{condition, text};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::rollout;

/// What was seen of an aspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// It works.
    Met(String),
    /// Not yet.
    Waiting(String),
}

/// Looks at an aspect.
///
/// # Errors
/// A read that failed.
pub(super) async fn look(kube: &KubeRead, plan: &Plan, aspect: Aspect) -> Result<Look> {
    let namespace = &plan.options.namespace;
    let of = |api_version: &str, kind: &str, name: &str| ObjectRef::new(api_version, kind, namespace, name);
    match aspect {
        Aspect::Namespace => {
            let found = kube.get(&cluster_wide("v1", "Namespace", namespace)).await?.unwrap_or_default();
            Ok(match text(&found, "/status/phase") {
                "Active" => Look::Met(format!("{namespace} with restricted pod security")),
                phase => Look::Waiting(format!("namespace {namespace} is {phase}")),
            })
        }
        Aspect::Rollout => {
            let rollout = rollout::of(kube, &[of("apps/v1", "Deployment", "web")]).await?;
            Ok(if rollout.ready { Look::Met(rollout.text) } else { Look::Waiting(rollout.text) })
        }
        Aspect::Volume => volume(kube, namespace).await,
        Aspect::Address => {
            let ingress = of("networking.k8s.io/v1", "Ingress", "web");
            let found = kube.get(&ingress).await?.unwrap_or_default();
            if let Some((host, port)) = address(&found) {
                return Ok(Look::Met(shown(&host, port)));
            }
            let warned = warning(kube, &ingress).await?;
            Ok(Look::Waiting(
                warned.unwrap_or_else(|| "no address yet, and the controller has said nothing".to_owned()),
            ))
        }
        Aspect::Http => http_through(kube, plan, &of("networking.k8s.io/v1", "Ingress", "web")).await,
        Aspect::Autoscaler => {
            let autoscaler = of("autoscaling/v2", "HorizontalPodAutoscaler", "web");
            Ok(autoscaling(&kube.get(&autoscaler).await?.unwrap_or_default()))
        }
        Aspect::DisruptionBudget => {
            let budget = of("policy/v1", "PodDisruptionBudget", "web");
            Ok(disruptions(&kube.get(&budget).await?.unwrap_or_default()))
        }
    }
}

/// The claim is bound, and the pod that has to write to the volume is ready.
async fn volume(kube: &KubeRead, namespace: &str) -> Result<Look> {
    let claim = ObjectRef::new("v1", "PersistentVolumeClaim", namespace, "data-data-0");
    let set = ObjectRef::new("apps/v1", "StatefulSet", namespace, "data");
    let found = kube.get(&claim).await?.unwrap_or_default();
    if text(&found, "/status/phase") != "Bound" {
        if let Some(warned) = warning(kube, &claim).await? {
            return Ok(Look::Waiting(warned));
        }
        let rollout = rollout::of(kube, &[set]).await?;
        return Ok(Look::Waiting(rollout.cause.unwrap_or_else(|| "the claim is not bound yet".to_owned())));
    }
    let rollout = rollout::of(kube, &[set]).await?;
    let volume = format!("{} of {}", text(&found, "/spec/volumeName"), text(&found, "/status/capacity/storage"));
    Ok(if rollout.ready { Look::Met(volume) } else { Look::Waiting(format!("{volume} is bound; {}", rollout.text)) })
}

async fn http_through(kube: &KubeRead, plan: &Plan, ingress: &ObjectRef) -> Result<Look> {
    let found = kube.get(ingress).await?.unwrap_or_default();
    let Some((host, port)) = address(&found) else {
        return Ok(Look::Waiting("the load balancer has no address yet".to_owned()));
    };
    Ok(match http::status(&host, port).await {
        Ok(200) => Look::Met(format!("http://{}/", shown(&host, port))),
        Ok(status) => Look::Waiting(format!("http://{}/ answers {status}", shown(&host, port))),
        Err(error) if plan.options.scheme == Scheme::Internal => {
            Look::Waiting(format!("{error}; the load balancer is internal: is this machine inside the VPC?"))
        }
        Err(error) => Look::Waiting(error),
    })
}

fn shown(host: &str, port: u16) -> String {
    if port == 80 { host.to_owned() } else { format!("{host}:{port}") }
}

/// Host and port of a load balancer in the status of an Ingress.
fn address(ingress: &Value) -> Option<(String, u16)> {
    let entry = ingress.pointer("/status/loadBalancer/ingress/0")?;
    let host = entry["hostname"].as_str().or(entry["ip"].as_str())?;
    let port = entry.pointer("/ports/0/port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    Some((host.to_owned(), port.unwrap_or(80)))
}

/// Whether the autoscaler reads metrics, by its own conditions.
fn autoscaling(autoscaler: &Value) -> Look {
    let Some(active) = condition(autoscaler, "ScalingActive") else {
        return Look::Waiting("the autoscaler has not looked yet".to_owned());
    };
    if active["status"] == "True" {
        let used = autoscaler.pointer("/status/currentMetrics/0/resource/current/averageUtilization");
        let used = used.and_then(Value::as_u64).map_or_else(|| "CPU".to_owned(), |used| format!("CPU at {used}%"));
        return Look::Met(format!("{used} of the request"));
    }
    Look::Waiting(format!("{}: {}", text(active, "/reason"), text(active, "/message")))
}

/// Whether the budget has counted its pods and lets one go.
fn disruptions(budget: &Value) -> Look {
    let number = |pointer: &str| budget.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (allowed, healthy, wanted) =
        (number("/status/disruptionsAllowed"), number("/status/currentHealthy"), number("/status/desiredHealthy"));
    if number("/status/observedGeneration") >= number("/metadata/generation") && allowed > 0 {
        return Look::Met(format!("{allowed} of {healthy} pods may be disrupted"));
    }
    Look::Waiting(format!("{healthy} pods are healthy, {wanted} must stay, {allowed} may be disrupted"))
}

/// The latest warning event about an object.
async fn warning(kube: &KubeRead, object: &ObjectRef) -> Result<Option<String>> {
    let namespace = object.namespace.as_deref().unwrap_or_default();
    Ok(last_warning(&kube.list("v1", "Event", namespace, "").await?, object))
}

fn last_warning(events: &[Value], object: &ObjectRef) -> Option<String> {
    let about = |event: &&Value| {
        event["type"] == "Warning"
            && event["involvedObject"]["kind"] == object.kind.as_str()
            && event["involvedObject"]["name"] == object.name.as_str()
    };
    // Events of the newer API have `eventTime` and no `lastTimestamp`.
    let when = |event: &&Value| {
        let times = ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
        times.iter().map(|pointer| text(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default().to_owned()
    };
    let last = events.iter().filter(about).max_by_key(when)?;
    Some(format!("{}: {}", text(last, "/reason"), text(last, "/message")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_names_or_numbers_with_or_without_a_port() {
        let of = |entry: Value| address(&json!({"status": {"loadBalancer": {"ingress": [entry]}}}));
        assert_eq!(of(json!({"hostname": "a.elb.amazonaws.com"})), Some(("a.elb.amazonaws.com".to_owned(), 80)));
        let with_port = json!({"ip": "127.0.0.1", "ports": [{"port": 8080, "protocol": "TCP"}]});
        assert_eq!(of(with_port), Some(("127.0.0.1".to_owned(), 8080)));
        assert_eq!(of(json!({})), None);
        assert_eq!(address(&json!({"status": {"loadBalancer": {}}})), None);
    }

    #[test]
    fn the_autoscaler_says_itself_what_it_misses() {
        let with = |status: &str| {
            let message = "unable to get metrics for resource cpu";
            let condition = json!({"type": "ScalingActive", "status": status, "reason": "FailedGetResourceMetric", "message": message});
            autoscaling(&json!({"status": {"conditions": [condition], "currentMetrics": [
                {"resource": {"current": {"averageUtilization": 4}}}]}}))
        };
        assert_eq!(with("True"), Look::Met("CPU at 4% of the request".to_owned()));
        let waiting = "FailedGetResourceMetric: unable to get metrics for resource cpu";
        assert_eq!(with("False"), Look::Waiting(waiting.to_owned()));
        assert!(matches!(autoscaling(&json!({})), Look::Waiting(_)));
    }

    #[test]
    fn a_budget_counts_once_it_was_observed() {
        let budget = |observed: i64, allowed: i64| {
            disruptions(&json!({"metadata": {"generation": 1}, "status": {"observedGeneration": observed,
                "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 1}}))
        };
        assert_eq!(budget(1, 1), Look::Met("1 of 2 pods may be disrupted".to_owned()));
        assert!(matches!(budget(0, 1), Look::Waiting(_)));
        assert!(matches!(budget(1, 0), Look::Waiting(_)));
    }

    #[test]
    fn the_latest_warning_about_the_object_itself_counts() {
        let event = |name: &str, kind: &str, when: &str| {
            json!({"type": kind, "involvedObject": {"kind": "Ingress", "name": name}, "reason": when, "message": "m",
                   "lastTimestamp": when})
        };
        let events = [
            event("web", "Warning", "2026-01-01T00:00:02Z"),
            event("web", "Warning", "2026-01-01T00:00:01Z"),
            event("other", "Warning", "2026-01-01T00:00:09Z"),
            event("web", "Normal", "2026-01-01T00:00:09Z"),
        ];
        let web = ObjectRef::new("networking.k8s.io/v1", "Ingress", "n", "web");
        assert_eq!(last_warning(&events, &web).as_deref(), Some("2026-01-01T00:00:02Z: m"));
        assert_eq!(last_warning(&[], &web), None);
    }
}
