//! The one way to the Kubernetes API server, used by the readers of `read/kube.rs` and the writers of `op/kube.rs`.
//!
//! Objects are JSON as the API server speaks it: what is applied, compared and shown are the same values, and objects of
//! charts have kinds that no Rust type knows. TLS and connections are kube-rs'; the bearer token is put into each request
//! from the signer, so that it is renewed during long runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::error::{Cause, Error, KubeError, Result};
use crate::retry::{BackOff, Overload, retry_after};
use crate::token::TokenSigner;

/// Where the API server is and how to sign in.
#[derive(Clone, Debug)]
pub enum KubeTarget {
    /// As `DescribeCluster` says, with tokens signed by us.
    Endpoint {
        /// The address.
        url: String,
        /// The certificate authority.
        ca_pem: String,
        /// Whether it can be reached from inside the VPC only.
        private_only: bool,
        /// Signs the tokens.
        signer: TokenSigner,
    },
    /// As the user's kubeconfig says.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context; none means the current one.
        context: Option<String>,
    },
}

/// How long to wait for a connection. A private endpoint does not refuse, it stays silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for an answer; webhooks may take up to 30 s of it.
const READ_TIMEOUT: Duration = Duration::from_secs(40);
/// For how long a read is tried again when the API server is restarting or overloaded.
const READ_PATIENCE: Duration = Duration::from_secs(8);
/// For how long a request, read or write, is sent again because an overloaded API server asks for that.
const OVERLOAD_PATIENCE: Duration = Duration::from_secs(30);

/// A signed-in connection.
#[derive(Clone)]
pub(crate) struct KubeApi {
    client: kube::Client,
    /// None where the kubeconfig says how to sign in.
    signer: Option<TokenSigner>,
    endpoint: Arc<str>,
    private_only: bool,
}

/// An answer: the status, when to come back (`Retry-After`), and the body.
pub(crate) struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Value,
}

impl KubeApi {
    /// Prepares the connection; the first request makes it.
    pub(crate) async fn connect(target: &KubeTarget) -> Result<KubeApi> {
        match target {
            KubeTarget::Endpoint { url, ca_pem, private_only, signer } => {
                let unreachable = |source: Cause| Error::ApiServerUnreachable {
                    endpoint: url.clone(),
                    private_only: *private_only,
                    source,
                };
                let uri = url.parse().map_err(|source: http::uri::InvalidUri| unreachable(source.into()))?;
                let mut config = kube::Config::new(uri);
                config.root_cert = Some(certificates(ca_pem).map_err(unreachable)?);
                limits(&mut config);
                let client = kube::Client::try_from(config).map_err(|source| unreachable(source.into()))?;
                let signer = Some(signer.clone());
                Ok(KubeApi { client, signer, endpoint: url.as_str().into(), private_only: *private_only })
            }
            KubeTarget::Kubeconfig { path, context } => {
                let unusable = |source: Cause| Error::ConfigFile { path: path.display().to_string(), source };
                let file = Kubeconfig::read_from(path).map_err(|source| unusable(source.into()))?;
                let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
                let mut config = kube::Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(|source| unusable(source.into()))?;
                limits(&mut config);
                let endpoint = config.cluster_url.to_string();
                let client = kube::Client::try_from(config).map_err(|source| unusable(source.into()))?;
                Ok(KubeApi { client, signer: None, endpoint: endpoint.into(), private_only: false })
            }
        }
    }

    /// Sends one request. `operation` is what errors name, such as `get ServiceAccount/kube-system/x`.
    async fn send(&self, operation: &str, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
        if let Some(signer) = &self.signer {
            let token = signer.token().await?;
            if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose())) {
                value.set_sensitive(true);
                request = request.header(http::header::AUTHORIZATION, value);
            }
        }
        let bytes = match body {
            Some((content_type, value)) => {
                request = request.header("content-type", content_type);
                serde_json::to_vec(value).expect("values are JSON")
            }
            None => Vec::new(),
        };
        let broken = |message: String| {
            Error::Kube(KubeError { operation: operation.to_owned(), status: None, reason: String::new(), message })
        };
        let request = request.body(Body::from(bytes)).map_err(|error| broken(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|source| self.no_answer(&source))?;
        let status = response.status().as_u16();
        let header = response.headers().get(http::header::RETRY_AFTER).and_then(|header| header.to_str().ok());
        let retry_after = header.and_then(|header| retry_after(header, jiff::Timestamp::now()));
        let bytes = response.into_body().collect().await.map_err(|error| broken(error.to_string()))?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).trim().to_owned()));
        Ok(Answer { status, retry_after, body })
    }

    fn no_answer(&self, source: &kube::Error) -> Error {
        Error::ApiServerUnreachable {
            endpoint: self.endpoint.to_string(),
            private_only: self.private_only,
            source: innermost(source).into(),
        }
    }

    /// Sends a request, again where an overloaded server refused it before it acted and says when to come back.
    async fn ask(&self, operation: &str, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Answer> {
        let mut overload = Overload::new(OVERLOAD_PATIENCE);
        loop {
            let answer = self.send(operation, method.clone(), path, body).await?;
            if !overload.wait(answer.status, answer.retry_after).await {
                return Ok(answer);
            }
        }
    }

    /// A read, tried again while the server is restarting or overloaded.
    pub(crate) async fn read(&self, operation: &str, path: &str) -> Result<Option<Value>> {
        let mut back_off = BackOff::new(Duration::from_millis(200), Duration::from_secs(2), READ_PATIENCE);
        loop {
            let answer = self.ask(operation, Method::GET, path, None).await?;
            if answer.status >= 500 && back_off.wait().await {
                continue;
            }
            return answer.found(operation);
        }
    }

    /// A request with a body, which may write: tried again only where the server says that it did not act.
    pub(crate) async fn request(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Option<Value>> {
        self.ask(operation, method, path, Some((content_type, body))).await?.found(operation)
    }
}

impl Answer {
    /// The body; none where the server says that there is no such thing.
    fn found(self, operation: &str) -> Result<Option<Value>> {
        if self.status < 300 {
            return Ok(Some(self.body));
        }
        let text = |name: &str| self.body.get(name).and_then(Value::as_str);
        let mut message = text("message").or(self.body.as_str()).unwrap_or("no message").to_owned();
        if let Some(wait) = self.retry_after {
            message.push_str(&format!(" (it asks to wait {} s)", wait.as_secs()));
        }
        let reason = text("reason").unwrap_or_default().to_owned();
        if self.status == 404 {
            return Ok(None);
        }
        Err(KubeError { operation: operation.to_owned(), status: Some(self.status), reason, message }.into())
    }
}

fn limits(config: &mut kube::Config) {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.write_timeout = Some(READ_TIMEOUT);
    // Else the time that a connection lay idle counts against the next answer.
    config.reset_reader_on_write = true;
    // Else every request is repeated, writes too; what is worth another try is decided here and in `retry.rs`.
    config.default_retry = false;
}

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Cause> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all: Vec<_> = all?.into_iter().map(|certificate| certificate.to_vec()).collect();
    if all.is_empty() { Err("the cluster's certificate authority holds no certificate".into()) } else { Ok(all) }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    crate::error::chain_of(error).pop().unwrap_or_default()
}

#[cfg(test)]
mod tests;
