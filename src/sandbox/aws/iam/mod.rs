//! The simulated IAM: OIDC providers, managed policies, roles and their attachments.
//!
//! Everything here sees every write at once; what IAM's reads do not show yet is taken out before them (`unseen`), and what STS and EKS
//! see lags (see `spread`). Messages are close to AWS's, but only codes and
//! statuses are promised.

pub(super) mod attachment;
pub(super) mod inline;
pub(super) mod managed;
pub(super) mod names;
pub(super) mod policy;
pub(super) mod provider;
pub(super) mod role;
mod simulate;
mod summary;
pub(super) mod unseen;
pub(super) mod version;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{ApiError, Result};
use super::form::Form;
use super::paging::{Page, page};
use super::seed::Tags;
use super::world::{CallContext, World};
use super::xml::Xml;

/// Characters that IAM leaves as they are in URL-encoded documents.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Answers an IAM call; `None` is an answer without a result element.
pub(super) fn call(world: &mut World, cx: &CallContext, operation: &str, form: &Form) -> Result<Option<Xml>> {
    match operation {
        "CreateOpenIDConnectProvider" => provider::create(world, cx, form).map(Some),
        "GetOpenIDConnectProvider" => provider::get(world, form).map(Some),
        "ListOpenIDConnectProviders" => Ok(Some(provider::list(world))),
        "AddClientIDToOpenIDConnectProvider" => provider::add_client(world, form),
        "RemoveClientIDFromOpenIDConnectProvider" => provider::remove_client(world, form),
        "TagOpenIDConnectProvider" => provider::tag(world, cx, form),
        "UntagOpenIDConnectProvider" => provider::untag(world, cx, form),
        "ListOpenIDConnectProviderTags" => provider::list_tags(world, form).map(Some),
        "DeleteOpenIDConnectProvider" => provider::delete(world, cx, form),
        "CreatePolicy" => policy::create(world, cx, form).map(Some),
        "GetPolicy" => policy::get(world, form).map(Some),
        "ListPolicies" => policy::list(world, form).map(Some),
        "DeletePolicy" => policy::delete(world, cx, form),
        "TagPolicy" => policy::tag(world, cx, form),
        "UntagPolicy" => policy::untag(world, cx, form),
        "ListPolicyTags" => policy::list_tags(world, form).map(Some),
        "ListEntitiesForPolicy" => attachment::list_entities(world, form).map(Some),
        "CreatePolicyVersion" => version::create(world, cx, form).map(Some),
        "GetPolicyVersion" => version::get(world, form).map(Some),
        "ListPolicyVersions" => version::list(world, form).map(Some),
        "SetDefaultPolicyVersion" => version::set_default(world, cx, form),
        "DeletePolicyVersion" => version::delete(world, cx, form),
        "CreateRole" => role::create(world, cx, form).map(Some),
        "GetRole" => role::get(world, form).map(Some),
        "ListRoles" => role::list(world, form).map(Some),
        "UpdateRole" => role::update(world, form).map(|()| Some(Xml::default())),
        "UpdateRoleDescription" => role::update_description(world, form).map(Some),
        "UpdateAssumeRolePolicy" => role::update_trust(world, cx, form),
        "PutRolePermissionsBoundary" => role::put_boundary(world, form),
        "DeleteRolePermissionsBoundary" => role::delete_boundary(world, form),
        "TagRole" => role::tag(world, form),
        "UntagRole" => role::untag(world, form),
        "ListRoleTags" => role::list_tags(world, form).map(Some),
        "DeleteRole" => role::delete(world, form),
        "AttachRolePolicy" => attachment::attach(world, cx, form),
        "DetachRolePolicy" => attachment::detach(world, form),
        "ListAttachedRolePolicies" => attachment::list_of_role(world, form).map(Some),
        "ListInstanceProfilesForRole" => attachment::list_instance_profiles(world, form).map(Some),
        "PutRolePolicy" => inline::put(world, form),
        "GetRolePolicy" => inline::get(world, form).map(Some),
        "DeleteRolePolicy" => inline::delete(world, form),
        "ListRolePolicies" => inline::list(world, form).map(Some),
        "GetAccountSummary" => Ok(Some(summary::get(world))),
        "SimulatePrincipalPolicy" => simulate::principal_policy(world, form).map(Some),
        other => Err(ApiError::not_implemented(&format!("iam:{other}"))),
    }
}

/// Writes a document as IAM returns it: URL-encoded.
fn encoded(document: &str) -> String {
    utf8_percent_encode(document, KEPT).to_string()
}

/// Writes a time as the Query protocol does.
pub(super) fn time(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Cuts the page that a call asks for.
fn page_of<T>(world: &World, form: &Form, items: Vec<(String, T)>) -> Result<Page<T>> {
    let asked = form.number("MaxItems", 1, 1000)?;
    let size = world.page_of(Some(asked.unwrap_or(100)), 1000);
    page(items, form.get("Marker"), size).ok_or_else(|| ApiError::validation("Invalid Marker."))
}

/// One page of an object's tags, as all `List...Tags` operations answer.
fn page_of_tags(world: &World, form: &Form, tags: Tags) -> Result<Xml> {
    let page = page_of(world, form, tags.into_iter().map(|tag| (tag.0.clone(), tag)).collect())?;
    Ok(Xml::build(|xml| {
        names::write_tags(xml, &page.items.into_iter().collect());
        write_mark(xml, page.next.as_ref());
    }))
}

/// Writes whether a list goes on.
fn write_mark(xml: &mut Xml, next: Option<&String>) {
    xml.text("IsTruncated", next.is_some());
    xml.optional("Marker", next);
}
