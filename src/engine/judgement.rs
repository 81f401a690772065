//! What the engine makes of plans and errors while it runs steps. Pure.

use std::time::Duration;

use crate::error::Error;
use crate::plan::{Action, Assessment, Change, Goal, StepId};

pub(super) fn calls(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {}", change.op.call(), change.resource)).collect()
}

/// Whether a step finds anything else than what was shown. It may find less: what is gone is gone, and a step before it may
/// have done a part of it on its way, as a chart does that replaces its own pods.
pub(super) fn surprises(goal: Goal, now: &Assessment, shown: &[Change]) -> bool {
    let known = |change: &Change| shown.iter().any(|shown| shown.resource == change.resource && shown.op == change.op);
    // What could be read of it in part was as little readable when it was shown.
    let unreadable = now.action == Action::Unknown && !now.partly_read && goal == Goal::Present;
    now.action == Action::Blocked || unreadable || !now.changes.iter().all(known)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Op;
    use crate::op::iam::IamOp;
    use crate::plan::ResourceId;

    #[test]
    fn less_than_shown_is_no_surprise_and_anything_else_is() {
        let change = |role: &str| {
            let op = Op::Iam(IamOp::DeleteRole { role: role.to_owned() });
            Change { resource: ResourceId(role.to_owned()), fields: Vec::new(), op }
        };
        let shown = [change("a"), change("b")];
        let now = |roles: &[&str]| Assessment::update("", roles.iter().map(|role| change(role)).collect());
        for (roles, surprise) in [(&["a", "b"][..], false), (&["b"], false), (&[], false), (&["a", "c"], true)] {
            assert_eq!(surprises(Goal::Present, &now(roles), &shown), surprise, "{roles:?}");
        }
        let blocked = Assessment { action: Action::Blocked, ..now(&[]) };
        assert!(surprises(Goal::Present, &blocked, &shown) && surprises(Goal::Absent, &blocked, &shown));
        let unknown = Assessment { partly_read: true, ..Assessment::unknown("") };
        assert!(!surprises(Goal::Present, &unknown, &shown));
        let unknown = Assessment::unknown("");
        assert!(surprises(Goal::Present, &unknown, &shown) && !surprises(Goal::Absent, &unknown, &shown));
    }
}
