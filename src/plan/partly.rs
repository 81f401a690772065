//! What a plan says of what the caller may not read. Pure.

use std::collections::BTreeSet;

use super::{Action, Assessment, Plan};
use crate::error::Denied;

impl Assessment {
    /// The same, where something that belongs to it may not be read: what is known to differ stays, and what seems right, or
    /// absent, is not known any more.
    pub fn partly_read(mut self, denied: Vec<Denied>) -> Assessment {
        let Some(first) = denied.first() else { return self };
        let more = if denied.len() > 1 { format!(" and {} more", denied.len() - 1) } else { String::new() };
        self.reason = format!("partly read: {}; denied: {}{more}", self.reason, first.right());
        if matches!(self.action, Action::Keep | Action::Create) {
            self.action = Action::Unknown;
            self.changes.clear();
        }
        Assessment { denied, partly_read: true, ..self }
    }
}

impl Plan {
    /// The rights that the caller lacks to see all of it, each once.
    pub fn denied(&self) -> Vec<String> {
        let denied = self.steps.iter().flat_map(|step| &step.assessment.denied);
        let rights: BTreeSet<_> = denied.map(|denied| denied.right().to_owned()).collect();
        rights.into_iter().collect()
    }
}
