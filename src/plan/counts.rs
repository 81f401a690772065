//! How many steps of a plan do what: its last line, and `summary` of its JSON form. Pure.

use serde::Serialize;

use super::{Action, Plan};

/// How many steps do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Steps that create.
    pub create: usize,
    /// Steps that update.
    pub update: usize,
    /// Steps that delete.
    pub delete: usize,
    /// Steps that prove.
    pub prove: usize,
    /// Steps that are blocked.
    pub blocked: usize,
    /// Steps that could not be read.
    pub unknown: usize,
    /// Steps that do not apply.
    pub skipped: usize,
    /// Steps that have nothing to do.
    pub unchanged: usize,
}

impl Plan {
    /// How many steps do what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for step in &self.steps {
            let slot = match step.assessment.action {
                Action::Keep => &mut counts.unchanged,
                Action::Create => &mut counts.create,
                Action::Update => &mut counts.update,
                Action::Delete => &mut counts.delete,
                Action::Prove => &mut counts.prove,
                Action::Skip => &mut counts.skipped,
                Action::Blocked => &mut counts.blocked,
                Action::Unknown => &mut counts.unknown,
            };
            *slot += 1;
        }
        counts
    }
}
