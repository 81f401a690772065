//! A Helm release, read from its records without helm: installed, upgraded, or freed where an interrupted helm left it.
//!
//! Compared are status, chart version, the values that were given, and whether every object of the manifest still exists;
//! an equal name alone says nothing. Helm refuses to touch a release that is `pending-*` (helm/helm#12516), so that is a
//! state of its own with a planned way out. A release by someone else is used where it fits and blocked where it does not.

mod absent;
mod account;
mod guard;
mod immutable;
mod seen;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::future::try_join_all;
use serde_json::Value;

use crate::context::ReadContext;
use crate::error::Result;
use crate::op::Op;
use crate::op::helm::{HelmOp, ReleaseSpec, cluster_label};
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::eks::Addon;
use crate::read::kube::ObjectRef;
use crate::read::release::{self, Release};
use crate::read::rollout::{self, Rollout};
use crate::steps::Step;
use crate::steps::kube_object::subset_diff;
pub use seen::Seen;
use values::value_diff;
pub(super) use values::value_differences;

/// One release.
#[derive(Debug, Clone)]
pub struct ReleaseStep {
    /// The step.
    pub id: StepId,
    /// The steps that it needs.
    pub needs: Vec<StepId>,
    /// The steps that only go first.
    pub after: Vec<StepId>,
    /// What is to be installed.
    pub release: ReleaseSpec,
    /// Objects of the chart by which what a removed release has left is recognised, as the chart calls them by default.
    pub guarded_objects: Vec<ObjectRef>,
    /// The EKS add-on that installs the same.
    pub addon: Option<String>,
    /// The first part of its flags, where the user may have EKS install it.
    pub addon_flag: Option<&'static str>,
    /// Whether the user says that it is to be a release.
    pub insists: bool,
    /// The role that the add-on would have to use; none where any will do.
    pub role_arn: Option<String>,
    /// The service account that the chart makes and that has to name this role; none where the chart makes none.
    pub account: Option<ObjectRef>,
    /// The component's name, for the commands that the user is told.
    pub component: String,
    /// Whether what someone else installed may be taken over.
    pub adopt: bool,
    /// The service account that the role trusts; none where any will do.
    pub trusted: Option<String>,
    /// Objects that may be deleted and created again, as `KIND/NAME`.
    pub recreate: BTreeSet<String>,
    /// The objects that it was seen to have.
    pub seen: Seen,
}

struct Observed {
    /// Newest first.
    history: Vec<Release>,
    /// Objects of the manifest that are gone.
    missing: Vec<ObjectRef>,
    /// Objects of the manifest that are there.
    live: BTreeMap<ObjectRef, Value>,
    /// The service account of the manifest.
    account: Option<Value>,
    rollout: Rollout,
    /// Objects that a removed release has left, or another has, with their owners; looked for when it is to be absent.
    foreign: Vec<(ObjectRef, Owner)>,
    addon: Option<Addon>,
    /// Seconds since 1970.
    now: i64,
}

impl ReleaseStep {
    async fn observe(&self, cx: &ReadContext, goal: Goal) -> Result<Observed> {
        let addon = async {
            match &self.addon {
                Some(name) => cx.eks.addon(&cx.facts.cluster, name).await,
                None => Ok(None),
            }
        };
        let history = release::history(&cx.kube, &self.release.namespace, &self.release.name);
        let (addon, history) = futures::try_join!(addon, history)?;
        let existing = |objects: Vec<ObjectRef>| async move {
            let found = try_join_all(objects.iter().map(|object| cx.kube.get(object))).await?;
            Ok::<_, crate::error::Error>(objects.into_iter().zip(found).collect::<Vec<_>>())
        };
        let (mut missing, mut live, mut foreign) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (mut account, mut state) = (None, Rollout::default());
        if let Some(latest) = history.first() {
            let (found, rolled) =
                futures::try_join!(existing(latest.objects.clone()), rollout::of(&cx.kube, &latest.objects))?;
            let ours = found.iter().find(|(reference, _)| Some(reference) == self.account.as_ref());
            account = ours.and_then(|(_, object)| object.clone());
            for (reference, object) in found {
                match object {
                    Some(object) => drop(live.insert(reference, object)),
                    None => missing.push(reference),
                }
            }
            state = rolled;
        } else if goal == Goal::Absent {
            for (reference, object) in existing(self.left_over()).await? {
                foreign.extend(object.map(|object| (reference, owner::of_object(&object))));
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        Ok(Observed { history, missing, live, account, rollout: state, foreign, addon, now })
    }

    fn diff(&self, observed: &Observed) -> Assessment {
        if let Some(addon) = &observed.addon {
            return self.beside_addon(addon);
        }
        let Some(latest) = observed.history.first() else { return self.install() };
        let ours = self.installed(latest);
        if !ours && !self.adopt {
            return self.beside_foreign(latest);
        }
        let assessment = match latest.status.as_str() {
            "pending-install" | "pending-upgrade" | "pending-rollback" | "uninstalling" => self.free(latest, observed),
            _ => self.converge(latest, observed, ours),
        };
        let owner = if ours { Owner::Ours { adopted: false } } else { Owner::Helm { release: self.name() } };
        assessment.owned_by(owner)
    }

    /// Whether we installed this revision, for this cluster.
    fn installed(&self, release: &Release) -> bool {
        release.our_cluster.as_deref() == Some(&cluster_label(&self.release.cluster_arn))
    }

    fn name(&self) -> String {
        format!("{}/{}", self.release.namespace, self.release.name)
    }

    /// An add-on is another manager of the same objects: used where its role is right, never installed over.
    fn beside_addon(&self, addon: &Addon) -> Assessment {
        let what = format!("installed as an EKS add-on {}", addon.version);
        let owner = owner::of_tags(&addon.tags, &self.release.cluster_arn);
        if let Some(flag) = self.addon_flag.filter(|_| self.insists || owner.is_ours()) {
            return self.managed_by_eks(&what, flag, owner);
        }
        if self.role_arn.is_none() || addon.role_arn == self.role_arn {
            return Assessment::keep(format!("{what}, used as it is")).owned_by(Owner::EksAddon);
        }
        let (reason, mend) = match &addon.role_arn {
            Some(arn) => (format!("{what} with role {arn}"), format!("--ebs-role-arn {arn}")),
            None => (format!("{what} without a role"), format!("--disable {}", self.component)),
        };
        Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, Owner::EksAddon, reason) }
    }

    /// Moving from one manager to the other is the user's to do, since in between nobody makes volumes.
    fn managed_by_eks(&self, what: &str, flag: &str, owner: Owner) -> Assessment {
        let cluster = self.release.cluster_arn.rsplit('/').next().unwrap_or_default();
        let (name, short) = (&self.component, self.id.as_str().rsplit('.').next().unwrap_or_default());
        let first = if owner.is_ours() {
            format!("eks-bootstrap destroy --cluster {cluster} --{flag}-managed-by eks-addon --only eks.addon.{short}")
        } else {
            format!("aws eks delete-addon --cluster-name {cluster} --addon-name {name}")
        };
        let reason = format!(
            "{what}, and one set of objects has one manager; to move, run `{first}` (with --leave-volumes where there are \
             volumes), then this again: meanwhile none is made or attached, mounted ones stay mounted; to stay"
        );
        let owner = if owner.is_ours() { owner } else { Owner::EksAddon };
        let mend = format!("--{flag}-managed-by eks-addon");
        Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) }
    }

    fn install(&self) -> Assessment {
        let mut fields = vec![FieldDiff::new("chart", None, self.chart())];
        fields.extend(value_diff(&Value::Null, &self.release.values));
        Assessment::create(format!("chart {}", self.release.chart.version), vec![self.upgrade(fields, false)])
    }

    fn beside_foreign(&self, latest: &Release) -> Assessment {
        let owner = Owner::Helm { release: self.name() };
        let mut fields = subset_diff(&self.release.values, &latest.values);
        if latest.chart_version != self.release.chart.version || latest.chart != self.release.chart.name {
            fields
                .insert(0, FieldDiff::new("chart", format!("{} {}", latest.chart, latest.chart_version), self.chart()));
        }
        if latest.status == "deployed" && fields.is_empty() {
            return Assessment::keep(format!("chart {} deployed by someone else, used as it is", latest.chart_version))
                .owned_by(owner);
        }
        let differs = match fields.first() {
            Some(field) => format!("{} differs", field.path),
            None => format!("it is {}", latest.status),
        };
        let reason = format!("installed by someone else (chart {}), and {differs}", latest.chart_version);
        Assessment::blocked(&self.id, owner, reason)
    }

    /// A refusal where a run of helm has not finished and is young enough to be still going on.
    fn still_at_work(&self, latest: &Release, now: i64) -> Option<Assessment> {
        let age = now.saturating_sub(latest.changed_at);
        let limit = i64::try_from(self.release.timeout_seconds).unwrap_or(i64::MAX);
        if age >= limit || !latest.status.starts_with("pending-") {
            return None;
        }
        let reason = format!("another helm has left it {} {age} s ago and may still be at work", latest.status);
        let owner = Owner::Helm { release: self.name() };
        let mend = format!("wait until it is {limit} s old, or pass a shorter --timeout");
        Some(Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) })
    }

    /// The way out of a run of helm that never finished.
    fn free(&self, latest: &Release, observed: &Observed) -> Assessment {
        if let Some(blocked) = self.still_at_work(latest, observed.now) {
            return blocked;
        }
        let status = FieldDiff::new("status", latest.status.clone(), "deployed".to_owned());
        let sound = observed
            .history
            .iter()
            .find(|release| matches!(release.status.as_str(), "deployed" | "superseded"))
            .filter(|_| latest.status != "uninstalling");
        let (namespace, name) = (self.release.namespace.clone(), self.release.name.clone());
        let timeout_seconds = self.release.timeout_seconds;
        let mut changes = Vec::new();
        if let Some(sound) = sound {
            let revision = sound.revision;
            changes.push(self.change(vec![status], HelmOp::Rollback { namespace, name, revision, timeout_seconds }));
            let rest = self.differences(sound);
            if !rest.is_empty() {
                changes.push(self.upgrade(rest, false));
            }
        } else {
            changes.push(self.change(vec![status], HelmOp::Uninstall { namespace, name, timeout_seconds }));
            changes.push(self.upgrade(vec![FieldDiff::new("chart", None, self.chart())], false));
        }
        Assessment::update(format!("left {} by an interrupted helm", latest.status), changes)
    }

    fn converge(&self, latest: &Release, observed: &Observed, ours: bool) -> Assessment {
        let mut fields = self.differences(latest);
        if latest.status != "deployed" {
            fields.insert(0, FieldDiff::new("status", latest.status.clone(), "deployed".to_owned()));
        }
        for object in &observed.missing {
            fields.push(FieldDiff::new(object.to_string(), None, "recreated".to_owned()));
        }
        if !ours {
            fields.push(FieldDiff::new("labels", None, "ours".to_owned()));
        }
        let account = observed.account.as_ref().and_then(|account| self.renamed(account, &fields));
        if fields.is_empty() && account.is_none() {
            let state = if observed.rollout.ready { String::new() } else { format!(", but {}", observed.rollout.text) };
            return Assessment::keep(format!("chart {} deployed{state}", latest.chart_version));
        }
        let differing: Vec<_> = account.iter().flat_map(|change| &change.fields).chain(&fields).collect();
        let reason = match differing.as_slice() {
            [first] => format!("{} differs", first.path),
            [first, rest @ ..] => format!("{} and {} more differ", first.path, rest.len()),
            [] => String::new(),
        };
        let upgrade = (!fields.is_empty()).then(|| self.upgrade(fields, !ours));
        Assessment::update(reason, account.into_iter().chain(upgrade).collect())
    }

    /// Chart and values against a revision.
    fn differences(&self, release: &Release) -> Vec<FieldDiff> {
        let mut fields = Vec::new();
        if release.chart_version != self.release.chart.version || release.chart != self.release.chart.name {
            fields.push(FieldDiff::new("chart", format!("{} {}", release.chart, release.chart_version), self.chart()));
        }
        fields.extend(value_diff(&release.values, &self.release.values));
        fields
    }

    fn chart(&self) -> String {
        format!("{} {}", self.release.chart.name, self.release.chart.version)
    }

    fn upgrade(&self, fields: Vec<FieldDiff>, take_ownership: bool) -> Change {
        let release = Box::new(ReleaseSpec { take_ownership, ..self.release.clone() });
        self.change(fields, HelmOp::Upgrade { release })
    }

    fn change(&self, fields: Vec<FieldDiff>, op: HelmOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Helm(op) }
    }
}

#[async_trait]
impl Step for ReleaseStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn after(&self) -> Vec<StepId> {
        self.after.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("helm/{}", self.name()))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let observed = self.observe(cx, goal).await?;
        if goal == Goal::Absent {
            if let Some(latest) = observed.history.first() {
                self.remember_recorded(latest);
            }
            return Ok(self.absent_diff(&observed));
        }
        let mut assessment = self.diff(&observed);
        for change in &mut assessment.changes {
            if let Op::Helm(HelmOp::Upgrade { release }) = &mut change.op {
                // A chart that is not there, or not the right one, is to be known before anything is written.
                let digest = cx.charts.local(&release.chart).await?.digest;
                change.fields.extend(digest.map(|digest| FieldDiff::new("chart digest", None, digest)));
            }
        }
        self.guarded(cx, &observed, assessment).await
    }

    fn objects(&self) -> Vec<ObjectRef> {
        self.seen.all()
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        let history = release::history(&cx.kube, &self.release.namespace, &self.release.name).await.ok()?;
        let Some(latest) = history.first() else { return Some("helm is starting".to_owned()) };
        let state = rollout::of(&cx.kube, &latest.objects).await.ok()?;
        Some(state.text)
    }
}

#[cfg(test)]
pub(super) mod tests;
