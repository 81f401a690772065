//! Whether the caller may do what an apply does: in AWS by asking IAM about the statements of `permissions`, in the cluster by
//! asking the API server verb by verb. Neither leaves anything behind.

use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::simulation::{ASK_THE_ORGANIZATION, actions, of_organization, refused};
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::permissions::cluster::rights;
use crate::permissions::entry::GROUP;
use crate::permissions::{Purpose, policy};
use crate::read::contents;
use crate::read::kube::Access;
use crate::read::simulation::{Simulated, SimulatedDecision};

const BEFORE: &[Stage] = &[Stage::Before];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-PERM-001",
        title: "the caller may make what apply makes in AWS",
        severity: Severity::Error,
        stages: BEFORE,
        why: "an apply that is denied in the middle leaves a role without its policy",
        breaks: "AccessDenied for iam: calls, from a policy, a boundary or the organisation",
        mend: "give the caller what `eks-bootstrap permissions` prints",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html",
            "eksctl-io/eksctl#2749, eksctl-io/eksctl#4764, eksctl-io/eksctl#6148",
        ],
    },
    Check {
        id: "EKB-PERM-002",
        title: "the caller may install in the cluster",
        severity: Severity::Error,
        stages: BEFORE,
        why: "IAM permissions say nothing about the cluster: access entries and RBAC do",
        breaks: "helm ends with forbidden, after the AWS objects have been made",
        mend: "give the caller's role an access policy",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html",
            "https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access",
        ],
    },
];

const AWS: &Check = &CHECKS[0];
const CLUSTER: &Check = &CHECKS[1];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        if super::components(scene).is_empty() {
            return Vec::new();
        }
        let (aws, cluster) = tokio::join!(in_aws(scene.cx), denied(scene.cx));
        vec![aws, in_cluster(&cluster)]
    }
    .boxed()
}

/// The caller as IAM knows it.
enum Principal {
    /// A role or a user.
    Arn(String),
    /// Nobody whom IAM can be asked about, and why.
    Other(String),
}

/// A session's ARN has no path; the role's has.
async fn principal(cx: &ReadContext) -> Principal {
    let caller = &cx.facts.caller_arn;
    let resource = caller.splitn(6, ':').nth(5).unwrap_or_default();
    let Some(session) = resource.strip_prefix("assumed-role/") else {
        return if resource.starts_with("user/") {
            Principal::Arn(caller.clone())
        } else {
            Principal::Other(format!("{caller} is neither a role nor a user"))
        };
    };
    let name = session.split('/').next().unwrap_or_default();
    match cx.iam.role(name).await {
        Ok(Some(role)) => Principal::Arn(role.arn),
        Ok(None) => Principal::Other(format!("IAM does not know the caller's role {name}")),
        Err(error) => Principal::Other(crate::error::chain_of(&error).join(": ")),
    }
}

async fn in_aws(cx: &ReadContext) -> Finding {
    let arn = match principal(cx).await {
        Principal::Arn(arn) => arn,
        Principal::Other(reason) => return AWS.skipped(reason),
    };
    let document = policy(Purpose::Apply, &cx.config, &cx.facts);
    judge(&refused(cx, &arn, &document).await, &arn)
}

fn judge(asked: &Result<Vec<Simulated>>, arn: &str) -> Finding {
    let refused = match asked {
        Ok(refused) => refused,
        // Who may not ask may still be allowed everything.
        Err(error) => return AWS.skipped(crate::error::chain_of(error).join(": ")),
    };
    let Some(first) = refused.first() else { return AWS.passed("IAM allows apply's calls to the caller") };
    let by_organization: Vec<_> = refused.iter().filter(|answer| of_organization(answer)).collect();
    if let Some(first) = by_organization.first() {
        return AWS.failed(
            format!("a policy of the organisation denies {} to the caller", actions(&by_organization)),
            format!("{} on {}: denied by a service control policy", first.action, first.resource),
            format!("allowed to {arn}"),
            ASK_THE_ORGANIZATION,
        );
    }
    let all: Vec<_> = refused.iter().collect();
    let why = match (first.decision, first.within_boundary, first.policies.first()) {
        (SimulatedDecision::ExplicitDeny, _, Some(policy)) => format!("denied by policy {policy}"),
        (_, Some(false), _) => "outside the caller's permissions boundary".to_owned(),
        _ => "allowed by no policy".to_owned(),
    };
    AWS.failed(
        format!("the caller may not {}", actions(&all)),
        format!("{} on {}: {why}", first.action, first.resource),
        format!("allowed to {arn}"),
        "eks-bootstrap permissions --for apply",
    )
}

/// What the caller may not do in the cluster.
async fn denied(cx: &ReadContext) -> Result<Vec<String>> {
    // An administrator is known by one question.
    if cx.kube.may(&Access { verb: "*", group: "*", resource: "*", ..Access::default() }).await? {
        return Ok(Vec::new());
    }
    // A chart that is not to be had is another check's finding; then its objects are not asked for.
    let charts = contents::rendered(&cx.charts, &cx.config, &cx.facts).await.unwrap_or_default();
    let told = contents::told(&cx.kube, contents::unknown(&charts)).await;
    let charts: Vec<_> = charts.iter().map(|chart| chart.contents(&told)).collect();
    let rights = rights(Purpose::Apply, &cx.config, &cx.facts, GROUP, &charts);
    let places = rights.namespaced.iter().map(|(namespace, rules)| (namespace.as_str(), rules));
    let rules = places
        .chain([("", &rights.cluster)])
        .flat_map(|(namespace, rules)| rules.iter().map(move |rule| (namespace, rule)));
    let questions = rules.flat_map(|(namespace, rule)| {
        // A rule holds for all its names or for none.
        let name = rule.names.first().map_or("", String::as_str);
        let verbs = |resource| rule.verbs.iter().map(move |verb| (resource, verb));
        rule.resources.iter().flat_map(verbs).map(move |(resource, verb)| async move {
            let may = cx.kube.may(&Access { verb, group: &rule.group, resource, namespace, name }).await?;
            let group = if rule.group.is_empty() { String::new() } else { format!(".{}", rule.group) };
            Ok::<_, Error>((!may).then(|| format!("{verb} {resource}{group}")))
        })
    });
    Ok(try_join_all(questions).await?.into_iter().flatten().collect())
}

fn in_cluster(denied: &Result<Vec<String>>) -> Finding {
    let denied = match denied {
        Ok(denied) => denied,
        Err(error) => return CLUSTER.unread(error),
    };
    let Some(first) = denied.first() else {
        return CLUSTER.passed("the API server allows apply's calls to the caller");
    };
    let more = if denied.len() > 1 { format!(" and {} more", denied.len() - 1) } else { String::new() };
    CLUSTER.failed(
        format!("the caller may not {first}{more}"),
        format!("denied: {}", denied.join(", ")),
        "what `eks-bootstrap permissions --for apply --kubernetes` prints",
        "eks-bootstrap permissions --for apply --kubernetes | kubectl apply -f -",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn what_denies_is_named() {
        let answer = |decision, policies: &[&str], within_boundary| Simulated {
            action: "iam:CreateRole".to_owned(),
            resource: "arn:r".to_owned(),
            decision,
            policies: policies.iter().map(|policy| (*policy).to_owned()).collect(),
            missing: Vec::new(),
            within_boundary,
            allowed_by_organization: None,
        };
        let observed = |answer| match judge(&Ok(vec![answer]), "arn:me").verdict {
            Verdict::Failed { observed, .. } => observed,
            other => panic!("{other:?}"),
        };
        let denied = observed(answer(SimulatedDecision::ExplicitDeny, &["guard"], None));
        assert_eq!(denied, "iam:CreateRole on arn:r: denied by policy guard");
        let outside = observed(answer(SimulatedDecision::ImplicitDeny, &[], Some(false)));
        assert!(outside.ends_with("permissions boundary"), "{outside}");
        // What the organisation denies is told first: no policy of the caller's mends it.
        let organization =
            Simulated { allowed_by_organization: Some(false), ..answer(SimulatedDecision::ExplicitDeny, &[], None) };
        let both = vec![answer(SimulatedDecision::ImplicitDeny, &[], None), organization];
        let finding = judge(&Ok(both), "arn:me");
        assert_eq!(finding.says, "a policy of the organisation denies iam:CreateRole to the caller");
        let Verdict::Failed { mend, .. } = &finding.verdict else { panic!("{finding:?}") };
        assert!(mend.contains("service control policies") && !mend.contains("eks-bootstrap permissions"), "{mend}");
        assert_eq!(judge(&Ok(Vec::new()), "arn:me").verdict, Verdict::Passed);
    }
}
