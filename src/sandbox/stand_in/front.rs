//! The simulated load balancers' address: a loopback HTTP server each, that answers 200 only if the Service behind has
//! ready endpoints.
//!
//! It forwards nothing, since no container runs: the body says what it stands for. Routes are read from the Ingresses at
//! each request, by host and path as an ALB would choose, and everything else gets an ALB's 404.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::cluster::{Cluster, text};
use super::stack::{self, Stack, StackId, Target};
use crate::error::Result;

/// One simulated load balancer's server; it ends when it is dropped.
pub(super) struct Front {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    /// Starts answering on a free port.
    pub(super) async fn start(cluster: Arc<Cluster>, id: StackId) -> std::io::Result<Front> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        let (cluster, id) = (Arc::clone(&cluster), id.clone());
                        connections.spawn(async move {
                            let service = service_fn(move |request| answer(Arc::clone(&cluster), id.clone(), request));
                            // A client that goes away is no concern of the sandbox.
                            let _ = hyper::server::conn::http1::Builder::new()
                                .serve_connection(TokioIo::new(stream), service)
                                .await;
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Front { address, task })
    }

    /// The port of its address on loopback.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn answer(
    cluster: Arc<Cluster>,
    id: StackId,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    let (status, body) = match look(&cluster, &id, &host, request.uri().path()).await {
        Ok(Some((target, ready))) => {
            let status = if ready > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, format!("Service {}/{} has {ready} ready endpoints; no container answered", target.0, target.1))
        }
        Ok(None) => (StatusCode::NOT_FOUND, "no rule of this load balancer fits".to_owned()),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    };
    let mut response = Response::new(Full::from(format!("simulated by the eks-bootstrap sandbox: {body}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert("x-simulated-by", HeaderValue::from_static("eks-bootstrap sandbox"));
    Ok(response)
}

/// Finds the Service that a request is for, and how many ready endpoints it has.
async fn look(cluster: &Cluster, id: &StackId, host: &str, path: &str) -> Result<Option<(Target, usize)>> {
    let (classes, parameters, ingresses, services) = futures::try_join!(
        cluster.list("networking.k8s.io/v1", "IngressClass"),
        cluster.list("elbv2.k8s.aws/v1beta1", "IngressClassParams"),
        cluster.list("networking.k8s.io/v1", "Ingress"),
        cluster.list("v1", "Service"),
    )?;
    let classes = stack::classes(&classes, &parameters);
    let stack = stack::stacks(&classes, &ingresses, &services).remove(id).unwrap_or_default();
    let Some(target) = route(&stack, host, path) else { return Ok(None) };
    let selector = format!("kubernetes.io/service-name={}", target.1);
    let slices = cluster.read.list("discovery.k8s.io/v1", "EndpointSlice", &target.0, &selector).await?;
    let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != Value::Bool(false)).count();
    Ok(Some((target, ready)))
}

/// Chooses the backend of a request: rules with the longest path first, default backends last.
fn route(stack: &Stack, host: &str, path: &str) -> Option<Target> {
    let mut fitting: Vec<(usize, Target)> = Vec::new();
    let mut defaults = Vec::new();
    for member in &stack.members {
        let namespace = text(member, "/metadata/namespace");
        if member["kind"] == "Service" {
            defaults.push((namespace.to_owned(), text(member, "/metadata/name").to_owned(), String::new()));
            continue;
        }
        for rule in member["spec"]["rules"].as_array().into_iter().flatten() {
            if rule["host"].as_str().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(host)) {
                continue;
            }
            for entry in rule["http"]["paths"].as_array().into_iter().flatten() {
                let wanted = entry["path"].as_str().unwrap_or("/");
                if fits(wanted, entry["pathType"] == "Exact", path) {
                    fitting.extend(stack::target(namespace, &entry["backend"]).map(|target| (wanted.len(), target)));
                }
            }
        }
        defaults.extend(stack::target(namespace, &member["spec"]["defaultBackend"]));
    }
    let longest = fitting.into_iter().max_by_key(|(length, _)| *length).map(|(_, target)| target);
    longest.or_else(|| defaults.into_iter().next())
}

fn fits(wanted: &str, exact: bool, path: &str) -> bool {
    if exact {
        return wanted == path;
    }
    let wanted = wanted.trim_end_matches('/').trim_end_matches("/*");
    path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_path_of_a_fitting_host_wins() {
        let backend = |name: &str| json!({"service": {"name": name, "port": {"number": 80}}});
        let ingress = json!({"kind": "Ingress", "metadata": {"namespace": "n", "name": "i"}, "spec": {
            "defaultBackend": backend("rest"),
            "rules": [
                {"host": "a.example", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": backend("root")},
                    {"path": "/shop", "pathType": "Prefix", "backend": backend("shop")},
                    {"path": "/shop/cart", "pathType": "Exact", "backend": backend("cart")},
                ]}},
            ],
        }});
        let stack = Stack { members: vec![ingress], leaving: Vec::new() };
        let name = |host: &str, path: &str| route(&stack, host, path).map(|target| target.1);
        assert_eq!(name("a.example", "/shop/cart").as_deref(), Some("cart"));
        assert_eq!(name("a.example", "/shop/cart/1").as_deref(), Some("shop"));
        assert_eq!(name("a.example", "/shopping").as_deref(), Some("root"));
        assert_eq!(name("b.example", "/shop").as_deref(), Some("rest"));
        assert_eq!(route(&Stack::default(), "b.example", "/"), None);
    }
}
