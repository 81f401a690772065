//! The ids of all steps that can exist, for flags that name steps. A test holds them against the steps that are made.

use super::KEY_POLICY;
use crate::component::{Component, ServiceAccountMaker};
use crate::steps::{drain, namespace, oidc_provider, pod_identity_agent, storage_class};

/// The ids of all steps that can exist for these components, for checking flags before anything is asked.
pub fn ids(components: &[Component]) -> Vec<String> {
    let mut ids = vec![oidc_provider::ID.to_string(), pod_identity_agent::ID.to_string()];
    for component in components {
        let kinds = [
            (component.permissions.is_ours(), "iam.policy"),
            (component.has_role(), "iam.role"),
            (component.has_role(), "iam.attachment"),
            (component.offers_node_role, "iam.node-role"),
            (component.has_role(), "eks.pod-identity"),
            (component.service_account_maker == ServiceAccountMaker::Us, "k8s.service-account"),
            (component.has_role(), "proof.identity"),
            (component.has_role(), "proof.admission"),
            (component.has_crds, "k8s.crds"),
            (true, "helm"),
            (component.offers_addon, "eks.addon"),
            (component.has_role(), "proof.pods"),
            (component.has_role(), "iam.trust"),
            (component.webhook_service.is_some(), "proof.webhook"),
            (component.api_service.is_some(), "proof"),
        ];
        if component.key_policy.is_some() {
            ids.push(format!("{KEY_POLICY}.{}-kms", component.short));
        }
        let namespace = namespace::id(component.namespace).to_string();
        if namespace::is_made(component.namespace) && !ids.contains(&namespace) {
            ids.push(namespace);
        }
        ids.extend(kinds.iter().filter(|(there, _)| *there).map(|(_, kind)| format!("{kind}.{}", component.short)));
    }
    ids.push(storage_class::ID.to_string());
    ids.push(drain::ID.to_string());
    ids
}
