//! The StorageClass `gp3`, and which class is the default.
//!
//! The default moves without a moment with two of them, since then the cluster chooses between them by age; with none, claims
//! that name no class wait and are given the next default (<https://kubernetes.io/docs/concepts/storage/storage-classes/>). So
//! a class that had it loses it first, in one patch that also writes down on that class that it had it; destroy gives it back.
//! The mark is on that class and not on ours, because ours may have to be made anew: most of its fields cannot be changed.

mod absent;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::config::StorageClassConfig;
use crate::context::{Facts, ReadContext};
use crate::error::Result;
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::{self, ADOPTED_FROM_ANNOTATION, MANAGED_BY_LABEL, OUR_NAME};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::steps::Step;
use crate::steps::kube_object::{subset_diff, text};

/// The step.
pub const ID: StepId = StepId::new("k8s.storage-class.gp3");
/// The annotations that make a class the default; the API server still honours the older one.
const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// On a class that lost the default to ours: the annotations that said it had it. On one that we adopted: `none`.
const WAS_DEFAULT: &str = "eks-bootstrap.dev/was-default";
/// What the API server refuses to change in a class.
const FIXED: [&str; 4] = ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"];

/// The class.
#[derive(Debug, Clone)]
pub struct StorageClassStep {
    /// The steps before it.
    pub needs: Vec<StepId>,
    /// What is to be there, with our label.
    pub object: Value,
    /// Whether it is to be the default.
    pub default: bool,
    /// Whether a class of someone else may be taken over.
    pub adopt: bool,
}

struct Observed {
    class: Option<Value>,
    others: Vec<Value>,
}

/// The class that a configuration asks for.
pub fn object(config: &StorageClassConfig, facts: &Facts) -> Value {
    let template = include_str!("../../templates/storage-class/gp3.yaml");
    let mut object: Value = serde_saphyr::from_str(template).expect("templates are part of the program");
    object["metadata"]["labels"] = json!({ MANAGED_BY_LABEL: OUR_NAME });
    object["parameters"]["encrypted"] = json!(config.encrypted.to_string());
    if let Some(key) = &config.kms_key_id {
        // The driver wants a whole ARN.
        let arn = if key.starts_with("arn:") {
            key.clone()
        } else {
            format!("arn:{}:kms:{}:{}:key/{key}", facts.partition, facts.region, facts.account)
        };
        object["parameters"]["kmsKeyId"] = json!(arn);
    }
    object
}

/// The names of the classes that are the default.
///
/// # Errors
/// A read that failed.
pub async fn defaults(kube: &KubeRead) -> Result<Vec<String>> {
    let classes = list(kube).await?;
    Ok(classes.iter().filter(|class| is_default(class)).map(|class| name(class).to_owned()).collect())
}

async fn list(kube: &KubeRead) -> Result<Vec<Value>> {
    kube.list("storage.k8s.io/v1", "StorageClass", "", "").await
}

fn name(class: &Value) -> &str {
    class.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn annotation<'a>(class: &'a Value, name: &str) -> Option<&'a str> {
    class["metadata"]["annotations"].get(name).and_then(Value::as_str)
}

/// The annotations that make a class the default.
fn default_by(class: &Value) -> Vec<&'static str> {
    DEFAULT.into_iter().filter(|key| annotation(class, key) == Some("true")).collect()
}

fn is_default(class: &Value) -> bool {
    !default_by(class).is_empty()
}

fn reference(class: &Value) -> ObjectRef {
    ObjectRef::new("storage.k8s.io/v1", "StorageClass", "", name(class))
}

/// One patch of annotations, with what it changes.
fn annotate(class: &Value, annotations: BTreeMap<String, Option<String>>) -> Change {
    let object = reference(class);
    let fields = annotations
        .iter()
        .map(|(key, after)| {
            let before = annotation(class, key).map(ToOwned::to_owned);
            FieldDiff::new(format!("metadata.annotations.{key}"), before, after.clone())
        })
        .collect();
    Change { resource: ResourceId(object.to_string()), fields, op: Op::Kube(KubeOp::Annotate { object, annotations }) }
}

/// Takes the default from a class and writes down on it that it had it.
fn demote(class: &Value) -> Change {
    let keys = default_by(class);
    let mut annotations: BTreeMap<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), Some("false".to_owned()))).collect();
    annotations.insert(WAS_DEFAULT.to_owned(), Some(keys.join(",")));
    annotate(class, annotations)
}

/// Gives the default back to the classes that had it; where another has it by now, only what is written on them goes.
fn give_back(others: &[Value], taken: bool) -> Vec<Change> {
    let taken = taken || others.iter().any(is_default);
    let marked = others.iter().filter_map(|class| Some((class, annotation(class, WAS_DEFAULT)?)));
    marked
        .map(|(class, keys)| {
            let mut annotations = BTreeMap::from([(WAS_DEFAULT.to_owned(), None)]);
            for key in DEFAULT.into_iter().filter(|key| !taken && keys.split(',').any(|marked| marked == *key)) {
                annotations.insert(key.to_owned(), Some("true".to_owned()));
            }
            annotate(class, annotations)
        })
        .collect()
}

/// `the default instead of gp2`.
fn instead_of(demoted: &[&Value]) -> String {
    let names: Vec<_> = demoted.iter().map(|class| name(class)).collect();
    if names.is_empty() { "the default".to_owned() } else { format!("the default instead of {}", names.join(", ")) }
}

fn is_fixed(path: &str) -> bool {
    FIXED.iter().any(|fixed| path.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

impl StorageClassStep {
    async fn observe(&self, cx: &ReadContext) -> Result<Observed> {
        let ours = name(&self.object);
        let (mut class, others): (Vec<_>, Vec<_>) =
            list(&cx.kube).await?.into_iter().partition(|class| name(class) == ours);
        Ok(Observed { class: class.pop(), others })
    }

    /// What is to be there, beside what `observed` must go on to say.
    fn wanted(&self, observed: Option<&Value>) -> Value {
        let mut wanted = self.object.clone();
        wanted["metadata"]["annotations"][DEFAULT[0]] = json!(self.default.to_string());
        // Server-side apply would take our marks away if we stopped saying them.
        for mark in [ADOPTED_FROM_ANNOTATION, WAS_DEFAULT] {
            if let Some(value) = observed.and_then(|observed| annotation(observed, mark)) {
                wanted["metadata"]["annotations"][mark] = json!(value);
            }
        }
        wanted
    }

    fn diff(&self, observed: &Observed) -> Assessment {
        let demoted: Vec<_> = observed.others.iter().filter(|class| self.default && is_default(class)).collect();
        let mut changes: Vec<_> = demoted.iter().map(|class| demote(class)).collect();
        let back = if self.default { Vec::new() } else { give_back(&observed.others, false) };
        let standing = if self.default { instead_of(&demoted) } else { "not the default".to_owned() };
        let Some(class) = &observed.class else {
            let fields = differences(&self.wanted(None), &Value::Null);
            changes.push(self.apply(fields, self.wanted(None)));
            changes.extend(back);
            return Assessment::create(format!("{}, {standing}", self.purpose()), changes);
        };
        if class.pointer("/metadata/deletionTimestamp").is_some() {
            return Assessment::unknown("is being deleted");
        }
        let owner = owner::of_object(class);
        let mut wanted = self.wanted(Some(class));
        let mut fields = differences(&wanted, class);
        if !owner.is_ours() {
            fields.retain(|field| !field.path.starts_with("metadata.labels"));
            if self.adopt {
                wanted["metadata"]["annotations"][ADOPTED_FROM_ANNOTATION] = json!(owner.to_string());
                if !is_default(class) {
                    wanted["metadata"]["annotations"][WAS_DEFAULT] = json!("none");
                }
                fields = differences(&wanted, class);
            } else if let Some(field) = fields.first() {
                let reason = format!("exists, owned by {owner}, and {} differs{}", field.path, remade(&fields));
                return Assessment::blocked(&ID, owner, reason);
            }
        }
        if !fields.is_empty() {
            changes.extend(self.converge(fields.clone(), wanted));
        }
        changes.extend(back);
        let assessment = match fields.first() {
            None if changes.is_empty() => Assessment::keep(format!("exists, {}, {standing}", self.purpose())),
            None => Assessment::update(standing, changes),
            Some(_) if !owner.is_ours() => {
                Assessment::update(format!("adopted from {owner}, {standing}{}", remade(&fields)), changes)
            }
            Some(field) => Assessment::update(format!("{} differs{}", field.path, remade(&fields)), changes),
        };
        assessment.owned_by(owner)
    }

    /// What makes the class worth having.
    fn purpose(&self) -> String {
        let parameter = |name: &str| self.object["parameters"].get(name).and_then(Value::as_str);
        match (parameter("encrypted"), parameter("kmsKeyId")) {
            (Some("true"), Some(key)) => format!("encrypted with {}", key.rsplit(':').next().unwrap_or(key)),
            (Some("true"), None) => "encrypted".to_owned(),
            _ => "not encrypted".to_owned(),
        }
    }

    fn converge(&self, fields: Vec<FieldDiff>, wanted: Value) -> Vec<Change> {
        let fixed: Vec<_> = fields.iter().filter(|field| is_fixed(&field.path)).cloned().collect();
        if fixed.is_empty() {
            return vec![self.apply(fields, wanted)];
        }
        let object = ObjectRef::of(&self.object);
        let rest = fields.into_iter().filter(|field| !is_fixed(&field.path)).collect();
        let delete = Change { resource: self.resource(), fields: fixed, op: Op::Kube(KubeOp::Delete { object }) };
        vec![delete, self.apply(rest, wanted)]
    }

    fn apply(&self, fields: Vec<FieldDiff>, object: Value) -> Change {
        Change { resource: self.resource(), fields, op: Op::Kube(KubeOp::Apply { object, force: true }) }
    }
}

/// Says so where the class cannot be changed but only made anew.
fn remade(fields: &[FieldDiff]) -> &'static str {
    if fields.iter().any(|field| is_fixed(&field.path)) {
        "; that cannot be changed, so the class is deleted and made anew (volumes stay as they are)"
    } else {
        ""
    }
}

/// What differs; a parameter too many counts as well.
fn differences(wanted: &Value, observed: &Value) -> Vec<FieldDiff> {
    let mut fields = subset_diff(wanted, observed);
    fields.retain(|field| !["apiVersion", "kind", "metadata.name"].contains(&field.path.as_str()));
    for (key, value) in observed["parameters"].as_object().into_iter().flatten() {
        if wanted["parameters"].get(key).is_none() {
            fields.push(FieldDiff::new(format!("parameters.{key}"), text(value), None));
        }
    }
    fields
}

#[async_trait]
impl Step for StorageClassStep {
    fn id(&self) -> StepId {
        ID
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(ObjectRef::of(&self.object).to_string())
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let observed = self.observe(cx).await?;
        Ok(match goal {
            Goal::Present => self.diff(&observed),
            Goal::Absent => self.absent_diff(&observed),
        })
    }
}

#[cfg(test)]
mod tests;
