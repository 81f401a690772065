//! Admission webhooks of the components: that they answer, and that what their answers hang on (endpoints, certificates) is
//! sound and stays so.
//!
//! A Service and an Ingress are created as a server-side dry run, which passes through the webhooks and keeps nothing.

mod answer;
mod certificate;
mod others;
mod registration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::{ALWAYS, components};
use crate::component::Component;
use crate::error::Result;

use registration::Registration;

const INSTALLED: &[Stage] = &[Stage::Installed];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-HOOK-001",
        title: "the webhook answers for a Service",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "it is asked about every new Service of the cluster and fails closed",
        breaks: "no Service can be created by anyone, so most charts cannot be installed",
        mend: "the text of the failure says which: no endpoints, no way to port 9443, or a certificate that does not fit",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#4140",
            "kubernetes-sigs/aws-load-balancer-controller#2462",
            "aws/eks-charts#1058",
        ],
    },
    Check {
        id: "EKB-HOOK-002",
        title: "the webhook answers for an Ingress",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "it validates every Ingress and fails closed",
        breaks: "no Ingress can be created or changed, of other classes neither",
        mend: "the text of the failure says which: no endpoints, no way to port 9443, or a certificate that does not fit",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#2039",
            "kubernetes-sigs/aws-load-balancer-controller#3215",
        ],
    },
    Check {
        id: "EKB-HOOK-003",
        title: "the webhook's Service has ready endpoints",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "the API server reaches the webhook through its Service",
        breaks: "no endpoints available for service",
        mend: "bring the controller's pods up",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#2336",
            "aws-ia/terraform-aws-eks-blueprints-addons#233",
        ],
    },
    Check {
        id: "EKB-HOOK-004",
        title: "the webhook's CA bundle signs the certificate that its pods serve",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "the chart makes new certificates at every upgrade unless it is told to keep them",
        breaks: "x509: certificate signed by unknown authority",
        mend: "let the chart make certificate and bundle anew together, and restart the pods",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#2473",
            "kubernetes-sigs/aws-load-balancer-controller#4572",
            "aws/eks-charts#562",
        ],
    },
    Check {
        id: "EKB-HOOK-005",
        title: "the webhook's certificate is for the name of its Service",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "the API server asks for SERVICE.NAMESPACE.svc and checks that name",
        breaks: "x509: certificate is valid for another name",
        mend: "let the chart make the certificate anew",
        references: &["kubernetes-sigs/aws-load-balancer-controller#2071"],
    },
    Check {
        id: "EKB-HOOK-006",
        title: "the webhook's certificate is valid for another 30 days",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "nobody renews it; the chart's own are made for ten years",
        breaks: "x509: certificate has expired, and with it every Service and Ingress of the cluster",
        mend: "let the chart make the certificate anew",
        references: &["kubernetes-sigs/aws-load-balancer-controller#2927"],
    },
    Check {
        id: "EKB-HOOK-007",
        title: "all webhooks of the controller have the same CA bundle",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "one certificate is served for all of them",
        breaks: "one kind of object can be created and another cannot",
        mend: "let the chart make certificate and bundle anew together",
        references: &["kubernetes-sigs/aws-load-balancer-controller#2239"],
    },
    Check {
        id: "EKB-HOOK-008",
        title: "no webhook is left behind without its Service",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "a failed or half removed installation leaves webhooks that nobody answers any more",
        breaks: "every new Service of the cluster is refused, those of the next installation too",
        mend: "delete the webhook configurations",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#4140",
            "kubernetes-sigs/aws-load-balancer-controller#2013",
        ],
    },
    Check {
        id: "EKB-HOOK-009",
        title: "webhooks of other tools that fail closed answer",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "a policy engine or another controller may be asked about what is installed, and refuses it while its pods are gone",
        breaks: "failed calling webhook: no endpoints available for service, for service accounts, Deployments or pods",
        mend: "start the pods behind the webhook's Service, exempt the namespace, or let it fail open meanwhile",
        references: &["kyverno/kyverno#4686", "kyverno/kyverno#11122"],
    },
];

const SERVICE: &Check = &CHECKS[0];
const INGRESS: &Check = &CHECKS[1];
const ENDPOINTS: &Check = &CHECKS[2];
const SIGNED: &Check = &CHECKS[3];
const NAMES: &Check = &CHECKS[4];
const EXPIRY: &Check = &CHECKS[5];
const SAME: &Check = &CHECKS[6];
const LEFT: &Check = &CHECKS[7];
const OTHERS: &Check = &CHECKS[8];

/// The checks that are about a component's own webhooks.
fn of_components() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().filter(|check| check.id != OTHERS.id)
}

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = components(scene).into_iter().filter(|component| component.webhook_service.is_some());
        let mut findings = Box::pin(others::look(scene)).await;
        for component in components {
            let found = match Box::pin(of_component(scene, &component)).await {
                Ok(found) => found,
                Err(error) => of_components().map(|check| check.unread(&error)).collect(),
            };
            findings.extend(found.into_iter().map(|finding| finding.about(component.short)));
        }
        findings
    }
    .boxed()
}

async fn of_component(scene: &Scene<'_>, component: &Component) -> Result<Vec<Finding>> {
    let registration = Registration::read(scene, component).await?;
    let mut findings = vec![registration.left_behind(component)];
    if scene.stage == Stage::Before {
        return Ok(findings);
    }
    if registration.webhooks.is_empty() {
        let rest = of_components().filter(|check| check.id != LEFT.id);
        findings.extend(rest.map(|check| check.skipped("no webhook is registered")));
        return Ok(findings);
    }
    let (answers, certificates) = futures::join!(
        answer::look(scene, component, &registration),
        certificate::look(scene, component, &registration)
    );
    findings.push(registration.endpoints(component));
    findings.extend(answers);
    findings.extend(certificates);
    Ok(findings)
}

/// The command after which chart, webhooks and pods have one new certificate: without the Secret the chart makes one, and
/// pods that run would go on serving the old one for a while.
fn new_certificate(secret: &str, component: &Component) -> String {
    let Component { namespace, short, .. } = component;
    let deployment = component.deployment().unwrap_or(component.name);
    format!(
        "kubectl delete secret {secret} -n {namespace} && eks-bootstrap apply --only helm.{short} && kubectl rollout \
         restart deployment/{deployment} -n {namespace}"
    )
}
