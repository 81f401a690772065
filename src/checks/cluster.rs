//! The cluster itself: known to EKS, usable, its API server answering the caller, with nodes for the controllers' pods.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::check::{ANSWERS, Check, Finding, Scene, Severity};
use crate::checks::ALWAYS;
use crate::error::Error;
use crate::hint;

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-CLUS-001",
        title: "EKS knows the cluster",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "its issuer, VPC, endpoint and certificate authority are read from EKS",
        breaks: "nothing can be looked at",
        mend: "check --cluster, --region and --profile",
        references: &["https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeCluster.html"],
    },
    Check {
        id: "EKB-CLUS-002",
        title: "the cluster is ACTIVE",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "a cluster that is being made, deleted or has failed cannot take installations",
        breaks: "calls to its API server fail or hang",
        mend: "wait until it is ACTIVE, or mend what its health says",
        references: &["https://docs.aws.amazon.com/eks/latest/APIReference/API_Cluster.html"],
    },
    Check {
        id: ANSWERS,
        title: "the API server answers and knows the caller",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "a caller needs a way to the endpoint and an access entry; IAM permissions alone give neither",
        breaks: "401 Unauthorized, or no answer from a private endpoint",
        mend: "make an access entry for the caller's role, or run inside the VPC where the endpoint is private",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html"],
    },
    Check {
        id: "EKB-CLUS-004",
        title: "nodes are ready for the controllers' pods",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "the controllers are ordinary pods; without a node that takes them they stay Pending",
        breaks: "helm waits until its time is over, and leaves a release in failed or pending",
        mend: "add nodes, or mend those that are not ready",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html", "aws/aws-cdk#22005"],
    },
];

const KNOWN: &Check = &CHECKS[0];
const ACTIVE: &Check = &CHECKS[1];
const REACHED: &Check = &CHECKS[2];
const NODES: &Check = &CHECKS[3];

/// Looks: that there is a scene at all means that EKS knows the cluster and that it can be worked on.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let facts = &scene.cx.facts;
        let mut findings = vec![
            KNOWN.passed(format!("{} in {}, Kubernetes {}", facts.cluster, facts.region, facts.kubernetes_version)),
            ACTIVE.passed("the cluster is ACTIVE"),
        ];
        match scene.cx.kube.list("v1", "Node", "", "").await {
            Ok(nodes) => {
                findings.push(REACHED.passed("the API server answers the caller"));
                findings.push(nodes_are_ready(&nodes));
            }
            // Forbidden is an answer to someone whom the API server knows.
            Err(error) if error.denied() && !is_unauthorized(&error) => {
                findings.push(REACHED.passed("the API server answers the caller"));
                findings.push(NODES.unread(&error));
            }
            Err(error) => {
                findings.push(REACHED.failed(
                    "the API server does not answer the caller",
                    crate::error::chain_of(&error).join(": "),
                    "an answer",
                    hint::of(&error).unwrap_or_default(),
                ));
                findings.push(NODES.skipped(format!("needs {ANSWERS}")));
            }
        }
        findings
    }
    .boxed()
}

fn is_unauthorized(error: &Error) -> bool {
    matches!(error, Error::Kube(error) if error.status == Some(401))
}

fn nodes_are_ready(nodes: &[Value]) -> Finding {
    let ready = nodes.iter().filter(|node| takes_pods(node)).count();
    let total = nodes.len();
    match (ready, total) {
        (0, 0) => NODES.failed(
            "the cluster has no nodes",
            "no nodes",
            "at least one node that is ready",
            "aws eks create-nodegroup, or run karpenter",
        ),
        (0, _) => NODES.failed(
            "no node takes pods",
            format!("{total} nodes, all not ready or cordoned"),
            "at least one node that is ready and schedulable",
            "kubectl describe nodes",
        ),
        (1, _) => NODES
            .failed(
                "only one node takes pods",
                format!("{ready} of {total} nodes"),
                "two nodes, so that the controllers outlive the loss of one",
                "aws eks update-nodegroup-config --scaling-config minSize=2,desiredSize=2 (with the node group's name)",
            )
            .as_warning(),
        _ => NODES.passed(format!("{ready} of {total} nodes take pods")),
    }
}

fn takes_pods(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready =
        conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    ready && node.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true)
}

/// The finding for an error before anything could be asked.
pub(super) fn of_connection(error: &Error) -> Option<Finding> {
    let says = crate::error::chain_of(error).join(": ");
    let mend = hint::of(error).unwrap_or_default();
    match error {
        Error::ClusterNotFound { .. } => Some(KNOWN.failed(says, "no such cluster", "a cluster of that name", mend)),
        Error::ClusterNotActive { status, .. } => Some(ACTIVE.failed(says, status, "ACTIVE", mend)),
        Error::Aws(inner) if inner.operation == "eks:DescribeCluster" => {
            Some(KNOWN.failed("the cluster cannot be described", says, "an answer of eks:DescribeCluster", mend))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use serde_json::json;

    #[test]
    fn nodes_count_where_pods_can_go() {
        let node = |ready: &str, cordoned: bool| json!({"spec": {"unschedulable": cordoned}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        let severity = |nodes: &[Value]| nodes_are_ready(nodes).severity();
        assert_eq!(severity(&[]), Some(Severity::Error));
        assert_eq!(severity(&[node("True", true), node("Unknown", false)]), Some(Severity::Error));
        assert_eq!(severity(&[node("True", false), node("True", true)]), Some(Severity::Warning));
        assert_eq!(nodes_are_ready(&[node("True", false), node("True", false)]).verdict, Verdict::Passed);
    }
}
