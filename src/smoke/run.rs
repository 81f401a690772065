//! Makes the smoke workload, waits until every aspect works or its time is over, and removes everything again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::cleanup;
use super::look::{Look, look};
use super::plan::{LeftOver, Plan};
use super::workload::Part;
use super::{Aspect, Ended, Progress, Report, SmokeResult};
use crate::op::kube::{KubeOp, KubeWrite};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::stop::Stops;

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(500);
/// A sign of life of what is waited for without news.
const SIGN: Duration = Duration::from_secs(10);
/// For how long the controllers may take to remove what they have made: real load balancers go within a minute or two.
const CLEANUP_PATIENCE: Duration = Duration::from_mins(5);
/// For how long everything together may be removed, the last objects included.
pub const LONGEST_CLEANUP: Duration = Duration::from_mins(6);
/// So long before the program has to be over, what is left is named.
const LAST: Duration = Duration::from_millis(400);

/// Is told what happens.
type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Runs a plan. Whatever happens on the way, what was made is removed before this returns.
pub async fn run(kube: &KubeRead, write: &KubeWrite, plan: &Plan, stops: &Stops, tell: Tell<'_>) -> Report {
    let removing = |left: Vec<String>| tell(Progress::Removing { left });
    let mut probe = Probe { kube, plan, tell, began: Instant::now(), results: BTreeMap::new(), stops };
    for (aspect, ended) in &plan.ended {
        probe.end(*aspect, ended.clone());
    }
    let mut left = Vec::new();
    if !plan.left_over.is_empty() {
        tell(Progress::RemovingLeftOvers);
        left =
            removed(stops, &plan.left_over, cleanup::remove(kube, write, &plan.left_over, CLEANUP_PATIENCE, &removing))
                .await;
    }
    if left.is_empty() {
        probe.began = Instant::now();
        tell(Progress::Making { objects: plan.objects.len() });
        tokio::select! {
            () = probe.make(write) => {}
            // An API server that hangs must not keep what was made from being removed.
            () = stops.urgent() => {}
        }
        probe.wait().await;
        tell(Progress::Removing { left: Vec::new() });
        let own = plan.own();
        left = removed(stops, &own, cleanup::remove(kube, write, &own, CLEANUP_PATIENCE, &removing)).await;
    } else {
        probe.end_rest("what an earlier run left behind could not be removed");
    }
    let stopped = stops.heard().map(|heard| heard.stop);
    Report { results: probe.results.into_values().collect(), left, stopped }
}

struct Probe<'a> {
    kube: &'a KubeRead,
    plan: &'a Plan,
    tell: Tell<'a>,
    began: Instant,
    results: BTreeMap<Aspect, SmokeResult>,
    stops: &'a Stops,
}

impl Probe<'_> {
    fn end(&mut self, aspect: Aspect, ended: Ended) {
        let result = SmokeResult { aspect, ended, seconds: self.began.elapsed().as_secs_f64() };
        (self.tell)(Progress::Ended(result.clone()));
        self.results.insert(aspect, result);
    }

    /// Ends an aspect that does not work; where there is no address, that alone is what fails.
    fn fail(&mut self, aspect: Aspect, cause: String, mend: &str) {
        let no_address =
            self.results.get(&Aspect::Address).is_some_and(|result| matches!(result.ended, Ended::Failed { .. }));
        let ended = if aspect == Aspect::Http && no_address {
            Ended::Skipped { reason: "there is no load balancer to ask".to_owned() }
        } else {
            Ended::Failed { cause, mend: mend.to_owned() }
        };
        self.end(aspect, ended);
    }

    fn open(&self) -> Vec<Aspect> {
        Aspect::ALL.into_iter().filter(|aspect| !self.results.contains_key(aspect)).collect()
    }

    fn end_rest(&mut self, reason: &str) {
        for aspect in self.open() {
            self.end(aspect, Ended::Skipped { reason: reason.to_owned() });
        }
    }

    fn stopped(&self) -> bool {
        self.stops.heard().is_some()
    }

    /// Makes the objects; one that is refused ends the aspects that need it.
    async fn make(&mut self, write: &KubeWrite) {
        for (part, object) in &self.plan.objects {
            if self.stopped() {
                return;
            }
            let Err(error) = (KubeOp::Apply { object: object.clone(), force: true }).run(write).await else { continue };
            let cause = format!("{} was refused: {}", ObjectRef::of(object), crate::error::chain_of(&error).join(": "));
            let mend = crate::hint::of(&error).unwrap_or_else(|| "eks-bootstrap verify".to_owned());
            for aspect in needed_by(*part) {
                if !self.results.contains_key(aspect) {
                    self.fail(*aspect, cause.clone(), &mend);
                }
            }
            if *part == Part::Namespace {
                self.end_rest("there is no namespace for it");
                return;
            }
        }
    }

    /// Looks at everything that is open until nothing is, the time is over, or a signal came.
    async fn wait(&mut self) {
        let mut told: BTreeMap<Aspect, (String, Instant)> = BTreeMap::new();
        let end = self.began + self.plan.options.timeout;
        let mut ticks = tokio::time::interval(BETWEEN);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let open = self.open();
            if open.is_empty() {
                return;
            }
            let looks = join_all(open.iter().map(|aspect| look(self.kube, self.plan, *aspect)));
            let looks = tokio::select! {
                looks = looks => looks,
                () = self.stops.first() => return self.end_rest("interrupted"),
            };
            let late = Instant::now() >= end;
            for (aspect, look) in open.into_iter().zip(looks) {
                // A read that fails may succeed a moment later, as long as there is time.
                let cause = match look {
                    Ok(Look::Met(seen)) => {
                        self.end(aspect, Ended::Ok(seen));
                        continue;
                    }
                    Ok(Look::Waiting(cause)) => cause,
                    Err(error) => crate::error::chain_of(&error).join(": "),
                };
                if late {
                    self.fail(aspect, cause, mend(aspect));
                    continue;
                }
                let news = told.get(&aspect).is_none_or(|(last, when)| *last != cause || when.elapsed() >= SIGN);
                if news {
                    let seconds = self.began.elapsed().as_secs_f64();
                    (self.tell)(Progress::Waiting { aspect, cause: cause.clone(), seconds });
                    told.insert(aspect, (cause, Instant::now()));
                }
            }
            tokio::select! {
                () = self.stops.first() => return self.end_rest("interrupted"),
                _ = ticks.tick() => {}
            }
        }
    }
}

/// Awaits the removal of `what`; when the program has to be over before it ends, all of it may be left.
async fn removed(stops: &Stops, what: &LeftOver, removal: impl Future<Output = Vec<String>>) -> Vec<String> {
    tokio::select! {
        left = removal => left,
        () = stops.nearly_over(LAST) => {
            let names = |kind: &'static str, names: &[String]| {
                names.iter().map(|name| format!("{kind}/{name} (its removal was broken off)")).collect::<Vec<_>>()
            };
            [names("Namespace", &what.namespaces), names("StorageClass", &what.classes)].concat()
        }
    }
}

/// The aspects that cannot work without a part.
fn needed_by(part: Part) -> &'static [Aspect] {
    match part {
        Part::Namespace => &[Aspect::Namespace],
        Part::Deployment => &[Aspect::Rollout, Aspect::Http, Aspect::Autoscaler, Aspect::DisruptionBudget],
        Part::Service | Part::Ingress => &[Aspect::Address, Aspect::Http],
        Part::Autoscaler => &[Aspect::Autoscaler],
        Part::DisruptionBudget => &[Aspect::DisruptionBudget],
        Part::StorageClass | Part::HeadlessService | Part::StatefulSet => &[Aspect::Volume],
    }
}

/// What to do about an aspect that did not come to work.
fn mend(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Namespace | Aspect::DisruptionBudget => "look at kube-controller-manager's health in the EKS console",
        Aspect::Rollout => "look at the pods' events; pass --smoke-image if nodes cannot pull the image",
        Aspect::Volume => "eks-bootstrap verify: its checks of identity and policy name the clause that is wrong",
        Aspect::Address => {
            "eks-bootstrap verify: its checks of identity, policy and subnets name the clause that is wrong"
        }
        Aspect::Http => "check the security groups between load balancer and pods, and that this machine reaches it",
        Aspect::Autoscaler => "look at metrics-server: kubectl top pods must answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::stop::{Heard, Stop};

    #[test]
    fn every_aspect_needs_some_part() {
        let parts = [
            Part::Namespace,
            Part::Deployment,
            Part::Service,
            Part::Ingress,
            Part::Autoscaler,
            Part::DisruptionBudget,
            Part::StatefulSet,
        ];
        let needed: BTreeSet<_> = parts.into_iter().flat_map(needed_by).copied().collect();
        assert_eq!(needed, Aspect::ALL.into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_removal_that_hangs_is_broken_off_in_time_and_named() {
        let (sender, stops) = Stops::by_hand();
        let now = tokio::time::Instant::now();
        sender.send_replace(Some(Heard::after(None, Stop::Terminated, now)));
        let what = LeftOver { namespaces: vec!["n".to_owned()], classes: vec!["c".to_owned()] };
        let left = removed(&stops, &what, std::future::pending()).await;
        assert_eq!(left.len(), 2);
        assert!(left[0].starts_with("Namespace/n (") && left[1].starts_with("StorageClass/c ("), "{left:?}");
        assert!(now.elapsed() < Duration::from_secs(9));
    }
}
