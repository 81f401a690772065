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
    /// Why another try may succeed.
    pub reason: &'static str,
}

/// All errors that are worth another try.
pub const TRANSIENT: [Transient; 9] = [
    // Deletions take it for done and do not get here.
    Transient { call: "iam:", code: "NoSuchEntity", reason: "what it is about was made a moment ago" },
    Transient { call: "iam:Delete", code: "DeleteConflict", reason: "what hung on it was taken off a moment ago" },
    Transient { call: "iam:", code: "ConcurrentModification", reason: "IAM is still busy with the last change" },
    Transient { call: "iam:", code: "EntityTemporarilyUnmodifiable", reason: "IAM is still busy with the last change" },
    // EKS has no code of its own for a role that it does not know (yet).
    Transient {
        call: "eks:CreatePodIdentityAssociation",
        code: "InvalidParameterException",
        reason: "the role was made a moment ago",
    },
    Transient {
        call: "eks:UpdatePodIdentityAssociation",
        code: "InvalidParameterException",
        reason: "the role was made a moment ago",
    },
    Transient { call: "eks:CreateAddon", code: "InvalidParameterException", reason: "the role was made a moment ago" },
    Transient { call: "eks:UpdateAddon", code: "InvalidParameterException", reason: "the role was made a moment ago" },
    Transient { call: "", code: "ServiceUnavailable", reason: "the service is starting or overloaded" },
];

/// The entry of the table that `error` falls under.
pub fn transient(error: &Error) -> Option<&'static Transient> {
    let (operation, code) = match error {
        // What a new role refers to is no work of ours: a permissions boundary that does not exist.
        Error::Aws(error) if error.operation == "iam:CreateRole" && error.not_found() => return None,
        Error::Aws(error) if is_of_addon(error) && !error.message.starts_with(UNKNOWN_ROLE) => return None,
        Error::Aws(error) => (error.operation.as_str(), error.code.as_deref().unwrap_or_default()),
        Error::Kube(error) => (error.operation.as_str(), error.reason.as_str()),
        _ => return None,
    };
    TRANSIENT.iter().find(|entry| operation.starts_with(entry.call) && code == entry.code)
}

/// What EKS says of a role that it does not know (yet). Of an add-on it refuses a version or a configuration with the same code, which
/// no waiting mends; where the text is another one day, the call is not tried again, and the same command goes on from there
/// (hashicorp/terraform-provider-aws#34717).
const UNKNOWN_ROLE: &str = "Role provided in the request does not exist";

fn is_of_addon(error: &AwsError) -> bool {
    matches!(error.operation.as_str(), "eks:CreateAddon" | "eks:UpdateAddon") && error.is("InvalidParameterException")
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
