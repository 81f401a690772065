//! Roles: trust, description, boundary and tags.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::names::{add_tags, check_description, check_name, check_path, remove_tags, write_tags};
use super::{encoded, page_of, page_of_tags, time, write_mark};
use crate::sandbox::aws::clock::visible;
use crate::sandbox::aws::document::{check_trust_syntax, principals};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::seed::{SeedRole, Tags};
use crate::sandbox::aws::seed_check::text;
use crate::sandbox::aws::world::{CallContext, World, tags_json};
use crate::sandbox::aws::xml::Xml;

/// A role.
#[derive(Debug, Clone)]
pub(in super::super) struct Role {
    pub(in super::super) arn: String,
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(super) path: String,
    pub(super) description: Option<String>,
    pub(in super::super) max_session: u64,
    pub(in super::super) boundary: Option<String>,
    pub(in super::super) tags: Tags,
    /// Attached policies and since when.
    pub(in super::super) attached: BTreeMap<String, Timestamp>,
    pub(in super::super) inline: BTreeMap<String, String>,
    pub(super) instance_profiles: Vec<String>,
    pub(in super::super) created: Timestamp,
    /// Trust documents with the time of each change, oldest first.
    trusts: Vec<(Timestamp, String)>,
}

impl Role {
    pub(in super::super) fn planted(world: &mut World, seed: &SeedRole, born: Timestamp) -> Self {
        Self {
            arn: world.iam_arn(&format!("role{}{}", seed.path, seed.name)),
            id: world.unique_iam_id("AROA"),
            name: seed.name.clone(),
            path: seed.path.clone(),
            description: seed.description.clone(),
            max_session: seed.max_session_seconds,
            boundary: seed.boundary.clone(),
            tags: seed.tags.clone(),
            attached: seed.attached.iter().map(|arn| (arn.clone(), born)).collect(),
            inline: seed.inline.iter().map(|(name, document)| (name.clone(), text(document))).collect(),
            instance_profiles: seed.instance_profiles.clone(),
            created: born,
            trusts: vec![(born, text(&seed.trust))],
        }
    }

    /// Returns the trust document as IAM itself has it.
    pub(super) fn trust(&self) -> &str {
        self.trusts.last().map(|(_, document)| document.as_str()).expect("a role has a trust document from the start")
    }

    /// Returns the trust document that STS knows by now; `None` if it does not know the role yet.
    pub(in super::super) fn trust_seen_by_sts(&self, world: &World, now: Timestamp) -> Option<&str> {
        let seen = self.trusts.iter().rev().find(|(since, _)| visible(*since, world.lag, now));
        seen.map(|(_, document)| document.as_str())
    }

    pub(in super::super) fn snapshot(&self) -> Value {
        let parsed = |document: &str| serde_json::from_str::<Value>(document).unwrap_or_default();
        let inline: Map<String, Value> =
            self.inline.iter().map(|(name, document)| (name.clone(), parsed(document))).collect();
        json!({
            "arn": self.arn,
            "description": self.description,
            "maxSession": self.max_session,
            "boundary": self.boundary,
            "tags": tags_json(&self.tags),
            "trust": parsed(self.trust()),
            "attached": self.attached.keys().collect::<Vec<_>>(),
            "inline": inline,
        })
    }
}

/// Checks a trust document; principals of the account must exist.
fn check_trust(world: &World, document: &str) -> Result<()> {
    check_trust_syntax(document, world.partition.name)?;
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = match &parsed["Statement"] {
        Value::Array(statements) => statements.clone(),
        statement => vec![statement.clone()],
    };
    for statement in statements.iter().filter_map(Value::as_object) {
        for (kind, name) in principals(statement)? {
            let own_role = kind == "AWS" && name.starts_with(&world.iam_arn("role/"));
            if own_role && world.role_by_arn(&name).is_none() {
                let text = format!("Invalid principal in policy: \"AWS\":\"{name}\"");
                return Err(ApiError::malformed_document(text));
            }
        }
    }
    let most = world.quotas.trust_policy_size;
    if document.chars().count() > most {
        return Err(ApiError::limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {most}")));
    }
    Ok(())
}

fn check_boundary(world: &World, arn: &str) -> Result<()> {
    if !arn.starts_with("arn:") || arn.split(':').nth(1) != Some(world.partition.name) {
        return Err(ApiError::invalid_input(format!("ARN {arn} is not valid.")));
    }
    if world.policy_exists(arn) {
        return Ok(());
    }
    Err(ApiError::no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable.")))
}

pub(super) fn create(world: &mut World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let name = check_name(form.required("RoleName")?, "roleName", 64)?.to_owned();
    let trust = form.required("AssumeRolePolicyDocument")?.to_owned();
    let path = check_path(form)?;
    let description = check_description(form, true)?;
    let max_session = form.number("MaxSessionDuration", 3600, 43200)?.unwrap_or(3600);
    let tags = add_tags(&Tags::new(), &form.tags())?;
    check_trust(world, &trust)?;
    if world.roles.keys().any(|existing| existing.eq_ignore_ascii_case(&name)) {
        return Err(ApiError::already_exists(format!("Role with name {name} already exists.")));
    }
    let boundary = form.get("PermissionsBoundary").map(str::to_owned);
    if let Some(boundary) = &boundary {
        check_boundary(world, boundary)?;
    }
    let most = world.quotas.roles;
    if world.roles.len() >= most {
        return Err(ApiError::limit_exceeded(format!("Cannot exceed quota for RolesPerAccount: {most}")));
    }
    let role = Role {
        arn: world.iam_arn(&format!("role{path}{name}")),
        id: world.unique_iam_id("AROA"),
        name: name.clone(),
        path,
        description,
        max_session,
        boundary,
        tags,
        attached: BTreeMap::new(),
        inline: BTreeMap::new(),
        instance_profiles: Vec::new(),
        created: cx.now,
        trusts: vec![(cx.now, trust)],
    };
    let answer = Xml::build(|xml| xml.node("Role", |xml| write(xml, &role, true)));
    world.roles.insert(name, role);
    Ok(answer)
}

/// Writes a role; lists leave out boundary and tags.
fn write(xml: &mut Xml, role: &Role, whole: bool) {
    xml.text("Path", &role.path);
    xml.text("RoleName", &role.name);
    xml.text("RoleId", &role.id);
    xml.text("Arn", &role.arn);
    xml.text("CreateDate", time(role.created));
    xml.text("AssumeRolePolicyDocument", encoded(role.trust()));
    xml.optional("Description", role.description.as_ref());
    xml.text("MaxSessionDuration", role.max_session);
    if !whole {
        return;
    }
    if let Some(boundary) = &role.boundary {
        xml.node("PermissionsBoundary", |xml| {
            xml.text("PermissionsBoundaryType", "Policy");
            xml.text("PermissionsBoundaryArn", boundary);
        });
    }
    if !role.tags.is_empty() {
        write_tags(xml, &role.tags);
    }
    xml.node("RoleLastUsed", |_| {});
}

/// Finds the role that a call names.
pub(super) fn find<'a>(world: &'a mut World, form: &Form) -> Result<&'a mut Role> {
    let name = check_name(form.required("RoleName")?, "roleName", 64)?;
    world
        .roles
        .get_mut(name)
        .ok_or_else(|| ApiError::no_such_entity(format!("The role with name {name} cannot be found.")))
}

pub(super) fn get(world: &mut World, form: &Form) -> Result<Xml> {
    let role = find(world, form)?;
    Ok(Xml::build(|xml| xml.node("Role", |xml| write(xml, role, true))))
}

pub(super) fn list(world: &World, form: &Form) -> Result<Xml> {
    let prefix = form.get("PathPrefix").unwrap_or("/");
    let roles = world.roles.values().filter(|role| role.path.starts_with(prefix));
    let page = page_of(world, form, roles.map(|role| (role.name.clone(), role)).collect())?;
    Ok(Xml::build(|xml| {
        xml.members("Roles", page.items, |xml, role| write(xml, role, false));
        write_mark(xml, page.next.as_ref());
    }))
}

/// What is not said of the session's duration sets it back to an hour, as IAM documents for this call.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html>
pub(super) fn update(world: &mut World, form: &Form) -> Result<()> {
    let description = check_description(form, true)?;
    let max_session = form.number("MaxSessionDuration", 3600, 43200)?;
    let role = find(world, form)?;
    role.description = description.or_else(|| role.description.take());
    role.max_session = max_session.unwrap_or(3600);
    Ok(())
}

pub(super) fn update_description(world: &mut World, form: &Form) -> Result<Xml> {
    let description = check_description(form, true)?;
    let role = find(world, form)?;
    role.description = description;
    Ok(Xml::build(|xml| xml.node("Role", |xml| write(xml, role, true))))
}

pub(super) fn update_trust(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let document = form.required("PolicyDocument")?.to_owned();
    find(world, form)?;
    check_trust(world, &document)?;
    find(world, form)?.trusts.push((cx.now, document));
    Ok(None)
}

pub(super) fn put_boundary(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let boundary = form.required("PermissionsBoundary")?.to_owned();
    check_boundary(world, &boundary)?;
    find(world, form)?.boundary = Some(boundary);
    Ok(None)
}

pub(super) fn delete_boundary(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let role = find(world, form)?;
    if role.boundary.take().is_none() {
        let text = format!("Role {} does not have a permissions boundary.", role.name);
        return Err(ApiError::no_such_entity(text));
    }
    Ok(None)
}

pub(super) fn tag(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let role = find(world, form)?;
    role.tags = add_tags(&role.tags, &form.tags())?;
    Ok(None)
}

pub(super) fn untag(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let role = find(world, form)?;
    role.tags = remove_tags(&role.tags, &form.list("TagKeys"));
    Ok(None)
}

pub(super) fn list_tags(world: &mut World, form: &Form) -> Result<Xml> {
    let tags = find(world, form)?.tags.clone();
    page_of_tags(world, form, tags)
}

pub(super) fn delete(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let role = find(world, form)?;
    let conflict = if !role.attached.is_empty() {
        Some("Cannot delete entity, must detach all policies first.")
    } else if !role.inline.is_empty() {
        Some("Cannot delete entity, must delete policies first.")
    } else if !role.instance_profiles.is_empty() {
        Some("Cannot delete entity, must remove roles from instance profile first.")
    } else {
        None
    };
    if let Some(text) = conflict {
        return Err(ApiError::delete_conflict(text));
    }
    let name = role.name.clone();
    world.roles.remove(&name);
    Ok(None)
}
