//! `GetAccountSummary`: how much the account holds of what is simulated, and its quotas. OIDC providers have no quota in it.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html>

use super::version::VERSION_LIMIT;
use crate::sandbox::aws::document::{INLINE_LIMIT, MANAGED_LIMIT};
use crate::sandbox::aws::world::World;
use crate::sandbox::aws::xml::Xml;

pub(super) fn get(world: &World) -> Xml {
    let quotas = &world.quotas;
    let entries = [
        ("Users", 0),
        ("UsersQuota", 5000),
        ("Groups", 0),
        ("GroupsQuota", 300),
        ("Roles", world.roles.len()),
        ("RolesQuota", quotas.roles),
        ("RolePolicySizeQuota", INLINE_LIMIT),
        ("AssumeRolePolicySizeQuota", quotas.trust_policy_size),
        ("AttachedPoliciesPerRoleQuota", quotas.attached_policies_per_role),
        ("Policies", world.policies.len()),
        ("PoliciesQuota", quotas.policies),
        ("PolicySizeQuota", MANAGED_LIMIT),
        ("PolicyVersionsInUse", world.policies.values().map(|policy| policy.versions.len()).sum()),
        ("PolicyVersionsInUseQuota", 10_000),
        ("VersionsPerPolicyQuota", VERSION_LIMIT),
        ("Providers", world.providers.len()),
    ];
    Xml::build(|xml| {
        xml.node("SummaryMap", |xml| {
            for (key, value) in entries {
                xml.node("entry", |xml| {
                    xml.text("key", key);
                    xml.text("value", value);
                });
            }
        });
    })
}
