//! The words of a trust evaluation: the request, the verdict, the clauses that refuse and what is too broad.
//!
//! Each clause holds what the policy says and what it would have to say, so that a renderer can show them side by side; its
//! `Display` is the same in one line.

use std::fmt;

/// A token that asks for the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRequest {
    /// ARN of the OIDC provider that vouches for the token.
    pub provider_arn: String,
    /// The token's issuer, with or without `https://`.
    pub issuer: String,
    /// The token's `aud` claim.
    pub audience: String,
    /// The token's `sub` claim.
    pub subject: String,
}

/// The judgement of a trust policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustVerdict {
    /// Whether the role may be assumed.
    pub decision: Decision,
    /// Statements that let in more than one service account of this provider.
    pub broad: Vec<BroadTrust>,
}

/// Whether the role may be assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The statement with this index allows it, and none denies it.
    Allowed {
        /// The first statement that allows.
        statement: usize,
    },
    /// Nothing allows it, or something denies it.
    Denied {
        /// Every clause that fails in the statements that come nearest.
        clauses: Vec<Clause>,
    },
}

/// A clause of a statement that refuses the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Index of the statement; absent where the document has none that could be named.
    pub statement: Option<usize>,
    /// What is wrong.
    pub kind: ClauseKind,
    /// What the policy says.
    pub observed: String,
    /// What it would have to say.
    pub expected: String,
}

/// What is wrong with a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClauseKind {
    /// The audience condition names another audience.
    Audience,
    /// The subject condition names another service account.
    Subject,
    /// The subject condition has a wildcard under an operator that takes it literally.
    LiteralWildcard,
    /// The condition key is spelled with the provider's ARN, `oidc-provider/` or `https://` before the issuer.
    KeyPrefix,
    /// The condition key belongs to another cluster's issuer.
    OtherIssuer,
    /// The condition depends on something that a token does not tell.
    UnknownKey,
    /// The operator or the value is not understood.
    NotUnderstood,
    /// Another condition on the token that does not hold.
    Condition,
    /// The statement does not concern web identities.
    Action,
    /// The principal is another OIDC provider, such as that of another cluster.
    OtherProvider,
    /// The principal is an AWS service.
    ServicePrincipal,
    /// The principal is something else, such as an account or a user.
    OtherPrincipal,
    /// A statement denies.
    ExplicitDeny,
    /// No statement allows anything.
    NoStatement,
}

/// A statement that lets in more than one service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BroadTrust {
    /// No condition on the subject: every service account of the cluster.
    NoSubject {
        /// Index of the statement.
        statement: usize,
    },
    /// The subject condition has a wildcard.
    WildcardSubject {
        /// Index of the statement.
        statement: usize,
        /// The pattern.
        pattern: String,
    },
    /// No condition on the audience: tokens that were made for other services.
    NoAudience {
        /// Index of the statement.
        statement: usize,
    },
    /// The principal is `*`.
    AnyPrincipal {
        /// Index of the statement.
        statement: usize,
    },
}

impl TrustVerdict {
    /// Whether the role may be assumed.
    pub fn allowed(&self) -> bool {
        matches!(self.decision, Decision::Allowed { .. })
    }

    /// The clauses that refuse; empty where the role may be assumed.
    pub fn clauses(&self) -> &[Clause] {
        match &self.decision {
            Decision::Allowed { .. } => &[],
            Decision::Denied { clauses } => clauses,
        }
    }
}

impl ClauseKind {
    /// How far a statement with such a fault is from what its author wanted: a wrong word is nearer than a wrong principal.
    pub(super) const fn distance(self) -> usize {
        match self {
            Self::Audience | Self::Subject | Self::LiteralWildcard | Self::KeyPrefix | Self::Condition => 1,
            Self::UnknownKey | Self::NotUnderstood | Self::OtherIssuer => 2,
            Self::OtherProvider => 5,
            Self::Action => 10,
            Self::ServicePrincipal | Self::OtherPrincipal => 100,
            Self::ExplicitDeny | Self::NoStatement => 1000,
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { observed, expected, .. } = self;
        match self.kind {
            ClauseKind::Audience => write!(out, "aud is `{observed}`, expected `{expected}`"),
            ClauseKind::Subject => write!(out, "sub is `{observed}`, expected `{expected}`"),
            ClauseKind::LiteralWildcard => {
                write!(out, "`{observed}` takes the wildcard literally, expected `{expected}`")
            }
            ClauseKind::KeyPrefix => write!(out, "condition key `{observed}` has a prefix, expected `{expected}`"),
            ClauseKind::OtherIssuer => {
                write!(out, "condition key `{observed}` is of another issuer, expected {expected}")
            }
            ClauseKind::UnknownKey => write!(out, "condition depends on {observed}, expected {expected}"),
            ClauseKind::NotUnderstood => write!(out, "{observed} is not understood, expected {expected}"),
            ClauseKind::Condition => write!(out, "condition `{observed}` refuses, expected {expected}"),
            ClauseKind::Action => write!(out, "action is `{observed}`, expected `{expected}`"),
            ClauseKind::OtherProvider => {
                write!(out, "principal is another OIDC provider, `{observed}`, expected `{expected}`")
            }
            ClauseKind::ServicePrincipal => {
                write!(out, "principal is a service (`{observed}`), not the OIDC provider `{expected}`")
            }
            ClauseKind::OtherPrincipal => write!(out, "principal is `{observed}`, not the OIDC provider `{expected}`"),
            ClauseKind::ExplicitDeny | ClauseKind::NoStatement => write!(out, "{observed}, expected {expected}"),
        }
    }
}

impl fmt::Display for BroadTrust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSubject { statement } => {
                write!(
                    out,
                    "`Statement[{statement}]` names no sub: every service account of the cluster may assume the role"
                )
            }
            Self::WildcardSubject { statement, pattern } => {
                write!(out, "`Statement[{statement}]` lets in every service account that matches `{pattern}`")
            }
            Self::NoAudience { statement } => {
                write!(out, "`Statement[{statement}]` names no aud: tokens made for other services may assume the role")
            }
            Self::AnyPrincipal { statement } => write!(out, "`Statement[{statement}]` lets in every principal"),
        }
    }
}
