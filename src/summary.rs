//! Folds events into totals and the exit code. Pure, and content with no events at all.

use serde::Serialize;

use crate::event::{CallerRefused, Event, Outcome};
use crate::exit_code;
use crate::plan::{Action, StepId};

/// Totals of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many steps there were.
    pub total: usize,
    /// Steps that made their object.
    pub created: usize,
    /// Steps that changed their object.
    pub updated: usize,
    /// Steps that deleted or released their object.
    pub deleted: usize,
    /// Steps that had nothing to do.
    pub unchanged: usize,
    /// Steps that proved something.
    pub proved: usize,
    /// Steps that did not apply.
    pub skipped: usize,
    /// Steps that failed.
    pub failed: Vec<StepId>,
    /// Steps that could not be judged, so that nothing was written.
    pub unknown: Vec<StepId>,
    /// Steps that waited for a failed or unknown one.
    pub blocked: Vec<StepId>,
    /// Rights that the caller lacks, so that the plan could not see everything.
    pub denied: Vec<String>,
    /// Steps that an interruption left undone.
    pub cancelled: Vec<StepId>,
    /// How many writes were made.
    pub writes: usize,
    /// How long the run took.
    pub seconds: f64,
    /// Whether the run stopped because the world was no longer what the plan showed.
    pub stale: bool,
    /// Whether the caller was refused somewhere: a call was denied, or the credentials were not accepted (any more).
    pub refused: Option<CallerRefused>,
    /// Whether a step failed for a reason that the same command would meet again.
    pub needs_change: bool,
    /// The exit code that follows.
    pub exit_code: u8,
}

impl Summary {
    /// Takes one event into account.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::RunStarted { steps, .. } => self.total = steps.len(),
            Event::OpFinished { .. } => self.writes += 1,
            Event::StepFinished { step, outcome, .. } => match outcome {
                Outcome::Unchanged { .. } => self.unchanged += 1,
                Outcome::Changed { action: Action::Create, .. } => self.created += 1,
                Outcome::Changed { action: Action::Delete, .. } => self.deleted += 1,
                Outcome::Changed { .. } => self.updated += 1,
                Outcome::Proved { .. } => self.proved += 1,
                Outcome::Skipped { .. } => self.skipped += 1,
                Outcome::Failed(failure) => {
                    self.stale |= failure.stale;
                    if self.refused != Some(CallerRefused::Credentials) {
                        self.refused = failure.refused.or(self.refused);
                    }
                    self.needs_change |= failure.needs_change;
                    self.failed.push(step.clone());
                }
                Outcome::Unknown { .. } => self.unknown.push(step.clone()),
                Outcome::Blocked { .. } => self.blocked.push(step.clone()),
                Outcome::Cancelled(_) => self.cancelled.push(step.clone()),
            },
            _ => {}
        }
    }

    /// Steps that are as they must be.
    pub fn done(&self) -> usize {
        self.created + self.updated + self.deleted + self.unchanged + self.proved + self.skipped
    }

    /// The exit code: a guard's refusal counts as such only where nothing was written.
    pub fn code(&self) -> u8 {
        if self.stale && self.writes == 0 {
            exit_code::REFUSED
        } else if !self.denied.is_empty() || self.refused.is_some() {
            exit_code::NO_PERMISSION
        } else if [&self.failed, &self.unknown, &self.blocked].iter().any(|steps| !steps.is_empty()) {
            exit_code::FAILED
        } else {
            exit_code::DONE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_events_are_a_success() {
        assert_eq!(Summary::default().code(), exit_code::DONE);
    }

    #[test]
    fn what_could_not_be_read_is_no_success() {
        let unknown = Summary { unknown: vec![StepId::new("a")], ..Summary::default() };
        assert_eq!(unknown.code(), exit_code::FAILED);
        let denied = Summary { denied: vec!["get Service/n/x".to_owned()], ..Summary::default() };
        assert_eq!(denied.code(), exit_code::NO_PERMISSION, "a step that is known to differ may have run all the same");
        assert_eq!(Summary { denied: denied.denied, ..unknown }.code(), exit_code::NO_PERMISSION);
    }

    #[test]
    fn a_stale_plan_is_a_refusal_only_before_the_first_write() {
        let stale = Summary { stale: true, failed: vec![StepId::new("a")], ..Summary::default() };
        assert_eq!(stale.code(), exit_code::REFUSED);
        assert_eq!(Summary { writes: 1, ..stale }.code(), exit_code::FAILED);
    }

    #[test]
    fn a_refused_caller_is_told_by_the_exit_code() {
        for refused in [CallerRefused::Denied, CallerRefused::Credentials] {
            let summary = Summary { failed: vec![StepId::new("a")], refused: Some(refused), ..Summary::default() };
            assert_eq!(summary.code(), exit_code::NO_PERMISSION);
        }
    }
}
