//! Which roles this run has written, and when. To a role that it has not heard of yet EKS says the same as to one that does not
//! exist; only whoever has just written it knows that waiting helps.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::judgement::in_doubt;
use crate::error::Result;
use crate::names;
use crate::op::Op;
use crate::op::eks::EksOp;
use crate::op::iam::IamOp;
use crate::retry::IAM_PROPAGATION;

/// The roles that a run has written, by name.
#[derive(Default)]
pub(super) struct NewRoles(Mutex<BTreeMap<String, Instant>>);

impl NewRoles {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of how a write ended, and gives that back. One that ended in doubt may have been done.
    pub(super) fn noted(&self, op: &Op, ended: Result<()>) -> Result<()> {
        if ended.as_ref().err().is_none_or(in_doubt)
            && let Some(role) = written(op)
        {
            self.all().insert(role.to_owned(), Instant::now());
        }
        ended
    }

    /// Whether a write hands over a role that others may not have heard of yet.
    pub(super) fn concern(&self, op: &Op) -> bool {
        self.concern_at(op, Instant::now())
    }

    fn concern_at(&self, op: &Op, now: Instant) -> bool {
        let written = handed_over(op).and_then(|role| self.all().get(names::last_part(role)).copied());
        written.is_some_and(|written| now.saturating_duration_since(written) < IAM_PROPAGATION)
    }
}

/// The role that is made, or whose trust changes: what EKS looks at.
fn written(op: &Op) -> Option<&str> {
    match op {
        Op::Iam(IamOp::CreateRole { name: role, .. } | IamOp::UpdateAssumeRolePolicy { role, .. }) => Some(role),
        _ => None,
    }
}

/// The ARN of the role that EKS is to give to pods.
fn handed_over(op: &Op) -> Option<&str> {
    match op {
        Op::Eks(
            EksOp::CreateAddon { service_account_role_arn, .. } | EksOp::UpdateAddon { service_account_role_arn, .. },
        ) => service_account_role_arn.as_deref(),
        Op::Eks(
            EksOp::CreatePodIdentityAssociation { role_arn, .. } | EksOp::UpdatePodIdentityAssociation { role_arn, .. },
        ) => Some(role_arn),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{AwsError, Error};
    use std::time::Duration;

    fn association(role: &str) -> Op {
        let role_arn = format!("arn:aws:iam::111122223333:role/path/{role}");
        let (cluster, association_id) = ("demo".to_owned(), "a-1".to_owned());
        Op::Eks(EksOp::UpdatePodIdentityAssociation { cluster, association_id, role_arn })
    }

    fn trust(role: &str) -> Op {
        Op::Iam(IamOp::UpdateAssumeRolePolicy { role: role.to_owned(), trust: "{}".to_owned() })
    }

    fn failed(code: Option<&str>) -> Result<()> {
        Err(Error::Aws(AwsError {
            operation: "iam:UpdateAssumeRolePolicy".to_owned(),
            code: code.map(ToOwned::to_owned),
            message: String::new(),
            request_id: None,
            status: None,
            no_credentials: false,
            untrusted: false,
        }))
    }

    #[test]
    fn a_role_is_new_for_two_minutes_after_a_write_of_this_run() {
        let roles = NewRoles::default();
        assert!(!roles.concern(&association("r")), "of an earlier run");
        roles.noted(&trust("r"), Ok(())).unwrap();
        let after = |seconds: u64| roles.concern_at(&association("r"), Instant::now() + Duration::from_secs(seconds));
        assert!(after(0) && after(119) && !after(121));
        assert!(!roles.concern(&association("other")) && !roles.concern(&trust("r")));
    }

    #[test]
    fn a_write_that_failed_for_sure_makes_no_role_new() {
        let roles = NewRoles::default();
        roles.noted(&trust("denied"), failed(Some("AccessDenied"))).unwrap_err();
        roles.noted(&trust("lost"), failed(None)).unwrap_err();
        assert!(!roles.concern(&association("denied")) && roles.concern(&association("lost")));
        let addon = |role: Option<&str>| {
            Op::Eks(EksOp::UpdateAddon {
                cluster: "demo".to_owned(),
                addon: "x".to_owned(),
                version: None,
                service_account_role_arn: role.map(|role| format!("arn:aws:iam::111122223333:role/{role}")),
                configuration_values: None,
                resolve_conflicts: None,
            })
        };
        assert!(roles.concern(&addon(Some("lost"))) && !roles.concern(&addon(None)));
    }
}
