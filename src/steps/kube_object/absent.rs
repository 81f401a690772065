//! What is left to do until a Kubernetes object is gone or given back; called by `kube_object.rs` for `Goal::Absent`. Pure.

use serde_json::Value;

use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::{self, ADOPTED_FROM_ANNOTATION, MANAGED_BY_LABEL, Owner};
use crate::plan::{Assessment, Change, FieldDiff};
use crate::read::held::parting_alone;
use crate::steps::Step as _;
use crate::steps::kube_object::KubeObjectStep;

impl KubeObjectStep {
    pub(super) fn absent_diff(&self, observed: Option<&Value>) -> Assessment {
        let Some(observed) = observed else { return Assessment::keep("absent") };
        let owner = owner::of_object(observed);
        let object = self.reference();
        let change = |fields, op| vec![Change { resource: self.resource(), fields, op: Op::Kube(op) }];
        let assessment = match &owner {
            Owner::Ours { adopted: false } => {
                let fields = vec![FieldDiff::new("object", self.purpose(), None)];
                let reason = parting_alone(observed).unwrap_or_else(|| "ours, deleted".to_owned());
                Assessment::delete(reason, change(fields, KubeOp::Delete { object }))
            }
            Owner::Ours { adopted: true } => {
                let text = |pointer| observed.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
                let from = text("/metadata/annotations/eks-bootstrap.dev~1adopted-from");
                let fields = vec![
                    FieldDiff::new(
                        format!("metadata.labels.{MANAGED_BY_LABEL}"),
                        text("/metadata/labels/app.kubernetes.io~1managed-by"),
                        None,
                    ),
                    FieldDiff::new(format!("metadata.annotations.{ADOPTED_FROM_ANNOTATION}"), from.clone(), None),
                ];
                let op = KubeOp::Unmark {
                    object,
                    labels: vec![MANAGED_BY_LABEL.to_owned()],
                    annotations: vec![ADOPTED_FROM_ANNOTATION.to_owned()],
                };
                Assessment::update(format!("given back to {from}: our marks go"), change(fields, op))
            }
            other => Assessment::skip(format!("belongs to {other}, left as it is")),
        };
        assessment.owned_by(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::steps::kube_object::tests::{account, step};
    use serde_json::json;

    #[test]
    fn only_what_is_ours_is_deleted() {
        let mut adopted = account("eks-bootstrap", "arn:right");
        adopted["metadata"]["annotations"][ADOPTED_FROM_ANNOTATION] = json!("eksctl");
        let cases: [(&str, Option<Value>, Action, &[&str]); 4] = [
            ("absent", None, Action::Keep, &[]),
            ("ours", Some(account("eks-bootstrap", "arn:right")), Action::Delete, &["k8s:delete ServiceAccount"]),
            ("adopted", Some(adopted), Action::Update, &["k8s:patch ServiceAccount"]),
            ("foreign", Some(account("eksctl", "arn:right")), Action::Skip, &[]),
        ];
        for (name, observed, action, expected) in cases {
            let assessment = step(false).absent_diff(observed.as_ref());
            let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
            assert_eq!(
                (assessment.action, calls),
                (action, expected.iter().map(|c| (*c).to_owned()).collect()),
                "{name}"
            );
        }
    }
}
