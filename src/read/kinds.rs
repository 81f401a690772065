//! The kinds that Kubernetes itself brings: their plurals, and which of them live in a namespace, as the types of its API say.
//!
//! Nothing here is guessed from a kind's name. Kinds of CRDs are told by the CRD (`of_crd`) or by the API server (`kube.rs`).

use k8s_openapi::api::{
    admissionregistration, apps, autoscaling, batch, certificates, coordination, core, discovery, events, flowcontrol,
    networking, node, policy, rbac, resource, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, Resource};
use serde_json::Value;

use crate::object::text;

/// Where a kind stands in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resourced {
    /// Its name in paths and in RBAC.
    pub plural: String,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

trait Scope {
    const NAMESPACED: bool;
}

impl Scope for NamespaceResourceScope {
    const NAMESPACED: bool = true;
}

impl Scope for ClusterResourceScope {
    const NAMESPACED: bool = false;
}

/// API version, kind, plural, whether it lives in a namespace.
type Row = (&'static str, &'static str, &'static str, bool);

const fn row<K: Resource>() -> Row
where
    K::Scope: Scope,
{
    (K::API_VERSION, K::KIND, K::URL_PATH_SEGMENT, <K::Scope as Scope>::NAMESPACED)
}

/// What charts and people make; kinds that only answer questions are left out.
const KINDS: &[Row] = &[
    row::<core::v1::ConfigMap>(),
    row::<core::v1::Endpoints>(),
    row::<core::v1::Event>(),
    row::<core::v1::LimitRange>(),
    row::<core::v1::Namespace>(),
    row::<core::v1::Node>(),
    row::<core::v1::PersistentVolume>(),
    row::<core::v1::PersistentVolumeClaim>(),
    row::<core::v1::Pod>(),
    row::<core::v1::PodTemplate>(),
    row::<core::v1::ReplicationController>(),
    row::<core::v1::ResourceQuota>(),
    row::<core::v1::Secret>(),
    row::<core::v1::Service>(),
    row::<core::v1::ServiceAccount>(),
    row::<admissionregistration::v1::MutatingWebhookConfiguration>(),
    row::<admissionregistration::v1::ValidatingAdmissionPolicy>(),
    row::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>(),
    row::<admissionregistration::v1::ValidatingWebhookConfiguration>(),
    row::<admissionregistration::v1beta1::MutatingAdmissionPolicy>(),
    row::<admissionregistration::v1beta1::MutatingAdmissionPolicyBinding>(),
    row::<apiextensions::v1::CustomResourceDefinition>(),
    row::<apiregistration::v1::APIService>(),
    row::<apps::v1::ControllerRevision>(),
    row::<apps::v1::DaemonSet>(),
    row::<apps::v1::Deployment>(),
    row::<apps::v1::ReplicaSet>(),
    row::<apps::v1::StatefulSet>(),
    row::<autoscaling::v1::HorizontalPodAutoscaler>(),
    row::<autoscaling::v2::HorizontalPodAutoscaler>(),
    row::<batch::v1::CronJob>(),
    row::<batch::v1::Job>(),
    row::<certificates::v1::CertificateSigningRequest>(),
    row::<coordination::v1::Lease>(),
    row::<discovery::v1::EndpointSlice>(),
    row::<events::v1::Event>(),
    row::<flowcontrol::v1::FlowSchema>(),
    row::<flowcontrol::v1::PriorityLevelConfiguration>(),
    row::<networking::v1::IPAddress>(),
    row::<networking::v1::Ingress>(),
    row::<networking::v1::IngressClass>(),
    row::<networking::v1::NetworkPolicy>(),
    row::<networking::v1::ServiceCIDR>(),
    row::<node::v1::RuntimeClass>(),
    row::<policy::v1::PodDisruptionBudget>(),
    row::<rbac::v1::ClusterRole>(),
    row::<rbac::v1::ClusterRoleBinding>(),
    row::<rbac::v1::Role>(),
    row::<rbac::v1::RoleBinding>(),
    row::<resource::v1::DeviceClass>(),
    row::<resource::v1::ResourceClaim>(),
    row::<resource::v1::ResourceClaimTemplate>(),
    row::<resource::v1::ResourceSlice>(),
    row::<scheduling::v1::PriorityClass>(),
    row::<storage::v1::CSIDriver>(),
    row::<storage::v1::CSINode>(),
    row::<storage::v1::CSIStorageCapacity>(),
    row::<storage::v1::StorageClass>(),
    row::<storage::v1::VolumeAttachment>(),
    row::<storage::v1::VolumeAttributesClass>(),
];

/// A kind of Kubernetes' own in exactly this version.
pub fn of_kubernetes(api_version: &str, kind: &str) -> Option<Resourced> {
    let known = KINDS.iter().find(|known| known.0 == api_version && known.1 == kind)?;
    Some(Resourced { plural: known.2.to_owned(), namespaced: known.3 })
}

/// A kind of Kubernetes' own in any version of its group: what RBAC asks for knows no versions.
pub fn of_group(api_version: &str, kind: &str) -> Option<Resourced> {
    let known = KINDS.iter().find(|known| group(known.0) == group(api_version) && known.1 == kind)?;
    Some(Resourced { plural: known.2.to_owned(), namespaced: known.3 })
}

/// A kind that one of these CRDs defines.
pub fn of_crds(crds: &[Value], api_version: &str, kind: &str) -> Option<Resourced> {
    let defines =
        |crd: &&Value| text(crd, "/spec/group") == group(api_version) && text(crd, "/spec/names/kind") == kind;
    let crd = crds.iter().find(defines)?;
    let plural = text(crd, "/spec/names/plural").to_owned();
    Some(Resourced { plural, namespaced: text(crd, "/spec/scope") != "Cluster" })
}

/// The group of an API version; empty for the core group.
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plurals_and_places_are_those_of_the_api() {
        let of = |version: &str, kind: &str| of_kubernetes(version, kind).map(|found| (found.plural, found.namespaced));
        assert_eq!(of("v1", "Endpoints"), Some(("endpoints".to_owned(), true)));
        assert_eq!(of("networking.k8s.io/v1", "NetworkPolicy"), Some(("networkpolicies".to_owned(), true)));
        assert_eq!(of("networking.k8s.io/v1", "IngressClass"), Some(("ingressclasses".to_owned(), false)));
        assert_eq!(of("storage.k8s.io/v1", "CSINode"), Some(("csinodes".to_owned(), false)));
        assert_eq!(of("policy/v1beta1", "PodDisruptionBudget"), None);
        assert_eq!(of_group("policy/v1beta1", "PodDisruptionBudget").unwrap().plural, "poddisruptionbudgets");
        assert_eq!(of_group("example.com/v1", "Service"), None);
    }

    #[test]
    fn a_crd_says_how_its_kind_is_called_and_where_it_lives() {
        let crd = |kind: &str, plural: &str, scope: &str| {
            json!({"kind": "CustomResourceDefinition", "spec": {"group": "example.com", "scope": scope,
                "names": {"kind": kind, "plural": plural}}})
        };
        let crds = [crd("Ox", "oxen", "Namespaced"), crd("IngressClassParams", "ingressclassparams", "Cluster")];
        let of = |kind: &str| of_crds(&crds, "example.com/v1", kind).map(|found| (found.plural, found.namespaced));
        assert_eq!(of("Ox"), Some(("oxen".to_owned(), true)));
        assert_eq!(of("IngressClassParams"), Some(("ingressclassparams".to_owned(), false)));
        assert_eq!(of("Cow"), None);
        assert_eq!(of_crds(&crds, "other.example.com/v1", "Ox"), None);
    }
}
