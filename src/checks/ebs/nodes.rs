//! Whether the node plugin has registered the driver with the kubelet of each node that it runs on, as CSINode objects say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::{Finding, Scene};
use crate::checks::ebs::{REGISTERED, ROLLOUT};
use crate::checks::workload;
use crate::component::Component;
use crate::dependants::EBS_DRIVER;
use crate::error::Result;
use crate::object::{is, items, name, selector, some_of, text};

pub(super) async fn registered(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let kube = &scene.cx.kube;
    let plugin = workload::workloads(component).into_iter().find(|reference| reference.kind == "DaemonSet");
    let Some(plugin) = plugin else { return Ok(REGISTERED.skipped("the driver has no node plugin")) };
    let Some(daemon_set) = kube.get(&plugin).await? else {
        return Ok(REGISTERED.skipped(format!("needs {}", ROLLOUT.id)));
    };
    let labels = selector(&daemon_set);
    let (pods, nodes) = futures::try_join!(
        kube.list("v1", "Pod", component.namespace, &labels),
        kube.list("storage.k8s.io/v1", "CSINode", "", ""),
    )?;
    let missing = unregistered(&pods, &nodes);
    if missing.is_empty() {
        return Ok(REGISTERED.passed(format!("registered on all {} nodes that run the plugin", running(&pods).len())));
    }
    let mend = format!("kubectl rollout restart {} -n {}", workload::kubectl_name(&plugin), component.namespace);
    let says = format!("{EBS_DRIVER} is not registered on {}", some_of(&missing));
    let observed = format!("missing on {} of {} nodes", missing.len(), running(&pods).len());
    Ok(REGISTERED.failed(says, observed, "in CSINode.spec.drivers of each", mend))
}

/// Nodes on which the plugin is ready.
fn running(pods: &[Value]) -> BTreeSet<&str> {
    pods.iter().filter(|pod| is(pod, "Ready")).map(|pod| text(pod, "/spec/nodeName")).collect()
}

fn unregistered<'a>(pods: &'a [Value], nodes: &[Value]) -> Vec<&'a str> {
    let known = |node: &str| {
        nodes.iter().any(|found| {
            name(found) == node && items(found, "/spec/drivers").any(|driver| text(driver, "/name") == EBS_DRIVER)
        })
    };
    running(pods).into_iter().filter(|node| !known(node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_count_where_the_plugin_is_ready() {
        let pod = |node: &str, ready: &str| json!({"spec": {"nodeName": node}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        let node =
            |name: &str, driver: &str| json!({"metadata": {"name": name}, "spec": {"drivers": [{"name": driver}]}});
        let pods = [pod("a", "True"), pod("b", "True"), pod("c", "False")];
        assert_eq!(unregistered(&pods, &[node("a", EBS_DRIVER), node("b", "efs.csi.aws.com")]), ["b"]);
        assert!(unregistered(&pods, &[node("a", EBS_DRIVER), node("b", EBS_DRIVER)]).is_empty());
    }
}
