//! The one way to the Kubernetes API server, used by the readers of `read/kube.rs` and the writers of `op/kube.rs`.
//!
//! Objects are JSON as the API server speaks it: what is applied, compared and shown are the same values, and objects of
//! charts have kinds that no Rust type knows. TLS and connections are kube-rs'; the bearer token is put into each request
//! from the signer, so that it is renewed during long runs.

mod exec;
pub(crate) mod kubeconfig;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;

use crate::clock::Skew;
use crate::error::{Cause, Error, FileKind, KubeError, Result, of_unknown_issuer};
use crate::limits::{self, KUBE_ANSWER, KUBE_REQUEST};
use crate::proxy::Proxy;
use crate::retry::{BackOff, Overload, retry_after};
use crate::token::TokenSigner;
use exec::{Credential, ExecPlugin};

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
    /// As a kubeconfig of the sandbox's says, whose API server is on this machine: no proxy leads there.
    Local(PathBuf),
}

/// How long to wait for a connection. A private endpoint does not refuse, it stays silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer that is not the API server's is shown.
const SHOWN: usize = 200;
/// For how long a read is tried again when the API server is restarting or overloaded.
const READ_PATIENCE: Duration = Duration::from_secs(8);
/// For how long a request, read or write, is sent again because an overloaded API server asks for that.
const OVERLOAD_PATIENCE: Duration = Duration::from_secs(30);

/// A signed-in connection.
#[derive(Clone)]
pub(crate) struct KubeApi {
    client: kube::Client,
    sign_in: SignIn,
    endpoint: Arc<str>,
    private_only: bool,
    authorities: Arc<[Vec<u8>]>,
    /// The entry of the kubeconfig that turns off the check of the server's certificate.
    unverified: Option<Arc<str>>,
    proxy: Option<Proxy>,
    clock: Skew,
    /// Whether the last request got no answer in time.
    silent: Arc<AtomicBool>,
}

/// How requests are signed in.
#[derive(Clone)]
enum SignIn {
    /// By what the client itself was made with: a certificate, a fixed token, or a file with one.
    Fixed,
    /// By tokens of ours.
    Signer(TokenSigner),
    /// By a plugin of the kubeconfig.
    Plugin(Box<Plugged>),
}

/// A plugin, and the client with the certificate that it gave last.
#[derive(Clone)]
struct Plugged {
    plugin: ExecPlugin,
    config: kube::Config,
    client: Arc<Mutex<Option<(Credential, kube::Client)>>>,
}

impl Plugged {
    /// The client that shows the certificate of `credential`.
    fn client(&self, credential: &Credential) -> Result<kube::Client, Cause> {
        let mut current = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*current
            && known.certificate == credential.certificate
        {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        if let Some((certificate, key)) = &credential.certificate {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
        }
        let client = kube::Client::try_from(config)?;
        *current = Some((credential.clone(), client.clone()));
        Ok(client)
    }
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
                    proxy: None,
                    intercepted: false,
                    source,
                };
                let uri = url.parse().map_err(|source: http::uri::InvalidUri| unreachable(source.into()))?;
                let proxy = Proxy::of_environment(&uri)?;
                let mut config = kube::Config::new(uri);
                config.root_cert = Some(certificates(ca_pem.as_bytes()).map_err(unreachable)?);
                config.proxy_url = proxy.as_ref().map(|proxy| proxy.uri().clone());
                let sign_in = SignIn::Signer(signer.clone());
                let api = KubeApi::new(config, proxy, sign_in).map_err(unreachable)?;
                Ok(KubeApi { endpoint: url.as_str().into(), private_only: *private_only, ..api })
            }
            KubeTarget::Kubeconfig { path, context } => {
                let (config, proxy, unverified) = kubeconfig::read(path, context.as_deref()).await?;
                let api = KubeApi::of_file(config, proxy, path)?;
                Ok(KubeApi { unverified: unverified.map(Arc::from), ..api })
            }
            KubeTarget::Local(path) => {
                let config = kubeconfig::local(path).await;
                let config = config.map_err(|source| Error::ConfigFile {
                    kind: FileKind::Kubeconfig,
                    path: path.display().to_string(),
                    source,
                })?;
                KubeApi::of_file(config, None, path)
            }
        }
    }

    fn of_file(mut config: kube::Config, proxy: Option<Proxy>, path: &Path) -> Result<KubeApi> {
        let unusable =
            |source: Cause| Error::ConfigFile { kind: FileKind::Kubeconfig, path: path.display().to_string(), source };
        let runs = |provider: &kube::config::AuthProviderConfig| provider.config.contains_key("cmd-path");
        if config.auth_info.auth_provider.as_ref().is_some_and(runs) {
            return Err(unusable("kubectl 1.26 gave up `auth-provider`: use the provider's exec plugin".into()));
        }
        // Taken out: the library would run it itself, with nothing that ends it.
        let sign_in = match config.auth_info.exec.take() {
            None => SignIn::Fixed,
            Some(plugin) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                let plugin = ExecPlugin::new(plugin, folder).map_err(unusable)?;
                limits(&mut config);
                SignIn::Plugin(Box::new(Plugged { plugin, config: config.clone(), client: Arc::default() }))
            }
        };
        KubeApi::new(config, proxy, sign_in).map_err(unusable)
    }

    fn new(mut config: kube::Config, proxy: Option<Proxy>, sign_in: SignIn) -> Result<KubeApi, Cause> {
        limits(&mut config);
        let endpoint = config.cluster_url.to_string().into();
        let authorities = checked_by(&config);
        let client = kube::Client::try_from(config)?;
        Ok(KubeApi {
            client,
            sign_in,
            endpoint,
            private_only: false,
            authorities,
            unverified: None,
            proxy,
            clock: Skew::new(),
            silent: Arc::default(),
        })
    }

    /// Sends one request. `operation` is what errors name, such as `get ServiceAccount/kube-system/x`.
    async fn send(&self, operation: &str, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Answer> {
        // Boxed: it holds a request and is part of everything that reads.
        let answer = Box::pin(self.send_once(operation, method.clone(), path, body)).await?;
        match &self.sign_in {
            // What was refused did nothing; the plugin may have something newer.
            SignIn::Plugin(plugged) if answer.status == 401 => {
                plugged.plugin.forget();
                Box::pin(self.send_once(operation, method, path, body)).await
            }
            _ => Ok(answer),
        }
    }

    async fn send_once(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Answer> {
        let reads = method == Method::GET;
        let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
        let mut client = self.client.clone();
        let bearer = match &self.sign_in {
            SignIn::Fixed => None,
            SignIn::Signer(signer) => Some(signer.token().await?.expose().to_owned()),
            SignIn::Plugin(plugged) => {
                let credential = plugged.plugin.credential().await?;
                client = plugged.client(&credential).map_err(|source| self.unreachable(source))?;
                credential.token
            }
        };
        if let Some(token) = bearer
            && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
        {
            value.set_sensitive(true);
            request = request.header(http::header::AUTHORIZATION, value);
        }
        let bytes = match body {
            Some((content_type, value)) => {
                request = request.header("content-type", content_type);
                serde_json::to_vec(value).expect("values are JSON")
            }
            None => Vec::new(),
        };
        let broken = |status: Option<u16>, message: String| {
            Error::Kube(KubeError { operation: operation.to_owned(), status, reason: String::new(), message })
        };
        let request = request.body(Body::from(bytes)).map_err(|error| broken(None, error.to_string()))?;
        // One end for all of it: the library's own start anew with every byte.
        // A server that has just been silent gets less time for each further read, until it answers again.
        let short = self.silent.load(Ordering::Relaxed) && reads;
        let limit = KUBE_REQUEST.get() / if short { 6 } else { 1 };
        let end = tokio::time::Instant::now() + limit;
        let late = || limits::shown(limit);
        let Ok(response) = tokio::time::timeout_at(end, client.send(request)).await else {
            self.silent.store(true, Ordering::Relaxed);
            return Err(self.unreachable(format!("no answer within {}", late()).into()));
        };
        let response =
            response.map_err(|source| self.without_answer(innermost(&source).into(), of_unknown_issuer(&source)))?;
        self.silent.store(false, Ordering::Relaxed);
        self.clock.heard(response.headers().get("date").and_then(|date| date.to_str().ok()));
        let status = response.status().as_u16();
        let asked = response.headers().get(http::header::RETRY_AFTER).and_then(|header| header.to_str().ok());
        let retry_after = asked.and_then(|header| retry_after(header, self.timestamp()));
        let kind = response.headers().get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("no content type").to_owned();
        let whole = tokio::time::timeout_at(end, Limited::new(response.into_body(), KUBE_ANSWER).collect()).await;
        let bytes = match whole {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(error)) => {
                let message = format!("{} answered HTTP {status}, and its answer broke off: {error}", self.endpoint);
                return Err(broken(None, message));
            }
            Err(_) => {
                let message = format!("{} answered HTTP {status}, but not wholly within {}", self.endpoint, late());
                return Err(broken(None, message));
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(body) => Ok(Answer { status, retry_after, body }),
            // The answer for a group that is not served is plain text, as are those of servers that are starting or overloaded.
            Err(_)
                if bytes.is_empty() || retry_after.is_some() || (status >= 300 && kind.starts_with("text/plain")) =>
            {
                let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                Ok(Answer { status, retry_after, body: Value::String(text) })
            }
            Err(_) => Err(broken(Some(status), self.foreign(status, &kind, &bytes))),
        }
    }

    /// What to say of an answer that the API server did not give.
    fn foreign(&self, status: u16, kind: &str, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]).into_owned();
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        format!(
            "{} answered HTTP {status} with {kind} instead of JSON, as a proxy or a login page does: {text}",
            self.endpoint
        )
    }

    fn unreachable(&self, source: Cause) -> Error {
        self.without_answer(source, false)
    }

    fn without_answer(&self, source: Cause, intercepted: bool) -> Error {
        Error::ApiServerUnreachable {
            endpoint: self.endpoint.to_string(),
            private_only: self.private_only,
            proxy: self.proxy.as_ref().map(ToString::to_string),
            intercepted,
            source,
        }
    }

    /// The certificate authorities that this connection is sure of; empty where it takes any certificate.
    pub(crate) fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    /// The entry of the kubeconfig that turns off the check of the server's certificate, if one does.
    pub(crate) fn unverified(&self) -> Option<&str> {
        self.unverified.as_deref()
    }

    /// Seconds since 1970 by the clock of the API server, as its last answer told; by this machine's before the first one.
    pub(crate) fn now(&self) -> i64 {
        self.timestamp().as_second()
    }

    fn timestamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::try_from(self.clock.there(SystemTime::now())).unwrap_or(jiff::Timestamp::MAX)
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
            message = format!("{message} (it asks to wait {} s)", wait.as_secs());
        }
        let reason = text("reason").unwrap_or_default().to_owned();
        if self.status == 404 {
            return Ok(None);
        }
        Err(KubeError { operation: operation.to_owned(), status: Some(self.status), reason, message }.into())
    }
}

fn limits(config: &mut kube::Config) {
    config.connect_timeout = Some(CONNECT_TIMEOUT.min(KUBE_REQUEST.get()));
    config.read_timeout = Some(KUBE_REQUEST.get());
    config.write_timeout = Some(KUBE_REQUEST.get());
    // Else the time that a connection lay idle counts against the next answer.
    config.reset_reader_on_write = true;
    // Else every request is repeated, writes too; what is worth another try is decided here and in `retry.rs`.
    config.default_retry = false;
}

/// The authorities, as DER, one of which has signed the certificate of whoever answers; none where that is not checked, or where
/// it may be any that the system trusts.
fn checked_by(config: &kube::Config) -> Arc<[Vec<u8>]> {
    let is_checked = config.cluster_url.scheme_str() == Some("https") && !config.accept_invalid_certs;
    config.root_cert.clone().filter(|_| is_checked).unwrap_or_default().into()
}

/// The certificates of a PEM text, as DER.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Cause> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all: Vec<_> = all?.into_iter().map(|certificate| certificate.to_vec()).collect();
    if all.is_empty() { Err("the cluster's certificate authority holds no certificate".into()) } else { Ok(all) }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    crate::error::chain_of(error).pop().unwrap_or_default()
}

#[cfg(test)]
mod tests;
