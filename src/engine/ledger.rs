//! What a step has written, what it is writing and what it has not: kept beside the work, so that it can be told when the work
//! is broken off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::judgement::in_doubt;
use crate::error::{Error, Result};
use crate::event::{Cancelled, Remains};
use crate::plan::{Change, StepId};

/// The ledger of one step.
pub(super) struct Ledger {
    entries: watch::Sender<Entries>,
}

#[derive(Default, Clone)]
struct Entries {
    finished: Vec<String>,
    flying: Option<String>,
    doubtful: Vec<String>,
    /// Calls that have not been made, the one that is being made first.
    remains: Vec<String>,
    /// What was to be seen last.
    seen: String,
}

impl Ledger {
    /// A step that has `remains` before it.
    pub(super) fn new(remains: Vec<String>) -> Ledger {
        Ledger { entries: watch::Sender::new(Entries { remains, ..Entries::default() }) }
    }

    /// Says what is left to do from here on.
    pub(super) fn remains(&self, calls: Vec<String>) {
        self.entries.send_modify(|entries| entries.remains = calls);
    }

    /// Keeps what was to be seen.
    pub(super) fn seen(&self, message: &str) {
        self.entries.send_modify(|entries| message.clone_into(&mut entries.seen));
    }

    /// Awaits a write and enters how it ends.
    pub(super) async fn flying(&self, change: &Change, write: impl Future<Output = Result<()>>) -> Result<()> {
        let call = format!("{} {}", change.op.call(), change.resource);
        self.entries.send_modify(|entries| {
            entries.doubtful.retain(|doubtful| *doubtful != call);
            entries.flying = Some(call.clone());
        });
        let result = write.await;
        self.entries.send_modify(|entries| {
            entries.flying = None;
            match &result {
                Ok(()) => {
                    entries.remains.retain(|remaining| *remaining != call);
                    entries.finished.push(call);
                }
                Err(Error::Stopped { what }) => {
                    entries.remains.retain(|remaining| *remaining != call);
                    entries.doubtful.push(format!("{call} ({what})"));
                }
                Err(error) if in_doubt(error) => entries.doubtful.push(call),
                Err(_) => {}
            }
        });
        result
    }

    /// The write that is under way.
    pub(super) fn call(&self) -> Option<String> {
        self.entries.borrow().flying.clone()
    }

    /// Ends when no write is under way.
    pub(super) async fn idle(&self) {
        let mut entries = self.entries.subscribe();
        // The sender lives as long as `self`.
        let _ = entries.wait_for(|entries| entries.flying.is_none()).await;
    }

    /// What the step was at, for a message.
    pub(super) fn at(&self) -> String {
        let entries = self.entries.borrow();
        let at = match &entries.flying {
            Some(call) => call.clone(),
            None if entries.finished.is_empty() => "reading".to_owned(),
            None => format!("reading back {}", entries.finished.join(", ")),
        };
        if entries.seen.is_empty() { at } else { format!("{at}: {}", entries.seen) }
    }

    /// What is left of the step if it is broken off now.
    pub(super) fn cancelled(&self) -> Cancelled {
        let Entries { finished, flying, mut doubtful, mut remains, .. } = self.entries.borrow().clone();
        if let Some(call) = flying {
            remains.retain(|remaining| *remaining != call);
            doubtful.push(call);
        }
        remains.retain(|remaining| !doubtful.contains(remaining));
        Cancelled { finished, half_done: doubtful, remains }
    }

    /// What is left of the step where nothing can be observed any more, as after the end of the credentials: by the answers to its
    /// writes alone.
    pub(super) fn left(&self) -> Remains {
        let Cancelled { finished, half_done, remains } = self.cancelled();
        if finished.is_empty() && half_done.is_empty() {
            return Remains::Calls(remains);
        }
        let parts = [("not made", remains), ("may be half done", half_done), ("made, not read back", finished)];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|(_, calls)| !calls.is_empty())
            .map(|(what, calls)| format!("{what}: {}", calls.join(", ")))
            .collect();
        Remains::State(parts.join("; "))
    }
}

/// The ledgers of the steps that are at work.
#[derive(Default)]
pub(super) struct Ledgers(Mutex<BTreeMap<StepId, Arc<Ledger>>>);

impl Ledgers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<StepId, Arc<Ledger>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, step: &StepId, remains: Vec<String>) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new(remains));
        self.all().insert(step.clone(), ledger.clone());
        ledger
    }

    pub(super) fn close(&self, step: &StepId) {
        self.all().remove(step);
    }

    /// The writes that are under way, by step.
    pub(super) fn calls(&self) -> Vec<(StepId, String)> {
        self.all().iter().filter_map(|(step, ledger)| Some((step.clone(), ledger.call()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_observed_is_told_by_the_answers_to_the_writes() {
        let all = |calls: &[&str]| calls.iter().map(|call| (*call).to_owned()).collect::<Vec<_>>();
        let ledger = Ledger::new(all(&["a", "b"]));
        assert_eq!(ledger.left(), Remains::Calls(all(&["a", "b"])));
        ledger.entries.send_modify(|entries| {
            (entries.finished, entries.remains, entries.doubtful) = (all(&["a"]), all(&["b", "c"]), all(&["b"]));
        });
        let told = "not made: c; may be half done: b; made, not read back: a";
        assert_eq!(ledger.left(), Remains::State(told.to_owned()));
    }
}
