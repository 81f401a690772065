//! Kubeconfigs whose tokens come from our own `token` command, for helm and for people in the sandbox. Pure.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What differs from one kubeconfig of ours to another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ways<'a> {
    /// The address of the proxy that leads to the API server, with its credentials.
    pub proxy: Option<&'a str>,
    /// A variable for `program`, with its value.
    pub variable: Option<(&'a str, &'a str)>,
}

/// A kubeconfig with one context, named after the cluster; `arguments` are those of `program token`.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
pub fn with_our_token(
    cluster: &str,
    url: &str,
    ca_pem: &str,
    program: &Path,
    arguments: &[&str],
    ways: Ways<'_>,
) -> Value {
    let mut document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(ca_pem),
        }}],
        "users": [{"name": cluster, "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": program,
            "args": arguments,
            "interactiveMode": "Never",
        }}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
    });
    if let Some(proxy) = ways.proxy {
        document["clusters"][0]["cluster"]["proxy-url"] = proxy.into();
    }
    if let Some((name, value)) = ways.variable {
        document["users"][0]["user"]["exec"]["env"] = json!([{"name": name, "value": value}]);
    }
    document
}
