//! How far this machine's clock is from AWS', read from the `Date` that AWS puts on an answer.
//!
//! The SDK corrects its own signatures by it after the first refusal; tokens for the API server and helm's are signed by the
//! machine's clock alone, so `verify` wants to know. The API server's clock is read in the same way: by it the age of what
//! others wrote is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// No answer with a date has been seen.
const NOTHING: i64 = i64::MIN;

/// Listens to the answers of a call.
#[derive(Debug, Clone)]
pub(crate) struct Skew(Arc<AtomicI64>);

impl Skew {
    pub(crate) fn new() -> Skew {
        Skew(Arc::new(AtomicI64::new(NOTHING)))
    }

    /// Takes the date of an answer.
    pub(crate) fn heard(&self, date: Option<&str>) {
        if let Some(date) = date.and_then(seconds) {
            self.0.store(date - jiff::Timestamp::now().as_second(), Ordering::Relaxed);
        }
    }

    /// Seconds by which the other side is ahead of this machine; negative where it is behind. None where it said nothing.
    pub(crate) fn seconds(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds != NOTHING)
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Skew {
    fn name(&self) -> &'static str {
        "Skew"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.heard(context.response().headers().get("date"));
        Ok(())
    }
}

/// Seconds since 1970 of an HTTP date, such as `Tue, 24 Nov 2026 12:00:00 GMT`.
fn seconds(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date).ok().map(|zoned| zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_answers_are_read() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(Skew::new().seconds(), None);
    }
}
