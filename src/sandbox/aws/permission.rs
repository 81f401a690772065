//! What policies let a principal do: the caller of a call, and the role that `SimulatePrincipalPolicy` asks about.
//!
//! The reading of the documents is the product's own (`crate::policy`): one meaning for what it prints, what it checks and what the
//! simulator enforces. An AWS managed policy whose document the simulator does not carry is not guessed at: where it could decide, the
//! call is refused loudly.

use jiff::Timestamp;

use super::clock::visible;
use super::error::{ApiError, Result};
use super::iam::managed;
use super::iam::role::Role;
use super::need::Need;
use super::trust::glob;
use super::world::World;
use crate::policy::{Access, AccessDecision, AccessRequest, Document, NotEvaluated, evaluate};

/// A policy of a role with the name under which IAM reports it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) document: Document,
}

/// Everything that says what a role may do.
#[derive(Debug)]
pub(super) struct RolePolicies {
    pub(super) identity: Vec<Named>,
    pub(super) boundary: Option<Named>,
    /// Policies whose documents are not carried.
    unknown: Vec<String>,
}

impl RolePolicies {
    /// Collects the policies of a role; with a time, only attachments that have spread by then.
    pub(super) fn of(world: &World, role: &Role, seen_at: Option<Timestamp>) -> Result<Self> {
        let mut policies = Self { identity: Vec::new(), boundary: None, unknown: Vec::new() };
        for (name, document) in &role.inline {
            let id = format!("role_{}_{name}", role.name);
            policies.identity.push(Named { id, document: parsed(document)? });
        }
        for (arn, attached) in &role.attached {
            if seen_at.is_some_and(|now| !visible(*attached, world.lag, now)) {
                continue;
            }
            match named(world, arn)? {
                Some(found) => policies.identity.push(found),
                None => policies.unknown.push(arn.clone()),
            }
        }
        if let Some(arn) = &role.boundary {
            policies.boundary = named(world, arn)?;
            if policies.boundary.is_none() {
                return Err(ApiError::not_implemented(&format!("the document of {arn}")));
            }
        }
        Ok(policies)
    }

    /// Judges one request.
    pub(super) fn judge(&self, request: AccessRequest<'_>) -> Result<Access> {
        let identity: Vec<_> = self.identity.iter().map(|named| &named.document).collect();
        let boundary = self.boundary.as_ref().map(|named| &named.document);
        let access = evaluate(&identity, boundary, request).map_err(|error| not_evaluated(&error))?;
        // AWS managed policies grant and do not deny; what one could still grant is not known here.
        let open = access.decision == AccessDecision::ImplicitDeny && access.within_boundary != Some(false);
        match self.unknown.first() {
            Some(arn) if open => Err(ApiError::not_implemented(&format!("the document of {arn}"))),
            _ => Ok(access),
        }
    }
}

/// Whether the policies of the organisation that the account is in deny an action, to every principal.
pub(super) fn denied_by_organization(world: &World, action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    world.organization.iter().flatten().any(|pattern| glob(&pattern.to_ascii_lowercase(), &action))
}

fn not_evaluated(error: &NotEvaluated) -> ApiError {
    ApiError::new("NotImplemented", 501, format!("a policy cannot be evaluated: {error}"))
}

fn parsed(document: &str) -> Result<Document> {
    Document::parse(document)
        .map_err(|error| ApiError::new("NotImplemented", 501, format!("a policy cannot be read: {error}")))
}

fn named(world: &World, arn: &str) -> Result<Option<Named>> {
    let id = arn.rsplit('/').next().unwrap_or(arn).to_owned();
    if let Some(policy) = world.policies.get(arn) {
        return Ok(Some(Named { id, document: parsed(policy.default_document())? }));
    }
    managed::document(arn, world.partition.name).map(|text| Ok(Named { id, document: parsed(&text)? })).transpose()
}

/// Says how the policies of a session's role, or the policy of the seeded callers, answer what a call needs; `None` if all is allowed,
/// else the first refusal.
pub(super) fn refusal<'a>(
    world: &World,
    role: Option<&str>,
    needs: &'a [Need],
    now: Timestamp,
) -> Result<Option<(&'a Need, Access)>> {
    let policies = match role {
        Some(name) => match world.roles.get(name) {
            Some(role) => RolePolicies::of(world, role, Some(now))?,
            // The role of the session was deleted meanwhile.
            None => RolePolicies { identity: Vec::new(), boundary: None, unknown: Vec::new() },
        },
        None => match &world.caller_policy {
            Some(document) => {
                let of_caller = Named { id: "caller".to_owned(), document: document.clone() };
                RolePolicies { identity: vec![of_caller], boundary: None, unknown: Vec::new() }
            }
            None => return Ok(None),
        },
    };
    for need in needs {
        let request = AccessRequest { action: &need.action, resource: &need.resource, context: &need.context };
        let access = policies.judge(request)?;
        if access.decision != AccessDecision::Allowed {
            return Ok(Some((need, access)));
        }
    }
    Ok(None)
}
