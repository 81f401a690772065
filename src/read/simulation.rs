//! What IAM says a role may do, without doing it: `SimulatePrincipalPolicy`, called by the checks of `verify`.
//!
//! An advice and no proof: IAM knows nothing here of sessions, or of tags that the caller does not tell it. Context keys that
//! decide are the caller's to give; those that were wanted and missing come back by name.
//!
//! Actions of which IAM wants different things are refused together (`InvalidInput`), and which those are is written nowhere: a
//! request that is refused is asked again in halves, down to one action a call.

use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, OrganizationsDecisionDetail, PermissionsBoundaryDecisionDetail,
    PolicyEvaluationDecisionType, ResourceSpecificResult, Statement,
};

use crate::error::{AwsError, Error, Result};
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
    /// The resource, as it was asked for; `*` where the answer is for whatever was asked for.
    pub resource: String,
    /// Allowed or not.
    pub decision: SimulatedDecision,
    /// Policies whose statements decided, by the names under which IAM reports them.
    pub policies: Vec<String>,
    /// Condition keys that the policies ask for and that were not given.
    pub missing: Vec<String>,
    /// Whether the permissions boundary allows it; none without a boundary.
    pub within_boundary: Option<bool>,
    /// Whether the organisation's service control policies allow it; none where the account is in no organisation.
    pub allowed_by_organization: Option<bool>,
}

impl IamRead {
    /// What the policies of a role, by its ARN, say to each request; in the order of the requests.
    ///
    /// # Errors
    /// A role that does not exist is an error that [`AwsError::not_found`] tells, since nothing can be said about it.
    pub async fn simulate(&self, role_arn: &str, requests: &[SimulationRequest]) -> Result<Vec<Simulated>> {
        let mut simulated = Vec::new();
        for request in requests {
            let mut left = vec![request.actions.clone()];
            while let Some(actions) = left.pop() {
                match self.simulate_together(role_arn, &actions, request).await {
                    Ok(answers) => simulated.extend(answers),
                    Err(Error::Aws(error)) if error.is("InvalidInput") && actions.len() > 1 => {
                        let (first, second) = actions.split_at(actions.len() / 2);
                        left.extend([second.to_vec(), first.to_vec()]);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(simulated)
    }

    /// What is said of some actions of a request, in one call and as many pages as it takes.
    async fn simulate_together(
        &self,
        role_arn: &str,
        actions: &[String],
        request: &SimulationRequest,
    ) -> Result<Vec<Simulated>> {
        let context: Vec<ContextEntry> = request.context.iter().map(|(key, values)| entry(key, values)).collect();
        let (mut simulated, mut marker) = (Vec::new(), None);
        let mut pages = Pages::of("iam:SimulatePrincipalPolicy");
        loop {
            let call = self
                .client
                .simulate_principal_policy()
                .policy_source_arn(role_arn)
                .set_action_names(Some(actions.to_vec()))
                .set_resource_arns(Some(request.resources.clone()).filter(|arns| !arns.is_empty()))
                .set_context_entries(Some(context.clone()).filter(|entries| !entries.is_empty()))
                .set_marker(marker);
            let answer = call.send().await;
            let page = answer.map_err(|error| AwsError::new("iam:SimulatePrincipalPolicy", &error))?;
            simulated.extend(page.evaluation_results().iter().flat_map(|result| results(result, &request.resources)));
            if !page.is_truncated() {
                return Ok(simulated);
            }
            marker = pages.next(page.marker)?;
        }
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

/// IAM answers several resources as parts of one result an action. The name in the result itself is a template of an ARN, or `*`
/// for an action that knows no resources, though results of their own with the resources' names have been answered too.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html>
fn results(result: &EvaluationResult, asked: &[String]) -> Vec<Simulated> {
    let within = |detail: Option<&PermissionsBoundaryDecisionDetail>| {
        detail.map(PermissionsBoundaryDecisionDetail::allowed_by_permissions_boundary)
    };
    let names = |statements: &[Statement]| -> Vec<String> {
        statements.iter().filter_map(|statement| statement.source_policy_id().map(ToOwned::to_owned)).collect()
    };
    let asked_for = result.eval_resource_name().filter(|name| asked.iter().any(|arn| arn == name));
    let whole = Simulated {
        action: result.eval_action_name().to_owned(),
        resource: asked_for.unwrap_or("*").to_owned(),
        decision: decision(result.eval_decision()),
        policies: names(result.matched_statements()),
        missing: result.missing_context_values().to_vec(),
        within_boundary: within(result.permissions_boundary_decision_detail()),
        allowed_by_organization: result
            .organizations_decision_detail()
            .map(OrganizationsDecisionDetail::allowed_by_organizations),
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

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: &str = "arn:aws:ec2:eu-west-1:111122223333:volume/x";

    fn result(name: &str) -> aws_sdk_iam::types::builders::EvaluationResultBuilder {
        EvaluationResult::builder()
            .eval_action_name("ec2:CreateVolume")
            .eval_resource_name(name)
            .eval_decision(PolicyEvaluationDecisionType::ImplicitDeny)
    }

    #[test]
    fn an_answer_is_for_what_was_asked_whatever_it_is_called() {
        let asked = [VOLUME.to_owned()];
        let resources = |result: EvaluationResult| -> Vec<(String, SimulatedDecision)> {
            results(&result, &asked).into_iter().map(|answer| (answer.resource, answer.decision)).collect()
        };
        let denied = |resource: &str| (resource.to_owned(), SimulatedDecision::ImplicitDeny);
        assert_eq!(resources(result(VOLUME).build().unwrap()), [denied(VOLUME)]);
        for name in ["*", "arn:${Partition}:ec2:${Region}:${Account}:volume/${VolumeId}"] {
            assert_eq!(resources(result(name).build().unwrap()), [denied("*")], "{name}");
        }
        let part = ResourceSpecificResult::builder()
            .eval_resource_name(VOLUME)
            .eval_resource_decision(PolicyEvaluationDecisionType::Allowed)
            .build()
            .unwrap();
        let whole = result("*").resource_specific_results(part).build().unwrap();
        assert_eq!(resources(whole), [(VOLUME.to_owned(), SimulatedDecision::Allowed)]);
    }

    #[test]
    fn what_the_organisation_says_is_read_and_nothing_is_no_denial() {
        let says = |detail: Option<bool>| {
            let detail =
                detail.map(|allowed| OrganizationsDecisionDetail::builder().allowed_by_organizations(allowed).build());
            results(&result("*").set_organizations_decision_detail(detail).build().unwrap(), &[])[0]
                .allowed_by_organization
        };
        assert_eq!((says(None), says(Some(true)), says(Some(false))), (None, Some(true), Some(false)));
    }
}
