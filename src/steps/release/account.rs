//! The service account of a chart whose annotation somebody changed. Helm's record does not show it, and an upgrade with the same
//! values need not mend it, so it is compared with the object itself. Pure; called by `release.rs`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ReleaseStep;
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::plan::{Change, FieldDiff, ResourceId};
use crate::read::kube::ObjectRef;
use crate::steps::catalogue::ROLE_ANNOTATION;

impl ReleaseStep {
    /// The change that lets the account name the role again; none where it does, or where an upgrade is about to say which.
    pub(super) fn renamed(&self, account: &Value, upgrade: &[FieldDiff]) -> Option<Change> {
        let wanted = self.role_arn.clone()?;
        let found = account["metadata"]["annotations"][ROLE_ANNOTATION].as_str();
        if found == Some(wanted.as_str()) || upgrade.iter().any(|field| field.path.ends_with(ROLE_ANNOTATION)) {
            return None;
        }
        let field =
            FieldDiff::new(format!("metadata.annotations.{ROLE_ANNOTATION}"), found.map(str::to_owned), wanted.clone());
        let object = ObjectRef::of(account);
        let annotations = BTreeMap::from([(ROLE_ANNOTATION.to_owned(), Some(wanted))]);
        let resource = ResourceId(object.to_string());
        Some(Change { resource, fields: vec![field], op: Op::Kube(KubeOp::Annotate { object, annotations }) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{observed, revision, step};
    use super::*;
    use crate::plan::Action;
    use serde_json::json;

    #[test]
    fn an_annotation_that_was_changed_by_hand_is_a_difference() {
        let account = |arn: &str| {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n",
                "annotations": {ROLE_ANNOTATION: arn}}})
        };
        let (step, mut found) = (step(false), observed(vec![revision(1, "deployed")]));
        found.account = Some(account("arn:r"));
        assert_eq!(step.diff(&found).action, Action::Keep);
        found.account = Some(account("arn:other"));
        let assessment = step.diff(&found);
        let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
        assert_eq!((assessment.action, calls), (Action::Update, vec!["k8s:patch ServiceAccount".to_owned()]));
        let fields = [FieldDiff::new(format!("values.x.{ROLE_ANNOTATION}"), "a".to_owned(), "b".to_owned())];
        assert_eq!(step.renamed(&account("arn:other"), &fields), None);
    }
}
