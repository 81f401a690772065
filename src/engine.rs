//! Runs a plan: graph order, independent steps side by side, each observed again before its ops run and observed until it
//! is right after them.
//!
//! The engine decides nothing about objects and draws nothing: steps know the former, renderers do the latter from its
//! events. A failed step stops what depends on it and nothing else.

mod judgement;
mod ledger;
mod stopping;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use crate::context::{ReadContext, WriteContext};
use crate::error::{Error, Result, chain_of};
use crate::event::{self, Announced, Cancelled, Event, Failure, Outcome, Remains};
use crate::hint;
use crate::plan::{Action, Assessment, Change, Goal, Plan, PlannedStep, StepId};
use crate::retry::{self, BackOff};
use crate::steps::Step;
use crate::stop::Stops;
use crate::summary::Summary;
use judgement::{calls, in_doubt, not_settled, surprises};
use ledger::{Ledger, Ledgers};

/// How often a step whose write ended in doubt is observed and tried again within one run.
const ATTEMPTS: usize = 4;

/// Everything a run needs.
pub struct Engine {
    /// The steps of the plan.
    pub steps: BTreeMap<StepId, Arc<dyn Step>>,
    /// Facts and readers.
    pub read: ReadContext,
    /// Writers.
    pub write: WriteContext,
    /// Where events go.
    pub events: mpsc::UnboundedSender<Event>,
    /// The signals that ask to stop.
    pub stops: Stops,
    /// How long a step may take.
    pub patience: Duration,
}

/// What has happened so far, shared by the steps that run side by side.
#[derive(Default)]
struct Progress {
    stale: AtomicBool,
    writes: AtomicUsize,
    ledgers: Ledgers,
}

/// A step at work.
struct Work<'a> {
    run: &'a Progress,
    ledger: Arc<Ledger>,
}

impl Engine {
    /// Runs `plan` and returns the totals; failures are in them, since the rest goes on.
    pub async fn run(&self, plan: &Plan) -> Summary {
        let began = Instant::now();
        let mut summary = Summary::default();
        let steps = plan
            .steps
            .iter()
            .map(|step| Announced {
                id: step.id.clone(),
                action: step.assessment.action,
                resource: step.resource.clone(),
            })
            .collect();
        let mut emit = |event: Event| {
            summary.add(&event);
            // A renderer that is gone must not stop the run.
            let _ = self.events.send(event);
        };
        emit(Event::RunStarted { version: event::VERSION, target: plan.target.clone(), steps });

        let progress = Progress::default();
        let mut ended: BTreeMap<&StepId, Outcome> = BTreeMap::new();
        let mut waiting: Vec<&PlannedStep> = plan.steps.iter().collect();
        let mut running = FuturesUnordered::new();
        let mut told = 0;
        loop {
            let (ready, rest): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|step| step.waits_for().all(|need| ended.contains_key(need)));
            waiting = rest;
            for step in ready {
                let before: Vec<_> = step.needs.iter().filter_map(|need| Some((need, ended.get(need)?))).collect();
                if let Some(outcome) = self.outcome_without_running(step, &before, &progress) {
                    let shown = shown(&outcome, &step.assessment);
                    emit(Event::StepFinished { step: step.id.clone(), outcome: shown, seconds: 0.0 });
                    ended.insert(&step.id, outcome);
                } else {
                    emit(Event::StepStarted { step: step.id.clone() });
                    running.push(Box::pin(self.run_step(step, plan.goal, &progress)));
                }
            }
            // A step that ended without running may have made others ready.
            if waiting.iter().any(|step| step.waits_for().all(|need| ended.contains_key(need))) {
                continue;
            }
            let next = loop {
                tokio::select! {
                    biased;
                    next = running.next() => break next,
                    heard = self.stops.later_than(told) => {
                        told = heard.count;
                        emit(self.stopping(heard, &progress.ledgers));
                    }
                }
            };
            let Some((id, outcome, seconds)) = next else { break };
            if let Outcome::Failed(failure) = &outcome
                && failure.stale
            {
                progress.stale.store(true, Ordering::SeqCst);
            }
            emit(Event::StepFinished { step: id.clone(), outcome: outcome.clone(), seconds });
            ended.insert(id, outcome);
        }
        drop(running);
        if plan.goal == Goal::Absent {
            emit(Event::LeftBehind(self.left_behind().await));
        }
        // Ops report themselves from inside the steps, past `emit`.
        summary.writes = progress.writes.load(Ordering::SeqCst);
        summary.seconds = began.elapsed().as_secs_f64();
        summary.exit_code = match self.stops.heard() {
            Some(heard) if !summary.cancelled.is_empty() => heard.stop.exit_code(),
            _ => summary.code(),
        };
        let _ = self.events.send(Event::RunFinished { summary: summary.clone() });
        summary
    }

    /// The outcome of a step that has nothing to run, or may not run.
    fn outcome_without_running(
        &self,
        step: &PlannedStep,
        before: &[(&StepId, &Outcome)],
        progress: &Progress,
    ) -> Option<Outcome> {
        for (id, outcome) in before {
            match outcome {
                Outcome::Failed(_) => return Some(Outcome::Blocked { by: (*id).clone() }),
                Outcome::Blocked { by } => return Some(Outcome::Blocked { by: by.clone() }),
                _ => {}
            }
        }
        let reason = step.assessment.reason.clone();
        match step.assessment.action {
            Action::Keep => return Some(Outcome::Unchanged { reason }),
            // Blocked and unknown ones are refused before the run; one that gets here all the same must not run.
            Action::Skip | Action::Blocked | Action::Unknown => return Some(Outcome::Skipped { reason }),
            Action::Prove | Action::Create | Action::Update | Action::Delete => {}
        }
        let stopped = self.stops.heard().is_some() || progress.stale.load(Ordering::SeqCst);
        stopped
            .then(|| Outcome::Cancelled(Cancelled { remains: calls(&step.assessment.changes), ..Cancelled::default() }))
    }

    async fn run_step<'a>(
        &self,
        planned: &'a PlannedStep,
        goal: Goal,
        progress: &Progress,
    ) -> (&'a StepId, Outcome, f64) {
        let began = Instant::now();
        let outcome = match self.steps.get(&planned.id) {
            None => Outcome::Skipped { reason: "not part of this run".to_owned() },
            Some(step) => {
                let ledger = progress.ledgers.open(&planned.id, calls(&planned.assessment.changes));
                let work = Work { run: progress, ledger: ledger.clone() };
                let doing = async {
                    if planned.assessment.action == Action::Prove {
                        self.prove(step.as_ref(), &planned.assessment.reason, &work).await
                    } else {
                        self.change(step.as_ref(), planned, goal, &work).await
                    }
                };
                let ended = self.bounded(step.as_ref(), began, &ledger, doing).await;
                progress.ledgers.close(&planned.id);
                match ended {
                    Ok(outcome) => outcome,
                    Err(error) => self.failed(step.as_ref(), goal, &error).await,
                }
            }
        };
        (&planned.id, outcome, began.elapsed().as_secs_f64())
    }

    /// Observes again, runs the ops, and observes until nothing is left to do.
    async fn change(&self, step: &dyn Step, planned: &PlannedStep, goal: Goal, work: &Work<'_>) -> Result<Outcome> {
        let mut now = step.plan(&self.read, goal).await?;
        if surprises(goal, &now, &planned.assessment.changes) {
            return Err(Error::Stale { what: format!("{}: {}", step.id(), now.reason) });
        }
        if now.changes.is_empty() && goal == Goal::Present {
            return Ok(Outcome::Unchanged { reason: now.reason });
        }
        let mut writes = 0;
        for attempt in 1.. {
            let mut doubt = None;
            for (place, change) in now.changes.iter().enumerate() {
                work.ledger.remains(calls(&now.changes[place..]));
                if self.stops.heard().is_some() {
                    return Ok(Outcome::Cancelled(work.ledger.cancelled()));
                }
                match self.run_op(change, &work.ledger).await {
                    Ok(()) => {
                        writes += 1;
                        self.wrote(step, change, work);
                    }
                    Err(error) if attempt < ATTEMPTS && in_doubt(&error) => {
                        doubt = Some(error);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(error) = doubt else { break };
            // The write may have been done although its answer was lost: what is there now decides.
            now = step.plan(&self.read, goal).await?;
            if now.action == Action::Blocked {
                return Err(error);
            }
        }
        self.settle(step, goal).await?;
        Ok(Outcome::Changed { action: planned.assessment.action, writes })
    }

    /// Counts a write and tells of it.
    fn wrote(&self, step: &dyn Step, change: &Change, work: &Work<'_>) {
        work.run.writes.fetch_add(1, Ordering::SeqCst);
        let _ = self.events.send(Event::OpFinished {
            step: step.id(),
            call: change.op.call(),
            resource: change.resource.clone(),
        });
    }

    /// Runs one op, again where the table of transient errors says so.
    async fn run_op(&self, change: &Change, ledger: &Ledger) -> Result<()> {
        let mut back_off =
            BackOff::new(Duration::from_millis(250), Duration::from_secs(4), self.patience.min(retry::IAM_PROPAGATION));
        loop {
            match ledger.flying(change, change.op.run(&self.write)).await {
                Err(error) if retry::transient(&error).is_some() => {
                    tracing::debug!(%error, call = change.op.call(), "not yet");
                    if !back_off.wait().await {
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
    }

    /// Observes until nothing is left to do: IAM and the API server show writes late.
    async fn settle(&self, step: &dyn Step, goal: Goal) -> Result<()> {
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(2), self.patience);
        loop {
            let last = match step.plan(&self.read, goal).await {
                Ok(now) if now.changes.is_empty() && now.action != Action::Unknown => return Ok(()),
                Ok(now) => now.reason,
                // A step that says that it cannot become right is believed.
                Err(error @ Error::Refused { .. }) => return Err(error),
                Err(error) if error.denied() => return Err(error),
                Err(error) => error.to_string(),
            };
            if let Some(error) = step.hopeless(&self.read).await {
                return Err(error);
            }
            if !back_off.wait().await {
                return Err(not_settled(&step.id(), self.patience, last));
            }
        }
    }

    /// Asks for the proof until it succeeds.
    async fn prove(&self, step: &dyn Step, reason: &str, work: &Work<'_>) -> Result<Outcome> {
        let limit = self.patience.min(retry::IAM_PROPAGATION);
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(2), limit);
        let mut remedy = step.remedy();
        loop {
            match step.prove(&self.read).await {
                Ok(()) => return Ok(Outcome::Proved { reason: reason.to_owned() }),
                Err(error) => {
                    if let Some(change) = remedy.take() {
                        tracing::debug!(%error, call = change.op.call(), "a remedy is tried");
                        self.run_op(&change, &work.ledger).await?;
                        self.wrote(step, &change, work);
                        continue;
                    }
                    if !back_off.wait().await {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn failed(&self, step: &dyn Step, goal: Goal, error: &Error) -> Outcome {
        let remains = match self.readable(error, step.plan(&self.read, goal)).await {
            Some(Ok(now)) => Remains::Calls(calls(&now.changes)),
            _ => Remains::Unknown,
        };
        let mut chain = chain_of(error).into_iter();
        Outcome::Failed(Failure {
            message: chain.next().unwrap_or_default(),
            causes: chain.collect(),
            hint: hint::of(error),
            stale: matches!(error, Error::Stale { .. }),
            needs_change: hint::needs_change(error),
            remains,
        })
    }
}

/// How a step that did not run is told of: one with nothing to do misses nothing, though what waits for it is blocked.
fn shown(outcome: &Outcome, assessment: &Assessment) -> Outcome {
    let reason = assessment.reason.clone();
    match (outcome, assessment.action) {
        (Outcome::Blocked { .. }, Action::Keep) => Outcome::Unchanged { reason },
        (Outcome::Blocked { .. }, Action::Skip) => Outcome::Skipped { reason },
        (outcome, _) => outcome.clone(),
    }
}

#[cfg(test)]
mod tests;
