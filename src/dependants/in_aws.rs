//! What the controllers keep in AWS, by their tags, and which of it an object of the cluster explains. What none explains is
//! nobody's any more: no controller will delete it. Called by the drain step and by `destroy` before it asks.

use std::collections::BTreeSet;

use crate::context::ReadContext;
use crate::dependants::{Dependant, Volume};
use crate::error::Result;
use crate::names::last_part;
use crate::read::tagging::Tagged;

/// The tag of the AWS Load Balancer Controller on everything that it makes for a cluster.
pub const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";

/// Everything that the load balancer controller made for the cluster.
///
/// # Errors
/// A read that failed.
pub async fn load_balancers(cx: &ReadContext) -> Result<Vec<Tagged>> {
    cx.tagging.tagged(CLUSTER_TAG, &cx.facts.cluster, None).await
}

/// Volumes, by the EBS driver's tag and by the one that older drivers and the in-tree plugin set, which others than volumes
/// carry too.
///
/// # Errors
/// A read that failed.
pub async fn volumes(cx: &ReadContext) -> Result<Vec<Tagged>> {
    let cluster = &cx.facts.cluster;
    let owned = format!("kubernetes.io/cluster/{cluster}");
    let (newer, older) = futures::try_join!(
        cx.tagging.tagged("ebs.csi.aws.com/cluster-name", cluster, None),
        cx.tagging.tagged(&owned, "owned", Some("ec2:volume")),
    )?;
    Ok(newer.into_iter().chain(older).collect())
}

/// Whether an object of the cluster explains why this exists.
pub fn explains(dependant: &Dependant, tagged: &Tagged) -> bool {
    // One security group is shared by all load balancers and goes with the last of them.
    let shared = tagged.tags.get("elbv2.k8s.aws/resource").is_some_and(|value| value == "backend-sg");
    shared || dependant.stacks.iter().any(|(key, value)| tagged.tags.get(key) == Some(value))
}

/// The ARNs that no object explains.
pub fn unexplained(tagged: &[Tagged], dependants: &[Dependant]) -> BTreeSet<String> {
    let alone = tagged.iter().filter(|tagged| !dependants.iter().any(|dependant| explains(dependant, tagged)));
    alone.map(|tagged| tagged.arn.clone()).collect()
}

/// The ARNs of volumes that no PersistentVolume stands for.
pub fn volumes_without_object(tagged: &[Tagged], volumes: &[Volume]) -> BTreeSet<String> {
    let alone = tagged.iter().filter(|tagged| !volumes.iter().any(|volume| last_part(&tagged.arn) == volume.id));
    alone.map(|tagged| tagged.arn.clone()).collect()
}

/// An ARN without what is the same for all: `loadbalancer/app/k8s-shop/0123`.
pub fn short(arn: &str) -> &str {
    arn.splitn(6, ':').last().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::kube::ObjectRef;

    fn tagged(arn: &str, tags: &[(&str, &str)]) -> Tagged {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Tagged { arn: arn.to_owned(), tags }
    }

    #[test]
    fn only_what_an_object_explains_will_be_deleted() {
        let shop = Dependant {
            object: ObjectRef::new("networking.k8s.io/v1", "Ingress", "shop", "web"),
            uid: String::new(),
            stacks: [("ingress.k8s.aws/stack".to_owned(), "shop/web".to_owned())].into(),
            derived: false,
            going: false,
            finalizers: Vec::new(),
        };
        let all = [
            tagged("arn:a", &[("ingress.k8s.aws/stack", "shop/web")]),
            tagged("arn:b", &[("service.k8s.aws/stack", "shop/web")]),
            tagged("arn:c", &[("elbv2.k8s.aws/resource", "backend-sg")]),
            tagged("arn:d", &[]),
        ];
        let names = |dependants: &[Dependant]| unexplained(&all, dependants).into_iter().collect::<Vec<_>>();
        assert_eq!(names(&[shop]), ["arn:b", "arn:d"]);
        assert_eq!(names(&[]).len(), 4);
    }

    #[test]
    fn volumes_are_matched_by_id() {
        let volume = |id: &str| Volume { id: id.to_owned(), shown: String::new() };
        let all = [tagged("arn:aws:ec2:r:1:volume/vol-1", &[]), tagged("arn:aws:ec2:r:1:volume/vol-12", &[])];
        let alone = volumes_without_object(&all, &[volume("vol-1")]);
        assert_eq!(alone.into_iter().collect::<Vec<_>>(), ["arn:aws:ec2:r:1:volume/vol-12"]);
        assert_eq!(short("arn:aws:elasticloadbalancing:r:1:loadbalancer/app/x/0"), "loadbalancer/app/x/0");
        assert_eq!(short("arn:aws:ec2:r:1:volume/vol-1"), "volume/vol-1");
    }
}
