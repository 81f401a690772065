//! EKS Pod Identity beside IAM roles for service accounts: two ways to one role hide each other's mistakes.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::AFTER;
use crate::component::Component;
use crate::error::Result;
use crate::read::eks::Association;

/// The checks.
pub(super) const CHECKS: &[Check] = &[Check {
    id: "EKB-PODID-001",
    title: "no Pod Identity association competes with the service account's annotation",
    severity: Severity::Warning,
    stages: AFTER,
    why: "the AWS SDKs take the web identity of the annotation first, so the association is made and never used",
    breaks: "changes to the association's role have no effect; a half migration looks finished",
    mend: "delete the association, or migrate fully and take the annotation away",
    references: &[
        "https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html",
        "camunda/camunda-docs#9263, aws/containers-roadmap#2507",
    ],
}];

const ALONE: &Check = &CHECKS[0];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components_with_role(scene);
        let mut namespaces: Vec<_> = components.iter().map(|component| component.namespace).collect();
        namespaces.dedup();
        let mut findings = Vec::new();
        for namespace in namespaces {
            let associations = scene.cx.eks.associations(&scene.cx.facts.cluster, namespace).await;
            let there = components.iter().filter(|component| component.namespace == namespace);
            findings.extend(there.map(|component| judge(&associations, component, &scene.cx.facts.cluster)));
        }
        findings
    }
    .boxed()
}

fn judge(associations: &Result<Vec<Association>>, component: &Component, cluster: &str) -> Finding {
    let finding = match associations {
        Ok(associations) => {
            let found =
                associations.iter().find(|association| association.service_account == component.service_account);
            match found {
                None => ALONE.passed("no Pod Identity association beside the annotation"),
                Some(association) => ALONE.failed(
                    "a Pod Identity association exists and is not used: the annotation wins",
                    format!(
                        "association {} for {}/{}",
                        association.id, association.namespace, association.service_account
                    ),
                    "no association",
                    format!(
                        "aws eks delete-pod-identity-association --cluster-name {cluster} --association-id {}",
                        association.id
                    ),
                ),
            }
        }
        Err(error) => ALONE.unread(error),
    };
    finding.about(component.short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};

    #[test]
    fn only_an_association_of_the_same_account_competes() {
        let association = Association {
            id: "a-1".to_owned(),
            namespace: "kube-system".to_owned(),
            service_account: "ebs-csi-controller-sa".to_owned(),
        };
        let found = Ok(vec![association]);
        assert_eq!(judge(&found, &EBS_CSI_DRIVER, "demo").severity(), Some(Severity::Warning));
        assert_eq!(judge(&found, &LOAD_BALANCER_CONTROLLER, "demo").severity(), None);
    }
}
