//! Observes every step at once and joins what they found into a plan. Writes nothing: it has no writers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;

use crate::commands::diagnostics;
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::graph;
use crate::plan::{Action, Assessment, Goal, Plan, PlannedStep, StepId};
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
    let (found, diagnostics) = tokio::join!(plans, Box::pin(diagnostics::of(cx, goal)));

    let mut errors = Vec::new();
    let mut planned = Vec::new();
    for (step, found) in chosen.iter().zip(found) {
        let assessment = found.unwrap_or_else(|error| {
            let assessment = Assessment::unknown(format!("not readable: {error}"));
            errors.push(error);
            assessment
        });
        let here = |needs: Vec<StepId>| needs.into_iter().filter(|need| ids.contains(need)).collect();
        planned.push(PlannedStep {
            id: step.id(),
            needs: here(edges.needs.get(&step.id()).cloned().unwrap_or_default()),
            after: here(edges.after.get(&step.id()).cloned().unwrap_or_default()),
            resource: step.resource(),
            assessment,
        });
    }
    if errors.is_empty() && goal == Goal::Present {
        check_recreated(&cx.config.recreate, &chosen)?;
    }
    spare_proofs(&mut planned);
    let plan = Plan { goal, target: cx.facts.target(), steps: planned, diagnostics };
    Ok(Assessed { plan, steps: chosen.into_iter().map(|step| (step.id(), step)).collect(), errors })
}

/// Makes sure that every object that is to be created again is one of the plan.
fn check_recreated(named: &BTreeSet<String>, steps: &[Arc<dyn Step>]) -> Result<()> {
    let objects: Vec<_> = steps.iter().flat_map(|step| step.objects()).collect();
    let Some(wrong) = named.iter().find(|named| !objects.iter().any(|object| object.is_called(named))) else {
        return Ok(());
    };
    let known: BTreeSet<_> = objects.iter().map(|object| format!("{}/{}", object.kind, object.name)).collect();
    let near = validate::nearest(wrong, known.iter().map(String::as_str));
    let mend = match near.first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name an object of a chart that this run installs, as the plan does".to_owned(),
    };
    Err(Error::config("--recreate", wrong, "no chart of this plan has such an object", mend))
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

/// Why a plan with unread or blocked steps cannot be applied.
///
/// # Errors
/// The error of the read, or the guard's refusal.
pub fn applicable(assessed: &mut Assessed) -> Result<()> {
    if !assessed.errors.is_empty() {
        return Err(worst(&mut assessed.errors));
    }
    let blocked: Vec<_> = assessed.plan.steps.iter().filter(|step| step.assessment.action == Action::Blocked).collect();
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

/// The error that explains most: no way to the API server before a single denied read.
pub fn worst(errors: &mut Vec<Error>) -> Error {
    let place = errors.iter().position(|error| matches!(error, Error::ApiServerUnreachable { .. })).unwrap_or(0);
    errors.swap_remove(place)
}
