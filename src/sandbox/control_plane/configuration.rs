//! The configuration files of the control plane, as data: kubeconfigs, egress, token webhook.
//!
//! Pure: the start sequence writes what these functions return. All of it is JSON, which is YAML too.

use serde_json::{Value, json};

use super::certificates::Pair;

/// A kubeconfig with one context, authenticated by a client certificate.
pub(super) fn kubeconfig(context: &str, server: &str, ca_pem: &str, user: &Pair) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": {
            "server": server,
            "certificate-authority-data": base64(ca_pem),
        }}],
        "users": [{"name": context, "user": {
            "client-certificate-data": base64(&user.certificate),
            "client-key-data": base64(&user.key),
        }}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    })
}

/// Where the apiserver asks who a bearer token belongs to: a kubeconfig without a user.
pub(super) fn token_webhook(url: &str, ca_pem: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "webhook",
        "clusters": [{"name": "webhook", "cluster": {
            "server": url,
            "certificate-authority-data": base64(ca_pem),
        }}],
        "users": [{"name": "apiserver", "user": {}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "apiserver"}}],
    })
}

/// Sends everything that the apiserver would dial inside the cluster to a Unix socket of ours.
pub(super) fn egress(socket: &str) -> Value {
    json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{
            "name": "cluster",
            "connection": {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": socket}}},
        }],
    })
}

pub(super) fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_one_that_kube_understands() {
        let pair = Pair { certificate: "CERT".into(), key: "KEY".into() };
        let value = kubeconfig("sandbox", "https://127.0.0.1:6443", "CA", &pair);
        let parsed: kube::config::Kubeconfig = serde_json::from_value(value).unwrap();
        assert_eq!(parsed.current_context.as_deref(), Some("sandbox"));
        let cluster = parsed.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Q0E="));
    }

    #[test]
    fn the_token_webhook_carries_no_credentials() {
        let value = token_webhook("https://127.0.0.1:1/authenticate", "CA");
        assert_eq!(value["users"][0]["user"], json!({}));
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:1/authenticate");
    }

    #[test]
    fn only_cluster_traffic_is_diverted() {
        let value = egress("/tmp/x/egress.sock");
        assert_eq!(value["egressSelections"].as_array().unwrap().len(), 1);
        assert_eq!(value["egressSelections"][0]["name"], "cluster");
        assert_eq!(value["egressSelections"][0]["connection"]["transport"]["uds"]["udsName"], "/tmp/x/egress.sock");
    }
}
