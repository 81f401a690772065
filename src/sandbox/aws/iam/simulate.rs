//! `SimulatePrincipalPolicy`: what the policies of a role would say to actions, resources and context that a caller makes up.
//!
//! As IAM does it: one result an action, whose resource is a template of an ARN and never one that was asked for, with a part for
//! each resource; the result says the worst of its parts. Actions that know no resources are answered for `*`, whatever was asked
//! for. An organisation's denial is told apart, and ends the simulation of the action. Actions of which IAM wants different things
//! are refused together; here that is so for those of two services and for those with and without resources, which IAM often
//! takes. Positions of statements, policies passed in and resource policies are not simulated; the call is refused where they
//! would count. <https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html>

use std::collections::BTreeSet;

use super::{page_of, write_mark};
use crate::policy::{Access, AccessDecision, AccessRequest, Context};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::permission::{RolePolicies, denied_by_organization};
use crate::sandbox::aws::world::World;
use crate::sandbox::aws::xml::Xml;

/// Parameters that change the answer in ways that are not simulated.
const NOT_SIMULATED: [&str; 6] = [
    "PolicyInputList.member.1",
    "PermissionsBoundaryPolicyInputList.member.1",
    "ResourcePolicy",
    "ResourceOwner",
    "CallerArn",
    "ResourceHandlingOption",
];

/// Services whose actions that only look know no resources.
const LOOKS_AT_ALL: [&str; 4] = ["ec2", "elasticloadbalancing", "tag", "autoscaling"];

/// What is said of one action.
struct Answer {
    action: String,
    whole: Access,
    parts: Vec<(String, Access)>,
    /// None where the account is in no organisation.
    allowed_by_organization: Option<bool>,
}

pub(super) fn principal_policy(world: &World, form: &Form) -> Result<Xml> {
    if let Some(parameter) = NOT_SIMULATED.iter().find(|parameter| form.get(parameter).is_some()) {
        let parameter = parameter.split('.').next().unwrap_or(parameter);
        return Err(ApiError::not_implemented(&format!("the parameter {parameter} of iam:SimulatePrincipalPolicy")));
    }
    let source = form.required("PolicySourceArn")?;
    if !source.starts_with(&format!("arn:{}:iam::", world.partition.name)) {
        return Err(ApiError::invalid_input(format!("Invalid Entity Arn: {source}")));
    }
    if !source.contains(":role/") {
        return Err(ApiError::not_implemented(&format!("iam:SimulatePrincipalPolicy for {source}")));
    }
    let missing = || ApiError::no_such_entity(format!("The principal {source} cannot be found."));
    let role = world.role_by_arn(source).ok_or_else(missing)?;
    let actions = form.list("ActionNames");
    check_actions(&actions)?;
    let resources = form.list("ResourceArns");
    let context = context(form)?;
    let policies = RolePolicies::of(world, role, None)?;
    let mut results = Vec::new();
    for action in &actions {
        let named: &[String] = if knows_resources(action) { &resources } else { &[] };
        results.push((action.clone(), answer(world, &policies, action, named, &context)?));
    }
    let page = page_of(world, form, results)?;
    Ok(Xml::build(|xml| {
        xml.members("EvaluationResults", page.items, |xml, answer| write(xml, &policies, &answer));
        write_mark(xml, page.next.as_ref());
    }))
}

fn check_actions(actions: &[String]) -> Result<()> {
    let Some(first) = actions.first() else {
        return Err(ApiError::constraint("null", "actionNames", "not be null"));
    };
    for action in actions {
        let named = action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        if !named || action.contains(['*', '?']) {
            return Err(ApiError::invalid_input(format!("Action name {action} is not valid.")));
        }
    }
    let fits = |action: &str| service(action) == service(first) && knows_resources(action) == knows_resources(first);
    let (same, other): (Vec<&str>, Vec<&str>) = actions.iter().map(String::as_str).partition(|action| fits(action));
    if other.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_input(format!(
        "Invalid Input Actions: [{}] and [{}] require different authorization information.",
        same.join(","),
        other.join(",")
    )))
}

fn service(action: &str) -> &str {
    action.split(':').next().unwrap_or_default()
}

fn knows_resources(action: &str) -> bool {
    let name = action.split(':').nth(1).unwrap_or_default();
    let looks = ["Describe", "Get", "List"].iter().any(|verb| name.starts_with(verb));
    !(looks && LOOKS_AT_ALL.contains(&service(action)))
}

fn answer(
    world: &World,
    policies: &RolePolicies,
    action: &str,
    resources: &[String],
    context: &Context,
) -> Result<Answer> {
    let allowed_by_organization = world.organization.as_ref().map(|_| !denied_by_organization(world, action));
    let judge = |resource: &str| match allowed_by_organization {
        Some(false) => Ok(nothing_said(AccessDecision::ExplicitDeny)),
        _ => policies.judge(AccessRequest { action, resource, context }),
    };
    let mut parts = Vec::new();
    for resource in resources.iter().filter(|resource| *resource != "*") {
        parts.push((resource.clone(), judge(resource)?));
    }
    let whole = if parts.is_empty() { judge("*")? } else { worst(&parts) };
    Ok(Answer { action: action.to_owned(), whole, parts, allowed_by_organization })
}

fn nothing_said(decision: AccessDecision) -> Access {
    Access { decision, matched: Vec::new(), missing: BTreeSet::new(), within_boundary: None }
}

/// The most restrictive decision of all, with the statements that lead to it.
fn worst(parts: &[(String, Access)]) -> Access {
    let all = || parts.iter().map(|(_, access)| access);
    let order = [AccessDecision::ExplicitDeny, AccessDecision::ImplicitDeny, AccessDecision::Allowed];
    let found = order.into_iter().find(|decision| all().any(|access| access.decision == *decision));
    let found = found.unwrap_or(AccessDecision::ImplicitDeny);
    let mut whole = nothing_said(found);
    for access in all() {
        for matched in access.matched.iter().filter(|_| access.decision == found) {
            if !whole.matched.contains(matched) {
                whole.matched.push(*matched);
            }
        }
        whole.missing.extend(access.missing.iter().cloned());
        whole.within_boundary = match (whole.within_boundary, access.within_boundary) {
            (Some(before), Some(now)) => Some(before && now),
            (before, now) => before.or(now),
        };
    }
    whole
}

fn context(form: &Form) -> Result<Context> {
    let mut context = Context::new();
    for index in 1.. {
        let entry = format!("ContextEntries.member.{index}");
        let Some(key) = form.get(&format!("{entry}.ContextKeyName")) else { break };
        if form.get(&format!("{entry}.ContextKeyType")).is_none() {
            return Err(ApiError::invalid_input(format!("The type of the context key {key} is missing.")));
        }
        context.add(key, form.list(&format!("{entry}.ContextKeyValues")));
    }
    Ok(context)
}

fn write(xml: &mut Xml, policies: &RolePolicies, answer: &Answer) {
    let template = format!("arn:${{Partition}}:{}:${{Region}}:${{Account}}:${{Resource}}", service(&answer.action));
    xml.text("EvalActionName", &answer.action);
    xml.text("EvalResourceName", if knows_resources(&answer.action) { template.as_str() } else { "*" });
    xml.text("EvalDecision", word(answer.whole.decision));
    write_access(xml, policies, &answer.whole);
    if let Some(allowed) = answer.allowed_by_organization {
        xml.node("OrganizationsDecisionDetail", |xml| xml.text("AllowedByOrganizations", allowed));
    }
    if !answer.parts.is_empty() {
        xml.members("ResourceSpecificResults", &answer.parts, |xml, (resource, access)| {
            xml.text("EvalResourceName", resource);
            xml.text("EvalResourceDecision", word(access.decision));
            write_access(xml, policies, access);
        });
    }
}

fn word(decision: AccessDecision) -> &'static str {
    match decision {
        AccessDecision::Allowed => "allowed",
        AccessDecision::ExplicitDeny => "explicitDeny",
        AccessDecision::ImplicitDeny => "implicitDeny",
    }
}

fn write_access(xml: &mut Xml, policies: &RolePolicies, access: &Access) {
    let named = |policy: usize| policies.identity.get(policy).or(policies.boundary.as_ref());
    let matched = access.matched.iter().filter_map(|matched| named(matched.policy));
    xml.members("MatchedStatements", matched, |xml, policy| {
        xml.text("SourcePolicyId", &policy.id);
        xml.text("SourcePolicyType", "IAM Policy");
    });
    xml.strings("MissingContextValues", &access.missing);
    if let Some(within) = access.within_boundary {
        xml.node("PermissionsBoundaryDecisionDetail", |xml| xml.text("AllowedByPermissionsBoundary", within));
    }
}
