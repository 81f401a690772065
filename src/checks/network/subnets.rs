//! Subnets of the cluster by their tags: which load balancers find them.
//!
//! Which subnets the VPC has, where they lie and where their routes lead is EC2's knowledge; the cluster's own subnets and
//! those that carry its tag are what can be judged here.

use std::collections::BTreeMap;

use crate::check::{Finding, Scene};
use crate::checks::network::{FOREIGN, ROLES};
use crate::context::{Facts, ReadContext};
use crate::error::Result;
use crate::names;
use crate::object::some_of;
use crate::read::tagging::Tags;

/// The tag of subnets for load balancers of the internet, and of those inside the VPC.
const ROLE: [(&str, &str); 2] =
    [("internet-facing", "kubernetes.io/role/elb"), ("internal", "kubernetes.io/role/internal-elb")];
const CLUSTER: &str = "kubernetes.io/cluster/";

/// The subnets that are known to be the cluster's, by id, and how many others of the region have a role tag.
pub(in crate::checks) struct Subnets {
    ours: BTreeMap<String, Tags>,
    others: usize,
}

/// Reads them.
///
/// # Errors
/// A read that failed.
pub(in crate::checks) async fn cluster_subnets(scene: &Scene<'_>) -> Result<Subnets> {
    of_cluster(scene.cx).await
}

/// The same for who has no scene.
pub(super) async fn of_cluster(cx: &ReadContext) -> Result<Subnets> {
    let facts = &cx.facts;
    let tagged = cx.tagging.all("ec2:subnet").await?;
    Ok(Subnets::of(&facts.subnets, tagged, &facts.cluster))
}

fn has_role(tags: &Tags, role: &str) -> bool {
    // The controller takes 1 and the empty text.
    tags.get(role).is_some_and(|value| matches!(value.as_str(), "" | "1"))
}

impl Subnets {
    /// `configured` are ids, `tagged` are by ARN.
    fn of(configured: &[String], tagged: BTreeMap<String, Tags>, cluster: &str) -> Subnets {
        let own = format!("{CLUSTER}{cluster}");
        let mut ours: BTreeMap<_, _> = configured.iter().map(|id| (id.clone(), Tags::new())).collect();
        let mut others = 0;
        for (arn, tags) in tagged {
            let id = names::last_part(&arn);
            if ours.contains_key(id) || tags.contains_key(&own) {
                ours.insert(id.to_owned(), tags);
            } else if ROLE.iter().any(|(_, role)| has_role(&tags, role)) {
                others += 1;
            }
        }
        Subnets { ours, others }
    }

    /// Ids of subnets with a tag.
    fn with(&self, role: &str) -> Vec<String> {
        self.ours.iter().filter(|(_, tags)| has_role(tags, role)).map(|(id, _)| id.clone()).collect()
    }

    /// Ids of subnets for load balancers inside the VPC: the ones that endpoints belong into.
    pub(in crate::checks) fn private(&self) -> Vec<String> {
        self.with(ROLE[1].1)
    }

    /// Ids of subnets without a role.
    fn untagged(&self) -> Vec<String> {
        let none = |tags: &Tags| !ROLE.iter().any(|(_, role)| has_role(tags, role));
        self.ours.iter().filter(|(_, tags)| none(tags)).map(|(id, _)| id.clone()).collect()
    }
}

/// The findings about role tags and foreign tags.
pub(super) fn judge(subnets: &Subnets, facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<_> =
        ROLE.iter().map(|(scheme, role)| role_of(subnets, facts, scheme, role).about(*scheme)).collect();
    let own = format!("{CLUSTER}{}", facts.cluster);
    let foreign: Vec<_> = subnets
        .ours
        .iter()
        .filter(|(_, tags)| !tags.contains_key(&own) && tags.keys().any(|key| key.starts_with(CLUSTER)))
        .map(|(id, _)| id.clone())
        .collect();
    findings.push(if foreign.is_empty() {
        FOREIGN.passed(format!("{} subnets, none for other clusters only", subnets.ours.len()))
    } else {
        let says = format!("subnets are tagged for other clusters only: {}", some_of(&foreign));
        let mend = tag(&foreign, &own, "shared");
        FOREIGN.failed(says, format!("{} without {own}", foreign.len()), format!("{own}=shared on each"), mend)
    });
    findings
}

fn tag(subnets: &[String], key: &str, value: &str) -> String {
    format!("aws ec2 create-tags --resources {} --tags Key={key},Value={value}", subnets.join(" "))
}

fn role_of(subnets: &Subnets, facts: &Facts, scheme: &str, role: &str) -> Finding {
    let tagged = subnets.with(role);
    let unread = "zones and free addresses are EC2's and not read";
    if tagged.len() >= 2 {
        return ROLES.passed(format!("{} subnets for {scheme} load balancers ({unread})", tagged.len()));
    }
    let others = match subnets.others {
        0 => String::new(),
        others => format!("; {others} more in the region have a role, of a VPC that the tagging API does not name"),
    };
    let observed = format!("{role} on {} of {} subnets{others}", tagged.len(), subnets.ours.len());
    let expected = format!("{role}=1 on two subnets in different zones");
    let says = format!("{scheme} load balancers find no subnets by tag");
    let untagged = subnets.untagged();
    let one_kind_is_missing = ROLE.iter().filter(|(_, other)| subnets.with(other).len() < 2).count() == 1;
    if tagged.is_empty() && untagged.is_empty() {
        // Every subnet has the other role, as in a private cluster.
        return ROLES.passed(format!("no subnet is meant for {scheme} load balancers"));
    }
    let mend = if one_kind_is_missing && untagged.len() >= 2 {
        tag(&untagged, role, "1")
    } else {
        // Which subnets are public is said by their routes only.
        format!(
            "aws ec2 describe-route-tables --filters Name=vpc-id,Values={} --query \
             RouteTables[].[Associations[].SubnetId,Routes[].GatewayId]",
            facts.vpc
        )
    };
    ROLES.failed(says, observed, expected, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(tags: &[(&str, &[&str])]) -> Subnets {
        let configured: Vec<_> = tags.iter().map(|(id, _)| (*id).to_owned()).collect();
        let tagged = tags
            .iter()
            .map(|(id, keys)| {
                let tags = keys.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect();
                (format!("arn:aws:ec2:eu-west-1:111122223333:subnet/{id}"), tags)
            })
            .collect();
        Subnets::of(&configured, tagged, "demo")
    }

    const ELB: &str = ROLE[0].1;
    const INTERNAL: &str = ROLE[1].1;

    fn mend(subnets: &Subnets, place: usize) -> String {
        let facts = facts();
        match role_of(subnets, &facts, ROLE[place].0, ROLE[place].1).verdict {
            crate::check::Verdict::Failed { mend, .. } => mend,
            other => format!("{other:?}"),
        }
    }

    fn facts() -> Facts {
        Facts { vpc: "vpc-1".to_owned(), ..crate::context::tests::facts() }
    }

    #[test]
    fn tags_decide_and_what_is_missing_is_named() {
        let sound = subnets(&[("a", &[ELB]), ("b", &[ELB]), ("c", &[INTERNAL]), ("d", &[INTERNAL])]);
        assert_eq!(mend(&sound, 0), "Passed");
        let public = subnets(&[("a", &[]), ("b", &[]), ("c", &[INTERNAL]), ("d", &[INTERNAL])]);
        assert_eq!(mend(&public, 0), "aws ec2 create-tags --resources a b --tags Key=kubernetes.io/role/elb,Value=1");
        assert_eq!(mend(&public, 1), "Passed");
        let private = subnets(&[("c", &[INTERNAL]), ("d", &[INTERNAL])]);
        assert_eq!(mend(&private, 0), "Passed", "a private cluster");
        let bare = subnets(&[("a", &[]), ("b", &[])]);
        assert!(mend(&bare, 0).starts_with("aws ec2 describe-route-tables --filters Name=vpc-id,Values=vpc-1 "));
    }

    #[test]
    fn tags_of_other_clusters_count_where_ours_is_missing() {
        let shared = subnets(&[("a", &["kubernetes.io/cluster/other", "kubernetes.io/cluster/demo"]), ("b", &[])]);
        let foreign = subnets(&[("a", &["kubernetes.io/cluster/other"]), ("b", &[])]);
        let last = |subnets: &Subnets| judge(subnets, &facts()).pop().unwrap();
        assert_eq!(last(&shared).severity(), None);
        assert!(last(&foreign).severity().is_some());
    }
}
