//! The simulator behind a loopback HTTP/1.1 address, for the AWS CLI, for other processes and for `AWS_ENDPOINT_URL`.
//!
//! Paths under `/_sandbox/` are not AWS: they let tests of the built binary read the recorder and steer faults and latency.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Simulator;
use super::fault::Fault;

/// A running front; it stops when it is dropped.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    /// Returns the address to give to `--endpoint-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Body of `POST /_sandbox/latency`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Latency {
    latency_ms: u64,
}

/// Starts answering on a listener.
pub(super) fn serve(simulator: Simulator, listener: TcpListener) -> std::io::Result<Front> {
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let simulator = simulator.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| answer(simulator.clone(), request));
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

/// Tells hyper to close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken by an injected fault")]
struct Broken;

async fn answer(simulator: Simulator, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let request = Request::from_parts(parts, body);
    if request.uri().path().starts_with("/_sandbox/") {
        return Ok(steer(&simulator, &request));
    }
    simulator.answer(request).await.map(|response| response.map(Full::new)).ok_or(Broken)
}

fn steer(simulator: &Simulator, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches("/_sandbox/");
    let (status, body) = match (request.method().as_str(), path) {
        ("GET", "calls") => (StatusCode::OK, serde_json::to_string(&simulator.calls()).unwrap_or_default()),
        ("DELETE", "calls") => {
            simulator.clear_calls();
            (StatusCode::NO_CONTENT, String::new())
        }
        ("GET", "world") => (StatusCode::OK, simulator.snapshot().to_string()),
        ("POST", "faults") => match serde_json::from_slice::<Fault>(request.body()) {
            Ok(fault) => {
                simulator.inject(fault);
                (StatusCode::NO_CONTENT, String::new())
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        },
        ("POST", "latency") => match serde_json::from_slice::<Latency>(request.body()) {
            Ok(latency) => {
                simulator.set_latency(Duration::from_millis(latency.latency_ms));
                (StatusCode::NO_CONTENT, String::new())
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        },
        (method, _) => (StatusCode::NOT_FOUND, format!("there is no {method} {}", request.uri().path())),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
