//! IAM, read only. Absent things are `None`; documents are decoded from the URL encoding in which IAM returns them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{PolicyScopeType, SummaryKeyType, Tag};

use crate::error::{AwsError, Error, Result};
use crate::heard::Heard;
use crate::policy::Document;
use crate::read::pages::Pages;

/// An OIDC provider of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProvider {
    /// Audiences (client ids) that it accepts.
    pub audiences: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A role.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Its path.
    pub path: String,
    /// Its trust policy.
    pub trust: Document,
    /// Its description, empty where there is none.
    pub description: String,
    /// ARN of the policy that bounds it.
    pub permissions_boundary: Option<String>,
    /// How long its sessions may be.
    pub max_session_seconds: Option<i32>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A role of the account and whom it trusts.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleTrust {
    /// Its name.
    pub name: String,
    /// Its trust policy; none where it cannot be understood.
    pub trust: Option<Document>,
}

/// A managed policy without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Its default version, such as `v3`.
    pub default_version: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Such as `v3`.
    pub id: String,
    /// Whether it is in force.
    pub default: bool,
}

/// How much of a quota is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub used: usize,
    /// How many there may be.
    pub quota: usize,
}

impl Usage {
    /// How many more there may be.
    pub fn left(&self) -> usize {
        self.quota.saturating_sub(self.used)
    }
}

/// What an account holds of what its quotas bound; none where IAM does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountSummary {
    /// Roles.
    pub roles: Option<Usage>,
    /// Customer managed policies.
    pub policies: Option<Usage>,
}

/// IAM, read only.
#[derive(Clone, Debug)]
pub struct IamRead {
    pub(super) client: Client,
}

fn tag_map(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// Turns "there is no such thing" into `None`.
fn absent<T>(result: Result<T, AwsError>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl IamRead {
    /// How many characters the account's trust policies may have; the default where that cannot be asked.
    pub async fn trust_policy_limit(&self) -> usize {
        self.quota(&SummaryKeyType::AssumeRolePolicySizeQuota).await.unwrap_or(crate::policy::TRUST_POLICY_LIMIT)
    }

    /// How many managed policies a role of the account takes; none where that cannot be asked.
    pub async fn attachment_limit(&self) -> Option<usize> {
        self.quota(&SummaryKeyType::AttachedPoliciesPerRoleQuota).await
    }

    async fn quota(&self, key: &SummaryKeyType) -> Option<usize> {
        self.numbers().await.ok()?.get(key).copied()
    }

    /// How much of what an apply makes the account holds, and how much it takes.
    pub async fn summary(&self) -> Result<AccountSummary> {
        let numbers = self.numbers().await?;
        let usage = |used: SummaryKeyType, quota: SummaryKeyType| {
            Some(Usage { used: *numbers.get(&used)?, quota: *numbers.get(&quota)? })
        };
        Ok(AccountSummary {
            roles: usage(SummaryKeyType::Roles, SummaryKeyType::RolesQuota),
            policies: usage(SummaryKeyType::Policies, SummaryKeyType::PoliciesQuota),
        })
    }

    async fn numbers(&self) -> Result<BTreeMap<SummaryKeyType, usize>> {
        let answer = self.client.get_account_summary().send().await;
        let answer = answer.map_err(|error| AwsError::new("iam:GetAccountSummary", &error))?;
        let told = answer.summary_map.unwrap_or_default().into_iter();
        Ok(told.filter_map(|(key, number)| Some((key, usize::try_from(number).ok()?))).collect())
    }

    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> IamRead {
        IamRead {
            client: Client::from_conf(aws_sdk_iam::config::Builder::from(config).interceptor(Heard::of("iam")).build()),
        }
    }

    /// The OIDC provider with this ARN.
    pub async fn oidc_provider(&self, arn: &str) -> Result<Option<OidcProvider>> {
        let answer = self.client.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await;
        let found = absent(answer.map_err(|error| AwsError::new("iam:GetOpenIDConnectProvider", &error)))?;
        Ok(found.map(|provider| OidcProvider {
            audiences: provider.client_id_list().iter().cloned().collect(),
            tags: tag_map(provider.tags()),
        }))
    }

    /// ARNs of all OIDC providers of the account.
    pub async fn oidc_providers(&self) -> Result<Vec<String>> {
        let answer = self.client.list_open_id_connect_providers().send().await;
        let answer = answer.map_err(|error| AwsError::new("iam:ListOpenIDConnectProviders", &error))?;
        let providers = answer.open_id_connect_provider_list().iter();
        Ok(providers.filter_map(|provider| provider.arn().map(ToOwned::to_owned)).collect())
    }

    /// The role with this name.
    pub async fn role(&self, name: &str) -> Result<Option<Role>> {
        let answer = self.client.get_role().role_name(name).send().await;
        let found = absent(answer.map_err(|error| AwsError::new("iam:GetRole", &error)))?;
        let Some(role) = found.and_then(|answer| answer.role) else { return Ok(None) };
        let trust = Document::from_url_encoded(role.assume_role_policy_document().unwrap_or_default())
            .map_err(|source| Error::Document { owner: format!("role {name}"), source })?;
        Ok(Some(Role {
            arn: role.arn().to_owned(),
            path: role.path().to_owned(),
            trust,
            description: role.description().unwrap_or_default().to_owned(),
            permissions_boundary: role
                .permissions_boundary()
                .and_then(|boundary| boundary.permissions_boundary_arn())
                .map(ToOwned::to_owned),
            max_session_seconds: role.max_session_duration(),
            tags: tag_map(role.tags()),
        }))
    }

    /// ARNs of the managed policies attached to a role; `None` where the role does not exist.
    pub async fn attached_policies(&self, role: &str) -> Result<Option<BTreeSet<String>>> {
        let mut arns = BTreeSet::new();
        let mut marker = None;
        let mut pages = Pages::of("iam:ListAttachedRolePolicies");
        loop {
            let answer = self.client.list_attached_role_policies().role_name(role).set_marker(marker).send().await;
            let page = absent(answer.map_err(|error| AwsError::new("iam:ListAttachedRolePolicies", &error)))?;
            let Some(page) = page else { return Ok(None) };
            arns.extend(
                page.attached_policies().iter().filter_map(|policy| policy.policy_arn().map(ToOwned::to_owned)),
            );
            if !page.is_truncated() {
                return Ok(Some(arns));
            }
            marker = pages.next(page.marker)?;
        }
    }

    /// Names of the inline policies of a role; none where the role does not exist.
    pub async fn inline_policies(&self, role: &str) -> Result<Vec<String>> {
        let (mut names, mut marker) = (Vec::new(), None);
        let mut pages = Pages::of("iam:ListRolePolicies");
        loop {
            let answer = self.client.list_role_policies().role_name(role).set_marker(marker).send().await;
            let page = absent(answer.map_err(|error| AwsError::new("iam:ListRolePolicies", &error)))?;
            let Some(page) = page else { return Ok(names) };
            names.extend(page.policy_names().iter().cloned());
            if !page.is_truncated() {
                return Ok(names);
            }
            marker = pages.next(page.marker)?;
        }
    }

    /// The document of an inline policy of a role; none where either does not exist.
    pub async fn inline_policy(&self, role: &str, name: &str) -> Result<Option<Document>> {
        let answer = self.client.get_role_policy().role_name(role).policy_name(name).send().await;
        let found = absent(answer.map_err(|error| AwsError::new("iam:GetRolePolicy", &error)))?;
        let Some(found) = found else { return Ok(None) };
        Document::from_url_encoded(found.policy_document())
            .map(Some)
            .map_err(|source| Error::Document { owner: format!("inline policy {name} of role {role}"), source })
    }

    /// Names of the instance profiles that hold a role; none where the role does not exist.
    pub async fn instance_profiles(&self, role: &str) -> Result<Vec<String>> {
        let (mut names, mut marker) = (Vec::new(), None);
        let mut pages = Pages::of("iam:ListInstanceProfilesForRole");
        loop {
            let answer = self.client.list_instance_profiles_for_role().role_name(role).set_marker(marker).send().await;
            let page = absent(answer.map_err(|error| AwsError::new("iam:ListInstanceProfilesForRole", &error)))?;
            let Some(page) = page else { return Ok(names) };
            names.extend(page.instance_profiles().iter().map(|profile| profile.instance_profile_name().to_owned()));
            if !page.is_truncated() {
                return Ok(names);
            }
            marker = pages.next(page.marker)?;
        }
    }

    /// Every role of the account with its trust policy.
    pub async fn trusts(&self) -> Result<Vec<RoleTrust>> {
        let (mut roles, mut marker) = (Vec::new(), None);
        let mut pages = Pages::of("iam:ListRoles");
        loop {
            let answer = self.client.list_roles().set_marker(marker).send().await;
            let page = answer.map_err(|error| AwsError::new("iam:ListRoles", &error))?;
            roles.extend(page.roles().iter().map(|role| RoleTrust {
                name: role.role_name().to_owned(),
                trust: Document::from_url_encoded(role.assume_role_policy_document().unwrap_or_default()).ok(),
            }));
            if !page.is_truncated() {
                return Ok(roles);
            }
            marker = pages.next(page.marker)?;
        }
    }

    /// The ARN of every customer managed policy of the account.
    pub async fn local_policies(&self) -> Result<Vec<String>> {
        let (mut arns, mut marker) = (Vec::new(), None);
        let mut pages = Pages::of("iam:ListPolicies");
        loop {
            let call = self.client.list_policies().scope(PolicyScopeType::Local).set_marker(marker);
            let page = call.send().await.map_err(|error| AwsError::new("iam:ListPolicies", &error))?;
            arns.extend(page.policies().iter().filter_map(|policy| policy.arn().map(ToOwned::to_owned)));
            if !page.is_truncated() {
                return Ok(arns);
            }
            marker = pages.next(page.marker)?;
        }
    }

    /// Users, groups and roles to which a managed policy is attached, as `KIND/NAME`; none where it does not exist.
    pub async fn policy_holders(&self, arn: &str) -> Result<BTreeSet<String>> {
        let (mut holders, mut marker) = (BTreeSet::new(), None);
        let mut pages = Pages::of("iam:ListEntitiesForPolicy");
        loop {
            let answer = self.client.list_entities_for_policy().policy_arn(arn).set_marker(marker).send().await;
            let page = absent(answer.map_err(|error| AwsError::new("iam:ListEntitiesForPolicy", &error)))?;
            let Some(page) = page else { return Ok(holders) };
            let name = |kind: &str, name: Option<&str>| format!("{kind}/{}", name.unwrap_or("?"));
            holders.extend(page.policy_roles().iter().map(|role| name("role", role.role_name())));
            holders.extend(page.policy_users().iter().map(|user| name("user", user.user_name())));
            holders.extend(page.policy_groups().iter().map(|group| name("group", group.group_name())));
            if !page.is_truncated() {
                return Ok(holders);
            }
            marker = pages.next(page.marker)?;
        }
    }

    /// The managed policy with this ARN.
    pub async fn policy(&self, arn: &str) -> Result<Option<ManagedPolicy>> {
        let answer = self.client.get_policy().policy_arn(arn).send().await;
        let found = absent(answer.map_err(|error| AwsError::new("iam:GetPolicy", &error)))?;
        Ok(found.and_then(|answer| answer.policy).map(|policy| ManagedPolicy {
            default_version: policy.default_version_id().unwrap_or("v1").to_owned(),
            tags: tag_map(policy.tags()),
        }))
    }

    /// The document of one version of a managed policy.
    pub async fn policy_document(&self, arn: &str, version: &str) -> Result<Option<Document>> {
        let answer = self.client.get_policy_version().policy_arn(arn).version_id(version).send().await;
        let found = absent(answer.map_err(|error| AwsError::new("iam:GetPolicyVersion", &error)))?;
        let Some(version) = found.and_then(|answer| answer.policy_version) else { return Ok(None) };
        Document::from_url_encoded(version.document().unwrap_or_default())
            .map(Some)
            .map_err(|source| Error::Document { owner: format!("policy {arn}"), source })
    }

    /// All versions of a managed policy, newest first.
    pub async fn policy_versions(&self, arn: &str) -> Result<Vec<PolicyVersion>> {
        let mut versions = Vec::new();
        let mut marker = None;
        let mut pages = Pages::of("iam:ListPolicyVersions");
        loop {
            let answer = self.client.list_policy_versions().policy_arn(arn).set_marker(marker).send().await;
            let page = answer.map_err(|error| AwsError::new("iam:ListPolicyVersions", &error))?;
            versions.extend(page.versions().iter().filter_map(|version| {
                Some(PolicyVersion { id: version.version_id()?.to_owned(), default: version.is_default_version() })
            }));
            if !page.is_truncated() {
                break;
            }
            marker = pages.next(page.marker)?;
        }
        // IAM promises no order; the number in the id is the age.
        versions.sort_by_key(|version| std::cmp::Reverse(version_number(&version.id)));
        Ok(versions)
    }
}

fn version_number(id: &str) -> u64 {
    id.trim_start_matches('v').parse().unwrap_or(0)
}
