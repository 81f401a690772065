//! Managed policies: the account's own, and AWS's, which can be read but not changed.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::{add_tags, check_description, check_name, check_path, remove_tags, write_tags};
use super::{page_of, page_of_tags, time, write_mark};
use crate::sandbox::aws::document::{MANAGED_LIMIT, check_identity, counted};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::seed::{SeedPolicy, Tags};
use crate::sandbox::aws::seed_check::text;
use crate::sandbox::aws::world::{CallContext, World, tags_json};
use crate::sandbox::aws::xml::Xml;

/// A version of a policy's document.
#[derive(Debug, Clone)]
pub(in super::super) struct Version {
    pub(super) number: u64,
    pub(super) document: String,
    pub(super) created: Timestamp,
}

/// A customer managed policy.
#[derive(Debug, Clone)]
pub(in super::super) struct Policy {
    pub(in super::super) arn: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) description: Option<String>,
    pub(in super::super) tags: Tags,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// Oldest first.
    pub(super) versions: Vec<Version>,
    pub(super) default: u64,
    /// Number of the next version; numbers are never used again.
    pub(super) next: u64,
}

impl Policy {
    pub(in super::super) fn planted(world: &mut World, seed: &SeedPolicy, born: Timestamp) -> Self {
        let versions: Vec<_> = (1..)
            .zip(&seed.documents)
            .map(|(number, document)| Version { number, document: text(document), created: born })
            .collect();
        let newest = versions.last().map_or(1, |version| version.number);
        Self {
            arn: world.iam_arn(&format!("policy{}{}", seed.path, seed.name)),
            id: world.unique_iam_id("ANPA"),
            name: seed.name.clone(),
            path: seed.path.clone(),
            description: seed.description.clone(),
            tags: seed.tags.clone(),
            created: born,
            updated: born,
            versions,
            default: newest,
            next: newest + 1,
        }
    }

    /// Returns the document that counts.
    pub(in super::super) fn default_document(&self) -> &str {
        self.versions
            .iter()
            .find(|version| version.number == self.default)
            .map(|version| version.document.as_str())
            .expect("the default version is never deleted")
    }

    pub(in super::super) fn snapshot(&self) -> Value {
        let parsed = |document: &str| serde_json::from_str::<Value>(document).unwrap_or_default();
        json!({
            "description": self.description,
            "tags": tags_json(&self.tags),
            "default": parsed(self.default_document()),
            "otherVersions": self.versions.iter().filter(|version| version.number != self.default)
                .map(|version| parsed(&version.document)).collect::<Vec<_>>(),
        })
    }
}

pub(super) fn check_document(document: &str, world: &World) -> Result<()> {
    if !document.chars().all(|character| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')) {
        let rule = "satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+";
        return Err(ApiError::constraint(document, "policyDocument", rule));
    }
    check_identity(document, world.partition.name)?;
    if counted(document) > MANAGED_LIMIT {
        return Err(ApiError::limit_exceeded(format!("Cannot exceed quota for PolicySize: {MANAGED_LIMIT}")));
    }
    Ok(())
}

pub(super) fn create(world: &mut World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let name = check_name(form.required("PolicyName")?, "policyName", 128)?.to_owned();
    let document = form.required("PolicyDocument")?.to_owned();
    let path = check_path(form)?;
    let description = check_description(form, false)?;
    let tags = add_tags(&Tags::new(), &form.tags())?;
    check_document(&document, world)?;
    if world.policies.values().any(|policy| policy.name.eq_ignore_ascii_case(&name)) {
        let text = format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(ApiError::already_exists(text));
    }
    let most = world.quotas.policies;
    if world.policies.len() >= most {
        return Err(ApiError::limit_exceeded(format!("Cannot exceed quota for PoliciesPerAccount: {most}")));
    }
    let policy = Policy {
        arn: world.iam_arn(&format!("policy{path}{name}")),
        id: world.unique_iam_id("ANPA"),
        name,
        path,
        description,
        tags,
        created: cx.now,
        updated: cx.now,
        versions: vec![Version { number: 1, document, created: cx.now }],
        default: 1,
        next: 2,
    };
    world.tag_index.record(&policy.arn, cx.now, Some(&policy.tags));
    let arn = policy.arn.clone();
    world.policies.insert(arn.clone(), policy);
    Ok(Xml::build(|xml| xml.node("Policy", |xml| write(xml, world, &arn, true))))
}

/// Checks a policy's ARN by its form.
pub(super) fn arn_of<'a>(world: &World, form: &'a Form, key: &str) -> Result<&'a str> {
    let arn = form.required(key)?;
    if arn.len() < 20 {
        return Err(ApiError::constraint(arn, "policyArn", "have length greater than or equal to 20"));
    }
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let form_fits = parts.len() == 6 && parts[0] == "arn" && parts[2] == "iam" && parts[5].starts_with("policy/");
    if !form_fits || parts[1] != world.partition.name {
        return Err(ApiError::invalid_input(format!("ARN {arn} is not valid.")));
    }
    Ok(arn)
}

/// Finds a policy of the account for a change; AWS's own cannot be changed.
pub(super) fn own<'a>(world: &'a mut World, form: &Form) -> Result<&'a mut Policy> {
    let arn = arn_of(world, form, "PolicyArn")?;
    if arn.contains(":iam::aws:") {
        return Err(ApiError::new("AccessDenied", 403, "Policy is outside your own account."));
    }
    world.policies.get_mut(arn).ok_or_else(|| missing(arn))
}

pub(super) fn missing(arn: &str) -> ApiError {
    ApiError::no_such_entity(format!("Policy {arn} was not found."))
}

pub(super) fn get(world: &World, form: &Form) -> Result<Xml> {
    let arn = arn_of(world, form, "PolicyArn")?;
    if !world.policy_exists(arn) {
        return Err(missing(arn));
    }
    Ok(Xml::build(|xml| xml.node("Policy", |xml| write(xml, world, arn, true))))
}

/// Writes a policy; lists leave out description and tags.
fn write(xml: &mut Xml, world: &World, arn: &str, whole: bool) {
    let attached = world.roles.values().filter(|role| role.attached.contains_key(arn)).count();
    let boundaries = world.roles.values().filter(|role| role.boundary.as_deref() == Some(arn)).count();
    let own = world.policies.get(arn);
    if let Some(policy) = own {
        xml.text("PolicyName", &policy.name);
        xml.text("PolicyId", &policy.id);
        xml.text("Path", &policy.path);
        xml.text("DefaultVersionId", format!("v{}", policy.default));
        xml.text("CreateDate", time(policy.created));
        xml.text("UpdateDate", time(policy.updated));
        if whole {
            xml.optional("Description", policy.description.as_ref());
            write_tags(xml, &policy.tags);
        }
    } else if let Some(managed) = world.managed.get(arn) {
        xml.text("PolicyName", &managed.name);
        xml.text("PolicyId", &managed.id);
        xml.text("Path", &managed.path);
        xml.text("DefaultVersionId", "v1");
        xml.text("CreateDate", "2021-06-01T00:00:00Z");
        xml.text("UpdateDate", "2021-06-01T00:00:00Z");
    }
    xml.text("Arn", arn);
    xml.text("AttachmentCount", attached);
    xml.text("PermissionsBoundaryUsageCount", boundaries);
    xml.text("IsAttachable", true);
}

pub(super) fn list(world: &World, form: &Form) -> Result<Xml> {
    let scope = form.get("Scope").unwrap_or("All");
    if !["All", "AWS", "Local"].contains(&scope) {
        return Err(ApiError::constraint(scope, "scope", "satisfy enum value set: [AWS, All, Local]"));
    }
    let prefix = form.get("PathPrefix").unwrap_or("/");
    let own = world.policies.values().map(|policy| (&policy.arn, &policy.path)).filter(|_| scope != "AWS");
    let managed = world.managed.iter().map(|(arn, managed)| (arn, &managed.path)).filter(|_| scope != "Local");
    let attached = |arn: &str| world.roles.values().any(|role| role.attached.contains_key(arn));
    let bounds = |arn: &str| world.roles.values().any(|role| role.boundary.as_deref() == Some(arn));
    let fits = |arn: &str| match form.get("PolicyUsageFilter") {
        Some("PermissionsPolicy") => attached(arn),
        Some(_) => bounds(arn),
        None => true,
    };
    let only_attached = form.get("OnlyAttached") == Some("true");
    let mut arns: Vec<_> = own
        .chain(managed)
        .filter(|(_, path)| path.starts_with(prefix))
        .filter(|(arn, _)| fits(arn) && (!only_attached || attached(arn)))
        .map(|(arn, _)| (arn.clone(), arn.clone()))
        .collect();
    arns.sort();
    let page = page_of(world, form, arns)?;
    Ok(Xml::build(|xml| {
        xml.members("Policies", &page.items, |xml, arn| write(xml, world, arn, false));
        write_mark(xml, page.next.as_ref());
    }))
}

pub(super) fn delete(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let policy = own(world, form)?;
    let (arn, versions) = (policy.arn.clone(), policy.versions.len());
    let in_use =
        world.roles.values().any(|role| role.attached.contains_key(&arn) || role.boundary.as_ref() == Some(&arn));
    if in_use {
        return Err(ApiError::delete_conflict("Cannot delete a policy attached to entities."));
    }
    if versions > 1 {
        let text = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.";
        return Err(ApiError::delete_conflict(text));
    }
    world.policies.remove(&arn);
    world.tag_index.record(&arn, cx.now, None);
    Ok(None)
}

pub(super) fn tag(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let policy = own(world, form)?;
    policy.tags = add_tags(&policy.tags, &form.tags())?;
    let (arn, tags) = (policy.arn.clone(), policy.tags.clone());
    world.tag_index.record(&arn, cx.now, Some(&tags));
    Ok(None)
}

pub(super) fn untag(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let policy = own(world, form)?;
    policy.tags = remove_tags(&policy.tags, &form.list("TagKeys"));
    let (arn, tags) = (policy.arn.clone(), policy.tags.clone());
    world.tag_index.record(&arn, cx.now, Some(&tags));
    Ok(None)
}

pub(super) fn list_tags(world: &World, form: &Form) -> Result<Xml> {
    let arn = arn_of(world, form, "PolicyArn")?;
    let tags = match world.policies.get(arn) {
        Some(policy) => policy.tags.clone(),
        None if world.managed.contains_key(arn) => Tags::new(),
        None => return Err(missing(arn)),
    };
    page_of_tags(world, form, tags)
}
