//! Tells which Service is meant by an address that the apiserver dials.
//!
//! The apiserver resolves names itself and asks the egress for `IP:PORT` only: a ready endpoint, or a cluster IP. Pure: the
//! egress lists Services and EndpointSlices and passes them in.

use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointSlice},
};

/// The label by which a slice names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A Service that an address belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) namespace: String,
    pub(super) service: String,
    /// Whether a connection would find a ready pod.
    pub(super) ready: bool,
}

/// All Services that `host:port` belongs to, in order of namespace and name: one pod may stand behind several.
pub(super) fn resolve(host: &str, port: u16, services: &[Service], slices: &[EndpointSlice]) -> Vec<Backend> {
    let mut backends: Vec<_> = services
        .iter()
        .filter(|service| has_cluster_address(service, host, port))
        .map(|service| {
            let namespace = service.metadata.namespace.clone().unwrap_or_default();
            let name = service.metadata.name.clone().unwrap_or_default();
            let ready = slices
                .iter()
                .filter(|slice| belongs(slice, &namespace, &name))
                .any(|slice| slice.endpoints.iter().flatten().any(is_ready));
            Backend { namespace, service: name, ready }
        })
        .chain(slices.iter().filter_map(|slice| from_slice(slice, host, port)))
        .collect();
    backends.sort_by(|left, right| (&left.namespace, &left.service).cmp(&(&right.namespace, &right.service)));
    backends.dedup_by(|next, kept| {
        let same = next.namespace == kept.namespace && next.service == kept.service;
        kept.ready |= same && next.ready;
        same
    });
    backends
}

fn has_cluster_address(service: &Service, host: &str, port: u16) -> bool {
    let Some(spec) = &service.spec else { return false };
    let addresses = spec.cluster_ips.iter().flatten().chain(spec.cluster_ip.iter());
    let ports = spec.ports.iter().flatten();
    addresses.into_iter().any(|address| address == host) && ports.into_iter().any(|own| own.port == i32::from(port))
}

fn belongs(slice: &EndpointSlice, namespace: &str, service: &str) -> bool {
    slice.metadata.namespace.as_deref() == Some(namespace) && service_of(slice) == Some(service)
}

fn service_of(slice: &EndpointSlice) -> Option<&str> {
    slice.metadata.labels.as_ref()?.get(SERVICE_LABEL).map(String::as_str)
}

fn from_slice(slice: &EndpointSlice, host: &str, port: u16) -> Option<Backend> {
    let service = service_of(slice)?.to_owned();
    slice.ports.iter().flatten().find(|own| own.port == Some(i32::from(port)))?;
    let endpoint =
        slice.endpoints.iter().flatten().find(|endpoint| endpoint.addresses.iter().any(|address| address == host))?;
    Some(Backend {
        namespace: slice.metadata.namespace.clone().unwrap_or_default(),
        service,
        ready: is_ready(endpoint),
    })
}

/// An absent condition means ready, says the API.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, address: &str) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 443, "targetPort": 9443}]},
        }))
        .unwrap()
    }

    fn slice(namespace: &str, service: &str, endpoints: &[(&str, Option<bool>)], port: i32) -> EndpointSlice {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
            .collect();
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": format!("{service}-x"), "labels": {SERVICE_LABEL: service}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"port": port}],
        }))
        .unwrap()
    }

    fn backend(namespace: &str, service: &str, ready: bool) -> Backend {
        Backend { namespace: namespace.into(), service: service.into(), ready }
    }

    #[test]
    fn a_cluster_address_needs_a_ready_endpoint_somewhere() {
        let services = [service("kube-system", "hook", "10.100.0.7"), service("default", "other", "10.100.0.8")];
        let ask = |slices: &[EndpointSlice]| resolve("10.100.0.7", 443, &services, slices);
        assert_eq!(ask(&[]), [backend("kube-system", "hook", false)]);
        let pods = [("10.0.0.1", Some(false)), ("10.0.0.2", Some(true))];
        assert_eq!(ask(&[slice("kube-system", "hook", &pods, 9443)]), [backend("kube-system", "hook", true)]);
        assert_eq!(ask(&[slice("default", "hook", &pods, 9443)]), [backend("kube-system", "hook", false)]);
    }

    #[test]
    fn the_port_belongs_to_the_address() {
        let services = [service("kube-system", "hook", "10.100.0.7")];
        assert_eq!(resolve("10.100.0.7", 80, &services, &[]), []);
        let slices = [slice("kube-system", "hook", &[("10.0.0.1", Some(true))], 9443)];
        assert_eq!(resolve("10.0.0.1", 443, &services, &slices), []);
    }

    #[test]
    fn a_pod_address_is_as_ready_as_that_pod() {
        let pods = [("10.0.0.1", Some(false)), ("10.0.0.2", None)];
        let slices = [slice("kube-system", "hook", &pods, 9443)];
        assert_eq!(resolve("10.0.0.1", 9443, &[], &slices), [backend("kube-system", "hook", false)]);
        assert_eq!(resolve("10.0.0.2", 9443, &[], &slices), [backend("kube-system", "hook", true)]);
    }

    #[test]
    fn one_pod_may_stand_behind_several_services() {
        let pods = [("10.0.0.1", Some(true))];
        let slices = [slice("b", "two", &pods, 9443), slice("a", "one", &pods, 9443), slice("a", "one", &pods, 9443)];
        assert_eq!(resolve("10.0.0.1", 9443, &[], &slices), [backend("a", "one", true), backend("b", "two", true)]);
    }

    #[test]
    fn an_unknown_address_is_nobodys() {
        assert_eq!(resolve("192.168.1.1", 10250, &[service("a", "b", "10.100.0.9")], &[]), []);
    }
}
