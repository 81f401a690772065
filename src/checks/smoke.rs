//! The smoke workload of `verify --deep`: each aspect of a run as the finding of a check. The run itself is in `smoke/`,
//! since it writes and the families only read.

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::error::Error;
use crate::smoke::{Aspect, Ended, Report, SmokeResult};

/// The checks: one for each aspect, in their order, and the one for what is left.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-SMOK-001",
        title: "a namespace with restricted pod security is made",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "everything of the workload lives in it, and it keeps the workload away from the users' own",
        breaks: "nothing else can be tried; admission policies that forbid namespaces are the usual reason",
        mend: "let the caller make namespaces, or name one that policies allow with --smoke-namespace",
        references: &["https://kubernetes.io/docs/concepts/security/pod-security-standards/"],
    },
    Check {
        id: "EKB-SMOK-002",
        title: "a Deployment with all three probes rolls out",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "nodes must pull images, have room, and let the kubelet reach the pods",
        breaks: "ImagePullBackOff, Pending or restarting pods, for users' applications as for this one",
        mend: "look at the cause; pass --smoke-image where nodes reach only a registry of your own",
        references: &[
            "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
        ],
    },
    Check {
        id: "EKB-SMOK-003",
        title: "a claim is bound to a gp3 volume and a pod writes to it",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "only a volume that was made, attached and written to proves the driver's role, KMS keys and zones",
        breaks: "PersistentVolumeClaims stay Pending, pods stay ContainerCreating",
        mend: "look at the cause: AccessDenied and UnauthorizedOperation are the driver's role or a KMS key",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html",
            "kubernetes-sigs/aws-ebs-csi-driver#2918",
        ],
    },
    Check {
        id: "EKB-SMOK-004",
        title: "an Ingress gets the address of a load balancer",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "it takes the controller's role, its policy, tagged subnets and the IngressClass together",
        breaks: "Ingresses without ADDRESS, and events that say FailedDeployModel or FailedBuildModel",
        mend: "look at the cause; `eks-bootstrap verify` names the clause of role, policy or subnets",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/alb-ingress.html",
            "https://kubernetes-sigs.github.io/aws-load-balancer-controller/",
        ],
    },
    Check {
        id: "EKB-SMOK-005",
        title: "an HTTP request through the load balancer is answered with 200",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "an address alone says nothing about security groups, targets and readiness",
        breaks: "502, 503 or 504 from the load balancer, or no answer at all",
        mend: "check the targets' health and the security groups; an internal one answers inside the VPC only",
        references: &[
            "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html",
        ],
    },
    Check {
        id: "EKB-SMOK-006",
        title: "a HorizontalPodAutoscaler reads the pods' CPU",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "the metrics API may be registered and still have nothing to say about pods",
        breaks: "autoscalers show <unknown> and never scale",
        mend: "look at metrics-server: `kubectl top pods` must answer, and nodes must let it reach port 10250",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/horizontal-pod-autoscaler.html"],
    },
    Check {
        id: "EKB-SMOK-007",
        title: "a PodDisruptionBudget counts its pods",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "node upgrades drain by it; one that counts nothing blocks them or protects nothing",
        breaks: "drains that never end, or that take every replica at once",
        mend: "look at the cause: the pods are not ready, or the controller manager is behind",
        references: &["https://kubernetes.io/docs/tasks/run-application/configure-pdb/"],
    },
    Check {
        id: "EKB-SMOK-008",
        title: "nothing of the workload is left",
        severity: Severity::Error,
        stages: &[Stage::Deep],
        why: "a load balancer or volume that stays costs money, and its finalizer holds the namespace",
        breaks: "namespaces that stay Terminating, and resources in AWS that nobody owns",
        mend: "mend the controller whose finalizer is named, then run the same command: it removes left-overs first",
        references: &["kubernetes-sigs/aws-load-balancer-controller#1629"],
    },
];

const GONE: &Check = &CHECKS[7];

/// Looks at nothing: only a run, which writes, has findings.
pub(super) fn run<'a>(_: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    ready(Vec::new()).boxed()
}

/// The check of an aspect.
fn check(aspect: Aspect) -> &'static Check {
    &CHECKS[match aspect {
        Aspect::Namespace => 0,
        Aspect::Rollout => 1,
        Aspect::Volume => 2,
        Aspect::Address => 3,
        Aspect::Http => 4,
        Aspect::Autoscaler => 5,
        Aspect::DisruptionBudget => 6,
    }]
}

/// The findings of a run.
pub(crate) fn findings(report: &Report) -> Vec<Finding> {
    let mut findings: Vec<_> = report.results.iter().map(finding).collect();
    findings.push(if report.left.is_empty() {
        GONE.passed("everything that was made is removed")
    } else {
        GONE.failed(
            "not everything could be removed",
            report.left.join("\n"),
            "nothing of it",
            "mend the controller that holds it, then `eks-bootstrap verify --deep` removes it first",
        )
    });
    findings
}

fn finding(result: &SmokeResult) -> Finding {
    let check = check(result.aspect);
    match &result.ended {
        Ended::Ok(seen) => check.passed(format!("{}: {seen} ({:.0} s)", result.aspect.title(), result.seconds)),
        Ended::Failed { cause, mend } => {
            let says = format!("{}: not after {:.0} s", result.aspect.title(), result.seconds);
            check.failed(says, cause, check.title, mend)
        }
        Ended::Skipped { reason } => check.skipped(reason),
    }
}

/// The findings where not even the plan of a run could be made.
pub(crate) fn unread(error: &Error) -> Vec<Finding> {
    CHECKS.iter().map(|check| check.unread(error)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aspect_has_a_check_of_its_own() {
        let report = Report {
            results: Aspect::ALL
                .into_iter()
                .map(|aspect| SmokeResult { aspect, ended: Ended::Ok("seen".to_owned()), seconds: 1.0 })
                .collect(),
            left: vec!["Namespace/x (held by kubernetes)".to_owned()],
            stopped: None,
        };
        let findings = findings(&report);
        let ids: Vec<_> = findings.iter().map(|finding| finding.check.id).collect();
        assert_eq!(ids, CHECKS.iter().map(|check| check.id).collect::<Vec<_>>());
        assert!(findings.iter().all(|finding| finding.severity().is_none() == (finding.check.id != "EKB-SMOK-008")));
    }
}
