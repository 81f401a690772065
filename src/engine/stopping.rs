//! What bounds a step at work: its time, and signals. Beside the work it is read what is to be seen meanwhile.
//!
//! A step that is told to stop is broken off where it is not writing: settling, proving, reading, or between two tries. A
//! write in flight is awaited, for as long as the step may take after a single Ctrl-C, else until the program has to be over.

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, OptionFuture};

use super::{Engine, Ledger, Ledgers};
use crate::error::{Error, Result};
use crate::event::{Event, Outcome, WaitsFor};
use crate::left_behind::{self, LeftBehind};
use crate::limits::{self, STEP_GRACE};
use crate::steps::Step;
use crate::stop::Heard;

/// So long before the program has to be over, writes are no longer awaited.
const LAST: Duration = Duration::from_millis(400);
/// For so long it is read what a failed step leaves to do.
const AFTER_FAILURE: Duration = Duration::from_secs(20);
/// And what one leaves whose time is over.
const AFTER_TIME: Duration = Duration::from_secs(1);

impl Engine {
    /// Runs the work of a step within its time and until it is told to stop.
    pub(super) async fn bounded(
        &self,
        step: &dyn Step,
        began: Instant,
        ledger: &Ledger,
        work: impl Future<Output = Result<Outcome>>,
    ) -> Result<Outcome> {
        let end = tokio::time::Instant::from_std(began) + self.patience + STEP_GRACE.get();
        tokio::select! {
            biased;
            ended = limits::until(end - STEP_GRACE.get(), self.watched(step, began, ledger, work)) => match ended {
                Err(Error::Stopped { .. }) => Ok(Outcome::Cancelled(ledger.cancelled())),
                ended => ended,
            },
            () = self.broken_off(ledger) => Ok(Outcome::Cancelled(ledger.cancelled())),
            () = tokio::time::sleep_until(end) => {
                Err(Error::TimedOut { what: format!("{}: {}", step.id(), ledger.at()), limit: self.patience })
            }
        }
    }

    /// Ends when a step has to be broken off.
    async fn broken_off(&self, ledger: &Ledger) {
        self.stops.first().await;
        tokio::select! {
            () = ledger.idle() => {}
            () = self.stops.nearly_over(LAST) => {}
        }
    }

    /// Runs `work` and says every second what is to be seen meanwhile. Both are polled: work that waits for a lock which the
    /// look holds, or the other way round, would hang for ever.
    async fn watched<T>(&self, step: &dyn Step, began: Instant, ledger: &Ledger, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        // One look a second is what a person can follow.
        let second = Duration::from_secs(1);
        let mut ticks = tokio::time::interval_at((began + second).into(), second);
        let mut last = String::new();
        let mut look: Option<BoxFuture<'_, Option<String>>> = None;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(seen) = OptionFuture::from(look.as_mut()), if look.is_some() => {
                    look = None;
                    last = seen.unwrap_or_default();
                    ledger.seen(&last);
                    self.progressed(step, began, &last);
                }
                _ = ticks.tick() => {
                    if look.is_none() {
                        look = Some(Box::pin(self.sight(step)));
                    } else {
                        // A look that takes long is no reason to be silent.
                        self.progressed(step, began, &last);
                    }
                }
            }
        }
    }

    fn progressed(&self, step: &dyn Step, began: Instant, message: &str) {
        let (message, seconds) = (message.to_owned(), began.elapsed().as_secs_f64());
        let _ = self.events.send(Event::StepProgress { step: step.id(), message, seconds });
    }

    /// What is told when a signal came.
    pub(super) fn stopping(&self, heard: Heard, ledgers: &Ledgers) -> Event {
        let left = heard.over.map(|over| over.saturating_duration_since(tokio::time::Instant::now()));
        let seconds = left.unwrap_or(self.patience + STEP_GRACE.get()).as_secs();
        let waits = |(step, call)| WaitsFor { step, call, seconds };
        let waits_for = ledgers.calls().into_iter().map(waits).collect();
        Event::Stopping { signal: heard.stop, count: heard.count, waits_for }
    }

    /// Reads what only explains an end, for a moment; for less where the step has used up its time.
    pub(super) async fn readable<T>(&self, error: &Error, read: impl Future<Output = T>) -> Option<T> {
        let time = if matches!(error, Error::TimedOut { .. }) { AFTER_TIME } else { AFTER_FAILURE };
        tokio::select! {
            biased;
            read = read => Some(read),
            () = self.stops.nearly_over(LAST) => None,
            () = tokio::time::sleep_until(tokio::time::Instant::now() + time) => None,
        }
    }

    /// What a destroy leaves in AWS; a run that is told to stop does not ask.
    pub(super) async fn left_behind(&self) -> LeftBehind {
        tokio::select! {
            left = Box::pin(left_behind::read(&self.read)) => left,
            () = self.stops.first() => {
                LeftBehind { unread: vec!["the run was told to stop".to_owned()], ..LeftBehind::default() }
            }
        }
    }
}
