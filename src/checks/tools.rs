//! What an apply needs on this machine: a helm that is new enough, and the charts in the wanted versions.

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::error::{Error, Result};
use crate::helm_process::OLDEST;
use crate::hint;

const BEFORE: &[Stage] = &[Stage::Before];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-TOOL-001",
        title: "helm is there and new enough",
        severity: Severity::Error,
        stages: BEFORE,
        why: "charts are installed by helm itself, so that its own commands work on the releases later",
        breaks: "apply makes the AWS objects and stops before the first release",
        mend: "install Helm 3.14 or newer, or name the binary with --helm",
        references: &["https://helm.sh/docs/intro/install/", "https://helm.sh/docs/topics/version_skew/"],
    },
    Check {
        id: "EKB-TOOL-002",
        title: "the chart is at hand in the wanted version",
        severity: Severity::Error,
        stages: BEFORE,
        why: "a chart repository may be out of reach from here, or not have the version",
        breaks: "apply stops when it plans the release",
        mend: "choose a version that exists, or put the chart into a folder and pass it with --charts",
        references: &["https://helm.sh/docs/topics/chart_repository/", "aws/eks-charts#1317"],
    },
];

const HELM: &Check = &CHECKS[0];
const CHART: &Check = &CHECKS[1];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let components = super::components(scene);
        if components.is_empty() {
            return Vec::new();
        }
        let found = match scene.helm.at_least(&OLDEST).await {
            Ok(()) => scene.helm.found().await.map(|found| found.1.to_string()),
            Err(error) => Err(error),
        };
        let mut findings = vec![helm(&found)];
        let charts = components.iter().map(|component| async {
            let wanted = scene.cx.config.chart(component);
            let finding = match scene.cx.charts.local(&wanted).await {
                Ok(_) => CHART.passed(format!("{} {} is at hand", wanted.name, wanted.version)),
                Err(error) => chart(&error),
            };
            finding.about(component.short)
        });
        findings.extend(join_all(charts).await);
        findings
    }
    .boxed()
}

fn helm(found: &Result<String>) -> Finding {
    match found {
        Ok(version) => HELM.passed(format!("helm {version}")),
        Err(error) => {
            let mend = hint::of(error).unwrap_or_else(|| "name a helm that works with --helm".to_owned());
            let says = match error {
                Error::HelmTooOld { .. } => "helm is too old",
                Error::HelmNotFound { .. } => "there is no helm",
                _ => "helm does not run",
            };
            HELM.failed(says, crate::error::chain_of(error).join(": "), format!("helm {OLDEST} or newer"), mend)
        }
    }
}

fn chart(error: &Error) -> Finding {
    match error {
        Error::ChartNotFound { chart, version, place, reason } => CHART.failed(
            format!("chart {chart} {version} is not at hand"),
            format!("{place}: {reason}"),
            format!("{chart} {version}"),
            hint::of(error).unwrap_or_default(),
        ),
        Error::HelmNotFound { .. } | Error::HelmTooOld { .. } => CHART.skipped(format!("needs {}", HELM.id)),
        other => CHART.unread(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_helm_the_charts_wait() {
        let missing = || Error::HelmNotFound { looked: "PATH".to_owned() };
        assert_eq!(helm(&Err(missing())).severity(), Some(Severity::Error));
        assert_eq!(chart(&missing()).severity(), None);
        assert_eq!(helm(&Ok("4.0.0".to_owned())).severity(), None);
    }
}
