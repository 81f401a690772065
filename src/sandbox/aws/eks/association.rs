//! Pod Identity associations: one for a namespace and service account, referring to a role that EKS must know already.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::{active, check_role, find, paged, required, seconds, tags, text};
use crate::sandbox::aws::clock::visible;
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::seed::Tags;
use crate::sandbox::aws::seed_cluster::SeedAssociation;
use crate::sandbox::aws::world::{CallContext, World, tags_json};

/// A Pod Identity association.
#[derive(Debug, Clone)]
pub(in super::super) struct Association {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) role_arn: String,
    pub(super) tags: Tags,
    /// ARN of the add-on that it belongs to.
    pub(super) owner: Option<String>,
    disable_session_tags: bool,
    target_role_arn: Option<String>,
    created: Timestamp,
    modified: Timestamp,
}

/// Writes 32 hexadecimal digits as a UUID.
pub(super) fn uuid(hex: &str) -> String {
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

impl Association {
    fn new(
        cluster: &Cluster,
        id: &str,
        namespace: &str,
        service_account: &str,
        role_arn: &str,
        now: Timestamp,
    ) -> Self {
        let id = format!("a-{id}");
        Self {
            arn: cluster.arn_of("podidentityassociation", &id),
            id,
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            role_arn: role_arn.to_owned(),
            tags: Tags::new(),
            owner: None,
            disable_session_tags: false,
            target_role_arn: None,
            created: now,
            modified: now,
        }
    }

    pub(super) fn planted(world: &mut World, cluster: &Cluster, seed: &SeedAssociation, born: Timestamp) -> Self {
        let id = world.unique_hex(17);
        let made = Self::new(cluster, &id, &seed.namespace, &seed.service_account, &seed.role_arn, born);
        Self { tags: seed.tags.clone(), ..made }
    }

    pub(super) fn is_of(&self, namespace: &str, service_account: &str) -> bool {
        self.namespace == namespace && self.service_account == service_account
    }

    /// Whether the webhook of the cluster knows of it.
    pub(super) fn has_spread(&self, lag: Duration, now: Timestamp) -> bool {
        visible(self.created, lag, now)
    }

    pub(super) fn snapshot(&self) -> Value {
        json!({
            "roleArn": self.role_arn,
            "targetRoleArn": self.target_role_arn,
            "disableSessionTags": self.disable_session_tags,
            "owned": self.owner.is_some(),
            "tags": tags_json(&self.tags),
        })
    }

    fn summary(&self, cluster: &str) -> Value {
        let mut summary = json!({
            "clusterName": cluster,
            "namespace": self.namespace,
            "serviceAccount": self.service_account,
            "associationArn": self.arn,
            "associationId": self.id,
        });
        if let Some(owner) = &self.owner {
            summary["ownerArn"] = Value::from(owner.as_str());
        }
        summary
    }

    fn describe(&self, cluster: &str) -> Value {
        let mut association = self.summary(cluster);
        association["roleArn"] = Value::from(self.role_arn.as_str());
        association["tags"] = tags_json(&self.tags);
        association["createdAt"] = Value::from(seconds(self.created));
        association["modifiedAt"] = Value::from(seconds(self.modified));
        association["disableSessionTags"] = Value::from(self.disable_session_tags);
        if let Some(target) = &self.target_role_arn {
            association["targetRoleArn"] = Value::from(target.as_str());
        }
        json!({"association": association})
    }
}

fn refuse_policy(input: &Map<String, Value>) -> Result<()> {
    match input.get("policy") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(ApiError::not_implemented("the member policy of a Pod Identity association")),
    }
}

/// Checks a name by the rules of Kubernetes.
fn check_kubernetes_name(value: &str, member: &str) -> Result<()> {
    let characters =
        value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.');
    let ends = value.starts_with(['-', '.']) || value.ends_with(['-', '.']);
    if !characters || ends || value.len() > 253 {
        return Err(ApiError::invalid_parameter(format!("{member} {value} is not a valid Kubernetes name")));
    }
    Ok(())
}

pub(super) fn create(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    refuse_policy(input)?;
    let namespace = required(input, "namespace")?;
    let service_account = required(input, "serviceAccount")?;
    let role_arn = required(input, "roleArn")?;
    check_kubernetes_name(namespace, "namespace")?;
    check_kubernetes_name(service_account, "serviceAccount")?;
    let tags = tags::read(input)?;
    let cluster = active(world, cx, input)?;
    let token = text(input, "clientRequestToken");
    let same = |it: &&Association| it.namespace == namespace && it.service_account == service_account;
    if let Some(existing) = cluster.associations.values().find(same) {
        let repeated = token.and_then(|token| cluster.request_tokens.get(token)) == Some(&existing.id);
        if repeated && existing.role_arn == role_arn {
            return Ok(existing.describe(&cluster.name));
        }
        let error = ApiError::in_use(format!("Association already exists: {}", existing.id));
        return Err(error.with("clusterName", &cluster.name));
    }
    check_role(world, cx, role_arn)?;
    let id = world.unique_hex(17);
    let cluster = find(world, cx, input)?;
    let made = Association {
        tags,
        disable_session_tags: input.get("disableSessionTags").and_then(Value::as_bool).unwrap_or(false),
        target_role_arn: text(input, "targetRoleArn").map(str::to_owned),
        ..Association::new(cluster, &id, namespace, service_account, role_arn, cx.now)
    };
    let answer = made.describe(&cluster.name);
    if let Some(token) = token {
        cluster.request_tokens.insert(token.to_owned(), made.id.clone());
    }
    let (arn, tags) = (made.arn.clone(), made.tags.clone());
    cluster.associations.insert(made.id.clone(), made);
    world.tag_index.record(&arn, cx.now, Some(&tags));
    Ok(answer)
}

/// Makes or changes the association that an add-on wants for one of its service accounts.
pub(super) fn own(
    world: &mut World,
    cx: &CallContext,
    input: &Map<String, Value>,
    owner: &str,
    service_account: &str,
    role_arn: &str,
) -> Result<()> {
    let id = world.unique_hex(17);
    let cluster = find(world, cx, input)?;
    let same = |it: &&mut Association| it.namespace == "kube-system" && it.service_account == service_account;
    if let Some(existing) = cluster.associations.values_mut().find(same) {
        role_arn.clone_into(&mut existing.role_arn);
        existing.owner = Some(owner.to_owned());
        existing.modified = cx.now;
        return Ok(());
    }
    let made = Association {
        owner: Some(owner.to_owned()),
        ..Association::new(cluster, &id, "kube-system", service_account, role_arn, cx.now)
    };
    cluster.associations.insert(made.id.clone(), made);
    Ok(())
}

pub(super) fn list(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let (namespace, service_account) = (text(input, "namespace"), text(input, "serviceAccount"));
    let cluster = find(world, cx, input)?;
    let found: Vec<_> = cluster
        .associations
        .values()
        .filter(|it| namespace.is_none_or(|namespace| namespace == it.namespace))
        .filter(|it| service_account.is_none_or(|name| name == it.service_account))
        .map(|it| (it.id.clone(), it.summary(&cluster.name)))
        .collect();
    paged(world, input, "associations", found)
}

fn known<'a>(cluster: &'a mut Cluster, input: &Map<String, Value>) -> Result<&'a mut Association> {
    let id = required(input, "associationId")?;
    let error = ApiError::not_found(format!("No association found for association id: {id}."));
    let error = error.with("clusterName", &cluster.name);
    cluster.associations.get_mut(id).ok_or(error)
}

pub(super) fn describe(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let cluster = find(world, cx, input)?;
    let name = cluster.name.clone();
    Ok(known(cluster, input)?.describe(&name))
}

fn refuse_owned(association: &Association) -> Result<()> {
    match &association.owner {
        None => Ok(()),
        Some(owner) => {
            let text = format!("Association {} is owned by {owner}, change the add-on instead", association.id);
            Err(ApiError::new("InvalidRequestException", 400, text))
        }
    }
}

pub(super) fn update(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    refuse_policy(input)?;
    refuse_owned(known(active(world, cx, input)?, input)?)?;
    if let Some(role_arn) = text(input, "roleArn") {
        check_role(world, cx, role_arn)?;
    }
    let cluster = find(world, cx, input)?;
    let name = cluster.name.clone();
    let association = known(cluster, input)?;
    if let Some(role_arn) = text(input, "roleArn") {
        role_arn.clone_into(&mut association.role_arn);
    }
    if let Some(disabled) = input.get("disableSessionTags").and_then(Value::as_bool) {
        association.disable_session_tags = disabled;
    }
    if let Some(target) = text(input, "targetRoleArn") {
        association.target_role_arn = Some(target.to_owned()).filter(|target| !target.is_empty());
    }
    association.modified = cx.now;
    Ok(association.describe(&name))
}

pub(super) fn delete(world: &mut World, cx: &CallContext, input: &Map<String, Value>) -> Result<Value> {
    let cluster = active(world, cx, input)?;
    let name = cluster.name.clone();
    let association = known(cluster, input)?.clone();
    refuse_owned(&association)?;
    cluster.associations.remove(&association.id);
    cluster.departed.push((association.clone(), cx.now));
    world.tag_index.record(&association.arn, cx.now, None);
    Ok(association.describe(&name))
}
