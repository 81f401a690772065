//! What a session of a simulated role may do: the identity policies of the role, read simply.
//!
//! Allow and Deny statements with wildcards are evaluated; a statement with conditions is refused loudly, because guessing would let a
//! wrong policy pass. AWS managed policies whose documents the simulator does not carry grant nothing here except where noted.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::clock::visible;
use super::document::strings;
use super::error::{ApiError, Result};
use super::trust::glob;
use super::wire::{Input, Operation, Service};
use super::world::{CallContext, World};

/// Returns the ARN that an operation acts on, for the decision and for the text of a refusal.
pub(super) fn resource_of(world: &World, cx: &CallContext, operation: &Operation) -> String {
    let cluster_arn =
        |name: &str| format!("arn:{}:eks:{}:{}:cluster/{name}", world.partition.name, cx.region, world.account);
    match &operation.input {
        Input::Form(form) => {
            if let Some(name) = form.get("RoleName") {
                let path = form.get("Path").unwrap_or("/");
                let made = world.iam_arn(&format!("role{path}{name}"));
                return world.roles.get(name).map_or(made, |role| role.arn.clone());
            }
            if let Some(name) = form.get("PolicyName") {
                return world.iam_arn(&format!("policy{}{name}", form.get("Path").unwrap_or("/")));
            }
            if let Some(url) = form.get("Url") {
                return world.iam_arn(&format!("oidc-provider/{}", url.trim_start_matches("https://")));
            }
            let arn = ["PolicyArn", "OpenIDConnectProviderArn", "RoleArn"].iter().find_map(|key| form.get(key));
            if operation.name.starts_with("ListRoles") {
                return world.iam_arn("role/");
            }
            arn.unwrap_or("*").to_owned()
        }
        Input::Json(object) => match operation.service {
            Service::Eks => {
                let text = |key: &str| object.get(key).and_then(Value::as_str);
                let cluster = text("clusterName").or_else(|| text("name"));
                text("resourceArn")
                    .map(str::to_owned)
                    .or_else(|| cluster.map(cluster_arn))
                    .unwrap_or_else(|| "*".to_owned())
            }
            _ => "*".to_owned(),
        },
    }
}

/// Says whether the policies of a role allow an action on a resource.
pub(super) fn role_allows(world: &World, role: &str, action: &str, resource: &str, now: Timestamp) -> Result<bool> {
    let Some(role) = world.roles.get(role) else { return Ok(false) };
    let mut allowed = false;
    let mut documents: Vec<String> = role.inline.values().cloned().collect();
    for (arn, attached) in &role.attached {
        if !visible(*attached, world.lag, now) {
            continue;
        }
        if let Some(policy) = world.policies.get(arn) {
            documents.push(policy.default_document().to_owned());
        } else if arn.ends_with(":policy/AdministratorAccess") {
            allowed = true;
        }
    }
    for document in &documents {
        match decide(document, action, resource)? {
            Some(false) => return Ok(false),
            Some(true) => allowed = true,
            None => {}
        }
    }
    let Some(boundary) = &role.boundary else { return Ok(allowed) };
    let within = match world.policies.get(boundary) {
        Some(policy) => decide(policy.default_document(), action, resource)? == Some(true),
        None => boundary.ends_with(":policy/AdministratorAccess"),
    };
    Ok(allowed && within)
}

fn decide(document: &str, action: &str, resource: &str) -> Result<Option<bool>> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.clone(),
        statement => vec![statement.clone()],
    };
    let mut decision = None;
    for statement in statements.iter().filter_map(Value::as_object) {
        if !names(statement, "Action", &action.to_ascii_lowercase(), true)
            || !names(statement, "Resource", resource, false)
        {
            continue;
        }
        if statement.contains_key("Condition") {
            return Err(ApiError::not_implemented("a condition in the policies of a calling role"));
        }
        if statement.get("Effect").and_then(Value::as_str) == Some("Deny") {
            return Ok(Some(false));
        }
        decision = Some(true);
    }
    Ok(decision)
}

fn names(statement: &Map<String, Value>, key: &str, text: &str, lower: bool) -> bool {
    let fold = |pattern: &String| if lower { pattern.to_ascii_lowercase() } else { pattern.clone() };
    let matches = |value: &Value| strings(value).unwrap_or_default().iter().any(|pattern| glob(&fold(pattern), text));
    match (statement.get(key), statement.get(&format!("Not{key}"))) {
        (Some(value), _) => matches(value),
        (None, Some(value)) => !matches(value),
        (None, None) => false,
    }
}
