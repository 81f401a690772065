//! An existing cluster (kind, minikube or any other) in place of a control plane of ours.
//!
//! Called for `sandbox --context NAME`. Nothing is started and nothing is written to the cluster; its kubeconfig is reduced
//! to the one context and kept in a private temporary folder, so that the user's own is neither changed nor needed again.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::config::{Cluster, KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{ControlPlane, ControlPlaneError, Home, certificates::write_private, start::get};
use crate::files;

/// The largest certificate authority that is read.
const LARGEST_AUTHORITY: u64 = 4 << 20;

pub(super) async fn existing(kubeconfig: Option<&Path>, context: &str) -> Result<ControlPlane, ControlPlaneError> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let unusable = |reason: String| ControlPlaneError::Kubeconfig { context: context.to_owned(), reason };
    let all = match kubeconfig {
        Some(path) => {
            files::look(path).map_err(|error| unusable(format!("`{}`: {error}", path.display())))?;
            Kubeconfig::read_from(path)
        }
        None => Kubeconfig::read(),
    }
    .map_err(|error| unusable(error.to_string()))?;
    let reduced = reduce(all, context).map_err(unusable)?;
    let cluster = reduced.clusters.first().and_then(|named| named.cluster.clone()).unwrap_or_default();
    let endpoint = cluster.server.clone().ok_or_else(|| unusable("its cluster has no server".into()))?;
    let ca_pem = authority(&cluster).map_err(unusable)?;

    let folder = tempfile::Builder::new()
        .prefix("eks-bootstrap-sandbox-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(ControlPlaneError::file("create a folder in", std::env::temp_dir()))?;
    let admin_kubeconfig = folder.path().join("admin.kubeconfig");
    let text = serde_json::to_string(&reduced).map_err(|error| unusable(error.to_string()))?;
    write_private(&admin_kubeconfig, &text)?;

    let config = kube::Config::from_custom_kubeconfig(reduced, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(error.to_string()))?;
    let client =
        kube::Client::try_from(config).map_err(ControlPlaneError::kubernetes(format!("use context {context}")))?;
    let discovery = get(&client, "/.well-known/openid-configuration")
        .await
        .map_err(ControlPlaneError::kubernetes(format!("read the token issuer of context {context}")))?;
    let issuer_jwks = get(&client, "/openid/v1/jwks")
        .await
        .map_err(ControlPlaneError::kubernetes(format!("read the token keys of context {context}")))?;
    let version = get(&client, "/version")
        .await
        .map_err(ControlPlaneError::kubernetes(format!("read the version of context {context}")))?;
    Ok(ControlPlane {
        kubernetes: minor(&version),
        endpoint,
        ca_pem,
        admin_kubeconfig,
        issuer: discovery.get("issuer").and_then(Value::as_str).unwrap_or_default().to_owned(),
        issuer_jwks,
        servers: JoinSet::new(),
        silence: super::egress::Silence::default(),
        home: Home::Existing(folder),
    })
}

/// `MAJOR.MINOR` of what an API server says of its version. Some, EKS among them, have said `33+`.
fn minor(version: &Value) -> String {
    let number = |name: &str| version[name].as_str().unwrap_or_default().trim_end_matches('+').to_owned();
    format!("{}.{}", number("major"), number("minor"))
}

/// Leaves the one context with its cluster and its user.
fn reduce(mut all: Kubeconfig, context: &str) -> Result<Kubeconfig, String> {
    all.contexts.retain(|named| named.name == context);
    let Some(chosen) = all.contexts.first().and_then(|named| named.context.clone()) else {
        return Err("there is no such context".into());
    };
    all.clusters.retain(|named| named.name == chosen.cluster);
    if all.clusters.is_empty() {
        return Err(format!("its cluster `{}` is not in the kubeconfig", chosen.cluster));
    }
    all.auth_infos.retain(|named| Some(&named.name) == chosen.user.as_ref());
    all.current_context = Some(context.to_owned());
    Ok(all)
}

/// The CA of a cluster, which `DescribeCluster` has to show.
fn authority(cluster: &Cluster) -> Result<String, String> {
    if let Some(data) = &cluster.certificate_authority_data {
        let bytes = STANDARD.decode(data).map_err(|error| format!("its certificate-authority-data: {error}"))?;
        return String::from_utf8(bytes).map_err(|_| "its certificate-authority-data is not PEM".into());
    }
    match &cluster.certificate_authority {
        Some(path) => files::text(Path::new(path), LARGEST_AUTHORITY)
            .map_err(|error| format!("its certificate-authority `{path}`: {error}")),
        None => Err("its cluster has no certificate authority, which an EKS cluster always has".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kubeconfig() -> Kubeconfig {
        serde_json::from_value(json!({
            "current-context": "a",
            "clusters": [
                {"name": "a", "cluster": {"server": "https://a"}},
                {"name": "b", "cluster": {"server": "https://b", "certificate-authority-data": "Q0E="}},
            ],
            "users": [{"name": "a", "user": {"token": "secret-a"}}, {"name": "b", "user": {"token": "secret-b"}}],
            "contexts": [
                {"name": "a", "context": {"cluster": "a", "user": "a"}},
                {"name": "b", "context": {"cluster": "b", "user": "b"}},
                {"name": "lost", "context": {"cluster": "gone", "user": "b"}},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn only_the_chosen_context_is_kept_with_its_credentials() {
        let reduced = reduce(kubeconfig(), "b").unwrap();
        let text = serde_json::to_string(&reduced).unwrap();
        assert!(text.contains("secret-b") && !text.contains("secret-a"), "{text}");
        assert_eq!(reduced.current_context.as_deref(), Some("b"));
        assert_eq!(authority(reduced.clusters[0].cluster.as_ref().unwrap()).unwrap(), "CA");
    }

    #[test]
    fn versions_are_told_as_eks_does() {
        assert_eq!(minor(&json!({"major": "1", "minor": "33+", "gitVersion": "v1.33.1-eks-1"})), "1.33");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(reduce(kubeconfig(), "c").unwrap_err(), "there is no such context");
        assert_eq!(reduce(kubeconfig(), "lost").unwrap_err(), "its cluster `gone` is not in the kubeconfig");
        let without = reduce(kubeconfig(), "a").unwrap();
        let error = authority(without.clusters[0].cluster.as_ref().unwrap()).unwrap_err();
        assert!(error.contains("no certificate authority"), "{error}");
    }
}
