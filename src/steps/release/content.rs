//! The content of a release's objects: what its recorded manifest sets against what is there. Read with the objects that are
//! read anyway; a list of autoscalers, and a dry run where one may be asked for, only where something differs.
//!
//! Most differences are removed by another run of helm. Where helm's merge would leave something or be refused, the object
//! itself is restored before helm runs (`op/kube/restore.rs`).

use serde_json::{Value, json};

use super::ReleaseStep;
use crate::content::{self, Difference, Pattern, Schemas};
use crate::context::ReadContext;
use crate::op::Op;
use crate::op::kube::{KubeOp, Restore};
use crate::plan::{Change, FieldDiff, ResourceId};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::release::Release;
use crate::steps::catalogue::ROLE_ANNOTATION;

/// Workloads whose replicas an autoscaler may set.
const SCALED: [&str; 3] = ["Deployment", "ReplicaSet", "StatefulSet"];

const REPLICAS: &str = "spec.replicas";

/// What differs in the objects of a release.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) drifted: Vec<Drifted>,
    /// What is worth saying of it.
    pub(super) notes: Vec<String>,
    /// Differences that the user has left to others.
    pub(super) ignored: Vec<String>,
}

/// An object that is not what its document says.
#[derive(Debug)]
pub(super) struct Drifted {
    pub(super) object: ObjectRef,
    pub(super) document: Value,
    pub(super) differences: Vec<Difference>,
    /// Paths that stay as they are.
    pub(super) leave: Vec<String>,
    schemas: Schemas,
    live: Value,
}

impl Drifted {
    fn beyond_merge(&self) -> bool {
        self.differences.iter().any(|difference| difference.beyond_merge)
    }

    /// The differences with the object's name, as the plan shows them and `ignoreDrift` takes them.
    fn fields(&self) -> impl Iterator<Item = FieldDiff> {
        self.differences.iter().map(|difference| FieldDiff {
            path: format!("{} {}", self.object, difference.field.path),
            ..difference.field.clone()
        })
    }

    /// Leaves out the differences for which `keep` is false, and remembers their paths.
    fn retain(&mut self, mut keep: impl FnMut(&Difference) -> bool) {
        let (kept, left) = std::mem::take(&mut self.differences).into_iter().partition(|it| keep(it));
        let left: Vec<Difference> = left;
        self.differences = kept;
        self.leave.extend(left.into_iter().map(|difference| difference.field.path));
    }
}

impl ReleaseStep {
    /// Compares every object that is there with its document in the record.
    pub(super) async fn content(
        &self,
        cx: &ReadContext,
        release: &Release,
        found: &[(ObjectRef, Option<Value>)],
    ) -> Content {
        let mut content = self.compared(release, found);
        for drifted in &mut content.drifted {
            if drifted.differences.iter().any(|it| it.field.path == REPLICAS) {
                content.notes.extend(left_to_autoscaler(&cx.kube, drifted).await);
            }
            if cx.dry_runs && !drifted.differences.is_empty() {
                content.notes.extend(admitted(&cx.kube, drifted).await);
            }
        }
        content.drifted.retain(|drifted| !drifted.differences.is_empty());
        if !cx.dry_runs {
            content.notes.extend(suggestion(&content.drifted));
        }
        content
    }

    fn compared(&self, release: &Release, found: &[(ObjectRef, Option<Value>)]) -> Content {
        let schemas = Schemas::of(&release.crds);
        let patterns: Vec<_> = self.ignore_drift.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        let mut content = Content::default();
        for (object, live) in found {
            // What the caller may not read is not among those found, so places do not match.
            let place = release.objects.iter().position(|other| other == object);
            let document = place.and_then(|place| release.documents.get(place));
            let (Some(document), Some(live)) = (document, live) else { continue };
            let document = self.marked(document);
            let differences = content::compare(&document, live, &schemas, &[]).differences;
            if differences.is_empty() {
                continue;
            }
            let (object, live) = (object.clone(), live.clone());
            let schemas = schemas.only(&object.api_version, &object.kind);
            let mut drifted = Drifted { object, document, differences, leave: Vec::new(), schemas, live };
            let name = drifted.object.to_string();
            drifted.retain(|difference| {
                let path = &difference.field.path;
                let left = patterns.iter().any(|pattern| pattern.covers(&name, path));
                if left {
                    content.ignored.push(format!("{name} {path}"));
                }
                !left
            });
            // The role of the chart's account is compared by itself (`account.rs`), also where the chart does not set it.
            let role = format!("metadata.annotations.{ROLE_ANNOTATION}");
            if Some(&drifted.object) == self.account.as_ref() && self.role_arn.is_some() {
                drifted.retain(|difference| difference.field.path != role);
            }
            content.drifted.push(drifted);
        }
        content
    }

    /// The document with the marks that helm puts on every object and that its record does not hold
    /// (<https://helm.sh/docs/chart_best_practices/labels/>).
    fn marked(&self, document: &Value) -> Value {
        let mut document = document.clone();
        for (map, name, value) in [
            ("labels", "app.kubernetes.io/managed-by", "Helm"),
            ("annotations", "meta.helm.sh/release-name", self.release.name.as_str()),
            ("annotations", "meta.helm.sh/release-namespace", self.release.namespace.as_str()),
        ] {
            let marks = &mut document["metadata"][map];
            if !marks.is_object() {
                *marks = json!({});
            }
            marks[name] = json!(value);
        }
        document
    }
}

impl Content {
    /// What another run of helm removes.
    pub(super) fn for_helm(&self) -> Vec<FieldDiff> {
        self.drifted.iter().filter(|drifted| !drifted.beyond_merge()).flat_map(Drifted::fields).collect()
    }

    /// The writes for what helm does not remove, before helm runs.
    pub(super) fn restores(&self, timeout_seconds: u64) -> Vec<Change> {
        let beyond = self.drifted.iter().filter(|drifted| drifted.beyond_merge());
        beyond
            .map(|drifted| Change {
                resource: ResourceId(drifted.object.to_string()),
                fields: drifted.fields().collect(),
                op: Op::Kube(KubeOp::Restore(Box::new(Restore {
                    object: drifted.object.clone(),
                    document: drifted.document.clone(),
                    leave: drifted.leave.clone(),
                    schemas: drifted.schemas.clone(),
                    timeout_seconds,
                }))),
            })
            .collect()
    }
}

/// Leaves replicas to the HorizontalPodAutoscaler that sets them. Returns what is to be told where that cannot be known.
async fn left_to_autoscaler(kube: &KubeRead, drifted: &mut Drifted) -> Option<String> {
    let object = drifted.object.clone();
    if !SCALED.contains(&object.kind.as_str()) {
        return None;
    }
    let namespace = object.namespace.as_deref().unwrap_or_default();
    let targets = |scaler: &Value| {
        let target = &scaler["spec"]["scaleTargetRef"];
        target["kind"] == *object.kind && target["name"] == *object.name
    };
    let (autoscaled, note) = match kube.list("autoscaling/v2", "HorizontalPodAutoscaler", namespace, "").await {
        Ok(scalers) => (scalers.iter().any(targets), None),
        // No autoscaler scales to nothing unless it is told to.
        Err(_) if drifted.live["spec"]["replicas"] == 0 => (false, None),
        Err(error) => (
            true,
            Some(format!("{object} {REPLICAS} differs, and whether an autoscaler sets it is not known: {error}")),
        ),
    };
    drifted.retain(|difference| !autoscaled || difference.field.path != REPLICAS);
    note
}

/// Leaves to admission what it changes again: the write is tried as a dry run, and what differs afterwards can never be made
/// what the manifest says. Returns what is to be told.
async fn admitted(kube: &KubeRead, drifted: &mut Drifted) -> Vec<String> {
    let corrected = content::compare(&drifted.document, &drifted.live, &drifted.schemas, &drifted.leave).corrected;
    let patch = json!(content::patch(&drifted.live, &corrected));
    let tried = match kube.dry_run_patch(&drifted.object, &patch).await {
        Ok(Some(tried)) => tried,
        // The write itself will say what is wrong.
        Ok(None) => return Vec::new(),
        Err(error) => {
            tracing::debug!(%error, "nothing is known of what admission would do");
            return Vec::new();
        }
    };
    let remaining = content::compare(&drifted.document, &tried, &drifted.schemas, &drifted.leave).differences;
    let name = drifted.object.to_string();
    let mut notes = Vec::new();
    drifted.retain(|difference| {
        let Some(again) = remaining.iter().find(|again| again.field.path == difference.field.path) else { return true };
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let (chart, found) = (text(&again.field.after), text(&again.field.before));
        notes.push(format!(
            "{name} {} is changed by admission: the chart says {chart}, admission {found}",
            difference.field.path
        ));
        false
    });
    notes
}

/// How to leave a field to whoever else sets it, for plans that may not try.
fn suggestion(drifted: &[Drifted]) -> Option<String> {
    let fields: Vec<_> = drifted.iter().flat_map(Drifted::fields).filter(|field| field.after.is_some()).collect();
    let (first, rest) = fields.split_first()?;
    let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
    Some(format!(
        "if an admission policy or another controller sets it, leave it alone with ignoreDrift: ['{}']{more}",
        first.path
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{observed, revision, step};
    use super::*;
    use crate::plan::Action;

    fn deployment(image: &str) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
        })
    }

    fn release() -> Release {
        let documents = vec![deployment("a:1")];
        Release { objects: documents.iter().map(ObjectRef::of).collect(), documents, ..revision(1, "deployed") }
    }

    fn found(live: Value) -> Vec<(ObjectRef, Option<Value>)> {
        vec![(ObjectRef::of(&live), Some(live))]
    }

    fn calls(step: &ReleaseStep, live: Value) -> (Action, Vec<String>, Vec<String>) {
        let content = step.compared(&release(), &found(live));
        let mut world = observed(vec![release()]);
        world.content = content;
        let assessment = step.diff(&world);
        let calls = assessment.changes.iter().map(|change| change.op.call()).collect();
        let fields = assessment.changes.iter().flat_map(|change| &change.fields).map(|field| field.path.clone());
        (assessment.action, calls, fields.collect())
    }

    #[test]
    fn helm_mends_what_it_can_and_the_rest_is_restored_before() {
        let step = step(false);
        let same = step.marked(&deployment("a:1"));
        assert_eq!(calls(&step, same.clone()), (Action::Keep, vec![], vec![]));
        let mut changed = same.clone();
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil");
        let path = "Deployment/n/d spec.template.spec.containers[c].image".to_owned();
        assert_eq!(calls(&step, changed), (Action::Update, vec!["helm:upgrade".to_owned()], vec![path]));
        let mut added = same.clone();
        let containers = added["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "miner", "image": "m"}));
        let path = "Deployment/n/d spec.template.spec.containers[miner]".to_owned();
        assert_eq!(calls(&step, added), (Action::Update, vec!["k8s:patch Deployment".to_owned()], vec![path]));
        let mut unmarked = same;
        unmarked["metadata"]["labels"] = json!(null);
        let path = "Deployment/n/d metadata.labels.app.kubernetes.io/managed-by".to_owned();
        assert_eq!(calls(&step, unmarked), (Action::Update, vec!["helm:upgrade".to_owned()], vec![path]));
    }

    #[test]
    fn an_object_that_may_not_be_read_shifts_no_other() {
        let step = step(false);
        let hidden = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}});
        let documents = vec![hidden, deployment("a:1")];
        let objects = documents.iter().map(ObjectRef::of).collect();
        let two = Release { objects, documents, ..revision(1, "deployed") };
        let same = step.marked(&deployment("a:1"));
        assert!(step.compared(&two, &found(same.clone())).drifted.is_empty());
        let mut changed = same;
        changed["spec"]["replicas"] = json!(0);
        assert_eq!(step.compared(&two, &found(changed)).drifted.len(), 1);
    }

    #[test]
    fn fields_of_others_are_left_to_them() {
        let mut step = step(false);
        step.ignore_drift = vec!["Deployment/*/d spec.template.spec.containers[*].image".to_owned()];
        let mut changed = step.marked(&deployment("cache/a:1"));
        assert_eq!(calls(&step, changed.clone()).0, Action::Keep);
        let content = step.compared(&release(), &found(changed.clone()));
        assert_eq!(content.ignored, ["Deployment/n/d spec.template.spec.containers[c].image"]);
        changed["spec"]["replicas"] = json!(0);
        assert_eq!(calls(&step, changed).2, ["Deployment/n/d spec.replicas"]);
    }
}
