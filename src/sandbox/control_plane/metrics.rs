//! The aggregated API of metrics-server, `metrics.k8s.io/v1beta1`, with made-up numbers.
//!
//! Called by the egress. Nodes and pods are those of the cluster; usage is derived from names, so that it is the same in
//! every run. What the front proxy asserts about the user is not checked, since the apiserver is the only client.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::serve::{self, Answer, Handler};

const GROUP: &str = "metrics.k8s.io";
const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";

/// Answers in place of metrics-server.
pub(super) struct Metrics {
    pub(super) client: Client,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Question<'a> {
    Health,
    Groups,
    Group,
    Resources,
    Nodes,
    Node(&'a str),
    Pods { namespace: Option<&'a str> },
    Pod { namespace: &'a str, name: &'a str },
}

fn question(path: &str) -> Option<Question<'_>> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    Some(match parts.as_slice() {
        ["livez" | "readyz" | "healthz"] => Question::Health,
        ["apis"] => Question::Groups,
        ["apis", GROUP] => Question::Group,
        ["apis", GROUP, "v1beta1", rest @ ..] => match rest {
            [] => Question::Resources,
            ["nodes"] => Question::Nodes,
            ["nodes", name] => Question::Node(name),
            ["pods"] => Question::Pods { namespace: None },
            ["namespaces", namespace, "pods"] => Question::Pods { namespace: Some(namespace) },
            ["namespaces", namespace, "pods", name] => Question::Pod { namespace, name },
            _ => return None,
        },
        _ => return None,
    })
}

#[async_trait]
impl Handler for Metrics {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        if request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "metrics can only be read");
        }
        let path = request.uri().path();
        let Some(question) = question(path) else {
            return status(StatusCode::NOT_FOUND, "NotFound", &format!("nothing at {path}"));
        };
        match self.read(&question, &selection(request.uri().query().unwrap_or_default())).await {
            Ok(Some(answer)) => serve::json(StatusCode::OK, &answer),
            Ok(None) => status(StatusCode::NOT_FOUND, "NotFound", &format!("no metrics for {path}")),
            Err(error) => status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string()),
        }
    }
}

impl Metrics {
    async fn read(&self, question: &Question<'_>, selection: &ListParams) -> Result<Option<Value>, kube::Error> {
        let now = now();
        let nodes: Api<Node> = Api::all(self.client.clone());
        Ok(Some(match *question {
            Question::Health => Value::from("ok"),
            Question::Groups => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}),
            Question::Group => group(),
            Question::Resources => resources(),
            Question::Nodes => {
                let list = nodes.list(selection).await?;
                list_of("NodeMetricsList", list.iter().map(|node| node_metrics(node, &now)))
            }
            Question::Node(name) => return Ok(nodes.get_opt(name).await?.map(|node| node_metrics(&node, &now))),
            Question::Pods { namespace } => {
                let pods: Api<Pod> = match namespace {
                    Some(namespace) => Api::namespaced(self.client.clone(), namespace),
                    None => Api::all(self.client.clone()),
                };
                let list = pods.list(selection).await?;
                list_of("PodMetricsList", list.iter().filter_map(|pod| pod_metrics(pod, &now)))
            }
            Question::Pod { namespace, name } => {
                let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
                return Ok(pods.get_opt(name).await?.and_then(|pod| pod_metrics(&pod, &now)));
            }
        }))
    }
}

fn now() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string()
}

/// A failure in the words of the Kubernetes API, which clients can read.
fn status(code: StatusCode, reason: &str, message: &str) -> Answer {
    serve::json(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message,
        }),
    )
}

fn selection(query: &str) -> ListParams {
    let mut selection = ListParams::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "labelSelector" if !value.is_empty() => selection = selection.labels(&value),
            "fieldSelector" if !value.is_empty() => selection = selection.fields(&value),
            _ => {}
        }
    }
    selection
}

fn group() -> Value {
    let version = json!({"groupVersion": GROUP_VERSION, "version": "v1beta1"});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version})
}

fn resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": GROUP_VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

fn list_of(kind: &str, items: impl Iterator<Item = Value>) -> Value {
    json!({"kind": kind, "apiVersion": GROUP_VERSION, "metadata": {}, "items": items.collect::<Vec<_>>()})
}

fn node_metrics(node: &Node, now: &str) -> Value {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    json!({
        "kind": "NodeMetrics",
        "apiVersion": GROUP_VERSION,
        "metadata": {"name": name, "creationTimestamp": now, "labels": node.metadata.labels},
        "timestamp": now,
        "window": "20s",
        "usage": {"cpu": format!("{}m", number(&[name, "cpu"], 200, 900)), "memory": format!("{}Mi", number(&[name, "memory"], 900, 4000))},
    })
}

/// Only running pods have metrics.
fn pod_metrics(pod: &Pod, now: &str) -> Option<Value> {
    let running = pod.status.as_ref()?.phase.as_deref() == Some("Running");
    let spec = pod.spec.as_ref().filter(|_| running)?;
    let (namespace, name) = (pod.metadata.namespace.as_deref()?, pod.metadata.name.as_deref()?);
    let containers: Vec<_> = spec
        .containers
        .iter()
        .map(|container| {
            let key = [namespace, name, &container.name];
            json!({"name": container.name, "usage": {
                "cpu": format!("{}m", number(&key, 1, 50)),
                "memory": format!("{}Mi", number(&key, 12, 160)),
            }})
        })
        .collect();
    Some(json!({
        "kind": "PodMetrics",
        "apiVersion": GROUP_VERSION,
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": now, "labels": pod.metadata.labels},
        "timestamp": now,
        "window": "20s",
        "containers": containers,
    }))
}

/// A number between two bounds that depends on the names only.
fn number(names: &[&str], least: u32, below: u32) -> u32 {
    let hash = Sha256::digest(names.join("/"));
    let number = hash.iter().take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    least + number % (below - least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood() {
        assert_eq!(question("/apis/metrics.k8s.io/v1beta1"), Some(Question::Resources));
        assert_eq!(question("/apis/metrics.k8s.io/v1beta1/"), Some(Question::Resources));
        assert_eq!(question("/apis/metrics.k8s.io/v1beta1/nodes/a"), Some(Question::Node("a")));
        assert_eq!(
            question("/apis/metrics.k8s.io/v1beta1/namespaces/n/pods/p"),
            Some(Question::Pod { namespace: "n", name: "p" })
        );
        for path in
            ["/", "/apis/other", "/apis/metrics.k8s.io/v1", "/apis/metrics.k8s.io/v1beta1/services", "/openapi/v2"]
        {
            assert_eq!(question(path), None, "{path}");
        }
    }

    #[test]
    fn numbers_stay_in_bounds_and_stay_the_same() {
        let all: Vec<_> = (0..200).map(|index| number(&["node", &index.to_string()], 10, 20)).collect();
        assert!(all.iter().all(|number| (10..20).contains(number)));
        assert!(all.iter().any(|number| *number != all[0]));
        assert_eq!(number(&["a", "b"], 0, 1000), number(&["a", "b"], 0, 1000));
    }

    #[test]
    fn only_running_pods_have_metrics() {
        let pod = |phase: &str| {
            serde_json::from_value::<Pod>(json!({
                "metadata": {"name": "p", "namespace": "n"},
                "spec": {"containers": [{"name": "one"}, {"name": "two"}]},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        assert_eq!(pod_metrics(&pod("Pending"), "t"), None);
        assert_eq!(pod_metrics(&pod("Running"), "t").unwrap()["containers"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn selectors_are_passed_on() {
        let selection = selection("labelSelector=app%3Dlbc&fieldSelector=&limit=5");
        assert_eq!(selection.label_selector.as_deref(), Some("app=lbc"));
        assert_eq!(selection.field_selector, None);
    }
}
