//! What the stand-ins share: reading the control plane, the few writes they make, and whether the controller that they
//! stand in for is installed and may do its work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::Method;
use serde_json::{Value, json};

use crate::error::{Error, KubeError, Result};
use crate::kube_client::{KubeApi, KubeTarget};
use crate::read::kube::{KubeRead, ObjectRef, Paths};
use crate::sandbox::aws::{AwsRefusal, PodCall, Simulator, Tags};

/// Marks every object that a stand-in works on, so that nobody takes it for the real thing.
pub(super) const SIMULATED: &str = "sandbox.eks-bootstrap.dev/simulated";
/// The field manager of the stand-ins' writes.
const FIELD_MANAGER: &str = "eks-bootstrap-sandbox";
/// Where the charts put the controllers.
const NAMESPACE: &str = "kube-system";

/// Where the simulated cluster is.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Place {
    pub(in crate::sandbox) cluster: String,
    pub(in crate::sandbox) region: String,
    pub(in crate::sandbox) partition: String,
    pub(in crate::sandbox) account: String,
    pub(in crate::sandbox) issuer: String,
}

impl Place {
    /// The ARN of something in the cluster's region and account.
    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition, self.region, self.account)
    }
}

/// A controller that is installed and has ready replicas.
#[derive(Debug, Clone)]
pub(super) struct Controller {
    pod: String,
    role_arn: Option<String>,
    has_agent: bool,
    subject: String,
    arguments: Vec<String>,
}

impl Controller {
    /// The value of a flag of its first container.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    }
}

/// One call to AWS that a stand-in makes in the controller's place.
pub(super) struct Call<'a> {
    pub(super) service: &'a str,
    pub(super) prefix: &'a str,
    pub(super) operation: &'a str,
    pub(super) resource: &'a str,
    pub(super) request_tags: &'a Tags,
    pub(super) resource_tags: &'a Tags,
}

/// The control plane and the simulated AWS, as a controller has them.
pub(super) struct Cluster {
    pub(super) place: Place,
    pub(super) simulator: Simulator,
    pub(super) read: KubeRead,
    api: KubeApi,
    paths: Paths,
    /// The last event of each object, so that a failure that goes on is told once.
    told: Mutex<BTreeMap<String, String>>,
}

impl Cluster {
    pub(super) async fn connect(target: &KubeTarget, place: Place, simulator: Simulator) -> Result<Cluster> {
        let api = KubeApi::connect(target).await?;
        let read = KubeRead::connect(target).await?;
        Ok(Cluster { place, simulator, read, paths: Paths::new(api.clone()), api, told: Mutex::default() })
    }

    /// Lists a kind in all namespaces; items say their kind, which those of lists do not.
    pub(super) async fn list(&self, api_version: &str, kind: &str) -> Result<Vec<Value>> {
        let mut items = self.read.list(api_version, kind, "", "").await?;
        for item in &mut items {
            item["apiVersion"] = api_version.into();
            item["kind"] = kind.into();
        }
        Ok(items)
    }

    /// The controller behind a Deployment of this name, or of any other with its image, if it has ready replicas.
    pub(super) async fn controller(&self, deployment: &str) -> Result<Option<Controller>> {
        let all = self.read.list("apps/v1", "Deployment", NAMESPACE, "").await?;
        let named = all.iter().find(|found| text(found, "/metadata/name") == deployment);
        let Some(found) = named.or_else(|| all.iter().find(|found| runs(found, deployment))) else { return Ok(None) };
        if found.pointer("/status/readyReplicas").and_then(Value::as_u64).unwrap_or(0) == 0 {
            return Ok(None);
        }
        let labels = found.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let selector: Vec<_> = labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
            .collect();
        let pods = self.read.list("v1", "Pod", NAMESPACE, &selector.join(",")).await?;
        Ok(pods.iter().find(|pod| is_ready(pod)).map(controller_of))
    }

    /// Asks the simulated AWS whether the controller may make a call.
    pub(super) fn may(&self, controller: &Controller, call: &Call<'_>) -> Result<(), AwsRefusal> {
        self.simulator.pod_may(&PodCall {
            role_arn: controller.role_arn.as_deref(),
            agent_of: controller.has_agent.then_some(self.place.cluster.as_str()),
            issuer: &self.place.issuer,
            subject: &controller.subject,
            service: call.service,
            operation: call.operation,
            action: &format!("{}:{}", call.prefix, call.operation),
            resource: call.resource,
            request_tags: call.request_tags,
            resource_tags: call.resource_tags,
        })
    }

    /// Merges fields into an object, or into its status where `part` is `/status`.
    pub(super) async fn merge(&self, object: &Value, part: &str, fields: &Value) -> Result<()> {
        let reference = ObjectRef::of(object);
        let path = format!("{}{part}?fieldManager={FIELD_MANAGER}", self.path(&reference).await?);
        let kind = "application/merge-patch+json";
        self.api.request(&format!("patch {reference}"), Method::PATCH, &path, kind, fields).await.map(drop)
    }

    /// Sets the finalizers; refused by the API server if the object has changed since it was read.
    pub(super) async fn finalizers(&self, object: &Value, change: impl FnOnce(&mut Vec<String>)) -> Result<()> {
        let before = finalizers(object);
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(());
        }
        let mut fields = json!({"metadata": {
            "finalizers": after, "resourceVersion": object.pointer("/metadata/resourceVersion"),
        }});
        if !is_going(object) {
            let what = "what a controller would do for this object is simulated by the eks-bootstrap sandbox";
            fields["metadata"]["annotations"] = json!({SIMULATED: what});
        }
        self.merge(object, "", &fields).await
    }

    pub(super) async fn create(&self, object: &Value) -> Result<()> {
        let reference = ObjectRef::of(object);
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let operation = format!("create {reference}");
        let path = self.paths.collection(&reference.api_version, &reference.kind, namespace).await?;
        let path = format!("{}?fieldManager={FIELD_MANAGER}", path.ok_or_else(|| unknown(&reference))?);
        match self.api.request(&operation, Method::POST, &path, "application/json", object).await {
            Err(Error::Kube(error)) if error.reason == "AlreadyExists" => Ok(()),
            other => other.map(drop),
        }
    }

    /// Applies an object server-side under a field manager of its own, over everyone else's.
    pub(super) async fn apply(&self, object: &Value, manager: &str) -> Result<()> {
        self.server_side("apply", object, manager, "force=true").await
    }

    async fn server_side(&self, verb: &str, object: &Value, manager: &str, option: &str) -> Result<()> {
        let reference = ObjectRef::of(object);
        let path = format!("{}?fieldManager={manager}&{option}", self.path(&reference).await?);
        let kind = "application/apply-patch+yaml";
        self.api.request(&format!("{verb} {reference}"), Method::PATCH, &path, kind, object).await.map(drop)
    }

    /// The fields of an object that others own, and that applying it would change, as EKS writes them.
    pub(super) async fn conflicts(&self, object: &Value, manager: &str) -> Result<Vec<String>> {
        match self.server_side("try", object, manager, "dryRun=All").await {
            Err(Error::Kube(error)) if error.reason == "Conflict" => {
                let reference = ObjectRef::of(object);
                // One conflict stands in the first line, several have a line each.
                let fields = error.message.lines().filter_map(|line| line.find(" .").map(|at| &line[at + 1..]));
                let group =
                    reference.api_version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
                Ok(fields.map(|field| format!("{}{group} {} - {field}", reference.kind, reference.name)).collect())
            }
            // What is refused for another reason may lack a service account that comes with it; what is really wrong shows
            // when it is applied.
            Ok(()) | Err(Error::Kube(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn delete(&self, object: &Value) -> Result<()> {
        let reference = ObjectRef::of(object);
        let path = self.path(&reference).await?;
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        let operation = format!("delete {reference}");
        self.api.request(&operation, Method::DELETE, &path, "application/json", &options).await.map(drop)
    }

    async fn path(&self, reference: &ObjectRef) -> Result<String> {
        self.paths.object(reference).await?.ok_or_else(|| unknown(reference))
    }

    /// Writes a warning event on an object, as its controller would; the same one only once in a row.
    pub(super) async fn warn(&self, object: &Value, controller: &Controller, reason: &str, note: &str) -> Result<()> {
        let uid = text(object, "/metadata/uid").to_owned();
        let said = format!("{reason}: {note}");
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).get(&uid) == Some(&said) {
            return Ok(());
        }
        let reference = ObjectRef::of(object);
        let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string();
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "generateName": format!("{}.", reference.name),
                "namespace": reference.namespace.as_deref().unwrap_or("default"),
                "annotations": {SIMULATED: "written by the eks-bootstrap sandbox in the controller's place"},
            },
            "involvedObject": {
                "apiVersion": reference.api_version, "kind": reference.kind, "name": reference.name,
                "namespace": reference.namespace, "uid": uid,
                "resourceVersion": object.pointer("/metadata/resourceVersion"),
            },
            "type": "Warning", "reason": reason, "message": note, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": controller.pod},
            "reportingComponent": controller.pod,
        });
        self.create(&event).await?;
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, said);
        Ok(())
    }
}

fn unknown(reference: &ObjectRef) -> Error {
    Error::Kube(KubeError {
        operation: format!("find {reference}"),
        status: Some(404),
        reason: "NotFound".to_owned(),
        message: "the API server does not know its kind".to_owned(),
    })
}

/// Whether a container's image is called so, as users may call the Deployment as they like.
fn runs(deployment: &Value, image: &str) -> bool {
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().any(|container| {
        let name = text(container, "/image").rsplit('/').next().unwrap_or_default();
        name.split([':', '@']).next() == Some(image)
    })
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn controller_of(pod: &Value) -> Controller {
    let container = &pod["spec"]["containers"][0];
    let variable = |name: &str| {
        let variables = container["env"].as_array();
        variables.into_iter().flatten().find(|variable| variable["name"] == name)
    };
    let role = variable("AWS_ROLE_ARN");
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    Controller {
        pod: text(pod, "/metadata/name").to_owned(),
        role_arn: role.and_then(|role| role["value"].as_str()).map(ToOwned::to_owned),
        has_agent: variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").is_some(),
        subject: format!("system:serviceaccount:{NAMESPACE}:{}", text(pod, "/spec/serviceAccountName")),
        arguments: strings(&container["args"]),
    }
}

/// A text of an object, empty where it is absent.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether an object is being deleted.
pub(super) fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// The finalizers of an object.
pub(super) fn finalizers(object: &Value) -> Vec<String> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}
