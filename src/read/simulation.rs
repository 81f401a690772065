//! What IAM says a role may do, without doing it: `SimulatePrincipalPolicy`, called by the checks of `verify`.
//!
//! An advice and no proof: IAM knows nothing here of organisations' policies, of sessions, or of tags that the caller does not
//! tell it. Context keys that decide are the caller's to give; those that were wanted and missing come back by name.

use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PermissionsBoundaryDecisionDetail,
    PolicyEvaluationDecisionType, ResourceSpecificResult, Statement,
};

use crate::error::{AwsError, Result};
use crate::read::iam::IamRead;
use crate::read::pages::Pages;

/// Actions that are asked about together: each on each resource, in one context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimulationRequest {
    /// Such as `ec2:CreateVolume`.
    pub actions: Vec<String>,
    /// ARNs; none means all resources (`*`).
    pub resources: Vec<String>,
    /// Condition keys with their values, such as `aws:RequestTag/team`.
    pub context: Vec<(String, Vec<String>)>,
}

/// Allowed or not, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedDecision {
    /// It is allowed.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it, or the boundary does not.
    ImplicitDeny,
}

/// What IAM says to one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The action.
    pub action: String,
    /// The resource, as it was asked for.
    pub resource: String,
    /// Allowed or not.
    pub decision: SimulatedDecision,
    /// Policies whose statements decided, by the names under which IAM reports them.
    pub policies: Vec<String>,
    /// Condition keys that the policies ask for and that were not given.
    pub missing: Vec<String>,
    /// Whether the permissions boundary allows it; none without a boundary.
    pub within_boundary: Option<bool>,
}

impl IamRead {
    /// What the policies of a role, by its ARN, say to each request; in the order of the requests.
    ///
    /// # Errors
    /// A role that does not exist is an error that [`AwsError::not_found`] tells, since nothing can be said about it.
    pub async fn simulate(&self, role_arn: &str, requests: &[SimulationRequest]) -> Result<Vec<Simulated>> {
        let mut simulated = Vec::new();
        for request in requests {
            let context: Vec<ContextEntry> = request.context.iter().map(|(key, values)| entry(key, values)).collect();
            let mut marker = None;
            let mut pages = Pages::of("iam:SimulatePrincipalPolicy");
            loop {
                let call = self
                    .client
                    .simulate_principal_policy()
                    .policy_source_arn(role_arn)
                    .set_action_names(Some(request.actions.clone()))
                    .set_resource_arns(Some(request.resources.clone()).filter(|arns| !arns.is_empty()))
                    .set_context_entries(Some(context.clone()).filter(|entries| !entries.is_empty()))
                    .set_marker(marker);
                let answer = call.send().await;
                let page = answer.map_err(|error| AwsError::new("iam:SimulatePrincipalPolicy", &error))?;
                simulated.extend(page.evaluation_results().iter().flat_map(results));
                if !page.is_truncated() {
                    break;
                }
                marker = pages.next(page.marker)?;
            }
        }
        Ok(simulated)
    }
}

/// IAM wants the type of every value; strings are compared as strings, and lists are told from single values.
fn entry(key: &str, values: &[String]) -> ContextEntry {
    let kind = if values.len() == 1 { ContextKeyTypeEnum::String } else { ContextKeyTypeEnum::StringList };
    ContextEntry::builder()
        .context_key_name(key)
        .set_context_key_values(Some(values.to_vec()))
        .context_key_type(kind)
        .build()
}

fn decision(decision: &PolicyEvaluationDecisionType) -> SimulatedDecision {
    match decision {
        PolicyEvaluationDecisionType::Allowed => SimulatedDecision::Allowed,
        PolicyEvaluationDecisionType::ExplicitDeny => SimulatedDecision::ExplicitDeny,
        // What IAM may say beside these is no permission either.
        _ => SimulatedDecision::ImplicitDeny,
    }
}

/// IAM answers several resources as results of their own, or as parts of one result.
fn results(result: &EvaluationResult) -> Vec<Simulated> {
    let within = |detail: Option<&PermissionsBoundaryDecisionDetail>| {
        detail.map(PermissionsBoundaryDecisionDetail::allowed_by_permissions_boundary)
    };
    let names = |statements: &[Statement]| -> Vec<String> {
        statements.iter().filter_map(|statement| statement.source_policy_id().map(ToOwned::to_owned)).collect()
    };
    let whole = Simulated {
        action: result.eval_action_name().to_owned(),
        resource: result.eval_resource_name().unwrap_or("*").to_owned(),
        decision: decision(result.eval_decision()),
        policies: names(result.matched_statements()),
        missing: result.missing_context_values().to_vec(),
        within_boundary: within(result.permissions_boundary_decision_detail()),
    };
    let parts = result.resource_specific_results();
    if parts.is_empty() {
        return vec![whole];
    }
    let part = |part: &ResourceSpecificResult| Simulated {
        resource: part.eval_resource_name().to_owned(),
        decision: decision(part.eval_resource_decision()),
        policies: names(part.matched_statements()),
        missing: part.missing_context_values().to_vec(),
        within_boundary: within(part.permissions_boundary_decision_detail()),
        ..whole.clone()
    };
    parts.iter().map(part).collect()
}
