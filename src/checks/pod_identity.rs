//! EKS Pod Identity: link by link where a component uses it, and where it does not, that no association competes with IRSA.
//!
//! The exchange itself is done by the agent on the node, with a token that only pods have; what can be seen from here is
//! everything that it depends on, and what the running pods were given.

mod agent;
mod trust;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::AFTER;
use crate::component::Component;
use crate::config::Identity;
use crate::error::Result;
use crate::names;
use crate::object::text;
use crate::policy::PodIdentityRequest;
use crate::read::eks::AssociationDetail;
use crate::read::kube::ObjectRef;
use crate::read::pods;
use crate::steps::catalogue::ROLE_ANNOTATION;

const GUIDE: &str = "https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html";
const RACE: &str = "aws/amazon-eks-pod-identity-webhook#210, aws/containers-roadmap#2400";

const fn error(
    id: &'static str,
    title: &'static str,
    why: &'static str,
    breaks: &'static str,
    mend: &'static str,
    references: &'static [&'static str],
) -> Check {
    Check { id, title, severity: Severity::Error, stages: AFTER, why, breaks, mend, references }
}

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        severity: Severity::Warning,
        ..error(
            "EKB-PODID-001",
            "no Pod Identity association takes the place of the service account's annotation",
            "EKS' webhook looks for an association first and then leaves the annotation without effect",
            "new pods get the association's role, and changes to the annotated one have no effect",
            "say that the component uses Pod Identity, move it back with `migrate`, or delete the association",
            &[GUIDE, "camunda/camunda-docs#9263, aws/containers-roadmap#2507"],
        )
    },
    error(
        "EKB-PODID-002",
        "the Pod Identity agent runs on the nodes of the controller's pods",
        "pods get their credentials from the agent of their own node",
        "time-outs of 169.254.170.23, and controllers that do nothing",
        "apply makes the add-on; restart the DaemonSet; nodes of Fargate and Windows have no agent",
        &[
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html",
            "aws/eks-pod-identity-agent#52, #153",
        ],
    ),
    error(
        "EKB-PODID-003",
        "the association gives the service account its role",
        "without one, or with another role, pods have no or other permissions",
        "`no EC2 IMDS role found`, or AccessDenied for what another role may not do",
        "apply makes or corrects the association",
        &["https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html", RACE],
    ),
    error(
        "EKB-PODID-004",
        "the role's trust policy lets EKS assume it for this service account",
        "EKS needs both sts:AssumeRole and sts:TagSession, and every condition has to fit the session's tags",
        "AccessDeniedException of AssumeRoleForPodIdentity in the agent's log",
        "apply corrects our statement and leaves those of others",
        &["https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html", GUIDE],
    ),
    error(
        "EKB-PODID-005",
        "running pods were given the agent's address, and no web identity",
        "EKS' webhook acts when a pod is admitted; pods that are older than the association have nothing of it",
        "all objects in AWS look right, and the controller has no permissions",
        "apply replaces such pods",
        &[RACE, GUIDE],
    ),
    error(
        "EKB-PODID-006",
        "no IRSA annotation is left on the service account",
        "the annotation has no effect beside an association, until that is deleted; tools that read it are misled",
        "AccessDenied of AssumeRoleWithWebIdentity once the association is gone",
        "apply takes the annotation off",
        &[GUIDE, "camunda/camunda-docs#9263"],
    ),
    Check {
        severity: Severity::Warning,
        ..error(
            "EKB-PODID-007",
            "the trust policy lets in no other service account by Pod Identity",
            "EKS' service principal is the same for all clusters, so without conditions every association that may pass the role gets it",
            "nothing, until someone uses it",
            "name cluster, namespace and service account in every statement",
            &["https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html", GUIDE],
        )
    },
];

const ALONE: &Check = &CHECKS[0];
const AGENT: &Check = &CHECKS[1];
const ASSOCIATED: &Check = &CHECKS[2];
const TRUSTED: &Check = &CHECKS[3];
const CARRIED: &Check = &CHECKS[4];
const BARE: &Check = &CHECKS[5];
const NARROW: &Check = &CHECKS[6];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components_with_role(scene);
        let each = components.iter().map(|component| async move {
            let findings = match component.identity(&scene.cx.config) {
                Identity::Irsa => vec![beside_irsa(scene, component).await],
                Identity::PodIdentity => Box::pin(of_component(scene, component)).await,
            };
            findings.into_iter().map(|finding| finding.about(component.short)).collect::<Vec<_>>()
        });
        join_all(each).await.into_iter().flatten().collect()
    }
    .boxed()
}

async fn beside_irsa(scene: &Scene<'_>, component: &Component) -> Finding {
    let cluster = &scene.cx.facts.cluster;
    let associations = scene.cx.eks.associations(cluster, component.namespace).await;
    let associations = match associations {
        Ok(associations) => associations,
        Err(error) => return ALONE.unread(&error),
    };
    let found = associations.into_iter().find(|association| association.service_account == component.service_account);
    match found {
        None => ALONE.passed("no Pod Identity association beside the annotation"),
        Some(association) => ALONE.failed(
            "a Pod Identity association exists, and new pods get its role: the annotation has no effect",
            format!("association {} for {}/{}", association.id, association.namespace, association.service_account),
            "no association",
            // Deleting it would take their role from pods that use it.
            format!("eks-bootstrap migrate --to irsa --component {0} --adopt eks.pod-identity.{0}", component.short),
        ),
    }
}

async fn of_component(scene: &Scene<'_>, component: &Component) -> Vec<Finding> {
    let (cx, facts) = (scene.cx, scene.cx.facts.as_ref());
    let role_arn = component.role_arn(&cx.config, facts);
    let wanted = Wanted {
        component,
        request: PodIdentityRequest {
            cluster_arn: facts.arn.clone(),
            namespace: component.namespace.to_owned(),
            service_account: component.service_account.to_owned(),
        },
        role_arn: role_arn.clone(),
    };
    let account = ObjectRef::new("v1", "ServiceAccount", component.namespace, component.service_account);
    let role_name = names::last_part(&role_arn);
    let deployment = component.deployment().unwrap_or_default();
    let (association, role, account, running, agent) = tokio::join!(
        cx.eks.association(&facts.cluster, component.namespace, component.service_account),
        cx.iam.role(role_name),
        cx.kube.get(&account),
        pods::running(&cx.kube, component.namespace, deployment),
        agent::read(scene),
    );
    vec![
        ALONE.skipped("it uses EKS Pod Identity"),
        wanted.agent(&agent, &running, facts.auto_mode),
        wanted.associated(&association),
        wanted.trusted(&role),
        wanted.carried(&running),
        wanted.bare(&account),
        wanted.narrow(&role),
    ]
}

/// What a component's pods have to be.
struct Wanted<'a> {
    component: &'a Component,
    request: PodIdentityRequest,
    role_arn: String,
}

impl Wanted<'_> {
    /// The apply of steps of the component; the way is said with it, in case it came from a flag.
    fn apply(&self, steps: &[&str]) -> String {
        format!("{} --identity {}=pod-identity", super::apply_only(self.component, steps), self.component.short)
    }

    fn associated(&self, found: &Result<Option<AssociationDetail>>) -> Finding {
        let mend = self.apply(&["eks.pod-identity"]);
        match found {
            Ok(Some(found)) if found.role_arn != self.role_arn => {
                let says = "the association names another role";
                ASSOCIATED.failed(says, &found.role_arn, &self.role_arn, mend)
            }
            Ok(Some(found)) if found.untagged_session => {
                let says = "the association's sessions have no tags, on which the trust policy depends";
                ASSOCIATED.failed(says, "disableSessionTags: true", "disableSessionTags: false", mend)
            }
            Ok(Some(found)) => ASSOCIATED.passed(format!("association {} names its role", found.id)),
            Ok(None) => ASSOCIATED.failed("there is no association", "none", &self.role_arn, mend),
            Err(error) => ASSOCIATED.unread(error),
        }
    }

    fn carried(&self, running: &Result<Option<Vec<Value>>>) -> Finding {
        let running = match running {
            Ok(Some(running)) if !running.is_empty() => running,
            Ok(_) => return CARRIED.skipped("no pods run"),
            Err(error) => return CARRIED.unread(error),
        };
        let trouble = |pod: &Value| pods::trouble(pod, Identity::PodIdentity, &self.role_arn);
        let troubled: Vec<_> = running.iter().filter_map(|pod| Some((pod, trouble(pod)?))).collect();
        let Some((pod, observed)) = troubled.first() else {
            return CARRIED.passed(format!("{} running pods carry it", running.len()));
        };
        CARRIED.failed(
            format!("{} of {} running pods do not use Pod Identity", troubled.len(), running.len()),
            format!("pod {}: {observed}", text(pod, "/metadata/name")),
            format!("{} and no {}", pods::CONTAINER_CREDENTIALS, pods::WEB_IDENTITY),
            self.apply(&["proof.pods"]),
        )
    }

    fn bare(&self, account: &Result<Option<Value>>) -> Finding {
        let account = match account {
            Ok(Some(account)) => account,
            Ok(None) => return BARE.skipped("needs EKB-IRSA-001"),
            Err(error) => return BARE.unread(error),
        };
        let Some(role) = account["metadata"]["annotations"][ROLE_ANNOTATION].as_str() else {
            return BARE.passed("the service account has no annotation of a role");
        };
        BARE.failed(
            "the service account is annotated with a role, which has no effect beside the association",
            role,
            "no annotation",
            format!(
                "kubectl annotate serviceaccount {} -n {} {ROLE_ANNOTATION}-",
                self.component.service_account, self.component.namespace
            ),
        )
    }
}

#[cfg(test)]
mod tests;
