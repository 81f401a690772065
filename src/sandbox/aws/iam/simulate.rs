//! `SimulatePrincipalPolicy`: what the policies of a role would say to actions, resources and context that a caller makes up.
//!
//! One result for each action on each resource. Positions of statements, policies passed in, resource policies and the policies of
//! organisations are not simulated; the call is refused where they would count.

use super::{page_of, write_mark};
use crate::policy::{Access, AccessDecision, AccessRequest, Context};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::permission::RolePolicies;
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
    if actions.is_empty() {
        return Err(ApiError::constraint("null", "actionNames", "not be null"));
    }
    for action in &actions {
        let named = action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        if !named || action.contains(['*', '?']) {
            return Err(ApiError::invalid_input(format!("Action name {action} is not valid.")));
        }
    }
    let resources = match form.list("ResourceArns") {
        resources if resources.is_empty() => vec!["*".to_owned()],
        resources => resources,
    };
    let context = context(form)?;
    let policies = RolePolicies::of(world, role, None)?;
    let mut results = Vec::new();
    for action in &actions {
        for resource in &resources {
            let access = policies.judge(AccessRequest { action, resource, context: &context })?;
            results.push((format!("{action} {resource}"), (action, resource, access)));
        }
    }
    let page = page_of(world, form, results)?;
    Ok(Xml::build(|xml| {
        xml.members("EvaluationResults", page.items, |xml, (action, resource, access)| {
            write(xml, &policies, action, resource, &access);
        });
        write_mark(xml, page.next.as_ref());
    }))
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

fn write(xml: &mut Xml, policies: &RolePolicies, action: &str, resource: &str, access: &Access) {
    xml.text("EvalActionName", action);
    xml.text("EvalResourceName", resource);
    xml.text(
        "EvalDecision",
        match access.decision {
            AccessDecision::Allowed => "allowed",
            AccessDecision::ExplicitDeny => "explicitDeny",
            AccessDecision::ImplicitDeny => "implicitDeny",
        },
    );
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
