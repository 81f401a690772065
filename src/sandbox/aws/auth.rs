//! Who calls: access keys, sessions, and what a caller may not do.
//!
//! Signatures are verified for real. Seeded callers may do what the seed's caller policy allows (everything without one) and the seed does
//! not deny; a session that STS handed out may do what its role's policies allow (see `permission`). Nobody may do what the
//! organisation denies.

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use serde::Serialize;

use super::error::{ApiError, Result};
use super::need::{self, Need};
use super::permission;
use super::seed::{Seed, SeedCredential};
use super::sigv4::Signature;
use super::trust::glob;
use super::wire::{Operation, Service};
use super::world::{CallContext, World};
use crate::policy::{Access, AccessDecision};

/// An authenticated principal of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// Its ARN, as GetCallerIdentity gives it.
    pub arn: String,
    /// Its account.
    pub account: String,
    /// Its unique id.
    pub user_id: String,
}

/// Access keys that can be handed to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
}

/// An access key that the simulator knows.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) access_key_id: String,
    pub(super) secret: String,
    pub(super) session_token: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) principal: Principal,
    pub(super) deny: Vec<String>,
    /// Name of the role, if STS handed the key out.
    pub(super) role: Option<String>,
}

/// The caller of one call.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) role: Option<String>,
    deny: Vec<String>,
}

impl Credential {
    /// Makes the credentials of a seed, or the built-in ones.
    pub(super) fn planted(world: &mut World, seed: &Seed) -> Vec<Self> {
        let builtin = SeedCredential {
            access_key_id: "AKIASANDBOX000000001".to_owned(),
            secret_access_key: "sandbox/not-a-secret/for-the-simulator-1".to_owned(),
            session_token: None,
            expires: None,
            caller: None,
            deny: Vec::new(),
        };
        let listed = if seed.credentials.is_empty() { vec![builtin] } else { seed.credentials.clone() };
        listed
            .into_iter()
            .map(|credential| {
                let arn = credential.caller.unwrap_or_else(|| {
                    let prefix = format!("arn:{}:sts::{}", world.partition.name, world.account);
                    format!("{prefix}:assumed-role/platform-admin/sandbox")
                });
                let user_id = match arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split_once('/')) {
                    Some((role, session)) => {
                        let role_id = world.roles.get(role).map(|role| role.id.clone());
                        format!("{}:{session}", role_id.unwrap_or_else(|| world.unique_iam_id("AROA")))
                    }
                    None if arn.ends_with(":root") => world.account.clone(),
                    None => world.unique_iam_id("AIDA"),
                };
                Self {
                    access_key_id: credential.access_key_id,
                    secret: credential.secret_access_key,
                    session_token: credential.session_token,
                    expires: credential.expires.and_then(|text| text.parse().ok()),
                    principal: Principal { arn, account: world.account.clone(), user_id },
                    deny: credential.deny,
                    role: None,
                }
            })
            .collect()
    }
}

/// The code by which a service says that it does not know an access key.
fn unknown_key(service: Service) -> &'static str {
    match service {
        Service::Iam | Service::Sts | Service::Elb => "InvalidClientTokenId",
        Service::Ec2 => "AuthFailure",
        Service::Eks | Service::Tagging | Service::Accelerator => "UnrecognizedClientException",
    }
}

const UNKNOWN: &str = "The security token included in the request is invalid.";

/// Refuses a call in a region that is not enabled for the account: its services know none of the account's keys, and only STS, where it
/// is asked for credentials, says why. IAM has no regions.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors>
pub(super) fn check_region(world: &World, region: &str, operation: &Operation) -> Result<()> {
    let disabled = world.disabled_regions.iter().any(|disabled| disabled == region);
    if !disabled || operation.service == Service::Iam {
        return Ok(());
    }
    if operation.service == Service::Sts && operation.name != "GetCallerIdentity" {
        let text = format!(
            "STS is not activated in this region for account:{}. Your account administrator can activate STS in this region using the \
             IAM Console.",
            world.account
        );
        return Err(ApiError::new("RegionDisabledException", 403, text));
    }
    Err(ApiError::new(unknown_key(operation.service), 403, UNKNOWN))
}

/// Checks the signature of a call and returns who made it.
pub(super) fn authenticate(
    world: &World,
    now: Timestamp,
    service: Service,
    signature: &Signature,
    request: &Request<Bytes>,
) -> Result<Caller> {
    let (expired, mismatch) = match service {
        Service::Iam | Service::Sts | Service::Elb => ("ExpiredToken", "SignatureDoesNotMatch"),
        Service::Ec2 => ("RequestExpired", "AuthFailure"),
        Service::Eks | Service::Tagging | Service::Accelerator => {
            ("ExpiredTokenException", "InvalidSignatureException")
        }
    };
    let invalid = || ApiError::new(unknown_key(service), 403, UNKNOWN);
    let credential = world.credentials.get(&signature.access_key_id).ok_or_else(invalid)?;
    if credential.session_token != signature.session_token {
        return Err(invalid());
    }
    if credential.expires.is_some_and(|expires| expires <= now) {
        return Err(ApiError::new(expired, 403, "The security token included in the request is expired"));
    }
    if !signature.matches(request, &credential.secret) {
        let text = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
        return Err(ApiError::new(mismatch, 403, text));
    }
    Ok(Caller { principal: credential.principal.clone(), role: credential.role.clone(), deny: credential.deny.clone() })
}

/// Refuses what the caller may not do.
pub(super) fn authorise(world: &World, cx: &CallContext, operation: &Operation) -> Result<()> {
    let Some(caller) = &cx.caller else { return Ok(()) };
    // AWS answers GetCallerIdentity even to callers that are denied it; who may assume a role is for the role's trust to say.
    if operation.service == Service::Sts && operation.name == "GetCallerIdentity" {
        return Ok(());
    }
    let needs = need::needs(world, cx, operation);
    let denied = |action: &str| {
        let patterns = caller.deny.iter().chain(&world.deny);
        patterns.into_iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
    };
    let (need, why) = if let Some(need) = needs.iter().find(|need| denied(&need.action)) {
        (need, format!("because no identity-based policy allows the {} action", need.action))
    } else if let Some(need) = needs.iter().find(|need| permission::denied_by_organization(world, &need.action)) {
        (need, "with an explicit deny in a service control policy".to_owned())
    } else {
        match permission::refusal(world, caller.role.as_deref(), &needs, cx.now)? {
            None => return Ok(()),
            Some((need, access)) => (need, because(need, &access)),
        }
    };
    let text = format!(
        "User: {} is not authorized to perform: {} on resource: {} {why}",
        caller.principal.arn, need.action, need.resource
    );
    Err(match operation.service {
        Service::Iam | Service::Sts | Service::Elb => ApiError::new("AccessDenied", 403, text),
        Service::Ec2 => ApiError::new(
            "UnauthorizedOperation",
            403,
            format!("You are not authorized to perform this operation. {text}"),
        ),
        Service::Eks => ApiError::new("AccessDeniedException", 403, text),
        Service::Tagging | Service::Accelerator => ApiError::new("AccessDeniedException", 400, text),
    })
}

fn because(need: &Need, access: &Access) -> String {
    match (access.decision, access.within_boundary) {
        (AccessDecision::ExplicitDeny, Some(false)) => "with an explicit deny in a permissions boundary".to_owned(),
        (AccessDecision::ExplicitDeny, _) => "with an explicit deny in an identity-based policy".to_owned(),
        (_, Some(false)) => format!("because no permissions boundary allows the {} action", need.action),
        _ => format!("because no identity-based policy allows the {} action", need.action),
    }
}
