//! What is the same for every component that a chart installs: its release and its workloads. Called by the families of the
//! components, with their own checks; no family of its own.

mod partly;

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Verdict};
use crate::checks::apply_installer;
use crate::checks::network::{cluster_subnets, private};
use crate::checks::trouble::{self, Seen};
use crate::component::Component;
use crate::error::Result;
use crate::object::{name, namespace, selector, text};
use crate::owner::{self, Owner};
use crate::read::kube::ObjectRef;
use crate::read::release::{self, Release};
use crate::read::rollout;

/// The newest revision of a component's release.
///
/// # Errors
/// A read that failed.
pub(super) async fn latest(scene: &Scene<'_>, component: &Component) -> Result<Option<Release>> {
    let history = release::history(&scene.cx.kube, component.namespace, component.name).await?;
    Ok(history.into_iter().next())
}

/// The addresses of the component's Deployments and DaemonSets.
pub(super) fn workloads(component: &Component) -> Vec<ObjectRef> {
    component.workloads()
}

/// Whether an object carries the marks of the component's own release, whatever its name.
pub(super) fn is_of_release(object: &Value, component: &Component) -> bool {
    owner::helm_release(object).is_some_and(|release| release == format!("{}/{}", component.namespace, component.name))
}

/// The command that takes a Deployment of someone else away, by whoever installed it.
pub(super) fn removal(deployment: &Value) -> String {
    match owner::of_object(deployment) {
        Owner::Helm { release } => {
            let (namespace, name) = release.split_once('/').unwrap_or(("default", &release));
            format!("helm uninstall {name} -n {namespace}")
        }
        // What is deleted by hand comes back at once.
        Owner::Flux { resource } => format!("delete {resource} where Flux takes it from"),
        Owner::ArgoCd { application } => format!("remove it from Argo CD application {application}"),
        _ => format!("kubectl delete deployment {} -n {}", name(deployment), namespace(deployment)),
    }
}

/// `deployment/NAME`, as kubectl takes it.
pub(super) fn kubectl_name(reference: &ObjectRef) -> String {
    format!("{}/{}", reference.kind.to_lowercase(), reference.name)
}

/// Whether the release is deployed, in the version that is wanted.
pub(super) async fn release(check: &'static Check, scene: &Scene<'_>, component: &Component) -> Finding {
    if component.configured(&scene.cx.config).is_addon() {
        return check.skipped("EKS is to install it as an add-on");
    }
    match latest(scene, component).await {
        Ok(Some(release)) => judge(check, scene, component, &release),
        Ok(None) => match without_release(check, scene, component).await {
            Ok(finding) => finding,
            Err(error) => check.unread(&error),
        },
        Err(error) => match release::denied_records(&error, component.namespace) {
            Some(records) => partly::release(check, scene, component, &records).await,
            None => check.unread(&error),
        },
    }
}

fn judge(check: &'static Check, scene: &Scene<'_>, component: &Component, release: &Release) -> Finding {
    let wanted = &component.configured(&scene.cx.config).version;
    let apply = format!("eks-bootstrap apply --only helm.{}", component.short);
    if release.status != "deployed" {
        let says = format!("release {} is {}", component.name, release.status);
        return check.failed(says, &release.status, "deployed", apply);
    }
    if release.chart_version == *wanted {
        return check.passed(format!("chart {wanted} is deployed"));
    }
    let says = format!("another version of chart {} is deployed", component.name);
    check.failed(says, &release.chart_version, wanted, apply).as_warning()
}

/// Nobody's release of that name: an add-on, another installation, or nothing.
async fn without_release(check: &'static Check, scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    if let Some(name) = component.addon
        && let Some(addon) = scene.cx.eks.addon(&scene.cx.facts.cluster, name).await?
    {
        let what = format!("EKS add-on {name} {}", addon.version);
        if addon.status == "ACTIVE" {
            return Ok(check.passed(format!("installed as {what}")));
        }
        let mend = format!("aws eks describe-addon --cluster-name {} --addon-name {name}", scene.cx.facts.cluster);
        return Ok(check.failed(format!("{what} is {}", addon.status), addon.status, "ACTIVE", mend));
    }
    let found = try_join_all(workloads(component).iter().map(|reference| scene.cx.kube.get(reference))).await?;
    let expected = format!("Helm release {}/{}", component.namespace, component.name);
    let Some(workload) = found.into_iter().flatten().next() else {
        let says = format!("{} is not installed", component.title);
        return Ok(check.failed(says, "no release", expected, "eks-bootstrap apply"));
    };
    let by = owner::of_object(&workload).to_string();
    let mend = format!("eks-bootstrap apply --adopt helm.{}", component.short);
    Ok(check.failed(format!("{} is installed by {by}", component.title), by, expected, mend).as_warning())
}

/// Whether the workloads have rolled out, and if not, why.
pub(super) async fn rollouts(check: &'static Check, scene: &Scene<'_>, component: &Component) -> Vec<Finding> {
    let references = workloads(component);
    join_all(references.iter().map(|reference| async {
        rolled_out(check, scene, component, reference).await.unwrap_or_else(|error| check.unread(&error))
    }))
    .await
}

/// The command that brings a component's pods up; none where they are up.
pub(super) async fn mend(check: &'static Check, scene: &Scene<'_>, component: &Component) -> Option<String> {
    let found = rollouts(check, scene, component).await;
    found.into_iter().find_map(|finding| match finding.verdict {
        Verdict::Failed { mend, .. } => Some(mend),
        _ => None,
    })
}

async fn rolled_out(
    check: &'static Check,
    scene: &Scene<'_>,
    component: &Component,
    reference: &ObjectRef,
) -> Result<Finding> {
    let kube = &scene.cx.kube;
    let name = kubectl_name(reference);
    let Some(workload) = kube.get(reference).await? else {
        let mend = apply_installer(&scene.cx.config, component);
        return Ok(check.failed(format!("{name} does not exist"), "absent", reference.to_string(), mend));
    };
    if let Some(finding) = scaled_down(check, component, &name, &workload) {
        return Ok(finding);
    }
    let state = rollout::of(kube, std::slice::from_ref(reference)).await?;
    if state.ready {
        return Ok(check.passed(format!("{name}: {}", state.text)));
    }
    let labels = selector(&workload);
    let account = ObjectRef::new("v1", "ServiceAccount", component.namespace, component.service_account);
    let (pods, events, account) = futures::try_join!(
        kube.list("v1", "Pod", component.namespace, &labels),
        kube.list("v1", "Event", component.namespace, ""),
        kube.get(&account),
    )?;
    let cause = trouble::classify(&trouble::words(&pods, &events), trouble::have_role(&pods));
    // Where endpoints could be put is only asked for when one is missing, and only to name it.
    let subnets = match cause {
        trouble::Cause::NoEndpoint(_) => cluster_subnets(scene).await.map(|subnets| private(&subnets)),
        _ => Ok(Vec::new()),
    };
    let subnets = subnets.unwrap_or_default();
    let seen = Seen { workload: &name, pods: &labels, account: account.as_ref(), subnets: &subnets };
    let says = format!("{name}: {}", cause.meaning());
    Ok(check.failed(says, state.text, "all replicas ready", cause.mend(scene.cx, component, &seen)))
}

/// A Deployment that someone has scaled to nothing has "rolled out" too.
fn scaled_down(check: &'static Check, component: &Component, name: &str, workload: &Value) -> Option<Finding> {
    let replicas = workload.pointer("/spec/replicas").and_then(Value::as_i64)?;
    (replicas == 0 && text(workload, "/kind") == "Deployment").then(|| {
        let mend = format!("kubectl scale {name} -n {} --replicas=2", component.namespace);
        check.failed(format!("{name} is scaled to nothing"), "0 replicas", "at least one", mend)
    })
}
