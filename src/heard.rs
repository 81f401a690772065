//! What AWS's services were last heard to say: which answers have begun and not ended, for errors that name the HTTP status,
//! who has just said nothing for the whole time of a call, so that not every further call waits for as long, and what their
//! clock shows.
//!
//! The SDK's time-out errors know neither. Its interceptors see an answer's head before its body is read
//! (aws-smithy-runtime's orchestrator), and every client of the run has one of them. So it is here, too, that answers are
//! read up to a limit: the SDK itself has none.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
    BeforeDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;
use tokio::time::Instant;

use crate::clock::Skew;
use crate::config;
use crate::limits::{self, AWS_ANSWER, AWS_ATTEMPT, AWS_OPERATION};

/// The calls of one service.
#[derive(Debug, Default)]
struct Service {
    /// The status with which answers began that have not ended, by operation.
    begun: BTreeMap<String, u16>,
    /// When a call was given up.
    silent: Option<Instant>,
}

static HEARD: LazyLock<Mutex<BTreeMap<String, Service>>> = LazyLock::new(Mutex::default);

/// AWS' clock, by its last answer of any service; at first what the run that started this one has measured.
static CLOCK: LazyLock<Skew> = LazyLock::new(|| Skew::starting_at(config::measured_skew()));

/// AWS' clock. Clones go on listening.
pub(crate) fn clock() -> Skew {
    CLOCK.clone()
}

fn heard() -> MutexGuard<'static, BTreeMap<String, Service>> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Service and name of an operation such as `iam:GetRole`.
fn parts(operation: &str) -> (&str, &str) {
    operation.split_once(':').unwrap_or((operation, ""))
}

/// A call was given up: nothing whole came in all its time.
pub(crate) fn nothing(operation: &str) {
    heard().entry(parts(operation).0.to_owned()).or_default().silent = Some(Instant::now());
}

/// The status with which an answer began that never ended.
pub(crate) fn began(operation: &str) -> Option<u16> {
    let (service, name) = parts(operation);
    heard().get(service)?.begun.get(name).copied()
}

/// Listens to the calls of one service.
#[derive(Debug)]
pub(crate) struct Heard(&'static str);

impl Heard {
    /// Of the service with this prefix in IAM actions.
    pub(crate) fn of(service: &'static str) -> Heard {
        Heard(service)
    }

    fn note(&self, cfg: &ConfigBag, note: impl FnOnce(&mut Service, &str)) {
        let name = cfg.load::<Metadata>().map(|metadata| metadata.name().to_owned()).unwrap_or_default();
        note(heard().entry(self.0.to_owned()).or_default(), &name);
    }
}

impl Intercept for Heard {
    fn name(&self) -> &'static str {
        "Heard"
    }

    /// Refuses a call while the service has just been silent for the whole time of another one: checks and steps that come
    /// one after another would each wait as long.
    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let silent = heard().get(self.0).and_then(|service| service.silent);
        match silent {
            Some(since) if since.elapsed() < AWS_ATTEMPT.get() => {
                Err(format!("another call got none within {} a moment ago", limits::shown(AWS_OPERATION.get())).into())
            }
            _ => Ok(()),
        }
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.note(cfg, |service, name| {
            service.begun.remove(name);
        });
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        CLOCK.heard(context.response().headers().get("date"));
        let status = context.response().status().as_u16();
        self.note(cfg, |service, name| {
            service.begun.insert(name.to_owned(), status);
        });
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().take_body();
        *context.response_mut().body_mut() = SdkBody::from_body_1_x(Limited::new(body, AWS_ANSWER));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        _: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.note(cfg, |service, name| {
            service.begun.remove(name);
            service.silent = None;
        });
        Ok(())
    }
}
