//! Whether the control plane reaches the nodes: the kubelet of each, and the pods that it calls (the webhook of the load balancer
//! controller, metrics-server). What is open is judged by `rules.rs`; here is read what there is, and said what is missing.

mod ports;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::REACH;
use super::rules::{End, Missing, Network, Way, way};
use crate::check::{Finding, Scene};
use crate::checks::components;
use crate::component::Component;
use crate::context::Facts;
use crate::error::Result;
use crate::object::{items, some_of, text};
use crate::read::ec2::{Group, Interfaces};
use ports::Port;

/// So many nodes are looked at: those of a large cluster carry the same few groups again and again.
const MOST_NODES: usize = 1000;
/// So many commands make up a mend.
const MOST_COMMANDS: usize = 8;
/// Where the kubelet listens unless the node says otherwise.
/// <https://kubernetes.io/docs/reference/networking/ports-and-protocols/>
const KUBELET: u16 = 10250;

/// A node on EC2.
#[derive(Debug, Clone, Default)]
struct Node {
    name: String,
    labels: Value,
    address: Option<Network>,
    kubelet: u16,
    interfaces: Interfaces,
}

/// The nodes and what decides who reaches them.
struct Seen {
    nodes: Vec<Node>,
    /// EC2 nodes in all.
    total: usize,
    plane: End,
    rules: BTreeMap<String, Group>,
}

/// The findings, one for each port.
pub(super) async fn look(scene: &Scene<'_>) -> Vec<Finding> {
    if components(scene).is_empty() {
        return vec![REACH.skipped("nothing is to be installed")];
    }
    match read(scene).await {
        Ok(Ok(seen)) => {
            let ports = ports::of(scene).await;
            ports.iter().map(|port| judge(port, &seen, &scene.cx.facts)).collect()
        }
        Ok(Err(reason)) => vec![REACH.skipped(reason)],
        Err(error) => vec![REACH.unread(&error)],
    }
}

/// The command that opens the way to a component's pods, where rules of security groups are known to close it.
pub(in crate::checks) async fn opening(scene: &Scene<'_>, component: &Component) -> Result<Option<String>> {
    let Some(port) = ports::of_component(scene, component).await else { return Ok(None) };
    let Ok(seen) = read(scene).await? else { return Ok(None) };
    let commands = closed(&port, &seen).into_iter().flat_map(|gap| gap.commands(&scene.cx.facts));
    let commands: Vec<_> = commands.take(MOST_COMMANDS).collect();
    Ok((!commands.is_empty()).then(|| commands.join(" && ")))
}

/// What there is; or why there is nothing to look at.
async fn read(scene: &Scene<'_>) -> Result<Result<Seen, String>> {
    let (cx, facts) = (scene.cx, &scene.cx.facts);
    let nodes = cx.kube.list("v1", "Node", "", "").await?;
    let on_ec2: Vec<_> = nodes.iter().filter_map(|node| Some((instance(node)?.to_owned(), node))).collect();
    if on_ec2.is_empty() {
        return Ok(Err(without_ec2(nodes.len())));
    }
    let total = on_ec2.len();
    let on_ec2 = &on_ec2[..total.min(MOST_NODES)];
    let ids: Vec<_> = on_ec2.iter().map(|(id, _)| id.clone()).collect();
    // Addresses matter only where rules name them; the checks of subnets say what keeps them from being read.
    let (interfaces, subnets) = futures::join!(cx.ec2.interfaces(&ids), cx.ec2.subnets(&facts.vpc));
    let mut interfaces = interfaces?;
    let found: Vec<_> = on_ec2.iter().filter_map(|(id, node)| Some(Node::of(node, interfaces.remove(id)?))).collect();
    let six = found.iter().filter_map(|node| node.address).any(Network::is_six);
    let own = subnets.unwrap_or_default().into_iter().filter(|subnet| facts.subnets.contains(&subnet.id));
    let networks = own.flat_map(|subnet| subnet.ranges).filter_map(|range| Network::parse(&range));
    let groups = facts.control_plane_groups();
    let of_nodes =
        found.iter().flat_map(|node| node.interfaces.others.iter().chain([&node.interfaces.primary])).flatten();
    let all: BTreeSet<_> = of_nodes.chain(&groups).cloned().collect();
    let rules = cx.ec2.rules(&all.into_iter().collect::<Vec<_>>()).await?;
    let plane = End { groups, networks: networks.filter(|network| network.is_six() == six).collect() };
    Ok(Ok(Seen { nodes: found, total, plane, rules }))
}

fn without_ec2(nodes: usize) -> String {
    match nodes {
        0 => "there are no nodes yet".to_owned(),
        // <https://docs.aws.amazon.com/eks/latest/userguide/fargate.html>
        _ => "no node is an EC2 instance; Fargate pods carry the cluster's security group, which allows itself"
            .to_owned(),
    }
}

/// The instance behind a node: `aws:///ZONE/i-...`. Those of Fargate and hybrid nodes are none.
fn instance(node: &Value) -> Option<&str> {
    let (_, last) = text(node, "/spec/providerID").strip_prefix("aws:///")?.rsplit_once('/')?;
    last.starts_with("i-").then_some(last)
}

impl Node {
    fn of(node: &Value, interfaces: Interfaces) -> Node {
        let address = items(node, "/status/addresses").find(|address| address["type"] == "InternalIP");
        let kubelet = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
        Node {
            name: text(node, "/metadata/name").to_owned(),
            labels: node["metadata"]["labels"].clone(),
            address: address.and_then(|address| Network::parse(text(address, "/address"))),
            // A node whose kubelet did not say it has 0 there.
            kubelet: kubelet.and_then(|port| port.try_into().ok()).filter(|port| *port != 0).unwrap_or(KUBELET),
            interfaces,
        }
    }

    /// The groups of whatever listens. With custom networking the VPC CNI gives pods addresses of the other interfaces only, which then
    /// have groups of their own (<https://docs.aws.amazon.com/eks/latest/userguide/cni-custom-network.html>).
    fn groups(&self, on_node: bool) -> BTreeSet<&BTreeSet<String>> {
        let Interfaces { primary, others } = &self.interfaces;
        let others: BTreeSet<_> = others.iter().filter(|groups| *groups != primary).collect();
        if on_node || others.is_empty() { BTreeSet::from([primary]) } else { others }
    }

    fn is_selected(&self, selector: &Value) -> bool {
        selector
            .as_object()
            .into_iter()
            .flatten()
            .all(|(key, value)| value.is_null() || self.labels.get(key) == Some(value))
    }
}

/// Nodes with the same groups, to whose port the way is not known to be open.
#[derive(Debug, PartialEq)]
struct Gap {
    nodes: Vec<String>,
    groups: BTreeSet<String>,
    port: u16,
    way: Way,
}

/// The gaps of a port, and how many nodes were looked at for it.
fn gaps(port: &Port, seen: &Seen) -> (Vec<Gap>, usize) {
    let chosen: Vec<_> = seen.nodes.iter().filter(|node| node.is_selected(&port.selector)).collect();
    let mut alike: BTreeMap<(&BTreeSet<String>, u16), Vec<&Node>> = BTreeMap::new();
    for node in &chosen {
        for groups in node.groups(port.on_node) {
            alike.entry((groups, port.number.unwrap_or(node.kubelet))).or_default().push(node);
        }
    }
    let gap = |((groups, port), nodes): ((&BTreeSet<String>, u16), Vec<&Node>)| {
        let end = End { groups: groups.clone(), networks: nodes.iter().filter_map(|node| node.address).collect() };
        let way = way(&seen.plane, &end, port, &seen.rules);
        let nodes = nodes.iter().map(|node| node.name.clone()).collect();
        (way != Way::Open).then(|| Gap { nodes, groups: groups.clone(), port, way })
    };
    (alike.into_iter().filter_map(gap).collect(), chosen.len())
}

fn closed(port: &Port, seen: &Seen) -> Vec<Gap> {
    gaps(port, seen).0.into_iter().filter(|gap| matches!(gap.way, Way::Closed(_))).collect()
}

impl Gap {
    /// The commands that add the missing rules, and no more than these.
    fn commands(&self, facts: &Facts) -> Vec<String> {
        let Way::Closed(Missing { ingress, egress }) = self.way else { return Vec::new() };
        let (own, port, region) = (&facts.security_group, self.port, &facts.region);
        let plane = facts.control_plane_groups();
        let source = if own.is_empty() { plane.iter().next() } else { Some(own) };
        // Where a node carries the cluster's group, the rule belongs there, as EKS made it.
        let target = if self.groups.contains(own) { Some(own) } else { self.groups.iter().next() };
        let (Some(source), Some(target)) = (source, target) else { return Vec::new() };
        let mut commands = Vec::new();
        if ingress {
            commands.push(format!(
                "aws ec2 authorize-security-group-ingress --group-id {target} --protocol tcp --port {port} --source-group \
                 {source} --region {region}"
            ));
        }
        if egress {
            commands.push(format!(
                "aws ec2 authorize-security-group-egress --group-id {source} --ip-permissions \
                 IpProtocol=tcp,FromPort={port},ToPort={port},UserIdGroupPairs=[{{GroupId={target}}}] --region {region}"
            ));
        }
        commands
    }

    fn nodes_with_groups(&self) -> String {
        let groups: Vec<_> = self.groups.iter().map(String::as_str).collect();
        format!("{} ({})", some_of(&self.nodes), groups.join(", "))
    }
}

fn judge(port: &Port, seen: &Seen, facts: &Facts) -> Finding {
    let (gaps, looked) = gaps(port, seen);
    judged(port, &gaps, looked, seen, facts).about(port.about)
}

fn judged(port: &Port, gaps: &[Gap], looked: usize, seen: &Seen, facts: &Facts) -> Finding {
    let number = port.number.or_else(|| gaps.first().map(|gap| gap.port)).unwrap_or(KUBELET);
    let what = format!("port {number} of {}", port.what);
    if looked == 0 {
        return REACH.skipped(format!("none of the {} nodes that were looked at takes its pods", seen.nodes.len()));
    }
    let all = if seen.total > seen.nodes.len() { format!(" (of {} in all)", seen.total) } else { String::new() };
    let (shut, unsure): (Vec<_>, Vec<_>) = gaps.iter().partition(|gap| matches!(gap.way, Way::Closed(_)));
    let groups: Vec<_> = seen.plane.groups.iter().map(String::as_str).collect();
    let expected = format!("tcp {number} open from {}", groups.join(", "));
    let counted = |gaps: &[&Gap]| gaps.iter().flat_map(|gap| &gap.nodes).collect::<BTreeSet<_>>().len();
    let listed = |gaps: &[&Gap]| some_of(&gaps.iter().map(|gap| gap.nodes_with_groups()).collect::<Vec<_>>());
    if !shut.is_empty() {
        let says =
            format!("security groups keep the control plane from {what} on {} of {looked} nodes{all}", counted(&shut));
        let commands: BTreeSet<_> = shut.iter().flat_map(|gap| gap.commands(facts)).collect();
        let commands: Vec<_> = commands.into_iter().take(MOST_COMMANDS).collect();
        return REACH.failed(says, format!("closed on {}", listed(&shut)), expected, commands.join(" && "));
    }
    if let Some(Gap { way: Way::Unsure(why), .. }) = unsure.first() {
        let says = format!("whether the control plane reaches {what} is not known: {why}");
        let groups: BTreeSet<_> = unsure.iter().flat_map(|gap| &gap.groups).map(String::as_str).collect();
        let groups = groups.into_iter().collect::<Vec<_>>().join(",");
        let filter = format!("Name=group-id,Values={groups}");
        let mend = format!("aws ec2 describe-security-group-rules --filters {filter} --region {}", facts.region);
        return REACH.failed(says, format!("not known on {}", listed(&unsure)), expected, mend).as_warning();
    }
    REACH.passed(format!("the control plane reaches {what} on {looked} nodes{all}"))
}

#[cfg(test)]
mod tests;
