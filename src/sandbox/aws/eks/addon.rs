//! EKS add-ons: created, changed and deleted with a delay; their health issues come from the seed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::addon_update::Update;
use super::association::{self, Association};
use super::cluster::Cluster;
use super::{active, catalogue, check_role, configuration, find, paged, required, seconds, tags, text};
use crate::sandbox::aws::clock::after;
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::installation::{AddonObjects, Installation, OnConflict};
use crate::sandbox::aws::seed::Tags;
use crate::sandbox::aws::seed_cluster::{SeedAddon, SeedIssue};
use crate::sandbox::aws::world::{CallContext, World, tags_json};

/// An add-on of a cluster.
#[derive(Debug, Clone)]
pub(in super::super) struct Addon {
    pub(in super::super) name: String,
    pub(in super::super) arn: String,
    pub(in super::super) tags: Tags,
    version: String,
    role_arn: Option<String>,
    configuration: Option<String>,
    resolve_conflicts: Option<String>,
    created: Timestamp,
    modified: Timestamp,
    /// What it says until `settled`.
    passing: &'static str,
    settled: Timestamp,
    /// What it says from then on; `None` means that it is gone.
    lasting: Option<String>,
    issues: Vec<SeedIssue>,
    request_token: Option<String>,
}

impl Addon {
    pub(super) fn planted(world: &mut World, cluster: &Cluster, seed: &SeedAddon, born: Timestamp) -> Self {
        let default = catalogue::find(&seed.name).map_or("", |offer| offer.versions[0]);
        let id = association::uuid(&world.unique_hex(32));
        Self {
            name: seed.name.clone(),
            arn: cluster.arn_of("addon", &format!("{}/{id}", seed.name)),
            tags: seed.tags.clone(),
            version: seed.version.clone().unwrap_or_else(|| default.to_owned()),
            role_arn: seed.service_account_role_arn.clone(),
            configuration: seed.configuration_values.clone(),
            resolve_conflicts: None,
            created: born,
            modified: born,
            passing: "CREATING",
            settled: born,
            lasting: Some(seed.status.clone()),
            issues: seed.issues.clone(),
            request_token: None,
        }
    }

    pub(super) fn status(&self, now: Timestamp) -> &str {
        if now < self.settled { self.passing } else { self.lasting.as_deref().unwrap_or("DELETING") }
    }

    /// Another status and other findings.
    pub(super) fn set_health(&mut self, status: &str, issues: &[SeedIssue]) {
        self.lasting = Some(status.to_owned());
        self.issues = issues.to_vec();
    }

    /// What is to become of its objects.
    pub(super) fn objects(&self, now: Timestamp) -> AddonObjects {
        match (self.status(now), self.lasting.as_deref()) {
            ("DELETING", _) => AddonObjects::Gone,
            ("CREATING" | "UPDATING" | "ACTIVE" | "DEGRADED", Some("ACTIVE" | "DEGRADED")) => {
                AddonObjects::Wanted(Installation {
                    role_arn: self.role_arn.clone(),
                    configuration: self.configuration.clone(),
                    version: self.version.clone(),
                    modified: self.modified,
                    on_conflict: match self.resolve_conflicts.as_deref() {
                        Some("OVERWRITE") => OnConflict::Overwrite,
                        Some("PRESERVE") => OnConflict::Preserve,
                        _ => OnConflict::Fail,
                    },
                })
            }
            _ => AddonObjects::AsTheyAre,
        }
    }

    /// The creation or update fails: others own fields that it sets.
    pub(super) fn conflicted(&mut self, message: String) {
        let failed = if self.passing == "CREATING" { "CREATE_FAILED" } else { "UPDATE_FAILED" };
        let issue = SeedIssue { code: "ConfigurationConflict".to_owned(), message, resource_ids: Vec::new() };
        self.set_health(failed, &[issue]);
    }

    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        self.lasting.is_none() && now >= self.settled
    }

    pub(super) fn snapshot(&self, cluster: &Cluster) -> Value {
        let owned =
            cluster.associations.values().filter(|it| it.owner.as_ref() == Some(&self.arn)).map(Association::snapshot);
        json!({
            "version": self.version,
            "status": self.lasting,
            "serviceAccountRoleArn": self.role_arn,
            "configurationValues": self.configuration,
            "resolveConflicts": self.resolve_conflicts,
            "podIdentityAssociations": owned.collect::<Vec<_>>(),
            "tags": tags_json(&self.tags),
        })
    }

    fn describe(&self, cluster: &Cluster, now: Timestamp) -> Value {
        let offer = catalogue::find(&self.name);
        let issues: Vec<_> = self
            .issues
            .iter()
            .map(|issue| json!({"code": issue.code, "message": issue.message, "resourceIds": issue.resource_ids}))
            .collect();
        let owned: Vec<_> = cluster
            .associations
            .values()
            .filter(|association| association.owner.as_ref() == Some(&self.arn))
            .map(|association| association.arn.as_str())
            .collect();
        let mut addon = json!({
            "addonName": self.name,
            "clusterName": cluster.name,
            "status": self.status(now),
            "addonVersion": self.version,
            "health": {"issues": issues},
            "addonArn": self.arn,
            "createdAt": seconds(self.created),
            "modifiedAt": seconds(self.modified),
            "tags": tags_json(&self.tags),
            "publisher": offer.map(|offer| offer.publisher),
            "owner": offer.map(|offer| offer.owner),
            "namespaceConfig": {"namespace": offer.map(|offer| offer.namespace)},
        });
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                addon[key] = value;
            }
        };
        set("serviceAccountRoleArn", self.role_arn.as_deref().map(Value::from));
        set("configurationValues", self.configuration.as_deref().map(Value::from));
        set("podIdentityAssociations", (!owned.is_empty()).then(|| json!(owned)));
        addon
    }
}

/// The changes that CreateAddon and UpdateAddon have in common, checked.
#[derive(Debug)]
struct Wanted {
    version: Option<String>,
    role_arn: Option<String>,
    configuration: Option<String>,
    resolve_conflicts: Option<String>,
    /// Service accounts and roles.
    associations: Option<Vec<(String, String)>>,
}

impl Wanted {
    fn read(world: &World, cx: &CallContext, name: &str, input: &Map<String, Value>, choices: &[&str]) -> Result<Self> {
        let offer = catalogue::find(name).ok_or_else(|| {
            ApiError::invalid_parameter(format!("Addon {name} specified is not supported")).with("addonName", name)
        })?;
        let owned = |key: &str| text(input, key).map(str::to_owned);
        let wanted = Self {
            version: owned("addonVersion"),
            role_arn: owned("serviceAccountRoleArn"),
            configuration: owned("configurationValues"),
            resolve_conflicts: owned("resolveConflicts"),
            associations: input.get("podIdentityAssociations").and_then(Value::as_array).map(|list| {
                let field = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
                list.iter().map(|item| (field(item, "serviceAccount"), field(item, "roleArn"))).collect()
            }),
        };
        if let Some(version) = &wanted.version
            && !offer.versions.contains(&version.as_str())
        {
            return Err(ApiError::invalid_parameter("Addon version specified is not supported").with("addonName", name));
        }
        if let Some(choice) = &wanted.resolve_conflicts
            && !choices.contains(&choice.as_str())
        {
            let text = if choice == "PRESERVE" {
                "Resolve conflicts option preserve is not supported for operation CreateAddon".to_owned()
            } else {
                format!("resolveConflicts must be one of {}", choices.join(", "))
            };
            return Err(ApiError::invalid_parameter(text).with("addonName", name));
        }
        if let Some(configuration) = wanted.configuration.as_deref().filter(|text| !text.is_empty()) {
            configuration::check(name, configuration)?;
        }
        let roles = wanted.associations.iter().flatten().map(|(_, role)| role).chain(&wanted.role_arn);
        for role in roles {
            check_role(world, cx, role)?;
        }
        Ok(wanted)
    }
}

fn missing(cluster: &Cluster, name: &str) -> ApiError {
    ApiError::not_found(format!("No addon: {name} found in cluster: {}", cluster.name))
        .with("clusterName", &cluster.name)
        .with("addonName", name)
}

pub(super) fn list(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let names: Vec<_> = find(world, cx, input)?.addons.keys().cloned().collect();
    paged(world, input, "addons", names.into_iter().map(|name| (name.clone(), Value::from(name))).collect())
}

pub(super) fn describe(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let cluster = find(world, cx, input)?;
    let name = text(input, "addonName").unwrap_or_default();
    let addon = cluster.addons.get(name).ok_or_else(|| missing(cluster, name))?;
    Ok(json!({"addon": addon.describe(cluster, cx.now)}))
}

pub(super) fn create(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let name = required(input, "addonName")?.to_owned();
    let token = text(input, "clientRequestToken").map(str::to_owned);
    let cluster = active(world, cx, input)?;
    if let Some(existing) = cluster.addons.get(&name) {
        if existing.request_token.is_some() && existing.request_token == token {
            return Ok(json!({"addon": existing.describe(cluster, cx.now)}));
        }
        let error = ApiError::in_use("Addon already exists.");
        return Err(error.with("clusterName", &cluster.name).with("addonName", &name));
    }
    let wanted = Wanted::read(world, cx, &name, input, &["NONE", "OVERWRITE"])?;
    let tags = tags::read(input)?;
    let id = association::uuid(&world.unique_hex(32));
    let settled = after(cx.now, world.settle);
    let (lasting, issues) = world.outcome_of(&name);
    let cluster = find(world, cx, input)?;
    let default = catalogue::find(&name).map_or("", |offer| offer.versions[0]);
    let addon = Addon {
        arn: cluster.arn_of("addon", &format!("{name}/{id}")),
        name: name.clone(),
        tags,
        version: wanted.version.unwrap_or_else(|| default.to_owned()),
        role_arn: wanted.role_arn,
        configuration: wanted.configuration.filter(|text| !text.is_empty()),
        resolve_conflicts: wanted.resolve_conflicts,
        created: cx.now,
        modified: cx.now,
        passing: "CREATING",
        settled,
        lasting: Some(lasting),
        issues,
        request_token: token,
    };
    let (arn, tags) = (addon.arn.clone(), addon.tags.clone());
    cluster.addons.insert(name.clone(), addon);
    cluster.preserved.remove(&name);
    world.tag_index.record(&arn, cx.now, Some(&tags));
    own_associations(world, cx, input, &arn, wanted.associations)?;
    describe(world, cx, input)
}

/// Makes the associations of an add-on exactly those that are wanted; `None` leaves them as they are.
fn own_associations(
    world: &mut World,
    cx: &CallContext,
    input: &Map<String, Value>,
    addon_arn: &str,
    wanted: Option<Vec<(String, String)>>,
) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let cluster = find(world, cx, input)?;
    let kept: BTreeMap<String, String> = wanted.iter().cloned().collect();
    let mut gone = Vec::new();
    cluster.associations.retain(|_, association| {
        let stays = association.owner.as_deref() != Some(addon_arn) || kept.contains_key(&association.service_account);
        if !stays {
            gone.push(association.arn.clone());
        }
        stays
    });
    for arn in gone {
        world.tag_index.record(&arn, cx.now, None);
    }
    for (service_account, role_arn) in wanted {
        association::own(world, cx, input, addon_arn, &service_account, &role_arn)?;
    }
    Ok(())
}

pub(super) fn update(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let name = required(input, "addonName")?.to_owned();
    let cluster = active(world, cx, input)?;
    let addon = cluster.addons.get(&name).ok_or_else(|| missing(cluster, &name))?;
    if cx.now < addon.settled {
        let text = format!("Addon {name} cannot be updated as it is currently in {} state", addon.status(cx.now));
        return Err(ApiError::in_use(text).with("clusterName", &cluster.name).with("addonName", &name));
    }
    let wanted = Wanted::read(world, cx, &name, input, &["NONE", "OVERWRITE", "PRESERVE"])?;
    let settled = after(cx.now, world.settle);
    let (lasting, issues) = world.outcome_of(&name);
    let id = association::uuid(&world.unique_hex(32));
    let cluster = find(world, cx, input)?;
    let addon = cluster.addons.get_mut(&name).expect("it was found above");
    let mut parameters = Vec::new();
    let mut note = |key: &str, value: Option<&String>| {
        if let Some(value) = value {
            parameters.push((key.to_owned(), value.clone()));
        }
    };
    note("AddonVersion", wanted.version.as_ref());
    note("ServiceAccountRoleArn", wanted.role_arn.as_ref());
    note("ResolveConflicts", wanted.resolve_conflicts.as_ref());
    note("ConfigurationValues", wanted.configuration.as_ref());
    addon.version = wanted.version.unwrap_or_else(|| addon.version.clone());
    // EKS takes an update without a role as the wish to use none.
    addon.role_arn = wanted.role_arn;
    if let Some(configuration) = wanted.configuration {
        addon.configuration = Some(configuration).filter(|text| !text.is_empty());
    }
    // A parameter of the request: what an earlier one said is not remembered.
    addon.resolve_conflicts = wanted.resolve_conflicts;
    addon.modified = cx.now;
    addon.passing = "UPDATING";
    addon.settled = settled;
    addon.lasting = Some(lasting);
    addon.issues = issues;
    let arn = addon.arn.clone();
    let made = Update { id: id.clone(), addon: name, created: cx.now, settled, parameters };
    let answer = json!({"update": made.describe(cx.now)});
    cluster.updates.insert(id, made);
    own_associations(world, cx, input, &arn, wanted.associations)?;
    Ok(answer)
}

pub(super) fn delete(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let settled = after(cx.now, world.settle);
    let cluster = active(world, cx, input)?;
    let name = text(input, "addonName").unwrap_or_default();
    let Some(addon) = cluster.addons.get_mut(name) else { return Err(missing(cluster, name)) };
    if text(input, "preserve") == Some("true") {
        cluster.preserved.insert(name.to_owned());
    }
    addon.passing = "DELETING";
    addon.settled = settled;
    addon.lasting = None;
    let addon = &cluster.addons[name];
    Ok(json!({"addon": addon.describe(cluster, cx.now)}))
}
