//! Everything that the apiserver would dial inside the cluster arrives here, over a Unix socket, as an HTTP CONNECT.
//!
//! Nothing runs in the simulated pods, so this answers in their place, by Service: the admission webhooks of the AWS Load
//! Balancer Controller with the certificate of the chart's own Secret (so that the CA bundle of the webhook configuration
//! is really checked), and the API of metrics-server. A Service without a ready pod is refused, as its real counterpart
//! would be; so is everything else, with the reason in the status line, which the apiserver passes on to the user.

mod services;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::Request;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{ListParams, WatchParams},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    ControlPlaneError,
    address::{self, Backend},
    admission::LoadBalancerWebhooks,
    certificates::Authority,
    metrics::Metrics,
    serve::{self, Answer, Handler},
};
use services::Known;

/// A request line and a Host header: the apiserver sends no more.
const LARGEST_HEAD: usize = 4096;

/// Binds the socket and returns the server, which runs until it is dropped.
///
/// `silence` is asked at every connection and request for the controller's webhooks.
pub(super) fn listen(
    socket: &Path,
    client: Client,
    silence: Silence,
) -> Result<impl Future<Output = ()> + Send + 'static, ControlPlaneError> {
    let listener = UnixListener::bind(socket)
        .map_err(|source| ControlPlaneError::Listen { what: "cluster egress".into(), source })?;
    // metrics-server makes itself a certificate that nobody checks; ours is made once.
    let pair = Authority::new("metrics-server")?.server(&["metrics-server.kube-system.svc"])?;
    let egress = Arc::new(Egress { metrics_tls: serve::acceptor("metrics-server", &pair)?, client, silence });
    Ok(async move {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let egress = Arc::clone(&egress);
            connections.spawn(async move {
                if let Err(error) = egress.connection(stream).await {
                    tracing::debug!(%error, "a connection through the sandbox's egress broke");
                }
            });
        }
    })
}

/// Whether the way to the webhooks' port is closed, as by a security group: what is sent there gets no answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence(Arc<AtomicBool>);

impl Silence {
    pub(super) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A server behind a way that can be closed, also for connections that are open already.
struct Behind<H> {
    silence: Silence,
    handler: H,
}

#[async_trait]
impl<H: Handler> Handler for Behind<H> {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        if self.silence.is_on() {
            // The API server gives up after the webhook's own time, and the connection with it.
            std::future::pending::<()>().await;
        }
        self.handler.answer(request).await
    }
}

struct Egress {
    client: Client,
    silence: Silence,
    metrics_tls: TlsAcceptor,
}

impl Egress {
    async fn connection(&self, mut stream: UnixStream) -> io::Result<()> {
        let head = read_head(&mut stream).await?;
        let Some((host, port)) = parse_connect(&head) else {
            return refuse(&mut stream, 400, "only CONNECT HOST:PORT is answered").await;
        };
        match self.server(host, port).await {
            Ok((acceptor, handler, Role::LoadBalancerController)) if self.silence.is_on() => {
                drop((acceptor, handler));
                // Until the other side gives up.
                let mut byte = [0];
                stream.read(&mut byte).await.map(drop)
            }
            Ok((acceptor, handler, _)) => {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                // A connection does not outlive the pods at its other end.
                tokio::select! {
                    () = serve::connection(stream, acceptor, handler) => {}
                    () = self.until_gone(host, port) => {}
                }
                Ok(())
            }
            Err(reason) => {
                tracing::debug!(host, port, reason, "the sandbox's egress refuses a connection");
                refuse(&mut stream, 503, &reason).await
            }
        }
    }

    /// Finds out who would answer at an address, or why nobody does.
    async fn server(&self, host: &str, port: u16) -> Result<(TlsAcceptor, Arc<dyn Handler>, Role), String> {
        let everything = ListParams::default();
        let services: Api<Service> = Api::all(self.client.clone());
        let slices: Api<EndpointSlice> = Api::all(self.client.clone());
        let (services, slices) = tokio::try_join!(services.list(&everything), slices.list(&everything))
            .map_err(|error| format!("the sandbox cannot list Services: {error}"))?;
        let backends = address::resolve(host, port, &services.items, &slices.items);
        let known = self.known_services().await?;
        match choose(&backends, &known, host, port)? {
            (Role::LoadBalancerController, backend) => {
                let service = services.items.iter().find(|service| {
                    let named = |own: &Option<String>, name: &str| own.as_deref() == Some(name);
                    named(&service.metadata.name, &backend.service)
                        && named(&service.metadata.namespace, &backend.namespace)
                });
                let secret = self.webhook_secret(&backend.namespace, service).await?;
                let pair = self.webhook_certificate(&backend.namespace, &secret).await?;
                let acceptor = serve::acceptor("the webhooks of the load balancer controller", &pair)
                    .map_err(|error| format!("Secret {}/{secret} is unusable: {error}", backend.namespace))?;
                let handler = Behind { silence: self.silence.clone(), handler: LoadBalancerWebhooks };
                Ok((acceptor, Arc::new(handler), Role::LoadBalancerController))
            }
            (Role::MetricsServer, _) => {
                let handler = Metrics { client: self.client.clone() };
                Ok((self.metrics_tls.clone(), Arc::new(handler), Role::MetricsServer))
            }
        }
    }

    /// Returns when nobody would answer at an address any more.
    async fn until_gone(&self, host: &str, port: u16) {
        let slices: Api<EndpointSlice> = Api::all(self.client.clone());
        loop {
            if let Ok(changes) = slices.watch(&WatchParams::default(), "0").await {
                let mut changes = std::pin::pin!(changes);
                while let Ok(Some(_)) = changes.try_next().await {
                    if self.server(host, port).await.is_err() {
                        return;
                    }
                }
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Whom we answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    LoadBalancerController,
    MetricsServer,
}

/// Picks the Service that we can answer for, or says why none can be.
fn choose<'a>(backends: &'a [Backend], services: &Known, host: &str, port: u16) -> Result<(Role, &'a Backend), String> {
    let known = backends.iter().find_map(|backend| {
        let place = (backend.namespace.clone(), backend.service.clone());
        if services.webhooks.contains(&place) {
            return Some((Role::LoadBalancerController, backend));
        }
        services.metrics.contains(&place).then_some((Role::MetricsServer, backend))
    });
    match (known, backends.first()) {
        (Some((_, backend)), _) if !backend.ready => {
            Err(format!("no ready pod behind Service {}/{}", backend.namespace, backend.service))
        }
        (Some(found), _) => Ok(found),
        (None, Some(backend)) => {
            Err(format!("pods of Service {}/{} are simulated and answer nothing", backend.namespace, backend.service))
        }
        (None, None) => Err(format!("nothing is at {host}:{port} in the simulated cluster")),
    }
}

async fn read_head(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(128);
    // The client sends nothing more before it is answered, so that no byte of the tunnel is read here.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LARGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a complete CONNECT request"));
        }
    }
    Ok(head)
}

fn parse_connect(head: &[u8]) -> Option<(&str, u16)> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let target = line.strip_prefix("CONNECT ")?.split(' ').next()?;
    let (host, port) = target.rsplit_once(':')?;
    // IPv6 addresses come in brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

async fn refuse(stream: &mut UnixStream, status: u16, reason: &str) -> io::Result<()> {
    let reason: String = reason.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let answer = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_target_of_a_connect_is_read() {
        let parse = |text: &'static str| parse_connect(text.as_bytes());
        assert_eq!(parse("CONNECT 10.0.0.1:9443 HTTP/1.1\r\nHost: x\r\n\r\n"), Some(("10.0.0.1", 9443)));
        assert_eq!(parse("CONNECT [fd00::1]:443 HTTP/1.1\r\n\r\n"), Some(("fd00::1", 443)));
        for text in
            ["GET / HTTP/1.1\r\n\r\n", "CONNECT 10.0.0.1 HTTP/1.1\r\n\r\n", "CONNECT :1 HTTP/1.1", "CONNECT a:99999 x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_known_service_is_answered_for_when_a_pod_is_ready() {
        let backend =
            |service: &str, ready| Backend { namespace: "kube-system".into(), service: service.into(), ready };
        let of = |name: &str| BTreeSet::from([("kube-system".to_owned(), name.to_owned())]);
        let known = Known { webhooks: of("alb-webhook-service"), metrics: of("ms") };
        let chosen = |backends: &[Backend]| choose(backends, &known, "10.0.0.1", 443).map(|(role, _)| role);
        assert_eq!(chosen(&[backend("alb-webhook-service", true)]), Ok(Role::LoadBalancerController));
        assert_eq!(chosen(&[backend("a", true), backend("ms", true)]), Ok(Role::MetricsServer));
        assert_eq!(
            chosen(&[backend("alb-webhook-service", false)]),
            Err("no ready pod behind Service kube-system/alb-webhook-service".into())
        );
        assert!(chosen(&[backend("other", true)]).unwrap_err().contains("kube-system/other"));
        assert_eq!(chosen(&[]), Err("nothing is at 10.0.0.1:443 in the simulated cluster".into()));
    }

    #[tokio::test]
    async fn a_refusal_says_why_in_one_line() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        refuse(&mut ours, 503, "first\r\nsecond").await.unwrap();
        drop(ours);
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 first  second\r\nContent-Length: 0\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn an_endless_head_is_given_up() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[b'x'; 2 * LARGEST_HEAD]).await.unwrap();
        assert!(read_head(&mut ours).await.is_err());
        drop(theirs);
    }
}
