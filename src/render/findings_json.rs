//! Findings of `verify` for programs: one document. Pure.

use serde_json::{Value, json};

use crate::check::{Finding, Severity, Stage, Totals, Verdict};
use crate::checks;
use crate::plan::Target;

/// The version of the document's form.
pub const SCHEMA: &str = "eks-bootstrap/verify/v1";

/// The document.
pub fn of(target: Option<&Target>, findings: &[Finding], stage: Stage) -> Value {
    json!({
        "schema": SCHEMA,
        "target": target,
        "stage": stage,
        "summary": Totals::of(findings),
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
    })
}

/// How a finding ended, in one word.
fn status(finding: &Finding) -> &'static str {
    match &finding.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed { severity: Severity::Warning, .. } => "warning",
        Verdict::Failed { severity: Severity::Error, .. } => "failed",
        Verdict::Unknown { .. } => "unknown",
        Verdict::Skipped { .. } => "skipped",
    }
}

fn one(finding: &Finding) -> Value {
    let mut document = json!({
        "id": finding.check.id,
        "family": checks::family(finding.check.id).map(|family| family.title),
        "title": finding.check.title,
        "about": finding.about,
        "status": status(finding),
        "says": finding.says,
    });
    match &finding.verdict {
        Verdict::Failed { observed, expected, mend, .. } => {
            document["observed"] = json!(observed);
            document["expected"] = json!(expected);
            document["mend"] = json!(mend);
        }
        Verdict::Unknown { reason, mend } => {
            document["reason"] = json!(reason);
            document["mend"] = json!(mend);
        }
        Verdict::Skipped { reason } => document["reason"] = json!(reason),
        Verdict::Passed => {}
    }
    document
}
