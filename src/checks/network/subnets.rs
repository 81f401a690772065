//! Subnets of the VPC: which ones load balancers find by their tags, in which zones they lie, and whether there is room.
//!
//! An Application Load Balancer needs two zones, and the controller takes one subnet a zone with at least eight free addresses.
//! <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/subnet_discovery/>

use std::collections::BTreeSet;

use crate::check::{Finding, Scene};
use crate::checks::network::{FOREIGN, ROLES};
use crate::context::{Facts, ReadContext};
use crate::error::Result;
use crate::object::some_of;
use crate::read::ec2::Subnet;

/// For whom a load balancer is, and what says so.
struct Scheme {
    name: &'static str,
    role: &'static str,
    public: bool,
}

const SCHEMES: [Scheme; 2] = [
    Scheme { name: "internet-facing", role: "kubernetes.io/role/elb", public: true },
    Scheme { name: "internal", role: "kubernetes.io/role/internal-elb", public: false },
];
const CLUSTER: &str = "kubernetes.io/cluster/";

/// Zones that an Application Load Balancer needs.
const ZONES: usize = 2;

/// Free addresses that the controller asks of a subnet.
const ROOM: i32 = 8;

/// Reads the subnets of the cluster's VPC.
///
/// # Errors
/// A read that failed.
pub(in crate::checks) async fn cluster_subnets(scene: &Scene<'_>) -> Result<Vec<Subnet>> {
    of_cluster(scene.cx).await
}

/// The same for who has no scene.
pub(super) async fn of_cluster(cx: &ReadContext) -> Result<Vec<Subnet>> {
    cx.ec2.subnets(&cx.facts.vpc).await
}

/// Ids of subnets for load balancers inside the VPC: the ones that endpoints belong into.
pub(in crate::checks) fn private(subnets: &[Subnet]) -> Vec<String> {
    ids(subnets.iter().filter(|subnet| has_role(subnet, SCHEMES[1].role)))
}

fn has_role(subnet: &Subnet, role: &str) -> bool {
    // The controller takes 1 and the empty text.
    subnet.tags.get(role).is_some_and(|value| matches!(value.as_str(), "" | "1"))
}

/// Whether a subnet is tagged for other clusters and not for this one, so that the controller leaves it out.
fn is_foreign(subnet: &Subnet, cluster: &str) -> bool {
    let own = format!("{CLUSTER}{cluster}");
    !subnet.tags.contains_key(&own) && subnet.tags.keys().any(|key| key.starts_with(CLUSTER))
}

fn ids<'a>(subnets: impl Iterator<Item = &'a Subnet>) -> Vec<String> {
    subnets.map(|subnet| subnet.id.clone()).collect()
}

fn zones<'a>(subnets: impl Iterator<Item = &'a Subnet>) -> BTreeSet<&'a str> {
    subnets.map(|subnet| subnet.zone.as_str()).collect()
}

fn list(zones: &BTreeSet<&str>) -> String {
    if zones.is_empty() { "no zone".to_owned() } else { zones.iter().copied().collect::<Vec<_>>().join(", ") }
}

/// The findings about role tags, zones, room and foreign tags.
pub(super) fn judge(subnets: &[Subnet], facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<_> =
        SCHEMES.iter().map(|scheme| of_scheme(subnets, facts, scheme).about(scheme.name)).collect();
    let foreign = ids(subnets.iter().filter(|subnet| is_foreign(subnet, &facts.cluster)));
    let meant: Vec<_> = foreign.iter().filter(|id| facts.subnets.contains(id)).cloned().collect();
    findings.push(if meant.is_empty() {
        FOREIGN.passed(format!("{} subnets of the cluster, none for other clusters only", facts.subnets.len()))
    } else {
        let own = format!("{CLUSTER}{}", facts.cluster);
        let says = format!("subnets are tagged for other clusters only: {}", some_of(&meant));
        let mend = tag(&meant, &own, "shared");
        FOREIGN.failed(says, format!("{} without {own}", meant.len()), format!("{own}=shared on each"), mend)
    });
    findings
}

fn tag(subnets: &[String], key: &str, value: &str) -> String {
    format!("aws ec2 create-tags --resources {} --tags Key={key},Value={value}", subnets.join(" "))
}

fn of_scheme(subnets: &[Subnet], facts: &Facts, scheme: &Scheme) -> Finding {
    let Scheme { name, role, public } = scheme;
    let usable: Vec<_> = subnets.iter().filter(|subnet| !is_foreign(subnet, &facts.cluster)).collect();
    let tagged: Vec<_> = usable.iter().copied().filter(|subnet| has_role(subnet, role)).collect();
    let roomy = zones(tagged.iter().copied().filter(|subnet| subnet.free >= ROOM));
    if roomy.len() >= ZONES {
        return ROLES.passed(format!("{} subnets for {name} load balancers, in {}", tagged.len(), list(&roomy)));
    }
    // Subnets of the right kind that nobody has given another role.
    let other = |subnet: &Subnet| SCHEMES.iter().any(|other| other.role != *role && has_role(subnet, other.role));
    let candidates: Vec<_> = usable
        .iter()
        .copied()
        .filter(|subnet| subnet.public == *public && !has_role(subnet, role) && !other(subnet))
        .collect();
    if tagged.is_empty() && candidates.is_empty() {
        return ROLES.passed(format!("no subnet is meant for {name} load balancers"));
    }
    let expected = format!("{role}=1 on subnets in {ZONES} zones, each with {ROOM} free addresses");
    let full: Vec<_> = tagged.iter().filter(|subnet| subnet.free < ROOM).collect();
    if zones(tagged.iter().copied()).len() >= ZONES && !full.is_empty() {
        let names: Vec<_> = full.iter().map(|subnet| format!("{} ({} free)", subnet.id, subnet.free)).collect();
        let says = format!("subnets for {name} load balancers are full: {}", some_of(&names));
        let mend = format!("aws ec2 describe-network-interfaces --filters Name=subnet-id,Values={}", full[0].id);
        return ROLES.failed(says, format!("room in {}", list(&roomy)), expected, mend);
    }
    let observed = format!("{role} in {} ({} of {} subnets)", list(&roomy), tagged.len(), subnets.len());
    let says = format!("{name} load balancers find no subnets by tag in two zones");
    let mend = if candidates.is_empty() {
        // Nothing is there to be tagged: the VPC lacks a subnet of that kind in another zone.
        format!("aws ec2 describe-subnets --filters Name=vpc-id,Values={}", facts.vpc)
    } else {
        tag(&ids(candidates.into_iter()), role, "1")
    };
    ROLES.failed(says, observed, expected, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    const ELB: &str = SCHEMES[0].role;
    const INTERNAL: &str = SCHEMES[1].role;

    fn subnet(id: &str, zone: &str, public: bool, tags: &[&str]) -> Subnet {
        let tags = tags.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect();
        Subnet { id: id.to_owned(), zone: zone.to_owned(), free: 100, tags, public, ranges: Vec::new() }
    }

    fn facts() -> Facts {
        let subnets = vec!["a".to_owned(), "b".to_owned()];
        Facts { vpc: "vpc-1".to_owned(), subnets, ..crate::context::tests::facts() }
    }

    fn mend(subnets: &[Subnet], place: usize) -> String {
        match of_scheme(subnets, &facts(), &SCHEMES[place]).verdict {
            Verdict::Failed { mend, .. } => mend,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn tags_and_zones_decide_and_what_is_missing_is_named() {
        let private = [subnet("c", "1a", false, &[INTERNAL]), subnet("d", "1b", false, &[INTERNAL])];
        let with = |public: &[Subnet]| [&private[..], public].concat();
        assert_eq!(mend(&with(&[subnet("a", "1a", true, &[ELB]), subnet("b", "1b", true, &[ELB])]), 0), "Passed");
        let bare = with(&[subnet("a", "1a", true, &[]), subnet("b", "1b", true, &[])]);
        assert_eq!(mend(&bare, 0), "aws ec2 create-tags --resources a b --tags Key=kubernetes.io/role/elb,Value=1");
        assert_eq!(mend(&bare, 1), "Passed");
        assert_eq!(mend(&private, 0), "Passed", "a private cluster");
        let one_zone = with(&[subnet("a", "1a", true, &[ELB]), subnet("b", "1a", true, &[ELB])]);
        assert_eq!(mend(&one_zone, 0), "aws ec2 describe-subnets --filters Name=vpc-id,Values=vpc-1");
        let half = with(&[subnet("a", "1a", true, &[ELB]), subnet("b", "1b", true, &[])]);
        assert_eq!(mend(&half, 0), "aws ec2 create-tags --resources b --tags Key=kubernetes.io/role/elb,Value=1");
        let full = with(&[subnet("a", "1a", true, &[ELB]), Subnet { free: 3, ..subnet("b", "1b", true, &[ELB]) }]);
        assert_eq!(mend(&full, 0), "aws ec2 describe-network-interfaces --filters Name=subnet-id,Values=b");
        assert_eq!(super::private(&with(&[])), ["c", "d"]);
    }

    #[test]
    fn tags_of_other_clusters_count_where_ours_is_missing() {
        let shared = [subnet("a", "1a", false, &["kubernetes.io/cluster/other", "kubernetes.io/cluster/demo"])];
        let foreign = [subnet("a", "1a", false, &["kubernetes.io/cluster/other"])];
        let elsewhere = [subnet("z", "1a", false, &["kubernetes.io/cluster/other"])];
        let last = |subnets: &[Subnet]| judge(subnets, &facts()).pop().unwrap();
        assert_eq!(last(&shared).severity(), None);
        assert!(last(&foreign).severity().is_some());
        assert_eq!(last(&elsewhere).severity(), None, "a subnet that the cluster was not given");
    }
}
