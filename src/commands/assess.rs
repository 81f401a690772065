//! Observes every step at once and joins what they found into a plan. Writes nothing: it has no writers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;

use crate::commands::{beside_irsa, diagnostics};
use crate::component;
use crate::content::Pattern;
use crate::context::ReadContext;
use crate::error::{Denied, Error, Result};
use crate::graph;
use crate::plan::{Action, Assessment, Diagnostic, Goal, Plan, PlannedStep, StepId};
use crate::steps::{self, Step};
use crate::validate;

/// A plan with the steps that run it.
pub struct Assessed {
    /// The plan.
    pub plan: Plan,
    /// Its steps.
    pub steps: BTreeMap<StepId, Arc<dyn Step>>,
    /// Why steps are unknown.
    pub errors: Vec<Error>,
}

/// Observes all steps of the configuration.
///
/// # Errors
/// A `--recreate` that names nothing of the plan, or steps that are defective; failed reads are in [`Assessed::errors`].
pub async fn assess(cx: &ReadContext, goal: Goal) -> Result<Assessed> {
    let all = steps::all(&cx.config, &cx.facts);
    let edges = Edges::new(&all, goal);
    let listed: Vec<_> = all.iter().map(|step| (step.id(), edges.waits_for(&step.id()))).collect();
    let order = graph::sort(&listed)
        .map_err(|source| Error::Io { what: "order the steps".to_owned(), source: std::io::Error::other(source) })?;
    let chosen: Vec<_> =
        order.into_iter().map(|place| all[place].clone()).filter(|step| cx.config.chooses(&step.id())).collect();
    let ids: BTreeSet<_> = chosen.iter().map(|step| step.id()).collect();
    let plans = join_all(chosen.iter().map(|step| step.plan(cx, goal)));
    let (found, mut diagnostics, beside) =
        tokio::join!(plans, Box::pin(diagnostics::of(cx, goal)), Box::pin(beside_irsa::of(cx, goal)));

    let mut errors = Vec::new();
    let mut planned = Vec::new();
    for (step, found) in chosen.iter().zip(found) {
        let assessment = found.unwrap_or_else(|error| {
            let denied: Vec<_> = Denied::of(&error).into_iter().collect();
            let assessment = Assessment { denied, ..Assessment::unknown(format!("not readable: {error}")) };
            errors.push(error);
            assessment
        });
        if assessment.partly_read {
            errors.extend(assessment.denied.iter().map(Denied::error));
        }
        let here = |needs: Vec<StepId>| needs.into_iter().filter(|need| ids.contains(need)).collect();
        planned.push(PlannedStep {
            id: step.id(),
            needs: here(edges.needs.get(&step.id()).cloned().unwrap_or_default()),
            after: here(edges.after.get(&step.id()).cloned().unwrap_or_default()),
            resource: step.resource(),
            held_by: None,
            assessment,
        });
    }
    diagnostics.extend(beside_irsa::block(cx, &mut planned, beside));
    if errors.is_empty() && goal == Goal::Present {
        check_recreated(&cx.config.recreate, &chosen)?;
    }
    spare_proofs(&mut planned);
    if goal == Goal::Present {
        hold_back(&mut planned);
    }
    diagnostics.extend(said(&planned, cx));
    diagnostics.extend(unmapped(&errors, cx));
    let plan = Plan { goal, target: cx.facts.target(), steps: planned, diagnostics };
    Ok(Assessed { plan, steps: chosen.into_iter().map(|step| (step.id(), step)).collect(), errors })
}

/// Makes sure that every object that is to be created again is one of the plan.
fn check_recreated(named: &BTreeSet<String>, steps: &[Arc<dyn Step>]) -> Result<()> {
    let objects: Vec<_> = steps.iter().flat_map(|step| step.objects()).collect();
    let Some(wrong) = named.iter().find(|named| !objects.iter().any(|object| object.is_called(named))) else {
        return Ok(());
    };
    let known: BTreeSet<_> = objects.iter().map(|object| (object.kind.as_str(), object.name.as_str())).collect();
    let mend = recreatable(wrong, &known);
    Err(Error::config("--recreate", wrong, "no chart of this plan has such an object", mend))
}

/// What could be meant by an object that no chart has, out of kinds and names. Names of other kinds resemble each other and are
/// never meant.
fn recreatable(wrong: &str, known: &BTreeSet<(&str, &str)>) -> String {
    let (kind, name) = wrong.split_once('/').unwrap_or((wrong, ""));
    let same: Vec<_> = known.iter().filter(|(known, _)| known.eq_ignore_ascii_case(kind)).collect();
    let Some((kind, _)) = same.first() else {
        let kinds: BTreeSet<_> = known.iter().map(|(kind, _)| *kind).collect();
        return match kinds.len() {
            0 => "leave it out: this plan has no chart to install".to_owned(),
            _ => format!("name an object of these kinds: {}", kinds.into_iter().collect::<Vec<_>>().join(", ")),
        };
    };
    let names = || same.iter().map(|(_, name)| *name);
    match validate::nearest(name, names()).first() {
        Some(near) => format!("did you mean `{kind}/{near}`?"),
        None => format!("its {kind} objects are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// In a cluster that knows no access entries the way to more rights is another one.
fn unmapped(errors: &[Error], cx: &ReadContext) -> Option<Diagnostic> {
    let denied = errors.iter().any(|error| matches!(error, Error::Kube(_)) && error.denied());
    (denied && cx.facts.access_entries == Some(false)).then(|| Diagnostic {
        severity: "note",
        message: "this cluster maps callers by the ConfigMap kube-system/aws-auth only (authentication mode CONFIG_MAP); EKS \
                  refuses access entries for it"
            .to_owned(),
    })
}

/// What steps have to say beside what they do, and lines of `ignoreDrift` that cover nothing.
fn said(planned: &[PlannedStep], cx: &ReadContext) -> Vec<Diagnostic> {
    let note = |message: String| Diagnostic { severity: "note", message };
    let releases: Vec<_> = planned.iter().filter(|step| step.resource.0.starts_with("helm/")).collect();
    let known = releases.iter().all(|step| step.assessment.action != Action::Unknown);
    let left: Vec<_> = releases.iter().flat_map(|step| &step.assessment.ignored).collect();
    let patterns: BTreeSet<_> = component::all(&cx.config)
        .iter()
        .flat_map(|component| component.configured(&cx.config).ignore_drift.clone())
        .collect();
    let covers = |pattern: &str, left: &str| {
        let (object, path) = left.split_once(' ').unwrap_or((left, ""));
        Pattern::parse(pattern).is_ok_and(|pattern| pattern.covers(object, path))
    };
    let unused = patterns.iter().filter(|pattern| known && !left.iter().any(|left| covers(pattern, left)));
    let notes = planned.iter().flat_map(|step| {
        let of = move |text: &String| format!("{}: {text}", step.id);
        step.assessment.notes.iter().map(of)
    });
    notes.chain(unused.map(|pattern| format!("ignoreDrift covers nothing: {pattern}"))).map(note).collect()
}

/// Which steps wait for which; for `Absent` everything is turned round: what was made last goes first.
#[derive(Default)]
struct Edges {
    needs: BTreeMap<StepId, Vec<StepId>>,
    after: BTreeMap<StepId, Vec<StepId>>,
}

impl Edges {
    fn new(steps: &[Arc<dyn Step>], goal: Goal) -> Edges {
        let mut edges = Edges::default();
        for step in steps {
            for (map, others) in [(&mut edges.needs, step.needs()), (&mut edges.after, step.after())] {
                for other in others {
                    let (waiting, first) = if goal == Goal::Present { (step.id(), other) } else { (other, step.id()) };
                    map.entry(waiting).or_default().push(first);
                }
            }
        }
        edges
    }

    fn waits_for(&self, step: &StepId) -> Vec<StepId> {
        [&self.needs, &self.after].into_iter().filter_map(|map| map.get(step)).flatten().cloned().collect()
    }
}

/// What nothing before it changes needs no proof: a second run is to do nothing.
fn spare_proofs(steps: &mut [PlannedStep]) {
    let mut changing: BTreeSet<StepId> = BTreeSet::new();
    for step in steps.iter_mut() {
        let before = step.needs.iter().any(|need| changing.contains(need));
        if step.assessment.action.writes() || (before && step.assessment.action != Action::Unknown) {
            changing.insert(step.id.clone());
        }
        if step.assessment.action == Action::Prove && !before {
            step.assessment.action = Action::Keep;
            "nothing before it changes, so nothing has to be proved".clone_into(&mut step.assessment.reason);
        }
    }
}

/// What needs a step of which nobody knows whether it is right does not run, however far behind it comes.
fn hold_back(steps: &mut [PlannedStep]) {
    let mut held: BTreeMap<StepId, StepId> = BTreeMap::new();
    for step in steps.iter_mut() {
        if step.assessment.action == Action::Unknown {
            held.insert(step.id.clone(), step.id.clone());
        } else if let Some(by) = step.needs.iter().find_map(|need| held.get(need)).cloned() {
            let idle = matches!(step.assessment.action, Action::Keep | Action::Skip | Action::Blocked);
            step.held_by = (!idle).then(|| by.clone());
            held.insert(step.id.clone(), by);
        }
    }
}

/// Why a plan cannot be applied, not even in part. What AWS or the cluster refused to show is left out and what needs it does
/// not run; without credentials, a cluster that answers, or the right chart, nothing does.
///
/// # Errors
/// The error that keeps everything, or the guard's refusal.
pub fn runnable(assessed: &mut Assessed) -> Result<()> {
    let keeps_everything = |error: &Error| match error {
        Error::Aws(answer) => error.bad_credentials() || answer.code.is_none(),
        Error::Kube(_) => error.bad_credentials(),
        _ => true,
    };
    if assessed.errors.iter().any(keeps_everything) {
        assessed.errors.retain(keeps_everything);
        return Err(worst(&mut assessed.errors));
    }
    unblocked(&assessed.plan)
}

/// Why a plan with unread or blocked steps cannot be carried out where all of it has to be known, as before a destroy.
///
/// # Errors
/// The error of the read, or the guard's refusal.
pub fn applicable(assessed: &mut Assessed) -> Result<()> {
    if !assessed.errors.is_empty() {
        return Err(worst(&mut assessed.errors));
    }
    unblocked(&assessed.plan)
}

fn unblocked(plan: &Plan) -> Result<()> {
    let blocked: Vec<_> = plan.steps.iter().filter(|step| step.assessment.action == Action::Blocked).collect();
    if blocked.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = blocked.iter().map(|step| step.id.as_str()).collect();
    let mends: BTreeSet<_> = blocked.iter().filter_map(|step| step.assessment.mend.as_deref()).collect();
    let mends: Vec<_> = mends.into_iter().collect();
    Err(Error::Refused {
        what: format!("blocked: {}; nothing was changed", names.join(", ")),
        mend: format!("look at the plan, then run the same command with {}", mends.join(" ")),
    })
}

/// The error that explains most: credentials that nobody accepts, then no way to the API server, then a denied read.
pub fn worst(errors: &mut Vec<Error>) -> Error {
    let weight = |error: &Error| match error {
        error if error.bad_credentials() => 0,
        Error::ApiServerUnreachable { .. } => 1,
        error if error.denied() => 2,
        _ => 3,
    };
    let place = (0..errors.len()).min_by_key(|place| weight(&errors[*place])).unwrap_or(0);
    errors.swap_remove(place)
}

#[cfg(test)]
mod tests;
