//! The plan for people: head line, one line per step, differences, totals. Pure.

use std::fmt::Write as _;

use crate::escape::line;
use crate::plan::{Action, Counts, FieldDiff, Plan, PlannedStep, Target};
use crate::render::style::Styles;

/// Values longer than this are cut; `-o json` has them whole.
const VALUE_WIDTH: usize = 110;

/// The whole text.
pub fn of(plan: &Plan, styles: Styles) -> String {
    let mut text = head(&plan.target, styles);
    text.push('\n');
    let width = plan.steps.iter().map(|step| step.id.as_str().len()).max().unwrap_or(0) + 4;
    for step in &plan.steps {
        let action = step.assessment.action;
        let sign = styles.action(action, &action.sign().to_string());
        let _ = writeln!(text, "  {sign}  {:width$}{}", step.id, reason(step));
    }
    for diagnostic in &plan.diagnostics {
        let _ = write!(text, "\n{}: {}", styles.warn(diagnostic.severity), line(&diagnostic.message));
    }
    if !plan.diagnostics.is_empty() {
        text.push('\n');
    }
    for step in plan.steps.iter().filter(|step| !step.assessment.changes.is_empty()) {
        details(step, styles, &mut text);
    }
    let _ = writeln!(text, "\n{}", totals(&plan.counts()));
    text
}

/// `Plan for NAME  (ACCOUNT, REGION, Kubernetes VERSION)  as CALLER`
fn head(target: &Target, styles: Styles) -> String {
    format!(
        "Plan for {}  ({}, {}, Kubernetes {})  as {}\n",
        styles.bold(&line(&target.cluster)),
        line(&target.account),
        line(&target.region),
        line(&target.kubernetes_version),
        line(&target.caller)
    )
}

fn reason(step: &PlannedStep) -> String {
    let held = step.held_by.as_ref().map(|by| format!("; apply does not run it: it needs {by}, which is unknown"));
    let (reason, held) = (&step.assessment.reason, held.unwrap_or_default());
    match &step.assessment.mend {
        Some(mend) => line(&format!("{reason}{held}: {mend}")).into_owned(),
        None => line(&format!("{reason}{held}")).into_owned(),
    }
}

fn details(step: &PlannedStep, styles: Styles, text: &mut String) {
    let _ = writeln!(text, "\n  {}", styles.bold(step.id.as_str()));
    for change in &step.assessment.changes {
        let _ = writeln!(text, "    {}  {}", line(&change.op.call()), styles.dim(&line(&change.resource.0)));
        let paths: Vec<_> = change.fields.iter().map(|field| line(&field.path)).collect();
        let width = paths.iter().map(|path| path.len()).max().unwrap_or(0);
        for (field, path) in change.fields.iter().zip(&paths) {
            let _ = writeln!(text, "      {path:width$}  {}", field_text(field, styles));
        }
    }
}

fn field_text(field: &FieldDiff, styles: Styles) -> String {
    match (&field.before, &field.after) {
        (Some(before), Some(after)) => format!("{} -> {}", cut(before), styles.warn(&cut(after))),
        (None, Some(after)) => styles.good(&format!("+ {}", cut(after))),
        (Some(before), None) => styles.bad(&format!("- {}", cut(before))),
        (None, None) => String::new(),
    }
}

fn cut(value: &str) -> String {
    let value = line(value);
    if value.chars().count() <= VALUE_WIDTH {
        return value.into_owned();
    }
    let start: String = value.chars().take(VALUE_WIDTH).collect();
    format!("{start}...")
}

/// `1 to create, 1 to update, 6 unchanged`; zeros are left out.
pub fn totals(counts: &Counts) -> String {
    let parts = [
        (counts.create, "to create"),
        (counts.update, "to update"),
        (counts.delete, "to delete"),
        (counts.prove, "to prove"),
        (counts.blocked, "blocked"),
        (counts.unknown, "unknown"),
        (counts.skipped, "skipped"),
        (counts.unchanged, "unchanged"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") }
}

/// The word of the past for an action.
pub fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Delete => "deleted",
        Action::Prove => "proved",
        Action::Keep => "unchanged",
        Action::Skip => "skipped",
        Action::Blocked => "blocked",
        Action::Unknown => "unknown",
    }
}
