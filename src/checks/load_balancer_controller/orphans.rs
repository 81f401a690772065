//! Load balancers in AWS whose Ingress, Service or Gateway is gone: by the tags that the controller sets, against the objects
//! of the cluster, and confirmed by Elastic Load Balancing.

use crate::check::{Finding, Scene, Verdict};
use crate::checks::load_balancer_controller::ORPHANS;
use crate::dependants;
use crate::dependants::in_aws::{self, Reach, Unconfirmed};
use crate::error::Result;
use crate::op::shell::quote;
use crate::read::tagging::Tags;

pub(super) async fn look(scene: &Scene<'_>) -> Result<Finding> {
    let cx = scene.cx;
    let shown = in_aws::load_balancers(cx, Reach::Region).await?.only(":loadbalancer/");
    if shown.is_empty() {
        return Ok(ORPHANS.passed("no load balancer of this cluster in AWS"));
    }
    let objects = dependants::of_load_balancers(&cx.kube).await?;
    let found = shown.confirmed(cx).await?;
    let (all, alone) = (found.things.len(), in_aws::orphans(&found.things, &objects));
    // One without a tag of its object is not judged.
    let orphans = found.things.iter().filter(|thing| alone.contains(&thing.arn) && stack(&thing.tags).is_some());
    let orphans: Vec<_> = orphans.collect();
    if let Some(orphan) = orphans.first() {
        let says = format!("{} of {all} load balancers in AWS have no object any more", orphans.len());
        let mend = format!("aws elbv2 delete-load-balancer --load-balancer-arn {}", quote(&orphan.arn));
        let observed = format!("{} of {}", orphan.arn, stack(&orphan.tags).unwrap_or("an object without a name"));
        return Ok(ORPHANS.failed(says, observed, "an Ingress, Service or Gateway for each", mend));
    }
    match found.unconfirmed.iter().find(|thing| thing.permission.is_some()) {
        Some(Unconfirmed { arn, reason, .. }) => {
            let verdict = Verdict::Unknown { reason: format!("{arn} is unconfirmed: {reason}"), mend: None };
            Ok(Finding { verdict, ..ORPHANS.passed(ORPHANS.title) })
        }
        None if all == 0 => Ok(ORPHANS.passed("no load balancer of this cluster in AWS")),
        None => Ok(ORPHANS.passed(format!("{all} load balancers in AWS, all with their object"))),
    }
}

/// The Ingress, group, Service or Gateway for which the controller made a load balancer.
fn stack(tags: &Tags) -> Option<&str> {
    tags.iter().find(|(key, _)| key.contains("k8s.aws") && key.ends_with("/stack")).map(|tag| tag.1.as_str())
}
