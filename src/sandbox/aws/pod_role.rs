//! What AWS would answer a controller that calls with the role of its service account.
//!
//! No container runs in the sandbox, so nothing really calls; the stand-ins ask here before they do a controller's work,
//! and show the refusal as the controller would. The chain is the real one: provider, audience, trust, then the role's
//! policies. It hands out no credentials and records no call.

use std::fmt;

use jiff::Timestamp;

use super::Simulator;
use super::error::{ApiError, Result};
use super::iam::role::Role;
use super::need::Need;
use super::permission::{denied_by_organization, refusal};
use super::pod_identity::role_for_pod;
use super::seed::Tags;
use super::sts::{audience_of, provider_of, role_of_token};
use super::world::{World, digest};
use crate::policy::Context;

/// A call that a pod would make.
#[derive(Debug, Clone)]
pub struct PodCall<'a> {
    /// The role that the pod was given; none means that its container has no AWS_ROLE_ARN.
    pub role_arn: Option<&'a str>,
    /// The cluster whose agent the pod was told of; none means that its container has no AWS_CONTAINER_CREDENTIALS_FULL_URI.
    pub agent_of: Option<&'a str>,
    /// Issuer of the pod's token.
    pub issuer: &'a str,
    /// Subject of the pod's token.
    pub subject: &'a str,
    /// The service as the SDK names it, such as `EC2`.
    pub service: &'a str,
    /// The operation, such as `CreateVolume`.
    pub operation: &'a str,
    /// The IAM action, such as `ec2:CreateVolume`.
    pub action: &'a str,
    /// ARN of what it acts on.
    pub resource: &'a str,
    /// Tags that the call sets.
    pub request_tags: &'a Tags,
    /// Tags of what it acts on.
    pub resource_tags: &'a Tags,
}

/// The error that the SDK of the pod would report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRefusal(String);

impl fmt::Display for AwsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Simulator {
    /// Says whether AWS would do what a pod asks.
    ///
    /// # Errors
    /// The refusal in the words of the AWS SDK for Go, in which the controllers are written.
    pub fn pod_may(&self, call: &PodCall<'_>) -> std::result::Result<(), AwsRefusal> {
        if call.role_arn.is_none() && call.agent_of.is_none() {
            let text = "get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found, \
                        operation error ec2imds: GetMetadata, request canceled, context deadline exceeded";
            return Err(AwsRefusal(format!("operation error {}: {}, {text}", call.service, call.operation)));
        }
        let now = self.0.clock.now();
        let state = self.state();
        let world = &state.world;
        let assumed = || {
            // The SDKs take the web identity first.
            let Some(role_arn) = call.role_arn else {
                let mut parts = call.subject.split(':').skip(2);
                let (namespace, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                return role_for_pod(world, now, call.agent_of.unwrap_or_default(), namespace, account);
            };
            let provider = provider_of(world, now, call.issuer)?;
            let audience = audience_of(provider, &["sts.amazonaws.com".to_owned()])?;
            role_of_token(world, now, role_arn, provider, vec![audience], call.subject)
        };
        let role = assumed().map_err(|error| {
            let (service, operation) = match call.role_arn {
                Some(_) => ("STS", "AssumeRoleWithWebIdentity"),
                None => ("EKS Auth", "AssumeRoleForPodIdentity"),
            };
            let cause = failure(service, operation, &error);
            let wrapped =
                "get identity: get credentials: failed to refresh cached credentials, failed to retrieve credentials";
            AwsRefusal(format!("operation error {}: {}, {wrapped}, {cause}", call.service, call.operation))
        })?;
        match may(world, role, call, now) {
            Ok(true) if !denied_by_organization(world, call.action) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(AwsRefusal(failure(call.service, call.operation, &error))),
        }
        let session = format!("arn:{}:sts::{}:assumed-role/{}/sandbox", world.partition.name, world.account, role.name);
        let why = if denied_by_organization(world, call.action) {
            "with an explicit deny in a service control policy".to_owned()
        } else {
            format!("because no identity-based policy allows the {} action", call.action)
        };
        let text = format!(
            "User: {session} is not authorized to perform: {} on resource: {} {why}",
            call.action, call.resource
        );
        let error = if call.service == "EC2" {
            let text = format!("You are not authorized to perform this operation. {text}");
            ApiError::new("UnauthorizedOperation", 403, text)
        } else {
            ApiError::new("AccessDenied", 403, text)
        };
        Err(AwsRefusal(failure(call.service, call.operation, &error)))
    }
}

/// An answer as the SDK for Go prints it. The request id is made from the text, so that equal failures read equally.
fn failure(service: &str, operation: &str, error: &ApiError) -> String {
    let id = digest(&format!("{service}{operation}{}", error.message), 12);
    format!(
        "operation error {service}: {operation}, https response error StatusCode: {}, RequestID: sandbox-{id}, api error {}: {}",
        error.status, error.code, error.message
    )
}

/// Asks the role's policies, with the tags that the call sets and those of what it acts on.
fn may(world: &World, role: &Role, call: &PodCall<'_>, now: Timestamp) -> Result<bool> {
    let mut context = Context::new();
    context.add("aws:RequestedRegion", call.resource.split(':').nth(3));
    context.add("aws:SecureTransport", ["true"]);
    context.add("aws:PrincipalArn", [role.arn.as_str()]);
    context.add("aws:PrincipalAccount", [world.account.as_str()]);
    for (key, value) in &role.tags {
        context.add(&format!("aws:PrincipalTag/{key}"), [value.as_str()]);
    }
    for (key, value) in call.request_tags {
        context.add(&format!("aws:RequestTag/{key}"), [value.as_str()]);
        context.add("aws:TagKeys", [key.as_str()]);
    }
    for (key, value) in call.resource_tags {
        context.add(&format!("aws:ResourceTag/{key}"), [value.as_str()]);
        // The services' own forms of the same key.
        context.add(&format!("ec2:ResourceTag/{key}"), [value.as_str()]);
        context.add(&format!("elasticloadbalancing:ResourceTag/{key}"), [value.as_str()]);
    }
    let needs = [Need { action: call.action.to_owned(), resource: call.resource.to_owned(), context }];
    Ok(refusal(world, Some(&role.name), &needs, now)?.is_none())
}
