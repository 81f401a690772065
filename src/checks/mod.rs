//! The checks of `verify`, one file a family. A family reads what it needs, compares, and returns findings; it writes
//! nothing, since all it has are readers.
//!
//! Each file lists its checks first and then looks. What is compared is cut off from what is read, so that it can be tested
//! without a cluster.

mod cluster;
mod components;
mod crds;
mod credentials;
mod ebs;
mod irsa;
mod load_balancer_controller;
mod metrics;
pub(crate) mod network;
mod oidc;
mod ownership;
mod permissions;
mod pod_identity;
mod policy;
mod simulation;
pub(crate) mod smoke;
mod storage_classes;
mod tools;
mod trouble;
mod webhook;
mod workload;

use std::collections::BTreeSet;

use futures::future::{BoxFuture, join_all};

use crate::check::{Check, Finding, Scene, Stage};
use crate::component::{self, Component};
use crate::config::Config;
use crate::context::ReadContext;
use crate::error::Error;
use crate::read::names;

/// A family of checks.
#[derive(Clone, Copy)]
pub struct Family {
    /// Its name, as a heading.
    pub title: &'static str,
    /// The middle of its checks' ids.
    pub code: &'static str,
    /// Its checks.
    pub checks: &'static [Check],
    /// Looks.
    run: for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>>,
}

/// All families, in the order in which they are shown.
pub const FAMILIES: &[Family] = &[
    Family { title: "Credentials", code: "CRED", checks: credentials::CHECKS, run: credentials::run },
    Family { title: "Cluster", code: "CLUS", checks: cluster::CHECKS, run: cluster::run },
    Family { title: "Tools", code: "TOOL", checks: tools::CHECKS, run: tools::run },
    Family { title: "Permissions", code: "PERM", checks: permissions::CHECKS, run: permissions::run },
    Family { title: "OIDC", code: "OIDC", checks: oidc::CHECKS, run: oidc::run },
    Family { title: "IRSA", code: "IRSA", checks: irsa::CHECKS, run: irsa::run },
    Family { title: "Pod Identity", code: "PODID", checks: pod_identity::CHECKS, run: pod_identity::run },
    Family { title: "Policy", code: "POL", checks: policy::CHECKS, run: policy::run },
    Family {
        title: "Load balancer controller",
        code: "LBC",
        checks: load_balancer_controller::CHECKS,
        run: load_balancer_controller::run,
    },
    Family { title: "Webhook", code: "HOOK", checks: webhook::CHECKS, run: webhook::run },
    Family { title: "CRDs", code: "CRD", checks: crds::CHECKS, run: crds::run },
    Family { title: "Network", code: "NET", checks: network::CHECKS, run: network::run },
    Family { title: "EBS", code: "EBS", checks: ebs::CHECKS, run: ebs::run },
    Family { title: "Storage classes", code: "SC", checks: storage_classes::CHECKS, run: storage_classes::run },
    Family { title: "Metrics", code: "MET", checks: metrics::CHECKS, run: metrics::run },
    Family { title: "Other components", code: "COMP", checks: components::CHECKS, run: components::run },
    Family { title: "Ownership", code: "OWN", checks: ownership::CHECKS, run: ownership::run },
    Family { title: "Smoke", code: "SMOK", checks: smoke::CHECKS, run: smoke::run },
];

/// Every check.
pub fn all() -> impl Iterator<Item = &'static Check> {
    FAMILIES.iter().flat_map(|family| family.checks)
}

/// The check with this id.
pub fn of(id: &str) -> Option<&'static Check> {
    all().find(|check| check.id == id)
}

/// The family that a check's id names.
pub fn family(id: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| id.split('-').nth(1) == Some(family.code))
}

/// Whether `skip` (ids, or their beginnings such as `EKB-IRSA`) names the check.
pub fn skips(skip: &BTreeSet<String>, id: &str) -> bool {
    skip.iter().any(|named| id == named || id.strip_prefix(named.as_str()).is_some_and(|rest| rest.starts_with('-')))
}

/// Runs every check of the stage but those in `skip`, all families side by side. Every check has at least one finding: one
/// that found nothing to look at is skipped, and says so.
pub async fn run(scene: &Scene<'_>, skip: &BTreeSet<String>) -> Vec<Finding> {
    let wanted = |check: &Check| check.stages.contains(&scene.stage) && !skips(skip, check.id);
    // A family that is skipped as a whole asks nothing, but is still said to be skipped.
    let found = join_all(FAMILIES.iter().map(|family| async move {
        if family.checks.iter().any(wanted) { (family.run)(scene).await } else { Vec::new() }
    }))
    .await;
    let mut findings = Vec::new();
    for (family, mut found) in FAMILIES.iter().zip(found) {
        for check in family.checks {
            let (own, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|finding| finding.check.id == check.id);
            found = rest;
            if !check.stages.contains(&scene.stage) {
                continue;
            }
            if skips(skip, check.id) {
                findings.push(check.skipped("by --skip"));
            } else if own.is_empty() {
                findings.push(check.skipped("nothing here to check"));
            } else {
                findings.extend(own);
            }
        }
    }
    findings
}

/// What is to be said where not even the cluster could be described: the finding that the error stands for. None for errors
/// that are no finding, such as a wrong command line.
pub fn of_connection(error: &Error) -> Option<Finding> {
    credentials::of_connection(error).or_else(|| cluster::of_connection(error))
}

/// The components that the checks of a run are about.
fn components(scene: &Scene<'_>) -> Vec<Component> {
    scene.components.clone()
}

/// The components that are wanted, with the names that their releases gave to their objects. Where a release cannot be read they are
/// the chart's own; the checks say that it cannot.
pub async fn components_as_installed(cx: &ReadContext) -> Vec<Component> {
    let wanted = component::wanted(&cx.config, &cx.facts);
    let named =
        wanted.iter().map(|component| async { names::as_installed(&cx.kube, component).await.unwrap_or(*component) });
    join_all(named).await
}

/// Those of them that have a role in AWS.
fn components_with_role(scene: &Scene<'_>) -> Vec<Component> {
    components(scene).into_iter().filter(Component::has_role).collect()
}

/// The apply of steps of one component, such as `iam.role` and `iam.attachment`.
fn apply_only(component: &Component, steps: &[&str]) -> String {
    let only = steps.iter().map(|step| format!(" --only {step}.{}", component.short));
    format!("eks-bootstrap apply{}", only.collect::<String>())
}

/// The apply of the step that installs a component: its release, or its add-on.
fn apply_installer(config: &Config, component: &Component) -> String {
    apply_only(component, &[component.installer(config)])
}

/// The stage of checks that only make sense after an installation.
const AFTER: &[Stage] = &[Stage::Installed];

/// The stages of checks that make sense before an installation as well as after it.
const ALWAYS: &[Stage] = &[Stage::Before, Stage::Installed];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_name_their_family() {
        let mut seen = BTreeSet::new();
        for family in FAMILIES {
            for check in family.checks {
                assert!(seen.insert(check.id), "{} twice", check.id);
                let number = check.id.strip_prefix(&format!("EKB-{}-", family.code)).unwrap_or_default();
                assert!(number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()), "{}", check.id);
                assert!(!check.stages.is_empty(), "{} is never run", check.id);
            }
        }
    }

    #[test]
    fn every_check_is_explained() {
        for check in all() {
            for text in [check.title, check.why, check.breaks, check.mend] {
                assert!(text.len() > 10 && !text.ends_with('.'), "{}: {text}", check.id);
            }
            assert!(!check.references.is_empty(), "{} leads nowhere", check.id);
        }
    }

    #[test]
    fn families_and_single_checks_can_be_skipped() {
        let skip = BTreeSet::from(["EKB-CRED".to_owned(), "EKB-CLUS-001".to_owned()]);
        assert!(skips(&skip, "EKB-CRED-001") && skips(&skip, "EKB-CLUS-001"));
        assert!(!skips(&skip, "EKB-CLUS-002") && !skips(&skip, "EKB-CREDIT-001"));
    }
}
