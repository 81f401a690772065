//! What a case works with: SDK clients against the account under test, and ways to send what the SDK would not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_iam::error::SdkError;
use aws_sdk_iam::types::Tag;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::CreateUnhandledError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use bytes::Bytes;
use eks_bootstrap::sandbox::aws::{Clock, Front, ManualClock, Seed, Simulator};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;

pub(crate) const DOCUMENT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}"#;
pub(crate) const OTHER_DOCUMENT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*"],"Resource":"arn:aws:s3:::b/*"}]}"#;
pub(crate) const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// How the account under test is reached.
pub(crate) enum Reach {
    /// The simulator as the SDK's HTTP connector.
    Connector,
    /// The simulator behind its HTTP front.
    Front,
    /// Another endpoint.
    External(String),
}

/// The account under test.
pub(crate) struct Lab {
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) tagging: aws_sdk_resourcegroupstagging::Client,
    /// A name that no other case uses.
    pub(crate) name: String,
    url: String,
    key: Credentials,
    simulator: Option<(Simulator, ManualClock)>,
    _front: Option<Front>,
}

static OPENED: AtomicU32 = AtomicU32::new(0);

impl Lab {
    pub(crate) async fn open(reach: &Reach) -> Self {
        let name = format!("case-{}-{}", std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed));
        if let Reach::External(url) = reach {
            let key = Credentials::new("AKIAEXTERNAL00000001", "secret", None, None, "contract");
            return Self::assemble(name, &config(&key, "eu-west-1", Some(url), None), url.clone(), key, None, None);
        }
        let seed = Seed::from_yaml(include_str!("seed.yaml")).expect("the seed of the contract is valid");
        let clock = ManualClock::starting_at(Timestamp::now());
        let simulator = Simulator::with_clock(seed, Clock::Manual(clock.clone())).expect("it was checked");
        let access = simulator.access_key();
        let key = Credentials::new(access.access_key_id, access.secret_access_key, None, None, "contract");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let front = simulator.serve(listener).await;
        let config = match reach {
            Reach::Connector => config(&key, "eu-west-1", None, Some(&simulator)),
            _ => config(&key, "eu-west-1", Some(&front.url()), None),
        };
        let url = front.url();
        Self::assemble(name, &config, url, key, Some((simulator, clock)), Some(front))
    }

    fn assemble(
        name: String,
        config: &aws_config::SdkConfig,
        url: String,
        key: Credentials,
        simulator: Option<(Simulator, ManualClock)>,
        front: Option<Front>,
    ) -> Self {
        Self {
            iam: aws_sdk_iam::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            eks: aws_sdk_eks::Client::new(config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(config),
            name,
            url,
            key,
            simulator,
            _front: front,
        }
    }

    pub(crate) fn simulator(&self) -> &Simulator {
        &self.simulator.as_ref().expect("the case says that it needs the simulator").0
    }

    pub(crate) fn advance(&self, seconds: u64) {
        let (_, clock) = self.simulator.as_ref().expect("the case says that it needs the simulator");
        clock.advance(std::time::Duration::from_secs(seconds));
    }

    /// The same account through another access key or region.
    pub(crate) fn seen_by(&self, key: &Credentials, region: &str) -> aws_config::SdkConfig {
        config(key, region, Some(&self.url), None)
    }

    /// Makes a role that EC2 may assume.
    pub(crate) async fn role(&self, name: &str) -> String {
        let made = self.iam.create_role().role_name(name).assume_role_policy_document(TRUST).send().await;
        made.expect("a plain role is made").role.expect("it is answered").arn
    }

    /// Makes a policy.
    pub(crate) async fn policy(&self, name: &str) -> String {
        let made = self.iam.create_policy().policy_name(name).policy_document(DOCUMENT).send().await;
        made.expect("a plain policy is made").policy.and_then(|policy| policy.arn).expect("it is answered")
    }

    /// Makes an OIDC provider.
    pub(crate) async fn provider(&self, url: &str) -> String {
        let made = self.iam.create_open_id_connect_provider().url(url).client_id_list("sts.amazonaws.com").send().await;
        made.expect("a plain provider is made").open_id_connect_provider_arn.expect("it is answered")
    }

    /// Sends a signed form and returns status, headers and body.
    pub(crate) async fn form(&self, service: &str, fields: &[(&str, &str)]) -> (u16, http::HeaderMap, String) {
        self.form_by(&self.key, service, fields).await
    }

    /// Sends a form that is signed with another access key.
    pub(crate) async fn form_by(
        &self,
        key: &Credentials,
        service: &str,
        fields: &[(&str, &str)],
    ) -> (u16, http::HeaderMap, String) {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http::Request::post(format!("{}/", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .expect("the address is valid");
        self.sent(key, "eu-west-1", service, request).await
    }

    /// Asks EC2 and returns status and body.
    pub(crate) async fn ec2(&self, operation: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let form = [&[("Action", operation), ("Version", "2016-11-15")][..], fields].concat();
        let (status, _, body) = self.form("ec2", &form).await;
        (status, body)
    }

    /// Where the front of the account answers.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request; signed for a region unless the service is empty.
    pub(crate) async fn send_in(
        &self,
        region: &str,
        service: &str,
        request: http::Request<String>,
    ) -> (u16, http::HeaderMap, String) {
        self.sent(&self.key, region, service, request).await
    }

    async fn sent(
        &self,
        key: &Credentials,
        region: &str,
        service: &str,
        mut request: http::Request<String>,
    ) -> (u16, http::HeaderMap, String) {
        if !service.is_empty() {
            let identity = key.clone().into();
            let params = v4::SigningParams::builder()
                .identity(&identity)
                .region(region)
                .name(service)
                .time(SystemTime::now())
                .settings(SigningSettings::default())
                .build()
                .expect("all is set")
                .into();
            let address = request.uri().to_string();
            let headers =
                request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            let body = SignableBody::Bytes(request.body().as_bytes());
            let signable =
                SignableRequest::new(request.method().as_str(), address, headers, body).expect("it is valid");
            let (instructions, _) = sign(signable, &params).expect("it can be signed").into_parts();
            instructions.apply_to_request_http1x(&mut request);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request.map(|body| Full::new(Bytes::from(body)))).await.expect("it is answered");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
    }
}

fn config(
    key: &Credentials,
    region: &str,
    url: Option<&String>,
    simulator: Option<&Simulator>,
) -> aws_config::SdkConfig {
    let mut builder = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(key.clone()))
        .retry_config(RetryConfig::disabled());
    builder.set_endpoint_url(url.cloned());
    match simulator {
        Some(simulator) => builder.set_http_client(Some(simulator.http_client())),
        None => builder.set_http_client(Some(aws_smithy_runtime_api::client::http::http_client_fn(plain::connector))),
    };
    builder.build()
}

/// A plain HTTP client for the SDK: the front speaks no TLS.
mod plain {
    use super::*;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;

    #[derive(Debug)]
    struct Plain;

    pub(super) fn connector(_: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Plain)
    }

    impl HttpConnector for Plain {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(async move {
                let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
                let client = Client::builder(TokioExecutor::new()).build_http();
                let sent = client.request(http::Request::from_parts(parts, Full::new(body))).await;
                let (parts, body) = sent.map_err(|error| ConnectorError::io(error.into()))?.into_parts();
                let body = body.collect().await.map_err(|error| ConnectorError::io(error.into()))?.to_bytes();
                let answer = http::Response::from_parts(parts, SdkBody::from(body));
                HttpResponse::try_from(answer).map_err(|error| ConnectorError::user(error.into()))
            })
        }
    }
}

/// Writes an answer down: what `tell` makes of a success, status and code of an error.
pub(crate) fn tell<T, E>(result: Result<T, SdkError<E, HttpResponse>>, tell: impl FnOnce(T) -> String) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + CreateUnhandledError + 'static,
{
    match result {
        Ok(value) => tell(value),
        Err(SdkError::ServiceError(error)) => {
            format!("{} {}", error.raw().status().as_u16(), error.err().code().unwrap_or("without a code"))
        }
        Err(_) => "no answer".to_owned(),
    }
}

/// Writes an answer down: `ok`, or status and code of an error.
pub(crate) fn said<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + CreateUnhandledError + 'static,
{
    tell(result, |_| "ok".to_owned())
}

/// Makes a tag.
pub(crate) fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().expect("both are given")
}

/// Finds the texts of all elements of a name, wherever they stand.
pub(crate) fn elements(xml: &str, name: &str) -> String {
    let start = format!("<{name}>");
    let texts = xml.split(&start).skip(1).map(|after| after.split("</").next().unwrap_or_default());
    texts.collect::<Vec<_>>().join(",")
}

/// Finds the text of an element.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let after = xml.split(&format!("<{name}>")).nth(1).unwrap_or_default();
    after.split("</").next().unwrap_or_default()
}
