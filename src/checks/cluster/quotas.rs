//! Quotas of the namespaces into which is installed: whether they leave room for the pods, and whether they ask of pods what the charts do
//! not set. The API server refuses such pods one by one, so the Deployments are there and have none.
//!
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

use std::collections::BTreeMap;

use serde_json::Value;

use super::QUOTAS;
use crate::check::{Finding, Scene};
use crate::component::{Component, EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER, METRICS_SERVER};
use crate::config::Config;
use crate::context::Facts;
use crate::error::Result;
use crate::object::{items, name, some_of};

/// What every container of a chart's pods says of its resources.
struct Containers {
    component: &'static str,
    /// Where the values of the one container stand; none where there are several, of which the user may change one.
    values: Option<&'static str>,
    /// What the chart sets.
    sets: &'static [&'static str],
    /// How many pods its Deployment has.
    replicas: u64,
    /// Whether it has a pod on every node besides.
    on_nodes: bool,
}

/// As the original charts render (`helm template`) in the versions that are installed.
const CHARTS: [Containers; 3] = [
    Containers {
        component: LOAD_BALANCER_CONTROLLER.name,
        values: Some("/resources"),
        sets: &[],
        replicas: 2,
        on_nodes: false,
    },
    Containers {
        component: EBS_CSI_DRIVER.name,
        values: None,
        sets: &["requests.cpu", "requests.memory", "limits.memory"],
        replicas: 2,
        on_nodes: true,
    },
    Containers {
        component: METRICS_SERVER.name,
        values: Some("/resources"),
        sets: &["requests.cpu", "requests.memory"],
        replicas: 1,
        on_nodes: false,
    },
];

/// Names of a quota's limits, and what a pod has to say where one of them is there.
const DEMANDS: [(&str, &str); 6] = [
    ("cpu", "requests.cpu"),
    ("requests.cpu", "requests.cpu"),
    ("memory", "requests.memory"),
    ("requests.memory", "requests.memory"),
    ("limits.cpu", "limits.cpu"),
    ("limits.memory", "limits.memory"),
];
/// Names of a quota's limits on the number of pods.
const COUNTS: [&str; 2] = ["pods", "count/pods"];

/// A component that is to be installed, as quotas see it.
struct Pods {
    component: &'static str,
    /// What its containers say.
    sets: Vec<String>,
    /// How many pods are still to come.
    coming: u64,
}

/// The findings, one for each namespace.
pub(super) async fn look(scene: &Scene<'_>, components: &[Component], nodes: usize) -> Vec<Finding> {
    let mut by_namespace: BTreeMap<&str, Vec<&Component>> = BTreeMap::new();
    for component in components {
        by_namespace.entry(component.namespace).or_default().push(component);
    }
    let mut findings = Vec::new();
    for (namespace, components) in by_namespace {
        let found = of_namespace(scene, namespace, &components, nodes).await;
        findings.push(found.unwrap_or_else(|error| QUOTAS.unread(&error)).about(namespace));
    }
    findings
}

async fn of_namespace(scene: &Scene<'_>, namespace: &str, components: &[&Component], nodes: usize) -> Result<Finding> {
    let kube = &scene.cx.kube;
    let (quotas, ranges) = futures::try_join!(
        kube.list("v1", "ResourceQuota", namespace, ""),
        kube.list("v1", "LimitRange", namespace, "")
    )?;
    if quotas.is_empty() {
        return Ok(QUOTAS.passed("no quota"));
    }
    let mut pods = Vec::new();
    for component in components {
        let workload = component.workloads().into_iter().next();
        let is_there = match &workload {
            Some(reference) => kube.get(reference).await?.is_some(),
            None => false,
        };
        pods.extend(Pods::of(component, &scene.cx.config, &scene.cx.facts, if is_there { None } else { Some(nodes) }));
    }
    Ok(judge(namespace, &quotas, &ranges, &pods))
}

impl Pods {
    /// None for a component of which nobody here knows what its chart sets. `nodes` is none where it is installed already.
    fn of(component: &Component, config: &Config, facts: &Facts, nodes: Option<usize>) -> Option<Pods> {
        let known = CHARTS.iter().find(|known| known.component == component.name)?;
        let values = component.chart_values(config, facts);
        let mut sets: Vec<_> = known.sets.iter().map(|set| (*set).to_owned()).collect();
        for side in ["limits", "requests"] {
            let given = known.values.and_then(|place| values.pointer(place)?.get(side)?.as_object());
            sets.extend(given.into_iter().flatten().map(|(name, _)| format!("{side}.{name}")));
        }
        let replicas = component.replicas_value.iter().fold(&values, |value, name| &value[*name]).as_u64();
        let on_nodes = nodes.filter(|_| known.on_nodes).and_then(|nodes| nodes.try_into().ok()).unwrap_or(0);
        let coming = nodes.map_or(0, |_| replicas.unwrap_or(known.replicas).saturating_add(on_nodes));
        Some(Pods { component: component.name, sets, coming })
    }

    /// Whether its containers say something, by themselves or by a default of the namespace. A limit stands for a request too.
    fn says(&self, what: &str, defaults: &[String]) -> bool {
        let limit = what.replacen("requests.", "limits.", 1);
        self.sets.iter().chain(defaults).any(|set| set == what || *set == limit)
    }
}

/// What containers get that say nothing: the API server has filled both maps where only one of them was given.
fn defaults(ranges: &[Value]) -> Vec<String> {
    let of_containers =
        ranges.iter().flat_map(|range| items(range, "/spec/limits")).filter(|it| it["type"] == "Container");
    let mut defaults = Vec::new();
    for limit in of_containers {
        for (field, side) in [("default", "limits"), ("defaultRequest", "requests")] {
            let names = limit[field].as_object().into_iter().flatten();
            defaults.extend(names.map(|(name, _)| format!("{side}.{name}")));
        }
    }
    defaults
}

fn judge(namespace: &str, quotas: &[Value], ranges: &[Value], pods: &[Pods]) -> Finding {
    let defaults = defaults(ranges);
    // One with scopes is about some pods only, which cannot be told from here.
    let general = quotas.iter().filter(|quota| {
        items(quota, "/spec/scopes").next().is_none() && quota.pointer("/spec/scopeSelector").is_none()
    });
    for quota in general {
        let hard = quota.pointer("/status/hard").or_else(|| quota.pointer("/spec/hard"));
        let limits = hard.and_then(Value::as_object).into_iter().flatten();
        for (limit, most) in limits {
            let found = demanded(namespace, quota, limit, pods, &defaults)
                .or_else(|| full(namespace, quota, limit, most, pods));
            if let Some(finding) = found {
                return finding;
            }
        }
    }
    QUOTAS.passed(format!("{} quotas leave room for the pods", quotas.len()))
}

/// A quota on a resource refuses every pod that does not say how much of it it takes.
fn demanded(namespace: &str, quota: &Value, limit: &str, pods: &[Pods], defaults: &[String]) -> Option<Finding> {
    let (_, demand) = DEMANDS.iter().find(|(name, _)| *name == limit)?;
    let silent: Vec<_> = pods.iter().filter(|it| !it.says(demand, defaults)).map(|it| it.component).collect();
    let first = silent.first()?;
    Some(QUOTAS.failed(
        format!("quota {} refuses pods without {demand}: those of {}", name(quota), some_of(&silent)),
        format!("no {demand} in the pods of {}", some_of(&silent)),
        format!("{demand} in every pod, or a default for it"),
        format!(
            "set `resources` with {demand} in the values of {first}, or create a LimitRange in {namespace} with a default for it"
        ),
    ))
}

fn full(namespace: &str, quota: &Value, limit: &str, most: &Value, pods: &[Pods]) -> Option<Finding> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
    let most = COUNTS.contains(&limit).then(|| number(most))??;
    let used = quota.pointer("/status/used").and_then(|used| number(used.get(limit)?)).unwrap_or(0);
    let coming: u64 = pods.iter().map(|pods| pods.coming).sum();
    (used + coming > most).then(|| {
        QUOTAS.failed(
            format!("quota {} leaves no room for {coming} pods", name(quota)),
            format!("{used} of {most} pods are there"),
            format!("room for {coming} more"),
            format!("kubectl patch resourcequota {} -n {namespace} --type=merge -p '{{\"spec\":{{\"hard\":{{\"{limit}\":\"{}\"}}}}}}'", name(quota), used + coming),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};
    use serde_json::json;

    fn quota(hard: &Value, used: &Value) -> Value {
        json!({"metadata": {"name": "team"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
    }

    fn pods(component: &'static str, sets: &[&str], coming: u64) -> Pods {
        Pods { component, sets: sets.iter().map(|set| (*set).to_owned()).collect(), coming }
    }

    fn mend(finding: Finding) -> String {
        match finding.verdict {
            Verdict::Failed { severity: Severity::Error, mend, .. } => mend,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_quota_on_resources_refuses_pods_that_do_not_name_them() {
        let all = [pods("lbc", &[], 2), pods("ebs", &["requests.cpu", "limits.memory"], 2)];
        let judge =
            |hard: Value, ranges: &[Value]| mend(judge("kube-system", &[quota(&hard, &json!({}))], ranges, &all));
        for limit in ["cpu", "requests.cpu", "limits.memory", "requests.memory"] {
            let found = judge(json!({ (limit): "4" }), &[]);
            assert!(found.contains("in the values of lbc, or create a LimitRange in kube-system"), "{limit}: {found}");
        }
        assert_eq!(judge(json!({"services": "4", "requests.storage": "1Ti"}), &[]), "Passed");
        let range = json!({"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]}});
        assert_eq!(judge(json!({"requests.cpu": "4", "limits.cpu": "8"}), std::slice::from_ref(&range)), "Passed");
        assert!(judge(json!({"limits.memory": "4Gi"}), &[range]).contains("limits.memory"), "another resource");
        let ours = [pods("ebs", &["limits.memory"], 2)];
        let found = super::judge("n", &[quota(&json!({"requests.memory": "4Gi"}), &json!({}))], &[], &ours);
        assert_eq!(found.verdict, Verdict::Passed, "a limit is a request too");
    }

    #[test]
    fn a_quota_on_pods_has_to_leave_room() {
        let all = [pods("lbc", &[], 2), pods("ebs", &[], 5)];
        let judge = |hard: &str, used: &str| {
            mend(judge("kube-system", &[quota(&json!({"pods": hard}), &json!({"pods": used}))], &[], &all))
        };
        assert_eq!(judge("20", "13"), "Passed");
        assert_eq!(
            judge("20", "14"),
            "kubectl patch resourcequota team -n kube-system --type=merge -p '{\"spec\":{\"hard\":{\"pods\":\"21\"}}}'"
        );
        let mut scoped = quota(&json!({"pods": "0"}), &json!({}));
        scoped["spec"]["scopes"] = json!(["BestEffort"]);
        assert_eq!(mend(super::judge("n", &[scoped], &[], &all)), "Passed");
    }
}
