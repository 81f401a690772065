//! IAM's quotas of the account: those that AWS raises on request, so that a seed can have them raised or nearly used up.

use serde::{Deserialize, Serialize};

use super::document::TRUST_LIMIT;

/// Quotas; what is left out has AWS' default.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SeedQuotas {
    /// Roles of the account.
    pub roles: usize,
    /// Customer managed policies of the account.
    pub policies: usize,
    /// Managed policies attached to one role.
    pub attached_policies_per_role: usize,
    /// Characters of a trust document.
    pub trust_policy_size: usize,
}

impl Default for SeedQuotas {
    fn default() -> Self {
        Self { roles: 1000, policies: 1500, attached_policies_per_role: 10, trust_policy_size: TRUST_LIMIT }
    }
}
