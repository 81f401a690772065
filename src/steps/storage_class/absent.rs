//! What is left to do until the class is gone or given back, and the default is where it was; called by `storage_class.rs` for
//! `Goal::Absent`. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::{self, ADOPTED_FROM_ANNOTATION, MANAGED_BY_LABEL, Owner};
use crate::plan::{Assessment, Change, FieldDiff};
use crate::steps::Step as _;
use crate::steps::storage_class::{
    Observed, StorageClassStep, WAS_DEFAULT, annotate, annotation, default_by, give_back, is_default,
};

impl StorageClassStep {
    /// Ours goes first, then the default goes back: never two of them.
    pub(super) fn absent_diff(&self, observed: &Observed) -> Assessment {
        let others = &observed.others;
        let Some(class) = &observed.class else {
            let back = give_back(others, false);
            return match back.len() {
                0 => Assessment::keep("absent"),
                _ => Assessment::update("the default goes back to the class that had it", back),
            };
        };
        let owner = owner::of_object(class);
        let assessment = match &owner {
            Owner::Ours { adopted: false } => {
                let fields = vec![FieldDiff::new("object", self.purpose(), None)];
                let op = Op::Kube(KubeOp::Delete { object: super::reference(class) });
                let mut changes = vec![Change { resource: self.resource(), fields, op }];
                let back = give_back(others, false);
                let reason = if back.is_empty() { "ours, deleted" } else { "ours, deleted; the default goes back" };
                changes.extend(back);
                Assessment::delete(reason, changes)
            }
            Owner::Ours { adopted: true } => {
                let mut changes = Vec::new();
                let never_was = annotation(class, WAS_DEFAULT) == Some("none");
                if never_was && is_default(class) {
                    let keys = default_by(class).into_iter();
                    let off: BTreeMap<_, _> = keys.map(|key| (key.to_owned(), Some("false".to_owned()))).collect();
                    changes.push(annotate(class, off));
                }
                changes.push(self.unmark(class));
                changes.extend(give_back(others, !never_was && is_default(class)));
                let from = annotation(class, ADOPTED_FROM_ANNOTATION).unwrap_or_default();
                Assessment::update(format!("given back to {from}: our marks go"), changes)
            }
            other => {
                let back = give_back(others, is_default(class));
                let reason = format!("belongs to {other}, left as it is");
                if back.is_empty() { Assessment::skip(reason) } else { Assessment::update(reason, back) }
            }
        };
        assessment.owned_by(owner)
    }

    fn unmark(&self, class: &Value) -> Change {
        let label = class.pointer("/metadata/labels/app.kubernetes.io~1managed-by").and_then(Value::as_str);
        let mut fields =
            vec![FieldDiff::new(format!("metadata.labels.{MANAGED_BY_LABEL}"), label.map(ToOwned::to_owned), None)];
        let marks = [ADOPTED_FROM_ANNOTATION, WAS_DEFAULT];
        let annotations: Vec<_> = marks.into_iter().filter(|mark| annotation(class, mark).is_some()).collect();
        fields.extend(annotations.iter().map(|mark| {
            let before = annotation(class, mark).map(ToOwned::to_owned);
            FieldDiff::new(format!("metadata.annotations.{mark}"), before, None)
        }));
        let op = Op::Kube(KubeOp::Unmark {
            object: super::reference(class),
            labels: vec![MANAGED_BY_LABEL.to_owned()],
            annotations: annotations.into_iter().map(ToOwned::to_owned).collect(),
        });
        Change { resource: self.resource(), fields, op }
    }
}
