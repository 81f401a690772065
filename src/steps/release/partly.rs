//! A release of which not everything may be read: judged by what can be, marked as partly read, never taken for absent nor
//! for right. Called by `release.rs`.

use super::ReleaseStep;
use crate::component::{self, Component};
use crate::context::ReadContext;
use crate::error::{Denied, Result};
use crate::plan::Assessment;
use crate::read::kube::ObjectRef;
use crate::read::live_release::{self, Expected, Live};
use crate::read::rollout::{self, Rollout};

/// What tells the caller which rights are missing.
const RIGHTS: &str = "`eks-bootstrap permissions --for plan --kubernetes` prints the rights it needs";

impl ReleaseStep {
    /// What the live objects say, where Helm's records may not be read.
    pub(super) async fn by_live_objects(&self, cx: &ReadContext, records: Denied) -> Result<Assessment> {
        let mut denied = vec![records];
        if let Some(name) = &self.addon {
            match cx.eks.addon(&cx.facts.cluster, name).await {
                Ok(Some(addon)) => return Ok(self.beside_addon(&addon)),
                Ok(None) => {}
                Err(error) => denied.push(Denied::of(&error).ok_or(error)?),
            }
        }
        let live = Live::read(&cx.kube, &self.recognised(cx).await).await?;
        Ok(self.shown_by(live, denied))
    }

    /// The objects by which it is recognised. Values of the user's may give them other names than the chart does.
    async fn recognised(&self, cx: &ReadContext) -> Vec<ObjectRef> {
        let known = component::wanted(&cx.config, &cx.facts).into_iter().find(|it| it.name == self.component);
        let changed = |component: &Component| {
            component.configured(&cx.config).values.as_object().is_some_and(|values| !values.is_empty())
        };
        let Some(component) = known.filter(changed) else { return self.guarded_objects.clone() };
        match self.rendered(cx).await {
            Ok(documents) => component.as_installed(&documents).addresses(),
            Err(_) => self.guarded_objects.clone(),
        }
    }

    fn shown_by(&self, live: Live, mut denied: Vec<Denied>) -> Assessment {
        let release = self.name();
        let chart = &self.release.chart;
        let expected =
            Expected { release: &release, chart: &chart.name, version: &chart.version, images: &self.images };
        let differences = live.differences(expected);
        let says = if live.found.is_empty() && !live.missing.is_empty() {
            format!("none of its objects that may be read exists ({})", live.missing[0])
        } else if differences.is_empty() {
            format!("chart {} by the labels of {} objects", chart.version, live.found.len())
        } else {
            differences.join(", ")
        };
        denied.extend(live.denied);
        let assessment = Assessment::unknown(format!("{says}; values and state are not known")).partly_read(denied);
        Assessment { mend: Some(RIGHTS.to_owned()), ..assessment }
    }
}

/// How far the workloads are; one that may not be read is told of by [`each`].
pub(super) async fn rolled_out(cx: &ReadContext, objects: &[ObjectRef]) -> Result<Rollout> {
    match rollout::of(&cx.kube, objects).await {
        Err(error) if Denied::of(&error).is_some() => Ok(Rollout { ready: true, ..Rollout::default() }),
        other => other,
    }
}

pub(super) use live_release::each;

#[cfg(test)]
mod tests {
    use super::super::tests::{observed, revision, step};
    use super::*;
    use crate::error::{Error, KubeError};
    use crate::plan::Action;
    use serde_json::json;

    fn denied(operation: &str) -> Denied {
        Denied::Kube(KubeError {
            operation: operation.to_owned(),
            status: Some(403),
            reason: "Forbidden".to_owned(),
            message: "secrets is forbidden".to_owned(),
        })
    }

    fn by(live: Live) -> Assessment {
        step(false).shown_by(live, vec![denied("list secrets in n")])
    }

    fn object(chart: &str) -> serde_json::Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n",
            "labels": {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": chart},
            "annotations": {"meta.helm.sh/release-name": "x", "meta.helm.sh/release-namespace": "n"}}})
    }

    #[test]
    fn a_release_without_records_is_neither_right_nor_absent() {
        let right = by(Live { found: vec![object("x-2.0.0")], ..Live::default() });
        let older = by(Live { found: vec![object("x-1.0.0")], ..Live::default() });
        let gone = by(Live { missing: vec![ObjectRef::new("v1", "Service", "n", "s")], ..Live::default() });
        for (assessment, word) in [
            (&right, "chart 2.0.0 by the labels of 1 objects"),
            (&older, "is of chart x-1.0.0, not x-2.0.0"),
            (&gone, "none of its objects that may be read exists"),
        ] {
            assert_eq!((assessment.action, assessment.partly_read), (Action::Unknown, true), "{assessment:?}");
            assert!(assessment.changes.is_empty(), "{assessment:?}");
            assert!(assessment.reason.starts_with("partly read: "), "{}", assessment.reason);
            assert!(assessment.reason.contains(word), "{}", assessment.reason);
            assert!(assessment.reason.ends_with("denied: list secrets in n"), "{}", assessment.reason);
        }
        let Error::Kube(error) = right.denied[0].error() else { panic!("{right:?}") };
        assert!(error.denied());
    }

    #[test]
    fn one_denied_object_makes_that_object_unknown_and_not_the_step() {
        let unread = || vec![denied("get Service/n/s")];
        let with = |history| super::super::Observed { denied: unread(), ..observed(history) };
        let judged = |found: super::super::Observed| step(false).diff(&found).partly_read(found.denied.clone());
        let same = judged(with(vec![revision(1, "deployed")]));
        assert_eq!((same.action, same.partly_read), (Action::Unknown, true));
        assert_eq!(same.reason, "partly read: chart 2.0.0 deployed; denied: get Service/n/s");
        // What is known to differ is still a difference, and still removed.
        let mut older = revision(1, "deployed");
        older.chart_version = "1.0.0".to_owned();
        let older = judged(with(vec![older]));
        assert_eq!((older.action, older.changes.len()), (Action::Update, 1));
        assert!(older.reason.ends_with("denied: get Service/n/s"), "{}", older.reason);
        // Nothing is installed over what may be someone else's.
        let absent = judged(with(vec![]));
        assert_eq!((absent.action, absent.changes.len()), (Action::Unknown, 0));
    }
}
