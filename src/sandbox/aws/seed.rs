//! The seed: the AWS account that a sandbox starts with, as a YAML file.
//!
//! Read by the `sandbox` command (`--seed FILE`) and by tests. Unknown fields are refused; `seed_check` refuses values that AWS would not
//! have. The built-in seed is `templates/sandbox/seed.yaml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::quotas::SeedQuotas;
use super::seed_check::text;
use super::seed_cluster::SeedCluster;
use super::seed_network::{SeedInstance, SeedSecurityGroup};
use crate::files;
use crate::policy::Document;

/// The largest seed that is read.
const LARGEST: u64 = 16 << 20;

/// Tags of an object, sorted by key.
pub type Tags = BTreeMap<String, String>;

/// The AWS account that a sandbox starts with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// Twelve-digit account id.
    pub account: String,
    /// Partition, for example `aws` or `aws-cn`.
    #[serde(default = "defaults::partition")]
    pub partition: String,
    /// Region of everything that names none.
    pub region: String,
    /// Who may call. Empty means one built-in access key.
    #[serde(default)]
    pub credentials: Vec<SeedCredential>,
    /// MFA devices of users among the callers.
    #[serde(default)]
    pub mfa_devices: Vec<SeedMfaDevice>,
    /// Regions that are not enabled for the account.
    #[serde(default)]
    pub disabled_regions: Vec<String>,
    /// What the callers may do, in AWS and in the cluster.
    #[serde(default)]
    pub caller: SeedCaller,
    /// IAM actions that nobody may use, for example `iam:Create*`.
    #[serde(default)]
    pub deny: Vec<String>,
    /// The organisation that the account is in; left out, it is in none.
    #[serde(default)]
    pub organization: Option<SeedOrganization>,
    /// Quotas of IAM.
    #[serde(default)]
    pub quotas: SeedQuotas,
    /// Clusters.
    #[serde(default)]
    pub clusters: Vec<SeedCluster>,
    /// IAM OIDC providers.
    #[serde(default)]
    pub oidc_providers: Vec<SeedProvider>,
    /// Customer managed policies.
    #[serde(default)]
    pub policies: Vec<SeedPolicy>,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<SeedRole>,
    /// Where clusters' subnets lie; one that is not named is private, in the region's first zone.
    #[serde(default)]
    pub subnets: Vec<SeedSubnet>,
    /// Security groups whose rules differ from what EKS makes, and those of nodes.
    #[serde(default)]
    pub security_groups: Vec<SeedSecurityGroup>,
    /// EC2 instances.
    #[serde(default)]
    pub instances: Vec<SeedInstance>,
    /// Tags of things in services of which nothing else is simulated (load balancers, volumes), and of subnets.
    #[serde(default)]
    pub resources: Vec<SeedResource>,
    /// AWS managed policies (path and name) that exist besides the known ones.
    #[serde(default)]
    pub managed_policies: Vec<String>,
    /// AWS managed policies (path and name) that do not exist here although they do in AWS.
    #[serde(default)]
    pub absent_managed_policies: Vec<String>,
    /// Seconds until IAM's own reads show a role, policy, provider or attachment that was made. Of this lag and the next two, every call
    /// that is answered meanwhile takes a quarter of a second off.
    #[serde(default)]
    pub read_lag_seconds: u64,
    /// Seconds until a change in IAM is seen by STS and EKS.
    #[serde(default)]
    pub consistency_seconds: u64,
    /// Seconds until a change of tags is seen by the tagging API.
    #[serde(default)]
    pub tagging_lag_seconds: u64,
    /// Seconds for which the tagging API goes on showing what is deleted.
    #[serde(default = "defaults::tagging_ghost_seconds")]
    pub tagging_ghost_seconds: u64,
    /// Seconds that EKS needs to create, change or delete something.
    #[serde(default = "defaults::settle_seconds")]
    pub settle_seconds: u64,
    /// Milliseconds that every call takes at least.
    #[serde(default)]
    pub latency_ms: u64,
    /// Most items on a page of any list, to make paging show up in tests.
    #[serde(default)]
    pub page_size: Option<usize>,
}

/// An access key and who it belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedCredential {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    #[serde(default)]
    pub session_token: Option<String>,
    /// When the credentials end, as an RFC 3339 time.
    #[serde(default)]
    pub expires: Option<String>,
    /// ARN of the caller; by default a session of `role/platform-admin`.
    #[serde(default)]
    pub caller: Option<String>,
    /// IAM actions that this caller may not use, for example `iam:Create*`.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// An MFA device of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedMfaDevice {
    /// ARN of the user.
    pub user: String,
    /// ARN of a virtual device, or the number of one of hardware.
    pub serial: String,
    /// The codes that it shows; each is taken once.
    pub codes: Vec<String>,
}

/// What the callers may do. Left out, they may do everything, as administrators.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedCaller {
    /// The identity policy of every caller.
    #[serde(default)]
    pub policy: Option<Value>,
    /// The groups of every caller in the cluster, as an access entry gives them; by default the administrators'.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
}

/// An organisation, by what its service control policies say for the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedOrganization {
    /// IAM actions that they deny to everyone, for example `ec2:Create*`.
    #[serde(default)]
    pub deny: Vec<String>,
}

impl SeedCaller {
    /// The policy, which `seed_check` has read before.
    pub(super) fn parsed_policy(&self) -> Option<Document> {
        self.policy.as_ref().and_then(|policy| Document::parse(&text(policy)).ok())
    }
}

/// An IAM OIDC provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedProvider {
    /// The issuer.
    pub url: String,
    /// Client ids (audiences).
    #[serde(default)]
    pub client_ids: Vec<String>,
    /// Thumbprints.
    #[serde(default)]
    pub thumbprints: Vec<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A customer managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedPolicy {
    /// Its name.
    pub name: String,
    /// Its path.
    #[serde(default = "defaults::path")]
    pub path: String,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// Its documents, oldest version first; the last one is the default.
    pub documents: Vec<Value>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedRole {
    /// Its name.
    pub name: String,
    /// Its path.
    #[serde(default = "defaults::path")]
    pub path: String,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// Its trust document.
    pub trust: Value,
    /// ARNs of the attached policies.
    #[serde(default)]
    pub attached: Vec<String>,
    /// Inline policies by name.
    #[serde(default)]
    pub inline: BTreeMap<String, Value>,
    /// ARN of the permissions boundary.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Longest session in seconds.
    #[serde(default = "defaults::session_seconds")]
    pub max_session_seconds: u64,
    /// Instance profiles that hold the role.
    #[serde(default)]
    pub instance_profiles: Vec<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A tagged thing of a service that is not simulated.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedResource {
    /// Its ARN.
    pub arn: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// Why a seed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("cannot read the seed `{path}`")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no YAML of a seed.
    #[error("the seed is not valid: {0}")]
    Parse(String),
    /// A field has a value that AWS would not have.
    #[error("seed: `{field}` is `{value}`: {mend}")]
    Field {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What it should be.
        mend: String,
    },
}

/// Where a subnet lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedSubnet {
    /// Its id.
    pub id: String,
    /// The letter of its zone.
    pub zone: String,
    /// Its range of addresses; by default one in `10.0.0.0/16`.
    #[serde(default)]
    pub range: Option<String>,
    /// Whether its routes lead to an internet gateway.
    #[serde(default)]
    pub public: bool,
    /// Addresses that nobody has.
    #[serde(default = "defaults::free_addresses")]
    pub free_addresses: u32,
}

impl SeedSubnet {
    /// One of which the seed says nothing.
    pub(super) fn unnamed(id: &str) -> Self {
        let free_addresses = defaults::free_addresses();
        Self { id: id.to_owned(), zone: "a".to_owned(), range: None, public: false, free_addresses }
    }
}

impl Seed {
    /// Returns the built-in seed: the cluster `demo` in `eu-west-1` with two node groups and six tagged subnets.
    pub fn builtin() -> Self {
        Self::from_yaml(include_str!("../../../templates/sandbox/seed.yaml"))
            .expect("the built-in seed is valid; a unit test reads it")
    }

    /// Reads a seed from YAML text and checks it.
    pub fn from_yaml(text: &str) -> Result<Self, SeedError> {
        let seed: Self = serde_saphyr::from_str(text).map_err(|error| SeedError::Parse(error.to_string()))?;
        seed.check()?;
        Ok(seed)
    }

    /// Reads a seed from a YAML file and checks it.
    pub fn from_file(path: &Path) -> Result<Self, SeedError> {
        let text = files::text(path, LARGEST)
            .map_err(|error| SeedError::Read { path: path.display().to_string(), source: error.into() })?;
        Self::from_yaml(&text)
    }
}

/// What a field that is left out means.
mod defaults {
    pub(super) fn partition() -> String {
        "aws".into()
    }
    pub(super) fn free_addresses() -> u32 {
        250
    }
    /// Minutes to hours in AWS: nothing may rely on the deletion being seen.
    pub(super) fn tagging_ghost_seconds() -> u64 {
        3600
    }
    pub(super) fn settle_seconds() -> u64 {
        2
    }
    pub(super) fn path() -> String {
        "/".into()
    }
    pub(super) fn session_seconds() -> u64 {
        3600
    }
}
