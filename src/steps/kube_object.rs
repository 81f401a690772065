//! One Kubernetes object that we look after by server-side apply, such as a service account.
//!
//! Only what we set is compared: fields, labels and annotations of others are theirs. An object of someone else is used
//! where what matters (its annotations and spec) is right, and blocked where it is not.

mod absent;
mod account;

use async_trait::async_trait;
use serde_json::Value;

use crate::component::Component;
use crate::context::ReadContext;
use crate::error::Result;
use crate::names;
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::{self, ADOPTED_FROM_ANNOTATION, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::held::parting_alone;
use crate::read::kube::ObjectRef;
use crate::service_account::Harm;
use crate::steps::{Step, settled};

/// One object.
#[derive(Debug, Clone)]
pub struct KubeObjectStep {
    /// The step.
    pub id: StepId,
    /// The steps before it.
    pub needs: Vec<StepId>,
    /// What is to be there, with our label.
    pub object: Value,
    /// Annotations that must not be there, whoever set them.
    pub without: Vec<&'static str>,
    /// The component whose pods run as it, for a service account; what its workloads are called is in its release's manifest.
    pub runs: Option<Component>,
    /// Whether an object of someone else may be taken over.
    pub adopt: bool,
}

impl KubeObjectStep {
    fn reference(&self) -> ObjectRef {
        ObjectRef::of(&self.object)
    }

    /// `mounts` says that the pods of a service account ask for their token themselves.
    fn diff(&self, observed: Option<&Value>, mounts: bool) -> Assessment {
        let Some(observed) = observed else {
            let fields =
                subset_diff(&self.object, &Value::Null).into_iter().filter(|field| matters(&field.path)).collect();
            return Assessment::create(self.purpose(), vec![self.apply(fields, self.object.clone(), false)]);
        };
        if let Some(leaving) = parting_alone(observed) {
            return Assessment::unknown(leaving);
        }
        let owner = owner::of_object(observed);
        let mut wanted = self.object.clone();
        if let Owner::Ours { adopted: true } = owner {
            // Server-side apply would take the mark away again if we stopped saying it.
            let mark = observed.pointer("/metadata/annotations/eks-bootstrap.dev~1adopted-from").cloned();
            set_annotation(&mut wanted, ADOPTED_FROM_ANNOTATION, mark.unwrap_or_default());
        }
        let harms = self.harms(observed, mounts);
        account::open(&mut wanted, &harms);
        let fields = subset_diff(&wanted, observed);
        let stale = self.stale(observed, &harms);
        if owner.is_ours() {
            if fields.is_empty() && stale.is_none() {
                return Assessment::keep(format!("exists, {}", self.purpose())).owned_by(owner);
            }
            let all: Vec<_> = fields.iter().chain(stale.iter().flat_map(|change| &change.fields)).cloned().collect();
            let apply = (!fields.is_empty()).then(|| self.apply(fields, wanted, true));
            let reason = account::explained(reason(&all), &harms);
            return Assessment::update(reason, apply.into_iter().chain(stale).collect()).owned_by(owner);
        }
        let fits = fields.iter().all(|field| !matters(&field.path)) && stale.is_none();
        if self.adopt {
            set_annotation(&mut wanted, ADOPTED_FROM_ANNOTATION, Value::String(owner.to_string()));
            let fields = subset_diff(&wanted, observed);
            let reason = format!("adopted from {owner}, {}", self.purpose());
            let changes = [self.apply(fields, wanted, true)].into_iter().chain(stale).collect();
            return Assessment::update(reason, changes).owned_by(owner);
        }
        if fits {
            return Assessment::keep(format!("exists, {}, used as it is", self.purpose())).owned_by(owner);
        }
        let all: Vec<_> = fields.into_iter().chain(stale.into_iter().flat_map(|change| change.fields)).collect();
        let reason = account::explained(reason(&all), &harms);
        let reason = format!("exists, owned by {owner}, and differs: {reason}");
        Assessment::blocked(&self.id, owner, reason)
    }

    /// Takes off what must not be there. Server-side apply takes off only what we set ourselves.
    fn stale(&self, observed: &Value, harms: &[Harm]) -> Option<Change> {
        let harmful = harms.iter().filter_map(|harm| harm.annotation);
        let names: Vec<_> = self.without.iter().copied().chain(harmful).collect();
        without_annotations(&self.reference(), observed, &names)
    }

    /// What makes the object worth having, for the plan's list.
    fn purpose(&self) -> String {
        let role = self.object.pointer("/metadata/annotations/eks.amazonaws.com~1role-arn").and_then(Value::as_str);
        match role {
            Some(arn) => format!("role {}", names::last_part(arn)),
            None => self.reference().kind,
        }
    }

    fn apply(&self, fields: Vec<FieldDiff>, object: Value, force: bool) -> Change {
        Change { resource: self.resource(), fields, op: Op::Kube(KubeOp::Apply { object, force }) }
    }
}

/// The change that takes annotations off an object; none where it has none of them.
pub(super) fn without_annotations(object: &ObjectRef, observed: &Value, names: &[&str]) -> Option<Change> {
    let found = names.iter().filter_map(|name| {
        let before = observed["metadata"]["annotations"].get(*name)?;
        Some(((*name).to_owned(), text(before)))
    });
    let found: Vec<_> = found.collect();
    let fields = found
        .iter()
        .map(|(name, before)| FieldDiff::new(format!("metadata.annotations.{name}"), before.clone(), None))
        .collect();
    let annotations = found.iter().map(|(name, _)| (name.clone(), None)).collect();
    let op = Op::Kube(KubeOp::Annotate { object: object.clone(), annotations });
    (!found.is_empty()).then(|| Change { resource: ResourceId(object.to_string()), fields, op })
}

/// Whether a difference at `path` makes an object of someone else unfit: its labels do not.
fn matters(path: &str) -> bool {
    !path.starts_with("metadata.labels") && !path.starts_with("metadata.name") && path != "kind" && path != "apiVersion"
}

fn reason(fields: &[FieldDiff]) -> String {
    let paths: Vec<_> = fields.iter().filter(|field| matters(&field.path)).map(|field| field.path.as_str()).collect();
    match paths.as_slice() {
        [] => "labels differ".to_owned(),
        [path] => format!("{path} differs"),
        [path, rest @ ..] => format!("{path} and {} more differ", rest.len()),
    }
}

fn set_annotation(object: &mut Value, name: &str, value: Value) {
    object["metadata"]["annotations"][name] = value;
}

/// Every scalar of `wanted` that `observed` does not have, with its path. What `wanted` does not mention is not looked at;
/// lists are compared item by item.
pub(super) fn subset_diff(wanted: &Value, observed: &Value) -> Vec<FieldDiff> {
    let mut fields = Vec::new();
    walk(wanted, observed, String::new(), &mut fields);
    fields
}

fn walk(wanted: &Value, observed: &Value, path: String, fields: &mut Vec<FieldDiff>) {
    match wanted {
        Value::Object(children) => {
            for (name, child) in children {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(child, observed.get(name).unwrap_or(&Value::Null), below, fields);
            }
        }
        Value::Array(items) => {
            let others = observed.as_array().map_or(0, Vec::len);
            for (place, item) in items.iter().enumerate() {
                walk(item, observed.get(place).unwrap_or(&Value::Null), format!("{path}[{place}]"), fields);
            }
            if others > items.len() {
                let (before, after) = (format!("{others} items"), format!("{} items", items.len()));
                fields.push(FieldDiff::new(path, before, after));
            }
        }
        // To leave a field out and to set it to null are the same to the API server.
        Value::Null => {}
        scalar if scalar == observed => {}
        scalar => fields.push(FieldDiff::new(path, text(observed), text(scalar))),
    }
}

/// A value as a difference shows it.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[async_trait]
impl Step for KubeObjectStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(self.reference().to_string())
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        Ok(match goal {
            Goal::Present => {
                let observed = settled(cx, &self.reference()).await?;
                let mounts = self.mounts(cx, observed.as_ref()).await?;
                self.diff(observed.as_ref(), mounts)
            }
            Goal::Absent => self.absent_diff(cx.kube.get(&self.reference()).await?.as_ref()),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plan::Action;
    use serde_json::json;

    pub(in crate::steps) fn step(adopt: bool) -> KubeObjectStep {
        KubeObjectStep {
            id: StepId::new("k8s.service-account.lbc"),
            needs: Vec::new(),
            object: account("eks-bootstrap", "arn:right"),
            without: Vec::new(),
            runs: None,
            adopt,
        }
    }

    pub(in crate::steps) fn account(managed_by: &str, role: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": "lbc",
                "namespace": "kube-system",
                "labels": {"app.kubernetes.io/managed-by": managed_by},
                "annotations": {"eks.amazonaws.com/role-arn": role},
            },
        })
    }

    #[test]
    fn what_exists_decides() {
        let mut extra = account("eks-bootstrap", "arn:right");
        extra["metadata"]["annotations"]["other"] = json!("x");
        extra["secrets"] = json!([{"name": "a"}]);
        let cases = [
            (None, false, Action::Create),
            (Some(account("eks-bootstrap", "arn:right")), false, Action::Keep),
            (Some(extra), false, Action::Keep),
            (Some(account("eks-bootstrap", "arn:wrong")), false, Action::Update),
            (Some(account("eksctl", "arn:right")), false, Action::Keep),
            (Some(account("eksctl", "arn:wrong")), false, Action::Blocked),
            (Some(account("eksctl", "arn:wrong")), true, Action::Update),
        ];
        for (place, (observed, adopt, action)) in cases.iter().enumerate() {
            let assessment = step(*adopt).diff(observed.as_ref(), false);
            assert_eq!(assessment.action, *action, "case {place}: {assessment:?}");
            assert_eq!(assessment.changes.len(), usize::from(action.writes()), "case {place}");
        }
    }

    #[test]
    fn adoption_remembers_the_owner_and_stays_settled() {
        let assessment = step(true).diff(Some(&account("eksctl", "arn:wrong")), false);
        let Op::Kube(KubeOp::Apply { object, force: true }) = &assessment.changes[0].op else {
            panic!("{assessment:?}")
        };
        assert_eq!(object["metadata"]["annotations"][ADOPTED_FROM_ANNOTATION], "eksctl");
        assert_eq!(step(false).diff(Some(object), false).action, Action::Keep);
    }

    #[test]
    fn fields_are_named_by_path() {
        let fields = subset_diff(&json!({"a": {"b": [1, 2], "c": null}, "d": "x"}), &json!({"a": {"b": [1, 3, 4]}}));
        let shown: Vec<_> = fields.iter().map(|f| (f.path.as_str(), f.before.as_deref(), f.after.as_deref())).collect();
        assert_eq!(
            shown,
            [("a.b[1]", Some("3"), Some("2")), ("a.b", Some("3 items"), Some("2 items")), ("d", None, Some("x")),]
        );
    }
}
