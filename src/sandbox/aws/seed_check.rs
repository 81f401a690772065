//! Checks of a seed: values that AWS would not have are refused with the field, the value and what to write instead.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{check_identity, check_trust_syntax};
use super::partition;
use super::seed::{Seed, SeedError};
use super::seed_cluster::SeedCluster;

const CLUSTER_STATUS: [&str; 6] = ["ACTIVE", "CREATING", "UPDATING", "DELETING", "FAILED", "PENDING"];
const AUTHENTICATION_MODES: [&str; 3] = ["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"];

fn refuse(field: impl Into<String>, value: impl Into<String>, mend: impl Into<String>) -> Result<(), SeedError> {
    Err(SeedError::Field { field: field.into(), value: value.into(), mend: mend.into() })
}

impl Seed {
    /// Checks every value that the simulator relies on.
    pub fn check(&self) -> Result<(), SeedError> {
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return refuse("account", &self.account, "write twelve digits in quotes");
        }
        if partition::by_name(&self.partition).is_none() {
            return refuse("partition", &self.partition, format!("write one of {}", partition::names().join(", ")));
        }
        self.check_region("region", &self.region)?;
        for (index, region) in self.disabled_regions.iter().enumerate() {
            self.check_region(&format!("disabledRegions[{index}]"), region)?;
        }
        self.check_credentials()?;
        self.check_devices()?;
        self.check_caller()?;
        let mut names = BTreeSet::new();
        for (index, cluster) in self.clusters.iter().enumerate() {
            let region = cluster.region.as_deref().unwrap_or(&self.region);
            self.check_region(&format!("clusters[{index}].region"), region)?;
            if !names.insert((region, &cluster.name)) {
                return refuse(format!("clusters[{index}].name"), &cluster.name, "names are unique in a region");
            }
            check_cluster(&format!("clusters[{index}]"), cluster)?;
        }
        self.check_iam()?;
        super::seed_network::check(self)?;
        for (index, resource) in self.resources.iter().enumerate() {
            let prefix = format!("arn:{}:", self.partition);
            if !resource.arn.starts_with(&prefix) || resource.arn.split(':').count() < 6 {
                let mend = format!("write an ARN that begins with `{prefix}`");
                return refuse(format!("resources[{index}].arn"), &resource.arn, mend);
            }
        }
        if self.page_size == Some(0) {
            return refuse("pageSize", "0", "write 1 or more, or leave it out");
        }
        Ok(())
    }

    fn check_region(&self, field: &str, region: &str) -> Result<(), SeedError> {
        let belongs = partition::of_region(region).name;
        if region.split('-').count() < 3 {
            return refuse(field, region, "write a region such as `eu-west-1`");
        }
        if belongs != self.partition {
            let mend = format!("it belongs to the partition `{belongs}`, the seed's is `{}`", self.partition);
            return refuse(field, region, mend);
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<(), SeedError> {
        let mut keys = BTreeSet::new();
        for (index, credential) in self.credentials.iter().enumerate() {
            let field = |name: &str| format!("credentials[{index}].{name}");
            let id = &credential.access_key_id;
            if id.len() < 16 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return refuse(field("accessKeyId"), id, "write at least sixteen letters and digits");
            }
            if !keys.insert(id) {
                return refuse(field("accessKeyId"), id, "access keys are unique");
            }
            if let Some(expires) = &credential.expires
                && expires.parse::<jiff::Timestamp>().is_err()
            {
                return refuse(field("expires"), expires, "write a time such as `2026-01-31T12:00:00Z`");
            }
            if let Some(caller) = &credential.caller {
                let role = format!("arn:{}:sts::{}:assumed-role/", self.partition, self.account);
                let user = format!("arn:{}:iam::{}:user/", self.partition, self.account);
                let root = format!("arn:{}:iam::{}:root", self.partition, self.account);
                let session = caller.strip_prefix(&role).is_some_and(|rest| rest.split('/').count() == 2);
                if !session && !caller.starts_with(&user) && *caller != root {
                    return refuse(field("caller"), caller, format!("write `{role}NAME/SESSION` or `{user}NAME`"));
                }
            }
        }
        Ok(())
    }

    fn check_devices(&self) -> Result<(), SeedError> {
        for (index, device) in self.mfa_devices.iter().enumerate() {
            let field = |name: &str| format!("mfaDevices[{index}].{name}");
            if !self.credentials.iter().any(|credential| credential.caller.as_ref() == Some(&device.user)) {
                return refuse(field("user"), &device.user, "write the `caller` of one of the credentials");
            }
            let valid = |code: &&String| code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
            if let Some(code) = device.codes.iter().find(|code| !valid(code)) {
                return refuse(field("codes"), code, "write six digits in quotes");
            }
        }
        Ok(())
    }

    fn check_caller(&self) -> Result<(), SeedError> {
        if let Some(policy) = &self.caller.policy {
            if let Err(error) = check_identity(&text(policy), &self.partition) {
                return refuse("caller.policy", text(policy), error.message);
            }
            if let Err(error) = crate::policy::Document::parse(&text(policy)) {
                return refuse("caller.policy", text(policy), error.to_string());
            }
        }
        match &self.caller.groups {
            Some(groups) if groups.iter().any(String::is_empty) => {
                refuse("caller.groups", "", "write names of groups, or leave it out for administrators")
            }
            _ => Ok(()),
        }
    }

    fn check_iam(&self) -> Result<(), SeedError> {
        for (index, provider) in self.oidc_providers.iter().enumerate() {
            if !provider.url.starts_with("https://") {
                let mend = "write an address that begins with `https://`";
                return refuse(format!("oidcProviders[{index}].url"), &provider.url, mend);
            }
        }
        let mut names = BTreeSet::new();
        for (index, policy) in self.policies.iter().enumerate() {
            let field = format!("policies[{index}]");
            if !names.insert(&policy.name) {
                return refuse(format!("{field}.name"), &policy.name, "names are unique, whatever the path");
            }
            if policy.documents.is_empty() || policy.documents.len() > 5 {
                let count = policy.documents.len().to_string();
                return refuse(format!("{field}.documents"), count, "write one to five documents");
            }
            for document in &policy.documents {
                if let Err(error) = check_identity(&text(document), &self.partition) {
                    return refuse(format!("{field}.documents"), text(document), error.message);
                }
            }
        }
        let mut names = BTreeSet::new();
        for (index, role) in self.roles.iter().enumerate() {
            let field = format!("roles[{index}]");
            if !names.insert(&role.name) || role.name.is_empty() || role.name.len() > 64 {
                return refuse(format!("{field}.name"), &role.name, "names are unique and have 1 to 64 characters");
            }
            if let Err(error) = check_trust_syntax(&text(&role.trust), &self.partition) {
                return refuse(format!("{field}.trust"), text(&role.trust), error.message);
            }
            let prefix = format!("arn:{}:iam::", self.partition);
            if let Some(arn) = role.attached.iter().chain(&role.boundary).find(|arn| !arn.starts_with(&prefix)) {
                return refuse(format!("{field}.attached"), arn, format!("write ARNs that begin with `{prefix}`"));
            }
            for (name, document) in &role.inline {
                if let Err(error) = check_identity(&text(document), &self.partition) {
                    return refuse(format!("{field}.inline.{name}"), text(document), error.message);
                }
            }
        }
        Ok(())
    }
}

fn check_cluster(field: &str, cluster: &SeedCluster) -> Result<(), SeedError> {
    if !super::eks::valid_name(&cluster.name) {
        let mend = "write letters, digits, `-` and `_`, at most 100, beginning with a letter or digit";
        return refuse(format!("{field}.name"), &cluster.name, mend);
    }
    if !CLUSTER_STATUS.contains(&cluster.status.as_str()) {
        let mend = format!("write one of {}", CLUSTER_STATUS.join(", "));
        return refuse(format!("{field}.status"), &cluster.status, mend);
    }
    let mode = &cluster.authentication_mode;
    if !AUTHENTICATION_MODES.contains(&mode.as_str()) {
        let mend = format!("write one of {}", AUTHENTICATION_MODES.join(", "));
        return refuse(format!("{field}.authenticationMode"), mode, mend);
    }
    if let Some(issuer) = &cluster.issuer
        && !issuer.starts_with("https://")
    {
        return refuse(format!("{field}.issuer"), issuer, "write an address that begins with `https://`");
    }
    let mut seen = BTreeSet::new();
    for (index, nodegroup) in cluster.nodegroups.iter().enumerate() {
        if !seen.insert(&nodegroup.name) {
            return refuse(format!("{field}.nodegroups[{index}].name"), &nodegroup.name, "names are unique");
        }
    }
    for (index, addon) in cluster.addons.iter().enumerate() {
        let Some(known) = super::eks::catalogue::find(&addon.name) else {
            let mend = format!("write one of {}", super::eks::catalogue::names().join(", "));
            return refuse(format!("{field}.addons[{index}].name"), &addon.name, mend);
        };
        if let Some(version) = &addon.version
            && !known.versions.contains(&version.as_str())
        {
            let mend = format!("write one of {}", known.versions.join(", "));
            return refuse(format!("{field}.addons[{index}].version"), version, mend);
        }
    }
    Ok(())
}

/// Returns a document as text; a seed holds it as YAML or as a string of JSON.
pub(super) fn text(document: &Value) -> String {
    document.as_str().map_or_else(|| document.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_seed_is_valid() {
        let seed = Seed::builtin();
        assert_eq!(seed.clusters[0].name, "demo");
        assert_eq!(seed.clusters[0].nodegroups.len(), 2);
        assert_eq!(seed.resources.iter().filter(|resource| resource.arn.contains("subnet/")).count(), 6);
    }

    #[test]
    fn mistakes_are_named_with_field_value_and_mend() {
        let cases = [
            ("account: \"12\"\nregion: eu-west-1", "seed: `account` is `12`: write twelve digits in quotes"),
            ("account: \"111122223333\"\nregion: cn-north-1", "seed: `region` is `cn-north-1`: it belongs"),
            (
                "account: \"111122223333\"\nregion: eu-west-1\nclusters: [{name: a, status: BUSY}]",
                "`clusters[0].status` is `BUSY`",
            ),
            (
                "account: \"111122223333\"\nregion: eu-west-1\nclusters: [{name: a, addons: [{name: x}]}]",
                "`clusters[0].addons[0].name` is `x`",
            ),
            ("account: \"111122223333\"\nregion: eu-west-1\nroles: [{name: r, trust: {}}]", "`roles[0].trust`"),
            (
                "account: \"111122223333\"\nregion: eu-west-1\ncaller: {policy: {Statement: []}}",
                "`caller.policy` is `{\"Statement\":[]}`",
            ),
            (
                "account: \"111122223333\"\nregion: eu-west-1\nsecurityGroups: [{id: sg-1, ingress: [{groups: [sg-2]}]}]",
                "`securityGroups[0].fromPort` is ``: TCP and UDP need ports",
            ),
            (
                "account: \"111122223333\"\nregion: eu-west-1\ninstances: [{id: i-1, securityGroups: []}]",
                "`instances[0].securityGroups` is ``",
            ),
            ("account: \"111122223333\"\nregion: eu-west-1\ncaller: {groups: [\"\"]}", "`caller.groups` is ``"),
            (
                "account: \"111122223333\"\nregion: eu-west-1\nmfaDevices: [{user: me, serial: x, codes: []}]",
                "`mfaDevices[0].user` is `me`",
            ),
            ("account: \"111122223333\"\nregion: eu-west-1\ndisabledRegions: [hk]", "`disabledRegions[0]` is `hk`"),
            ("account: \"111122223333\"\nregion: eu-west-1\nclutsers: []", "clutsers"),
        ];
        for (yaml, expected) in cases {
            let error = Seed::from_yaml(yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{yaml}\n{error}");
        }
    }
}
