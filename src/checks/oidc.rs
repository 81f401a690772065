//! The cluster's IAM OIDC provider: there, with the audience of EKS' tokens. Providers of other clusters, left over or not, are
//! not looked at; only where ours is missing they are counted, since an account takes a hundred.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::{AFTER, ALWAYS};
use crate::config::Identity;
use crate::error::Result;
use crate::policy::AUDIENCE;
use crate::read::iam::OidcProvider;

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-OIDC-001",
        title: "the account has an OIDC provider for the cluster's issuer",
        severity: Severity::Error,
        stages: AFTER,
        why: "IAM takes a service account's token only from an issuer that the account knows",
        breaks: "AssumeRoleWithWebIdentity answers InvalidIdentityToken: no OpenIDConnect provider found",
        mend: "apply makes the provider",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html",
            "eksctl-io/eksctl#1550, terraform-aws-modules/terraform-aws-eks#1997",
        ],
    },
    Check {
        id: "EKB-OIDC-002",
        title: "the OIDC provider takes the audience sts.amazonaws.com",
        severity: Severity::Error,
        stages: AFTER,
        why: "tokens for pods carry this audience, in every partition",
        breaks: "AssumeRoleWithWebIdentity answers InvalidIdentityToken: incorrect token audience",
        mend: "apply adds the audience",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html",
            "kubernetes-sigs/aws-load-balancer-controller#3410, kubernetes/autoscaler#4074, awslabs/amazon-eks-irsa-cfn#18",
        ],
    },
    Check {
        id: "EKB-OIDC-003",
        title: "the account has room for one more OIDC provider",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "an account takes 100 providers unless the quota was raised, and deleted clusters leave theirs behind",
        breaks: "CreateOpenIDConnectProvider answers LimitExceeded",
        mend: "delete providers of clusters that are gone, or have the quota raised",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
            "eksctl-io/eksctl#4513",
        ],
    },
];

const THERE: &Check = &CHECKS[0];
const TAKES: &Check = &CHECKS[1];
const ROOM: &Check = &CHECKS[2];

/// Providers of an account unless the quota was raised.
const QUOTA: usize = 100;
/// From how many on the quota is near.
const NEAR: usize = 95;

const MEND: &str = "eks-bootstrap apply --only iam.oidc-provider";

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components_with_role(scene);
        if components.is_empty() {
            return Vec::new();
        }
        if components.iter().all(|component| component.identity(&scene.cx.config) == Identity::PodIdentity) {
            return CHECKS.iter().map(|check| check.skipped("everything uses EKS Pod Identity")).collect();
        }
        let arn = scene.cx.facts.provider_arn();
        let provider = scene.cx.iam.oidc_provider(&arn).await;
        let mut findings = judge(&provider, &arn).to_vec();
        findings.push(match provider {
            Ok(None) => room(scene.cx.iam.oidc_providers().await),
            _ => ROOM.skipped("none is missing"),
        });
        findings
    }
    .boxed()
}

fn judge(provider: &Result<Option<OidcProvider>>, arn: &str) -> [Finding; 2] {
    match provider {
        Ok(Some(provider)) => {
            let there = THERE.passed("the cluster's issuer has an OIDC provider");
            let audiences = provider.audiences.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let takes = if provider.audiences.contains(AUDIENCE) {
                TAKES.passed(format!("it takes the audience {AUDIENCE}"))
            } else {
                let observed = if audiences.is_empty() { "no audience".to_owned() } else { audiences };
                TAKES.failed("the OIDC provider takes another audience", observed, AUDIENCE, MEND)
            };
            [there, takes]
        }
        Ok(None) => [
            THERE.failed("the cluster's issuer has no OIDC provider", "no provider", arn, MEND),
            TAKES.skipped("needs EKB-OIDC-001"),
        ],
        Err(error) => [THERE.unread(error), TAKES.skipped("needs EKB-OIDC-001")],
    }
}

fn room(providers: Result<Vec<String>>) -> Finding {
    match providers {
        Ok(providers) if providers.len() >= NEAR => ROOM.failed(
            "the account's quota of OIDC providers is nearly used up",
            format!("{} providers", providers.len()),
            format!("fewer than {NEAR}, for a quota of {QUOTA}"),
            "aws iam list-open-id-connect-providers",
        ),
        Ok(providers) => ROOM.passed(format!("{} providers in the account, of {QUOTA}", providers.len())),
        Err(error) => ROOM.unread(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn what_the_provider_says_decides() {
        let judged = |audiences: &[&str]| {
            let audiences: BTreeSet<String> = audiences.iter().map(|audience| (*audience).to_owned()).collect();
            judge(&Ok(Some(OidcProvider { audiences, tags: BTreeMap::new() })), "arn:p")
        };
        assert!(judged(&["x", AUDIENCE]).iter().all(|finding| finding.verdict == Verdict::Passed));
        assert_eq!(judged(&["sts.amazonaws.com.cn"])[1].severity(), Some(Severity::Error));
        assert_eq!(judge(&Ok(None), "arn:p")[0].severity(), Some(Severity::Error));
    }

    #[test]
    fn a_quota_that_is_nearly_used_up_is_a_warning() {
        let severity = |count: usize| room(Ok(vec![String::new(); count])).severity();
        assert_eq!((severity(94), severity(95)), (None, Some(Severity::Warning)));
    }
}
