//! Clusters with their node groups and access entries, which come from the seed and are only read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::addon::Addon;
use super::addon_update::Update;
use super::association::Association;
use super::{find, paged, seconds, text};
use crate::sandbox::aws::clock::visible;
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::installation::AddonObjects;
use crate::sandbox::aws::seed::Tags;
use crate::sandbox::aws::seed_cluster::{SeedAccessEntry, SeedCluster, SeedFargateProfile, SeedIssue, SeedNodegroup};
use crate::sandbox::aws::world::{CallContext, World, digest, tags_json};

/// The Kubernetes version of a cluster for which neither the seed nor an API server says one.
const VERSION: &str = "1.36";

/// A cluster.
#[derive(Debug)]
pub(in super::super) struct Cluster {
    pub(in super::super) name: String,
    pub(in super::super) region: String,
    pub(in super::super) arn: String,
    pub(super) status: String,
    pub(super) version: String,
    pub(in super::super) issuer: String,
    pub(in super::super) endpoint: String,
    pub(in super::super) authority: String,
    pub(super) tags: Tags,
    pub(super) nodegroups: BTreeMap<String, Nodegroup>,
    pub(super) addons: BTreeMap<String, Addon>,
    /// Add-ons that were deleted without their objects.
    pub(super) preserved: BTreeSet<String>,
    pub(super) updates: BTreeMap<String, Update>,
    pub(super) associations: BTreeMap<String, Association>,
    /// Associations that are gone, with when: the webhook learns of it later.
    pub(super) departed: Vec<(Association, Timestamp)>,
    /// Ids of associations by the token of the request that made them: a repeated request gets the same one.
    pub(super) request_tokens: BTreeMap<String, String>,
    role_arn: String,
    created: Timestamp,
    seed: SeedCluster,
}

/// A managed node group.
#[derive(Debug)]
pub(super) struct Nodegroup {
    pub(super) arn: String,
    pub(super) tags: Tags,
    role_arn: String,
    seed: SeedNodegroup,
}

impl Cluster {
    pub(in super::super) fn planted(world: &mut World, seed: &SeedCluster, born: Timestamp) -> Self {
        let region = seed.region.clone().unwrap_or_else(|| world.region.clone());
        let prefix = format!("arn:{}:eks:{region}:{}", world.partition.name, world.account);
        let arn = format!("{prefix}:cluster/{}", seed.name);
        let id = digest(&arn, 32).to_ascii_uppercase();
        let suffix = world.partition.suffix;
        let issuer = seed.issuer.clone().unwrap_or_else(|| format!("https://oidc.eks.{region}.{suffix}/id/{id}"));
        let role_arn = |name: &str, world: &World| {
            world.roles.get(name).map_or_else(|| world.iam_arn(&format!("role/{name}")), |role| role.arn.clone())
        };
        let mut nodegroups = BTreeMap::new();
        for group in &seed.nodegroups {
            let id = world.unique_hex(12);
            let group_arn = format!("{prefix}:nodegroup/{}/{}/{id}", seed.name, group.name);
            world.tag_index.record(&group_arn, born, Some(&group.tags));
            let made = Nodegroup {
                arn: group_arn,
                tags: group.tags.clone(),
                role_arn: role_arn(&group.role, world),
                seed: group.clone(),
            };
            nodegroups.insert(group.name.clone(), made);
        }
        world.tag_index.record(&arn, born, Some(&seed.tags));
        let default_endpoint = format!("https://{id}.gr7.{region}.eks.{suffix}");
        let mut cluster = Self {
            name: seed.name.clone(),
            status: seed.status.clone(),
            version: seed.version.clone().unwrap_or_else(|| VERSION.to_owned()),
            issuer,
            endpoint: seed.endpoint.clone().unwrap_or(default_endpoint),
            authority: seed.certificate_authority.clone().unwrap_or_default(),
            tags: seed.tags.clone(),
            nodegroups,
            addons: BTreeMap::new(),
            preserved: BTreeSet::new(),
            updates: BTreeMap::new(),
            associations: BTreeMap::new(),
            departed: Vec::new(),
            request_tokens: BTreeMap::new(),
            role_arn: role_arn(&seed.role, world),
            created: born,
            seed: seed.clone(),
            region,
            arn,
        };
        for addon in &seed.addons {
            let addon = Addon::planted(world, &cluster, addon, born);
            world.tag_index.record(&addon.arn, born, Some(&addon.tags));
            cluster.addons.insert(addon.name.clone(), addon);
        }
        for seed in &seed.pod_identity_associations {
            let association = Association::planted(world, &cluster, seed, born);
            world.tag_index.record(&association.arn, born, Some(&association.tags));
            cluster.associations.insert(association.id.clone(), association);
        }
        cluster
    }

    /// Begins another life under the same name: with another issuer, and without what EKS kept in it. Returns the ARNs of what went.
    pub(in super::super) fn recreate(&mut self, now: Timestamp, id: &str) -> Vec<String> {
        let before = self.issuer.rsplit_once('/').map_or(self.issuer.as_str(), |(before, _)| before);
        self.issuer = format!("{before}/{id}");
        self.created = now;
        self.preserved.clear();
        self.updates.clear();
        self.departed.clear();
        self.request_tokens.clear();
        let addons = std::mem::take(&mut self.addons);
        let associations = std::mem::take(&mut self.associations);
        addons.into_values().map(|it| it.arn).chain(associations.into_values().map(|it| it.arn)).collect()
    }

    /// The role that the pods of a service account get by an association that has spread.
    pub(in super::super) fn associated_role(
        &self,
        namespace: &str,
        account: &str,
        lag: Duration,
        now: Timestamp,
    ) -> Option<&str> {
        let mut all = self.associations.values().filter(|it| it.is_of(namespace, account));
        all.find(|it| it.has_spread(lag, now)).map(|it| it.role_arn.as_str())
    }

    /// Whether a service account had an association a moment ago.
    pub(in super::super) fn recently_associated(
        &self,
        namespace: &str,
        account: &str,
        lag: Duration,
        now: Timestamp,
    ) -> bool {
        let recent = self.departed.iter().filter(|(_, gone)| !visible(*gone, lag, now));
        recent.into_iter().any(|(it, _)| it.is_of(namespace, account))
    }

    /// What an add-on says of itself.
    pub(in super::super) fn addon_status(&self, name: &str, now: Timestamp) -> Option<&str> {
        self.addons.get(name).map(|addon| addon.status(now))
    }

    pub(in super::super) fn set_addon_health(&mut self, name: &str, status: &str, issues: &[SeedIssue]) {
        if let Some(addon) = self.addons.get_mut(name) {
            addon.set_health(status, issues);
        }
    }

    pub(in super::super) fn addon_objects(&self, name: &str, now: Timestamp) -> AddonObjects {
        match self.addons.get(name).map_or(AddonObjects::Gone, |addon| addon.objects(now)) {
            AddonObjects::Gone if self.preserved.contains(name) => AddonObjects::AsTheyAre,
            objects => objects,
        }
    }

    pub(in super::super) fn addon_conflicted(&mut self, name: &str, message: &str) {
        if let Some(addon) = self.addons.get_mut(name) {
            addon.conflicted(message.to_owned());
        }
    }

    /// What its tokens have to name.
    pub(in super::super) fn token_subject(&self) -> &str {
        self.seed.outpost_id.as_ref().unwrap_or(&self.name)
    }

    /// The VPC and the subnets that the cluster was given.
    pub(in super::super) fn network(&self) -> (&str, &[String]) {
        (&self.seed.vpc_id, &self.seed.subnets)
    }

    /// The security group that EKS made, and further ones of the control plane.
    pub(in super::super) fn security_groups(&self) -> (&str, &[String]) {
        (&self.seed.cluster_security_group, &self.seed.security_groups)
    }

    pub(super) fn fargate_profiles(&self) -> &[SeedFargateProfile] {
        &self.seed.fargate_profiles
    }

    /// Sets what brings nodes: the size that every node group is to have, and Fargate profiles.
    pub(in super::super) fn set_capacity(&mut self, nodes: u32, profiles: Vec<SeedFargateProfile>) {
        self.nodegroups.values_mut().for_each(|group| group.seed.nodes = nodes);
        self.seed.fargate_profiles = profiles;
    }

    /// Builds the ARN of something in the cluster.
    pub(super) fn arn_of(&self, kind: &str, rest: &str) -> String {
        self.arn.replacen(":cluster/", &format!(":{kind}/"), 1) + "/" + rest
    }

    pub(super) fn describe(&self) -> Value {
        let mut cluster = json!({
            "name": self.name,
            "arn": self.arn,
            "createdAt": seconds(self.created),
            "version": self.version,
            "roleArn": self.role_arn,
            "status": self.status,
            "platformVersion": "eks.12",
            "resourcesVpcConfig": {
                "vpcId": self.seed.vpc_id,
                "subnetIds": self.seed.subnets,
                "securityGroupIds": self.seed.security_groups,
                "clusterSecurityGroupId": self.seed.cluster_security_group,
                "endpointPublicAccess": self.seed.endpoint_public_access,
                "endpointPrivateAccess": self.seed.endpoint_private_access,
                "publicAccessCidrs": if self.seed.endpoint_public_access { json!(["0.0.0.0/0"]) } else { json!([]) },
            },
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4"},
            "accessConfig": {"authenticationMode": self.seed.authentication_mode},
            "computeConfig": {"enabled": self.seed.auto_mode},
            "health": {"issues": []},
            "upgradePolicy": {"supportType": "EXTENDED"},
            "tags": tags_json(&self.tags),
        });
        if let Some(id) = &self.seed.outpost_id {
            let outpost = self.arn.replacen(":eks:", ":outposts:", 1);
            let outpost = outpost.split(":cluster/").next().unwrap_or_default();
            cluster["id"] = Value::from(id.as_str());
            cluster["outpostConfig"] = json!({
                "outpostArns": [format!("{outpost}:outpost/op-0123456789abcdef0")],
                "controlPlaneInstanceType": "m5.large",
            });
        }
        // A cluster that is being created has neither address nor issuer yet.
        if self.status != "CREATING" && self.status != "PENDING" {
            cluster["endpoint"] = Value::from(self.endpoint.as_str());
            cluster["certificateAuthority"] = json!({"data": STANDARD.encode(&self.authority)});
            cluster["identity"] = json!({"oidc": {"issuer": self.issuer}});
        }
        cluster
    }

    /// Removes add-ons that have finished being deleted, and returns the ARNs of what went.
    pub(in super::super) fn sweep_addons(&mut self, now: Timestamp) -> BTreeSet<String> {
        let mut gone = BTreeSet::new();
        self.addons.retain(|_, addon| {
            let stays = !addon.is_gone(now);
            if !stays {
                gone.insert(addon.arn.clone());
            }
            stays
        });
        let owned = self.associations.values().filter(|it| it.owner.as_ref().is_some_and(|it| gone.contains(it)));
        let ids: Vec<_> = owned.map(|it| (it.id.clone(), it.arn.clone())).collect();
        for (id, arn) in ids {
            self.associations.remove(&id);
            gone.insert(arn);
        }
        gone
    }

    pub(in super::super) fn snapshot(&self) -> Value {
        let addons: Map<String, Value> =
            self.addons.iter().map(|(name, it)| (name.clone(), it.snapshot(self))).collect();
        let associations: Map<String, Value> = self
            .associations
            .values()
            .map(|it| (format!("{}/{}", it.namespace, it.service_account), it.snapshot()))
            .collect();
        let nodegroups: Map<String, Value> =
            self.nodegroups.iter().map(|(name, it)| (name.clone(), json!({"tags": tags_json(&it.tags)}))).collect();
        json!({
            "status": self.status,
            "version": self.version,
            "tags": tags_json(&self.tags),
            "nodegroups": nodegroups,
            "addons": addons,
            "podIdentityAssociations": associations,
        })
    }
}

pub(super) fn list(world: &World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let names = world.clusters.values().filter(|cluster| cluster.region == cx.region).map(|cluster| &cluster.name);
    paged(world, input, "clusters", names.map(|name| (name.clone(), Value::from(name.as_str()))).collect())
}

pub(super) fn list_nodegroups(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let names: Vec<_> = find(world, cx, input)?.nodegroups.keys().cloned().collect();
    paged(world, input, "nodegroups", names.into_iter().map(|name| (name.clone(), Value::from(name))).collect())
}

pub(super) fn describe_nodegroup(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let cluster = find(world, cx, input)?;
    let name = text(input, "nodegroupName").unwrap_or_default();
    let missing = || {
        ApiError::not_found(format!("No node group found for name: {name}."))
            .with("clusterName", &cluster.name)
            .with("nodegroupName", name)
    };
    let group = cluster.nodegroups.get(name).ok_or_else(missing)?;
    let seed = &group.seed;
    let subnets = if seed.subnets.is_empty() { &cluster.seed.subnets } else { &seed.subnets };
    Ok(json!({"nodegroup": {
        "nodegroupName": seed.name,
        "nodegroupArn": group.arn,
        "clusterName": cluster.name,
        "version": cluster.version,
        "releaseVersion": format!("{}.0-20260720", cluster.version),
        "createdAt": seconds(cluster.created),
        "modifiedAt": seconds(cluster.created),
        "status": seed.status,
        "capacityType": seed.capacity_type,
        "scalingConfig": {"minSize": seed.nodes.min(1), "maxSize": seed.nodes.max(1) * 2, "desiredSize": seed.nodes},
        "instanceTypes": seed.instance_types,
        "subnets": subnets,
        "amiType": seed.ami_type,
        "nodeRole": group.role_arn,
        "labels": seed.labels,
        "diskSize": 20,
        "health": {"issues": []},
        "updateConfig": {"maxUnavailable": 1},
        "tags": tags_json(&group.tags),
    }}))
}

pub(super) fn list_access_entries(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let mut arns: Vec<_> =
        find(world, cx, input)?.seed.access_entries.iter().map(|entry| entry.principal_arn.clone()).collect();
    arns.sort();
    paged(world, input, "accessEntries", arns.into_iter().map(|arn| (arn.clone(), Value::from(arn))).collect())
}

pub(super) fn describe_access_entry(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let cluster = find(world, cx, input)?;
    let principal = text(input, "principalArn").unwrap_or_default();
    let entry: &SeedAccessEntry = cluster
        .seed
        .access_entries
        .iter()
        .find(|entry| entry.principal_arn == principal)
        .ok_or_else(|| {
            let text = format!("The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'. ({principal})");
            ApiError::not_found(text).with("clusterName", &cluster.name)
        })?;
    Ok(json!({"accessEntry": {
        "clusterName": cluster.name,
        "principalArn": entry.principal_arn,
        "kubernetesGroups": entry.groups,
        "accessEntryArn": cluster.arn_of("access-entry", &digest(&entry.principal_arn, 36)),
        "createdAt": seconds(cluster.created),
        "modifiedAt": seconds(cluster.created),
        "tags": {},
        "username": entry.username.as_ref().unwrap_or(&entry.principal_arn),
        "type": entry.kind,
    }}))
}
