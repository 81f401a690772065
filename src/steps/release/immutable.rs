//! Fields that the API server lets nobody change. An upgrade that needs another value in one of them fails halfway, so they are
//! compared before: what a chart is to set (or a record says that it set) against what is there. Pure.
//!
//! The table follows the validation of updates in the API reference: <https://kubernetes.io/docs/reference/kubernetes-api/>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::object::text;
use crate::plan::FieldDiff;
use crate::secrets::{HIDDEN, Place};
use crate::steps::kube_object::{self, subset_diff};

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// As a whole; what is left out is the default, a JSON text.
    Whole(&'static str),
    /// Only where it is set on both sides: what is left out is kept.
    WhereSet,
    /// Every part that is set; the server adds defaults to the rest.
    Parts,
}

use How::{Parts, WhereSet, Whole};

/// API group, kind, field, how.
type Row = (&'static str, &'static str, &'static str, How);

const RBAC: &str = "rbac.authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";

#[rustfmt::skip]
const FIXED: &[Row] = &[
    // A workload finds its pods by it: workload-resources/deployment-v1, daemon-set-v1, stateful-set-v1.
    ("apps", "Deployment", "spec.selector", Whole("{}")),
    ("apps", "DaemonSet", "spec.selector", Whole("{}")),
    ("apps", "StatefulSet", "spec.selector", Whole("{}")),
    ("apps", "StatefulSet", "spec.serviceName", Whole("\"\"")),
    ("apps", "StatefulSet", "spec.podManagementPolicy", Whole("\"OrderedReady\"")),
    ("apps", "StatefulSet", "spec.volumeClaimTemplates", Parts),
    // workload-resources/job-v1.
    ("batch", "Job", "spec.template", Parts),
    ("batch", "Job", "spec.completionMode", Whole("\"NonIndexed\"")),
    // service-resources/service-v1: an address that was given out is kept where the chart names none.
    ("", "Service", "spec.clusterIP", WhereSet),
    // authorization-resources/role-binding-v1, cluster-role-binding-v1.
    (RBAC, "RoleBinding", "roleRef", Parts),
    (RBAC, "ClusterRoleBinding", "roleRef", Parts),
    // config-and-storage-resources/storage-class-v1, csi-driver-v1, persistent-volume-claim-v1.
    (STORAGE, "StorageClass", "provisioner", Whole("\"\"")),
    (STORAGE, "StorageClass", "parameters", Whole("{}")),
    (STORAGE, "StorageClass", "reclaimPolicy", Whole("\"Delete\"")),
    (STORAGE, "StorageClass", "volumeBindingMode", Whole("\"Immediate\"")),
    (STORAGE, "CSIDriver", "spec.attachRequired", Whole("true")),
    (STORAGE, "CSIDriver", "spec.volumeLifecycleModes", Whole("[\"Persistent\"]")),
    ("", "PersistentVolumeClaim", "spec.accessModes", Whole("[]")),
    ("", "PersistentVolumeClaim", "spec.storageClassName", WhereSet),
    ("", "PersistentVolumeClaim", "spec.volumeMode", Whole("\"Filesystem\"")),
    // service-resources/ingress-class-v1.
    ("networking.k8s.io", "IngressClass", "spec.controller", Whole("\"\"")),
    // workload-resources/priority-class-v1, policy-resources; cluster-resources/runtime-class-v1.
    ("scheduling.k8s.io", "PriorityClass", "value", Whole("0")),
    ("scheduling.k8s.io", "PriorityClass", "preemptionPolicy", Whole("\"PreemptLowerPriority\"")),
    ("node.k8s.io", "RuntimeClass", "handler", Whole("\"\"")),
    // config-and-storage-resources/secret-v1; their contents, too, once they are said to be immutable.
    ("", "Secret", "type", Whole("\"Opaque\"")),
];

/// What is lost, and for how long, while an object is deleted and created again.
const CONSEQUENCES: &[(&str, &str)] = &[
    ("Deployment", "its pods are replaced: none runs for a moment"),
    ("DaemonSet", "its pods are replaced on every node at once; mounted volumes stay mounted"),
    ("StatefulSet", "its pods are replaced, their volumes stay"),
    ("Job", "it runs again"),
    ("Service", "it gets another address, and has none for a moment"),
    ("RoleBinding", "its subjects lack these rights for a moment"),
    ("ClusterRoleBinding", "its subjects lack these rights for a moment"),
    ("StorageClass", "volumes stay; claims of this class wait for a moment"),
    ("CSIDriver", "volumes stay; none is attached for a moment"),
    ("PersistentVolumeClaim", "ITS VOLUME AND THE DATA ON IT GO, unless the volume's reclaim policy is Retain"),
    ("IngressClass", "load balancers stay; new Ingresses of the class wait for a moment"),
];

/// The consequence of deleting an object of this kind and creating it again.
pub(super) fn consequence(kind: &str) -> &'static str {
    CONSEQUENCES.iter().find(|row| row.0 == kind).map_or("it is absent for a moment", |row| row.1)
}

/// The fields of `live` that are to be otherwise and that the API server will not change.
pub(super) fn conflicts(desired: &Value, live: &Value) -> Vec<FieldDiff> {
    let (version, kind) = (text(desired, "/apiVersion"), text(desired, "/kind"));
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let mut fields = Vec::new();
    for (_, _, path, how) in FIXED.iter().filter(|row| row.0 == group && row.1 == kind) {
        let pointer = format!("/{}", path.replace('.', "/"));
        let of = |object: &Value| object.pointer(&pointer).cloned().unwrap_or(Value::Null);
        compare(path, *how, &of(desired), &of(live), &mut fields);
    }
    if group.is_empty() && matches!(kind, "Secret" | "ConfigMap") && live["immutable"] == true {
        contents(kind, desired, live, &mut fields);
    }
    fields
}

fn compare(path: &str, how: How, desired: &Value, live: &Value, fields: &mut Vec<FieldDiff>) {
    match how {
        Whole(default) => {
            let default: Value = serde_json::from_str(default).unwrap_or_default();
            let or_default = |value: &Value| if value.is_null() { default.clone() } else { value.clone() };
            let (desired, live) = (or_default(desired), or_default(live));
            if without_empty(&desired) != without_empty(&live) {
                fields.push(FieldDiff::new(path, kube_object::text(&live), kube_object::text(&desired)));
            }
        }
        WhereSet => {
            let unset = |value: &Value| value.is_null() || value == "";
            if !unset(desired) && !unset(live) && desired != live {
                fields.push(FieldDiff::new(path, kube_object::text(live), kube_object::text(desired)));
            }
        }
        Parts => {
            let (wanted, found) = (Place::default().masked(desired), Place::default().masked(live));
            fields.extend(subset_diff(desired, live).into_iter().map(|field| {
                let joint = if field.path.is_empty() || field.path.starts_with('[') { "" } else { "." };
                let shown = |text, masked| if is_hidden(masked, &field.path) { Some(HIDDEN.to_owned()) } else { text };
                let (before, after) = (shown(field.before, &found), shown(field.after, &wanted));
                FieldDiff::new(format!("{path}{joint}{}", field.path), before, after)
            }));
        }
    }
}

/// Whether the mask has replaced what stands at a path of `subset_diff`.
fn is_hidden(masked: &Value, path: &str) -> bool {
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    masked.pointer(&pointer).is_some_and(|value| value == HIDDEN)
}

/// An empty map or list and none are the same to the API server.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(name, field)| (name.clone(), without_empty(field)));
            Value::Object(kept.filter(|(_, field)| !is_empty(field)).collect())
        }
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// What an immutable Secret or ConfigMap holds; what is in a Secret is not shown.
fn contents(kind: &str, desired: &Value, live: &Value, fields: &mut Vec<FieldDiff>) {
    let secret = kind == "Secret";
    let shown = |value: &Value| match value {
        Value::String(_) if secret => Some(HIDDEN.to_owned()),
        other => kube_object::text(other),
    };
    let in_text = |name: &str, value: &Value| {
        let place = Place::default().member(name, value);
        shown(value).map(|text| if place.hides(value) { HIDDEN.to_owned() } else { text })
    };
    for part in ["data", "binaryData"] {
        let mut wanted = desired[part].as_object().cloned().unwrap_or_default();
        if secret && part == "data" {
            let plain = desired["stringData"].as_object().into_iter().flatten();
            wanted
                .extend(plain.filter_map(|(name, text)| Some((name.clone(), json!(STANDARD.encode(text.as_str()?))))));
        }
        let empty = Map::new();
        let found = live[part].as_object().unwrap_or(&empty);
        let names: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
        for name in names {
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
            let (wanted, found) = (of(&wanted), of(found));
            if wanted != found {
                fields.push(FieldDiff::new(format!("{part}.{name}"), in_text(name, &found), in_text(name, &wanted)));
            }
        }
    }
    if desired["immutable"] != true {
        fields.push(FieldDiff::new("immutable", "true".to_owned(), None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, kind: &str, fields: &Value) -> Value {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}});
        for (name, field) in fields.as_object().unwrap() {
            object[name] = field.clone();
        }
        object
    }

    fn paths(version: &str, kind: &str, desired: &Value, live: &Value) -> Vec<String> {
        let found = conflicts(&object(version, kind, desired), &object(version, kind, live));
        found.into_iter().map(|field| field.path).collect()
    }

    #[test]
    fn what_cannot_be_changed_is_found_and_the_rest_is_left() {
        let rbac = "rbac.authorization.k8s.io/v1";
        let role =
            |name: &str| json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}});
        let selector = |name: &str| json!({"spec": {"selector": {"matchLabels": {"app": name}}, "replicas": 3}});
        let class = |kind: &str| json!({"provisioner": "a", "parameters": {"type": kind}});
        let claims = |size: &str, more: Value| {
            let mut template =
                json!({"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": size}}}});
            template["spec"]["volumeMode"] = more;
            json!({"spec": {"serviceName": "s", "volumeClaimTemplates": [template]}})
        };
        let job =
            |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
        let ip = |ip: &str| json!({"spec": {"clusterIP": ip, "ports": [{"port": 1}]}});
        let table: Vec<(&str, &str, Value, Value, &[&str])> = vec![
            ("apps/v1", "Deployment", selector("a"), selector("b"), &["spec.selector"]),
            ("apps/v1", "Deployment", selector("a"), selector("a"), &[]),
            ("apps/v1", "DaemonSet", selector("a"), selector("b"), &["spec.selector"]),
            ("apps/v1", "StatefulSet", claims("1Gi", Value::Null), claims("1Gi", json!("Filesystem")), &[]),
            (
                "apps/v1",
                "StatefulSet",
                claims("2Gi", Value::Null),
                claims("1Gi", Value::Null),
                &["spec.volumeClaimTemplates[0].spec.resources.requests.storage"],
            ),
            ("batch/v1", "Job", job("a:2"), job("a:1"), &["spec.template.spec.containers[0].image"]),
            ("v1", "Service", ip("None"), ip("10.0.0.1"), &["spec.clusterIP"]),
            ("v1", "Service", json!({"spec": {}}), ip("10.0.0.1"), &[]),
            (rbac, "RoleBinding", role("a"), role("b"), &["roleRef.name"]),
            (rbac, "ClusterRoleBinding", role("a"), role("a"), &[]),
            ("storage.k8s.io/v1", "StorageClass", class("gp3"), class("gp2"), &["parameters"]),
            (
                "storage.k8s.io/v1",
                "StorageClass",
                json!({"provisioner": "a"}),
                json!({"provisioner": "a", "reclaimPolicy": "Retain", "volumeBindingMode": "Immediate"}),
                &["reclaimPolicy"],
            ),
            (
                "storage.k8s.io/v1",
                "CSIDriver",
                json!({"spec": {"fsGroupPolicy": "File"}}),
                json!({"spec": {"attachRequired": false, "volumeLifecycleModes": ["Persistent"]}}),
                &["spec.attachRequired"],
            ),
            (
                "networking.k8s.io/v1",
                "IngressClass",
                json!({"spec": {"controller": "a"}}),
                json!({"spec": {"controller": "b"}}),
                &["spec.controller"],
            ),
            ("v1", "Secret", json!({}), json!({"type": "Opaque"}), &[]),
            ("v1", "Secret", json!({"type": "kubernetes.io/tls"}), json!({"type": "Opaque"}), &["type"]),
            ("v1", "ConfigMap", json!({"data": {"a": "1"}}), json!({"data": {"a": "2"}}), &[]),
            (
                "v1",
                "ConfigMap",
                json!({"data": {"a": "1"}, "immutable": true}),
                json!({"data": {"a": "2"}, "immutable": true}),
                &["data.a"],
            ),
            (
                "v1",
                "ConfigMap",
                json!({"data": {"a": "1"}}),
                json!({"data": {"a": "1"}, "immutable": true}),
                &["immutable"],
            ),
            ("example.com/v1", "Deployment", selector("a"), selector("b"), &[]),
        ];
        for (version, kind, desired, live, expected) in table {
            assert_eq!(paths(version, kind, &desired, &live), expected, "{kind} {desired} {live}");
        }
    }

    #[test]
    fn contents_of_secrets_are_compared_and_hidden() {
        let desired = object("v1", "Secret", &json!({"stringData": {"a": "x", "b": "y"}, "immutable": true}));
        let live = object("v1", "Secret", &json!({"data": {"a": "eA==", "b": "eg=="}, "immutable": true}));
        let hidden = Some("(hidden)".to_owned());
        let expected =
            FieldDiff { path: "data.b".to_owned(), before: hidden, after: Some("(hidden, changed)".to_owned()) };
        assert_eq!(conflicts(&desired, &live), [expected]);
    }

    #[test]
    fn every_consequence_is_of_a_kind_in_the_table() {
        for (kind, _) in CONSEQUENCES {
            assert!(FIXED.iter().any(|row| row.1 == *kind), "{kind}");
        }
        assert!(FIXED.iter().all(|(.., how)| match how {
            Whole(default) => serde_json::from_str::<Value>(default).is_ok(),
            WhereSet | Parts => true,
        }));
    }
}
