//! How changes spread: IAM's own reads, the services beside IAM, and the tagging API each see them after a while of their own.
//!
//! Here calls take a millisecond where they take a hundred in AWS, so every call that is answered counts for part of that while: work goes
//! on as far as it would, and only who has nothing else to do really waits. Times stay those of the clock, for tokens, signatures and
//! whatever is shown; on a clock that a test moves by hand calls count for nothing.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::seed::Seed;

/// What a call counts for.
const OF_CALL: Duration = Duration::from_millis(250);

/// What spreads how fast, and the calls that were answered lately.
#[derive(Debug)]
pub(super) struct Spread {
    /// Until IAM's own reads show what was made.
    reads: Duration,
    /// Until STS and EKS see a change in IAM.
    elsewhere: Duration,
    /// Until the tagging API shows tags.
    tags: Duration,
    of_call: Duration,
    /// Oldest first.
    calls: VecDeque<Timestamp>,
}

/// How long ago something has to have happened, by the clock, to be seen now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lags {
    pub(super) reads: Duration,
    pub(super) elsewhere: Duration,
    pub(super) tags: Duration,
}

impl Spread {
    pub(super) fn new(seed: &Seed, calls_count: bool) -> Self {
        Self {
            reads: Duration::from_secs(seed.read_lag_seconds),
            elsewhere: Duration::from_secs(seed.consistency_seconds),
            tags: Duration::from_secs(seed.tagging_lag_seconds),
            of_call: if calls_count { OF_CALL } else { Duration::ZERO },
            calls: VecDeque::new(),
        }
    }

    /// Counts the call that is answered now.
    pub(super) fn count(&mut self, now: Timestamp) {
        let longest = self.reads.max(self.elsewhere).max(self.tags);
        if self.of_call.is_zero() || longest.is_zero() {
            return;
        }
        self.calls.push_back(now);
        // Whatever was written before that many calls is seen.
        while self.calls.len() as u128 > longest.as_millis() / self.of_call.as_millis() + 2 {
            self.calls.pop_front();
        }
    }

    pub(super) fn lags(&self, now: Timestamp) -> Lags {
        Lags {
            reads: self.left(self.reads, now),
            elsewhere: self.left(self.elsewhere, now),
            tags: self.left(self.tags, now),
        }
    }

    /// What is left of a lag once the calls since then are counted: the least time ago for which the time and the calls since make up
    /// the whole of it.
    fn left(&self, lag: Duration, now: Timestamp) -> Duration {
        let ago = |moment: Timestamp| Duration::try_from(now.duration_since(moment)).unwrap_or_default();
        // So many calls, and the oldest of them, came after whatever is looked at.
        let (mut counted, mut oldest) = (0, None);
        for call in self.calls.iter().rev().map(Some).chain([None]) {
            let rest = lag.saturating_sub(self.of_call * counted);
            let least = rest.max(oldest.map_or(Duration::ZERO, |call| ago(call) + Duration::from_nanos(1)));
            if call.is_none_or(|call| ago(*call) >= least) {
                return least;
            }
            counted += 1;
            oldest = call.copied();
        }
        lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(calls_count: bool) -> Spread {
        let mut seed = Seed::builtin();
        (seed.read_lag_seconds, seed.consistency_seconds, seed.tagging_lag_seconds) = (1, 8, 25);
        Spread::new(&seed, calls_count)
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    /// Whether what was written at one moment is seen elsewhere at another.
    fn seen(spread: &Spread, written: i64, now: i64) -> bool {
        super::super::clock::visible(at(written), spread.lags(at(now)).elsewhere, at(now))
    }

    #[test]
    fn time_alone_is_enough_and_calls_count_for_part_of_it() {
        let mut spread = spread(true);
        assert!(!seen(&spread, 0, 7_999) && seen(&spread, 0, 8_000));
        // Twenty calls within a second count for five.
        spread.count(at(0));
        (1..=20).for_each(|call| spread.count(at(call * 50)));
        assert!(!seen(&spread, 0, 2_999) && seen(&spread, 0, 3_000));
        // Of what was written in the middle half of them came later.
        assert!(!seen(&spread, 500, 5_999) && seen(&spread, 500, 6_000));
        // What was written by the last of them, or after it, has all of the time before it.
        assert!(!seen(&spread, 1_000, 8_999) && seen(&spread, 1_000, 9_000));
        assert!(!seen(&spread, 2_000, 9_999) && seen(&spread, 2_000, 10_000));
    }

    #[test]
    fn calls_alone_are_enough_and_few_are_kept() {
        let mut spread = spread(true);
        (0..1_000).for_each(|call| spread.count(at(call)));
        assert!(!seen(&spread, 999 - 31, 999) && seen(&spread, 999 - 32, 999));
        assert!(spread.calls.len() <= 102, "{}", spread.calls.len());
    }

    #[test]
    fn without_a_lag_all_is_seen_at_once_and_a_clock_by_hand_counts_no_calls() {
        let mut by_hand = spread(false);
        (0..1_000).for_each(|call| by_hand.count(at(call)));
        assert!(!seen(&by_hand, 0, 7_999) && seen(&by_hand, 0, 8_000));
        let mut seed = Seed::builtin();
        (seed.read_lag_seconds, seed.consistency_seconds, seed.tagging_lag_seconds) = (0, 0, 25);
        let mut spread = Spread::new(&seed, true);
        spread.count(at(5));
        assert!(seen(&spread, 5, 5));
    }
}
