//! What the API server does with the fields of its own kinds: which lists are maps, which maps are one value, which zeros it
//! keeps. Rows are ends of paths without indices (`containers.ports`), since a name nearly always means one type.
//!
//! Sources: the list and map types of Server-Side Apply (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type` in
//! `/openapi/v3`, <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>) and the Go types of
//! <https://pkg.go.dev/k8s.io/api>: a field that is no pointer and has `omitempty` is dropped where it is zero.

/// API groups that are compiled into the API server and the aggregator; every other group is one of CRDs.
const BUILT_IN: [&str; 18] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether the kinds of an API version are the server's own.
pub(super) fn built_in(api_version: &str) -> bool {
    api_version.split_once('/').is_none_or(|(group, _)| BUILT_IN.contains(&group))
}

/// Whether helm 3 compares kinds of an API version with what is there. For kinds that its client does not know as types (those
/// of CRDs, CRDs and API services) it compares two manifests only and overlooks what somebody changed
/// (<https://github.com/helm/helm/blob/v3.17.0/pkg/kube/client.go>, `createPatch`).
pub(super) fn helm_looks(api_version: &str) -> bool {
    let aggregated = ["apiextensions.k8s.io/", "apiregistration.k8s.io/"];
    built_in(api_version) && !aggregated.iter().any(|group| api_version.starts_with(group))
}

/// A field of the entries that tells them apart, and its default.
pub(super) type Key = (&'static str, Option<&'static str>);

const NAME: &[Key] = &[("name", None)];
const CONTAINER_PORT: &[Key] = &[("containerPort", None), ("protocol", Some("TCP"))];

/// Lists whose entries are told apart by keys: order does not count, entries of others stay.
const LISTS_BY_KEY: [(&str, &[Key]); 23] = [
    ("containers", NAME),
    ("initContainers", NAME),
    ("ephemeralContainers", NAME),
    ("containers.ports", CONTAINER_PORT),
    ("initContainers.ports", CONTAINER_PORT),
    ("ephemeralContainers.ports", CONTAINER_PORT),
    ("env", NAME),
    ("volumeMounts", &[("mountPath", None)]),
    ("volumeDevices", &[("devicePath", None)]),
    ("resources.claims", NAME),
    ("hostAliases", &[("ip", None)]),
    // Those of a pod; of a ServiceAccount they are one value.
    ("spec.imagePullSecrets", NAME),
    ("resourceClaims", NAME),
    ("schedulingGates", NAME),
    ("topologySpreadConstraints", &[("topologyKey", None), ("whenUnsatisfiable", None)]),
    ("spec.volumes", NAME),
    ("secrets", NAME),
    // Of a Service; those of a NetworkPolicy are deeper and no map.
    ("spec.ports", &[("port", None), ("protocol", Some("TCP"))]),
    ("webhooks", NAME),
    ("matchConditions", NAME),
    ("variables", NAME),
    ("drivers", NAME),
    ("ownerReferences", &[("uid", None)]),
];

/// Lists that are sets: order does not count, entries of others stay.
const SETS: [&str; 7] = [
    "metadata.finalizers",
    "volumeLifecycleModes",
    "validationActions",
    "exitCodes.values",
    "onExitCodes.values",
    "endpoints.addresses",
    "podCIDRs",
];

/// Maps and structures that are one value: a key that the document does not set counts.
const ONE_VALUE: [&str; 39] = [
    "selector",
    "labelSelector",
    "namespaceSelector",
    "objectSelector",
    "podSelector",
    "nodeSelector",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeAffinity.required",
    "configMapKeyRef",
    "secretKeyRef",
    "fieldRef",
    "fileKeyRef",
    "resourceFieldRef",
    "roleRef",
    "paramKind",
    "paramRef",
    "matchResources",
    "matchConstraints",
    "scopeSelector",
    "dataSource",
    "targetRef",
    "preference",
    "nodeTopology",
    "backend.service.port",
    "backend.resource",
    "defaultBackend.service.port",
    "defaultBackend.resource",
    "controllerExpandSecretRef",
    "controllerPublishSecretRef",
    "nodeExpandSecretRef",
    "nodePublishSecretRef",
    "nodeStageSecretRef",
    "cephfs.secretRef",
    "cinder.secretRef",
    "flexVolume.secretRef",
    "iscsi.secretRef",
    "rbd.secretRef",
    "scaleIO.secretRef",
    "storageos.secretRef",
];

/// Lists that are one value, but whose entries get defaults that are not worth a table.
const WITH_DEFAULTS: [&str; 2] = ["volumeClaimTemplates", "spec.versions"];

/// What the API server adds inside a value that is otherwise taken as it is given.
const DEFAULTS: [(&str, &str); 10] = [
    ("rules.scope", "*"),
    ("resourceRules.scope", "*"),
    ("excludeResourceRules.scope", "*"),
    ("subjects.apiGroup", "rbac.authorization.k8s.io"),
    ("roleRef.apiGroup", "rbac.authorization.k8s.io"),
    ("fieldRef.apiVersion", "v1"),
    ("resourceFieldRef.divisor", "0"),
    ("serviceAccountToken.expirationSeconds", "3600"),
    ("ports.protocol", "TCP"),
    ("matchConstraints.matchPolicy", "Equivalent"),
];

/// Members of which an object has one: where the document sets one, another one that is there must go, since the API server
/// refuses both. The first part is the end of the object's path; empty means anywhere.
const ONE_OF: [(&str, &[&str]); 7] = [
    ("env", &["value", "valueFrom"]),
    ("valueFrom", &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"]),
    ("", &["exec", "httpGet", "tcpSocket", "grpc", "sleep"]),
    ("clientConfig", &["service", "url"]),
    ("backend", &["service", "resource"]),
    ("defaultBackend", &["service", "resource"]),
    ("spec", &["minAvailable", "maxUnavailable"]),
];

/// Lists whose added entries run code in our pods, so that they count although they are others'.
const CODE: [&str; 2] = ["containers", "initContainers"];

/// Fields that are pointers: what is zero in the document stays zero in the object, so that absence is a difference.
const KEPT: [&str; 87] = [
    "activeDeadlineSeconds",
    "affinity",
    "aggregationRule",
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "attachRequired",
    "automountServiceAccountToken",
    "backoffLimit",
    "capabilities",
    "clientIP",
    "completions",
    "configMap",
    "configMapRef",
    "csi",
    "csi.readOnly",
    "defaultMode",
    "downwardAPI",
    "emptyDir",
    "enableServiceLinks",
    "endPort",
    "ephemeral",
    "exec",
    "expirationSeconds",
    "failedJobsHistoryLimit",
    "failurePolicy",
    "fsGroup",
    "grpc",
    "hostPath",
    "hostPath.type",
    "hostProcess",
    "hostUsers",
    "httpGet",
    "immutable",
    "internalTrafficPolicy",
    "ipBlock",
    "labelSelector",
    "limitBytes",
    "livenessProbe",
    "localhostProfile",
    "manualSelector",
    "maxSurge",
    "maxUnavailable",
    "minAvailable",
    "minReplicas",
    "mode",
    "namespaceSelector",
    "nodeAllocatableUpdatePeriodSeconds",
    "objectSelector",
    "optional",
    "ordinals",
    "parallelism",
    "parameters.apiGroup",
    "podInfoOnMount",
    "podSelector",
    "postStart",
    "preStop",
    "preemptionPolicy",
    "privileged",
    "progressDeadlineSeconds",
    "projected",
    "readOnlyRootFilesystem",
    "readinessProbe",
    "replicas",
    "requiresRepublish",
    "revisionHistoryLimit",
    "rollingUpdate.partition",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxMount",
    "securityContext",
    "serviceAccountToken",
    "serviceAccountTokenInSecrets",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "startingDeadlineSeconds",
    "startupProbe",
    "storageCapacity",
    "storageClassName",
    "successfulJobsHistoryLimit",
    "suspend",
    "tcpSocket",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
];

/// Fields that hold a quantity.
const QUANTITIES: [&str; 5] = ["sizeLimit", "divisor", "averageValue", "target.value", "tolerance"];

/// Maps of quantities; names of resources hold dots, so that anything below is one.
const OF_QUANTITIES: [&str; 6] = ["limits", "requests", "hard", "overhead", "podFixed", "capacity"];

/// Maps with keys of the user's: an entry stays whatever its value is, an empty one too.
const MAPS: [&str; 14] = [
    "metadata.labels",
    "metadata.annotations",
    "data",
    "binaryData",
    "matchLabels",
    "nodeSelector",
    "spec.selector",
    "parameters",
    "limits",
    "requests",
    "hard",
    "overhead",
    "capacity",
    "volumeAttributes",
];

/// Fields that hold bytes, as base64.
const BYTES: [&str; 3] = ["caBundle", "data", "binaryData"];

fn ends(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn any_end(path: &str, ends_of: &[&str]) -> bool {
    ends_of.iter().any(|end| ends(path, end))
}

/// What the tables say of a list: its keys, `set`, or `one value`; of a map: `one value` or nothing.
pub(super) fn said(kind: &str, path: &str, list: bool) -> String {
    match keys(kind, path) {
        Some(keys) if list => keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join("/"),
        _ if list => if is_set(path) { "set" } else { "one value" }.to_owned(),
        _ => if is_one_value(path) { "one value" } else { "" }.to_owned(),
    }
}

/// The keys of a list's entries; none where the list is no map.
pub(super) fn keys(kind: &str, path: &str) -> Option<&'static [Key]> {
    // The one field that two kinds have under one path and of two types: of a ValidatingAdmissionPolicy it is a map.
    if kind == "MutatingAdmissionPolicy" && path == "spec.variables" {
        return None;
    }
    // The longest end decides.
    LISTS_BY_KEY.iter().filter(|(end, _)| ends(path, end)).max_by_key(|(end, _)| end.len()).map(|(_, keys)| *keys)
}

pub(super) fn is_set(path: &str) -> bool {
    any_end(path, &SETS)
}

pub(super) fn is_one_value(path: &str) -> bool {
    any_end(path, &ONE_VALUE)
}

pub(super) fn has_unknown_defaults(path: &str) -> bool {
    any_end(path, &WITH_DEFAULTS)
}

pub(super) fn is_default(path: &str, value: &str) -> bool {
    DEFAULTS.iter().any(|(end, default)| ends(path, end) && *default == value)
}

pub(super) fn runs_code(path: &str) -> bool {
    any_end(path, &CODE)
}

/// Fields that an API server drops without a word where their feature gate is off, as `MutableCSINodeAllocatableCount` is by
/// default before Kubernetes 1.35 (<https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/>). Charts
/// set them all the same, so their absence is no difference; another value is.
const GATED: [&str; 1] = ["spec.nodeAllocatableUpdatePeriodSeconds"];

pub(super) fn may_be_dropped(path: &str) -> bool {
    any_end(path, &GATED)
}

pub(super) fn keeps_zero(path: &str) -> bool {
    any_end(path, &KEPT)
}

/// Whether the field, or a map that it is in, holds quantities.
pub(super) fn is_quantity(path: &str) -> bool {
    let of_users = ["metadata.", "data."].iter().any(|map| path.starts_with(map));
    !of_users && (any_end(path, &QUANTITIES) || path.split('.').any(|name| OF_QUANTITIES.contains(&name)))
}

/// Whether a place is a map with keys of the user's.
pub(super) fn is_map(path: &str) -> bool {
    any_end(path, &MAPS)
}

/// Whether the field, or the map that it is in, holds bytes. The `data` of a ConfigMap is text.
pub(super) fn is_bytes(kind: &str, path: &str) -> bool {
    let parent = path.split_once('.').map_or("", |(parent, _)| parent);
    ends(path, "caBundle") || (BYTES.contains(&parent) && !(kind == "ConfigMap" && parent == "data"))
}

/// The members that must go because the document sets another one of the same choice.
pub(super) fn rivals<'a>(
    path: &str,
    document: &serde_json::Map<String, serde_json::Value>,
    object: impl Iterator<Item = &'a String>,
) -> Vec<&'a String> {
    let others: Vec<_> = object.filter(|name| document.get(*name).is_none_or(serde_json::Value::is_null)).collect();
    if ends(path, "spec.volumes") {
        // Everything but its name is the source of a volume, and there is one.
        let has_source = document.keys().any(|name| name != "name");
        return others.into_iter().filter(|name| has_source && *name != "name").collect();
    }
    if ends(path, "strategy") || ends(path, "updateStrategy") {
        let rolls = document.get("type").is_none_or(|kind| kind == "RollingUpdate");
        return others.into_iter().filter(|name| !rolls && *name == "rollingUpdate").collect();
    }
    let choices: Vec<_> = ONE_OF
        .iter()
        .filter(|(end, members)| {
            (end.is_empty() || ends(path, end))
                && members.iter().any(|name| document.get(*name).is_some_and(|value| !value.is_null()))
        })
        .collect();
    others.into_iter().filter(|name| choices.iter().any(|(_, members)| members.contains(&name.as_str()))).collect()
}
