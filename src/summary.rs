//! Folds events into totals and the exit code. Pure, and content with no events at all.

use serde::Serialize;

use crate::event::{Event, Outcome};
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
    /// Steps that waited for a failed one.
    pub blocked: Vec<StepId>,
    /// Steps that an interruption left undone.
    pub cancelled: Vec<StepId>,
    /// How many writes were made.
    pub writes: usize,
    /// How long the run took.
    pub seconds: f64,
    /// Whether the run stopped because the world was no longer what the plan showed.
    pub stale: bool,
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
                    self.needs_change |= failure.needs_change;
                    self.failed.push(step.clone());
                }
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
        } else if !self.failed.is_empty() || !self.blocked.is_empty() {
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
    fn a_stale_plan_is_a_refusal_only_before_the_first_write() {
        let stale = Summary { stale: true, failed: vec![StepId::new("a")], ..Summary::default() };
        assert_eq!(stale.code(), exit_code::REFUSED);
        assert_eq!(Summary { writes: 1, ..stale }.code(), exit_code::FAILED);
    }
}
