//! The network around the controllers: subnets that load balancers find, the network plugin, security groups before the nodes' ports,
//! policies before the webhook's.

mod policies;
mod reach;
mod rules;
mod subnets;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::{ALWAYS, components};
use crate::context::ReadContext;
use crate::error::Result;
use crate::object::{items, name, some_of, text};
use crate::read::kube::ObjectRef;
use crate::read::rollout;

pub(super) use policies::blocking;
pub(super) use reach::opening;
pub(super) use subnets::{cluster_subnets, private};

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-NET-001",
        title: "load balancers find subnets by their role tags, in two zones",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "kubernetes.io/role/elb and kubernetes.io/role/internal-elb say which subnets are for which load balancers; \
              since 2.12.1 the controller guesses from routes where they are missing",
        breaks: "\"couldn't auto-discover subnets\", or load balancers in subnets that nobody meant",
        mend: "tag the subnets",
        references: &[
            "https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/subnet_discovery/",
            "kubernetes-sigs/aws-load-balancer-controller#1693",
            "kubernetes-sigs/aws-load-balancer-controller#3051",
        ],
    },
    Check {
        id: "EKB-NET-002",
        title: "the cluster's subnets are not tagged for other clusters only",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "the controller leaves out subnets that carry the tag of another cluster and not its own",
        breaks: "subnets with the right role tag are not found",
        mend: "tag the subnets for this cluster too",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#1796",
            "kubernetes-sigs/aws-load-balancer-controller#2607",
        ],
    },
    Check {
        id: "EKB-NET-003",
        title: "the pod network is ready",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "target-type ip needs pod addresses of the VPC, and every controller needs a network",
        breaks: "pods stay in ContainerCreating; behind another plugin the control plane may not reach webhooks",
        mend: "mend the plugin's DaemonSet",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/managing-vpc-cni.html", "aws/eks-charts#705"],
    },
    Check {
        id: "EKB-NET-004",
        title: "no network policy keeps the control plane from the webhook",
        severity: Severity::Warning,
        stages: &[Stage::Installed],
        why: "the API server calls the controllers' webhooks from outside the pod network",
        breaks: "context deadline exceeded for every Ingress, and for every Service",
        mend: "let the policy admit the webhook's port",
        references: &["kubernetes-sigs/aws-load-balancer-controller#2462", "aws/eks-charts#767"],
    },
    Check {
        id: "EKB-NET-005",
        title: "security groups let the control plane reach the nodes",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "the API server calls the kubelets (10250), the load balancer controller's webhook (9443) and metrics-server on the nodes; \
              node groups with security groups of their own often admit only 443 and 10250",
        breaks: "failed calling webhook: context deadline exceeded; no logs and no exec; the metrics API is unavailable",
        mend: "add the missing rule to the nodes' security group",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html",
            "kubernetes-sigs/aws-load-balancer-controller#2462",
            "terraform-aws-modules/terraform-aws-eks#1809",
        ],
    },
];

const ROLES: &Check = &CHECKS[0];
const FOREIGN: &Check = &CHECKS[1];
const PLUGIN: &Check = &CHECKS[2];
const POLICIES: &Check = &CHECKS[3];
const REACH: &Check = &CHECKS[4];

/// What the role tags of the subnets and tags of other clusters say; the plan tells it too.
pub(crate) async fn subnet_findings(cx: &ReadContext) -> Result<Vec<Finding>> {
    Ok(subnets::judge(&subnets::of_cluster(cx).await?, &cx.facts))
}

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let (subnets, plugin, policies, reach) = futures::join!(
            cluster_subnets(scene),
            plugin_finding(scene.cx),
            policies_of_webhooks(scene),
            Box::pin(reach::look(scene))
        );
        let mut findings = match subnets {
            Ok(subnets) => subnets::judge(&subnets, &scene.cx.facts),
            Err(error) => vec![ROLES.unread(&error), FOREIGN.unread(&error)],
        };
        findings.push(plugin.unwrap_or_else(|error| PLUGIN.unread(&error)));
        findings.extend(policies.unwrap_or_else(|error| vec![POLICIES.unread(&error)]));
        findings.extend(reach);
        findings
    }
    .boxed()
}

/// Network plugins by what their DaemonSets' names begin with.
const PLUGINS: [(&str, &str); 6] = [
    ("aws-node", "the VPC CNI"),
    ("cilium", "Cilium"),
    ("calico-node", "Calico"),
    ("kube-router", "kube-router"),
    ("weave-net", "Weave Net"),
    ("kube-flannel", "flannel"),
];

/// How the pod network is; the plan tells it too.
pub(crate) async fn plugin_finding(cx: &ReadContext) -> Result<Finding> {
    if cx.facts.auto_mode {
        return Ok(PLUGIN.passed("EKS Auto Mode brings the pod network"));
    }
    let daemon_sets = cx.kube.list("apps/v1", "DaemonSet", "", "").await?;
    let Some((daemon_set, title)) = plugin_of(&daemon_sets) else {
        return Ok(PLUGIN
            .failed(
                "no network plugin is known here",
                "none of the known DaemonSets",
                "kube-system/aws-node, or another plugin",
                "aws eks create-addon --addon-name vpc-cni --cluster-name ".to_owned() + &cx.facts.cluster,
            )
            .as_warning());
    };
    let reference = ObjectRef::new("apps/v1", "DaemonSet", text(daemon_set, "/metadata/namespace"), name(daemon_set));
    let state = rollout::of(&cx.kube, std::slice::from_ref(&reference)).await?;
    if state.ready {
        return Ok(PLUGIN.passed(format!("{title}: {}", state.text)));
    }
    let mend = format!(
        "kubectl describe daemonset {} -n {}",
        reference.name,
        reference.namespace.as_deref().unwrap_or("kube-system")
    );
    Ok(PLUGIN.failed(format!("{title} is not ready"), state.text, "ready on every node", mend))
}

fn plugin_of(daemon_sets: &[Value]) -> Option<(&Value, &'static str)> {
    PLUGINS.iter().find_map(|(start, title)| {
        daemon_sets.iter().find(|daemon_set| name(daemon_set).starts_with(start)).map(|found| (found, *title))
    })
}

async fn policies_of_webhooks(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for component in components(scene).iter().filter(|component| component.webhook_service.is_some()) {
        let blocking = blocking(scene, component).await?;
        let finding = match blocking.first() {
            None => POLICIES.passed("no policy stands before the webhook's port"),
            Some(first) => {
                let names: Vec<_> = blocking.iter().map(|policy| policy.name.as_str()).collect();
                let says = format!("network policies admit nobody to the webhook's port: {}", some_of(&names));
                POLICIES.failed(says, "9443 is closed", "9443 is open to the control plane", first.mend.clone())
            }
        };
        findings.push(finding.about(component.short));
    }
    Ok(findings)
}

/// Whether any of an object's lists at `pointer` is there; helps to tell "no rule" from "no list".
fn has_list(object: &Value, pointer: &str) -> bool {
    items(object, pointer).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plugins_are_known_by_their_daemon_sets() {
        let named = |name: &str| json!({"metadata": {"name": name}});
        assert_eq!(plugin_of(&[named("kube-proxy"), named("aws-node")]).map(|it| it.1), Some("the VPC CNI"));
        assert_eq!(plugin_of(&[named("cilium")]).map(|it| it.1), Some("Cilium"));
        assert_eq!(plugin_of(&[named("kube-proxy")]), None);
    }
}
