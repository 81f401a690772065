//! Kubeconfigs whose tokens come from our own `token` command, for helm and for people in the sandbox. Pure.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A kubeconfig with one context, named after the cluster; `arguments` are those of `program token`.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
pub fn with_our_token(cluster: &str, url: &str, ca_pem: &str, program: &Path, arguments: &[&str]) -> Value {
    json!({
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
    })
}
