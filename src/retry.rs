//! Back-off, and the table of errors that are worth another try, each with its reason. The only place that sleeps.
//!
//! The SDK itself retries throttling, 5xx and broken connections, and waits as long as AWS asks (`x-amz-retry-after`; the
//! services used here send no `Retry-After`). This table holds what it cannot know: errors that mean "not yet" because IAM is
//! eventually consistent. What an overloaded Kubernetes API server asks for is in `overload.rs`.

mod overload;

use std::time::{Duration, Instant};

use crate::error::{AwsError, Error};

pub use overload::{Overload, retry_after};

/// How long IAM may take until a new object is seen everywhere. Seconds as a rule; terraform-provider-aws waits up to two
/// minutes for the same reason (hashicorp/terraform-provider-aws#6566).
pub const IAM_PROPAGATION: Duration = Duration::from_mins(2);

/// An error that means "not yet".
#[derive(Debug)]
pub struct Transient {
    /// The call, or its beginning.
    pub call: &'static str,
    /// AWS's code or Kubernetes' reason.
    pub code: &'static str,
    /// When another try may succeed.
    pub again: Again,
    /// Why, or why not.
    pub reason: &'static str,
}

/// When another try may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At any time.
    Always,
    /// While the role that the call hands over was written by this run a moment ago.
    WhileRoleIsNew,
    /// Never; the row takes the call out of a wider one.
    Never,
}

/// All errors that are worth another try. The first row that fits counts.
pub const TRANSIENT: [Transient; 10] = [
    // What a new role refers to is no work of ours.
    Transient {
        call: "iam:CreateRole",
        code: "NoSuchEntity",
        again: Again::Never,
        reason: "its permissions boundary does not exist",
    },
    // Deletions take it for done and do not get here.
    Transient {
        call: "iam:",
        code: "NoSuchEntity",
        again: Again::Always,
        reason: "what it is about was made a moment ago",
    },
    Transient {
        call: "iam:Delete",
        code: "DeleteConflict",
        again: Again::Always,
        reason: "what hung on it was taken off a moment ago",
    },
    Transient { call: "iam:", code: "ConcurrentModification", again: Again::Always, reason: BUSY },
    Transient { call: "iam:", code: "EntityTemporarilyUnmodifiable", again: Again::Always, reason: BUSY },
    // EKS has no code of its own for a role that it does not know (yet), and gives this one for whatever is wrong.
    Transient {
        call: "eks:CreatePodIdentityAssociation",
        code: "InvalidParameterException",
        again: Again::WhileRoleIsNew,
        reason: NEW_ROLE,
    },
    Transient {
        call: "eks:UpdatePodIdentityAssociation",
        code: "InvalidParameterException",
        again: Again::WhileRoleIsNew,
        reason: NEW_ROLE,
    },
    Transient {
        call: "eks:CreateAddon",
        code: "InvalidParameterException",
        again: Again::WhileRoleIsNew,
        reason: NEW_ROLE,
    },
    Transient {
        call: "eks:UpdateAddon",
        code: "InvalidParameterException",
        again: Again::WhileRoleIsNew,
        reason: NEW_ROLE,
    },
    Transient {
        call: "",
        code: "ServiceUnavailable",
        again: Again::Always,
        reason: "the service is starting or overloaded",
    },
];

const BUSY: &str = "IAM is still busy with the last change";
const NEW_ROLE: &str = "the role was made or changed a moment ago";

/// The entry of the table that `error` falls under, where another try may succeed. `role_is_new` says whether the call hands over a
/// role that this run has just written.
pub fn transient(error: &Error, role_is_new: bool) -> Option<&'static Transient> {
    let (operation, code) = match error {
        Error::Aws(error) if OTHER_CAUSES.iter().any(|cause| refuses_addon(error, cause)) => return None,
        Error::Aws(error) => (error.operation.as_str(), error.code.as_deref().unwrap_or_default()),
        Error::Kube(error) => (error.operation.as_str(), error.reason.as_str()),
        _ => return None,
    };
    let entry = TRANSIENT.iter().find(|entry| operation.starts_with(entry.call) && code == entry.code)?;
    match entry.again {
        Again::Always => Some(entry),
        Again::WhileRoleIsNew => role_is_new.then_some(entry),
        Again::Never => None,
    }
}

/// How EKS begins when it refuses the configuration of an add-on.
pub(crate) const CONFIGURATION: &str = "ConfigurationValue ";

/// How EKS begins when an add-on is refused for what no waiting mends: with the code that it has for roles, too.
const OTHER_CAUSES: [&str; 2] = [CONFIGURATION, "Addon version"];

/// Whether EKS refused an add-on, and its text begins with `cause`; its code is the same for all causes.
pub(crate) fn refuses_addon(error: &AwsError, cause: &str) -> bool {
    matches!(error.operation.as_str(), "eks:CreateAddon" | "eks:UpdateAddon")
        && error.is("InvalidParameterException")
        && error.message.starts_with(cause)
}

/// Waits that double from `first` to `most`, until `limit` is over.
#[derive(Debug)]
pub struct BackOff {
    next: Duration,
    most: Duration,
    end: Instant,
}

impl BackOff {
    /// A back-off that starts now.
    pub fn new(first: Duration, most: Duration, limit: Duration) -> BackOff {
        BackOff { next: first, most, end: Instant::now() + limit }
    }

    /// Waits; false once the time is over.
    #[expect(clippy::disallowed_methods, reason = "this is the place that sleeps")]
    pub async fn wait(&mut self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.most);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AwsError;

    #[test]
    fn only_a_role_of_this_run_makes_eks_worth_another_try() {
        let again = |operation: &str, code: &str, role_is_new: bool| {
            let error = Error::Aws(AwsError {
                operation: operation.to_owned(),
                code: Some(code.to_owned()),
                message: String::new(),
                request_id: None,
                status: Some(400),
                no_credentials: false,
                untrusted: false,
            });
            transient(&error, role_is_new).is_some()
        };
        for call in ["CreatePodIdentityAssociation", "UpdatePodIdentityAssociation", "CreateAddon", "UpdateAddon"] {
            let call = format!("eks:{call}");
            let invalid = |new| again(&call, "InvalidParameterException", new);
            assert!(invalid(true) && !invalid(false), "{call}");
            assert!(!again(&call, "InvalidRequestException", true), "{call}");
        }
        assert!(!again("eks:DeleteAddon", "InvalidParameterException", true));
        for new in [true, false] {
            assert!(
                again("iam:AttachRolePolicy", "NoSuchEntity", new) && !again("iam:CreateRole", "NoSuchEntity", new)
            );
            assert!(again("iam:CreateRole", "ConcurrentModification", new));
        }
    }
}
