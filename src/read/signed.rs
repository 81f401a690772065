//! Calls of services whose SDK crates would cost more than they give: signed and sent by the SDK's own orchestrator, with the credentials,
//! retries, time-outs and endpoint settings of every other client of the run.
//!
//! A service is a row of data ([`Service`]); `ec2.rs`, `elbv2.rs` and `accelerator.rs` say which. Reads only: a call is a name and parameters,
//! and the three readers name `Describe...` only.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use aws_types::service_config::ServiceConfigKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{AwsError, endpoint as known};
use crate::heard::Heard;
use crate::names;

/// How a service is spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    /// AWS Query, or EC2's variant of it: a form in, XML out. Holds the version of the API.
    Query(&'static str),
    /// AWS JSON 1.1. Holds the prefix of the operation in `x-amz-target`.
    Json(&'static str),
}

/// One service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    /// Its id in the shared configuration and, in capitals, in `AWS_ENDPOINT_URL_...`.
    pub(super) id: &'static str,
    /// The beginning of its host names, which is its name in signatures and IAM actions too.
    pub(super) name: &'static str,
    pub(super) protocol: Protocol,
}

/// The parameters of a call: texts by name.
pub(super) type Parameters = Vec<(String, String)>;

/// What a call returns: the fields that are wanted of the answer. Those that every answer has are no `Option` and have no default, so that
/// something else with status 200 (a login page) is not taken for an empty answer.
pub(super) trait Answer: DeserializeOwned + std::fmt::Debug + Send + Sync + 'static {}

impl<T: DeserializeOwned + std::fmt::Debug + Send + Sync + 'static> Answer for T {}

/// What a service answered instead of a result.
#[derive(Debug, thiserror::Error)]
#[error("the service refused")]
struct Refusal(ErrorMetadata);

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// A client of one service in one region.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    service: Service,
    config: Arc<SdkConfig>,
}

impl Signed {
    pub(super) fn new(config: &SdkConfig, service: Service) -> Signed {
        known::keep(service.name, &endpoint(config, &service));
        Signed { service, config: Arc::new(config.clone()) }
    }

    /// Makes a call and returns the answer. `action` is service and operation as IAM writes it.
    pub(super) async fn call<T: Answer>(&self, action: &'static str, parameters: Parameters) -> Result<T, AwsError> {
        let operation = action.split_once(':').map_or(action, |(_, operation)| operation);
        debug_assert!(operation.starts_with("Describe"), "readers write nothing");
        let call = self.operation(operation);
        // The futures of the orchestrator are large.
        let answer = Box::pin(call.invoke(parameters)).await;
        answer.map_err(|error| AwsError::new(action, &error))
    }

    fn operation<T: Answer>(&self, operation: &'static str) -> Operation<Parameters, T, Refusal> {
        let Signed { service, config } = self;
        let (name, protocol) = (service.name, service.protocol);
        let region = config.region().cloned();
        let mut builder = Operation::builder()
            .service_name(name)
            .operation_name(operation)
            .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest))
            .endpoint_url(&endpoint(config, service))
            .retry_classifier(TransientErrorClassifier::<Refusal>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(AwsErrorCodeClassifier::<Refusal>::new());
        if let Some(retries) = config.retry_config() {
            builder = builder.standard_retry(retries);
        }
        if let Some(limits) = config.timeout_config() {
            builder = builder.timeout_config(limits.clone());
        }
        if let Some(client) = config.http_client() {
            builder = builder.http_client(client);
        }
        if let Some(sleep) = config.sleep_impl() {
            builder = builder.sleep_impl(sleep);
        }
        if let Some(time) = config.time_source() {
            builder = builder.time_source(time);
        }
        builder
            .interceptor(Heard::of(name))
            .interceptor(UserAgentInterceptor::new())
            .runtime_plugin(self.signature(region.map(SigningRegion::from)))
            .serializer(move |parameters: Parameters| Ok(request(protocol, operation, &parameters)?))
            .deserializer(move |response: &HttpResponse| read(protocol, response))
            .build()
    }

    /// Signature Version 4 with the run's credentials, which are asked for once for all clients; and who calls, for CloudTrail.
    fn signature(&self, region: Option<SigningRegion>) -> StaticRuntimePlugin {
        let mut layer = Layer::new("signature");
        layer.store_put(AuthSchemeOptionResolverParams::new(()));
        layer.store_put(SigV4OperationSigningConfig {
            region,
            name: Some(SigningName::from(self.service.name)),
            ..SigV4OperationSigningConfig::default()
        });
        layer.store_put(ApiMetadata::new(self.service.name, env!("CARGO_PKG_VERSION")));
        layer.store_or_unset(self.config.app_name().cloned());
        let resolver = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
        let mut components = RuntimeComponentsBuilder::new("signature")
            .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
            .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(resolver)));
        if let Some(cache) = self.config.identity_cache() {
            components.set_identity_cache(Some(cache));
        }
        if let Some(credentials) = self.config.credentials_provider() {
            components.set_identity_resolver(SCHEME_ID, credentials);
        }
        StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
    }
}

/// Where a service answers: where the user says (for this service or for all), else under AWS' name of the host.
fn endpoint(config: &SdkConfig, service: &Service) -> String {
    let general = config.endpoint_url().map(ToOwned::to_owned);
    let own = || {
        let key = ServiceConfigKey::builder().service_id(service.id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        config.service_config()?.load_config(key.build().ok()?)
    };
    // As every SDK client has it: what the program was told comes first, then the service's own setting, then that for all.
    let told = config.get_origin("endpoint_url").is_client_config();
    let chosen = if told { general } else { own().or(general) };
    let region = config.region().map_or("us-east-1", AsRef::as_ref);
    let (fips, dual) = (config.use_fips().unwrap_or(false), config.use_dual_stack().unwrap_or(false));
    chosen.unwrap_or_else(|| format!("https://{}", host(service.name, region, fips, dual)))
}

/// The host name of a service in a region.
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html>
fn host(name: &str, region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = names::partition_of_region(region);
    let suffix = if dual_stack { names::dual_stack_suffix(partition) } else { names::dns_suffix(partition) };
    // The common host names of GovCloud are FIPS endpoints.
    let marked = fips && (dual_stack || partition != "aws-us-gov");
    format!("{name}{}.{region}.{suffix}", if marked { "-fips" } else { "" })
}

fn request(protocol: Protocol, operation: &str, parameters: &Parameters) -> Result<HttpRequest, http::Error> {
    let request = http::Request::post("/");
    let request = match protocol {
        Protocol::Query(version) => {
            let body = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("Action", operation)
                .append_pair("Version", version)
                .extend_pairs(parameters)
                .finish();
            request.header("content-type", "application/x-www-form-urlencoded").body(SdkBody::from(body))
        }
        Protocol::Json(prefix) => {
            let fields = parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
            let request = request.header("content-type", "application/x-amz-json-1.1");
            let request = request.header("x-amz-target", format!("{prefix}.{operation}"));
            request.body(SdkBody::from(Value::Object(fields.collect()).to_string()))
        }
    };
    Ok(HttpRequest::try_from(request?).expect("the headers are text"))
}

fn read<T: Answer>(protocol: Protocol, response: &HttpResponse) -> Result<T, OrchestratorError<Refusal>> {
    let text = String::from_utf8_lossy(response.body().bytes().unwrap_or_default());
    let status = response.status();
    if status.is_success() {
        let answer = match protocol {
            Protocol::Query(_) => quick_xml::de::from_str(&text).map_err(BoxError::from),
            Protocol::Json(_) => serde_json::from_str(&text).map_err(BoxError::from),
        };
        return answer.map_err(OrchestratorError::other);
    }
    let header = |name| response.headers().get(name).map(ToOwned::to_owned);
    let (code, message, request_id) = match protocol {
        Protocol::Query(_) => {
            let told: QueryError = quick_xml::de::from_str(&text).unwrap_or_default();
            let first = told.error.or_else(|| told.errors?.error.into_iter().next()).unwrap_or_default();
            (first.code, first.message, told.request_id)
        }
        Protocol::Json(_) => {
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            let code = value["__type"].as_str().map(ToOwned::to_owned).or_else(|| header("x-amzn-errortype"));
            // Either may carry a name space before the code and an address after it.
            let code = code.and_then(|code| code.split(':').next()?.rsplit('#').next().map(ToOwned::to_owned));
            let message = value["message"].as_str().or(value["Message"].as_str());
            (code, message.map(ToOwned::to_owned), None)
        }
    };
    let refusal = ErrorMetadata::builder()
        .message(message.unwrap_or_else(|| format!("HTTP status {}", status.as_u16())))
        .custom("aws_request_id", request_id.or_else(|| header("x-amzn-requestid")).unwrap_or_default());
    let refusal = if let Some(code) = code { refusal.code(code) } else { refusal };
    Err(OrchestratorError::operation(Refusal(refusal.build())))
}

/// An error as the Query protocol has it (`ErrorResponse/Error`) and as EC2 has it (`Response/Errors/Error`, and `RequestID`).
/// <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html#operation-error-serialization>
#[derive(Debug, Default, Deserialize)]
struct QueryError {
    #[serde(rename = "Error")]
    error: Option<Told>,
    #[serde(rename = "Errors")]
    errors: Option<Errors>,
    #[serde(rename = "RequestId", alias = "RequestID")]
    request_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Errors {
    #[serde(rename = "Error", default)]
    error: Vec<Told>,
}

#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(rename = "Code")]
    code: Option<String>,
    #[serde(rename = "Message")]
    message: Option<String>,
}

#[cfg(test)]
mod tests;
