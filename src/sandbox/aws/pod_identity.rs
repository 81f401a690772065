//! Pod Identity beyond the API of EKS: which service accounts the cluster's webhook knows an association of, and the role
//! that EKS Auth would assume for their pods. Associations spread with the delay of everything else, in both directions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Simulator;
use super::eks::cluster::Cluster;
use super::error::{ApiError, Result};
use super::iam::role::Role;
use super::trust::{self, Question, Who};
use super::world::World;

impl Simulator {
    /// Whether the webhook of a cluster knows an association of a service account.
    pub fn pod_is_associated(&self, cluster: &str, namespace: &str, service_account: &str) -> bool {
        let now = self.0.clock.now();
        let state = self.state();
        let world = &state.world;
        named(world, cluster).is_some_and(|cluster| {
            cluster.associated_role(namespace, service_account, world.lag, now).is_some()
                || cluster.recently_associated(namespace, service_account, world.lag, now)
        })
    }

    /// Whether a cluster has an add-on that is ACTIVE.
    pub fn addon_is_active(&self, cluster: &str, addon: &str) -> bool {
        let now = self.0.clock.now();
        let state = self.state();
        named(&state.world, cluster).is_some_and(|cluster| cluster.addon_status(addon, now) == Some("ACTIVE"))
    }
}

fn named<'a>(world: &'a World, name: &str) -> Option<&'a Cluster> {
    world.clusters.values().find(|cluster| cluster.name == name)
}

/// The role that EKS Auth assumes for a pod, if its trust policy lets it.
pub(super) fn role_for_pod<'a>(
    world: &'a World,
    now: Timestamp,
    cluster: &str,
    namespace: &str,
    service_account: &str,
) -> Result<&'a Role> {
    let denied = |text: String| ApiError::new("AccessDeniedException", 400, text);
    let cluster = named(world, cluster).ok_or_else(|| ApiError::not_found(format!("No cluster found: {cluster}")))?;
    let arn = cluster.associated_role(namespace, service_account, world.lag, now).ok_or_else(|| {
        ApiError::not_found(format!("No association found for {namespace}/{service_account} in {}", cluster.name))
    })?;
    let unassumable =
        || denied("Unauthorized Exception! EKS does not have permissions to assume the associated role.".to_owned());
    let role = world.roles.values().find(|role| role.arn == arn).ok_or_else(unassumable)?;
    let trust = role.trust_seen_by_sts(world, now).ok_or_else(unassumable)?;
    // EKS tags the session, and must be let do both. <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html>
    let tags = [
        ("eks-cluster-arn", cluster.arn.as_str()),
        ("eks-cluster-name", &cluster.name),
        ("kubernetes-namespace", namespace),
        ("kubernetes-service-account", service_account),
    ];
    let keys: BTreeMap<_, _> =
        tags.iter().map(|(tag, value)| (format!("aws:requesttag/{tag}"), vec![(*value).to_owned()])).collect();
    for action in ["sts:AssumeRole", "sts:TagSession"] {
        let who = Who::Service("pods.eks.amazonaws.com");
        let question = Question { action: action.to_owned(), who, keys: keys.clone() };
        if !trust::allows(trust, &question).map_err(|what| ApiError::not_implemented(&what))? {
            return Err(unassumable());
        }
    }
    Ok(role)
}
