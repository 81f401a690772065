//! IAM policy and trust documents as plain data.
//!
//! Steps use it to compare what IAM returns with what is wanted, `verify` to say which clause of a trust policy refuses a
//! service account, and the sandbox's IAM to judge documents and web identities. Nothing here reads or writes anything:
//! every function is a function of its arguments.
//!
//! Meaning is what is compared, never text: a single string and a list of one, the order of lists and statements, `Sid`s
//! and the case of action names make no difference, as in IAM itself. Trust policies are evaluated for web identities, identity
//! policies with boundaries for one action on one resource; policies of resources and organisations are not.

mod catalogue;
mod difference;
mod document;
mod evaluation;
mod identity;
mod lack;
mod operator;
mod pod_identity;
mod reading;
#[cfg(test)]
mod tests;
mod trust;
mod verdict;
mod writing;

pub use catalogue::{
    PARTITIONS, Scope, ebs_csi_driver_needs, ebs_csi_driver_scoped_needs, key_policy, load_balancer_controller_policy,
    load_balancer_controller_scoped, target_group_bindings,
};
pub use difference::{ActionCounts, PolicyDifference, action_counts, diff, same_meaning};
pub use document::{Condition, Document, Effect, Grant, Kind, Principals, Statement, counted_len};
pub use evaluation::evaluate_trust;
pub use identity::{Access, AccessDecision, AccessRequest, Context, Matched, NotEvaluated, evaluate};
pub use lack::lacking;
pub(crate) use operator::glob;
pub use pod_identity::{POD_IDENTITY_ACTIONS, POD_IDENTITY_SID, PODS_SERVICE, PodIdentityRequest, holds_pod_identity};
pub use trust::{
    AUDIENCE, SID, TrustPresence, WEB_IDENTITY_ACTION, find_trust, irsa_document, irsa_statement, merge_trust,
    other_clusters, our_other_providers, release_providers, release_trust, subject, trusts_provider,
};
pub use verdict::{BroadTrust, Clause, ClauseKind, Decision, TrustRequest, TrustVerdict};

/// Largest customer managed policy in characters without whitespace ("IAM and STS character limits", IAM user guide).
pub const MANAGED_POLICY_LIMIT: usize = 6_144;

/// Largest trust policy in characters without whitespace, before a quota increase (quota `ACLSizePerRole`, IAM user guide).
pub const TRUST_POLICY_LIMIT: usize = 2_048;

/// Why a text is not a document that IAM would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is not JSON.
    #[error("policy document is not JSON: {reason} (line {line}, column {column})")]
    NotJson {
        /// Line of the first offending character, from 1.
        line: usize,
        /// Column of the first offending character, from 1.
        column: usize,
        /// The parser's own words, without the position.
        reason: String,
    },
    /// The text that IAM returned URL-encoded does not decode to UTF-8.
    #[error("policy document is not URL-encoded UTF-8")]
    NotUrlEncoded,
    /// An element has a value of the wrong kind.
    #[error("`{path}` must be {expected}, found {found}")]
    Unexpected {
        /// Where in the document, such as `Statement[2].Action`.
        path: String,
        /// What IAM takes there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A required element is absent.
    #[error("`{path}` is missing")]
    Missing {
        /// Where in the document, such as `Statement[2].Effect`.
        path: String,
    },
    /// Two elements exclude each other.
    #[error("`{path}` has both `{first}` and `{second}`")]
    Exclusive {
        /// The statement.
        path: String,
        /// One element.
        first: &'static str,
        /// The other element.
        second: &'static str,
    },
    /// The element has no place in a document of this kind.
    #[error("`{path}` is not allowed in a {kind} policy")]
    NotAllowed {
        /// Where in the document.
        path: String,
        /// Which kind of document.
        kind: Kind,
    },
    /// Two statements carry the same `Sid`.
    #[error("`{path}` repeats the Sid `{sid}`")]
    RepeatedSid {
        /// The second statement's `Sid` element.
        path: String,
        /// The repeated value.
        sid: String,
    },
    /// The document is longer than IAM takes.
    #[error("{kind} policy has {len} characters without whitespace, IAM takes {limit}")]
    TooLong {
        /// Which kind of document.
        kind: Kind,
        /// Its length as IAM counts it.
        len: usize,
        /// The limit of this kind.
        limit: usize,
    },
}
