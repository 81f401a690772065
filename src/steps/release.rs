//! A Helm release, read from its records without helm: installed, upgraded, or freed where an interrupted helm left it.
//!
//! Compared are status, chart version, the values that were given, and whether every object of the manifest still exists;
//! an equal name alone says nothing. Helm refuses to touch a release that is `pending-*` (helm/helm#12516), so that is a
//! state of its own with a planned way out. A release by someone else is used where it fits and blocked where it does not.

mod absent;
mod account;
mod accounts;
mod addon;
mod content;
mod guard;
mod hooks;
mod immutable;
mod interrupted;
mod partly;
mod seen;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;

use crate::context::ReadContext;
use crate::error::{Denied, Result};
use crate::op::Op;
use crate::op::helm::{HelmOp, ReleaseSpec, cluster_label};
use crate::owner::{self, Owner};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::eks::Addon;
use crate::read::kube::ObjectRef;
use crate::read::release::{self, Release};
use crate::read::rollout::{self, Rollout};
use crate::steps::Step;
use content::Content;
pub use seen::Seen;
pub(super) use values::value_differences;
use values::{unmet_values, value_diff};

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
    /// Repositories of the images that the chart can run with these values.
    pub images: Vec<String>,
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
    /// Fields of its objects that others own, as patterns.
    pub ignore_drift: Vec<String>,
}

struct Observed {
    /// Newest first.
    history: Vec<Release>,
    /// Objects of the manifest that are gone.
    missing: Vec<ObjectRef>,
    /// Objects of the manifest that are there.
    live: BTreeMap<ObjectRef, Value>,
    /// What differs in those that are there.
    content: Content,
    /// The service account of the manifest.
    account: Option<Value>,
    /// All service accounts of the manifest.
    accounts: Vec<Value>,
    rollout: Rollout,
    /// Objects that a removed release has left, or another has, with their owners; looked for when it is to be absent.
    foreign: Vec<(ObjectRef, Owner)>,
    /// What hooks have left, or will leave; looked for when it is to be absent.
    hooks: Vec<ObjectRef>,
    addon: Option<Addon>,
    /// What the caller may not read.
    denied: Vec<Denied>,
    /// Seconds since 1970, by the API server's clock.
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
        let (addon, history) = futures::join!(addon, history);
        let history = history?;
        let (addon, mut denied) = match addon.as_ref().err().and_then(Denied::of) {
            // What is a release is no add-on, whatever may be read.
            Some(unread) if !history.is_empty() => (None, vec![unread]),
            _ => (addon?, Vec::new()),
        };
        let (mut missing, mut live, mut foreign) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (mut account, mut accounts, mut state) = (None, Vec::new(), Rollout::default());
        let (mut content, mut hooks) = (Content::default(), Vec::new());
        if let Some(latest) = history.first() {
            if goal == Goal::Absent {
                let (found, unread) = hooks::left(&cx.kube, &history).await?;
                hooks = found;
                denied.extend(unread);
            }
            let ((found, unread), rolled) =
                futures::try_join!(partly::each(&cx.kube, &latest.objects), partly::rolled_out(cx, &latest.objects))?;
            denied.extend(unread);
            let ours = found.iter().find(|(reference, _)| Some(reference) == self.account.as_ref());
            account = ours.and_then(|(_, object)| object.clone());
            let of_accounts = found.iter().filter(|(reference, _)| reference.kind == "ServiceAccount");
            accounts.extend(of_accounts.filter_map(|(_, object)| object.clone()));
            content = self.content(cx, latest, &found).await;
            for (reference, object) in found {
                match object {
                    Some(object) => drop(live.insert(reference, object)),
                    None => missing.push(reference),
                }
            }
            state = rolled;
        } else if goal == Goal::Absent {
            let (found, unread) = partly::each(&cx.kube, &self.left_over()).await?;
            denied.extend(unread);
            for (reference, object) in found {
                foreign.extend(object.map(|object| (reference, owner::of_object(&object))));
            }
        }
        let now = cx.kube.now();
        let rollout = state;
        Ok(Observed { history, missing, live, content, account, accounts, rollout, foreign, hooks, addon, denied, now })
    }

    fn diff(&self, observed: &Observed) -> Assessment {
        if let Some(addon) = &observed.addon {
            return self.beside_addon(addon);
        }
        let Some(latest) = observed.history.first() else { return self.install() };
        let ours = self.installed(latest);
        if !ours && !self.adopt {
            return self.beside_foreign(latest, observed);
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

    fn install(&self) -> Assessment {
        let mut fields = vec![FieldDiff::new("chart", None, self.chart())];
        fields.extend(value_diff(&Value::Null, &self.release.values));
        Assessment::create(format!("chart {}", self.release.chart.version), vec![self.upgrade(fields, false)])
    }

    fn beside_foreign(&self, latest: &Release, observed: &Observed) -> Assessment {
        let owner = Owner::Helm { release: self.name() };
        let mut fields = unmet_values(&latest.values, &self.release.values);
        fields.extend(accounts::unharmed(latest, observed).into_iter().flat_map(|change| change.fields));
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
        fields.extend(observed.content.for_helm());
        let restores = observed.content.restores(self.release.timeout_seconds);
        let account = observed.account.as_ref().and_then(|account| self.renamed(account, &fields));
        let accounts: Vec<_> = account.into_iter().chain(accounts::unharmed(latest, observed)).collect();
        let told = |assessment: Assessment| Assessment {
            notes: observed.content.notes.clone(),
            ignored: observed.content.ignored.clone(),
            ..assessment
        };
        if fields.is_empty() && accounts.is_empty() && restores.is_empty() {
            let state = if observed.rollout.ready { String::new() } else { format!(", but {}", observed.rollout.text) };
            return told(Assessment::keep(format!("chart {} deployed{state}", latest.chart_version)));
        }
        let before = accounts.iter().chain(&restores).flat_map(|change| &change.fields);
        let differing: Vec<_> = before.chain(&fields).collect();
        let reason = match differing.as_slice() {
            [first] => format!("{} differs", first.path),
            [first, rest @ ..] => format!("{} and {} more differ", first.path, rest.len()),
            [] => String::new(),
        };
        let upgrade = (!fields.is_empty()).then(|| self.upgrade(fields, !ours));
        told(Assessment::update(reason, accounts.into_iter().chain(restores).chain(upgrade).collect()))
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
        let observed = match self.observe(cx, goal).await {
            Err(error) if goal == Goal::Present => match release::denied_records(&error, &self.release.namespace) {
                Some(records) => return self.by_live_objects(cx, records).await,
                None => return Err(error),
            },
            other => other?,
        };
        if goal == Goal::Absent {
            // Nothing is removed of which not everything is known.
            if let Some(denied) = observed.denied.first() {
                return Err(denied.error());
            }
            if let Some(latest) = observed.history.first() {
                self.remember_recorded(latest);
            }
            return Ok(self.absent_diff(&observed));
        }
        let (assessment, unread) = self.guarded(cx, &observed, self.diff(&observed)).await?;
        let mut assessment = assessment.partly_read(observed.denied.into_iter().chain(unread).collect());
        for change in &mut assessment.changes {
            if let Op::Helm(HelmOp::Upgrade { release }) = &mut change.op {
                // A chart that is not there, or not the right one, is to be known before anything is written.
                let digest = cx.charts.local(&release.chart).await?.digest;
                change.fields.extend(digest.map(|digest| FieldDiff::new("chart digest", None, digest)));
            }
        }
        Ok(assessment)
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
