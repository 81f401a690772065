//! Whether nodes take the controllers' pods: ready, not cordoned, and without a taint that the pods do not tolerate. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::check::Finding;
use crate::checks::cluster::NODES;
use crate::component::{Component, EBS_CSI_DRIVER};
use crate::config::Config;
use crate::context::Facts;
use crate::object::{is, items, some_of, text};

/// Taints that keep no controller away for long: the driver's goes once its own pod runs on the node, and pods of a Fargate
/// profile get nodes of their own.
const PASSING: [&str; 2] = ["ebs.csi.aws.com/agent-not-ready", "eks.amazonaws.com/compute-type"];

/// What a component's controller tolerates.
pub(super) struct Tolerance {
    component: &'static str,
    tolerations: Vec<Value>,
}

impl Tolerance {
    /// As its values say, else as its chart does. The tolerations stand beside the replicas.
    pub(super) fn of(component: &Component, config: &Config, facts: &Facts) -> Tolerance {
        let values = component.chart_values(config, facts);
        let (_, above) = component.replicas_value.split_last().unwrap_or((&"", &[]));
        let place = above.iter().fold(&values, |value, name| &value[*name]);
        let tolerations = match place["tolerations"].as_array() {
            Some(tolerations) => tolerations.clone(),
            None if component.name == EBS_CSI_DRIVER.name => {
                vec![json!({"key": "CriticalAddonsOnly", "operator": "Exists"})]
            }
            None => Vec::new(),
        };
        Tolerance { component: component.name, tolerations }
    }

    /// The taints of a node that keep the pods away.
    fn refused_by<'a>(&self, node: &'a Value) -> Vec<&'a Value> {
        let hard = |taint: &&Value| matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute");
        let passing = |taint: &Value| PASSING.contains(&text(taint, "/key"));
        let tolerated = |taint: &Value| self.tolerations.iter().any(|toleration| tolerates(toleration, taint));
        let taints = items(node, "/spec/taints").filter(hard);
        taints.filter(|taint| !passing(taint) && !tolerated(taint)).collect()
    }
}

/// One with `tolerationSeconds` only puts the eviction off, so the pods would not stay on the node.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (text(toleration, "/key"), text(toleration, "/effect"));
    if text(taint, "/effect") == "NoExecute" && toleration["tolerationSeconds"].is_number() {
        return false;
    }
    let exists = text(toleration, "/operator") == "Exists";
    let of_key = if key.is_empty() { exists } else { key == text(taint, "/key") };
    let of_value = exists || text(toleration, "/value") == text(taint, "/value");
    of_key && of_value && (effect.is_empty() || effect == text(taint, "/effect"))
}

/// The finding.
pub(super) fn ready(nodes: &[Value], tolerances: &[Tolerance]) -> Finding {
    let up: Vec<_> = nodes.iter().filter(|node| takes_pods(node)).collect();
    let total = nodes.len();
    match (up.len(), total) {
        (0, 0) => {
            return NODES.failed(
                "the cluster has no nodes",
                "no nodes",
                "at least one node that is ready",
                "aws eks create-nodegroup, or run karpenter",
            );
        }
        (0, _) => {
            return NODES.failed(
                "no node takes pods",
                format!("{total} nodes, all not ready or cordoned"),
                "at least one node that is ready and schedulable",
                "kubectl describe nodes",
            );
        }
        _ => {}
    }
    let takers = |tolerance: &Tolerance| up.iter().filter(|node| tolerance.refused_by(node).is_empty()).count();
    let shut_out: Vec<_> = tolerances.iter().filter(|tolerance| takers(tolerance) == 0).collect();
    if !shut_out.is_empty() {
        return tainted(&up, &shut_out);
    }
    match tolerances.iter().map(takers).min().unwrap_or(up.len()) {
        1 => NODES
            .failed(
                "only one node takes pods",
                format!("1 of {total} nodes"),
                "two nodes, so that the controllers outlive the loss of one",
                "aws eks update-nodegroup-config --scaling-config minSize=2,desiredSize=2 (with the node group's name)",
            )
            .as_warning(),
        takers => NODES.passed(format!("{takers} of {total} nodes take pods")),
    }
}

fn tainted(nodes: &[&Value], shut_out: &[&Tolerance]) -> Finding {
    let taints: BTreeSet<_> = nodes
        .iter()
        .flat_map(|node| shut_out.iter().flat_map(|tolerance| tolerance.refused_by(node)))
        .map(shown)
        .collect();
    let taints: Vec<_> = taints.into_iter().collect();
    let names: Vec<_> = shut_out.iter().map(|tolerance| tolerance.component).collect();
    NODES.failed(
        format!("no node takes the pods of {}: every node has a taint that they do not tolerate", some_of(&names)),
        format!("{} nodes, tainted {}", nodes.len(), some_of(&taints)),
        "at least one node that is ready, schedulable and without such a taint",
        "add a node group without the taint, or tolerate it in the components' values (`tolerations`)",
    )
}

/// As kubectl writes a taint.
fn shown(taint: &Value) -> String {
    let value = Some(text(taint, "/value")).filter(|value| !value.is_empty()).map(|value| format!("={value}"));
    format!("{}{}:{}", text(taint, "/key"), value.unwrap_or_default(), text(taint, "/effect"))
}

fn takes_pods(node: &Value) -> bool {
    is(node, "Ready") && node.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};

    fn node(ready: &str, cordoned: bool, taints: &Value) -> Value {
        json!({"spec": {"unschedulable": cordoned, "taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn tolerance(component: &'static str, tolerations: Value) -> Tolerance {
        let Value::Array(tolerations) = tolerations else { panic!("{tolerations}") };
        Tolerance { component, tolerations }
    }

    #[test]
    fn nodes_count_where_pods_can_go() {
        let node = |ready: &str, cordoned: bool| node(ready, cordoned, &Value::Null);
        let severity = |nodes: &[Value]| ready(nodes, &[]).severity();
        assert_eq!(severity(&[]), Some(Severity::Error));
        assert_eq!(severity(&[node("True", true), node("Unknown", false)]), Some(Severity::Error));
        assert_eq!(severity(&[node("True", false), node("True", true)]), Some(Severity::Warning));
        assert_eq!(ready(&[node("True", false), node("True", false)], &[]).verdict, Verdict::Passed);
    }

    #[test]
    fn tainted_nodes_count_only_for_pods_that_tolerate_it() {
        let taints = json!([{"key": "karpenter.sh/controller", "value": "true", "effect": "NoSchedule"}]);
        let nodes = [node("True", false, &taints), node("True", false, &taints)];
        let plain = || tolerance("lbc", json!([]));
        let found = ready(
            &nodes,
            &[plain(), tolerance("ebs", json!([{"key": "karpenter.sh/controller", "operator": "Exists"}]))],
        );
        assert_eq!(found.severity(), Some(Severity::Error));
        assert!(found.says.contains("the pods of lbc: every node has a taint"), "{}", found.says);
        let Verdict::Failed { observed, .. } = found.verdict else { panic!("{found:?}") };
        assert_eq!(observed, "2 nodes, tainted karpenter.sh/controller=true:NoSchedule");
        let mixed = [node("True", false, &taints), node("True", false, &Value::Null)];
        assert_eq!(ready(&mixed, &[plain()]).severity(), Some(Severity::Warning));
        for (key, effect) in [("a", "PreferNoSchedule"), (PASSING[0], "NoExecute"), (PASSING[1], "NoSchedule")] {
            let soft = json!([{"key": key, "effect": effect}]);
            let nodes = [node("True", false, &soft), node("True", false, &soft)];
            assert_eq!(ready(&nodes, &[plain()]).verdict, Verdict::Passed, "{key}");
        }
    }

    #[test]
    fn tolerations_match_as_in_kubernetes() {
        let taint = json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        for (toleration, matches) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "w"}), false),
            (json!({"key": "k", "value": "v", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({}), false),
        ] {
            assert_eq!(tolerates(&toleration, &taint), matches, "{toleration}");
        }
        let evicting = json!({"key": "k", "value": "v", "effect": "NoExecute"});
        let for_a_while = json!({"key": "k", "operator": "Exists", "tolerationSeconds": 300});
        assert!(!tolerates(&for_a_while, &evicting) && tolerates(&for_a_while, &taint));
        assert!(tolerates(&json!({"key": "k", "operator": "Exists"}), &evicting));
    }
}
