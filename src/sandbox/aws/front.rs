//! The simulator behind a loopback HTTP/1.1 address, for the AWS CLI, for other processes and for `AWS_ENDPOINT_URL`.
//!
//! Paths under `/_sandbox/` are not AWS: they let tests of the built binary read the recorder and steer faults and latency. They want
//! the front's token as a bearer token, since any page of a browser and anyone on this machine can send requests to loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
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
    token: Arc<str>,
    task: tokio::task::JoinHandle<()>,
}

impl Front {
    /// Returns the address to give to `--endpoint-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what requests under `/_sandbox/` have to bring in `authorization: Bearer TOKEN`.
    pub fn token(&self) -> &str {
        &self.token
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
    let token = token()?;
    let wanted = token.clone();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let (simulator, wanted) = (simulator.clone(), wanted.clone());
                    connections.spawn(async move {
                        let service = service_fn(move |request| answer(simulator.clone(), wanted.clone(), request));
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
    Ok(Front { address, token, task })
}

fn token() -> std::io::Result<Arc<str>> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(std::io::Error::other)?;
    Ok(hex::encode(random).into())
}

/// Tells hyper to close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken by an injected fault")]
struct Broken;

async fn answer(
    simulator: Simulator,
    token: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let request = Request::from_parts(parts, body);
    if request.uri().path().starts_with("/_sandbox/") {
        let shown = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        return Ok(if shown.and_then(|shown| shown.strip_prefix("Bearer ")) == Some(&*token) {
            steer(&simulator, &request)
        } else {
            let text = "send the sandbox's token as `authorization: Bearer $EKS_BOOTSTRAP_SANDBOX_TOKEN`";
            answered(StatusCode::UNAUTHORIZED, text.to_owned())
        });
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
    answered(status, body)
}

fn answered(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
