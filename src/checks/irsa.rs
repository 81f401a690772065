//! The identity of a component's pods (IAM roles for service accounts), link by link and then as a whole: service account,
//! annotation, role, trust policy, the exchange itself, and what the running pods were really given.
//!
//! The exchange proves; the trust policy is judged here too, so that a refusal, of which STS says only `AccessDenied`, gets
//! its reason. No link is taken for granted because another one holds.

mod account;
mod pods;
mod proof;
mod role;
mod token;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::AFTER;
use crate::component::Component;
use crate::config::Identity as Way;
use crate::names;
use crate::policy::{self, TrustRequest};
use crate::read::kube::ObjectRef;

const GUIDE: &str = "https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html";
const WEBHOOK: &str = "https://github.com/aws/amazon-eks-pod-identity-webhook";

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-IRSA-001",
        title: "the service account of the controller exists",
        severity: Severity::Error,
        stages: AFTER,
        why: "pods run as a service account, and the role is bound to its name",
        breaks: "the Deployment makes no pods: serviceaccount not found",
        mend: "apply makes it, or has the chart make it",
        references: &[GUIDE, "eksctl-io/eksctl#1728, eksctl-io/eksctl#2665, eksctl-io/eksctl#7348"],
    },
    Check {
        id: "EKB-IRSA-002",
        title: "the service account is annotated with its role",
        severity: Severity::Error,
        stages: AFTER,
        why: "EKS' webhook gives pods the role that this annotation names, letter by letter",
        breaks: "pods get no role, or one that they may not assume, and fall back on the node's",
        mend: "apply sets the annotation; new pods see it",
        references: &[GUIDE, "eksctl-io/eksctl#1296, eksctl-io/eksctl#2901, eksctl-io/eksctl#4941"],
    },
    Check {
        id: "EKB-IRSA-003",
        title: "the role exists",
        severity: Severity::Error,
        stages: AFTER,
        why: "it holds what the controller may do in AWS",
        breaks: "AssumeRoleWithWebIdentity answers AccessDenied",
        mend: "apply makes the role and attaches its policy",
        references: &[GUIDE, "kubernetes-sigs/aws-ebs-csi-driver#1033, kubernetes-sigs/aws-ebs-csi-driver#1342"],
    },
    Check {
        id: "EKB-IRSA-004",
        title: "the role's trust policy lets this service account in",
        severity: Severity::Error,
        stages: AFTER,
        why: "provider, audience and subject all have to fit; AWS does not say which one does not",
        breaks: "AssumeRoleWithWebIdentity answers AccessDenied although everything looks installed",
        mend: "apply corrects our statement and leaves those of others",
        references: &[
            GUIDE,
            "kubernetes-sigs/aws-load-balancer-controller#1935, #1153, #1171, #4199; aws/eks-charts#507",
            "awslabs/cdk-eks-blueprints#419 (the subject named the chart)",
        ],
    },
    Check {
        id: "EKB-IRSA-005",
        title: "a token of the service account is really exchanged for the role",
        severity: Severity::Error,
        stages: AFTER,
        why: "only the exchange proves that token, provider, audience, trust and role fit together",
        breaks: "the controller runs, and every call to AWS fails",
        mend: "mend what the finding names",
        references: &[
            "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html",
            "kubernetes-sigs/aws-load-balancer-controller#1935, hashicorp/terraform-provider-aws#6566 (IAM is slow)",
        ],
    },
    Check {
        id: "EKB-IRSA-006",
        title: "running pods carry the role",
        severity: Severity::Error,
        stages: AFTER,
        why: "the webhook acts when a pod is admitted; pods that are older than the annotation have nothing of it",
        breaks: "errors of the instance metadata service, or the node's permissions, although the annotation is right",
        mend: "restart the Deployment, so that new pods are admitted",
        references: &[WEBHOOK, "kubernetes-sigs/aws-ebs-csi-driver#1449, aws/amazon-eks-pod-identity-webhook#210"],
    },
    Check {
        id: "EKB-IRSA-007",
        title: "the controller runs as the service account that the role trusts",
        severity: Severity::Error,
        stages: AFTER,
        why: "a chart that is told neither to make nor to use an account runs its pods as `default`",
        breaks: "AccessDenied, or no role at all, while the annotated account is used by nobody",
        mend: "set the chart's service account",
        references: &[GUIDE, "kubernetes-sigs/aws-load-balancer-controller#2055, eksctl-io/eksctl#3912"],
    },
    Check {
        id: "EKB-IRSA-008",
        title: "running pods ask STS in the cluster's region",
        severity: Severity::Warning,
        stages: AFTER,
        why: "another region's endpoints may be unreachable from the VPC, and hold other load balancers and volumes",
        breaks: "time-outs of STS, or a controller that looks for its objects in another region",
        mend: "set the region in the pods' environment, or leave it to the webhook",
        references: &[WEBHOOK, "kubernetes-sigs/aws-ebs-csi-driver#2619"],
    },
    Check {
        id: "EKB-IRSA-009",
        title: "the trust policy lets in nobody else of the cluster",
        severity: Severity::Warning,
        stages: AFTER,
        why: "without a condition on the subject every pod of the cluster can take the controller's permissions",
        breaks: "nothing, until someone uses it",
        mend: "name audience and subject in every statement",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html",
            "https://aws.github.io/aws-eks-best-practices/security/docs/iam/",
        ],
    },
    Check {
        id: "EKB-IRSA-010",
        title: "nothing in the service accounts keeps pods from their tokens",
        severity: Severity::Error,
        stages: AFTER,
        why: "an account with automountServiceAccountToken: false, or an annotation of another tool, counts for all its pods \
              that do not say otherwise themselves",
        breaks: "controllers that crash because they cannot reach the API server, pods that are refused, or tokens that AWS \
                 refuses, although account and role look right",
        mend: "apply mounts the token and takes the annotation off; an account of someone else is taken over with --adopt",
        references: &[
            "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/",
            "kubernetes-sigs/aws-load-balancer-controller#1636, #978, #965",
        ],
    },
];

const ACCOUNT: &Check = &CHECKS[0];
const ANNOTATED: &Check = &CHECKS[1];
const ROLE: &Check = &CHECKS[2];
const TRUST: &Check = &CHECKS[3];
const PROOF: &Check = &CHECKS[4];
const CARRIES: &Check = &CHECKS[5];
const RUNS_AS: &Check = &CHECKS[6];
const REGION: &Check = &CHECKS[7];
const BROAD: &Check = &CHECKS[8];
const TOKEN: &Check = &CHECKS[9];

/// What a component's pods have to be.
struct Identity {
    component: Component,
    role_arn: String,
    /// The kind of the step that installs the component.
    installer: &'static str,
    /// Whether the user named the role.
    named: bool,
    provider_arn: String,
    issuer: String,
    cluster_arn: String,
    region: String,
}

impl Identity {
    fn of(scene: &Scene<'_>, component: &Component) -> Identity {
        let (config, facts) = (&scene.cx.config, &scene.cx.facts);
        Identity {
            component: *component,
            role_arn: component.role_arn(config, facts),
            installer: component.installer(config),
            named: component.configured(config).role_arn.is_some(),
            provider_arn: facts.provider_arn(),
            issuer: facts.issuer.clone(),
            cluster_arn: facts.arn.clone(),
            region: facts.region.clone(),
        }
    }

    fn role_name(&self) -> &str {
        names::last_part(&self.role_arn)
    }

    fn account(&self) -> String {
        format!("{}/{}", self.component.namespace, self.component.service_account)
    }

    fn request(&self) -> TrustRequest {
        TrustRequest {
            provider_arn: self.provider_arn.clone(),
            issuer: self.issuer.clone(),
            audience: policy::AUDIENCE.to_owned(),
            subject: self.component.subject(),
        }
    }

    /// The apply of one step, and of others that it takes.
    fn apply(&self, steps: &[&str]) -> String {
        super::apply_only(&self.component, steps)
    }
}

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components_with_role(scene);
        let each = components.iter().map(|component| of_component(scene, component));
        join_all(each).await.into_iter().flatten().collect()
    }
    .boxed()
}

async fn of_component(scene: &Scene<'_>, component: &Component) -> Vec<Finding> {
    let identity = Identity::of(scene, component);
    let cx = scene.cx;
    let by_pod_identity = component.identity(&cx.config) == Way::PodIdentity;
    let account = ObjectRef::new("v1", "ServiceAccount", component.namespace, component.service_account);
    let (role, account, proof, pods, tokens) = tokio::join!(
        cx.iam.role(identity.role_name()),
        cx.kube.get(&account),
        async {
            // Without the other way's trust the exchange would only be refused.
            if by_pod_identity { proof::Proof::NoAccount } else { proof::prove(cx, &identity).await }
        },
        pods::read(cx, component),
        token::read(cx, component),
    );
    let verdict = role::verdict(&identity, &role);
    [
        account::exists(&identity, &account),
        account::annotated(&identity, &account),
        role::exists(&identity, &role),
        role::trusts(&identity, &role, verdict.as_ref()),
        proof::finding(&identity, &proof, &role, verdict.as_ref()),
        pods::carry(&identity, &pods),
        pods::run_as(&identity, &pods),
        pods::region(&identity, &pods),
        role::broad(&identity, &role, verdict.as_ref()),
        token::finding(&identity, &tokens),
    ]
    .map(|finding| {
        let of_irsa = [ANNOTATED, TRUST, PROOF, CARRIES, BROAD].iter().any(|check| check.id == finding.check.id);
        let skipped = by_pod_identity && of_irsa;
        if skipped { finding.check.skipped("it uses EKS Pod Identity") } else { finding }.about(component.short)
    })
    .to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::component::LOAD_BALANCER_CONTROLLER;

    pub(super) fn identity() -> Identity {
        Identity {
            component: LOAD_BALANCER_CONTROLLER,
            role_arn: "arn:aws:iam::111122223333:role/r".to_owned(),
            installer: "helm",
            named: false,
            provider_arn: "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB".to_owned(),
            issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/AB".to_owned(),
            cluster_arn: "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned(),
            region: "eu-west-1".to_owned(),
        }
    }
}
