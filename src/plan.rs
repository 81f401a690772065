//! The plan: all steps with their changes. It is data, and it is what runs.
//!
//! Steps produce an [`Assessment`]; the commands join them into a [`Plan`]; renderers draw it and the engine runs its
//! ops. Nothing here reads or writes the world.

mod counts;
mod partly;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Denied;
use crate::op::Op;
use crate::op::helm::HelmOp;
use crate::owner::Owner;
use crate::secrets::HIDDEN;

pub use counts::Counts;

/// What the steps are to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Everything is there and right (`apply`).
    Present,
    /// Nothing of ours is left (`destroy`).
    Absent,
}

/// The stable name of a step, such as `iam.role.lbc`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(Cow<'static, str>);

impl StepId {
    /// The id of a built-in step.
    pub const fn new(id: &'static str) -> StepId {
        StepId(Cow::Borrowed(id))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it proves something and leaves nothing behind by which a later run could tell.
    pub fn is_proof(&self) -> bool {
        self.0.starts_with("proof.")
    }
}

impl From<String> for StepId {
    fn from(id: String) -> StepId {
        StepId(Cow::Owned(id))
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An object as its owner's tool prints it: `iam/role/NAME`, `helm/NAMESPACE/NAME`, `ServiceAccount/NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ResourceId(pub String);

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a step is going to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing: the object is as it must be.
    Keep,
    /// Make the object.
    Create,
    /// Change the object.
    Update,
    /// Delete the object.
    Delete,
    /// Prove, without writing, that the steps before it work; only where one of them changes.
    Prove,
    /// Nothing: the step does not apply here; the reason says why.
    Skip,
    /// Nothing: the object belongs to someone else and does not fit.
    Blocked,
    /// Not known: a read was denied or failed.
    Unknown,
}

impl Action {
    /// The sign of the plan's list.
    pub fn sign(self) -> char {
        match self {
            Action::Keep => '=',
            Action::Create => '+',
            Action::Update => '~',
            Action::Delete => '-',
            Action::Prove => '>',
            Action::Skip => '.',
            Action::Blocked => '!',
            Action::Unknown => '?',
        }
    }

    /// Whether the step has ops to run.
    pub fn writes(self) -> bool {
        matches!(self, Action::Create | Action::Update | Action::Delete)
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDiff {
    /// Where in the object, such as `Statement[4].Action`.
    pub path: String,
    /// What is there; none where nothing is.
    pub before: Option<String>,
    /// What is to be there; none where nothing is to be.
    pub after: Option<String>,
}

impl FieldDiff {
    /// A difference between two states of a field. Of what is hidden only that it differs is told.
    pub fn new(
        path: impl Into<String>,
        before: impl Into<Option<String>>,
        after: impl Into<Option<String>>,
    ) -> FieldDiff {
        let (before, mut after): (Option<String>, Option<String>) = (before.into(), after.into());
        if before == after
            && let Some(text) = after.as_mut().filter(|text| text.contains(HIDDEN))
        {
            *text =
                if *text == HIDDEN { "(hidden, changed)".to_owned() } else { format!("{text} (changed where hidden)") };
        }
        FieldDiff { path: path.into(), before, after }
    }
}

/// One difference shown to the user; holds the one write that removes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The object.
    pub resource: ResourceId,
    /// What differs; the same write may mend several fields.
    pub fields: Vec<FieldDiff>,
    /// The write.
    pub op: Op,
}

/// What one step found and what it is going to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// What it is going to do.
    pub action: Action,
    /// One line for the plan's list, without the object's name.
    pub reason: String,
    /// Who the object belongs to, where it exists and that is known.
    pub owner: Option<Owner>,
    /// The differences, in the order in which their ops run.
    pub changes: Vec<Change>,
    /// The command that unblocks, for `Blocked`.
    pub mend: Option<String>,
    /// What could not be read of it, because it is denied. A step of which something else could be read says what that shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// Whether the rest of it could be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partly_read: bool,
    /// What else is worth saying of it, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Differences that the user has left to others (`ignoreDrift`), as `OBJECT PATH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

impl Assessment {
    fn bare(action: Action, reason: impl Into<String>) -> Assessment {
        Assessment {
            action,
            reason: reason.into(),
            owner: None,
            changes: Vec::new(),
            mend: None,
            denied: Vec::new(),
            partly_read: false,
            notes: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// The object is as it must be.
    pub fn keep(reason: impl Into<String>) -> Assessment {
        Assessment::bare(Action::Keep, reason)
    }

    /// The object must be made.
    pub fn create(reason: impl Into<String>, changes: Vec<Change>) -> Assessment {
        Assessment { changes, ..Assessment::bare(Action::Create, reason) }
    }

    /// The object must be changed.
    pub fn update(reason: impl Into<String>, changes: Vec<Change>) -> Assessment {
        Assessment { changes, ..Assessment::bare(Action::Update, reason) }
    }

    /// The object must be deleted (or released).
    pub fn delete(reason: impl Into<String>, changes: Vec<Change>) -> Assessment {
        Assessment { changes, ..Assessment::bare(Action::Delete, reason) }
    }

    /// The steps before it are proved to work once they have changed.
    pub fn prove(reason: impl Into<String>) -> Assessment {
        Assessment::bare(Action::Prove, reason)
    }

    /// The step does not apply here.
    pub fn skip(reason: impl Into<String>) -> Assessment {
        Assessment::bare(Action::Skip, reason)
    }

    /// The object belongs to someone else and does not fit; `step` is what `--adopt` takes.
    pub fn blocked(step: &StepId, owner: Owner, reason: impl Into<String>) -> Assessment {
        Assessment {
            owner: Some(owner),
            mend: Some(format!("--adopt {step}")),
            ..Assessment::bare(Action::Blocked, reason)
        }
    }

    /// A read was denied or failed.
    pub fn unknown(reason: impl Into<String>) -> Assessment {
        Assessment::bare(Action::Unknown, reason)
    }

    /// The same with the owner filled in.
    pub fn owned_by(mut self, owner: Owner) -> Assessment {
        self.owner = Some(owner);
        self
    }
}

/// A step with what it found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// The step.
    pub id: StepId,
    /// The steps that come before it.
    pub needs: Vec<StepId>,
    /// The steps that only go first.
    pub after: Vec<StepId>,
    /// The object that it looks after.
    pub resource: ResourceId,
    /// The step that could not be judged and for which this one does not run; none where it runs.
    pub held_by: Option<StepId>,
    /// What it found.
    #[serde(flatten)]
    pub assessment: Assessment,
}

impl PlannedStep {
    /// Whether a run does anything for it.
    pub fn runs(&self) -> bool {
        self.assessment.action.writes() && self.held_by.is_none()
    }

    /// Everything that ends before this step begins.
    pub fn waits_for(&self) -> impl Iterator<Item = &StepId> {
        self.needs.iter().chain(&self.after)
    }
}

/// What the plan is about; the head line of its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub arn: String,
    /// The account that holds it.
    pub account: String,
    /// The region.
    pub region: String,
    /// Kubernetes, as `1.35`.
    pub kubernetes_version: String,
    /// Who asks, shortened to `role/NAME` or `user/NAME`.
    pub caller: String,
}

/// Something worth saying that belongs to no step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// `warning` or `note`.
    pub severity: &'static str,
    /// One line.
    pub message: String,
}

/// All steps with their changes, in the order in which they run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is to be reached.
    pub goal: Goal,
    /// What the plan is about.
    pub target: Target,
    /// The steps.
    pub steps: Vec<PlannedStep>,
    /// What else is worth saying.
    pub diagnostics: Vec<Diagnostic>,
}

impl Plan {
    /// Whether there is anything to write.
    pub fn has_changes(&self) -> bool {
        self.steps.iter().any(|step| step.assessment.action.writes())
    }

    /// Whether a run would write anything: changes of steps that wait for an unknown one are not among that.
    pub fn writes(&self) -> bool {
        self.steps.iter().any(PlannedStep::runs)
    }

    /// The runs of helm that it takes.
    pub fn helm_ops(&self) -> impl Iterator<Item = &HelmOp> {
        let running = self.steps.iter().filter(|step| step.held_by.is_none());
        running.flat_map(|step| &step.assessment.changes).filter_map(|change| match &change.op {
            Op::Helm(op) => Some(op),
            _ => None,
        })
    }

    /// A digest over the target and everything that would be done; a saved plan is refused when it differs.
    pub fn fingerprint(&self) -> String {
        let what: Vec<_> =
            self.steps.iter().map(|step| (&step.id, step.assessment.action, &step.assessment.changes)).collect();
        let text = serde_json::to_vec(&(self.goal, &self.target.arn, what)).expect("plans are plain data");
        format!("sha256:{}", hex::encode(Sha256::digest(&text)))
    }
}
