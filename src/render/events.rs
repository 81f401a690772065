//! Texts of single events, shared by bars and lines, and the JSON form: one object per line. Pure.

use std::fmt::Write as _;

use crate::escape::{line, paragraph};
use crate::event::{Cancelled, Event, Failure, Outcome, Remains, WaitsFor};
use crate::left_behind::LeftBehind;
use crate::limits;
use crate::object::some_of;
use crate::plan::StepId;
use crate::render::plan_text::done;
use crate::render::style::Styles;
use crate::stop::Stop;
use crate::summary::Summary;

/// `-o json`: one object on one line.
pub fn json(event: &Event) -> String {
    let mut line = serde_json::to_string(event).expect("events are plain data");
    line.push('\n');
    line
}

/// Seconds as people read them: `0.4 s`, `52 s`, `01:41`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else {
        clock(seconds)
    }
}

/// `00:41`.
pub fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds of a run")]
    let whole = seconds.max(0.0) as u64;
    format!("{:02}:{:02}", whole / 60, whole % 60)
}

/// One word for an outcome.
pub fn word(outcome: &Outcome, styles: Styles) -> String {
    match outcome {
        Outcome::Unchanged { .. } => styles.dim("unchanged"),
        Outcome::Changed { action, .. } => styles.good(done(*action)),
        Outcome::Proved { .. } => styles.good("proved"),
        Outcome::Skipped { .. } => styles.dim("skipped"),
        Outcome::Failed(_) => styles.bad("failed"),
        Outcome::Unknown { .. } | Outcome::Blocked { .. } => styles.warn("not run"),
        Outcome::Cancelled(_) => styles.warn("cancelled"),
    }
}

/// What is worth saying beside the word.
pub fn detail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unchanged { reason }
        | Outcome::Skipped { reason }
        | Outcome::Proved { reason }
        | Outcome::Unknown { reason, hint: None } => reason.clone(),
        Outcome::Changed { .. } => String::new(),
        Outcome::Failed(failure) => failure.message.clone(),
        Outcome::Unknown { reason, hint: Some(hint) } => format!("{reason} (hint: {hint})"),
        Outcome::Blocked { by, unknown: false } => format!("waited for {by}, which failed"),
        Outcome::Blocked { by, unknown: true } => format!("needs {by}, which could not be judged"),
        Outcome::Cancelled(cancelled) => cancelled_detail(cancelled),
    }
}

fn cancelled_detail(cancelled: &Cancelled) -> String {
    let parts = [
        ("finished, not read back", &cancelled.finished),
        ("may be half done", &cancelled.half_done),
        ("remains", &cancelled.remains),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(_, calls)| !calls.is_empty())
        .map(|(what, calls)| format!("{what}: {}", calls.join(", ")))
        .collect();
    if parts.is_empty() { "not begun".to_owned() } else { parts.join("; ") }
}

/// What is said when a signal came.
pub fn stopping(signal: Stop, count: usize, waits_for: &[WaitsFor]) -> String {
    let word = signal.word();
    if waits_for.is_empty() {
        return format!("\n{word}: no call is running, no new steps will start\n");
    }
    let one = |wait: &WaitsFor| format!("  {} (at most {})\n", line(&wait.call), clock_words(wait.seconds));
    let calls: String = waits_for.iter().map(one).collect();
    let again = if signal == Stop::Interrupted && count == 1 { "; press Ctrl-C again to end within 2 s" } else { "" };
    format!("\n{word}: waiting for running calls, no new steps will start{again}\n{calls}")
}

fn clock_words(seconds: u64) -> String {
    limits::shown(std::time::Duration::from_secs(seconds))
}

/// The block that a failed step gets.
pub fn failure(step: &StepId, failure: &Failure, took: f64, styles: Styles) -> String {
    let message = paragraph(&failure.message);
    let mut text = format!("{}  {step}  after {}\n  {message}\n", styles.bad("failed"), seconds(took));
    let mut last = failure.message.as_str();
    for cause in &failure.causes {
        if !last.contains(cause.as_str()) {
            let _ = writeln!(text, "  caused by: {}", paragraph(cause));
            last = cause;
        }
    }
    match &failure.remains {
        Remains::Calls(calls) if calls.is_empty() => text.push_str("  remains: nothing\n"),
        Remains::Calls(calls) => {
            let _ = writeln!(text, "  remains: {}", line(&calls.join(", ")));
        }
        Remains::State(state) => {
            let _ = writeln!(text, "  remains: {}", line(state));
        }
        Remains::Unknown => text.push_str("  remains: unknown, it could not be observed\n"),
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{} {}", styles.hint("hint:"), paragraph(hint));
    }
    text
}

/// The proof at the end of a destroy.
pub fn left_behind(left: &LeftBehind, styles: Styles) -> String {
    let mut text = match (left.arns.len(), left.unread.is_empty() && left.unconfirmed.is_empty()) {
        (0, true) => format!("left in AWS: {}\n", styles.good("nothing")),
        (0, false) => String::new(),
        _ => format!("{}\n", styles.warn("left in AWS:")),
    };
    for arn in &left.arns {
        let _ = writeln!(text, "  {}", line(arn));
    }
    for thing in &left.unconfirmed {
        let head = styles.warn("left in AWS: unconfirmed,");
        let _ = writeln!(text, "{head} {} ({})", line(&thing.arn), line(&thing.reason));
    }
    for error in &left.unread {
        let _ = writeln!(text, "{} {}", styles.warn("left in AWS: not known,"), line(error));
    }
    text
}

/// The last lines of a run.
pub fn summary(summary: &Summary, styles: Styles) -> String {
    let parts = [
        (summary.created, "created"),
        (summary.updated, "updated"),
        (summary.deleted, "deleted"),
        (summary.proved, "proved"),
        (summary.unchanged, "unchanged"),
        (summary.skipped, "skipped"),
        (summary.failed.len(), "failed"),
        (summary.unknown.len(), "unknown"),
        (summary.blocked.len(), "not run"),
        (summary.cancelled.len(), "cancelled"),
    ];
    let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let parts = parts.join(", ");
    let took = seconds(summary.seconds);
    let unread = !summary.unknown.is_empty() || !summary.denied.is_empty();
    if unread && summary.failed.is_empty() && summary.cancelled.is_empty() {
        let denied = match summary.denied.as_slice() {
            [] => "run the same command again once they can be judged".to_owned(),
            rights => format!("allow the caller to {}, then run the same command again", line(&some_of(rights))),
        };
        return format!(
            "{}: {parts} in {took}\ndone {} of {} steps; nothing was written to unknown ones: {denied}\n",
            styles.bad("incomplete"),
            summary.done(),
            summary.total
        );
    }
    if summary.failed.is_empty() && summary.cancelled.is_empty() {
        return format!("{}: {parts} in {took}\n", styles.good("done"));
    }
    let proofs: Vec<_> = [&summary.failed, &summary.cancelled, &summary.blocked]
        .into_iter()
        .flatten()
        .filter(|step| step.is_proof())
        .collect();
    let unproved = if proofs.is_empty() {
        String::new()
    } else {
        let names: Vec<_> = proofs.iter().map(|step| step.as_str()).collect();
        format!(
            "not proved: {}; later runs prove it only where something before it changes, `eks-bootstrap verify` does at any time\n",
            names.join(", ")
        )
    };
    let state = if summary.failed.is_empty() { "interrupted" } else { "failed" };
    let next = if summary.needs_change {
        "the same command would fail again: follow the hint first"
    } else {
        "run the same command again to go on"
    };
    format!(
        "{}: {parts} in {took}\ndone {} of {} steps, nothing rolled back; {next}\n{unproved}",
        styles.bad(state),
        summary.done(),
        summary.total
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependants::in_aws::Unconfirmed;

    #[test]
    fn a_proof_that_was_not_made_is_named() {
        let ended = |cancelled: &[&'static str]| {
            let cancelled = cancelled.iter().map(|id| StepId::new(id)).collect();
            super::summary(&Summary { cancelled, ..Summary::default() }, Styles { on: false })
        };
        assert!(ended(&["helm.ebs", "proof.identity.ebs"]).contains("\nnot proved: proof.identity.ebs; "));
        assert!(!ended(&["helm.ebs"]).contains("not proved"));
    }

    #[test]
    fn what_is_left_is_nothing_a_list_or_unknown() {
        let text = |arns: &[&str], unread: &[&str]| {
            let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let left = LeftBehind { arns: all(arns), unread: all(unread), ..LeftBehind::default() };
            left_behind(&left, Styles { on: false })
        };
        let unconfirmed = Unconfirmed { arn: "arn:b".to_owned(), reason: "needs x:Y".to_owned(), permission: None };
        let left = LeftBehind { unconfirmed: vec![unconfirmed], ..LeftBehind::default() };
        assert_eq!(left_behind(&left, Styles { on: false }), "left in AWS: unconfirmed, arn:b (needs x:Y)\n");
        assert_eq!(text(&[], &[]), "left in AWS: nothing\n");
        assert_eq!(text(&["arn:a"], &[]), "left in AWS:\n  arn:a\n");
        assert_eq!(text(&[], &["denied"]), "left in AWS: not known, denied\n");
    }

    #[test]
    fn a_stop_says_what_it_waits_for_and_a_cancelled_step_what_it_left() {
        let wait = WaitsFor { step: StepId::new("helm.lbc"), call: "helm:upgrade helm/n/x".to_owned(), seconds: 540 };
        let waits = [wait];
        assert_eq!(
            stopping(Stop::Interrupted, 1, &waits),
            "\ninterrupted: waiting for running calls, no new steps will start; press Ctrl-C again to end within 2 s\n  \
             helm:upgrade helm/n/x (at most 9 min)\n"
        );
        assert!(!stopping(Stop::Terminated, 1, &waits).contains("again"));
        assert!(stopping(Stop::HungUp, 1, &[]).contains("hung up: no call is running"));
        let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let left = Cancelled { finished: all(&["a"]), half_done: all(&["b"]), remains: all(&["c", "d"]) };
        let text = detail(&Outcome::Cancelled(left));
        assert_eq!(text, "finished, not read back: a; may be half done: b; remains: c, d");
        assert_eq!(detail(&Outcome::Cancelled(Cancelled::default())), "not begun");
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(seconds(0.44), "0.4 s");
        assert_eq!(seconds(52.3), "52 s");
        assert_eq!(seconds(101.0), "01:41");
    }
}
