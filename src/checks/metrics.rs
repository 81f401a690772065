//! The metrics API, which autoscalers and `kubectl top` read.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::error::Result;
use crate::object::{full_name, is, items, some_of, text};
use crate::read::kube::ObjectRef;

const INSTALLED: &[Stage] = &[Stage::Installed];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-MET-001",
        title: "the metrics API is available",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "an API that is registered and does not answer also holds up the deletion of every namespace",
        breaks: "autoscalers do nothing, kubectl top fails, namespaces hang in Terminating",
        mend: "install metrics-server, or mend the one that does not answer",
        references: &["kubernetes-sigs/metrics-server#1010", "kubernetes-sigs/metrics-server#1271"],
    },
    Check {
        id: "EKB-MET-002",
        title: "the metrics API answers with numbers of the nodes",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "metrics-server may be up and not reach the kubelets",
        breaks: "autoscalers report unknown and do nothing",
        mend: "look at what metrics-server says about the nodes",
        references: &["kubernetes-sigs/metrics-server#1271", "terraform-aws-modules/terraform-aws-eks#1809"],
    },
    Check {
        id: "EKB-MET-003",
        title: "every autoscaler reads its metrics",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "an autoscaler without numbers keeps the number of replicas as it is",
        breaks: "workloads are not scaled under load, without any error to be seen",
        mend: "install metrics-server, or give the autoscaler's pods requests of what it scales by",
        references: &["https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"],
    },
];

const AVAILABLE: &Check = &CHECKS[0];
const NUMBERS: &Check = &CHECKS[1];
const AUTOSCALERS: &Check = &CHECKS[2];

const API: &str = "v1beta1.metrics.k8s.io";
const INSTALL: &str = "eks-bootstrap apply --enable metrics-server";

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move { look(scene).await.unwrap_or_else(|error| CHECKS.iter().map(|check| check.unread(&error)).collect()) }
        .boxed()
}

async fn look(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let kube = &scene.cx.kube;
    let reference = ObjectRef::new("apiregistration.k8s.io/v1", "APIService", "", API);
    let reference = ObjectRef { namespace: None, ..reference };
    let (api, autoscalers) =
        futures::try_join!(kube.get(&reference), kube.list("autoscaling/v2", "HorizontalPodAutoscaler", "", ""))?;
    let available = available(api.as_ref(), autoscalers.len());
    let works = available.verdict == crate::check::Verdict::Passed;
    let numbers = if works {
        let nodes = kube.list("metrics.k8s.io/v1beta1", "NodeMetrics", "", "").await;
        nodes.map_or_else(|error| NUMBERS.unread(&error), |nodes| of_nodes(&nodes))
    } else {
        NUMBERS.skipped(format!("needs {}", AVAILABLE.id))
    };
    Ok(vec![available, numbers, read_by(&autoscalers, works)])
}

fn available(api: Option<&Value>, autoscalers: usize) -> Finding {
    let Some(api) = api else {
        if autoscalers == 0 {
            return AVAILABLE.skipped("metrics-server is not installed, and no autoscaler wants it");
        }
        let says = format!("{autoscalers} autoscalers, and no metrics API");
        return AVAILABLE.failed(says, format!("no APIService {API}"), "metrics-server", INSTALL);
    };
    if is(api, "Available") {
        return AVAILABLE.passed(format!("{API} is available"));
    }
    let condition = items(api, "/status/conditions").find(|condition| condition["type"] == "Available");
    let said = condition.map_or("not asked yet", |condition| text(condition, "/message"));
    let (name, namespace) = (text(api, "/spec/service/name"), text(api, "/spec/service/namespace"));
    let mend = format!("kubectl describe pods -n {namespace} -l app.kubernetes.io/name={name}");
    AVAILABLE.failed(format!("{API} is registered and does not answer"), said, "Available", mend)
}

fn of_nodes(nodes: &[Value]) -> Finding {
    if nodes.is_empty() {
        let mend = "kubectl logs deployment/metrics-server -n kube-system";
        return NUMBERS.failed("the metrics API has no numbers", "0 nodes", "numbers of every node", mend);
    }
    NUMBERS.passed(format!("numbers of {} nodes", nodes.len()))
}

/// Whether autoscalers say that they read what they scale by.
fn read_by(autoscalers: &[Value], works: bool) -> Finding {
    if autoscalers.is_empty() {
        return AUTOSCALERS.passed("no autoscaler");
    }
    let blind: Vec<_> = autoscalers
        .iter()
        .filter(|autoscaler| {
            items(autoscaler, "/status/conditions")
                .any(|condition| condition["type"] == "ScalingActive" && condition["status"] == "False")
        })
        // One that is scaled to nothing is switched off, not blind.
        .filter(|autoscaler| !items(autoscaler, "/status/conditions").any(|it| it["reason"] == "ScalingDisabled"))
        .collect();
    let Some(first) = blind.first() else { return AUTOSCALERS.passed(format!("{} autoscalers", autoscalers.len())) };
    let names: Vec<_> = blind.iter().map(|autoscaler| full_name(autoscaler)).collect();
    let said = items(first, "/status/conditions").find(|condition| condition["type"] == "ScalingActive");
    let said = said.map(|condition| text(condition, "/message")).unwrap_or_default();
    let mend = if works {
        let (namespace, name) = names[0].split_once('/').unwrap_or_default();
        format!("kubectl describe hpa {name} -n {namespace}")
    } else {
        INSTALL.to_owned()
    };
    AUTOSCALERS.failed(format!("autoscalers without metrics: {}", some_of(&names)), said, "ScalingActive", mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_absent_api_counts_where_someone_wants_it() {
        let api =
            |status: &str| json!({"status": {"conditions": [{"type": "Available", "status": status, "message": "x"}]}});
        assert_eq!(available(None, 0).severity(), None);
        assert_eq!(available(None, 1).severity(), Some(Severity::Error));
        assert_eq!(available(Some(&api("True")), 0).severity(), None);
        assert_eq!(available(Some(&api("False")), 0).severity(), Some(Severity::Error));
    }

    #[test]
    fn blind_autoscalers_are_named() {
        let scaler = |status: &str, reason: &str| {
            json!({"metadata": {"name": "a", "namespace": "b"}, "status": {"conditions": [
                {"type": "ScalingActive", "status": status, "reason": reason, "message": "m"}]}})
        };
        assert_eq!(read_by(&[], false).severity(), None);
        assert_eq!(read_by(&[scaler("True", "")], true).severity(), None);
        assert_eq!(read_by(&[scaler("False", "ScalingDisabled")], true).severity(), None);
        assert!(read_by(&[scaler("False", "FailedGetResourceMetric")], false).says.contains("b/a"));
    }
}
