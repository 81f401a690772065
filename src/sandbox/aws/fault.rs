//! Faults that a test or a curious user injects: which call they hit and what happens to it.
//!
//! Calls are numbered as the recorder shows them: from 1 since the start or since the calls were last cleared. Faults are added with
//! `Simulator::inject` or `POST /_sandbox/faults` and are used up when they have hit.

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::wire::Service;

/// One injected fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Which call is hit first.
    pub at: At,
    /// What happens to it.
    pub effect: Effect,
    /// How many matching calls in a row are hit, counted from `at`.
    #[serde(default = "once")]
    pub times: u64,
}

fn once() -> u64 {
    1
}

/// The call that a fault hits, numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum At {
    /// The nth call of all.
    Call(u64),
    /// The nth write of all.
    Write(u64),
    /// The nth call of one operation, for example `CreateRole`.
    Operation {
        /// The operation's name.
        name: String,
        /// Its nth call.
        nth: u64,
    },
}

/// What a fault does to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// Nothing is done and this error is answered.
    Error {
        /// AWS's error code.
        code: String,
        /// HTTP status.
        status: u16,
        /// Text of the answer.
        #[serde(default)]
        message: String,
    },
    /// Nothing is done and the service's own throttling error is answered.
    Throttle,
    /// Nothing is done and the connection breaks.
    Drop,
    /// The call is done, then the connection breaks before the answer is read.
    LoseAnswer,
}

impl Fault {
    /// Hits one call once.
    pub fn once(at: At, effect: Effect) -> Self {
        Self { at, effect, times: 1 }
    }
}

/// Returns the throttling error of a service.
pub(super) fn throttled(service: Service) -> ApiError {
    match service {
        Service::Iam | Service::Sts | Service::Elb => ApiError::new("Throttling", 400, "Rate exceeded"),
        Service::Ec2 => ApiError::new("RequestLimitExceeded", 503, "Request limit exceeded."),
        Service::Eks => ApiError::new("ThrottlingException", 429, "Too Many Requests"),
        Service::Accelerator => ApiError::new("ThrottlingException", 400, "Rate exceeded"),
        Service::Tagging => ApiError::new("ThrottledException", 400, "Rate exceeded"),
    }
}

/// Counts calls and decides which of them a fault hits.
#[derive(Debug, Default)]
pub(super) struct Faults {
    calls: u64,
    writes: u64,
    operations: std::collections::BTreeMap<String, u64>,
    pending: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.pending.push(fault);
    }

    /// Starts numbering anew and forgets faults that did not hit.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Numbers a call and returns its number and the fault that hits it.
    pub(super) fn count(&mut self, operation: &str, write: bool) -> (u64, Option<Effect>) {
        self.calls += 1;
        self.writes += u64::from(write);
        let nth = self.operations.entry(operation.to_owned()).or_default();
        *nth += 1;
        let (calls, writes, nth) = (self.calls, self.writes, *nth);
        let hit = |fault: &Fault| {
            let (number, from) = match &fault.at {
                At::Call(from) => (calls, *from),
                At::Write(from) if write => (writes, *from),
                At::Operation { name, nth: from } if name == operation => (nth, *from),
                At::Write(_) | At::Operation { .. } => return false,
            };
            number >= from && number - from < fault.times
        };
        (calls, self.pending.iter().find(|fault| hit(fault)).map(|fault| fault.effect.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_call_that_it_names_and_no_other() {
        let mut faults = Faults::default();
        faults.add(Fault::once(At::Call(2), Effect::Drop));
        faults.add(Fault::once(At::Write(2), Effect::LoseAnswer));
        faults.add(Fault { at: At::Operation { name: "GetRole".into(), nth: 2 }, effect: Effect::Throttle, times: 2 });
        let calls = [
            ("GetRole", false),
            ("CreateRole", true),
            ("GetRole", false),
            ("TagRole", true),
            ("GetRole", false),
            ("GetRole", false),
        ];
        let effects: Vec<_> = calls.iter().map(|(name, write)| faults.count(name, *write).1).collect();
        assert_eq!(
            effects,
            [None, Some(Effect::Drop), Some(Effect::Throttle), Some(Effect::LoseAnswer), Some(Effect::Throttle), None]
        );
    }
}
