//! Security groups and instances of a seed: what stands between a control plane and its nodes.
//!
//! Part of the YAML that `seed` reads; split off only for its length.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::seed::{Seed, SeedError};

/// A security group. Those of clusters need not be named: the one that EKS made allows itself, further ones allow nothing in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedSecurityGroup {
    /// Its id.
    pub id: String,
    /// Its name; by default the id.
    #[serde(default)]
    pub name: Option<String>,
    /// What may come in.
    #[serde(default)]
    pub ingress: Vec<SeedRule>,
    /// What may go out; by default everything.
    #[serde(default = "everywhere")]
    pub egress: Vec<SeedRule>,
}

/// A rule of a security group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedRule {
    /// `tcp`, `udp`, `icmp`, a number, or `-1` for all of them.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// The first port.
    #[serde(default)]
    pub from_port: Option<u16>,
    /// The last port; by default the first.
    #[serde(default)]
    pub to_port: Option<u16>,
    /// Ids of security groups at the other end.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Ranges of IPv4 and IPv6 addresses at the other end.
    #[serde(default)]
    pub ranges: Vec<String>,
    /// Ids of managed prefix lists.
    #[serde(default)]
    pub prefix_lists: Vec<String>,
}

/// An EC2 instance. Those of the sandbox's nodes need not be named: they carry the first cluster's security group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedInstance {
    /// Its id.
    pub id: String,
    /// The security groups of its first interface.
    pub security_groups: Vec<String>,
    /// The security groups of each further interface.
    #[serde(default)]
    pub interfaces: Vec<Vec<String>>,
}

impl SeedRule {
    /// Every protocol and port.
    pub(super) fn all() -> Self {
        Self {
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            groups: Vec::new(),
            ranges: Vec::new(),
            prefix_lists: Vec::new(),
        }
    }

    /// One TCP port for a security group.
    pub(super) fn port(port: u16, group: &str) -> Self {
        Self { protocol: tcp(), from_port: Some(port), groups: vec![group.to_owned()], ..Self::all() }
    }
}

fn tcp() -> String {
    "tcp".to_owned()
}

/// What EC2 gives a new group.
pub(super) fn everywhere() -> Vec<SeedRule> {
    vec![SeedRule { ranges: vec!["0.0.0.0/0".to_owned()], ..SeedRule::all() }]
}

/// Refuses what EC2 would not have.
pub(super) fn check(seed: &Seed) -> Result<(), SeedError> {
    let refuse = |field: String, value: &str, mend: &str| {
        Err(SeedError::Field { field, value: value.to_owned(), mend: mend.to_owned() })
    };
    let mut ids = BTreeSet::new();
    for (index, group) in seed.security_groups.iter().enumerate() {
        let field = format!("securityGroups[{index}]");
        if !group.id.starts_with("sg-") || !ids.insert(&group.id) {
            return refuse(format!("{field}.id"), &group.id, "ids begin with `sg-` and are unique");
        }
        for rule in group.ingress.iter().chain(&group.egress) {
            if matches!(rule.protocol.as_str(), "tcp" | "udp") && rule.from_port.is_none() {
                return refuse(
                    format!("{field}.fromPort"),
                    "",
                    "TCP and UDP need ports; `-1` is the protocol for everything",
                );
            }
            if rule.groups.is_empty() && rule.ranges.is_empty() && rule.prefix_lists.is_empty() {
                return refuse(
                    format!("{field}.groups"),
                    "",
                    "name the other end: `groups`, `ranges` or `prefixLists`",
                );
            }
            if let Some(range) = rule.ranges.iter().find(|range| !range.contains('/')) {
                return refuse(format!("{field}.ranges"), range, "write ranges as in `10.0.0.0/16`");
            }
        }
    }
    for (index, instance) in seed.instances.iter().enumerate() {
        let field = format!("instances[{index}]");
        if !instance.id.starts_with("i-") || !ids.insert(&instance.id) {
            return refuse(format!("{field}.id"), &instance.id, "ids begin with `i-` and are unique");
        }
        if instance.security_groups.is_empty() || instance.interfaces.iter().any(Vec::is_empty) {
            return refuse(format!("{field}.securityGroups"), "", "every interface has at least one security group");
        }
    }
    Ok(())
}
