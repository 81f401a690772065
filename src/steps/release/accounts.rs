//! Service accounts of a chart that make their pods fail by something that the chart does not say: a closed token, an
//! annotation of another tool. What the manifest itself sets is compared with it elsewhere. Pure; called by `release.rs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Observed;
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::plan::{Change, FieldDiff, ResourceId};
use crate::read::kube::ObjectRef;
use crate::read::release::Release;
use crate::service_account::{self, AUTOMOUNT, Harm};

/// The writes that let the pods of the release's accounts live.
pub(super) fn unharmed(latest: &Release, observed: &Observed) -> Vec<Change> {
    observed.accounts.iter().flat_map(|account| of_account(latest, account)).collect()
}

fn of_account(latest: &Release, account: &Value) -> Vec<Change> {
    let reference = ObjectRef::of(account);
    let Some(place) = latest.objects.iter().position(|object| *object == reference) else { return Vec::new() };
    let manifest = latest.documents.get(place).unwrap_or(&Value::Null);
    let own = latest.objects.iter().zip(&latest.documents);
    let workloads: Vec<_> =
        own.filter(|(object, _)| object.namespace == reference.namespace).map(|(_, document)| document).collect();
    let runs = workloads.iter().any(|document| {
        document.pointer("/spec/template/spec").is_some() && service_account::of_workload(document) == reference.name
    });
    let mounts = !runs || service_account::mounted(account, workloads);
    let harms = service_account::harms(account, mounts);
    let (annotations, fields): (Vec<_>, Vec<_>) = harms.into_iter().partition(|harm| harm.annotation.is_some());
    let said = |harm: &Harm| match harm.annotation {
        Some(name) => manifest["metadata"]["annotations"].get(name).is_some(),
        None => manifest.get(AUTOMOUNT).is_some(),
    };
    let mut changes = Vec::new();
    for harm in fields.iter().filter(|harm| !said(harm)) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": reference.name, "namespace": reference.namespace},
            AUTOMOUNT: true,
        });
        changes.push(Change {
            resource: ResourceId(reference.to_string()),
            fields: vec![FieldDiff::new(harm.path(), harm.value.clone(), "true".to_owned())],
            op: Op::Kube(KubeOp::Apply { object, force: true }),
        });
    }
    let annotations: Vec<_> = annotations.into_iter().filter(|harm| !said(harm)).collect();
    if !annotations.is_empty() {
        let names: BTreeMap<_, _> =
            annotations.iter().filter_map(|harm| Some((harm.annotation?.to_owned(), None))).collect();
        changes.push(Change {
            resource: ResourceId(reference.to_string()),
            fields: annotations.iter().map(|harm| FieldDiff::new(harm.path(), harm.value.clone(), None)).collect(),
            op: Op::Kube(KubeOp::Annotate { object: reference, annotations: names }),
        });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::tests::{observed, revision, step};
    use super::*;
    use crate::plan::Action;
    use crate::steps::catalogue::ROLE_ANNOTATION;

    fn world(manifest: &Value, live: &Value, pods: &Value) -> (Action, Vec<String>, Vec<String>) {
        let account = |more: &Value| {
            let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "a", "namespace": "n", "annotations": {ROLE_ANNOTATION: "arn:r"}}});
            for (name, value) in more.as_object().unwrap() {
                if name == AUTOMOUNT {
                    account[name] = value.clone();
                } else {
                    account["metadata"]["annotations"][name] = value.clone();
                }
            }
            account
        };
        let mut spec = pods.clone();
        spec["serviceAccountName"] = json!("a");
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"},
            "spec": {"template": {"spec": spec}}});
        let mut latest = revision(1, "deployed");
        latest.documents = vec![account(manifest), workload];
        latest.objects = latest.documents.iter().map(ObjectRef::of).collect();
        let found = Observed { accounts: vec![account(live)], ..observed(vec![latest]) };
        let assessment = step(false).diff(&found);
        let calls = assessment.changes.iter().map(|change| change.op.call()).collect();
        let fields = assessment.changes.iter().flat_map(|change| &change.fields);
        (assessment.action, calls, fields.map(|field| field.path.clone()).collect())
    }

    #[test]
    fn what_others_did_to_the_accounts_of_a_chart_is_a_difference() {
        let none = json!({});
        let closed = json!({AUTOMOUNT: false});
        let audience = json!({"eks.amazonaws.com/audience": "vault", "owner": "team"});
        let patch = || vec!["k8s:patch ServiceAccount".to_owned()];
        let closed_now = (Action::Update, patch(), vec![AUTOMOUNT.to_owned()]);
        let annotation = "metadata.annotations.eks.amazonaws.com/audience".to_owned();
        assert_eq!(world(&none, &none, &none), (Action::Keep, vec![], vec![]));
        assert_eq!(world(&none, &closed, &none), closed_now);
        assert_eq!(world(&none, &audience, &none), (Action::Update, patch(), vec![annotation]));
        // The pods say themselves that they want it.
        assert_eq!(world(&none, &closed, &json!({AUTOMOUNT: true})).0, Action::Keep);
        // What the chart itself says is the user's, by values.
        assert_eq!(world(&audience, &audience, &none).0, Action::Keep);
    }
}
