//! What the engine makes of plans and errors while it runs steps. Pure.

use std::time::Duration;

use crate::error::Error;
use crate::event::{Failure, Remains};
use crate::hint;
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

/// What an assessment after a failure leaves to do.
pub(super) fn remains(now: &Assessment) -> Remains {
    match now.action {
        Action::Blocked => Remains::State(now.reason.clone()),
        Action::Unknown => Remains::Unknown,
        _ => Remains::Calls(calls(&now.changes)),
    }
}

/// The failure of a step that may not be touched.
pub(super) fn blocked(assessment: &Assessment) -> Failure {
    Failure {
        message: assessment.reason.clone(),
        causes: Vec::new(),
        hint: assessment
            .mend
            .clone()
            .or_else(|| Some("once that is over or fixed, run the same command again".to_owned())),
        stale: false,
        refused: None,
        needs_change: false,
        remains: remains(assessment),
    }
}

/// The hint of an error in the middle of a run: the API server has taken the credentials before.
pub(super) fn hint_of(error: &Error) -> Option<String> {
    match error {
        Error::Kube(error) if error.status == Some(401) => Some(
            "the API server no longer accepts the credentials: log in again (for SSO: `aws sso login`), then run the same \
             command again"
                .to_owned(),
        ),
        other => hint::of(other),
    }
}

/// Whether AWS says that what was to be made is there already, which a read has yet to show.
pub(super) fn exists_already(error: &Error) -> bool {
    matches!(error, Error::Aws(error) if error.is("EntityAlreadyExists") || error.is("ResourceInUseException"))
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
