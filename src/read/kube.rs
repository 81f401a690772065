//! Kubernetes, read only.
//!
//! A dry run and a token request are POSTs but keep nothing: the API server answers and forgets.

mod capabilities;
mod contents;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::error::{Error, KubeError, Result};
use crate::kube_client::{KubeApi, KubeTarget};

pub use capabilities::Capabilities;

/// One object's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// None where the kind has none, or where the object leaves it out.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// An address; kinds without a namespace lose it.
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
        let namespaced =
            KINDS.iter().find(|known| known.0 == api_version && known.1 == kind).is_none_or(|known| known.3);
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespaced.then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// Whether a text names it as people write it: `KIND/NAME` or `KIND/NAMESPACE/NAME`, the kind in any case.
    pub fn is_called(&self, text: &str) -> bool {
        let parts: Vec<_> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(*namespace), name),
            _ => return false,
        };
        let placed = namespace.is_none() || self.namespace.as_deref() == namespace;
        placed && *name == self.name && kind.eq_ignore_ascii_case(&self.kind)
    }

    /// The address of an object.
    pub fn of(object: &Value) -> ObjectRef {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        ObjectRef {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

/// A secret text that no log shows.
pub struct SecretText(String);

impl SecretText {
    /// The text itself; never to be logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// API version, kind, plural, whether it lives in a namespace: the kinds that we use ourselves. Others are asked for.
const KINDS: [(&str, &str, &str, bool); 24] = [
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Event", "events", true),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Node", "nodes", false),
    ("v1", "PersistentVolume", "persistentvolumes", false),
    ("v1", "Pod", "pods", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "ReplicaSet", "replicasets", true),
    ("apps/v1", "StatefulSet", "statefulsets", true),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", false),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("networking.k8s.io/v1", "Ingress", "ingresses", true),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers", false),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
];

/// A kind of an API version: kind, plural, whether it lives in a namespace.
type Resource = (String, String, bool);

/// Turns kinds into paths; what the table does not know is asked of the API server once.
#[derive(Clone)]
pub(crate) struct Paths {
    api: KubeApi,
    asked: Arc<Mutex<BTreeMap<String, Arc<Vec<Resource>>>>>,
}

impl Paths {
    pub(crate) fn new(api: KubeApi) -> Paths {
        Paths { api, asked: Arc::default() }
    }

    /// Plural and whether there is a namespace; none where the API server does not know the kind.
    pub(crate) async fn kind(&self, api_version: &str, kind: &str) -> Result<Option<(String, bool)>> {
        if let Some(known) = KINDS.iter().find(|known| known.0 == api_version && known.1 == kind) {
            return Ok(Some((known.2.to_owned(), known.3)));
        }
        let mut asked = self.asked.lock().await;
        let resources = if let Some(resources) = asked.get(api_version) {
            resources.clone()
        } else {
            let list = self.api.read(&format!("discover {api_version}"), &root(api_version)).await?;
            let resources = Arc::new(list.as_ref().map(resources_of).unwrap_or_default());
            // Absence is not remembered: CRDs appear during a run.
            if list.is_some() {
                asked.insert(api_version.to_owned(), resources.clone());
            }
            resources
        };
        let found = resources.iter().find(|(found, _, _)| found == kind);
        if found.is_none() {
            asked.remove(api_version);
        }
        Ok(found.map(|(_, plural, namespaced)| (plural.clone(), *namespaced)))
    }

    /// The path of an object; none where the API server does not know its kind.
    pub(crate) async fn object(&self, object: &ObjectRef) -> Result<Option<String>> {
        let Some(collection) = self
            .collection(&object.api_version, &object.kind, object.namespace.as_deref().unwrap_or("default"))
            .await?
        else {
            return Ok(None);
        };
        Ok(Some(format!("{collection}/{}", object.name)))
    }

    /// The path of a collection; an empty namespace means all of them.
    pub(crate) async fn collection(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Option<String>> {
        let Some((plural, namespaced)) = self.kind(api_version, kind).await? else { return Ok(None) };
        let root = root(api_version);
        Ok(Some(if namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{namespace}/{plural}")
        } else {
            format!("{root}/{plural}")
        }))
    }
}

fn root(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

fn resources_of(list: &Value) -> Vec<Resource> {
    let resources = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    resources
        .iter()
        .filter_map(|resource| {
            let name = resource["name"].as_str()?;
            let namespaced = resource["namespaced"].as_bool()?;
            // Sub-resources such as `deployments/scale` have the kind of what they carry.
            (!name.contains('/'))
                .then(|| (resource["kind"].as_str().unwrap_or_default().to_owned(), name.to_owned(), namespaced))
        })
        .collect()
}

/// What a caller wants to do: a verb on objects of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access<'a> {
    /// Such as `create`; `*` means all.
    pub verb: &'a str,
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The plural, with a subresource after a `/`.
    pub resource: &'a str,
    /// Empty means all namespaces.
    pub namespace: &'a str,
    /// Empty means all names.
    pub name: &'a str,
}

/// Kubernetes, read only.
#[derive(Clone)]
pub struct KubeRead {
    api: KubeApi,
    paths: Paths,
    capabilities: capabilities::Known,
}

impl KubeRead {
    /// A reader of `target`; nothing is asked yet.
    ///
    /// # Errors
    /// An address, certificate authority or kubeconfig that cannot be used.
    pub async fn connect(target: &KubeTarget) -> Result<KubeRead> {
        let api = KubeApi::connect(target).await?;
        Ok(KubeRead { paths: Paths::new(api.clone()), api, capabilities: capabilities::Known::default() })
    }

    /// The address with the namespace that the object lives in: its own, else `default`, and none where its kind has none.
    /// Which kinds have one is asked of the API server; for a kind that it does not know, the address stays as it is.
    ///
    /// # Errors
    /// The API group cannot be read.
    pub async fn placed(&self, object: &ObjectRef, default: &str) -> Result<ObjectRef> {
        let namespace = match self.paths.kind(&object.api_version, &object.kind).await? {
            Some((_, true)) => Some(object.namespace.clone().unwrap_or_else(|| default.to_owned())),
            Some((_, false)) => None,
            None => object.namespace.clone(),
        };
        Ok(ObjectRef { namespace, ..object.clone() })
    }

    /// The object; none where it, or its kind, does not exist.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>> {
        let Some(path) = self.paths.object(object).await? else { return Ok(None) };
        self.api.read(&format!("get {object}"), &path).await
    }

    /// All objects of a kind in a namespace (empty: in all), with a label selector (empty: all).
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str, labels: &str) -> Result<Vec<Value>> {
        let Some(path) = self.paths.collection(api_version, kind, namespace).await? else { return Ok(Vec::new()) };
        let selector: String = url::form_urlencoded::byte_serialize(labels.as_bytes()).collect();
        let operation = format!("list {kind} in {}", if namespace.is_empty() { "all namespaces" } else { namespace });
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            let page = format!("{path}?limit=500&labelSelector={selector}&continue={token}");
            let Some(mut list) = self.api.read(&operation, &page).await? else { return Ok(items) };
            if let Value::Array(found) = list["items"].take() {
                items.extend(found);
            }
            let next = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
            next.clone_into(&mut token);
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Creates an object as a server-side dry run: it passes defaulting, validation and admission, and is forgotten.
    pub async fn dry_run_create(&self, object: &Value) -> Result<Value> {
        let reference = ObjectRef::of(object);
        let namespace = reference.namespace.clone().unwrap_or_default();
        let operation = format!("create {reference} as a dry run");
        let path = self.paths.collection(&reference.api_version, &reference.kind, &namespace).await?;
        let missing = || KubeError {
            operation: operation.clone(),
            status: Some(404),
            reason: "NotFound".to_owned(),
            message: "no such kind or namespace".to_owned(),
        };
        let path = format!("{}?dryRun=All", path.ok_or_else(missing)?);
        let answer = self.api.request(&operation, Method::POST, &path, "application/json", object).await?;
        Ok(answer.ok_or_else(missing)?)
    }

    /// Whether the caller may do something, by SelfSubjectAccessReview: it is answered and not kept.
    pub async fn may(&self, access: &Access<'_>) -> Result<bool> {
        let (resource, part) = access.resource.split_once('/').unwrap_or((access.resource, ""));
        let attributes = json!({
            "verb": access.verb,
            "group": access.group,
            "resource": resource,
            "subresource": part,
            "namespace": access.namespace,
            "name": access.name,
        });
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let operation = "create selfsubjectaccessreviews.authorization.k8s.io";
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.api.request(operation, Method::POST, path, "application/json", &body).await?;
        Ok(answer.as_ref().and_then(|answer| answer.pointer("/status/allowed")).and_then(Value::as_bool) == Some(true))
    }

    /// A token of a service account for an audience; none where the service account does not exist.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        audience: &str,
    ) -> Result<Option<SecretText>> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        // Ten minutes are the shortest that the API server grants.
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 600},
        });
        let operation = format!("create serviceaccounts/token of {namespace}/{name}");
        let answer = self.api.request(&operation, Method::POST, &path, "application/json", &body).await?;
        let Some(answer) = answer else { return Ok(None) };
        match answer.pointer("/status/token").and_then(Value::as_str) {
            Some(token) => Ok(Some(SecretText(token.to_owned()))),
            None => Err(Error::Kube(KubeError {
                operation,
                status: None,
                reason: String::new(),
                message: "the answer holds no token".to_owned(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_printed_as_kubectl_users_write_them() {
        assert_eq!(
            ObjectRef::new("v1", "ServiceAccount", "kube-system", "x").to_string(),
            "ServiceAccount/kube-system/x"
        );
        assert_eq!(
            ObjectRef::new("storage.k8s.io/v1", "CSIDriver", "kube-system", "ebs.csi.aws.com").to_string(),
            "CSIDriver/ebs.csi.aws.com"
        );
    }

    #[test]
    fn people_name_objects_by_kind_and_name() {
        let object = ObjectRef::new("apps/v1", "Deployment", "kube-system", "x");
        for text in ["Deployment/x", "deployment/x", "deployment/kube-system/x"] {
            assert!(object.is_called(text), "{text}");
        }
        for text in ["Deployment/y", "deploy/x", "Deployment/default/x", "x", "a/b/c/d"] {
            assert!(!object.is_called(text), "{text}");
        }
    }

    #[test]
    fn sub_resources_are_no_kinds() {
        let list = json!({"resources": [
            {"name": "widgets", "kind": "Widget", "namespaced": true},
            {"name": "widgets/status", "kind": "Widget", "namespaced": true},
        ]});
        assert_eq!(resources_of(&list), [("Widget".to_owned(), "widgets".to_owned(), true)]);
    }
}
