//! The least IAM policy for running a command under a configuration: actions on the resources that the steps name, nothing
//! more. Pure; a test records every call of runs in the sandbox and holds them against it.
//!
//! What a caller needs in the cluster itself (RBAC, an access entry) is not said here.

use std::collections::BTreeMap;

use crate::component::{self, Component, Permissions};
use crate::config::Config;
use crate::context::Facts;
use crate::names;
use crate::policy::{Condition, Document, Effect, Statement};

/// What the policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// Only to look
    Plan,
    /// To look and to make
    Apply,
    /// To look and to remove
    Destroy,
}

/// The policy of one purpose.
pub fn policy(purpose: Purpose, config: &Config, facts: &Facts) -> Document {
    let mut statements = vec![
        allow("ReadCluster", &["eks:DescribeCluster"], vec![facts.arn.clone()]),
        // Only to name the clusters that exist when the one asked for does not.
        allow("FindCluster", &["eks:ListClusters"], everything()),
    ];
    let wanted: Vec<_> = component::ALL.into_iter().filter(|component| component.wanted(config, facts)).collect();
    if wanted.is_empty() {
        return document(statements);
    }
    if wanted.iter().any(Component::has_role) {
        statements.extend(provider(purpose, facts));
    }
    for component in &wanted {
        statements.extend(of_component(purpose, component, config, facts));
    }
    if purpose == Purpose::Destroy {
        statements.push(allow("ReadWhatIsLeft", &["tag:GetResources"], everything()));
        // Whether others trust the provider is asked of every role of the account.
        statements.push(allow("ReadTrusts", &["iam:ListRoles"], everything()));
    }
    document(statements)
}

fn provider(purpose: Purpose, facts: &Facts) -> Vec<Statement> {
    let arn = || vec![facts.provider_arn()];
    let mut statements = vec![allow("ReadProvider", &["iam:GetOpenIDConnectProvider"], arn())];
    match purpose {
        Purpose::Plan => {}
        Purpose::Apply => statements.push(allow(
            "MakeProvider",
            &[
                "iam:CreateOpenIDConnectProvider",
                "iam:AddClientIDToOpenIDConnectProvider",
                "iam:TagOpenIDConnectProvider",
            ],
            arn(),
        )),
        Purpose::Destroy => {
            statements.push(allow("RemoveProvider", &["iam:DeleteOpenIDConnectProvider"], arn()));
        }
    }
    statements
}

fn of_component(purpose: Purpose, component: &Component, config: &Config, facts: &Facts) -> Vec<Statement> {
    let sid = |text: &str| format!("{text}{}", capital(component.short));
    let role = component.role_arn(config, facts);
    let named = component.configured(config).role_arn.is_some();
    let (policies, own_policy) = match component.permissions {
        Permissions::Document(_) => (vec![component.policy_arn(config, facts)], true),
        Permissions::AwsManaged(paths) => {
            (paths.iter().map(|path| format!("arn:{}:iam::aws:policy/{path}", facts.partition)).collect(), false)
        }
        Permissions::None => (Vec::new(), false),
    };
    let documented = names::iam_arn(&facts.partition, &facts.account, "role", "/", component.documented_role);
    let mut statements = Vec::new();
    let mut add = |sid: String, actions: &[&str], resources: Vec<String>, condition: Condition| {
        statements.push(Statement { condition, ..allow(&sid, actions, resources) });
    };
    let none = Condition::new;
    if let Some(addon) = component.addon {
        let addons =
            format!("arn:{}:eks:{}:{}:addon/{}/{addon}/*", facts.partition, facts.region, facts.account, facts.cluster);
        add(sid("ReadAddon"), &["eks:DescribeAddon"], vec![facts.arn.clone(), addons], none());
    }
    if !component.has_role() {
        return statements;
    }
    // The documented role is only looked for where one of ours would be made.
    let roles = if named || purpose == Purpose::Destroy { vec![role.clone()] } else { vec![role.clone(), documented] };
    add(sid("ReadRole"), &["iam:GetRole"], roles, none());
    add(sid("ReadAttachments"), &["iam:ListAttachedRolePolicies"], vec![role.clone()], none());
    let mut reads = vec!["iam:GetPolicy"];
    if own_policy {
        reads.push("iam:ListPolicyVersions");
        reads.push(if purpose == Purpose::Destroy { "iam:ListEntitiesForPolicy" } else { "iam:GetPolicyVersion" });
        add(sid("ReadPolicy"), &reads, policies.clone(), none());
    } else if purpose != Purpose::Destroy {
        add(sid("ReadPolicy"), &reads, policies.clone(), none());
    }
    let only_these =
        Condition::from([("ArnEquals".to_owned(), BTreeMap::from([("iam:PolicyARN".to_owned(), policies.clone())]))]);
    match purpose {
        Purpose::Plan => {}
        Purpose::Apply => {
            if !named {
                add(sid("MakeRole"), &["iam:CreateRole"], vec![role.clone()], bounded(config));
                add(sid("ChangeRole"), &["iam:UpdateRole", "iam:TagRole"], vec![role.clone()], none());
                if config.iam.permissions_boundary.is_some() {
                    let action = "iam:PutRolePermissionsBoundary";
                    add(sid("BoundRole"), &[action], vec![role.clone()], bounded(config));
                }
            }
            add(sid("ChangeTrust"), &["iam:UpdateAssumeRolePolicy"], vec![role.clone()], none());
            add(sid("Attach"), &["iam:AttachRolePolicy"], vec![role], only_these);
            if own_policy {
                let writes = [
                    "iam:CreatePolicy",
                    "iam:CreatePolicyVersion",
                    "iam:SetDefaultPolicyVersion",
                    "iam:DeletePolicyVersion",
                    "iam:TagPolicy",
                ];
                add(sid("MakePolicy"), &writes, policies, none());
            }
        }
        Purpose::Destroy => {
            let reads = ["iam:ListRolePolicies", "iam:ListInstanceProfilesForRole"];
            add(sid("ReadWhatHangsOnRole"), &reads, vec![role.clone()], none());
            let mut writes = vec!["iam:UpdateAssumeRolePolicy"];
            if !named {
                writes.extend(["iam:DeleteRole", "iam:UntagRole"]);
            }
            add(sid("RemoveRole"), &writes, vec![role.clone()], none());
            add(sid("Detach"), &["iam:DetachRolePolicy"], vec![role], only_these);
            if own_policy {
                let writes = ["iam:DeletePolicyVersion", "iam:DeletePolicy", "iam:UntagPolicy"];
                add(sid("RemovePolicy"), &writes, policies, none());
            }
        }
    }
    statements
}

/// Roles may only be made, and only be given, the boundary of the configuration.
fn bounded(config: &Config) -> Condition {
    let Some(boundary) = &config.iam.permissions_boundary else { return Condition::new() };
    let test = BTreeMap::from([("iam:PermissionsBoundary".to_owned(), vec![boundary.clone()])]);
    Condition::from([("StringEquals".to_owned(), test)])
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

fn capital(short: &str) -> String {
    let mut letters = short.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn allow(sid: &str, actions: &[&str], resources: Vec<String>) -> Statement {
    Statement {
        sid: Some(sid.to_owned()),
        effect: Effect::Allow,
        principal: None,
        not_principal: None,
        action: Some(actions.iter().map(|action| (*action).to_owned()).collect()),
        not_action: None,
        resource: Some(resources),
        not_resource: None,
        condition: Condition::new(),
        other: BTreeMap::new(),
    }
}

fn document(statements: Vec<Statement>) -> Document {
    Document { version: Some("2012-10-17".to_owned()), id: None, statements, other: BTreeMap::new() }
}
