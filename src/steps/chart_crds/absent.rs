//! What a destroy does with CRDs; called by `chart_crds.rs` for `Goal::Absent`. They are kept, since with a CRD go all objects
//! of its kind, unless they are ours, purging them is asked for, and no object of their kinds is left.

use futures::future::try_join_all;
use serde_json::Value;

use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::helm::cluster_label;
use crate::op::kube::KubeOp;
use crate::owner::{OUR_NAME, Owner};
use crate::plan::{Action, Assessment, Change, FieldDiff, ResourceId};
use crate::read::held::parting_alone;
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::release::{self, Release};
use crate::steps::chart_crds::{ChartCrdsStep, parting, versions};

/// So many objects are named; the rest is counted.
const SHOWN: usize = 20;
/// Objects of this kind are drained together with the load balancers.
const DRAINED: &str = "TargetGroupBinding";

impl ChartCrdsStep {
    pub(super) async fn absent(&self, cx: &ReadContext) -> Result<Assessment> {
        if !self.purge {
            return Ok(Assessment::skip("kept: deleting them would delete every object of their kinds (--purge-crds)"));
        }
        let history = release::history(&cx.kube, &self.namespace, &self.release).await?;
        let latest = history.into_iter().next();
        if let Some(reason) = latest.as_ref().and_then(|latest| self.belongs_to_others(latest)) {
            return Ok(Assessment::skip(reason));
        }
        let wanted = self.wanted(cx).await?;
        let references: Vec<_> = wanted.iter().map(ObjectRef::of).collect();
        let observed = try_join_all(references.iter().map(|reference| cx.kube.get(reference))).await?;
        let ours: Vec<_> = observed.into_iter().flatten().filter(applied_by_us).collect();
        let leaving = parting(&cx.kube, ours.iter()).await;
        // What goes with a CRD that is being deleted is no question any more.
        let staying = ours.iter().filter(|crd| parting_alone(crd).is_none());
        let used = try_join_all(staying.map(|crd| objects_of(&cx.kube, crd))).await?;
        let by_chart = latest.map(|latest| latest.objects).unwrap_or_default();
        let others = used.into_iter().flatten().filter(|object| {
            let of_chart = by_chart.iter().any(|made| made.kind == object.kind && made.name == object.name);
            let drained = self.drained && object.kind == DRAINED;
            !of_chart && !drained
        });
        let assessment = self.purge_diff(&ours, &others.collect::<Vec<_>>());
        Ok(match leaving {
            Some(reason) if assessment.action == Action::Delete => Assessment { reason, ..assessment },
            _ => assessment,
        })
    }

    /// Why a release that stays keeps its CRDs.
    fn belongs_to_others(&self, latest: &Release) -> Option<&'static str> {
        if latest.our_cluster.as_deref() != Some(&cluster_label(&self.cluster_arn)) {
            Some("kept: the release belongs to someone else")
        } else if latest.adopted {
            Some("kept: the release was adopted and stays")
        } else {
            None
        }
    }

    fn purge_diff(&self, ours: &[Value], others: &[ObjectRef]) -> Assessment {
        if ours.is_empty() {
            return Assessment::keep("none of ours");
        }
        let owner = Owner::Ours { adopted: false };
        if !others.is_empty() {
            let mut names: Vec<_> = others.iter().take(SHOWN).map(ToString::to_string).collect();
            if others.len() > SHOWN {
                names.push(format!("{} more", others.len() - SHOWN));
            }
            let reason = format!("objects of their kinds exist and would go with them: {}", names.join(", "));
            let mend = Some(format!("--skip {}", self.id));
            return Assessment { mend, ..Assessment::blocked(&self.id, owner, reason) };
        }
        let changes = ours.iter().map(|crd| {
            let object = ObjectRef::of(crd);
            let fields = vec![FieldDiff::new("versions", versions(crd), None)];
            let op = Op::Kube(KubeOp::Delete { object: object.clone() });
            Change { resource: ResourceId(object.to_string()), fields, op }
        });
        Assessment::delete(format!("{} CRDs, and no object of their kinds", ours.len()), changes.collect())
            .owned_by(owner)
    }
}

/// Charts leave no mark on CRDs; the API server keeps who applied them.
fn applied_by_us(crd: &Value) -> bool {
    let managers = crd.pointer("/metadata/managedFields").and_then(Value::as_array);
    managers.into_iter().flatten().any(|entry| entry["manager"] == OUR_NAME && entry["operation"] == "Apply")
}

/// All objects of a CRD's kind, in a version that is served.
async fn objects_of(kube: &KubeRead, crd: &Value) -> Result<Vec<ObjectRef>> {
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let all = crd.pointer("/spec/versions").and_then(Value::as_array);
    let served = all.into_iter().flatten().find(|version| version["served"] == true);
    let Some(version) = served.and_then(|version| version["name"].as_str()) else { return Ok(Vec::new()) };
    let (api_version, kind) = (format!("{}/{version}", text("/spec/group")), text("/spec/names/kind"));
    let objects = kube.list(&api_version, kind, "", "").await?;
    // Items of lists do not say their kind.
    let named = |object: &Value| ObjectRef { kind: kind.to_owned(), ..ObjectRef::of(object) };
    Ok(objects.iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::chart_crds::tests::step;
    use serde_json::json;

    #[test]
    fn crds_go_only_when_nothing_of_their_kinds_is_left() {
        let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"}, "spec": {"versions": [{"name": "v1"}]}});
        let widget = |number: usize| ObjectRef::new("example.com/v1", "Widget", "shop", &format!("w{number}"));
        assert_eq!(step().purge_diff(&[], &[widget(1)]).action, Action::Keep);
        let deleted = step().purge_diff(std::slice::from_ref(&crd), &[]);
        assert_eq!(
            (deleted.action, deleted.changes[0].op.call()),
            (Action::Delete, "k8s:delete CustomResourceDefinition".into())
        );
        let blocked = step().purge_diff(&[crd], &(1..=22).map(widget).collect::<Vec<_>>());
        assert_eq!(blocked.action, Action::Blocked);
        assert!(blocked.reason.ends_with("Widget/shop/w20, 2 more"), "{}", blocked.reason);
    }

    #[test]
    fn only_what_we_applied_is_ours() {
        let by = |manager: &str, operation: &str| {
            applied_by_us(&json!({"metadata": {"managedFields": [{"manager": manager, "operation": operation}]}}))
        };
        assert!(by("eks-bootstrap", "Apply"));
        assert!(!by("helm", "Apply") && !by("eks-bootstrap", "Update") && !applied_by_us(&json!({"metadata": {}})));
    }
}
