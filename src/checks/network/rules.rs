//! Whether the rules of security groups let the control plane through to a port of a node. Pure.
//!
//! Rules only allow, and those of all groups of an interface count together
//! (<https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html>). The control plane's interfaces lie in the cluster's
//! subnets and carry the cluster's security group and those that were named when it was created
//! (<https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html>).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::read::ec2::{Group, Rule};

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    /// `10.0.0.0/16`, or an address, which is a range of one.
    pub(super) fn parse(text: &str) -> Option<Network> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().ok()?;
        let length = match length {
            Some(length) => length.parse().ok()?,
            None => width(address),
        };
        (length <= width(address)).then_some(Network { address, length })
    }

    fn bits(self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    fn covers(self, other: Network) -> bool {
        let rest = width(self.address) - self.length.min(width(self.address));
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.length <= other.length
            && (self.bits() ^ other.bits()).checked_shr(rest).unwrap_or(0) == 0
    }

    pub(super) fn is_six(self) -> bool {
        self.address.is_ipv6()
    }

    fn overlaps(self, other: Network) -> bool {
        self.covers(other) || other.covers(self)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whoever is at one end of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// Its security groups.
    pub(super) groups: BTreeSet<String>,
    /// Where its addresses lie.
    pub(super) networks: Vec<Network>,
}

/// Which rules would have to be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// One that lets the connection into the node.
    pub(super) ingress: bool,
    /// One that lets it out of the control plane.
    pub(super) egress: bool,
}

/// What the rules say about a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// It is open.
    Open,
    /// It may be: why that is not known.
    Unsure(String),
    /// It is closed.
    Closed(Missing),
}

/// What one direction allows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Yes,
    Perhaps(String),
    No,
}

/// Whether `from` reaches `port` of `to`, by the rules of their groups.
pub(super) fn way(from: &End, to: &End, port: u16, rules: &BTreeMap<String, Group>) -> Way {
    let ingress = allowed(&to.groups, from, port, rules, |group| &group.ingress);
    let egress = allowed(&from.groups, to, port, rules, |group| &group.egress);
    match (ingress, egress) {
        (Allowed::No, egress) => Way::Closed(Missing { ingress: true, egress: egress == Allowed::No }),
        (_, Allowed::No) => Way::Closed(Missing { ingress: false, egress: true }),
        (Allowed::Perhaps(why), _) | (_, Allowed::Perhaps(why)) => Way::Unsure(why),
        (Allowed::Yes, Allowed::Yes) => Way::Open,
    }
}

/// What the rules of `groups` in one direction say about `other` at the far end.
fn allowed(
    groups: &BTreeSet<String>,
    other: &End,
    port: u16,
    known: &BTreeMap<String, Group>,
    direction: fn(&Group) -> &[Rule],
) -> Allowed {
    let unread = groups.iter().find(|id| !known.contains_key(*id));
    let rules = groups.iter().filter_map(|id| known.get(id)).flat_map(direction);
    let rules: Vec<_> = rules.filter(|rule| covers(rule, port)).collect();
    if rules.iter().any(|rule| rule.groups.iter().any(|id| other.groups.contains(id))) {
        return Allowed::Yes;
    }
    let ranges: Vec<_> = rules.iter().flat_map(|rule| &rule.ranges).filter_map(|text| Network::parse(text)).collect();
    let everywhere = |network: &Network| ranges.iter().any(|range| range.covers(*network));
    let open = if other.networks.is_empty() {
        // Where the addresses lie could not be read.
        ranges.iter().any(|range| range.length == 0)
    } else {
        other.networks.iter().all(everywhere)
    };
    if open {
        return Allowed::Yes;
    }
    if let Some(list) = rules.iter().flat_map(|rule| &rule.prefix_lists).next() {
        return Allowed::Perhaps(format!("prefix list {list} may cover it, which is not read"));
    }
    let some = rules.iter().flat_map(|rule| &rule.ranges).find(|text| {
        let range = Network::parse(text);
        range.is_none_or(|range| other.networks.is_empty() || other.networks.iter().any(|it| range.overlaps(*it)))
    });
    match (some, unread) {
        (Some(range), _) => Allowed::Perhaps(format!("{range} covers a part of the addresses")),
        (None, Some(group)) => Allowed::Perhaps(format!("security group {group} could not be found")),
        (None, None) => Allowed::No,
    }
}

/// Whether a rule is about a TCP port.
fn covers(rule: &Rule, port: u16) -> bool {
    let port = i64::from(port);
    match rule.protocol.as_str() {
        "-1" => true,
        "tcp" | "6" => rule.from.is_none_or(|from| from <= port) && rule.to.is_none_or(|to| port <= to),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn end(groups: &[&str], networks: &[&str]) -> End {
        End {
            groups: groups.iter().map(|id| (*id).to_owned()).collect(),
            networks: networks.iter().map(|text| network(text)).collect(),
        }
    }

    fn rule(protocol: &str, ports: Option<(i64, i64)>) -> Rule {
        Rule { protocol: protocol.to_owned(), from: ports.map(|it| it.0), to: ports.map(|it| it.1), ..Rule::default() }
    }

    fn from_group(rule: Rule, group: &str) -> Rule {
        Rule { groups: vec![group.to_owned()], ..rule }
    }

    fn from_range(range: &str) -> Rule {
        Rule { ranges: vec![range.to_owned()], ..rule("tcp", Some((9443, 9443))) }
    }

    fn everything() -> Rule {
        Rule { ranges: vec!["0.0.0.0/0".to_owned()], ..rule("-1", None) }
    }

    /// The way from the control plane (`sg-cluster`, `sg-extra`) to a node of `sg-node`.
    fn to_node(ingress: Vec<Rule>, egress: Vec<Rule>) -> Way {
        let rules = BTreeMap::from([
            ("sg-cluster".to_owned(), Group { ingress: Vec::new(), egress }),
            ("sg-extra".to_owned(), Group::default()),
            ("sg-node".to_owned(), Group { ingress, egress: Vec::new() }),
        ]);
        let plane = end(&["sg-cluster", "sg-extra"], &["10.0.0.0/24", "10.0.1.0/24"]);
        way(&plane, &end(&["sg-node"], &["10.0.5.7"]), 9443, &rules)
    }

    const CLOSED: Way = Way::Closed(Missing { ingress: true, egress: false });

    #[test]
    fn ranges_of_addresses_cover_as_their_bits_say() {
        for (wide, narrow, covered) in [
            ("0.0.0.0/0", "10.1.2.3", true),
            ("10.0.0.0/16", "10.0.255.0/24", true),
            ("10.0.0.0/16", "10.1.0.0/24", false),
            ("10.0.0.0/24", "10.0.0.0/16", false),
            ("10.0.0.7/32", "10.0.0.7", true),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/56", "2001:db8:0:10::/64", true),
            ("2001:db8::/64", "2001:db8:0:1::/64", false),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "10.0.0.1", false),
        ] {
            assert_eq!(network(wide).covers(network(narrow)), covered, "{wide} {narrow}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_rule_opens_a_port_by_protocol_range_and_group() {
        for (protocol, ports, open) in [
            ("tcp", Some((9443, 9443)), true),
            ("6", Some((0, 65535)), true),
            ("tcp", Some((9000, 9442)), false),
            ("tcp", Some((9444, 9999)), false),
            ("udp", Some((9443, 9443)), false),
            ("-1", None, true),
        ] {
            for (group, ours) in [("sg-cluster", true), ("sg-extra", true), ("sg-other", false)] {
                let found = to_node(vec![from_group(rule(protocol, ports), group)], vec![everything()]);
                assert_eq!(found == Way::Open, open && ours, "{protocol} {ports:?} {group}: {found:?}");
            }
        }
        assert_eq!(to_node(Vec::new(), vec![everything()]), CLOSED);
    }

    #[test]
    fn addresses_open_a_port_where_they_cover_all_of_the_clusters_subnets() {
        assert_eq!(to_node(vec![from_range("10.0.0.0/16")], vec![everything()]), Way::Open);
        let both = vec![from_range("10.0.0.0/24"), from_range("10.0.1.0/24")];
        assert_eq!(to_node(both, vec![everything()]), Way::Open);
        let part = to_node(vec![from_range("10.0.0.12/32")], vec![everything()]);
        assert_eq!(part, Way::Unsure("10.0.0.12/32 covers a part of the addresses".to_owned()));
        assert_eq!(to_node(vec![from_range("172.16.0.0/12")], vec![everything()]), CLOSED, "somewhere else");
        let list = Rule { prefix_lists: vec!["pl-1".to_owned()], ..rule("tcp", Some((9443, 9443))) };
        let Way::Unsure(why) = to_node(vec![list], vec![everything()]) else { panic!("not unsure") };
        assert!(why.contains("pl-1"), "{why}");
    }

    #[test]
    fn what_does_not_go_out_does_not_come_in() {
        let open = || vec![from_group(rule("-1", None), "sg-cluster")];
        let to = |group: &str| from_group(rule("tcp", Some((9443, 9443))), group);
        assert_eq!(to_node(open(), vec![to("sg-node")]), Way::Open);
        assert_eq!(to_node(open(), vec![from_range("10.0.0.0/16")]), Way::Open, "the node's address");
        let shut = Way::Closed(Missing { ingress: false, egress: true });
        assert_eq!(to_node(open(), vec![to("sg-other")]), shut);
        assert_eq!(to_node(open(), Vec::new()), shut);
        assert_eq!(to_node(Vec::new(), Vec::new()), Way::Closed(Missing { ingress: true, egress: true }));
    }

    #[test]
    fn the_clusters_own_group_allows_itself_and_a_group_that_is_gone_proves_nothing() {
        let own = Group { ingress: vec![from_group(rule("-1", None), "sg-cluster")], egress: vec![everything()] };
        let rules = BTreeMap::from([("sg-cluster".to_owned(), own)]);
        let plane = end(&["sg-cluster"], &["10.0.0.0/24"]);
        assert_eq!(way(&plane, &end(&["sg-cluster"], &["10.0.5.7"]), 10250, &rules), Way::Open);
        let Way::Unsure(why) = way(&plane, &end(&["sg-gone"], &["10.0.5.7"]), 10250, &rules) else { panic!("known") };
        assert!(why.contains("sg-gone"), "{why}");
    }
}
