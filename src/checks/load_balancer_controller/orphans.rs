//! Load balancers in AWS whose Ingress, Service or Gateway is gone: by the tags that the controller sets, against the objects
//! of the cluster.

use std::collections::BTreeSet;

use crate::check::{Finding, Scene};
use crate::checks::load_balancer_controller::ORPHANS;
use crate::dependants::{alb_classes, is_alb};
use crate::error::Result;
use crate::object::{full_name, text};
use crate::read::tagging::{Tagged, Tags};

pub(super) async fn look(scene: &Scene<'_>) -> Result<Finding> {
    let (kube, facts) = (&scene.cx.kube, &scene.cx.facts);
    let tag = "elbv2.k8s.aws/cluster";
    let balancers = scene.cx.tagging.tagged(tag, &facts.cluster, Some("elasticloadbalancing:loadbalancer")).await?;
    if balancers.is_empty() {
        return Ok(ORPHANS.passed("no load balancer of this cluster in AWS"));
    }
    let (classes, ingresses, services, gateways) = futures::try_join!(
        kube.list("networking.k8s.io/v1", "IngressClass", "", ""),
        kube.list("networking.k8s.io/v1", "Ingress", "", ""),
        kube.list("v1", "Service", "", ""),
        kube.list("gateway.networking.k8s.io/v1", "Gateway", "", ""),
    )?;
    let classes = alb_classes(&classes);
    let mut stacks = BTreeSet::new();
    for ingress in ingresses.iter().filter(|ingress| is_alb(ingress, &classes)) {
        stacks.insert(full_name(ingress));
        let group = text(ingress, "/metadata/annotations/alb.ingress.kubernetes.io~1group.name");
        stacks.insert(group.to_owned());
    }
    stacks.extend(services.iter().filter(|service| text(service, "/spec/type") == "LoadBalancer").map(full_name));
    stacks.extend(gateways.iter().map(full_name));
    let orphans: Vec<_> = balancers.iter().filter(|found| is_orphan(&found.tags, &stacks)).collect();
    let Some(Tagged { arn, tags }) = orphans.first() else {
        return Ok(ORPHANS.passed(format!("{} load balancers in AWS, all with their object", balancers.len())));
    };
    let stack = stack(tags).unwrap_or("an object without a name").to_owned();
    let says = format!("{} of {} load balancers in AWS have no object any more", orphans.len(), balancers.len());
    let mend = format!("aws elbv2 delete-load-balancer --load-balancer-arn {arn}");
    Ok(ORPHANS.failed(says, format!("{arn} of {stack}"), "an Ingress, Service or Gateway for each", mend))
}

/// The Ingress, group, Service or Gateway for which the controller made a load balancer.
fn stack(tags: &Tags) -> Option<&str> {
    let keys =
        ["ingress.k8s.aws/stack", "service.k8s.aws/stack", "gateway.k8s.aws.alb/stack", "gateway.k8s.aws.nlb/stack"];
    keys.iter().find_map(|key| tags.get(*key)).map(String::as_str)
}

/// One without such a tag is not judged.
fn is_orphan(tags: &Tags, stacks: &BTreeSet<String>) -> bool {
    stack(tags).is_some_and(|stack| !stacks.contains(stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_belongs_to_the_object_of_its_tag() {
        let tags = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
        let stacks = BTreeSet::from(["default/shop".to_owned(), "group".to_owned()]);
        assert!(!is_orphan(&tags("ingress.k8s.aws/stack", "default/shop"), &stacks));
        assert!(!is_orphan(&tags("ingress.k8s.aws/stack", "group"), &stacks));
        assert!(is_orphan(&tags("service.k8s.aws/stack", "default/gone"), &stacks));
        assert!(!is_orphan(&tags("Name", "x"), &stacks));
    }
}
