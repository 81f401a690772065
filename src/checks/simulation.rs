//! From a policy document to the questions that IAM is asked about a principal: may it do what the document allows?
//!
//! For each statement one resource and one set of condition keys are made up that meet it. Statements whose keys do not
//! contradict each other are asked about together, so that few calls are enough; answers to pairs of action and resource that no
//! statement has are thrown away. Used by the checks of the component's role and of the caller.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use crate::context::ReadContext;
use crate::error::Result;
use crate::policy::{Condition, Document, Effect};
use crate::read::simulation::{Simulated, SimulatedDecision, SimulationRequest};

/// A value for condition keys that only have to be there.
const ANY: &str = "eks-bootstrap";

/// Statements that are asked about together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    /// Actions with their resources.
    pairs: BTreeSet<(String, String)>,
    /// Condition keys; none for one that must not be there.
    context: BTreeMap<String, Option<Vec<String>>>,
}

impl Question {
    /// Whether both can be asked at once. Actions on everything are kept apart: with resources they would multiply.
    fn fits(&self, other: &Question) -> bool {
        let on_everything = |question: &Question| question.pairs.iter().all(|(_, resource)| resource == "*");
        let agree = |(key, value): (&String, &Option<Vec<String>>)| other.context.get(key).is_none_or(|it| it == value);
        on_everything(self) == on_everything(other) && self.context.iter().all(agree)
    }

    /// Whether an answer is one to this question. One for `*` is for every resource that was asked for: IAM gives it for actions that
    /// know no resources, whatever the document says of them.
    fn asks(&self, answer: &Simulated) -> bool {
        let resource = |asked: &String| answer.resource == "*" || *asked == answer.resource;
        self.pairs.iter().any(|(action, asked)| action.eq_ignore_ascii_case(&answer.action) && resource(asked))
    }

    fn request(&self) -> SimulationRequest {
        let (actions, resources): (BTreeSet<_>, BTreeSet<_>) = self.pairs.iter().cloned().unzip();
        let resources = if resources.contains("*") { BTreeSet::new() } else { resources };
        let context = self.context.iter().filter_map(|(key, values)| Some((key.clone(), values.clone()?)));
        SimulationRequest {
            actions: actions.into_iter().collect(),
            resources: resources.into_iter().collect(),
            context: context.collect(),
        }
    }
}

/// What IAM does not allow a principal of what a document allows; empty where it allows all.
///
/// # Errors
/// IAM was not asked, or does not know the principal.
pub(super) async fn refused(cx: &ReadContext, principal_arn: &str, document: &Document) -> Result<Vec<Simulated>> {
    let questions = questions(document, &cx.facts.region, &cx.facts.account);
    let asked = questions.iter().map(|question| async move {
        let answers = cx.iam.simulate(principal_arn, &[question.request()]).await?;
        let refused = |answer: &Simulated| answer.decision != SimulatedDecision::Allowed && question.asks(answer);
        Ok::<_, crate::error::Error>(answers.into_iter().filter(refused).collect::<Vec<_>>())
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// Whether an answer is the organisation's denial, which no policy of the account can lift.
pub(super) fn of_organization(answer: &Simulated) -> bool {
    answer.allowed_by_organization == Some(false)
}

/// Who can lift it.
pub(super) const ASK_THE_ORGANIZATION: &str = "ask whoever keeps the organisation's service control policies to allow these actions; \
                                               nothing in this account can";

/// The names of actions, the first of many.
pub(super) fn actions(refused: &[&Simulated]) -> String {
    const SHOWN: usize = 4;
    let names: BTreeSet<_> = refused.iter().map(|answer| answer.action.as_str()).collect();
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn questions(document: &Document, region: &str, account: &str) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for statement in document.statements.iter().filter(|statement| statement.effect == Effect::Allow) {
        let resources: Vec<_> =
            statement.resource.iter().flatten().map(|resource| example(resource, region, account)).collect();
        let of_action = |action: &String| -> Vec<_> {
            resources.iter().map(|resource| (action.clone(), resource.clone())).collect()
        };
        let question = Question {
            pairs: statement.action.iter().flatten().flat_map(of_action).collect(),
            context: context(&statement.condition),
        };
        match questions.iter_mut().find(|earlier| earlier.fits(&question)) {
            Some(earlier) => {
                earlier.pairs.extend(question.pairs);
                earlier.context.extend(question.context);
            }
            None => questions.push(question),
        }
    }
    questions
}

/// Condition keys with values that meet a condition.
fn context(condition: &Condition) -> BTreeMap<String, Option<Vec<String>>> {
    let mut context = BTreeMap::new();
    for (operator, keys) in condition {
        for (key, values) in keys {
            let value = match operator.as_str() {
                "Null" if values.iter().any(|value| value == "true") => None,
                "Null" => Some(ANY.to_owned()),
                // Where something is not to be said, nothing is said.
                other if other.contains("Not") => None,
                _ => values.first().map(|value| value.replace('*', ANY)),
            };
            let said = value.is_some();
            // A key that two operators name keeps the value that the stricter one gives.
            let kept: &mut Option<Vec<String>> = context.entry(key.clone()).or_default();
            if said && operator != "Null" || kept.is_none() {
                *kept = value.map(|value| vec![value]);
            }
        }
    }
    context
}

/// An ARN that a pattern matches.
fn example(pattern: &str, region: &str, account: &str) -> String {
    if pattern == "*" {
        return pattern.to_owned();
    }
    let parts: Vec<_> = pattern.splitn(6, ':').enumerate().collect();
    let filled = parts.iter().map(|(place, part)| match (place, *part) {
        (3, "*") => region.to_owned(),
        (4, "*") => account.to_owned(),
        (_, part) => part.replace('*', "x"),
    });
    filled.collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load_balancer_controller_policy;

    #[test]
    fn few_questions_are_enough_for_the_controller() {
        let document = load_balancer_controller_policy("aws").unwrap();
        let questions = questions(&document, "eu-west-1", "111122223333");
        assert!(questions.len() <= 4, "{}", questions.len());
        let asked: BTreeSet<_> =
            questions.iter().flat_map(|question| &question.pairs).map(|(action, _)| action).collect();
        let named: BTreeSet<_> =
            document.statements.iter().flat_map(|statement| statement.action.iter().flatten()).collect();
        assert_eq!(asked, named);
        for question in &questions {
            let request = question.request();
            assert!(request.resources.iter().all(|resource| !resource.contains('*')), "{request:?}");
        }
    }

    #[test]
    fn an_answer_for_everything_is_one_for_each_resource() {
        let pair = |action: &str, resource: &str| (action.to_owned(), resource.to_owned());
        let question = Question {
            pairs: BTreeSet::from([pair("ec2:DescribeVpcs", "arn:v"), pair("ec2:CreateTags", "arn:t")]),
            context: BTreeMap::new(),
        };
        let asks = |action: &str, resource: &str| {
            let answer = Simulated {
                action: action.to_owned(),
                resource: resource.to_owned(),
                decision: SimulatedDecision::ImplicitDeny,
                policies: Vec::new(),
                missing: Vec::new(),
                within_boundary: None,
                allowed_by_organization: None,
            };
            question.asks(&answer)
        };
        assert!(asks("ec2:DescribeVpcs", "arn:v") && asks("ec2:DescribeVpcs", "*") && asks("EC2:createTags", "arn:t"));
        assert!(!asks("ec2:DescribeVpcs", "arn:t") && !asks("ec2:DeleteTags", "*"));
    }

    #[test]
    fn what_contradicts_is_asked_apart() {
        let statement = |null: &str| {
            format!(
                r#"{{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"arn:aws:ec2:*:*:volume/*",
                "Condition":{{"Null":{{"aws:RequestTag/x":"{null}"}},"StringEquals":{{"ec2:CreateAction":["A","B"]}}}}}}"#
            )
        };
        let document =
            format!(r#"{{"Version":"2012-10-17","Statement":[{},{}]}}"#, statement("true"), statement("false"));
        let questions = questions(&Document::parse(&document).unwrap(), "eu-west-1", "1");
        assert_eq!(questions.len(), 2);
        let requests: Vec<_> = questions.iter().map(Question::request).collect();
        assert_eq!(requests[0].resources, ["arn:aws:ec2:eu-west-1:1:volume/x"]);
        assert_eq!(requests[0].context, [("ec2:CreateAction".to_owned(), vec!["A".to_owned()])]);
        assert_eq!(requests[1].context.len(), 2);
    }
}
