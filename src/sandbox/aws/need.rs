//! What a call needs: the actions that AWS asks the caller's policies about, each with its resource and condition keys.
//!
//! Most calls need the action of their own name. Making something with tags needs its tagging action too, and handing a role to EKS needs
//! `iam:PassRole`. Which resource and which keys an action has follows the service authorization reference.

use serde_json::{Map, Value};

use super::eks;
use super::form::Form;
use super::seed::Tags;
use super::wire::{Input, Operation, Service};
use super::world::{CallContext, World};
use crate::policy::Context;

/// One question to the caller's policies.
#[derive(Debug)]
pub(super) struct Need {
    pub(super) action: String,
    pub(super) resource: String,
    pub(super) context: Context,
}

/// Lists what a call needs, its own action first.
pub(super) fn needs(world: &World, cx: &CallContext, operation: &Operation) -> Vec<Need> {
    let action = format!("{}:{}", operation.service.action_prefix(), operation.name);
    let mut context = general(world, cx);
    let own = |resource: String, context: &Context| Need { action: action.clone(), resource, context: context.clone() };
    match &operation.input {
        // Looking has no resource in EC2 and Elastic Load Balancing.
        Input::Form(_) if matches!(operation.service, Service::Ec2 | Service::Elb) => {
            vec![own("*".to_owned(), &context)]
        }
        Input::Form(form) => {
            let (resource, tags) = iam_resource(world, operation, form);
            add_resource_tags(&mut context, &tags, operation.service);
            add_iam_keys(&mut context, world, operation, form);
            let mut needs = vec![own(resource.clone(), &context)];
            // A tagged object is made and tagged in one call, and both must be allowed.
            if let Some(kind) = operation.name.strip_prefix("Create")
                && !form.tags().is_empty()
            {
                needs.push(Need { action: format!("iam:Tag{kind}"), resource, context });
            }
            needs
        }
        Input::Json(object) if operation.service == Service::Eks => {
            let (resource, tags) = eks::resource::of(world, cx, &operation.name, object);
            add_resource_tags(&mut context, &tags, operation.service);
            let requested = object.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
            for (key, value) in &requested {
                context.add(&format!("aws:RequestTag/{key}"), value.as_str());
                context.add("aws:TagKeys", [key.as_str()]);
            }
            let mut needs = vec![own(resource.clone(), &context)];
            if operation.name.starts_with("Create") && !requested.is_empty() {
                needs.push(Need { action: "eks:TagResource".to_owned(), resource, context });
            }
            needs.extend(passed_roles(world, cx, operation, object));
            needs
        }
        Input::Json(object) if operation.service == Service::Accelerator => {
            let arn = object.get("AcceleratorArn").and_then(Value::as_str).unwrap_or("*");
            add_resource_tags(&mut context, world.tag_index.present(arn).unwrap_or(&Tags::new()), operation.service);
            vec![own(arn.to_owned(), &context)]
        }
        Input::Json(_) => vec![own("*".to_owned(), &context)],
    }
}

/// Keys of every call.
fn general(world: &World, cx: &CallContext) -> Context {
    let mut context = Context::new();
    context.add("aws:RequestedRegion", [cx.region.as_str()]);
    // The front of the sandbox speaks plain HTTP on loopback; what it stands for is only reached over TLS.
    context.add("aws:SecureTransport", ["true"]);
    if let Some(caller) = &cx.caller {
        let session_of = caller.principal.arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
        let role = session_of.and_then(|name| world.roles.get(name));
        // For a session this key holds the ARN of its role.
        let arn = role.map_or(&caller.principal.arn, |role| &role.arn);
        context.add("aws:PrincipalArn", [arn.as_str()]);
        context.add("aws:PrincipalAccount", [caller.principal.account.as_str()]);
        for (key, value) in role.into_iter().flat_map(|role| &role.tags) {
            context.add(&format!("aws:PrincipalTag/{key}"), [value.as_str()]);
        }
    }
    context
}

fn add_resource_tags(context: &mut Context, tags: &Tags, service: Service) {
    for (key, value) in tags {
        context.add(&format!("aws:ResourceTag/{key}"), [value.as_str()]);
        if service == Service::Iam {
            context.add(&format!("iam:ResourceTag/{key}"), [value.as_str()]);
        }
    }
}

fn add_iam_keys(context: &mut Context, world: &World, operation: &Operation, form: &Form) {
    for (key, value) in form.tags() {
        context.add(&format!("aws:RequestTag/{key}"), [value]);
        context.add("aws:TagKeys", [key]);
    }
    context.add("aws:TagKeys", form.list("TagKeys"));
    let of_role = || form.get("RoleName").and_then(|name| world.roles.get(name)).and_then(|role| role.boundary.clone());
    match operation.name.as_str() {
        "CreateRole" | "PutRolePermissionsBoundary" => {
            context.add("iam:PermissionsBoundary", form.get("PermissionsBoundary"));
        }
        "AttachRolePolicy" | "DetachRolePolicy" => {
            context.add("iam:PermissionsBoundary", of_role());
            context.add("iam:PolicyARN", form.get("PolicyArn"));
        }
        "PutRolePolicy" | "DeleteRolePolicy" | "DeleteRolePermissionsBoundary" => {
            context.add("iam:PermissionsBoundary", of_role());
        }
        _ => {}
    }
}

/// The ARN that an IAM or STS call acts on, and the tags of what is there.
fn iam_resource(world: &World, operation: &Operation, form: &Form) -> (String, Tags) {
    if let Some(name) = form.get("RoleName") {
        let made = || world.iam_arn(&format!("role{}{name}", form.get("Path").unwrap_or("/")));
        return world
            .roles
            .get(name)
            .map_or_else(|| (made(), Tags::new()), |role| (role.arn.clone(), role.tags.clone()));
    }
    if let Some(name) = form.get("PolicyName") {
        return (world.iam_arn(&format!("policy{}{name}", form.get("Path").unwrap_or("/"))), Tags::new());
    }
    if let Some(url) = form.get("Url") {
        return (world.iam_arn(&format!("oidc-provider/{}", url.trim_start_matches("https://"))), Tags::new());
    }
    if operation.name == "ListRoles" {
        return (world.iam_arn("role/"), Tags::new());
    }
    let keys = ["PolicyArn", "OpenIDConnectProviderArn", "PolicySourceArn", "RoleArn"];
    let arn = keys.iter().find_map(|key| form.get(key)).unwrap_or("*");
    let policy = world.policies.get(arn).map(|policy| &policy.tags);
    let provider = world.providers.get(arn).map(|provider| &provider.tags);
    let role = world.role_by_arn(arn).map(|role| &role.tags);
    (arn.to_owned(), policy.or(provider).or(role).cloned().unwrap_or_default())
}

/// Handing a role to EKS is a question of its own about that role.
fn passed_roles(world: &World, cx: &CallContext, operation: &Operation, input: &Map<String, Value>) -> Vec<Need> {
    let keys: &[&str] = match operation.name.as_str() {
        "CreateAddon" | "UpdateAddon" => &["serviceAccountRoleArn"],
        "CreatePodIdentityAssociation" | "UpdatePodIdentityAssociation" => &["roleArn"],
        _ => return Vec::new(),
    };
    let service = if operation.name.ends_with("Addon") { "eks.amazonaws.com" } else { "pods.eks.amazonaws.com" };
    keys.iter()
        .filter_map(|key| input.get(*key).and_then(Value::as_str))
        .map(|arn| {
            let mut context = general(world, cx);
            context.add("iam:PassedToService", [service]);
            Need { action: "iam:PassRole".to_owned(), resource: arn.to_owned(), context }
        })
        .collect()
}
