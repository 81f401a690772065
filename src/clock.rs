//! How far this machine's clock is from another one, read from the `Date` of its answers: AWS' (`heard.rs`) and the API server's.
//!
//! The SDK corrects its own signatures by it, but nothing that is presigned (aws-runtime's `service_clock_skew.rs`); so the
//! tokens for the API server are signed by AWS' clock here, and what AWS says of the end of credentials is measured by it. By
//! the API server's clock the age of what others wrote is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

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
        Skew::starting_at(None)
    }

    /// What is known before the first answer, in seconds by which the other side is ahead.
    pub(crate) fn starting_at(seconds: Option<i64>) -> Skew {
        Skew(Arc::new(AtomicI64::new(seconds.unwrap_or(NOTHING))))
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

    /// What the other clock shows when this machine's shows `local`; the same where it said nothing.
    pub(crate) fn there(&self, local: SystemTime) -> SystemTime {
        shifted(local, self.seconds().unwrap_or(0))
    }

    /// What this machine's clock shows when the other one shows `there`.
    pub(crate) fn here(&self, there: SystemTime) -> SystemTime {
        shifted(there, self.seconds().unwrap_or(0).saturating_neg())
    }
}

/// A moment so many seconds later; the same where no clock shows that.
fn shifted(moment: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { moment.checked_sub(by) } else { moment.checked_add(by) };
    shifted.unwrap_or(moment)
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

    #[test]
    fn moments_are_told_by_either_clock() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_hours(12);
        let minute = Duration::from_mins(1);
        let ahead = Skew::starting_at(Some(60));
        assert_eq!((ahead.there(noon), ahead.here(noon)), (noon + minute, noon - minute));
        let behind = Skew::starting_at(Some(-60));
        assert_eq!((behind.there(noon), behind.here(noon)), (noon - minute, noon + minute));
        assert_eq!(Skew::new().there(noon), noon);
        assert_eq!(Skew::starting_at(Some(i64::MAX)).there(noon), noon);
    }
}
