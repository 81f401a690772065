//! Kubernetes, read only.
//!
//! A dry run and a token request are POSTs but keep nothing: the API server answers and forgets.

mod address;
mod capabilities;
mod contents;
mod dry_run;
mod few;
mod list;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use serde_json::{Value, json};

use crate::error::{Error, KubeError, Result};
use crate::kube_client::{KubeApi, KubeTarget};
use crate::read::kinds::{self, Resourced};

pub use address::ObjectRef;
pub use capabilities::Capabilities;
pub use few::Few;

/// Where the API server tells the issuer of its tokens.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery>
pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";

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

/// A kind of an API version: kind, plural, whether it lives in a namespace.
type Resource = (String, String, bool);

/// Turns kinds into paths; what is not of Kubernetes' own is asked of the API server once.
#[derive(Clone)]
pub(crate) struct Paths {
    api: KubeApi,
    asked: Arc<Mutex<BTreeMap<String, Arc<Vec<Resource>>>>>,
}

impl Paths {
    pub(crate) fn new(api: KubeApi) -> Paths {
        Paths { api, asked: Arc::default() }
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Vec<Resource>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plural and whether there is a namespace; none where the API server does not know the kind.
    pub(crate) async fn kind(&self, api_version: &str, kind: &str) -> Result<Option<(String, bool)>> {
        if let Some(known) = kinds::of_kubernetes(api_version, kind) {
            return Ok(Some((known.plural, known.namespaced)));
        }
        let known = self.asked().get(api_version).cloned();
        let resources = if let Some(resources) = known {
            resources
        } else {
            // No lock is held while the server is asked: two at once ask twice, which is better than to wait for one another.
            let list = self.api.read(&format!("discover {api_version}"), &root(api_version)).await?;
            let resources = Arc::new(list.as_ref().map(resources_of).unwrap_or_default());
            // Absence is not remembered: CRDs appear during a run.
            if list.is_some() {
                self.asked().insert(api_version.to_owned(), resources.clone());
            }
            resources
        };
        let found = resources.iter().find(|(found, _, _)| found == kind);
        if found.is_none() {
            self.asked().remove(api_version);
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

/// How errors name the listing of a kind in a namespace; an empty one means all.
pub(super) fn listing(kind: &str, namespace: &str) -> String {
    format!("list {kind} in {}", if namespace.is_empty() { "all namespaces" } else { namespace })
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

    /// The certificate authorities, as DER, that this connection is sure of; empty where it takes any certificate.
    pub(crate) fn authorities(&self) -> &[Vec<u8>] {
        self.api.authorities()
    }

    /// The entry of the kubeconfig that turns off the check of the server's certificate, if one does.
    pub(crate) fn unverified(&self) -> Option<&str> {
        self.api.unverified()
    }

    /// The issuer of the API server's service-account tokens; none where it tells none.
    pub(crate) async fn issuer(&self) -> Result<Option<String>> {
        let answer = self.api.read(&format!("get {DISCOVERY}"), DISCOVERY).await?;
        let issuer = answer.as_ref().and_then(|answer| answer["issuer"].as_str());
        Ok(issuer.filter(|issuer| !issuer.is_empty()).map(ToOwned::to_owned))
    }

    /// Seconds since 1970 by the clock of the API server, as its last answer told; by this machine's before the first one.
    pub fn now(&self) -> i64 {
        self.api.now()
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

    /// Plural and place of a kind, as the API server lists it; none where it does not know the kind.
    ///
    /// # Errors
    /// The API group cannot be read.
    pub async fn resourced(&self, api_version: &str, kind: &str) -> Result<Option<Resourced>> {
        let found = self.paths.kind(api_version, kind).await?;
        Ok(found.map(|(plural, namespaced)| Resourced { plural, namespaced }))
    }

    /// The object; none where it, or its kind, does not exist.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>> {
        let Some(path) = self.paths.object(object).await? else { return Ok(None) };
        self.api.read(&format!("get {object}"), &path).await
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
    fn sub_resources_are_no_kinds() {
        let list = json!({"resources": [
            {"name": "widgets", "kind": "Widget", "namespaced": true},
            {"name": "widgets/status", "kind": "Widget", "namespaced": true},
        ]});
        assert_eq!(resources_of(&list), [("Widget".to_owned(), "widgets".to_owned(), true)]);
    }
}
