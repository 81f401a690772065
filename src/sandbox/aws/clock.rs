//! The simulator's time: the system's clock, or one that a test moves by hand.
//!
//! Everything that AWS does "after a while" (a new role becoming visible, an add-on becoming ACTIVE, credentials expiring) is computed from
//! this clock when it is asked for; nothing runs in the background. Injected latency is not part of it: that is really slept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// Where the simulator reads the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
}

impl Clock {
    /// Returns the present moment of this clock.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(clock) => *clock.0.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// A clock that stands still until it is moved; clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// Starts a clock that stands at `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = after(*now, by);
    }
}

/// Returns the moment `by` after `moment`, or the last representable one.
pub(super) fn after(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Says whether something that happened at `written` is visible at `now` when changes take `lag` to spread.
pub(super) fn visible(written: Timestamp, lag: Duration, now: Timestamp) -> bool {
    after(written, lag) <= now
}
