//! What a plan has to say that belongs to no step: components that the cluster brings itself, and what is missing although
//! nobody asked for it. Reads, decides nothing; called while the steps are observed.

mod images;
mod keys;
mod network;
mod versions;
mod volumes;

use crate::behind;
use crate::component::{self, EBS_CSI_DRIVER, GP3_STORAGE_CLASS, METRICS_SERVER};
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::plan::{Diagnostic, Goal, StepId};
use crate::steps::{api_service, storage_class};

/// All of it.
pub async fn of(cx: &ReadContext, goal: Goal) -> Vec<Diagnostic> {
    // A move from one way of identity to the other changes nothing of all this.
    if goal == Goal::Absent || !cx.config.migrating.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<_> = another_cluster(cx).await.into_iter().collect();
    all.extend(brought_by_auto_mode(cx));
    all.extend(opened_to_nodes(cx));
    all.extend(keys::not_granted(cx));
    all.extend(versions::tried(cx));
    all.extend(images::unreachable(cx));
    let (autoscalers, classes, policies, subnets, plugin, volumes) = futures::join!(
        autoscalers(cx),
        default_class(cx),
        versions::policies(cx),
        network::subnets(cx),
        network::plugin(cx),
        Box::pin(volumes::untagged(cx))
    );
    let found = [
        ("autoscalers", autoscalers.map(Vec::from_iter)),
        ("storage classes", classes.map(Vec::from_iter)),
        ("policies", policies),
        ("subnets", subnets),
        ("the pod network", plugin),
        ("volumes", volumes.map(Vec::from_iter)),
    ];
    for (what, found) in found {
        match found {
            Ok(diagnostics) => all.extend(diagnostics),
            // A denied read is not an absence; a cluster that does not answer is what the steps tell of.
            Err(error @ (Error::Kube(_) | Error::Aws(_))) => {
                all.push(note(format!("{what} could not be looked at: {error}")));
            }
            Err(error) => tracing::debug!(%error, what, "not looked at"),
        }
    }
    all
}

fn note(message: String) -> Diagnostic {
    Diagnostic { severity: "note", message }
}

fn warning(message: String) -> Diagnostic {
    Diagnostic { severity: "warning", message }
}

/// A plan for one cluster that reads another; `apply` refuses it.
async fn another_cluster(cx: &ReadContext) -> Option<Diagnostic> {
    // An API server that does not answer is what the steps tell of.
    let behind = behind::look(cx).await.ok()??;
    behind::said(&behind, cx).map(|(what, mend)| warning(format!("{what}: {mend}")))
}

fn brought_by_auto_mode(cx: &ReadContext) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for component in component::BUILT_IN.into_iter().filter(|component| component.by_default) {
        let enabled = component.configured(&cx.config).enabled;
        if component.wanted(&cx.config, &cx.facts) || enabled == Some(false) {
            continue;
        }
        all.push(note(format!(
            "{} is not needed: EKS Auto Mode brings its own; --enable {} installs it all the same",
            component.title, component.name
        )));
    }
    let class = cx.config.gp3_storage_class.enabled == Some(true);
    if class && cx.facts.auto_mode && !EBS_CSI_DRIVER.wanted(&cx.config, &cx.facts) {
        all.push(warning(format!(
            "{GP3_STORAGE_CLASS} is for the driver ebs.csi.aws.com, and EKS Auto Mode brings ebs.csi.eks.amazonaws.com: \
             without --enable {} its claims stay Pending",
            EBS_CSI_DRIVER.name
        )));
    }
    all
}

/// What is attached to a node's role is everybody's on that node.
fn opened_to_nodes(cx: &ReadContext) -> Option<Diagnostic> {
    let step = StepId::from(format!("iam.node-role.{}", EBS_CSI_DRIVER.short));
    let asked = EBS_CSI_DRIVER.configured(&cx.config).nodes.attach && cx.config.chooses(&step);
    (asked && EBS_CSI_DRIVER.wanted(&cx.config, &cx.facts)).then(|| {
        let what =
            "--attach-node-role lets every pod that reaches its node's credentials create, attach and delete volumes";
        warning(format!("{what}; AWS advises against it, and the driver has a role of its own without it"))
    })
}

/// Autoscalers do nothing without numbers.
async fn autoscalers(cx: &ReadContext) -> Result<Option<Diagnostic>> {
    let Some(api) = METRICS_SERVER.api_service else { return Ok(None) };
    let step = StepId::from(format!("helm.{}", METRICS_SERVER.short));
    if METRICS_SERVER.wanted(&cx.config, &cx.facts) || !cx.config.chooses(&step) {
        return Ok(None);
    }
    let (scalers, unavailable) = futures::try_join!(
        cx.kube.list("autoscaling/v2", "HorizontalPodAutoscaler", "", ""),
        api_service::unavailable(&cx.kube, api)
    )?;
    let Some(reason) = unavailable.filter(|_| !scalers.is_empty()) else { return Ok(None) };
    let scalers = match scalers.len() {
        1 => "1 HorizontalPodAutoscaler does".to_owned(),
        count => format!("{count} HorizontalPodAutoscalers do"),
    };
    Ok(Some(warning(format!(
        "{scalers} nothing, since the API {api} is not served ({reason}); --enable {} installs metrics-server",
        METRICS_SERVER.name
    ))))
}

/// Claims that name no class need exactly one default.
async fn default_class(cx: &ReadContext) -> Result<Option<Diagnostic>> {
    let class = &cx.config.gp3_storage_class;
    // Where the plan moves the default, that is what it shows.
    let moves = class.enabled == Some(true) && class.default;
    if moves || !cx.config.chooses(&storage_class::ID) || !EBS_CSI_DRIVER.wanted(&cx.config, &cx.facts) {
        return Ok(None);
    }
    Ok(judge_defaults(&storage_class::defaults(&cx.kube).await?))
}

fn judge_defaults(defaults: &[String]) -> Option<Diagnostic> {
    match defaults {
        [] => Some(note(format!(
            "no StorageClass is the default, so claims that name none stay Pending; --enable {GP3_STORAGE_CLASS} makes one"
        ))),
        [_] => None,
        several => Some(warning(format!(
            "{} StorageClasses are the default ({}), and the newest of them wins; leave the annotation on one",
            several.len(),
            several.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_default_class_is_right() {
        let of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            judge_defaults(&names).map(|diagnostic| (diagnostic.severity, diagnostic.message))
        };
        assert_eq!(of(&["gp2"]), None);
        let (severity, message) = of(&[]).unwrap();
        assert!(severity == "note" && message.contains("--enable gp3-storage-class"), "{message}");
        let (severity, message) = of(&["gp2", "gp3"]).unwrap();
        assert!(severity == "warning" && message.contains("2 StorageClasses") && message.contains("gp2, gp3"));
    }
}
