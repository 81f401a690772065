//! Writes to the Kubernetes API server. Objects are applied server-side under one field manager, so that fields we stop
//! setting go away and fields of others stay (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).

mod restore;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, KubeError, Result};
use crate::kube_client::{KubeApi, KubeTarget};
use crate::object::items;
use crate::op::shell::{Supply, quote, required, variable};
use crate::owner::OUR_NAME;
use crate::read::kube::{KubeRead, ObjectRef, Paths};
use crate::retry::BackOff;
use crate::secrets::Place;
use crate::stop;

pub use restore::Restore;

/// How long an object may take to go once it is deleted.
const GONE_WITHIN: Duration = Duration::from_mins(1);

/// One call of the Kubernetes API that writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum KubeOp {
    /// Server-side apply; with `force`, fields that another manager set are taken over.
    Apply {
        /// The object as it is to be.
        object: Value,
        /// Whether conflicts are overridden.
        force: bool,
    },
    /// Deletes an object; what depends on it goes with it.
    Delete {
        /// The object.
        object: ObjectRef,
    },
    /// Deletes an object and waits until it is gone, since what comes next creates it again.
    Remove {
        /// The object.
        object: ObjectRef,
    },
    /// Sets annotations of an object, or takes them off, and leaves everything else as it is.
    Annotate {
        /// The object.
        object: ObjectRef,
        /// The annotations; nothing takes one off.
        annotations: BTreeMap<String, Option<String>>,
    },
    /// Replaces the pods of a workload, a few at a time, as `kubectl rollout restart` does.
    Restart {
        /// The workload.
        object: ObjectRef,
    },
    /// Takes labels and annotations off an object and leaves everything else as it is.
    Unmark {
        /// The object.
        object: ObjectRef,
        /// Names of labels.
        labels: Vec<String>,
        /// Names of annotations.
        annotations: Vec<String>,
    },
    /// Makes an object what its manifest says, where helm's merge would not, and waits for its pods.
    Restore(Box<Restore>),
}

/// Kubernetes, for writing.
#[derive(Clone)]
pub struct KubeWrite {
    api: KubeApi,
    paths: Paths,
    read: KubeRead,
}

impl KubeWrite {
    /// A writer to `target`; nothing is asked yet.
    ///
    /// # Errors
    /// An address, certificate authority or kubeconfig that cannot be used.
    pub async fn connect(target: &KubeTarget) -> Result<KubeWrite> {
        let api = KubeApi::connect(target).await?;
        Ok(KubeWrite { paths: Paths::new(api.clone()), api, read: KubeRead::connect(target).await? })
    }

    async fn delete(&self, object: &ObjectRef) -> Result<()> {
        let Some(path) = self.paths.object(object).await? else { return Ok(()) };
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        let operation = format!("delete {object}");
        self.api.request(&operation, Method::DELETE, &path, "application/json", &body).await.map(drop)
    }

    /// Waits until an object that was deleted is gone, or another one of its name is there.
    async fn until_gone(&self, object: &ObjectRef) -> Result<()> {
        let Some(path) = self.paths.object(object).await? else { return Ok(()) };
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(2), GONE_WITHIN);
        loop {
            let found = self.api.read(&format!("get {object}"), &path).await?;
            let Some(left) = found.filter(|found| found["metadata"].get("deletionTimestamp").is_some()) else {
                return Ok(());
            };
            if stop::of_process().heard().is_some() {
                return Err(Error::Stopped { what: format!("{object} is being deleted, to be created again") });
            }
            if !back_off.wait().await {
                let held: Vec<_> = items(&left, "/metadata/finalizers").filter_map(Value::as_str).collect();
                let held = if held.is_empty() { "something".to_owned() } else { held.join(", ") };
                return Err(Error::Kube(KubeError {
                    operation: format!("delete {object}"),
                    status: None,
                    reason: String::new(),
                    message: format!("it is still there after {} s, held by {held}", GONE_WITHIN.as_secs()),
                }));
            }
        }
    }

    /// A merge patch; an object that is not there needs none.
    async fn patch(&self, object: &ObjectRef, body: &Value) -> Result<()> {
        let Some(path) = self.paths.object(object).await? else { return Ok(()) };
        let path = format!("{path}?fieldManager={OUR_NAME}");
        let kind = "application/merge-patch+json";
        self.api.request(&format!("patch {object}"), Method::PATCH, &path, kind, body).await.map(drop)
    }
}

impl KubeOp {
    /// The call as RBAC names it.
    pub fn call(&self) -> String {
        match self {
            KubeOp::Apply { object, .. } => format!("k8s:patch {}", ObjectRef::of(object).kind),
            KubeOp::Delete { object } | KubeOp::Remove { object } => format!("k8s:delete {}", object.kind),
            KubeOp::Restore(restore) => format!("k8s:patch {}", restore.object.kind),
            KubeOp::Annotate { object, .. } | KubeOp::Unmark { object, .. } | KubeOp::Restart { object } => {
                format!("k8s:patch {}", object.kind)
            }
        }
    }

    /// The equivalent command of kubectl.
    pub fn command(&self) -> String {
        match self {
            KubeOp::Apply { object, force } => {
                let force = if *force { " --force-conflicts" } else { "" };
                let apply = format!("kubectl apply --server-side --field-manager {OUR_NAME}{force} -f");
                match hidden(object) {
                    Some(variable) => format!("{apply} {}", required(&variable)),
                    None => format!("printf %s {} | {apply} -", quote(&object.to_string())),
                }
            }
            KubeOp::Delete { object } => format!("kubectl delete {} --ignore-not-found", on_command_line(object)),
            KubeOp::Remove { object } => {
                format!("kubectl delete {} --ignore-not-found --wait", on_command_line(object))
            }
            KubeOp::Restore(restore) => restore.command(),
            KubeOp::Restart { object } => format!("kubectl rollout restart {}", on_command_line(object)),
            KubeOp::Annotate { object, annotations } => patch_command(object, &with_annotations(annotations)),
            KubeOp::Unmark { object, labels, annotations } => {
                patch_command(object, &without_marks(labels, annotations))
            }
        }
    }

    /// What the command needs besides.
    pub(super) fn supply(&self) -> Option<Supply> {
        let KubeOp::Apply { object, .. } = self else { return None };
        hidden(object).map(|variable| {
            let object = ObjectRef::of(object);
            Supply { variable, what: format!("a file with {object}, which holds secrets") }
        })
    }

    /// Performs the call.
    pub async fn run(&self, kube: &KubeWrite) -> Result<()> {
        match self {
            KubeOp::Apply { object, force } => {
                let reference = ObjectRef::of(object);
                let operation = format!("apply {reference}");
                let unknown = || {
                    Error::Kube(KubeError {
                        operation: operation.clone(),
                        status: Some(404),
                        reason: "NotFound".to_owned(),
                        message: "the API server does not know this kind or namespace".to_owned(),
                    })
                };
                let path = kube.paths.object(&reference).await?.ok_or_else(unknown)?;
                let path = format!("{path}?fieldManager={OUR_NAME}&force={force}");
                let body = without_nulls(object);
                let kind = "application/apply-patch+yaml";
                kube.api.request(&operation, Method::PATCH, &path, kind, &body).await?.ok_or_else(unknown)?;
                Ok(())
            }
            // A kind or object that is not there needs no deletion and carries no marks: absent means done.
            KubeOp::Delete { object } => kube.delete(object).await,
            KubeOp::Remove { object } => {
                kube.delete(object).await?;
                kube.until_gone(object).await
            }
            KubeOp::Restore(restore) => restore.run(kube).await,
            KubeOp::Restart { object } => kube.patch(object, &restarted_at(&jiff::Timestamp::now().to_string())).await,
            KubeOp::Annotate { object, annotations } => kube.patch(object, &with_annotations(annotations)).await,
            KubeOp::Unmark { object, labels, annotations } => {
                kube.patch(object, &without_marks(labels, annotations)).await
            }
        }
    }
}

/// The variable of the script that names a file with an object that holds secrets; none for others.
fn hidden(object: &Value) -> Option<String> {
    let reference = ObjectRef::of(object);
    holds_secrets(object).then(|| variable("OBJECT", &format!("{}_{}", reference.kind, reference.name)))
}

/// Whether an object is not to be printed as a whole. The schemas of a CRD only name fields.
fn holds_secrets(object: &Value) -> bool {
    match object["kind"].as_str() {
        Some("Secret") => true,
        Some("CustomResourceDefinition") => false,
        _ => Place::default().hides(object),
    }
}

fn patch_command(object: &ObjectRef, body: &Value) -> String {
    let patch = quote(&body.to_string());
    format!("kubectl patch {} --type merge --patch {patch}", on_command_line(object))
}

/// The merge patch that makes a workload's template new, under kubectl's own annotation.
fn restarted_at(moment: &str) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": moment}}}}})
}

/// The merge patch that sets annotations and takes others off.
fn with_annotations(annotations: &BTreeMap<String, Option<String>>) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

/// The merge patch that takes labels and annotations off.
fn without_marks(labels: &[String], annotations: &[String]) -> Value {
    let nulls = |names: &[String]| names.iter().map(|name| (name.clone(), Value::Null)).collect::<Map<_, _>>();
    json!({"metadata": {"labels": nulls(labels), "annotations": nulls(annotations)}})
}

fn on_command_line(object: &ObjectRef) -> String {
    let namespace = object.namespace.as_ref().map(|namespace| format!(" --namespace {}", quote(namespace)));
    let name = quote(&format!("{}/{}", object.kind.to_lowercase(), object.name));
    format!("{name}{}", namespace.unwrap_or_default())
}

/// Charts leave `creationTimestamp: null` and empty `status` behind, which are not ours to set.
fn without_nulls(object: &Value) -> Value {
    let mut object = object.clone();
    if let Value::Object(fields) = &mut object {
        fields.remove("status");
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.retain(|_, value| !value.is_null());
        }
    }
    if object.is_null() { json!({}) } else { object }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apply_can_be_typed() {
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "n"}});
        let op = KubeOp::Apply { object, force: true };
        assert_eq!(op.call(), "k8s:patch ServiceAccount");
        assert!(
            op.command().ends_with("kubectl apply --server-side --field-manager eks-bootstrap --force-conflicts -f -")
        );
    }

    #[test]
    fn an_object_with_secrets_is_read_from_a_file() {
        let metadata = json!({"name": "x.y", "annotations": {"example.com/api-token": "hunter2"}});
        let op = KubeOp::Apply { object: json!({"kind": "ConfigMap", "metadata": metadata}), force: false };
        let (command, supply) = (op.command(), op.supply().unwrap());
        assert!(command.ends_with(r#" -f "${OBJECT_CONFIGMAP_X_Y:?names no file}""#), "{command}");
        assert!(supply.variable == "OBJECT_CONFIGMAP_X_Y" && !supply.what.contains("hunter2"), "{supply:?}");
        let properties = json!({"password": {"type": "string", "default": "none"}});
        let schema = json!({"kind": "CustomResourceDefinition", "spec": {"schema": {"properties": properties}}});
        assert!(!holds_secrets(&schema), "a schema only names fields");
    }

    #[test]
    fn removals_can_be_typed() {
        let object = ObjectRef::new("v1", "ServiceAccount", "n", "x");
        let delete = KubeOp::Delete { object: object.clone() };
        assert_eq!(delete.call(), "k8s:delete ServiceAccount");
        assert_eq!(delete.command(), "kubectl delete serviceaccount/x --namespace n --ignore-not-found");
        let unmark = KubeOp::Unmark { object, labels: vec!["a".to_owned()], annotations: Vec::new() };
        assert_eq!(
            unmark.command(),
            r#"kubectl patch serviceaccount/x --namespace n --type merge --patch '{"metadata":{"annotations":{},"labels":{"a":null}}}'"#
        );
    }

    #[test]
    fn what_is_not_ours_to_set_is_left_out() {
        let object = json!({"metadata": {"name": "x", "creationTimestamp": null}, "status": {}});
        assert_eq!(without_nulls(&object), json!({"metadata": {"name": "x"}}));
    }
}
