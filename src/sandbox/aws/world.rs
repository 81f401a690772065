//! The simulated account: every object, and what is needed to answer calls about it.
//!
//! One lock guards it and no call waits while holding it, so a call is done as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::auth::{Caller, Credential};
use super::clock::visible;
use super::eks::cluster::Cluster;
use super::iam::managed;
use super::iam::policy::Policy;
use super::iam::provider::Provider;
use super::iam::role::Role;
use super::installation::Outcome;
use super::partition::{self, Partition};
use super::quotas::SeedQuotas;
use super::seed::{Seed, SeedMfaDevice, SeedSubnet, Tags};
use super::seed_network::{SeedInstance, SeedSecurityGroup};
use super::spread::Spread;
use super::tagging::TagIndex;
use crate::policy::Document;

/// Circumstances of one call.
#[derive(Debug, Clone)]
pub(super) struct CallContext {
    pub(super) now: Timestamp,
    pub(super) region: String,
    pub(super) caller: Option<Caller>,
}

/// The simulated account.
#[derive(Debug)]
pub(super) struct World {
    pub(super) account: String,
    pub(super) partition: &'static Partition,
    pub(super) region: String,
    /// How long ago a change in IAM has to have been made to be seen by STS and EKS, and by IAM's own reads, at the present call.
    pub(super) lag: Duration,
    pub(super) read_lag: Duration,
    spread: Spread,
    pub(super) settle: Duration,
    pub(super) page_size: Option<usize>,
    pub(super) deny: Vec<String>,
    /// What the organisation denies; none where the account is in none.
    pub(super) organization: Option<Vec<String>>,
    pub(super) quotas: SeedQuotas,
    /// What seeded callers may do; everything without one.
    pub(super) caller_policy: Option<Document>,
    pub(super) credentials: BTreeMap<String, Credential>,
    pub(super) mfa_devices: Vec<SeedMfaDevice>,
    pub(super) disabled_regions: Vec<String>,
    pub(super) issuer_keys: BTreeMap<String, Value>,
    /// AWS managed policies by ARN.
    pub(super) managed: BTreeMap<String, managed::Managed>,
    /// Customer managed policies by ARN.
    pub(super) policies: BTreeMap<String, Policy>,
    /// Roles by name.
    pub(super) roles: BTreeMap<String, Role>,
    /// OIDC providers by ARN.
    pub(super) providers: BTreeMap<String, Provider>,
    /// Clusters by region and name.
    pub(super) clusters: BTreeMap<(String, String), Cluster>,
    pub(super) tag_index: TagIndex,
    /// Where subnets lie.
    pub(super) subnets: Vec<SeedSubnet>,
    pub(super) security_groups: Vec<SeedSecurityGroup>,
    pub(super) instances: Vec<SeedInstance>,
    /// How the next creation or update of an add-on ends, by its name.
    pub(super) addon_outcomes: BTreeMap<String, Outcome>,
    issued: u64,
}

impl World {
    /// Builds the account that a checked seed describes; everything in it is long settled at `now`.
    pub(super) fn new(seed: &Seed, now: Timestamp, calls_count: bool) -> Self {
        let partition = partition::by_name(&seed.partition).expect("the seed was checked");
        let mut world = Self {
            account: seed.account.clone(),
            partition,
            region: seed.region.clone(),
            lag: Duration::from_secs(seed.consistency_seconds),
            read_lag: Duration::from_secs(seed.read_lag_seconds),
            spread: Spread::new(seed, calls_count),
            settle: Duration::from_secs(seed.settle_seconds),
            page_size: seed.page_size,
            deny: seed.deny.clone(),
            organization: seed.organization.as_ref().map(|organization| organization.deny.clone()),
            quotas: seed.quotas,
            caller_policy: seed.caller.parsed_policy(),
            credentials: BTreeMap::new(),
            mfa_devices: seed.mfa_devices.clone(),
            disabled_regions: seed.disabled_regions.clone(),
            issuer_keys: BTreeMap::new(),
            managed: managed::in_partition(partition.name, &seed.managed_policies, &seed.absent_managed_policies),
            policies: BTreeMap::new(),
            roles: BTreeMap::new(),
            providers: BTreeMap::new(),
            clusters: BTreeMap::new(),
            subnets: seed.subnets.clone(),
            security_groups: seed.security_groups.clone(),
            instances: seed.instances.clone(),
            tag_index: TagIndex::new(
                Duration::from_secs(seed.tagging_lag_seconds),
                Duration::from_secs(seed.tagging_ghost_seconds),
            ),
            addon_outcomes: BTreeMap::new(),
            issued: 0,
        };
        let born = now.checked_sub(Duration::from_hours(30 * 24)).unwrap_or(Timestamp::MIN);
        world.plant(seed, born);
        world
    }

    fn plant(&mut self, seed: &Seed, born: Timestamp) {
        for policy in &seed.policies {
            let policy = Policy::planted(self, policy, born);
            self.tag_index.record(&policy.arn, born, Some(&policy.tags));
            self.policies.insert(policy.arn.clone(), policy);
        }
        for role in &seed.roles {
            let role = Role::planted(self, role, born);
            self.roles.insert(role.name.clone(), role);
        }
        for provider in &seed.oidc_providers {
            let provider = Provider::planted(self, provider, born);
            self.tag_index.record(&provider.arn, born, Some(&provider.tags));
            self.providers.insert(provider.arn.clone(), provider);
        }
        for resource in &seed.resources {
            self.tag_index.record(&resource.arn, born, Some(&resource.tags));
        }
        for cluster in &seed.clusters {
            let cluster = Cluster::planted(self, cluster, born);
            self.clusters.insert((cluster.region.clone(), cluster.name.clone()), cluster);
        }
        for credential in Credential::planted(self, seed) {
            self.credentials.insert(credential.access_key_id.clone(), credential);
        }
    }

    /// ARNs of what is there of a kind, in a region, without the tagging API's delay; for services of which nothing but tagged things
    /// is simulated.
    pub(super) fn present_in(&self, region: &str, service: &str, prefix: &str) -> Vec<String> {
        let of_kind = |arn: &String| {
            let parts: Vec<_> = arn.splitn(6, ':').collect();
            parts.len() == 6 && parts[2] == service && parts[3] == region && parts[5].starts_with(prefix)
        };
        self.tag_index.there().filter(|arn| of_kind(arn)).cloned().collect()
    }

    /// Builds the ARN of an IAM object of the account.
    pub(super) fn iam_arn(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition.name, self.account)
    }

    /// Makes a unique id of lower-case hexadecimal digits; the same calls in the same order get the same ids.
    pub(super) fn unique_hex(&mut self, length: usize) -> String {
        self.issued += 1;
        digest(&format!("{}:{}", self.account, self.issued), length)
    }

    /// Makes an id such as IAM gives: a prefix that names the kind, then capitals and digits.
    pub(super) fn unique_iam_id(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.unique_hex(17).to_ascii_uppercase())
    }

    /// Finds a role by ARN, path and all.
    pub(super) fn role_by_arn(&self, arn: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.arn == arn)
    }

    /// Says whether another service than IAM knows the role yet.
    pub(super) fn role_is_visible(&self, arn: &str, now: Timestamp) -> bool {
        self.role_by_arn(arn).is_some_and(|role| visible(role.created, self.lag, now))
    }

    /// Says whether a policy exists, AWS's or the account's.
    pub(super) fn policy_exists(&self, arn: &str) -> bool {
        self.policies.contains_key(arn) || self.managed.contains_key(arn)
    }

    /// How many items a page may hold when the caller asked for `asked` of at most `most`.
    pub(super) fn page_of(&self, asked: Option<u64>, most: usize) -> usize {
        let asked = asked.map_or(most, |asked| usize::try_from(asked).unwrap_or(most).min(most));
        self.page_size.map_or(asked, |limit| asked.min(limit))
    }

    /// Counts a call that is answered now, and works out what it sees.
    pub(super) fn spread(&mut self, now: Timestamp) {
        self.spread.count(now);
        let lags = self.spread.lags(now);
        self.lag = lags.elsewhere;
        self.read_lag = lags.reads;
        self.tag_index.set_lag(lags.tags);
    }

    /// Removes what has finished being deleted.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        for cluster in self.clusters.values_mut() {
            let gone: BTreeSet<String> = cluster.sweep_addons(now);
            for arn in gone {
                self.tag_index.record(&arn, now, None);
            }
        }
    }

    /// Writes the whole account down without times and generated ids, so that two accounts can be compared.
    pub(super) fn snapshot(&self) -> Value {
        let clusters: BTreeMap<String, Value> = self
            .clusters
            .values()
            .map(|cluster| (format!("{}/{}", cluster.region, cluster.name), cluster.snapshot()))
            .collect();
        let snapshots = |pairs: Vec<(&String, Value)>| -> Value {
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        };
        json!({
            "account": self.account,
            "partition": self.partition.name,
            "oidcProviders": snapshots(self.providers.iter().map(|(arn, it)| (arn, it.snapshot())).collect()),
            "policies": snapshots(self.policies.iter().map(|(arn, it)| (arn, it.snapshot())).collect()),
            "roles": snapshots(self.roles.iter().map(|(name, it)| (name, it.snapshot())).collect()),
            "clusters": clusters,
        })
    }
}

/// Returns the first `length` hexadecimal digits of a text's hash.
pub(in crate::sandbox) fn digest(text: &str, length: usize) -> String {
    let mut hex = hex::encode(Sha256::digest(text));
    hex.truncate(length);
    hex
}

/// Returns tags as JSON.
pub(super) fn tags_json(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<serde_json::Map<_, _>>().into()
}
