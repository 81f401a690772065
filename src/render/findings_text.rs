//! Findings of `verify` for people: by family, with what was seen, what should be, and the mend. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::check::{Check, Finding, Severity, Stage, Totals, Verdict};
use crate::checks::{self, FAMILIES};
use crate::escape::line;
use crate::plan::Target;
use crate::render::style::Styles;

/// The whole text.
pub fn of(target: Option<&Target>, findings: &[Finding], stage: Stage, styles: Styles) -> String {
    let mut text = String::new();
    if let Some(target) = target {
        let _ = writeln!(
            text,
            "Verify {}  ({}, {}, Kubernetes {})  as {}",
            styles.bold(&line(&target.cluster)),
            line(&target.account),
            line(&target.region),
            line(&target.kubernetes_version),
            line(&target.caller)
        );
    }
    let mut heading = "";
    for finding in findings {
        let family = checks::family(finding.check.id).map_or("", |family| family.title);
        if family != heading {
            let _ = writeln!(text, "\n{}", styles.bold(family));
            heading = family;
        }
        one(finding, styles, &mut text);
    }
    let _ = writeln!(text, "\n{}", totals(findings, stage));
    text
}

/// What is not as it should be, one line each, then the totals.
pub fn short(findings: &[Finding], stage: Stage, styles: Styles) -> String {
    let mut text = String::new();
    for finding in findings.iter().filter(|finding| finding.severity().is_some()) {
        let _ = write!(text, "{:4}  {}  {}", word(finding, styles), finding.check.id, says(finding));
        if let Some(mend) = mend(finding) {
            let _ = write!(text, ": {}", styles.hint(&line(mend)));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", totals(findings, stage));
    text
}

/// Every check with its id, title and when it is run.
pub fn list(styles: Styles) -> String {
    let mut text = String::new();
    for family in FAMILIES {
        let _ = writeln!(text, "{}{}", if text.is_empty() { "" } else { "\n" }, styles.bold(family.title));
        for check in family.checks {
            let _ = writeln!(text, "  {:15}{:9}{:6}{}", check.id, severity(check), when(check), check.title);
        }
    }
    text
}

fn severity(check: &Check) -> &'static str {
    match check.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// `pre` for checks of `--pre`, `deep` for those of `--deep`; the rest is run after an installation only.
fn when(check: &Check) -> &'static str {
    if check.stages.contains(&Stage::Before) {
        "pre"
    } else if check.stages.contains(&Stage::Installed) {
        ""
    } else {
        "deep"
    }
}

fn word(finding: &Finding, styles: Styles) -> String {
    match &finding.verdict {
        Verdict::Passed => styles.good("ok  "),
        Verdict::Failed { severity: Severity::Warning, .. } => styles.warn("warn"),
        Verdict::Failed { severity: Severity::Error, .. } => styles.bad("fail"),
        Verdict::Unknown { .. } => styles.hint("?   "),
        Verdict::Skipped { .. } => styles.dim("-   "),
    }
}

/// `about: what was found`.
pub(super) fn says(finding: &Finding) -> String {
    let about = finding.about.as_deref().map(|about| format!("{about}: ")).unwrap_or_default();
    let reason = match &finding.verdict {
        Verdict::Skipped { reason } => format!("  ({reason})"),
        _ => String::new(),
    };
    line(&format!("{about}{}{reason}", finding.says)).into_owned()
}

/// What mends it.
fn mend(finding: &Finding) -> Option<&str> {
    match &finding.verdict {
        Verdict::Failed { mend, .. } => Some(mend),
        Verdict::Unknown { mend, .. } => mend.as_deref(),
        Verdict::Passed | Verdict::Skipped { .. } => None,
    }
}

fn one(finding: &Finding, styles: Styles, text: &mut String) {
    let head = says(finding);
    let head = if matches!(finding.verdict, Verdict::Skipped { .. }) { styles.dim(&head) } else { head };
    let _ = writeln!(text, "  {}  {}  {head}", word(finding, styles), finding.check.id);
    let mut detail = |word: &str, what: &str| {
        // A detail of several lines stays in its column.
        for (place, one) in what.lines().enumerate() {
            let one = line(one);
            let one = if word == "mend" { styles.hint(&one) } else { one.into_owned() };
            let _ = writeln!(text, "        {:10}{one}", if place == 0 { word } else { "" });
        }
    };
    match &finding.verdict {
        Verdict::Failed { observed, expected, mend, .. } => {
            detail("observed", observed);
            detail("expected", expected);
            detail("mend", mend);
        }
        Verdict::Unknown { reason, mend } => {
            detail("unknown", reason);
            if let Some(mend) = mend {
                detail("mend", mend);
            }
        }
        Verdict::Passed | Verdict::Skipped { .. } => {}
    }
}

/// `31 ok, 1 warning, 1 failed, 2 skipped (9 need --deep)`.
fn totals(findings: &[Finding], stage: Stage) -> String {
    let counts = Totals::of(findings);
    let mut parts = vec![format!("{} ok", counts.ok)];
    let plural = if counts.warnings == 1 { "" } else { "s" };
    for (count, words) in [
        (counts.warnings, format!("warning{plural}")),
        (counts.failed, "failed".to_owned()),
        (counts.unknown, "unknown".to_owned()),
        (counts.skipped, "skipped".to_owned()),
    ] {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    let line = parts.join(", ");
    let deep: BTreeSet<_> = checks::all().filter(|check| check.stages == [Stage::Deep]).map(|check| check.id).collect();
    if stage == Stage::Installed && !deep.is_empty() {
        format!("{line} ({} more with --deep)", deep.len())
    } else {
        line
    }
}
