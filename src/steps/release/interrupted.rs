//! A release on which a run of helm has not finished: left alone while that may still be at work, else freed. Pure; called by
//! `release.rs`.

use super::{Observed, ReleaseStep};
use crate::helm_writer::Writer;
use crate::op::helm::HelmOp;
use crate::owner::Owner;
use crate::plan::{Assessment, FieldDiff};
use crate::read::release::Release;

impl ReleaseStep {
    /// A refusal where a run of helm has not finished and may still be going on. One of ours on this host is known to live or
    /// to be dead; of any other only the age is known.
    pub(super) fn still_at_work(&self, latest: &Release, now: i64) -> Option<Assessment> {
        let status = latest.status.as_str();
        if !status.starts_with("pending-") && status != "uninstalling" {
            return None;
        }
        let blocked = |reason: String, mend: String| {
            let owner = Owner::Helm { release: self.name() };
            Some(Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) })
        };
        let age = now.saturating_sub(latest.changed_at).max(0);
        match latest.writer {
            Writer::Gone => return None,
            Writer::Alive(pid) => {
                let reason =
                    format!("helm of another run of ours on this machine (process {pid}) is at work on it ({status})");
                return blocked(reason, format!("wait until process {pid} has ended, or end it (kill {pid})"));
            }
            Writer::Unknown => {}
        }
        let limit = i64::try_from(self.release.timeout_seconds).unwrap_or(i64::MAX);
        if age >= limit {
            return None;
        }
        let reason = format!("another helm has left it {status} {age} s ago and may still be at work");
        blocked(reason, format!("wait until it is {limit} s old, or pass a shorter --timeout"))
    }

    /// The way out of a run of helm that never finished.
    pub(super) fn free(&self, latest: &Release, observed: &Observed) -> Assessment {
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
}
