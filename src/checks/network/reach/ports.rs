//! The ports on nodes and pods that the control plane calls: as what runs already says, else the values in force, else the chart.

use serde_json::Value;

use crate::check::Scene;
use crate::checks::components;
use crate::component::{Component, LOAD_BALANCER_CONTROLLER, METRICS_SERVER};
use crate::object::items;
use crate::read::kube::ObjectRef;

/// Pods that the control plane calls, by their port.
pub(super) struct Listener {
    component: &'static str,
    what: &'static str,
    /// The name of the port in the pods.
    port_name: &'static str,
    /// The values of the chart for the port, and for the node's own network.
    port_value: &'static str,
    host_value: &'static str,
    /// What the chart has.
    port: u16,
}

pub(super) const LISTENERS: [Listener; 2] = [
    Listener {
        component: LOAD_BALANCER_CONTROLLER.name,
        what: "the webhook of the AWS Load Balancer Controller",
        port_name: "webhook-server",
        port_value: "/webhookBindPort",
        host_value: "/hostNetwork",
        port: 9443,
    },
    // The community add-on of EKS listens on 10251 instead, which its Deployment says (aws/containers-roadmap#2589).
    Listener {
        component: METRICS_SERVER.name,
        what: "metrics-server",
        port_name: "https",
        port_value: "/containerPort",
        host_value: "/hostNetwork/enabled",
        port: 10250,
    },
];

/// A port that the control plane calls.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Port {
    pub(super) about: &'static str,
    pub(super) what: &'static str,
    /// None: the kubelet's, which each node says.
    pub(super) number: Option<u16>,
    /// Whether it is the node itself that listens, and not a pod with an address of its own.
    pub(super) on_node: bool,
    /// The labels of nodes that the pods ask for.
    pub(super) selector: Value,
}

/// The ports, as the values that are in force say, or the workload that runs already.
pub(super) async fn of(scene: &Scene<'_>) -> Vec<Port> {
    let kubelet = Port {
        about: "kubelet",
        what: "the kubelet (logs, exec, port-forward)",
        number: None,
        on_node: true,
        selector: Value::Null,
    };
    let mut ports = vec![kubelet];
    for component in components(scene) {
        ports.extend(of_component(scene, &component).await);
    }
    ports
}

/// The port on which the pods of a component are called; none where nobody calls them.
pub(super) async fn of_component(scene: &Scene<'_>, component: &Component) -> Option<Port> {
    let listener = LISTENERS.iter().find(|listener| listener.component == component.name)?;
    let deployment = component.workloads().into_iter().next();
    let running = match &deployment {
        // What may not be read is said by the checks of the component; the values say what will run.
        Some(reference) => running(scene, reference).await,
        None => None,
    };
    let values = component.chart_values(&scene.cx.config, &scene.cx.facts);
    Some(Port::of(component.short, listener, &values, running.as_ref()))
}

async fn running(scene: &Scene<'_>, deployment: &ObjectRef) -> Option<Value> {
    scene.cx.kube.get(deployment).await.ok().flatten()
}

impl Port {
    pub(super) fn of(about: &'static str, listener: &Listener, values: &Value, running: Option<&Value>) -> Port {
        let pod = running.map(|workload| &workload["spec"]["template"]["spec"]);
        let named = pod.and_then(|pod| {
            let mut ports = items(pod, "/containers").flat_map(|container| items(container, "/ports"));
            ports.find(|port| port["name"] == listener.port_name)?["containerPort"].as_u64()
        });
        let number = named.or_else(|| values.pointer(listener.port_value)?.as_u64());
        let on_node = match pod {
            Some(pod) => pod["hostNetwork"] == true,
            None => values.pointer(listener.host_value) == Some(&Value::Bool(true)),
        };
        Port {
            about,
            what: listener.what,
            number: Some(number.and_then(|port| port.try_into().ok()).unwrap_or(listener.port)),
            on_node,
            selector: values["nodeSelector"].clone(),
        }
    }
}
