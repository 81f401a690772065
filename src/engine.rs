//! Runs a plan: graph order, independent steps side by side, each observed again before its ops run and observed until it
//! is right after them.
//!
//! The engine decides nothing about objects and draws nothing: steps know the former, renderers do the latter from its
//! events. A failed step stops what depends on it and nothing else.

mod judgement;
mod ledger;
mod new_roles;
mod settling;
mod stopping;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use crate::context::{ReadContext, WriteContext};
use crate::error::{Error, Result, chain_of};
use crate::event::{self, Announced, CallerRefused, Cancelled, Event, Failure, Outcome, Remains};
use crate::hint;
use crate::plan::{Action, Assessment, Change, Goal, Plan, PlannedStep, StepId};
use crate::retry::{self, BackOff};
use crate::steps::Step;
use crate::stop::Stops;
use crate::summary::Summary;
use judgement::{blocked, calls, exists_already, hint_of, in_doubt, not_settled, surprises};
use ledger::{Ledger, Ledgers};
use new_roles::NewRoles;
use settling::{Settling, Verdict, may_be_late};

/// How often a step whose write ended in doubt is observed and tried again within one run.
const ATTEMPTS: usize = 4;

/// For how long a failed step is read until what remains of it is known.
const REMAINS: Duration = Duration::from_secs(10);

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
    /// What steps that settle wait for; empty at first.
    pub waiting: Waiting,
}

/// What each step that settles still misses, for the signs of life that [`Engine::watched`] gives.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<BTreeMap<StepId, String>>);

impl Waiting {
    fn set(&self, step: StepId, lacking: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lacking {
            Some(lacking) => all.insert(step, lacking),
            None => all.remove(&step),
        };
    }

    fn get(&self, step: &StepId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(step).cloned()
    }
}

/// What has happened so far, shared by the steps that run side by side.
#[derive(Default)]
struct Progress {
    /// The world is no longer what the plan showed, or nobody takes the credentials any more: nothing new is begun.
    over: AtomicBool,
    writes: AtomicUsize,
    ledgers: Ledgers,
    roles: NewRoles,
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
                && (failure.stale || failure.refused == Some(CallerRefused::Credentials))
            {
                progress.over.store(true, Ordering::SeqCst);
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
        summary.denied = plan.denied();
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
                Outcome::Failed(_) => return Some(Outcome::Blocked { by: (*id).clone(), unknown: false }),
                Outcome::Unknown { .. } => return Some(Outcome::Blocked { by: (*id).clone(), unknown: true }),
                Outcome::Blocked { .. } => return Some((*outcome).clone()),
                _ => {}
            }
        }
        let reason = step.assessment.reason.clone();
        match step.assessment.action {
            Action::Keep => return Some(Outcome::Unchanged { reason }),
            Action::Skip => return Some(Outcome::Skipped { reason }),
            // What may not be touched is not done, and what needs it must not run.
            Action::Blocked => return Some(Outcome::Failed(blocked(&step.assessment))),
            Action::Unknown => {
                let hint = step.assessment.denied.first().and_then(|denied| hint::of(&denied.error()));
                return Some(Outcome::Unknown { reason, hint });
            }
            Action::Prove | Action::Create | Action::Update | Action::Delete => {}
        }
        self.over(progress)
            .then(|| Outcome::Cancelled(Cancelled { remains: calls(&step.assessment.changes), ..Cancelled::default() }))
    }

    /// Whether nothing new may be begun.
    fn over(&self, progress: &Progress) -> bool {
        self.stops.heard().is_some() || progress.over.load(Ordering::SeqCst)
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
                let ended = Box::pin(self.bounded(step.as_ref(), began, &ledger, doing)).await;
                progress.ledgers.close(&planned.id);
                match ended {
                    Ok(outcome) => outcome,
                    Err(error) => self.failed(step.as_ref(), goal, &error, &ledger).await,
                }
            }
        };
        (&planned.id, outcome, began.elapsed().as_secs_f64())
    }

    /// What is to be seen of a step: what it misses once it settles, and how far its workloads are.
    async fn sight(&self, step: &dyn Step) -> Option<String> {
        let seen = step.progress(&self.read).await;
        let parts: Vec<_> = self.waiting.get(&step.id()).into_iter().chain(seen).collect();
        Some(parts.join("; "))
    }

    /// Observes again, runs the ops, and observes until nothing is left to do.
    async fn change(&self, step: &dyn Step, planned: &PlannedStep, goal: Goal, work: &Work<'_>) -> Result<Outcome> {
        let mut now = self.look(step, goal, work.run).await?;
        if surprises(goal, &now, &planned.assessment.changes) {
            return Err(Error::Stale { what: format!("{}: {}", step.id(), now.reason) });
        }
        if now.changes.is_empty() && goal == Goal::Present {
            return Ok(Outcome::Unchanged { reason: now.reason });
        }
        let (mut writes, mut doubts) = (0, Doubts::new(self.patience));
        loop {
            let mut doubt = None;
            for (place, change) in now.changes.iter().enumerate() {
                work.ledger.remains(calls(&now.changes[place..]));
                if self.stops.heard().is_some() {
                    return Ok(Outcome::Cancelled(work.ledger.cancelled()));
                }
                match self.run_op(change, work).await {
                    Ok(()) => {
                        writes += 1;
                        self.wrote(step, change, work);
                    }
                    Err(error) if in_doubt(&error) => {
                        doubt = Some((error, change));
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some((error, change)) = doubt else { break };
            now = self.after_doubt(step, goal, error, change, &mut doubts).await?;
        }
        self.settle(step, goal, &planned.assessment.changes).await?;
        Ok(Outcome::Changed { action: planned.assessment.action, writes })
    }

    /// Observes a step before its ops run. Once this run has written something, a read that IAM denies, or that misses what
    /// was just made, may only be early.
    async fn look(&self, step: &dyn Step, goal: Goal, progress: &Progress) -> Result<Assessment> {
        let mut back_off = self.iam_back_off();
        loop {
            match step.plan(&self.read, goal).await {
                Err(error) if may_be_late(&error) && progress.writes.load(Ordering::SeqCst) > 0 => {
                    tracing::debug!(%error, step = %step.id(), "not to be read yet");
                    if self.stops.heard().is_some() || !back_off.wait().await {
                        return Err(error);
                    }
                }
                seen => return seen,
            }
        }
    }

    /// What is to be done after a write whose answer leaves open whether it was done: what is there now decides, and an
    /// object that "exists already" has to show first, since IAM reads late.
    async fn after_doubt(
        &self,
        step: &dyn Step,
        goal: Goal,
        error: Error,
        change: &Change,
        doubts: &mut Doubts,
    ) -> Result<Assessment> {
        tracing::debug!(%error, step = %step.id(), call = change.op.call(), "in doubt");
        let mut back_off = self.iam_back_off();
        loop {
            match step.plan(&self.read, goal).await {
                Ok(now) if now.action == Action::Blocked => {
                    let mend = now.mend.unwrap_or_default();
                    return Err(Error::Refused { what: format!("{}: {}", step.id(), now.reason), mend });
                }
                Ok(now) => {
                    let still = now.changes.iter().any(|other| other.op == change.op);
                    if !still {
                        return Ok(now);
                    }
                    if !exists_already(&error) {
                        return if doubts.again().await { Ok(now) } else { Err(error) };
                    }
                    if let Some(hopeless) = step.hopeless(&self.read).await {
                        return Err(hopeless);
                    }
                }
                Err(unread) if may_be_late(&unread) => {}
                Err(unread) => return Err(unread),
            }
            if self.stops.heard().is_some() || !back_off.wait().await {
                return Err(error);
            }
        }
    }

    /// Waits for as long as IAM may take to show what was written.
    fn iam_back_off(&self) -> BackOff {
        let limit = self.patience.min(retry::IAM_PROPAGATION);
        BackOff::new(Duration::from_millis(250), Duration::from_secs(4), limit)
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
    async fn run_op(&self, change: &Change, work: &Work<'_>) -> Result<()> {
        let mut back_off = self.iam_back_off();
        loop {
            match work.ledger.flying(change, change.op.run(&self.write)).await {
                Err(error) if retry::transient(&error, work.run.roles.concern(&change.op)).is_some() => {
                    tracing::debug!(%error, call = change.op.call(), "not yet");
                    if !back_off.wait().await {
                        return Err(error);
                    }
                }
                other => return work.run.roles.noted(&change.op, other),
            }
        }
    }

    /// Observes until nothing is left to do of what `wrote` was to bring about.
    async fn settle(&self, step: &dyn Step, goal: Goal, wrote: &[Change]) -> Result<()> {
        let id = step.id();
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(2), self.patience);
        let mut settling = Settling::new(&id, wrote, self.patience, Instant::now());
        let ended = loop {
            let seen = step.plan(&self.read, goal).await;
            let last = match settling.judge(seen, Instant::now()) {
                Verdict::Done => break Ok(()),
                Verdict::Failed(error) => break Err(error),
                Verdict::Wait(last) => last,
            };
            self.waiting.set(id.clone(), Some(last.clone()));
            if let Some(error) = step.hopeless(&self.read).await {
                break Err(error);
            }
            if !back_off.wait().await {
                break Err(not_settled(&id, self.patience, last));
            }
        };
        self.waiting.set(id, None);
        ended
    }

    /// Asks for the proof until it succeeds.
    async fn prove(&self, step: &dyn Step, reason: &str, work: &Work<'_>) -> Result<Outcome> {
        let limit = self.patience.min(retry::IAM_PROPAGATION);
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_secs(2), limit);
        let mut tried = false;
        loop {
            match step.prove(&self.read).await {
                Ok(()) => return Ok(Outcome::Proved { reason: reason.to_owned() }),
                Err(error) if error.bad_credentials() => return Err(error),
                Err(error) => {
                    // Asked after the proof, which reads what the remedy is about.
                    if !tried && let Some(change) = step.remedy() {
                        tried = true;
                        tracing::debug!(%error, call = change.op.call(), "a remedy is tried");
                        self.run_op(&change, work).await?;
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

    async fn failed(&self, step: &dyn Step, goal: Goal, error: &Error, ledger: &Ledger) -> Outcome {
        let read = self.readable(error, self.remains(step, goal, error)).await;
        let (remains, unread) = read.unwrap_or((Remains::Unknown, None));
        // What the API server or AWS says of the credentials explains more than what helm made of it.
        let error = unread.as_ref().filter(|unread| unread.bad_credentials()).unwrap_or(error);
        let remains = if error.bad_credentials() { ledger.left() } else { remains };
        let mut chain = chain_of(error).into_iter();
        Outcome::Failed(Failure {
            message: chain.next().unwrap_or_default(),
            causes: chain.collect(),
            hint: hint_of(error),
            stale: matches!(error, Error::Stale { .. }),
            refused: CallerRefused::of(error),
            needs_change: hint::needs_change(error),
            remains,
        })
    }

    /// What is left to do, observed after the failure; and why that could not be observed. IAM may show a write late whose
    /// answer was lost, so there two reads have to agree.
    async fn remains(&self, step: &dyn Step, goal: Goal, error: &Error) -> (Remains, Option<Error>) {
        if error.bad_credentials() {
            return (Remains::Unknown, None);
        }
        let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_secs(2), REMAINS);
        let (mut last, mut before) = (None, None);
        loop {
            match step.plan(&self.read, goal).await {
                Ok(now) if now.action == Action::Unknown => before = None,
                Ok(now) => {
                    let remains = judgement::remains(&now);
                    if !matches!(error, Error::Aws(_)) || !in_doubt(error) || before.as_ref() == Some(&remains) {
                        return (remains, None);
                    }
                    before = Some(remains);
                }
                Err(unread) if unread.bad_credentials() => return (Remains::Unknown, Some(unread)),
                Err(unread) => last = Some(unread),
            }
            if !back_off.wait().await {
                return (before.unwrap_or(Remains::Unknown), last);
            }
        }
    }
}

/// How often a write that ended in doubt is tried again within one run.
struct Doubts {
    left: usize,
    back_off: BackOff,
}

impl Doubts {
    fn new(patience: Duration) -> Doubts {
        Doubts {
            left: ATTEMPTS - 1,
            back_off: BackOff::new(Duration::from_millis(250), Duration::from_secs(4), patience),
        }
    }

    /// Waits for the next try; false once there have been enough.
    async fn again(&mut self) -> bool {
        let left = self.left;
        self.left = left.saturating_sub(1);
        left > 0 && self.back_off.wait().await
    }
}

/// How a step that did not run is told of: one with nothing to do misses nothing, though what waits for it is blocked.
fn shown(outcome: &Outcome, assessment: &Assessment) -> Outcome {
    let reason = assessment.reason.clone();
    match (outcome, assessment.action) {
        (Outcome::Blocked { .. }, Action::Keep) => Outcome::Unchanged { reason },
        (Outcome::Blocked { .. }, Action::Skip) => Outcome::Skipped { reason },
        (Outcome::Blocked { .. }, Action::Unknown) => Outcome::Unknown { reason, hint: None },
        (outcome, _) => outcome.clone(),
    }
}

#[cfg(test)]
mod tests;
