//! Makes an object what its manifest says, where helm's merge would not: an added container, a port that was moved, another
//! source of a variable. Helm leaves what it does not name, and server-side apply what others own; both are then refused.
//!
//! So the object is read, compared, and changed by a JSON patch that is bound to the version that was read: exactly the
//! differences, in one write, or nothing. The fields are not kept under our name afterwards: with an owner beside helm they
//! would outlive a later chart that drops them, since server-side apply removes only what nobody else owns. Whoever applies
//! the chart next owns them again.

use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::{KubeWrite, holds_secrets, on_command_line};
use crate::content::{self, Schemas};
use crate::error::{Error, Result};
use crate::op::shell::quote;
use crate::owner::OUR_NAME;
use crate::read::kube::ObjectRef;
use crate::read::rollout;
use crate::retry::BackOff;
use crate::stop;

/// How often the object is read again because somebody wrote in between: controllers write the status of a rollout a few
/// times a second, nothing else does.
const ATTEMPTS: usize = 8;
const JSON_PATCH: &str = "application/json-patch+json";

/// An object, and what it is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// The object.
    pub object: ObjectRef,
    /// What its manifest sets.
    pub document: Value,
    /// Paths of fields that others own and that stay as they are.
    pub leave: Vec<String>,
    /// What the chart's CRDs say of its kind.
    #[serde(skip)]
    pub schemas: Schemas,
    /// How long its pods may take to be replaced, in seconds, as helm waits for them.
    pub timeout_seconds: u64,
}

impl Restore {
    pub(super) fn command(&self) -> String {
        let object = &self.object;
        if holds_secrets(&self.document) || object.kind == "Secret" {
            // What it holds is for no terminal; Helm's record has it.
            let mark = |name: &str| self.document["metadata"]["annotations"][name].as_str().unwrap_or_default();
            let (name, namespace) = (mark("meta.helm.sh/release-name"), mark("meta.helm.sh/release-namespace"));
            return format!(
                "helm get manifest {} --namespace {} | kubectl apply --server-side --force-conflicts -f -",
                quote(name),
                quote(namespace)
            );
        }
        let namespace = object.namespace.as_ref().map(|namespace| format!(" --namespace {}", quote(namespace)));
        let replace = format!(
            "printf %s {} | kubectl replace{} -f -",
            quote(&self.document.to_string()),
            namespace.unwrap_or_default()
        );
        let rolls = rollout::WORKLOADS.contains(&object.kind.as_str());
        let wait = format!(" && kubectl rollout status {}", on_command_line(object));
        if rolls { format!("{replace}{wait}") } else { replace }
    }

    pub(super) async fn run(&self, kube: &KubeWrite) -> Result<()> {
        let Some(path) = kube.paths.object(&self.object).await? else { return Ok(()) };
        let mut refused: Option<(Value, Error)> = None;
        for _ in 0..ATTEMPTS {
            // What is gone is helm's to make again.
            let Some(live) = kube.api.read(&format!("get {}", self.object), &path).await? else { return Ok(()) };
            let version = live["metadata"]["resourceVersion"].clone();
            if let Some((_, error)) = refused.take_if(|(before, _)| *before == version) {
                return Err(error);
            }
            let comparison = content::compare(&self.document, &live, &self.schemas, &self.leave);
            if comparison.differences.is_empty() {
                break;
            }
            let operations = json!(content::patch(&live, &comparison.corrected));
            match self.send(kube, &path, &operations).await {
                Ok(after) => {
                    self.disown(kube, &path, after).await;
                    break;
                }
                Err(Error::Kube(error)) if matches!(error.status, Some(409 | 422)) => {
                    refused = Some((version, Error::Kube(error)));
                }
                Err(other) => return Err(other),
            }
        }
        match refused {
            Some((_, error)) => Err(error),
            None => self.rolled_out(kube).await,
        }
    }

    async fn send(&self, kube: &KubeWrite, path: &str, operations: &Value) -> Result<Option<Value>> {
        let path = format!("{path}?fieldManager={OUR_NAME}");
        kube.api.request(&format!("patch {}", self.object), Method::PATCH, &path, JSON_PATCH, operations).await
    }

    /// Takes our name off the fields that we have set. What is left undone here harms nobody today.
    async fn disown(&self, kube: &KubeWrite, path: &str, mut after: Option<Value>) {
        for _ in 0..ATTEMPTS {
            let Some(removal) = after.as_ref().and_then(disowning) else { return };
            match self.send(kube, path, &removal).await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "the fields are still ours"),
            }
            after = kube.api.read(&format!("get {}", self.object), path).await.ok().flatten();
        }
    }

    async fn rolled_out(&self, kube: &KubeWrite) -> Result<()> {
        let limit = Duration::from_secs(self.timeout_seconds);
        let mut back_off = BackOff::new(Duration::from_millis(200), Duration::from_secs(2), limit);
        loop {
            let state = rollout::of(&kube.read, std::slice::from_ref(&self.object)).await?;
            if state.ready {
                return Ok(());
            }
            // The object is what it is to be; its pods follow without us.
            if stop::of_process().heard().is_some() {
                return Err(Error::Stopped {
                    what: format!("{} is restored, its pods are being replaced", self.object),
                });
            }
            if !back_off.wait().await {
                let (what, seconds) = (self.object.to_string(), self.timeout_seconds);
                return Err(Error::NotSettled { what, seconds, last: state.text });
            }
        }
    }
}

/// The patch that takes our own updates out of the list of owners; none where there are none.
fn disowning(object: &Value) -> Option<Value> {
    let owners = object.pointer("/metadata/managedFields")?.as_array()?;
    let ours = |owner: &Value| {
        owner["manager"] == OUR_NAME && owner["operation"] == "Update" && owner["subresource"].is_null()
    };
    let places: Vec<_> = (0..owners.len()).filter(|at| ours(&owners[*at])).collect();
    let version = &object["metadata"]["resourceVersion"];
    let guard = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
    // From the end, since each removal moves what comes after it.
    let removals =
        places.iter().rev().map(|at| json!({"op": "remove", "path": format!("/metadata/managedFields/{at}")}));
    (!places.is_empty()).then(|| std::iter::once(guard).chain(removals).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_updates_are_given_up() {
        let owner = |manager: &str, operation: &str| json!({"manager": manager, "operation": operation});
        let object = |owners: Value| json!({"metadata": {"resourceVersion": "7", "managedFields": owners}});
        assert_eq!(disowning(&object(json!([owner("helm", "Update"), owner(OUR_NAME, "Apply")]))), None);
        let removal =
            disowning(&object(json!([owner(OUR_NAME, "Update"), owner("helm", "Apply"), owner(OUR_NAME, "Update")])));
        let paths: Vec<_> =
            removal.unwrap().as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap().to_owned()).collect();
        assert_eq!(paths, ["/metadata/resourceVersion", "/metadata/managedFields/2", "/metadata/managedFields/0"]);
    }

    #[test]
    fn no_command_shows_a_secret() {
        let marks = json!({"meta.helm.sh/release-name": "x", "meta.helm.sh/release-namespace": "n"});
        let document = json!({"metadata": {"annotations": marks}, "data": {"key": "c2VjcmV0"}});
        let object = ObjectRef::new("v1", "Secret", "n", "x");
        let command =
            Restore { object, document, leave: Vec::new(), schemas: Schemas::default(), timeout_seconds: 1 }.command();
        assert!(command.starts_with("helm get manifest x --namespace n |") && !command.contains("c2Vj"), "{command}");
    }

    #[test]
    fn a_restored_workload_is_waited_for_on_the_command_line_too() {
        let object = ObjectRef::new("apps/v1", "Deployment", "n", "x");
        let restore =
            Restore { object, document: json!({}), leave: Vec::new(), schemas: Schemas::default(), timeout_seconds: 1 };
        assert_eq!(
            restore.command(),
            "printf %s '{}' | kubectl replace --namespace n -f - && kubectl rollout status deployment/x --namespace n"
        );
    }
}
