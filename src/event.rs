//! What the engine says while it runs. Events are data; renderers draw them and nothing else prints.
//!
//! The first event carries the whole list of steps, every step ends exactly once, and the run ends exactly once, also
//! after an error or an interruption. Nothing follows `RunFinished`.

use serde::Serialize;

use crate::error::{Error, WEB_IDENTITY};
use crate::left_behind::LeftBehind;
use crate::plan::{Action, ResourceId, StepId, Target};
use crate::stop::Stop;
use crate::summary::Summary;

/// The version of the event stream's form.
pub const VERSION: &str = "1.0";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins; nothing came before.
    RunStarted {
        /// The version of this form.
        version: &'static str,
        /// What the run is about.
        target: Target,
        /// All steps, in order.
        steps: Vec<Announced>,
    },
    /// A step begins to work.
    StepStarted {
        /// The step.
        step: StepId,
    },
    /// A step that waits says what it sees; may be dropped without loss.
    StepProgress {
        /// The step.
        step: StepId,
        /// What is to be seen.
        message: String,
        /// Since the step began.
        seconds: f64,
    },
    /// A write was done.
    OpFinished {
        /// The step.
        step: StepId,
        /// The call, such as `iam:CreateRole`.
        call: String,
        /// The object.
        resource: ResourceId,
    },
    /// A step ended.
    StepFinished {
        /// The step.
        step: StepId,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// Since the step began.
        seconds: f64,
    },
    /// A signal came: nothing new begins.
    Stopping {
        /// The first signal.
        signal: Stop,
        /// How many came so far.
        count: usize,
        /// What is waited for.
        waits_for: Vec<WaitsFor>,
    },
    /// What a destroy leaves in AWS, read back after its last step.
    LeftBehind(LeftBehind),
    /// The run ended; nothing follows.
    RunFinished {
        /// Totals and exit code.
        summary: Summary,
    },
}

/// A step as the first event lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// The step.
    pub id: StepId,
    /// What it is going to do.
    pub action: Action,
    /// Its object.
    pub resource: ResourceId,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing was to be done.
    Unchanged {
        /// What was seen.
        reason: String,
    },
    /// The object was made, changed or deleted, and observed to be right.
    Changed {
        /// What was done.
        action: Action,
        /// How many writes it took.
        writes: usize,
    },
    /// What the steps before it made was proved to work.
    Proved {
        /// What was proved.
        reason: String,
    },
    /// The step did not apply.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The step failed.
    Failed(Failure),
    /// Whether it is right is not known, because it could not be read or because something else is at work on it; nothing was
    /// written.
    Unknown {
        /// What is known.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A step before it failed, or could not be judged.
    Blocked {
        /// Which.
        by: StepId,
        /// Whether that one could not be judged.
        unknown: bool,
    },
    /// The run was interrupted before or while the step ran.
    Cancelled(Cancelled),
}

/// What an interruption leaves of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cancelled {
    /// The calls that were made; their objects were not read back.
    pub finished: Vec<String>,
    /// Calls whose answer nobody waited for, or that were ended; they may be done, in part or wholly.
    pub half_done: Vec<String>,
    /// The calls that were not made.
    pub remains: Vec<String>,
}

/// A call that a run which is to stop still waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitsFor {
    /// The step.
    pub step: StepId,
    /// The call and its object.
    pub call: String,
    /// For at most so long.
    pub seconds: u64,
}

/// Why a step failed and what remains of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The outermost message.
    pub message: String,
    /// Its causes, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the world had changed since the plan, so that nothing was written.
    pub stale: bool,
    /// Whether the caller was refused.
    pub refused: Option<CallerRefused>,
    /// Whether the same command would fail again: the chart, its values or the flags have to change first.
    pub needs_change: bool,
    /// What is left to do, as far as it could be observed.
    pub remains: Remains,
}

/// How the caller was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerRefused {
    /// This call is denied.
    Denied,
    /// The credentials are not accepted (any more): every call would fail.
    Credentials,
}

impl CallerRefused {
    /// What an error says of the caller.
    pub fn of(error: &Error) -> Option<CallerRefused> {
        if error.bad_credentials() {
            return Some(CallerRefused::Credentials);
        }
        // There a service account is refused, by the trust policy of a role.
        let account = matches!(error, Error::Aws(error) if error.operation == WEB_IDENTITY);
        (error.denied() && !account).then_some(CallerRefused::Denied)
    }
}

/// What a failed step left undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "what", rename_all = "kebab-case")]
pub enum Remains {
    /// These calls; a re-run makes them.
    Calls(Vec<String>),
    /// It is in a state in which nothing can be done yet.
    State(String),
    /// It could not be observed.
    Unknown,
}
