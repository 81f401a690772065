//! Live bars on a terminal: one spinner per running step, finished steps above them.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::escape::{guard, line};
use crate::event::{Event, Outcome};
use crate::plan::StepId;
use crate::render::style::Styles;
use crate::render::{events, lines};

/// Draws events as bars on stderr.
pub struct Bars {
    all: MultiProgress,
    running: BTreeMap<StepId, ProgressBar>,
    styles: Styles,
    total: usize,
    ended: usize,
    width: usize,
}

impl Bars {
    /// Bars on stderr; the caller has made sure that it is a terminal.
    pub fn new(styles: Styles) -> Bars {
        Bars { all: MultiProgress::new(), running: BTreeMap::new(), styles, total: 0, ended: 0, width: 0 }
    }

    /// Draws one event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { steps, .. } => {
                self.total = steps.iter().filter(|step| lines::works(step.action)).count();
                self.width = steps.iter().map(|step| step.id.as_str().len()).max().unwrap_or(0) + 2;
            }
            Event::StepStarted { step } => {
                let bar = self.all.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("   {spinner} {prefix}{wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner());
                bar.set_style(style);
                bar.set_prefix(format!("{step:width$}", width = self.width));
                bar.set_message("working");
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(step.clone(), bar);
            }
            Event::StepProgress { step, message, seconds } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(format!("waiting {}  {}", events::clock(*seconds), line(message)));
                }
            }
            Event::OpFinished { step, call, resource } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(line(&format!("{call} {resource}")).into_owned());
                }
            }
            Event::StepFinished { step, outcome, seconds } => self.finished(step, outcome, *seconds),
            Event::Stopping { signal, count, waits_for } => {
                self.above(&events::stopping(*signal, *count, waits_for));
            }
            Event::LeftBehind(left) => self.above(&events::left_behind(left, self.styles)),
            Event::RunFinished { summary } => {
                for (_, bar) in std::mem::take(&mut self.running) {
                    bar.finish_and_clear();
                }
                self.above(&events::summary(summary, self.styles));
            }
        }
    }

    fn finished(&mut self, step: &StepId, outcome: &Outcome, seconds: f64) {
        if let Some(bar) = self.running.remove(step) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        if matches!(outcome, Outcome::Unchanged { .. } | Outcome::Skipped { .. }) {
            return;
        }
        self.ended += 1;
        let text = match outcome {
            Outcome::Failed(failure) => events::failure(step, failure, seconds, self.styles),
            _ => lines::finished_line(self.ended, self.total, step, outcome, seconds, self.width, self.styles),
        };
        self.above(&text);
    }

    /// Prints above the bars, line by line: text of several lines would leave ghost bars (console-rs/indicatif#474).
    fn above(&self, text: &str) {
        for line in guard(text, self.styles.on).lines() {
            let _ = self.all.println(line);
        }
    }
}
