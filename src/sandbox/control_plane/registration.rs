//! CSINode objects: the drivers that node plugins have registered with the kubelets, which kwok's do not have.
//!
//! A plugin's pod has a registrar that tells its kubelet the driver's socket, `.../plugins/DRIVER/csi.sock`; while such a pod
//! is ready, its node's CSINode holds the driver, as the kubelet would keep it. Nothing is mounted by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::TryStreamExt as _;
use k8s_openapi::api::{
    core::v1::{EnvVar, Node, Pod},
    storage::v1::CSINode,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, WatchParams},
};
use serde_json::{Value, json};

/// The flag of the registrar that names the socket.
const FLAG: &str = "--kubelet-registration-path=";
const MANAGER: &str = "kubelet";
/// Changes of pods come in groups.
const GROUPING: Duration = Duration::from_millis(100);
/// Between two attempts where the apiserver does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// A watch without news is begun anew, so that nothing is missed for longer.
const WATCH_SECONDS: u32 = 60;

/// Keeps the CSINodes until it is dropped.
pub(super) async fn keep(client: Client) {
    loop {
        if let Err(error) = follow(&client).await {
            tracing::debug!(%error, "the sandbox cannot keep the CSINodes");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Looks, and looks again at every change of a pod, until the watch ends.
async fn follow(client: &Client) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::all(client.clone());
    let list = pods.list(&ListParams::default()).await?;
    let version = list.metadata.resource_version.clone().unwrap_or_default();
    reconcile(client, &list.items).await?;
    let parameters = WatchParams::default().timeout(WATCH_SECONDS);
    let mut changes = Box::pin(pods.watch(&parameters, &version).await?);
    while changes.try_next().await?.is_some() {
        tokio::time::sleep(GROUPING).await;
        reconcile(client, &pods.list(&ListParams::default()).await?.items).await?;
    }
    Ok(())
}

async fn reconcile(client: &Client, pods: &[Pod]) -> Result<(), kube::Error> {
    let registered = registered(pods);
    let nodes: Api<Node> = Api::all(client.clone());
    let csi_nodes: Api<CSINode> = Api::all(client.clone());
    let (nodes, present) = tokio::try_join!(async { nodes.list(&ListParams::default()).await }, async {
        csi_nodes.list(&ListParams::default()).await
    })?;
    for node in &nodes.items {
        let name = node.name_any();
        let wanted = registered.get(&name).cloned().unwrap_or_default();
        let found = present.items.iter().find(|found| found.name_any() == name);
        let have =
            found.map(|found| found.spec.drivers.iter().map(|driver| driver.name.clone()).collect::<BTreeSet<_>>());
        if have.as_ref() == Some(&wanted) {
            continue;
        }
        let object = csi_node(&name, node.uid().as_deref().unwrap_or_default(), &wanted);
        csi_nodes.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await?;
    }
    Ok(())
}

/// The drivers of each node.
fn registered(pods: &[Pod]) -> BTreeMap<String, BTreeSet<String>> {
    let mut nodes = BTreeMap::<String, BTreeSet<String>>::new();
    for pod in pods {
        let Some(spec) = &pod.spec else { continue };
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let (Some(node), true, None) = (&spec.node_name, ready, &pod.metadata.deletion_timestamp) else { continue };
        let drivers = spec.containers.iter().flat_map(|container| {
            let variables = container.env.as_deref().unwrap_or_default();
            container.args.iter().flatten().filter_map(|argument| driver_of(&expanded(argument, variables)))
        });
        nodes.entry(node.clone()).or_default().extend(drivers);
    }
    nodes
}

/// An argument as the kubelet gives it to the container: `$(NAME)` stands for a variable, `$$` for one dollar, and a variable
/// that is not there for itself. <https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/>
fn expanded(argument: &str, variables: &[EnvVar]) -> String {
    let (mut text, mut rest) = (String::new(), argument);
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let named = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        // The last of several of one name counts.
        let value = named.and_then(|(name, after)| {
            let variable = variables.iter().rev().find(|variable| variable.name == name)?;
            Some((variable.value.as_deref()?, after))
        });
        let (value, after) = value.unwrap_or(("$", rest));
        text.push_str(value);
        rest = after;
    }
    text + rest
}

/// The driver whose socket a registrar's flag names; Windows has other slashes.
fn driver_of(argument: &str) -> Option<String> {
    let path = argument.strip_prefix(FLAG)?;
    let mut parts = path.rsplit(['/', '\\']).skip(1);
    parts.next().filter(|driver| !driver.is_empty()).map(ToOwned::to_owned)
}

fn csi_node(node: &str, uid: &str, drivers: &BTreeSet<String>) -> Value {
    let drivers: Vec<_> = drivers
        .iter()
        .map(|driver| json!({"name": driver, "nodeID": node, "topologyKeys": ["topology.kubernetes.io/zone"]}))
        .collect();
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {
            "name": node,
            "annotations": {"sandbox.eks-bootstrap.dev/simulated": "registered by the sandbox in place of a kubelet"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}],
        },
        "spec": {"drivers": drivers},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(node: &str, ready: &str, argument: &str) -> Pod {
        serde_json::from_value(json!({
            "spec": {"nodeName": node, "containers": [{"name": "registrar", "args": ["--v=2", argument]}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn drivers_are_those_of_ready_registrars() {
        let flag = format!("{FLAG}/var/lib/kubelet/plugins/ebs.csi.aws.com/csi.sock");
        let pods = [pod("a", "True", &flag), pod("b", "False", &flag), pod("c", "True", "--other")];
        let found = registered(&pods);
        assert_eq!(found["a"], BTreeSet::from(["ebs.csi.aws.com".to_owned()]));
        assert!(!found.contains_key("b") && found["c"].is_empty());
        let windows = format!(r"{FLAG}C:\var\lib\kubelet\plugins\ebs.csi.aws.com\csi.sock");
        assert_eq!(driver_of(&windows).as_deref(), Some("ebs.csi.aws.com"));
    }

    #[test]
    fn the_socket_may_be_named_by_a_variable() {
        let mut pod = pod("a", "True", &format!("{FLAG}$(SOCKET)"));
        let container = &mut pod.spec.as_mut().unwrap().containers[0];
        let variable = |name: &str, value: &str| EnvVar {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..EnvVar::default()
        };
        container.env = Some(vec![variable("SOCKET", "/var/lib/kubelet/plugins/ebs.csi.aws.com/csi.sock")]);
        assert_eq!(registered(&[pod])["a"], BTreeSet::from(["ebs.csi.aws.com".to_owned()]));

        let variables = [variable("A", "first"), variable("B", "$(A)"), variable("A", "last")];
        for (argument, expected) in [
            ("--x=$(A)", "--x=last"),
            ("$(A)-$(B)", "last-$(A)"),
            ("$$(A) $(C) $x $", "$(A) $(C) $x $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expanded(argument, &variables), expected, "{argument}");
        }
    }
}
