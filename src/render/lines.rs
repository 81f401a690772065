//! One plain line per event, for logs and pipelines, with a sign of life every ten seconds. Writes to any writer, so that
//! it can be tested.

use std::collections::BTreeMap;
use std::io::Write;

use crate::escape::{guard, line};
use crate::event::{Event, Outcome};
use crate::plan::{Action, StepId};
use crate::render::style::Styles;
use crate::render::{events, output};

/// How often a waiting step gives a sign of life; some pipelines end jobs that are silent.
const SIGN_OF_LIFE: f64 = 10.0;

/// Draws events as lines.
pub struct Lines<W> {
    writer: W,
    styles: Styles,
    /// Only trouble and the end are worth a line.
    quiet: bool,
    total: usize,
    ended: usize,
    width: usize,
    said: BTreeMap<StepId, f64>,
}

impl<W: Write> Lines<W> {
    /// Lines to `writer`; if `quiet`, only trouble and the end.
    pub fn new(writer: W, styles: Styles, quiet: bool) -> Lines<W> {
        Lines { writer, styles, quiet, total: 0, ended: 0, width: 0, said: BTreeMap::new() }
    }

    /// Draws one event.
    pub fn event(&mut self, event: &Event) {
        let text = self.text(event);
        let text = guard(&text, self.styles.on);
        // A log that cannot be written must not stop the run; the exit code says it.
        output::noted(self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush()));
    }

    fn text(&mut self, event: &Event) -> String {
        match event {
            Event::RunStarted { steps, .. } => {
                self.total = steps.iter().filter(|step| works(step.action)).count();
                self.width = steps.iter().map(|step| step.id.as_str().len()).max().unwrap_or(0) + 2;
                String::new()
            }
            Event::StepStarted { .. } | Event::OpFinished { .. } => String::new(),
            Event::StepProgress { step, message, seconds } => {
                if self.quiet {
                    return String::new();
                }
                let last = self.said.get(step).copied().unwrap_or(0.0);
                if seconds - last < SIGN_OF_LIFE {
                    return String::new();
                }
                self.said.insert(step.clone(), *seconds);
                let (waited, message) = (events::clock(*seconds), line(message));
                format!("        {step:width$}waiting {waited}  {message}\n", width = self.width)
            }
            Event::StepFinished { step, outcome, seconds } => self.finished(step, outcome, *seconds),
            Event::Stopping { signal, count, waits_for } => events::stopping(*signal, *count, waits_for),
            Event::LeftBehind(left) => events::left_behind(left, self.styles),
            Event::RunFinished { summary } => events::summary(summary, self.styles),
        }
    }

    fn finished(&mut self, step: &StepId, outcome: &Outcome, seconds: f64) -> String {
        if matches!(outcome, Outcome::Unchanged { .. } | Outcome::Skipped { .. }) {
            return String::new();
        }
        self.ended += 1;
        if self.quiet && matches!(outcome, Outcome::Changed { .. } | Outcome::Proved { .. }) {
            return String::new();
        }
        if let Outcome::Failed(failure) = outcome {
            return events::failure(step, failure, seconds, self.styles);
        }
        finished_line(self.ended, self.total, step, outcome, seconds, self.width, self.styles)
    }
}

/// Whether a step of this action has something to do in a run.
pub(super) fn works(action: Action) -> bool {
    action.writes() || action == Action::Prove
}

/// `[3/9] iam.role.ebs            created    0.4 s`
pub(super) fn finished_line(
    ended: usize,
    total: usize,
    step: &StepId,
    outcome: &Outcome,
    seconds: f64,
    width: usize,
    styles: Styles,
) -> String {
    let word = console::pad_str(&events::word(outcome, styles), 10, console::Alignment::Left, None).into_owned();
    let took = events::seconds(seconds);
    let detail = events::detail(outcome);
    let text = format!("[{ended:>2}/{total}] {step:width$}{word}{took:>7}  {}", line(&detail));
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Announced, Failure, Remains, VERSION};
    use crate::plan::{ResourceId, Target};
    use crate::summary::Summary;

    fn events() -> Vec<Event> {
        let id = StepId::new("iam.role.lbc");
        let target = Target {
            cluster: "demo".to_owned(),
            arn: String::new(),
            account: String::new(),
            region: String::new(),
            kubernetes_version: String::new(),
            caller: String::new(),
        };
        let announced = |id: &StepId, action| Announced { id: id.clone(), action, resource: ResourceId(String::new()) };
        let other = StepId::new("helm.lbc");
        let failure = Failure {
            message: "helm upgrade failed".to_owned(),
            causes: vec!["no nodes".to_owned()],
            hint: Some("add nodes".to_owned()),
            stale: false,
            refused: None,
            needs_change: false,
            remains: Remains::Calls(vec!["helm:upgrade helm/n/x".to_owned()]),
        };
        let mut all = vec![
            Event::RunStarted {
                version: VERSION,
                target,
                steps: vec![announced(&id, Action::Create), announced(&other, Action::Create)],
            },
            Event::StepFinished {
                step: id,
                outcome: Outcome::Changed { action: Action::Create, writes: 1 },
                seconds: 0.42,
            },
            Event::StepProgress { step: other.clone(), message: "deployment 1/2 ready".to_owned(), seconds: 9.0 },
            Event::StepProgress { step: other.clone(), message: "deployment 1/2 ready".to_owned(), seconds: 41.0 },
            Event::StepFinished { step: other, outcome: Outcome::Failed(failure), seconds: 52.0 },
        ];
        let mut summary = Summary::default();
        for event in &all {
            summary.add(event);
        }
        summary.seconds = 52.0;
        all.push(Event::RunFinished { summary });
        all
    }

    fn drawn(quiet: bool) -> String {
        let mut text = Vec::new();
        let mut lines = Lines::new(&mut text, Styles { on: false }, quiet);
        for event in &events() {
            lines.event(event);
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_log_gets_one_line_per_step_and_a_sign_of_life() {
        insta::assert_snapshot!("lines", drawn(false));
    }

    #[test]
    fn quiet_keeps_trouble_and_the_end() {
        insta::assert_snapshot!("quiet_lines", drawn(true));
    }
}
