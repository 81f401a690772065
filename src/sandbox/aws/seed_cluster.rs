//! The clusters of a seed, with what EKS keeps in them.
//!
//! Part of the YAML that `seed` reads; split off only for its length.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seed::Tags;

/// A cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedCluster {
    /// Its name.
    pub name: String,
    /// Its region; by default the seed's.
    #[serde(default)]
    pub region: Option<String>,
    /// Kubernetes version; by default that of the API server which the sandbox runs.
    #[serde(default)]
    pub version: Option<String>,
    /// `ACTIVE`, `CREATING`, `UPDATING`, `DELETING` or `FAILED`.
    #[serde(default = "defaults::active")]
    pub status: String,
    /// OIDC issuer; by default one that is derived from the name.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Address of the API server; the sandbox fills it in.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Certificate authority in PEM; the sandbox fills it in.
    #[serde(default)]
    pub certificate_authority: Option<String>,
    /// VPC id.
    #[serde(default = "defaults::vpc")]
    pub vpc_id: String,
    /// Subnet ids.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Additional security groups.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// The security group that EKS made for the cluster.
    #[serde(default = "defaults::cluster_security_group")]
    pub cluster_security_group: String,
    /// Whether the API server is reachable from the internet.
    #[serde(default = "defaults::yes")]
    pub endpoint_public_access: bool,
    /// Whether the API server is reachable from the VPC.
    #[serde(default)]
    pub endpoint_private_access: bool,
    /// The id of a local cluster on an Outpost, which its tokens have to name; none for a cluster in the region.
    #[serde(default)]
    pub outpost_id: Option<String>,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    #[serde(default = "defaults::authentication_mode")]
    pub authentication_mode: String,
    /// Whether EKS Auto Mode is on.
    #[serde(default)]
    pub auto_mode: bool,
    /// Name of the cluster's own role.
    #[serde(default = "defaults::cluster_role")]
    pub role: String,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// Managed node groups.
    #[serde(default)]
    pub nodegroups: Vec<SeedNodegroup>,
    /// Fargate profiles.
    #[serde(default)]
    pub fargate_profiles: Vec<SeedFargateProfile>,
    /// EKS add-ons.
    #[serde(default)]
    pub addons: Vec<SeedAddon>,
    /// Pod Identity associations.
    #[serde(default)]
    pub pod_identity_associations: Vec<SeedAssociation>,
    /// Access entries.
    #[serde(default)]
    pub access_entries: Vec<SeedAccessEntry>,
    /// Kubernetes objects that exist already, as manifests; the sandbox creates them.
    #[serde(default)]
    pub objects: Vec<serde_json::Value>,
}

/// A managed node group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedNodegroup {
    /// Its name.
    pub name: String,
    /// Name of the nodes' role.
    pub role: String,
    /// `ACTIVE`, `CREATING`, `UPDATING`, `DEGRADED` or another of the API's words.
    #[serde(default = "defaults::active")]
    pub status: String,
    /// Instance types.
    #[serde(default = "defaults::instance_types")]
    pub instance_types: Vec<String>,
    /// AMI type.
    #[serde(default = "defaults::ami_type")]
    pub ami_type: String,
    /// `ON_DEMAND` or `SPOT`.
    #[serde(default = "defaults::capacity_type")]
    pub capacity_type: String,
    /// Number of nodes.
    #[serde(default = "defaults::nodes")]
    pub nodes: u32,
    /// Subnet ids; by default the cluster's.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Kubernetes labels of the nodes.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A Fargate profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedFargateProfile {
    /// Its name.
    pub name: String,
    /// Which pods it is for; one of them has to fit.
    pub selectors: Vec<SeedSelector>,
}

/// A selector of a Fargate profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedSelector {
    /// The pods' namespace.
    pub namespace: String,
    /// Labels that the pods must have.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// An EKS add-on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedAddon {
    /// Its name.
    pub name: String,
    /// Its version; by default the cluster version's default.
    #[serde(default)]
    pub version: Option<String>,
    /// `ACTIVE`, `DEGRADED`, `CREATE_FAILED` or another of the API's words.
    #[serde(default = "defaults::active")]
    pub status: String,
    /// Health issues.
    #[serde(default)]
    pub issues: Vec<SeedIssue>,
    /// ARN of the role of its service account.
    #[serde(default)]
    pub service_account_role_arn: Option<String>,
    /// Configuration values, as JSON or YAML text.
    #[serde(default)]
    pub configuration_values: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A health issue of an add-on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedIssue {
    /// The API's code, for example `InsufficientNumberOfReplicas`.
    pub code: String,
    /// Its text.
    pub message: String,
    /// What it is about.
    #[serde(default)]
    pub resource_ids: Vec<String>,
}

/// A Pod Identity association.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedAssociation {
    /// Namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// ARN of the role.
    pub role_arn: String,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// An access entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedAccessEntry {
    /// ARN of the IAM principal.
    pub principal_arn: String,
    /// Kubernetes user name; by default the ARN.
    #[serde(default)]
    pub username: Option<String>,
    /// Kubernetes groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// `STANDARD`, `EC2_LINUX` or another of the API's words.
    #[serde(rename = "type", default = "defaults::entry_type")]
    pub kind: String,
}

/// What a field that is left out means.
mod defaults {
    pub(super) fn active() -> String {
        "ACTIVE".into()
    }
    pub(super) fn vpc() -> String {
        "vpc-0a1b2c3d4e5f60718".into()
    }
    pub(super) fn cluster_security_group() -> String {
        "sg-0c1a5e7d9b3f24680".into()
    }
    pub(super) fn yes() -> bool {
        true
    }
    pub(super) fn authentication_mode() -> String {
        "API_AND_CONFIG_MAP".into()
    }
    pub(super) fn cluster_role() -> String {
        "eks-cluster".into()
    }
    pub(super) fn instance_types() -> Vec<String> {
        vec!["m6i.large".into()]
    }
    pub(super) fn ami_type() -> String {
        "AL2023_x86_64_STANDARD".into()
    }
    pub(super) fn capacity_type() -> String {
        "ON_DEMAND".into()
    }
    pub(super) fn nodes() -> u32 {
        2
    }
    pub(super) fn entry_type() -> String {
        "STANDARD".into()
    }
}
