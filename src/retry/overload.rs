//! An API server that is overloaded and says when to come back (`Retry-After`): waiting for that, within a budget.
//!
//! A request that is answered 429, or 503 with `Retry-After`, was refused before anything acted on it: API Priority and
//! Fairness rejects in front of every handler (<https://kubernetes.io/docs/concepts/cluster-administration/flow-control/>),
//! and a server that starts or stops does the same. So such a write can be sent again without being done twice, which is
//! what client-go does too. Any other 5xx answer to a write may come after the write, so it is left in doubt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The least wait, for servers that ask for none.
const LEAST: Duration = Duration::from_millis(100);
/// What a 429 that names no time is taken to ask for; doubled each time.
const UNNAMED: Duration = Duration::from_secs(1);

/// Waits of one request.
#[derive(Debug)]
pub struct Overload {
    end: Instant,
    unnamed: Duration,
}

impl Overload {
    /// For a request that may be sent again until `budget` is over.
    pub fn new(budget: Duration) -> Overload {
        Overload { end: Instant::now() + budget, unnamed: UNNAMED }
    }

    /// Waits as long as the server asked. False where the answer is no such refusal, or where the budget does not cover the
    /// wait: then there is no point in waiting at all.
    #[expect(clippy::disallowed_methods, reason = "this is the place that sleeps")]
    pub async fn wait(&mut self, status: u16, asked: Option<Duration>) -> bool {
        let Some(wait) = self.next(status, asked, Instant::now()) else { return false };
        tracing::debug!(status, ?wait, "overloaded, asked to come back");
        tokio::time::sleep(wait).await;
        true
    }

    fn next(&mut self, status: u16, asked: Option<Duration>, now: Instant) -> Option<Duration> {
        let asked = match (status, asked) {
            (429 | 503, Some(asked)) => asked,
            (429, None) => {
                let unnamed = self.unnamed;
                self.unnamed *= 2;
                unnamed
            }
            _ => return None,
        };
        let wait = spread(asked.max(LEAST));
        (now + wait <= self.end).then_some(wait)
    }
}

/// A wait with up to a quarter on top, so that clients that were refused together do not come back together.
fn spread(wait: Duration) -> Duration {
    // Every RandomState has other keys, which is all the randomness that this needs.
    let random = RandomState::new().hash_one(());
    let share = u32::try_from(random % 256).unwrap_or_default();
    wait + wait / 4 * share / 256
}

/// The header `Retry-After`: seconds, or a date of HTTP (<https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>).
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    // A date that is over asks for nothing.
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_holds_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        let cases = [
            ("1", Some(1)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (header, seconds) in cases {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }

    #[test]
    fn only_refusals_before_the_act_are_waited_for_and_only_within_the_budget() {
        let second = Some(Duration::from_secs(1));
        let waits = |status: u16, asked: Option<Duration>| {
            let mut overload = Overload::new(Duration::from_secs(30));
            overload.next(status, asked, Instant::now())
        };
        for status in [429, 503] {
            let wait = waits(status, second).unwrap();
            assert!((1000..1250).contains(&wait.as_millis()), "{wait:?}");
            assert_eq!(waits(status, Some(Duration::from_mins(2))), None, "more than the budget");
            assert!(waits(status, Some(Duration::ZERO)).unwrap() >= LEAST);
        }
        // Without the header a 503 may come from anything on the way, also after the write.
        assert_eq!(waits(503, None), None);
        for status in [200, 409, 500, 504] {
            assert_eq!(waits(status, second), None, "{status}");
        }
        let mut overload = Overload::new(Duration::from_secs(30));
        let mut unnamed = || overload.next(429, None, Instant::now()).map(|wait| wait.as_secs());
        assert_eq!([unnamed(), unnamed()], [Some(1), Some(2)]);
    }

    #[test]
    fn clients_do_not_come_back_together() {
        let waits: std::collections::BTreeSet<_> = (0..64).map(|_| spread(Duration::from_secs(4))).collect();
        assert!(waits.len() > 8, "{waits:?}");
        assert!(waits.iter().all(|wait| (4..=5).contains(&wait.as_secs())));
    }
}
