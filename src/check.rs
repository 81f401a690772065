//! A check of `verify` and what it found. Data only: `checks/` looks, `render/` draws, `commands/verify.rs` decides.
//!
//! A check has a stable id, so that people can skip it, search for it and let programs react to it. A finding is one check
//! about one thing (a component, a Service); a check may have several findings in one run, and never none.

use serde::Serialize;

use crate::component::Component;
use crate::context::ReadContext;
use crate::error::Error;
use crate::helm_process::Helm;
use crate::hint;

/// How bad it is when a check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works now but is weak, or it cannot be known from here.
    Warning,
    /// It does not work.
    Error,
}

/// When a check is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// `--pre`: before anything is installed.
    Before,
    /// By default: everything is to be there.
    Installed,
    /// `--deep`: with short-lived objects of our own.
    Deep,
}

/// A check: what has to be true, and what there is to say about it. `explain` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// The stable id, `EKB-IRSA-003`.
    pub id: &'static str,
    /// What has to be true.
    pub title: &'static str,
    /// How bad it is when it is not.
    pub severity: Severity,
    /// When it is run.
    pub stages: &'static [Stage],
    /// Why that is needed.
    pub why: &'static str,
    /// What users see when it fails.
    pub breaks: &'static str,
    /// What to do; a finding names the command.
    pub mend: &'static str,
    /// Documentation, and threads of users who met it.
    pub references: &'static [&'static str],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is true.
    Passed,
    /// It is not true.
    Failed {
        /// How bad that is here.
        severity: Severity,
        /// What was seen.
        observed: String,
        /// What should have been seen.
        expected: String,
        /// The one command (or, where there is none, the one thing) that mends it.
        mend: String,
    },
    /// It could not be read, so nobody knows. Counts like a failure of the check's severity: unproved is not proved.
    Unknown {
        /// Why it could not be read.
        reason: String,
        /// What to do.
        mend: Option<String>,
    },
    /// It does not apply here, or needs something that another check misses.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// One check about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: &'static Check,
    /// What it is about, such as `lbc`; none where there is only one thing.
    pub about: Option<String>,
    /// What was found, in a few words.
    pub says: String,
    /// How it ended.
    pub verdict: Verdict,
}

impl Check {
    /// The check held.
    pub fn passed(&'static self, says: impl Into<String>) -> Finding {
        Finding { check: self, about: None, says: says.into(), verdict: Verdict::Passed }
    }

    /// The check failed.
    pub fn failed(
        &'static self,
        says: impl Into<String>,
        observed: impl Into<String>,
        expected: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        let verdict = Verdict::Failed {
            severity: self.severity,
            observed: observed.into(),
            expected: expected.into(),
            mend: mend.into(),
        };
        Finding { check: self, about: None, says: says.into(), verdict }
    }

    /// The check does not apply.
    pub fn skipped(&'static self, reason: impl Into<String>) -> Finding {
        let verdict = Verdict::Skipped { reason: reason.into() };
        Finding { check: self, about: None, says: self.title.to_owned(), verdict }
    }

    /// What the check looks at could not be read. An API server that does not answer is said once, by the check of the
    /// cluster's own, and not by every check that asks it something.
    pub fn unread(&'static self, error: &Error) -> Finding {
        if matches!(error, Error::ApiServerUnreachable { .. }) && self.id != ANSWERS {
            return self.skipped(format!("needs {ANSWERS}"));
        }
        let reason = crate::error::chain_of(error).join(": ");
        let verdict = Verdict::Unknown { reason, mend: hint::of(error) };
        Finding { check: self, about: None, says: self.title.to_owned(), verdict }
    }
}

/// The check that says whether the API server answers.
pub const ANSWERS: &str = "EKB-CLUS-003";

impl Finding {
    /// Says what the finding is about.
    pub fn about(mut self, about: impl Into<String>) -> Finding {
        self.about = Some(about.into());
        self
    }

    /// The mend of a failure, changed.
    pub fn with_mend(mut self, change: impl FnOnce(&str) -> String) -> Finding {
        if let Verdict::Failed { mend, .. } = &mut self.verdict {
            *mend = change(mend);
        }
        self
    }

    /// A failure counts as a warning here.
    pub fn as_warning(mut self) -> Finding {
        if let Verdict::Failed { severity, .. } = &mut self.verdict {
            *severity = Severity::Warning;
        }
        self
    }

    /// How bad it is; none where nothing is wrong.
    pub fn severity(&self) -> Option<Severity> {
        match &self.verdict {
            Verdict::Failed { severity, .. } => Some(*severity),
            Verdict::Unknown { .. } => Some(self.check.severity),
            Verdict::Passed | Verdict::Skipped { .. } => None,
        }
    }
}

/// What the checks of one run look at.
pub struct Scene<'a> {
    /// Facts and readers.
    pub cx: &'a ReadContext,
    /// The helm binary that an apply would use, looked for when it is asked for.
    pub helm: &'a Helm,
    /// When in the life of the cluster it is.
    pub stage: Stage,
    /// The components that the checks are about, with the names that their releases gave to their objects.
    pub components: Vec<Component>,
}

/// How many findings ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Checks that held.
    pub ok: usize,
    /// Failures that are warnings.
    pub warnings: usize,
    /// Failures.
    pub failed: usize,
    /// Not readable.
    pub unknown: usize,
    /// Not run.
    pub skipped: usize,
}

impl Totals {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Totals {
        let mut totals = Totals::default();
        for finding in findings {
            match &finding.verdict {
                Verdict::Passed => totals.ok += 1,
                Verdict::Failed { severity: Severity::Warning, .. } => totals.warnings += 1,
                Verdict::Failed { severity: Severity::Error, .. } => totals.failed += 1,
                Verdict::Unknown { .. } => totals.unknown += 1,
                Verdict::Skipped { .. } => totals.skipped += 1,
            }
        }
        totals
    }
}
