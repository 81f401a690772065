//! Components that have no family of their own: metrics-server, and those of the user's files. What is the same for every chart:
//! its release, and its workloads.

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::{AFTER, workload};
use crate::component::{Component, EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-COMP-001",
        title: "the release is deployed, in the version that is wanted",
        severity: Severity::Error,
        stages: AFTER,
        why: "a release that failed or hangs leaves half of its objects behind, and nobody upgrades it",
        breaks: "the component does not run, or in another version than the configuration says",
        mend: "apply installs, recovers or upgrades it",
        references: &["https://helm.sh/docs/helm/helm_status/", "helm/helm#13570 (releases that stay pending)"],
    },
    Check {
        id: "EKB-COMP-002",
        title: "the workloads have rolled out",
        severity: Severity::Error,
        stages: AFTER,
        why: "a deployed release says nothing of its pods",
        breaks: "the component does nothing, though its release is deployed",
        mend: "do what the finding says of the cause",
        references: &["https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status"],
    },
];

const RELEASE: &Check = &CHECKS[0];
const ROLLOUT: &Check = &CHECKS[1];

/// Components with checks of their own.
const ELSEWHERE: [&str; 2] = [LOAD_BALANCER_CONTROLLER.name, EBS_CSI_DRIVER.name];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components(scene);
        let others = components.iter().filter(|component| !ELSEWHERE.contains(&component.name));
        join_all(others.map(|component| of_component(scene, component))).await.concat()
    }
    .boxed()
}

async fn of_component(scene: &Scene<'_>, component: &Component) -> Vec<Finding> {
    let (release, rollouts) =
        tokio::join!(workload::release(RELEASE, scene, component), workload::rollouts(ROLLOUT, scene, component));
    [release].into_iter().chain(rollouts).map(|finding| finding.about(component.short)).collect()
}
