//! What is left to do until a release is gone or given back; called by `release.rs` for `Goal::Absent`. Pure.
//!
//! Helm waits for the deletion of what it knows; objects that stay all the same are seen here, so that the run waits for
//! them too before the role behind the controller goes.

use crate::helm_writer::WRITER_LABEL;
use crate::op::Op;
use crate::op::helm::{HelmOp, cluster_label};
use crate::op::kube::KubeOp;
use crate::owner::Owner;
use crate::plan::{Assessment, Change, FieldDiff, ResourceId};
use crate::read::kube::ObjectRef;
use crate::read::release::{ADOPTED_LABEL, MANAGED_BY_LABEL, OUR_LABEL, Release};
use crate::steps::release::{Observed, ReleaseStep};

impl ReleaseStep {
    pub(super) fn absent_diff(&self, observed: &Observed) -> Assessment {
        let Some(latest) = observed.history.first() else { return self.without_record(observed) };
        if latest.our_cluster.as_deref() != Some(&cluster_label(&self.release.cluster_arn)) {
            let owner = Owner::Helm { release: self.name() };
            return Assessment::skip("installed by someone else, left as it is").owned_by(owner);
        }
        let owner = Owner::Ours { adopted: latest.adopted };
        if latest.adopted {
            return self.give_back(latest).owned_by(owner);
        }
        if let Some(blocked) = self.still_at_work(latest, observed.now) {
            return blocked;
        }
        let op = HelmOp::Uninstall {
            namespace: self.release.namespace.clone(),
            name: self.release.name.clone(),
            timeout_seconds: self.release.timeout_seconds,
        };
        let fields = vec![FieldDiff::new("chart", format!("{} {}", latest.chart, latest.chart_version), None)];
        let reason = format!("ours, uninstalled (chart {})", latest.chart_version);
        // After it, since hooks of a removal may need what others made.
        let hooks = observed.hooks.iter().map(|object| Change {
            resource: ResourceId(object.to_string()),
            fields: vec![FieldDiff::new(object.to_string(), "made by a hook of the chart".to_owned(), None)],
            op: Op::Kube(KubeOp::Delete { object: object.clone() }),
        });
        Assessment::delete(reason, std::iter::once(self.change(fields, op)).chain(hooks).collect()).owned_by(owner)
    }

    fn without_record(&self, observed: &Observed) -> Assessment {
        if observed.addon.is_some() {
            return Assessment::skip("installed as an EKS add-on, left as it is").owned_by(Owner::EksAddon);
        }
        let ours = Owner::Helm { release: self.name() };
        let left: Vec<_> = observed.foreign.iter().filter(|(_, owner)| *owner == ours).collect();
        if let Some((object, _)) = left.first() {
            let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
            return Assessment::unknown(format!("{object}{more} of the release still exists")).owned_by(ours);
        }
        match observed.foreign.first() {
            Some((object, owner)) => {
                Assessment::skip(format!("not installed; {object} belongs to {owner}, left as it is"))
                    .owned_by(owner.clone())
            }
            None => Assessment::keep("absent"),
        }
    }

    /// The release stays installed and only loses our labels, which helm keeps on its newest record.
    fn give_back(&self, latest: &Release) -> Assessment {
        let mut labels = [OUR_LABEL, MANAGED_BY_LABEL, ADOPTED_LABEL].map(ToOwned::to_owned).to_vec();
        let fields =
            labels.iter().map(|label| FieldDiff::new(format!("labels.{label}"), "ours".to_owned(), None)).collect();
        labels.push(WRITER_LABEL.to_owned());
        let object = ObjectRef::new("v1", "Secret", &self.release.namespace, &latest.record);
        let op = Op::Kube(KubeOp::Unmark { object, labels, annotations: Vec::new() });
        let change = Change { resource: crate::steps::Step::resource(self), fields, op };
        Assessment::update("adopted, so given back: stays installed, our labels go", vec![change])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::steps::release::tests::{observed, revision, step};

    #[test]
    fn every_state_has_its_end() {
        let foreign = |mut release: Release| {
            release.our_cluster = None;
            release
        };
        let adopted = |mut release: Release| {
            release.adopted = true;
            release
        };
        let young = |mut release: Release| {
            release.changed_at = 9_900;
            release
        };
        let uninstall: &[&str] = &["helm:uninstall"];
        let gone = |mut release: Release| {
            release.writer = crate::helm_writer::Writer::Gone;
            release
        };
        let cases: [(&str, Vec<Release>, Action, &[&str]); 11] = [
            ("helm died", vec![gone(young(revision(1, "pending-install")))], Action::Delete, uninstall),
            ("uninstalling", vec![young(revision(1, "uninstalling"))], Action::Blocked, &[]),
            ("absent", vec![], Action::Keep, &[]),
            ("deployed", vec![revision(1, "deployed")], Action::Delete, uninstall),
            ("failed", vec![revision(1, "failed")], Action::Delete, uninstall),
            ("left pending", vec![revision(1, "pending-install")], Action::Delete, uninstall),
            ("helm may be at work", vec![young(revision(1, "pending-upgrade"))], Action::Blocked, &[]),
            ("uninstall interrupted", vec![revision(1, "uninstalling")], Action::Delete, uninstall),
            ("uninstalled, history kept", vec![revision(1, "uninstalled")], Action::Delete, uninstall),
            ("foreign", vec![foreign(revision(1, "deployed"))], Action::Skip, &[]),
            ("adopted", vec![adopted(revision(2, "deployed"))], Action::Update, &["k8s:patch Secret"]),
        ];
        for (name, history, action, expected) in cases {
            let assessment = step(false).absent_diff(&observed(history));
            let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
            assert_eq!(
                (assessment.action, calls),
                (action, expected.iter().map(|c| (*c).to_owned()).collect()),
                "{name}"
            );
        }
    }

    #[test]
    fn objects_that_outlive_their_release_are_not_taken_for_absent() {
        let of = |owner: Owner| {
            let object = ObjectRef::new("apps/v1", "Deployment", "n", "x");
            let observed = Observed { foreign: vec![(object, owner)], ..observed(vec![]) };
            step(false).absent_diff(&observed).action
        };
        assert_eq!(of(Owner::Helm { release: "n/x".to_owned() }), Action::Unknown);
        assert_eq!(of(Owner::Eksctl { stack: None }), Action::Skip);
    }
}
