//! Versions of customer managed policies: at most five, numbered without gaps being filled, one of them the default.

use super::managed;
use super::policy::{Version, arn_of, check_document, missing, own};
use super::{encoded, page_of, time, write_mark};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::world::{CallContext, World};
use crate::sandbox::aws::xml::Xml;

/// Most versions of a policy.
pub(super) const VERSION_LIMIT: usize = 5;

pub(super) fn create(world: &mut World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let document = form.required("PolicyDocument")?;
    check_document(document, world)?;
    let policy = own(world, form)?;
    if policy.versions.len() >= VERSION_LIMIT {
        let text = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.";
        return Err(ApiError::limit_exceeded(text));
    }
    let version = Version { number: policy.next, document: document.to_owned(), created: cx.now };
    policy.next += 1;
    policy.updated = cx.now;
    if form.get("SetAsDefault") == Some("true") {
        policy.default = version.number;
    }
    let default = policy.default;
    policy.versions.push(version.clone());
    Ok(Xml::build(|xml| xml.node("PolicyVersion", |xml| write(xml, &version, default, false))))
}

fn write(xml: &mut Xml, version: &Version, default: u64, document: bool) {
    if document {
        xml.text("Document", encoded(&version.document));
    }
    xml.text("VersionId", format!("v{}", version.number));
    xml.text("IsDefaultVersion", version.number == default);
    xml.text("CreateDate", time(version.created));
}

fn number(form: &Form) -> Result<u64> {
    let id = form.required("VersionId")?;
    id.strip_prefix('v').and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        ApiError::constraint(id, "versionId", "satisfy regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?")
    })
}

fn missing_version(arn: &str, number: u64) -> ApiError {
    ApiError::no_such_entity(format!("Policy {arn} version v{number} does not exist or is not attachable."))
}

pub(super) fn get(world: &World, form: &Form) -> Result<Xml> {
    let arn = arn_of(world, form, "PolicyArn")?;
    let number = number(form)?;
    let Some(policy) = world.policies.get(arn) else {
        return managed_version(world, arn, number);
    };
    let version = policy.versions.iter().find(|version| version.number == number);
    let version = version.ok_or_else(|| missing_version(arn, number))?;
    Ok(Xml::build(|xml| xml.node("PolicyVersion", |xml| write(xml, version, policy.default, true))))
}

/// AWS's own policies have one version here.
fn managed_version(world: &World, arn: &str, number: u64) -> Result<Xml> {
    if !world.managed.contains_key(arn) {
        return Err(missing(arn));
    }
    if number != 1 {
        return Err(missing_version(arn, number));
    }
    let unknown = || ApiError::not_implemented(&format!("the document of {arn}"));
    let document = managed::document(arn, world.partition.name).ok_or_else(unknown)?;
    Ok(Xml::build(|xml| {
        xml.node("PolicyVersion", |xml| {
            xml.text("Document", encoded(&document));
            xml.text("VersionId", "v1");
            xml.text("IsDefaultVersion", true);
            xml.text("CreateDate", "2021-06-01T00:00:00Z");
        });
    }))
}

/// Newest first.
pub(super) fn list(world: &World, form: &Form) -> Result<Xml> {
    let arn = arn_of(world, form, "PolicyArn")?;
    let Some(policy) = world.policies.get(arn) else {
        return Err(if world.managed.contains_key(arn) {
            ApiError::not_implemented(&format!("the versions of {arn}"))
        } else {
            missing(arn)
        });
    };
    let versions = policy.versions.iter().rev().map(|version| (version.number.to_string(), version)).collect();
    let page = page_of(world, form, versions)?;
    Ok(Xml::build(|xml| {
        xml.members("Versions", page.items, |xml, version| write(xml, version, policy.default, false));
        write_mark(xml, page.next.as_ref());
    }))
}

pub(super) fn set_default(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let number = number(form)?;
    let policy = own(world, form)?;
    if !policy.versions.iter().any(|version| version.number == number) {
        return Err(missing_version(&policy.arn, number));
    }
    policy.default = number;
    policy.updated = cx.now;
    Ok(None)
}

pub(super) fn delete(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let number = number(form)?;
    let policy = own(world, form)?;
    if !policy.versions.iter().any(|version| version.number == number) {
        return Err(missing_version(&policy.arn, number));
    }
    if policy.default == number {
        return Err(ApiError::delete_conflict("Cannot delete the default version of a policy."));
    }
    policy.versions.retain(|version| version.number != number);
    policy.updated = cx.now;
    Ok(None)
}
