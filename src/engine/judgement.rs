//! What the engine thinks of changes and errors: whether they are what was shown, and whether a write may have been done all
//! the same. Pure; called by `engine.rs`.

use std::time::Duration;

use crate::error::Error;
use crate::plan::{Change, Goal, StepId};

pub(super) fn calls(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {}", change.op.call(), change.resource)).collect()
}

/// Whether what is to be done now is what was shown. There may be less to remove than was shown: what is gone is gone.
pub(super) fn as_shown(goal: Goal, now: &[Change], shown: &[Change]) -> bool {
    let known = |change: &Change| {
        shown.iter().any(|shown| match goal {
            Goal::Present => shown == change,
            Goal::Absent => shown.resource == change.resource && shown.op == change.op,
        })
    };
    now.iter().all(known)
}

pub(super) fn not_settled(id: &StepId, limit: Duration, last: String) -> Error {
    Error::NotSettled { what: id.to_string(), seconds: limit.as_secs(), last }
}

/// Whether a failed write may have been done all the same, or by someone else at the same moment.
pub(super) fn in_doubt(error: &Error) -> bool {
    match error {
        Error::Aws(error) => {
            error.code.is_none() && !error.no_credentials
                || error.is("EntityAlreadyExists")
                || error.is("ResourceInUseException")
                || error.status.is_some_and(|status| status >= 500)
        }
        Error::Kube(error) => error.status.is_none_or(|status| status == 409 || status >= 500),
        Error::ApiServerUnreachable { .. } => true,
        _ => false,
    }
}
