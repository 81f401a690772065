//! What the reads after a step's writes mean: done, not to be seen yet, or not what was written. Pure; `engine.rs` reads.
//!
//! Kubernetes and helm's records are read as they were written: etcd answers a GET with the newest state. A difference that
//! two reads some seconds apart still show there was not removed by the write, and no waiting removes it. IAM and EKS show
//! writes late, so there it counts only once that lag is over. What has to become something first (`Unknown`: an add-on, a
//! CRD), and what is being deleted and held by finalizers, has all the time of the step.
//!
//! What counts as a difference is the step's own business: a field that admission changes must not be in its assessment.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::op::Op;
use crate::op::helm::HelmOp;
use crate::op::kube::KubeOp;
use crate::plan::{Action, Assessment, Change, FieldDiff, StepId};
use crate::retry::IAM_PROPAGATION;

/// How long a difference has to stand where reads show every write at once. The first read may still meet an object that is
/// being replaced; seconds later it is a fact.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How many differences an error names.
const NAMED: usize = 3;

/// What a read means.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The step is as it must be.
    Done,
    /// Not yet, and what is missing.
    Wait(String),
    /// It will not become right by waiting.
    Failed(Error),
}

/// One step that settles.
pub(super) struct Settling<'a> {
    id: &'a StepId,
    /// What was written.
    wrote: &'a [Change],
    patience: Duration,
    began: Instant,
    /// What stands in the way, and since when without a break.
    standing: Option<(String, Instant)>,
}

impl<'a> Settling<'a> {
    /// A step whose writes ended at `began`.
    pub(super) fn new(id: &'a StepId, wrote: &'a [Change], patience: Duration, began: Instant) -> Settling<'a> {
        Settling { id, wrote, patience, began, standing: None }
    }

    /// What a read at `now` means.
    pub(super) fn judge(&mut self, seen: Result<Assessment>, now: Instant) -> Verdict {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return self.unread(error, now),
        };
        match seen.action {
            // What was released, or what the configuration no longer asks for, is skipped from then on.
            Action::Keep | Action::Prove | Action::Skip => Verdict::Done,
            // What may not be read of it differs in nothing that was written.
            Action::Unknown if seen.partly_read && seen.changes.is_empty() => Verdict::Done,
            Action::Unknown => {
                self.standing = None;
                Verdict::Wait(seen.reason)
            }
            Action::Blocked => {
                let grace = self.wrote.iter().map(grace).max().unwrap_or(AT_ONCE);
                let what = format!("{}: after the write: {}", self.id, seen.reason);
                let mend = seen.mend.unwrap_or_else(|| "check who else manages this object".to_owned());
                self.stands(seen.reason, grace, now, || Error::Refused { what, mend })
            }
            Action::Create | Action::Update | Action::Delete if seen.changes.is_empty() => Verdict::Done,
            // What goes only when others let it go has all the time of the step, and its own words say what holds it.
            Action::Create | Action::Update | Action::Delete if seen.changes.iter().any(is_deletion) => {
                self.standing = None;
                Verdict::Wait(seen.reason)
            }
            Action::Create | Action::Update | Action::Delete => {
                let grace = seen.changes.iter().map(grace).max().unwrap_or(AT_ONCE);
                let lacking = lacking(&seen.changes).join("; ");
                self.stands(lacking, grace, now, || still_differs(&seen.changes))
            }
        }
    }

    /// The same sight for `grace` is an error, before that it is waited for.
    fn stands(&mut self, what: String, grace: Duration, now: Instant, error: impl FnOnce() -> Error) -> Verdict {
        match &self.standing {
            Some((standing, since)) if *standing == what => {
                if now.saturating_duration_since(*since) >= grace {
                    return Verdict::Failed(error());
                }
            }
            _ => self.standing = Some((what.clone(), now)),
        }
        Verdict::Wait(what)
    }

    /// What a read that failed means.
    fn unread(&self, error: Error, now: Instant) -> Verdict {
        let lag = IAM_PROPAGATION.min(self.patience);
        let late = may_be_late(&error) && now.saturating_duration_since(self.began) < lag;
        if matches!(error, Error::Refused { .. }) || error.bad_credentials() || (error.denied() && !late) {
            // A step that says that it cannot become right is believed.
            return Verdict::Failed(error);
        }
        Verdict::Wait(error.to_string())
    }
}

/// How long a difference may stand after the write that was to remove it.
fn grace(change: &Change) -> Duration {
    match &change.op {
        Op::Kube(_) | Op::Helm(_) => AT_ONCE,
        Op::Iam(_) | Op::Eks(_) => IAM_PROPAGATION,
    }
}

/// The API server only notes a deletion; finalizers and what depends on the object take their time.
fn is_deletion(change: &Change) -> bool {
    matches!(change.op, Op::Kube(KubeOp::Delete { .. }))
}

/// Whether a read may have failed only because IAM does not show our own writes everywhere yet: a role that is not there, or
/// whose tags no condition sees.
pub(super) fn may_be_late(error: &Error) -> bool {
    matches!(error, Error::Aws(error) if error.denied() || error.not_found())
}

/// What is still missing, one text for each field, the object first where it is not the step's own.
fn lacking(changes: &[Change]) -> Vec<String> {
    let fields = changes.iter().flat_map(|change| change.fields.iter().map(move |field| (change, field)));
    let lacks = fields.map(|(change, field)| {
        let subject = subject(change, field);
        match (&field.before, &field.after) {
            (None, _) => format!("{subject} is not there yet"),
            (Some(before), Some(after)) => format!("{subject} is still {before}, not {after}"),
            (Some(_), None) => format!("{subject} is still there"),
        }
    });
    let mut lacks: Vec<_> = lacks.collect();
    if lacks.is_empty() {
        lacks = changes.iter().map(|change| format!("{} is not done yet", change.resource)).collect();
    }
    lacks
}

/// What a field is called: paths that name an object themselves stand alone.
fn subject(change: &Change, field: &FieldDiff) -> String {
    let names_object = field.path.starts_with(char::is_uppercase) && field.path.contains('/');
    if names_object { field.path.clone() } else { format!("{} of {}", field.path, change.resource) }
}

/// The error for differences that their own writes did not remove.
fn still_differs(changes: &[Change]) -> Error {
    let fields: Vec<_> = changes.iter().flat_map(|change| change.fields.iter().map(move |it| (change, it))).collect();
    let mut texts: Vec<_> = fields
        .iter()
        .take(NAMED)
        .map(|(change, field)| {
            let subject = subject(change, field);
            match (&field.before, &field.after) {
                (None, _) if subject == field.path => format!("{subject} still differs: it does not exist"),
                (before, after) => {
                    let shown = |value: &Option<String>| match value {
                        Some(text) => format!("`{text}`"),
                        None => "nothing".to_owned(),
                    };
                    format!("{subject} still differs: {} instead of {}", shown(before), shown(after))
                }
            }
        })
        .collect();
    if fields.len() > NAMED {
        texts.push(format!("and {} more", fields.len() - NAMED));
    }
    if texts.is_empty() {
        texts = changes.iter().map(|change| format!("{} still differs", change.resource)).collect();
    }
    let (writer, mend) = writer(&changes[0]);
    Error::StillDiffers { writer, what: texts.join("; "), mend }
}

/// Who took the write, and how to find out what became of it. Never "run it again": the write would end in the same.
fn writer(change: &Change) -> (&'static str, String) {
    match &change.op {
        Op::Helm(op) => {
            let (namespace, name) = op.release();
            let mend = match op {
                HelmOp::Upgrade { .. } | HelmOp::Rollback { .. } => format!(
                    "find out what changes it back: compare `helm get manifest {name} --namespace {namespace}` with the \
                     object (`kubectl get ... -o yaml --show-managed-fields` shows who wrote each field)"
                ),
                HelmOp::Uninstall { .. } => format!("check what `helm status {name} --namespace {namespace}` shows"),
            };
            ("helm", mend)
        }
        Op::Kube(_) => (
            "the API server",
            format!(
                "find out what changes it back: `kubectl get ... -o yaml --show-managed-fields` shows who wrote each field \
                 of {}",
                change.resource
            ),
        ),
        Op::Iam(_) => ("IAM", format!("find out in CloudTrail who else changes {}", change.resource)),
        Op::Eks(_) => ("EKS", format!("find out in CloudTrail who else changes {}", change.resource)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{AwsError, KubeError};
    use crate::op::eks::EksOp;
    use crate::op::iam::IamOp;
    use crate::owner::Owner;
    use crate::plan::ResourceId;
    use crate::read::kube::ObjectRef;

    const PATIENCE: Duration = Duration::from_mins(10);

    fn change(op: Op, field: FieldDiff) -> Change {
        Change { resource: ResourceId("helm/n/x".to_owned()), fields: vec![field], op }
    }

    fn helm() -> Op {
        let (namespace, name) = ("n".to_owned(), "x".to_owned());
        Op::Helm(HelmOp::Rollback { namespace, name, revision: 1, timeout_seconds: 600 })
    }

    fn kube() -> Op {
        Op::Kube(KubeOp::Restart { object: ObjectRef::new("v1", "Secret", "n", "x") })
    }

    fn delete() -> Op {
        Op::Kube(KubeOp::Delete { object: ObjectRef::new("v1", "Secret", "n", "x") })
    }

    fn iam() -> Op {
        Op::Iam(IamOp::DeleteRole { role: "r".to_owned() })
    }

    fn eks() -> Op {
        Op::Eks(EksOp::TagResource { arn: "arn".to_owned(), tags: std::collections::BTreeMap::new() })
    }

    fn update(op: Op) -> Assessment {
        let field = FieldDiff::new("spec.a", "1".to_owned(), "2".to_owned());
        Assessment::update("spec.a differs", vec![change(op, field)])
    }

    fn aws(code: &str) -> Error {
        Error::Aws(AwsError {
            operation: "iam:GetRole".to_owned(),
            code: Some(code.to_owned()),
            message: String::new(),
            request_id: None,
            status: Some(403),
            no_credentials: false,
            untrusted: false,
        })
    }

    fn kubernetes(status: u16) -> Error {
        let operation = "get Secret/n/x".to_owned();
        Error::Kube(KubeError { operation, status: Some(status), reason: String::new(), message: "no".to_owned() })
    }

    /// When the same sight, read every second after the write of `op`, ends the wait; none where nothing does within the
    /// step's patience.
    fn ends(op: Op, sight: impl Fn() -> Result<Assessment>) -> (Option<u64>, String) {
        let (id, began) = (StepId::new("helm.x"), Instant::now());
        let wrote = [change(op, FieldDiff::new("a", None, None))];
        let mut settling = Settling::new(&id, &wrote, PATIENCE, began);
        for second in 0..PATIENCE.as_secs() {
            match settling.judge(sight(), began + Duration::from_secs(second)) {
                Verdict::Done => return (Some(second), "done".to_owned()),
                Verdict::Failed(error) => return (Some(second), error.to_string()),
                Verdict::Wait(_) => {}
            }
        }
        (None, "waits".to_owned())
    }

    /// What it is, what was written, what is still to be written, the action, after how many seconds it ends, and how.
    type Case = (&'static str, Op, fn() -> Op, Action, Option<u64>, &'static str);

    #[test]
    fn every_action_after_a_write_has_its_end() {
        let blocked = || Assessment::blocked(&StepId::new("helm.x"), Owner::Unmarked, "left pending-install");
        let lag = IAM_PROPAGATION.as_secs();
        let differs = "reports success, but spec.a of helm/n/x still differs: `1` instead of `2`";
        let cases: [Case; 17] = [
            ("kept", helm(), helm, Action::Keep, Some(0), "done"),
            ("proved elsewhere", helm(), helm, Action::Prove, Some(0), "done"),
            ("gone", helm(), helm, Action::Keep, Some(0), "done"),
            ("given back", kube(), kube, Action::Skip, Some(0), "done"),
            ("no longer asked for", iam(), iam, Action::Skip, Some(0), "done"),
            ("blocked", helm(), helm, Action::Blocked, Some(5), "after the write: left pending-install"),
            ("blocked", helm(), helm, Action::Blocked, Some(5), "after the write: left pending-install"),
            ("blocked", iam(), iam, Action::Blocked, Some(lag), "after the write: left pending-install"),
            ("becoming", eks(), eks, Action::Unknown, None, "waits"),
            ("going", helm(), helm, Action::Unknown, None, "waits"),
            ("differs", helm(), helm, Action::Update, Some(5), differs),
            ("differs", kube(), kube, Action::Create, Some(5), differs),
            ("differs", iam(), iam, Action::Update, Some(lag), differs),
            ("differs", eks(), eks, Action::Update, Some(lag), differs),
            ("differs", helm(), helm, Action::Delete, Some(5), differs),
            ("held by a finalizer", delete(), delete, Action::Delete, None, "waits"),
            ("one is held", helm(), delete, Action::Delete, None, "waits"),
        ];
        for (name, wrote, op, action, second, text) in cases {
            let (ended, said) = ends(wrote, || {
                Ok(match action {
                    Action::Keep => Assessment::keep(""),
                    Action::Prove => Assessment::prove(""),
                    Action::Skip => Assessment::skip("not here"),
                    Action::Unknown => Assessment::unknown("CREATING"),
                    Action::Blocked => blocked(),
                    Action::Create | Action::Update | Action::Delete => Assessment { action, ..update(op()) },
                })
            });
            assert_eq!(ended, second, "{name}, {action:?}: {said}");
            assert!(said.contains(text), "{name}, {action:?}: {said}");
        }
    }

    /// A read that fails, and after how many seconds that ends the wait.
    type Unread = (fn() -> Error, Option<u64>);

    #[test]
    fn reads_that_fail_end_the_wait_where_waiting_does_not_help() {
        let lag = IAM_PROPAGATION.as_secs();
        let refused = || Error::Refused { what: "no".to_owned(), mend: String::new() };
        let cases: [Unread; 7] = [
            (|| aws("ExpiredToken"), Some(0)),
            (|| kubernetes(401), Some(0)),
            (|| kubernetes(403), Some(0)),
            (|| aws("AccessDenied"), Some(lag)),
            (|| aws("NoSuchEntity"), None),
            (|| kubernetes(503), None),
            (|| kubernetes(404), None),
        ];
        for (error, second) in cases {
            let (ended, said) = ends(iam(), || Err(error()));
            assert_eq!(ended, second, "{said}");
        }
        assert_eq!(ends(iam(), || Err(refused())).0, Some(0));
    }

    #[test]
    fn what_changes_between_reads_is_not_stuck() {
        let (id, began) = (StepId::new("k8s.crds.x"), Instant::now());
        let mut settling = Settling::new(&id, &[], PATIENCE, began);
        for second in 0..60 {
            let field = FieldDiff::new(format!("CustomResourceDefinition/{}", 60 - second), None, "x".to_owned());
            let seen = Assessment::update("", vec![change(kube(), field)]);
            let verdict = settling.judge(Ok(seen), began + Duration::from_secs(second));
            assert!(matches!(verdict, Verdict::Wait(_)), "{second}: {verdict:?}");
        }
        // Something in between that is being made begins anew.
        let mut settling = Settling::new(&id, &[], PATIENCE, began);
        for (second, seen) in [(0, update(kube())), (4, Assessment::unknown("UPDATING")), (6, update(kube()))] {
            let verdict = settling.judge(Ok(seen), began + Duration::from_secs(second));
            assert!(matches!(verdict, Verdict::Wait(_)), "{second}: {verdict:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_while_it_is_waited_for() {
        let fields = [
            FieldDiff::new("IngressClass/alb", None, "recreated".to_owned()),
            FieldDiff::new("status", "failed".to_owned(), "deployed".to_owned()),
            FieldDiff::new("metadata.labels.x", "y".to_owned(), None),
        ];
        let change = |fields: &[FieldDiff]| [Change { fields: fields.to_vec(), ..change(helm(), fields[0].clone()) }];
        assert_eq!(
            lacking(&change(&fields)),
            [
                "IngressClass/alb is not there yet",
                "status of helm/n/x is still failed, not deployed",
                "metadata.labels.x of helm/n/x is still there",
            ]
        );
        let error = still_differs(&change(&fields[..1]));
        assert_eq!(error.to_string(), "helm reports success, but IngressClass/alb still differs: it does not exist");
        assert!(!crate::hint::of(&error).unwrap().contains("again"), "{:?}", crate::hint::of(&error));
        let many: Vec<_> = (0..5).map(|n| FieldDiff::new(format!("a{n}"), None, "1".to_owned())).collect();
        let text = still_differs(&change(&many)).to_string();
        assert!(text.ends_with("a2 of helm/n/x still differs: nothing instead of `1`; and 2 more"), "{text}");
    }
}
