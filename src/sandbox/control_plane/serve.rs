//! HTTPS for our own small servers: webhooks on loopback, and what the egress answers in place of pods.
//!
//! HTTP/1.1 only, one handler for a whole connection, bodies of bounded size. Not a web framework: a handler gets the
//! complete request and returns the complete answer.

use std::{convert::Infallible, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{ControlPlaneError, certificates::Pair};

/// The apiserver never sends more: etcd takes at most 1.5 MB an object, and a review holds two.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// What a server answers.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers the requests of one server.
#[async_trait]
pub(super) trait Handler: Send + Sync + 'static {
    async fn answer(&self, request: Request<Bytes>) -> Answer;
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}

/// A short text answer, for everything that is not as it should be.
pub(super) fn text(status: StatusCode, message: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::from(message.into()));
    *answer.status_mut() = status;
    answer
}

/// TLS with one certificate and no client certificates.
pub(super) fn acceptor(what: &str, pair: &Pair) -> Result<TlsAcceptor, ControlPlaneError> {
    let make = || {
        let malformed = |_| rustls::Error::General("the certificate or key is not PEM".into());
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(malformed)?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(malformed)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    };
    make().map_err(|source| ControlPlaneError::Tls { what: what.to_owned(), source })
}

/// Accepts connections until the future is dropped, which ends the connections too.
pub(super) async fn listen(listener: TcpListener, acceptor: TlsAcceptor, handler: Arc<dyn Handler>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, as a rule: other connections will end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&handler)));
    }
}

/// Serves one connection to its end.
pub(super) async fn connection<S>(stream: S, acceptor: TlsAcceptor, handler: Arc<dyn Handler>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake with a server of the sandbox failed");
            return;
        }
    };
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(answer(request, handler).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a server of the sandbox broke");
    }
}

async fn answer(request: Request<hyper::body::Incoming>, handler: Arc<dyn Handler>) -> Answer {
    let (head, body) = request.into_parts();
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => handler.answer(Request::from_parts(head, body.to_bytes())).await,
        Err(error) => text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    }
}
