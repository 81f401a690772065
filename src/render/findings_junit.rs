//! Findings of `verify` as JUnit's XML, one suite a family, so that CI systems show them as tests. Pure.
//!
//! Warnings are passed tests with the warning as their output: JUnit knows no third way, and a pipeline that asks for
//! errors only must not turn red over them. What XML cannot hold is escaped (<https://www.w3.org/TR/xml/#charsets>); the writer
//! would leave it out without a word.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::check::{Finding, Verdict};
use crate::checks::FAMILIES;
use crate::cli::FailOn;
use crate::error::{Error, Result};
use crate::escape::line;
use crate::render::findings_text::says;

/// The document.
///
/// # Errors
/// When the XML cannot be written.
pub fn of(findings: &[Finding], fail_on: FailOn) -> Result<String> {
    let mut report = Report::new("eks-bootstrap verify");
    for family in FAMILIES {
        let of_family = findings.iter().filter(|finding| family.checks.contains(finding.check));
        let mut suite = TestSuite::new(family.title);
        suite.add_test_cases(of_family.map(|finding| case(finding, fail_on)));
        if !suite.test_cases.is_empty() {
            report.add_test_suite(suite);
        }
    }
    report.to_string().map_err(|source| Error::io("write JUnit's XML", std::io::Error::other(source)))
}

fn case(finding: &Finding, fail_on: FailOn) -> TestCase {
    let fails = finding.severity() >= Some(fail_on.least());
    let (text, kind) = match &finding.verdict {
        Verdict::Passed => (String::new(), "ok"),
        Verdict::Failed { observed, expected, mend, .. } => {
            let [observed, expected, mend] = [observed, expected, mend].map(|what| line(what));
            (format!("observed  {observed}\nexpected  {expected}\nmend      {mend}"), "failed")
        }
        Verdict::Unknown { reason, mend } => {
            let (reason, mend) = (line(reason), line(mend.as_deref().unwrap_or("-")));
            (format!("unknown   {reason}\nmend      {mend}"), "unknown")
        }
        Verdict::Skipped { reason } => (line(reason).into_owned(), "skipped"),
    };
    let mut status = match &finding.verdict {
        Verdict::Skipped { .. } => TestCaseStatus::skipped(),
        _ if fails => TestCaseStatus::non_success(NonSuccessKind::Failure),
        _ => TestCaseStatus::success(),
    };
    if fails {
        status.set_type(kind);
        status.set_message(says(finding));
        status.set_description(&text);
    } else if matches!(finding.verdict, Verdict::Skipped { .. }) {
        status.set_message(&text);
    }
    let name = match &finding.about {
        Some(about) => format!("{} {}: {}", finding.check.id, line(about), finding.check.title),
        None => format!("{} {}", finding.check.id, finding.check.title),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname("eks-bootstrap");
    if !fails && finding.severity().is_some() {
        case.set_system_out(format!("warning: {}\n{text}", says(finding)));
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn what_xml_cannot_hold_is_escaped_and_not_lost() {
        let check = checks::all().next().unwrap();
        let seen = "a\u{0}\u{1b}[2J]]>\u{fffe}\nb\u{8}";
        let finding = check.failed(seen, seen, "c", "d").about(seen);
        let xml = of(&[finding], FailOn::Error).unwrap();
        assert!(xml.chars().all(|c| matches!(c, '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')), "{xml}");
        let told = "a\\u0000\\u001b[2J]]&gt;\\ufffe\\nb\\u0008";
        for part in [told, &format!("observed  {told}\n")] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
    }
}
