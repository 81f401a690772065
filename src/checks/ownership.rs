//! Whom the components belong to: one manager each, a release that came to its end, and objects that name the manager that
//! looks after them. What belongs to someone else is found before an installation as well as after it.

mod manager;
mod objects;
mod release_state;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all, try_join_all};
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::{AFTER, ALWAYS};
use crate::component::{Component, ServiceAccountMaker};
use crate::config::Identity;
use crate::error::{Error, Result};
use crate::op::helm::cluster_label;
use crate::read::eks::Addon;
use crate::read::kube::ObjectRef;
use crate::read::other_manager::{self, OtherManager};
use crate::read::release::{self, Release};

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-OWN-001",
        title: "helm and the EKS add-on do not install the same component",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "two managers of the same objects undo each other's changes",
        breaks: "settings come and go, add-ons are DEGRADED by conflicts, an uninstall takes the other's objects",
        mend: "keep one; an add-on that is deleted with --preserve leaves its objects",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/removing-an-add-on.html",
            "kubernetes-sigs/aws-ebs-csi-driver#1449, #1502, #1616; NVIDIA/aicr#71",
        ],
    },
    Check {
        id: "EKB-OWN-002",
        title: "the component runs once, and no predecessor runs beside it",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "two controllers act on the same Ingresses and volumes; alb-ingress-controller is the old one of them",
        breaks: "load balancers are changed back and forth, webhooks answer for each other",
        mend: "uninstall the other one",
        references: &[
            "https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/upgrade/migrate_v1_v2/",
            "terraform-aws-modules/terraform-aws-eks#1989",
        ],
    },
    Check {
        id: "EKB-OWN-003",
        title: "the helm release came to its end",
        severity: Severity::Error,
        stages: AFTER,
        why: "helm refuses to touch a release that an interrupted run left pending",
        breaks: "another operation (install/upgrade/rollback) is in progress, for ever",
        mend: "apply rolls back to the last sound revision, or installs anew where there is none",
        references: &["helm/helm#13570, helm/helm#12516", "aws/aws-cdk#19559, aws/aws-cdk#27641, k0sproject/k0s#8353"],
    },
    Check {
        id: "EKB-OWN-004",
        title: "the component's objects name the manager that looks after them",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "helm takes only objects that carry its marks, and other tools take theirs back",
        breaks: "invalid ownership metadata: managed-by must equal Helm",
        mend: "adopt the objects, or leave them to their owner",
        references: &[
            "https://helm.sh/docs/chart_best_practices/labels/",
            "kubernetes-sigs/aws-load-balancer-controller#2055, eksctl-io/eksctl#3912",
            "kubernetes-sigs/aws-ebs-csi-driver#1034, aws-quickstart/quickstart-amazon-eks#374",
        ],
    },
];

const ONE_MANAGER: &Check = &CHECKS[0];
const ONCE: &Check = &CHECKS[1];
const ENDED: &Check = &CHECKS[2];
const MARKED: &Check = &CHECKS[3];

/// The label by which installations of the same software are recognised, whatever their names.
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What there is of one component.
struct Installation {
    component: Component,
    cluster: String,
    cluster_arn: String,
    role_arn: String,
    /// The role that an add-on of it has to name; none where pods get it in another way.
    addon_role: Option<String>,
    /// The kind of the step that installs it.
    installer: &'static str,
    /// Whether EKS is to install it.
    by_eks: bool,
    /// How long a run of helm may take, in seconds.
    patience: u64,
    addon: Result<Option<Addon>>,
    /// Newest first.
    history: Result<Vec<Release>>,
    /// Those that exist.
    objects: Result<Vec<Value>>,
    /// Who else manages them.
    others: Vec<OtherManager>,
}

impl Installation {
    fn release(&self) -> Option<&Release> {
        self.history.as_ref().ok()?.first()
    }

    fn has_addon(&self) -> bool {
        matches!(self.addon, Ok(Some(_)))
    }

    fn release_name(&self) -> String {
        format!("{}/{}", self.component.namespace, self.component.name)
    }

    /// Whether the newest revision is one of ours for this cluster.
    fn is_ours(&self) -> bool {
        self.release().is_some_and(|release| release.our_cluster.as_deref() == Some(&cluster_label(&self.cluster_arn)))
    }

    /// The apply of its release, taken over where it is not ours.
    fn apply_release(&self) -> String {
        let command = super::apply_only(&self.component, &["helm"]);
        if self.release().is_none() || self.is_ours() {
            command
        } else {
            format!("{command} --adopt helm.{}", self.component.short)
        }
    }
}

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components(scene);
        if components.is_empty() {
            return Vec::new();
        }
        let installations = join_all(components.iter().map(|component| read(scene, component)));
        let (installations, deployments) = tokio::join!(installations, deployments(scene, &components));
        let now = scene.cx.kube.now();
        let mut findings = Vec::new();
        for installation in &installations {
            let own = [
                manager::one(installation),
                manager::once(installation, &deployments),
                release_state::ended(installation, now),
                objects::marked(installation),
            ];
            findings.extend(own.map(|finding| finding.about(installation.component.short)));
        }
        findings
    }
    .boxed()
}

async fn read(scene: &Scene<'_>, component: &Component) -> Installation {
    let cx = scene.cx;
    let addon = async {
        match component.addon {
            Some(name) => cx.eks.addon(&cx.facts.cluster, name).await,
            None => Ok(None),
        }
    };
    let account = ("v1", "ServiceAccount", component.service_account);
    let mut addresses = component.objects.to_vec();
    if component.service_account_maker == ServiceAccountMaker::Us && !addresses.contains(&account) {
        addresses.push(account);
    }
    let objects = try_join_all(addresses.into_iter().map(|(api_version, kind, name)| async move {
        cx.kube.get(&ObjectRef::new(api_version, kind, component.namespace, name)).await
    }));
    let history = release::history(&cx.kube, component.namespace, component.name);
    let role_arn = component.role_arn(&cx.config, &cx.facts);
    let annotated = component.has_role() && component.identity(&cx.config) == Identity::Irsa;
    let (addon, history, objects) = tokio::join!(addon, history, objects);
    let objects = objects.map(|objects| objects.into_iter().flatten().collect::<Vec<_>>());
    let found = objects.as_deref().unwrap_or_default();
    let others = other_manager::of(&cx.kube, (component.namespace, component.name), found).await;
    Installation {
        component: *component,
        cluster: cx.facts.cluster.clone(),
        cluster_arn: cx.facts.arn.clone(),
        addon_role: annotated.then(|| role_arn.clone()),
        role_arn,
        installer: component.installer(&cx.config),
        by_eks: component.configured(&cx.config).is_addon(),
        patience: cx.config.timeout_seconds,
        addon,
        history,
        objects,
        others,
    }
}

/// Deployments of the whole cluster that carry the name of a component or of a predecessor.
async fn deployments(scene: &Scene<'_>, components: &[Component]) -> Result<Vec<Value>, Error> {
    let names: Vec<_> = components
        .iter()
        .flat_map(|component| component.predecessors.iter().chain([&component.name]))
        .copied()
        .collect();
    let selector = format!("{NAME_LABEL} in ({})", names.join(","));
    scene.cx.kube.list("apps/v1", "Deployment", "", &selector).await
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

    pub(super) fn installation(component: &Component) -> Installation {
        Installation {
            component: *component,
            cluster: "demo".to_owned(),
            cluster_arn: CLUSTER.to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/r".to_owned(),
            addon_role: Some("arn:aws:iam::111122223333:role/r".to_owned()),
            installer: "helm",
            by_eks: false,
            patience: 600,
            addon: Ok(None),
            history: Ok(Vec::new()),
            objects: Ok(Vec::new()),
            others: Vec::new(),
        }
    }

    pub(super) fn release(status: &str, ours: bool) -> Release {
        Release {
            revision: 2,
            status: status.to_owned(),
            chart: "c".to_owned(),
            chart_version: "1.0.0".to_owned(),
            app_version: "1.0.0".to_owned(),
            values: json!({}),
            objects: Vec::new(),
            documents: Vec::new(),
            hooks: Vec::new(),
            crds: Vec::new(),
            has_parts: false,
            changed_at: 1_000,
            writer: crate::helm_writer::Writer::Unknown,
            our_cluster: ours.then(|| cluster_label(CLUSTER)),
            adopted: false,
            record: String::new(),
        }
    }
}
