//! The CRDs of a chart, by server-side apply before the release: helm installs CRDs once and never upgrades them
//! (<https://helm.sh/docs/chart_best_practices/custom_resource_definitions/>).
//!
//! What a destroy does with them is in `absent.rs`.
//!
//! Where the installed release already is the wanted version, its record holds the CRDs, so a finished cluster needs
//! neither helm nor the chart repository.

mod absent;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::context::ReadContext;
use crate::error::Result;
use crate::object::is;
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::chart::ChartRef;
use crate::read::held;
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::release;
use crate::steps::kube_object::subset_diff;
use crate::steps::{Step, settled};

/// The CRDs of one chart.
#[derive(Debug, Clone)]
pub struct ChartCrdsStep {
    /// The step.
    pub id: StepId,
    /// The steps before it.
    pub needs: Vec<StepId>,
    /// The chart.
    pub chart: ChartRef,
    /// The values that the chart is given: they turn charts inside it on and off.
    pub values: Value,
    /// The release's namespace.
    pub namespace: String,
    /// The release.
    pub release: String,
    /// The cluster whose label a release of ours carries.
    pub cluster_arn: String,
    /// Whether a destroy removes them.
    pub purge: bool,
    /// Whether load balancers, and with them their bindings, are drained before.
    pub drained: bool,
    /// Whether CRDs that another tool looks after may be taken over.
    pub adopt: bool,
}

impl ChartCrdsStep {
    async fn wanted(&self, cx: &ReadContext) -> Result<Vec<Value>> {
        let history = match release::history(&cx.kube, &self.namespace, &self.release).await {
            // The chart itself says the same.
            Err(error) if release::denied_records(&error, &self.namespace).is_some() => {
                return cx.charts.local(&self.chart).await.map(|chart| chart.crds(&self.values)).map_err(|_| error);
            }
            history => history?,
        };
        let installed = history.into_iter().find(|release| {
            release.chart == self.chart.name && release.chart_version == self.chart.version && !release.crds.is_empty()
        });
        let of_chart = async || Ok(cx.charts.local(&self.chart).await?.crds(&self.values));
        match installed {
            // Of charts inside the chart the record says nothing; where the chart cannot be had, its own CRDs are better than none.
            Some(release) if release.has_parts => Ok(of_chart().await.unwrap_or(release.crds)),
            Some(release) => Ok(release.crds),
            None => of_chart().await,
        }
    }

    fn diff(&self, wanted: &[Value], observed: &[Option<Value>]) -> Assessment {
        let mut changes = Vec::new();
        let (mut missing, mut unready) = (0, 0);
        for (wanted, observed) in wanted.iter().zip(observed) {
            let fields = match observed {
                None => {
                    missing += 1;
                    vec![FieldDiff::new("versions", None, versions(wanted))]
                }
                Some(observed) => {
                    unready += usize::from(!established(observed));
                    let fields = crd_diff(wanted, observed);
                    // Charts leave no mark on CRDs; whoever does mark one looks after it.
                    let owner = owner::of_object(observed);
                    if !fields.is_empty() && !self.adopt && !matches!(owner, Owner::Unmarked | Owner::Helm { .. }) {
                        let reason = format!("{} differs and is owned by {owner}", ObjectRef::of(wanted));
                        return Assessment::blocked(&self.id, owner, reason);
                    }
                    fields
                }
            };
            if !fields.is_empty() {
                let resource = ResourceId(ObjectRef::of(wanted).to_string());
                let op = Op::Kube(KubeOp::Apply { object: wanted.clone(), force: true });
                changes.push(Change { resource, fields, op });
            }
        }
        let total = wanted.len();
        if changes.is_empty() {
            return if unready == 0 {
                Assessment::keep(format!("{} of chart {}", counted(total), self.chart.version))
            } else {
                // Nothing to write, yet not settled: the API server is still setting the kinds up.
                Assessment::unknown(format!("{unready} of {total} CRDs are not established yet"))
            };
        }
        if missing == total {
            return Assessment::create(format!("{} of chart {}", counted(total), self.chart.version), changes);
        }
        let reason = format!("{} of {total} CRDs differ from chart {}", changes.len(), self.chart.version);
        Assessment::update(reason, changes)
    }
}

fn counted(total: usize) -> String {
    match total {
        0 => "no CRDs".to_owned(),
        1 => "1 CRD".to_owned(),
        _ => format!("{total} CRDs"),
    }
}

/// The first of some CRDs that is being deleted, with what holds it.
async fn parting(kube: &KubeRead, crds: impl Iterator<Item = &Value>) -> Option<String> {
    for crd in crds {
        if let Some(leaving) = held::parting(kube, crd).await {
            return Some(leaving);
        }
    }
    None
}

/// The versions of a CRD, as `v1alpha1, v1beta1`.
pub(crate) fn versions(crd: &Value) -> String {
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    versions.into_iter().flatten().filter_map(|version| version["name"].as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether the API server serves a CRD's kind.
pub(crate) fn established(crd: &Value) -> bool {
    is(crd, "Established")
}

/// What differs. The API server fills in defaults around the schemas, so there only what the chart says is compared; the
/// schemas themselves it keeps as they are, so there a field too many counts as well.
pub(crate) fn crd_diff(wanted: &Value, observed: &Value) -> Vec<FieldDiff> {
    let part = |crd: &Value| json!({"spec": bare(&crd["spec"])});
    let mut fields = subset_diff(&part(wanted), &part(observed));
    if fields.is_empty() && schemas(wanted) != schemas(observed) {
        fields.push(FieldDiff::new(
            "spec.versions.schema",
            "more than the chart says".to_owned(),
            "the chart's".to_owned(),
        ));
    }
    // Whole schemas are no reading matter; the first paths tell enough.
    if fields.len() > 6 {
        let rest = fields.len() - 5;
        fields.truncate(5);
        fields.push(FieldDiff::new(format!("and {rest} more fields"), None, None));
    }
    fields
}

fn schemas(crd: &Value) -> Vec<Value> {
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    versions.into_iter().flatten().map(|version| bare(&version["schema"])).collect()
}

/// A part of a CRD without what the API server drops: nulls, empty parts, and fields that say what is so anyway (`false`,
/// an empty text, 0). Defaults of users' fields are values of their own.
fn bare(value: &Value) -> Value {
    let dropped = |field: &Value| match field {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    };
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| (name.clone(), if name == "default" { field.clone() } else { bare(field) }))
                .filter(|(name, field)| name == "default" || !dropped(field))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(bare).collect()),
        other => other.clone(),
    }
}

#[async_trait]
impl Step for ChartCrdsStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("CustomResourceDefinition/{}", self.chart.name))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Absent {
            return self.absent(cx).await;
        }
        let wanted = self.wanted(cx).await?;
        let references: Vec<_> = wanted.iter().map(ObjectRef::of).collect();
        let observed = try_join_all(references.iter().map(|reference| settled(cx, reference))).await?;
        if let Some(leaving) = parting(&cx.kube, observed.iter().flatten()).await {
            return Ok(Assessment::unknown(leaving));
        }
        Ok(self.diff(&wanted, &observed))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::read::chart::ChartSource;

    pub(in crate::steps) fn step() -> ChartCrdsStep {
        ChartCrdsStep {
            id: StepId::new("k8s.crds.lbc"),
            needs: Vec::new(),
            chart: ChartRef {
                name: "x".to_owned(),
                version: "1.0.0".to_owned(),
                source: ChartSource::Folder("charts".into()),
                digest: None,
            },
            values: json!({}),
            namespace: "n".to_owned(),
            release: "x".to_owned(),
            cluster_arn: "arn:c".to_owned(),
            purge: true,
            drained: false,
            adopt: false,
        }
    }

    fn crd(properties: &Value) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com", "creationTimestamp": null},
            "spec": {"group": "example.com", "versions": [
                {"name": "v1", "served": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}},
            ]},
        })
    }

    fn live(properties: &Value, established: &str) -> Value {
        let mut crd = crd(properties);
        crd["spec"]["conversion"] = json!({"strategy": "None"});
        crd["status"] = json!({"conditions": [{"type": "Established", "status": established}]});
        crd
    }

    #[test]
    fn defaults_of_the_server_are_no_difference_but_fields_in_schemas_are() {
        let wanted = [crd(&json!({"a": {"type": "string"}}))];
        let action = |observed: Option<Value>| step().diff(&wanted, &[observed]).action;
        assert_eq!(action(None), Action::Create);
        assert_eq!(action(Some(live(&json!({"a": {"type": "string"}}), "True"))), Action::Keep);
        assert_eq!(action(Some(live(&json!({"a": {"type": "string"}}), "False"))), Action::Unknown);
        let talkative = [crd(&json!({"a": {"type": "string", "nullable": false, "description": "", "enum": []}}))];
        assert_eq!(
            step().diff(&talkative, &[Some(live(&json!({"a": {"type": "string"}}), "True"))]).action,
            Action::Keep
        );
        let defaulted = [crd(&json!({"a": {"type": "boolean", "default": false}}))];
        assert_eq!(
            step().diff(&defaulted, &[Some(live(&json!({"a": {"type": "boolean"}}), "True"))]).action,
            Action::Update
        );
        assert_eq!(action(Some(live(&json!({"a": {"type": "integer"}}), "True"))), Action::Update);
        let mut foreign = live(&json!({"a": {"type": "integer"}}), "True");
        foreign["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "argocd"});
        assert_eq!(action(Some(foreign)), Action::Blocked);
        let more = live(&json!({"a": {"type": "string"}, "b": {"type": "string"}}), "True");
        assert_eq!(action(Some(more)), Action::Update);
    }
}
