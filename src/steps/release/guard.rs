//! What an upgrade would write over: objects that belong to someone else, and fields that cannot be changed. Every object of the
//! chart is looked at, those that only a new version or other values add, too. What is compared is cut off from what is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use super::{Observed, ReleaseStep, immutable};
use crate::context::ReadContext;
use crate::error::{Denied, Result};
use crate::object::{annotation, some_of, text};
use crate::op::Op;
use crate::op::helm::HelmOp;
use crate::op::kube::KubeOp;
use crate::owner::{self, MANAGED_BY_LABEL, Owner};
use crate::plan::{Action, Assessment, Change, FieldDiff, ResourceId};
use crate::read::kube::ObjectRef;
use crate::read::other_manager::{self, OtherManager};
use crate::read::release::Release;
use crate::steps::settled;

/// How many objects are read side by side.
const AT_ONCE: usize = 8;

/// What was found in the way of an upgrade.
#[derive(Debug, Default)]
pub(super) struct InTheWay {
    /// Objects that exist and that no record of the release names, with their owners.
    pub(super) foreign: Vec<(ObjectRef, Owner)>,
    /// Who else manages them.
    pub(super) others: Vec<OtherManager>,
    /// Objects with fields that cannot be changed.
    pub(super) fixed: Vec<(ObjectRef, Vec<FieldDiff>)>,
}

impl ReleaseStep {
    /// The assessment with what is in the way of it, and what of that may not be read.
    ///
    /// # Errors
    /// A read that failed for another reason than that it is denied, or a chart that cannot be rendered.
    pub(super) async fn guarded(
        &self,
        cx: &ReadContext,
        observed: &Observed,
        assessment: Assessment,
    ) -> Result<(Assessment, Vec<Denied>)> {
        let latest = observed.history.first();
        // What someone else installed and is used as it is, is not written.
        let kept = assessment.action == Action::Keep && latest.is_some_and(|latest| self.installed(latest));
        if assessment.changes.is_empty() && !kept {
            return Ok((assessment, Vec::new()));
        }
        let desired = match self.desired(cx, latest, &assessment).await {
            // What the cluster serves may not be read: then nobody knows what the chart would write over.
            Err(error) => return Ok((assessment, vec![Denied::of(&error).ok_or(error)?])),
            Ok(desired) => desired,
        };
        self.remember(desired.iter().map(|(reference, _)| reference.clone()));
        let (live, denied) = self.live(cx, observed, &desired).await?;
        let mut found = self.in_the_way(observed, &desired, &live);
        if !upgrades(&assessment) {
            found.fixed.retain_mut(|(object, fields)| {
                fields.retain(|field| !left_to_others(&observed.content.ignored, object, &field.path));
                !fields.is_empty()
            });
        }
        let objects: Vec<_> = found.foreign.iter().filter_map(|(reference, _)| live.get(reference).cloned()).collect();
        if upgrades(&assessment)
            && let Some(blocked) = self.blocked_by_account(&desired)
        {
            return Ok((blocked, denied));
        }
        let own = (self.release.namespace.as_str(), self.release.name.as_str());
        let others = if objects.is_empty() { Vec::new() } else { other_manager::of(&cx.kube, own, &objects).await };
        Ok((self.unless(assessment, &InTheWay { others, ..found }), denied))
    }

    /// What is to be there: what helm makes of the chart where chart or values are others than those of the record, else the record.
    async fn desired(
        &self,
        cx: &ReadContext,
        latest: Option<&Release>,
        assessment: &Assessment,
    ) -> Result<Vec<(ObjectRef, Value)>> {
        let same = latest.filter(|latest| !upgrades(assessment) || self.differences(latest).is_empty());
        if let Some(latest) = same {
            return Ok(latest.objects.iter().cloned().zip(latest.documents.iter().cloned()).collect());
        }
        let rendered = self.rendered(cx).await?;
        let mut desired = Vec::with_capacity(rendered.len());
        // Helm creates hooks anew each time, whoever made them before.
        for document in rendered.iter().filter(|document| annotation(document, "helm.sh/hook").is_none()) {
            let reference = cx.kube.placed(&ObjectRef::of(document), &self.release.namespace).await?;
            desired.push((reference, document.clone()));
        }
        Ok(desired)
    }

    /// What helm makes of the chart on this cluster.
    pub(super) async fn rendered(&self, cx: &ReadContext) -> Result<Arc<Vec<Value>>> {
        let capabilities = cx.kube.capabilities().await?;
        let release = (self.release.namespace.as_str(), self.release.name.as_str());
        cx.charts.rendered_on(&self.release.chart, release, &self.release.values, &capabilities).await
    }

    /// What there is of that, and what may not be read. Objects of the record have been read.
    async fn live(
        &self,
        cx: &ReadContext,
        observed: &Observed,
        desired: &[(ObjectRef, Value)],
    ) -> Result<(BTreeMap<ObjectRef, Value>, Vec<Denied>)> {
        let recorded: BTreeSet<_> = observed.history.first().into_iter().flat_map(|latest| &latest.objects).collect();
        let unread = desired.iter().map(|(reference, _)| reference).filter(|reference| !recorded.contains(reference));
        let reads: Vec<_> = unread.map(|reference| read(cx, reference.clone())).collect();
        let mut reads = stream::iter(reads).buffered(AT_ONCE);
        let (mut live, mut denied) = (observed.live.clone(), Vec::new());
        while let Some(read) = reads.next().await {
            match read {
                Ok(found) => live.extend(found),
                Err(error) => denied.push(Denied::of(&error).ok_or(error)?),
            }
        }
        Ok((live, denied))
    }

    fn in_the_way(
        &self,
        observed: &Observed,
        desired: &[(ObjectRef, Value)],
        live: &BTreeMap<ObjectRef, Value>,
    ) -> InTheWay {
        let mut found = InTheWay::default();
        let recorded: BTreeSet<_> = observed.history.first().into_iter().flat_map(|latest| &latest.objects).collect();
        for (reference, document) in desired {
            let Some(object) = live.get(reference) else { continue };
            // With a record, helm knows its own objects by their marks; without one they are another's, unless the chart says
            // that they outlive the release.
            let stays = annotation(document, "helm.sh/resource-policy") == Some("keep");
            let ours = self.belongs(object) && (!observed.history.is_empty() || stays);
            if !recorded.contains(reference) && !ours {
                found.foreign.push((reference.clone(), owner::of_object(object)));
            }
            let fields = immutable::conflicts(document, object);
            if !fields.is_empty() {
                found.fixed.push((reference.clone(), fields));
            }
        }
        found
    }

    /// Whether helm takes an object for one of this release.
    fn belongs(&self, object: &Value) -> bool {
        let label = object["metadata"]["labels"].get(MANAGED_BY_LABEL).and_then(Value::as_str);
        label == Some("Helm") && owner::helm_release(object).is_some_and(|release| release == self.name())
    }

    /// The assessment, or why it must not be carried out.
    pub(super) fn unless(&self, assessment: Assessment, found: &InTheWay) -> Assessment {
        if let Some(blocked) = self.blocked_by_others(found) {
            return blocked;
        }
        let assessment = with_adoption(assessment, found);
        // What is uninstalled first is created anew anyway.
        let anew = assessment.changes.iter().any(|change| matches!(change.op, Op::Helm(HelmOp::Uninstall { .. })));
        if found.fixed.is_empty() || anew {
            return assessment;
        }
        let (again, left): (Vec<_>, Vec<_>) = found.fixed.iter().partition(|(object, _)| self.recreates(object));
        match left.as_slice() {
            [] => self.with_recreation(assessment, &again),
            [first, ..] => self.blocked_by_fields(assessment, first, &left),
        }
    }

    /// A chart none of whose pods run as the account that has the role: it would be installed, and nothing would work.
    pub(super) fn blocked_by_account(&self, desired: &[(ObjectRef, Value)]) -> Option<Assessment> {
        let trusted = self.trusted.as_deref()?;
        let templates = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
        let pods = desired.iter().filter_map(|(_, it)| templates.iter().find_map(|place| it.pointer(place)));
        let accounts: BTreeSet<_> = pods
            .filter(|pod| pod.get("containers").is_some())
            .map(|pod| Some(text(pod, "/serviceAccountName")).filter(|name| !name.is_empty()).unwrap_or("default"))
            .collect();
        if accounts.is_empty() || accounts.contains(trusted) {
            return None;
        }
        let accounts = accounts.into_iter().collect::<Vec<_>>().join(", ");
        let reason = format!("its pods run as service account {accounts}, but the role trusts {trusted} only");
        let mend = format!("the chart value that names its service account set to {trusted}");
        let owner = Owner::Ours { adopted: false };
        Some(Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) })
    }

    fn blocked_by_others(&self, found: &InTheWay) -> Option<Assessment> {
        let (_, first) = found.foreign.first()?;
        let active: Vec<_> = found.others.iter().filter(|other| other.reconciles()).collect();
        let of_addon = found.foreign.iter().any(|(_, owner)| *owner == Owner::EksAddon);
        if self.adopt && !of_addon && active.is_empty() {
            return None;
        }
        let names: Vec<_> = found.foreign.iter().map(|(reference, _)| reference.to_string()).collect();
        let verb = if names.len() == 1 { "exists" } else { "exist" };
        let by = match (found.others.is_empty(), first) {
            (false, _) => joined(&found.others),
            (true, Owner::Helm { release }) if *release == self.name() => {
                format!("Helm release {release}, whose record is gone")
            }
            (true, owner) => owner.to_string(),
        };
        let reason = format!("{} {verb} without this release, owned by {by}", some_of(&names));
        let owner = loudest(found).unwrap_or(first);
        let blocked = Assessment::blocked(&self.id, owner.clone(), reason);
        let Some(other) = active.first() else { return Some(blocked) };
        let mend = format!(
            "--adopt {} once it is stopped (`{}`), else it undoes what this run does; or --disable {} to leave it there",
            self.id,
            other.stop(),
            self.component
        );
        Some(Assessment { mend: Some(mend), ..blocked })
    }

    fn blocked_by_fields(
        &self,
        assessment: Assessment,
        (object, fields): &(ObjectRef, Vec<FieldDiff>),
        all: &[&(ObjectRef, Vec<FieldDiff>)],
    ) -> Assessment {
        let field = fields.first().map(told).unwrap_or_default();
        let others: Vec<_> = all.iter().skip(1).map(|(object, _)| object.to_string()).collect();
        let fields = if fields.len() > 1 { format!(", {} more fields", fields.len() - 1) } else { String::new() };
        let objects = if others.is_empty() { String::new() } else { format!("; also {}", some_of(&others)) };
        let more = format!("{fields}{objects}");
        let reason = format!("{object}: {field} cannot be changed in place{more}");
        let flags: Vec<_> =
            all.iter().map(|(object, _)| format!("--recreate {}/{}", object.kind, object.name)).collect();
        let consequence = immutable::consequence(&object.kind);
        let mend = format!("{}, which deletes it first ({consequence})", flags.join(" "));
        let owner = assessment.owner.unwrap_or(Owner::Ours { adopted: false });
        Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) }
    }

    /// Objects are deleted first, so that helm creates them.
    fn with_recreation(&self, mut assessment: Assessment, again: &[&(ObjectRef, Vec<FieldDiff>)]) -> Assessment {
        let mut changes: Vec<_> = again
            .iter()
            .map(|(object, fields)| {
                let consequence = immutable::consequence(&object.kind).to_owned();
                let fields = fields.iter().cloned().chain([FieldDiff::new("consequence", None, consequence)]).collect();
                let op = Op::Kube(KubeOp::Remove { object: object.clone() });
                Change { resource: ResourceId(object.to_string()), fields, op }
            })
            .collect();
        let names: Vec<_> = again.iter().map(|(object, _)| object.to_string()).collect();
        let upgrade = (!upgrades(&assessment)).then(|| {
            let fields = names.iter().map(|name| FieldDiff::new(name.clone(), None, "recreated".to_owned())).collect();
            self.upgrade(fields, false)
        });
        // What is created again needs no restoring.
        let restores = |change: &Change| match &change.op {
            Op::Kube(KubeOp::Restore(restore)) => again.iter().any(|(object, _)| *object == restore.object),
            _ => false,
        };
        assessment.changes.retain(|change| !restores(change));
        changes.append(&mut assessment.changes);
        changes.extend(upgrade);
        let told = format!("{} recreated", some_of(&names));
        if assessment.action == Action::Keep {
            assessment.action = Action::Update;
            assessment.reason = told;
        } else {
            assessment.reason = format!("{}; {told}", assessment.reason);
        }
        Assessment { changes, ..assessment }
    }

    /// Whether the user says that this object may be deleted and created again.
    fn recreates(&self, object: &ObjectRef) -> bool {
        self.recreate.iter().any(|named| object.is_called(named))
    }
}

async fn read(cx: &ReadContext, reference: ObjectRef) -> Result<Option<(ObjectRef, Value)>> {
    Ok(settled(cx, &reference).await?.map(|object| (reference, object)))
}

/// Objects of others are taken over, and whoever still has a record of them is named.
fn with_adoption(mut assessment: Assessment, found: &InTheWay) -> Assessment {
    let count = found.foreign.len();
    if count == 0 {
        return assessment;
    }
    for change in &mut assessment.changes {
        if let Op::Helm(HelmOp::Upgrade { release }) = &mut change.op {
            release.take_ownership = true;
            change.fields.extend(found.others.iter().map(|other| FieldDiff::new("warning", None, other.warning())));
        }
    }
    let objects = if count == 1 { "object" } else { "objects" };
    let from = loudest(found).map(ToString::to_string).unwrap_or_default();
    assessment.reason = format!("{}; {count} {objects} taken over from {from}", assessment.reason);
    assessment
}

/// Whether a difference of the object in a field that cannot be changed is one that the user leaves to others.
fn left_to_others(ignored: &[String], object: &ObjectRef, path: &str) -> bool {
    let field = format!("{object} {path}");
    ignored.iter().filter_map(|it| it.strip_prefix(&field)).any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn upgrades(assessment: &Assessment) -> bool {
    assessment.changes.iter().any(|change| matches!(change.op, Op::Helm(HelmOp::Upgrade { .. })))
}

/// The owner that matters most: one that puts its objects back.
fn loudest(found: &InTheWay) -> Option<&Owner> {
    let puts_back = |owner: &&Owner| matches!(owner, Owner::EksAddon | Owner::Flux { .. } | Owner::ArgoCd { .. });
    let mut owners = found.foreign.iter().map(|(_, owner)| owner);
    owners.clone().find(puts_back).or_else(|| owners.next())
}

fn joined(others: &[OtherManager]) -> String {
    others.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// A field with what is there and what is to be.
fn told(field: &FieldDiff) -> String {
    let short = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or("none");
        if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(77).chain("...".chars()).collect() }
    };
    format!("{} ({} -> {})", field.path, short(&field.before), short(&field.after))
}

#[cfg(test)]
mod tests;
