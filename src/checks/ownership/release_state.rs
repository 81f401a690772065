//! The state in which helm left a release.

use super::{ENDED, Installation};
use crate::check::Finding;
use crate::helm_writer::Writer;

pub(super) fn ended(installation: &Installation, now: i64) -> Finding {
    if let Err(error) = &installation.history {
        return ENDED.unread(error);
    }
    let Some(latest) = installation.release() else {
        if installation.has_addon() || installation.by_eks {
            return ENDED.skipped("an EKS add-on installs it");
        }
        return ENDED.failed(
            "it is not installed",
            "no release",
            format!("release {}", installation.release_name()),
            "eks-bootstrap apply",
        );
    };
    let status = latest.status.as_str();
    if status == "deployed" {
        let chart = format!("{} {}", latest.chart, latest.chart_version);
        return ENDED.passed(format!("revision {} of {chart} is deployed", latest.revision));
    }
    let age = now.saturating_sub(latest.changed_at).max(0);
    let young = (status.starts_with("pending-") || status == "uninstalling")
        && latest.writer != Writer::Gone
        && age < i64::try_from(installation.patience).unwrap_or(i64::MAX);
    let observed = format!("revision {} is {status} for {}", latest.revision, span(age));
    if young {
        let mend = format!("eks-bootstrap verify --wait {}s", installation.patience);
        return ENDED.failed("helm may still be at work on the release", observed, "deployed", mend).as_warning();
    }
    ENDED.failed(format!("the release is {status}"), observed, "deployed", installation.apply_release())
}

/// `45 s`, `12 min`, `3 h`, `9 days`.
fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{installation, release};
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::component::LOAD_BALANCER_CONTROLLER;
    use crate::read::release::Release;

    #[test]
    fn age_tells_a_run_that_goes_on_from_one_that_was_killed() {
        let found = |status: &str, ours: bool, now: i64| {
            let history = Ok(vec![release(status, ours)]);
            ended(&super::super::Installation { history, ..installation(&LOAD_BALANCER_CONTROLLER) }, now)
        };
        assert_eq!(found("deployed", true, 1_000).verdict, Verdict::Passed);
        assert_eq!(found("pending-upgrade", true, 1_100).severity(), Some(Severity::Warning));
        let old = found("pending-upgrade", true, 11_000);
        let Verdict::Failed { mend, observed, .. } = &old.verdict else { panic!("{old:?}") };
        assert_eq!(observed, "revision 2 is pending-upgrade for 2 h");
        assert_eq!(mend, "eks-bootstrap apply --only helm.lbc");
        let died = Release { writer: Writer::Gone, ..release("pending-upgrade", true) };
        let died = super::super::Installation { history: Ok(vec![died]), ..installation(&LOAD_BALANCER_CONTROLLER) };
        assert_eq!(ended(&died, 1_001).severity(), Some(Severity::Error));
        let foreign = found("failed", false, 1_001);
        let Verdict::Failed { mend, .. } = &foreign.verdict else { panic!("{foreign:?}") };
        assert_eq!(mend, "eks-bootstrap apply --only helm.lbc --adopt helm.lbc");
        let nothing = ended(&installation(&LOAD_BALANCER_CONTROLLER), 0);
        assert_eq!((nothing.says.as_str(), nothing.severity()), ("it is not installed", Some(Severity::Error)));
    }
}
