//! Which policies are attached to which roles, and what else holds a role.

use super::policy::{arn_of, missing};
use super::role::find;
use super::{encoded, page_of, time, write_mark};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::world::{CallContext, World, digest};
use crate::sandbox::aws::xml::Xml;

/// Attaching twice is no error.
pub(super) fn attach(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let arn = arn_of(world, form, "PolicyArn")?;
    let exists = world.policy_exists(arn);
    let most = world.quotas.attached_policies_per_role;
    let role = find(world, form)?;
    if !exists {
        return Err(ApiError::no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
    }
    if role.attached.len() >= most && !role.attached.contains_key(arn) {
        return Err(ApiError::limit_exceeded(format!("Cannot exceed quota for PoliciesPerRole: {most}")));
    }
    role.attached.entry(arn.to_owned()).or_insert(cx.now);
    Ok(None)
}

pub(super) fn detach(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let arn = arn_of(world, form, "PolicyArn")?;
    let role = find(world, form)?;
    if role.attached.remove(arn).is_none() {
        return Err(missing(arn));
    }
    Ok(None)
}

pub(super) fn list_of_role(world: &mut World, form: &Form) -> Result<Xml> {
    let prefix = form.get("PathPrefix").unwrap_or("/").to_owned();
    let role = find(world, form)?;
    let path = |arn: &str| {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default().trim_start_matches("policy").to_owned();
        let (path, name) = resource.rsplit_once('/').unwrap_or(("", &resource));
        (format!("{path}/"), name.to_owned())
    };
    let items: Vec<_> = role
        .attached
        .keys()
        .filter(|arn| path(arn).0.starts_with(&prefix))
        .map(|arn| (arn.clone(), (path(arn).1, arn.clone())))
        .collect();
    let page = page_of(world, form, items)?;
    Ok(Xml::build(|xml| {
        xml.members("AttachedPolicies", page.items, |xml, (name, arn)| {
            xml.text("PolicyName", name);
            xml.text("PolicyArn", arn);
        });
        write_mark(xml, page.next.as_ref());
    }))
}

/// Roles only: users and groups are not simulated.
pub(super) fn list_entities(world: &World, form: &Form) -> Result<Xml> {
    let arn = arn_of(world, form, "PolicyArn")?;
    if !world.policy_exists(arn) {
        return Err(missing(arn));
    }
    let filter = form.get("EntityFilter").unwrap_or("Role");
    let prefix = format!("role{}", form.get("PathPrefix").unwrap_or("/"));
    let usage = form.get("PolicyUsageFilter");
    let roles = world.roles.values().filter(|role| {
        let attached = role.attached.contains_key(arn) && usage != Some("PermissionsBoundary");
        let bounds = role.boundary.as_deref() == Some(arn) && usage == Some("PermissionsBoundary");
        let in_path = role.arn.splitn(6, ':').nth(5).is_some_and(|resource| resource.starts_with(&prefix));
        (attached || bounds) && in_path && filter == "Role"
    });
    let page = page_of(world, form, roles.map(|role| (role.name.clone(), role)).collect())?;
    Ok(Xml::build(|xml| {
        xml.node("PolicyGroups", |_| {});
        xml.node("PolicyUsers", |_| {});
        xml.members("PolicyRoles", page.items, |xml, role| {
            xml.text("RoleName", &role.name);
            xml.text("RoleId", &role.id);
        });
        write_mark(xml, page.next.as_ref());
    }))
}

pub(super) fn list_instance_profiles(world: &mut World, form: &Form) -> Result<Xml> {
    let role = find(world, form)?.clone();
    let items = role.instance_profiles.iter().map(|name| (name.clone(), name.clone())).collect();
    let page = page_of(world, form, items)?;
    Ok(Xml::build(|xml| {
        xml.members("InstanceProfiles", page.items, |xml, name| {
            xml.text("Path", "/");
            xml.text("InstanceProfileName", &name);
            xml.text("InstanceProfileId", format!("AIPA{}", digest(&name, 17).to_ascii_uppercase()));
            xml.text("Arn", world.iam_arn(&format!("instance-profile/{name}")));
            xml.text("CreateDate", time(role.created));
            xml.members("Roles", [&role], |xml, role| {
                xml.text("Path", &role.path);
                xml.text("RoleName", &role.name);
                xml.text("RoleId", &role.id);
                xml.text("Arn", &role.arn);
                xml.text("CreateDate", time(role.created));
                xml.text("AssumeRolePolicyDocument", encoded(role.trust()));
            });
        });
        write_mark(xml, page.next.as_ref());
    }))
}
