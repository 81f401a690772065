//! The add-ons that the simulated EKS offers: names, versions and what they fit.
//!
//! The versions are plausible and fixed; they are not a copy of what AWS offers today.

use serde_json::{Map, Value, json};

use super::{paged, text};
use crate::sandbox::aws::document::strings;
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::world::World;

/// An add-on on offer.
#[derive(Debug)]
pub(in super::super) struct Offer {
    pub(super) name: &'static str,
    kind: &'static str,
    pub(super) owner: &'static str,
    pub(super) publisher: &'static str,
    needs_iam: bool,
    pub(super) namespace: &'static str,
    /// Newest first; the first one is the default.
    pub(in super::super) versions: &'static [&'static str],
}

const CLUSTER_VERSIONS: [&str; 6] = ["1.31", "1.32", "1.33", "1.34", "1.35", "1.36"];

const OFFERS: [Offer; 8] = [
    offer("aws-ebs-csi-driver", "storage", true, &["v1.64.0-eksbuild.1", "v1.63.0-eksbuild.1", "v1.58.0-eksbuild.1"]),
    offer("aws-efs-csi-driver", "storage", true, &["v3.0.0-eksbuild.1", "v2.3.0-eksbuild.1"]),
    offer("coredns", "networking", false, &["v1.13.2-eksbuild.1", "v1.12.4-eksbuild.1"]),
    offer("eks-pod-identity-agent", "security", false, &["v1.3.10-eksbuild.2", "v1.3.9-eksbuild.3"]),
    offer("kube-proxy", "networking", false, &["v1.35.3-eksbuild.2", "v1.34.6-eksbuild.2"]),
    Offer {
        name: "metrics-server",
        kind: "observability",
        owner: "community",
        publisher: "eks",
        needs_iam: false,
        namespace: "kube-system",
        versions: &["v0.8.1-eksbuild.1", "v0.8.0-eksbuild.3"],
    },
    offer("snapshot-controller", "storage", false, &["v8.4.0-eksbuild.1", "v8.3.0-eksbuild.1"]),
    offer("vpc-cni", "networking", true, &["v1.21.1-eksbuild.1", "v1.20.5-eksbuild.1"]),
];

const fn offer(name: &'static str, kind: &'static str, needs_iam: bool, versions: &'static [&'static str]) -> Offer {
    Offer { name, kind, owner: "aws", publisher: "eks", needs_iam, namespace: "kube-system", versions }
}

/// Finds an add-on on offer.
pub(in super::super) fn find(name: &str) -> Option<&'static Offer> {
    OFFERS.iter().find(|offer| offer.name == name)
}

/// Lists the names on offer, for messages.
pub(in super::super) fn names() -> Vec<&'static str> {
    OFFERS.iter().map(|offer| offer.name).collect()
}

pub(super) fn describe_versions(world: &World, input: &Map<String, Value>) -> Result<Value> {
    let name = text(input, "addonName");
    if let Some(name) = name
        && find(name).is_none()
    {
        return Err(ApiError::invalid_parameter(format!("Addon {name} is not supported")).with("addonName", name));
    }
    let cluster_version = text(input, "kubernetesVersion");
    let filter = |key: &str, value: &str| {
        let wanted = input.get(key).and_then(strings).unwrap_or_default();
        wanted.is_empty() || wanted.iter().any(|wanted| wanted == value)
    };
    let fits: Vec<_> =
        CLUSTER_VERSIONS.iter().filter(|version| cluster_version.is_none_or(|wanted| wanted == **version)).collect();
    let offers: Vec<_> = OFFERS
        .iter()
        .filter(|offer| !fits.is_empty() && name.is_none_or(|name| name == offer.name))
        .filter(|offer| filter("types", offer.kind) && filter("owners", offer.owner))
        .filter(|offer| filter("publishers", offer.publisher))
        .map(|offer| {
            let versions: Vec<_> = offer
                .versions
                .iter()
                .enumerate()
                .map(|(index, version)| {
                    let compatibilities: Vec<_> = fits
                        .iter()
                        .map(|fit| json!({"clusterVersion": fit, "platformVersions": ["*"], "defaultVersion": index == 0}))
                        .collect();
                    json!({
                        "addonVersion": version,
                        "architecture": ["amd64", "arm64"],
                        "computeTypes": ["ec2"],
                        "compatibilities": compatibilities,
                        "requiresConfiguration": false,
                        "requiresIamPermissions": offer.needs_iam,
                    })
                })
                .collect();
            let info = json!({
                "addonName": offer.name,
                "type": offer.kind,
                "addonVersions": versions,
                "publisher": offer.publisher,
                "owner": offer.owner,
                "defaultNamespace": offer.namespace,
            });
            (offer.name.to_owned(), info)
        })
        .collect();
    paged(world, input, "addons", offers)
}
