//! The Pod Identity agent: there, on the nodes that need it, and healthy in the eyes of EKS.

use serde_json::Value;

use super::{AGENT, Wanted};
use crate::check::{Finding, Scene};
use crate::error::Result;
use crate::object::{is, text};
use crate::read::eks::Addon;
use crate::steps::pod_identity_agent::{NAME, daemon_set};

/// What there is of the agent.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// The add-on; none where somebody runs the agent without it, or nobody does.
    pub(super) addon: Option<Addon>,
    /// The nodes on which an agent is ready; none where there is no DaemonSet of it.
    pub(super) nodes: Option<Vec<String>>,
}

pub(super) async fn read(scene: &Scene<'_>) -> Result<Agents> {
    let (kube, cluster) = (&scene.cx.kube, &scene.cx.facts.cluster);
    let object = daemon_set();
    let (addon, daemon_set) = futures::try_join!(scene.cx.eks.addon(cluster, NAME), kube.get(&object))?;
    if daemon_set.is_none() {
        return Ok(Agents { addon, nodes: None });
    }
    let pods = kube.list("v1", "Pod", "kube-system", &format!("app.kubernetes.io/name={NAME}")).await?;
    let ready = pods.iter().filter(|pod| is(pod, "Ready"));
    Ok(Agents { addon, nodes: Some(ready.map(|pod| text(pod, "/spec/nodeName").to_owned()).collect()) })
}

impl Wanted<'_> {
    pub(super) fn agent(
        &self,
        agents: &Result<Agents>,
        running: &Result<Option<Vec<Value>>>,
        auto_mode: bool,
    ) -> Finding {
        if auto_mode {
            return AGENT.passed("EKS Auto Mode brings it");
        }
        let (agents, running) = match (agents, running) {
            (Ok(agents), Ok(running)) => (agents, running.as_deref().unwrap_or_default()),
            (Err(error), _) | (_, Err(error)) => return AGENT.unread(error),
        };
        let apply = format!(
            "eks-bootstrap apply --only eks.pod-identity-agent --identity {}=pod-identity",
            self.component.short
        );
        let told =
            agents.addon.as_ref().map(|addon| [vec![addon.status.clone()], addon.issues.clone()].concat().join(": "));
        if let Some(addon) = agents.addon.as_ref().filter(|addon| addon.status.ends_with("_FAILED")) {
            let place = format!("--cluster-name {} --addon-name {NAME}", self.cluster());
            let gone = format!("aws eks delete-addon {place} && aws eks wait addon-deleted {place}");
            let says = format!("the agent's add-on is {}", addon.status);
            return AGENT.failed(says, told.unwrap_or_default(), "ACTIVE", format!("{gone} && {apply}"));
        }
        let Some(nodes) = &agents.nodes else {
            let mend = match &agents.addon {
                // EKS makes the objects again only when the add-on is updated.
                Some(_) => format!(
                    "aws eks update-addon --cluster-name {} --addon-name {NAME} --resolve-conflicts OVERWRITE",
                    self.cluster()
                ),
                None => apply,
            };
            return AGENT.failed("there is no Pod Identity agent", "no DaemonSet", daemon_set().to_string(), mend);
        };
        let without = running.iter().map(|pod| text(pod, "/spec/nodeName"));
        let without = without.into_iter().find(|node| !node.is_empty() && !nodes.iter().any(|agent| agent == node));
        if let Some(node) = without {
            return AGENT.failed(
                "a node with pods of the controller has no ready agent",
                format!("node {node}"),
                "a ready pod of the agent on it",
                format!("kubectl rollout restart daemonset/{NAME} -n kube-system"),
            );
        }
        match (&agents.addon, told) {
            // It works; EKS looks at an add-on's pods only now and then.
            (Some(addon), Some(told)) if addon.status == "DEGRADED" => AGENT
                .failed("the agent's add-on is DEGRADED", told, "ACTIVE", "eks-bootstrap verify --wait 10m")
                .as_warning(),
            _ => AGENT.passed(format!("ready on {} nodes", nodes.len())),
        }
    }

    /// The cluster's name.
    fn cluster(&self) -> &str {
        crate::names::last_part(&self.request.cluster_arn)
    }
}
