//! Security groups with their rules, and instances with their interfaces: by ids, of which one that is not there is an error of the
//! whole call, or by a filter, which leaves it out.

use std::collections::BTreeMap;

use super::super::Simulator;
use super::super::eks::cluster::Cluster;
use super::super::error::{ApiError, Result};
use super::super::form::Form;
use super::super::seed_network::{SeedInstance, SeedRule, SeedSecurityGroup, everywhere};
use super::super::world::{CallContext, World};
use super::super::xml::Xml;
use super::{Asked, items, paged};

impl Simulator {
    /// Sets a security group with its rules.
    pub fn put_security_group(&self, group: SeedSecurityGroup) {
        let groups = &mut self.state().world.security_groups;
        groups.retain(|known| known.id != group.id);
        groups.push(group);
    }

    /// Sets an instance.
    pub fn put_instance(&self, instance: SeedInstance) {
        let instances = &mut self.state().world.instances;
        instances.retain(|known| known.id != instance.id);
        instances.push(instance);
    }

    /// Adds the rule that `authorize-security-group-ingress` adds: a TCP port, for another group. False where there is no such group.
    pub fn authorize_ingress(&self, group: &str, port: u16, source: &str) -> bool {
        let mut state = self.state();
        let region = state.world.region.clone();
        let Some(mut found) = groups(&state.world, &region).remove(group) else { return false };
        found.ingress.push(SeedRule::port(port, source));
        state.world.security_groups.retain(|known| known.id != group);
        state.world.security_groups.push(found);
        true
    }

    /// Makes the nodes of a control plane instances that carry the security group of its cluster, where the seed does not say otherwise.
    pub(in crate::sandbox) fn give_nodes<'a>(&self, cluster: &str, instances: impl Iterator<Item = &'a str>) {
        let mut state = self.state();
        let group =
            state.world.clusters.values().find(|it| it.name == cluster).map(|it| it.security_groups().0.to_owned());
        for id in instances {
            if !state.world.instances.iter().any(|known| known.id == id) {
                let security_groups = group.iter().cloned().collect();
                state.world.instances.push(SeedInstance { id: id.to_owned(), security_groups, interfaces: Vec::new() });
            }
        }
    }
}

/// The security groups of a region: those that the seed names, those of clusters, and those of which only tags are known.
fn groups(world: &World, region: &str) -> BTreeMap<String, SeedSecurityGroup> {
    let mut all = BTreeMap::new();
    for arn in world.present_in(region, "ec2", "security-group/") {
        let id = arn.rsplit('/').next().unwrap_or_default();
        all.insert(id.to_owned(), bare(id, &format!("k8s-{id}")));
    }
    for cluster in world.clusters.values().filter(|cluster| cluster.region == region) {
        let (own, further) = cluster.security_groups();
        for id in further {
            all.insert(id.clone(), bare(id, id));
        }
        // As EKS makes it: everything from itself, everything to everywhere.
        let mut group = bare(own, &format!("eks-cluster-sg-{}", cluster.name));
        group.ingress.push(SeedRule { groups: vec![own.to_owned()], ..SeedRule::all() });
        all.insert(own.to_owned(), group);
    }
    all.extend(world.security_groups.iter().map(|group| (group.id.clone(), group.clone())));
    all
}

fn bare(id: &str, name: &str) -> SeedSecurityGroup {
    SeedSecurityGroup { id: id.to_owned(), name: Some(name.to_owned()), ingress: Vec::new(), egress: everywhere() }
}

/// The VPC of the region's first cluster: nothing lies elsewhere.
fn vpc<'a>(world: &'a World, cx: &CallContext) -> &'a str {
    let clusters = world.clusters.values().filter(|cluster| cluster.region == cx.region);
    clusters.map(Cluster::network).map(|(vpc, _)| vpc).next().unwrap_or_default()
}

pub(super) fn security_groups(world: &World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let all = groups(world, &cx.region);
    let asked = Asked::read(form, "GroupId", "group-id")?;
    if let Some(id) = asked.absent(|id| all.contains_key(id)) {
        let text = format!("The security group '{id}' does not exist");
        return Err(ApiError::new("InvalidGroup.NotFound", 400, text));
    }
    let found = all.into_iter().filter(|(id, _)| asked.wants(id)).collect();
    let page = paged(world, form, found, 1000)?;
    Ok(Xml::build(|xml| {
        items(xml, "securityGroupInfo", page.items, |xml, group| {
            xml.text("ownerId", &world.account);
            xml.text("groupId", &group.id);
            xml.text("groupName", group.name.as_ref().unwrap_or(&group.id));
            xml.text("groupDescription", "a security group of the sandbox");
            rules(xml, "ipPermissions", &group.ingress, world);
            rules(xml, "ipPermissionsEgress", &group.egress, world);
            xml.text("vpcId", vpc(world, cx));
        });
        xml.optional("nextToken", page.next);
    }))
}

fn rules(xml: &mut Xml, tag: &str, rules: &[SeedRule], world: &World) {
    items(xml, tag, rules, |xml, rule| {
        xml.text("ipProtocol", &rule.protocol);
        xml.optional("fromPort", rule.from_port);
        xml.optional("toPort", rule.to_port.or(rule.from_port));
        items(xml, "groups", &rule.groups, |xml, group| {
            xml.text("userId", &world.account);
            xml.text("groupId", group);
        });
        let (sixes, fours): (Vec<_>, Vec<_>) = rule.ranges.iter().partition(|range| range.contains(':'));
        items(xml, "ipRanges", fours, |xml, range| xml.text("cidrIp", range));
        items(xml, "ipv6Ranges", sixes, |xml, range| xml.text("cidrIpv6", range));
        items(xml, "prefixListIds", &rule.prefix_lists, |xml, list| xml.text("prefixListId", list));
    });
}

pub(super) fn instances(world: &World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let asked = Asked::read(form, "InstanceId", "instance-id")?;
    if !asked.ids.is_empty() && form.get("MaxResults").is_some() {
        let text = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::new("InvalidParameterCombination", 400, text));
    }
    if let Some(id) = asked.absent(|id| world.instances.iter().any(|instance| instance.id == id)) {
        let text = format!("The instance ID '{id}' does not exist");
        return Err(ApiError::new("InvalidInstanceID.NotFound", 400, text));
    }
    // Everything that is not in a cluster's region is elsewhere.
    let here = cx.region == world.region;
    let found = world.instances.iter().filter(|instance| here && asked.wants(&instance.id));
    let found = found.map(|instance| (instance.id.clone(), instance)).collect();
    let page = paged(world, form, found, 1000)?;
    Ok(Xml::build(|xml| {
        items(xml, "reservationSet", page.items, |xml, instance| {
            xml.text("reservationId", instance.id.replacen("i-", "r-", 1));
            xml.text("ownerId", &world.account);
            xml.node("groupSet", |_| {});
            items(xml, "instancesSet", [instance], |xml, instance| write(xml, instance, vpc(world, cx)));
        });
        xml.optional("nextToken", page.next);
    }))
}

fn write(xml: &mut Xml, instance: &SeedInstance, vpc: &str) {
    xml.text("instanceId", &instance.id);
    xml.node("instanceState", |xml| {
        xml.text("code", 16);
        xml.text("name", "running");
    });
    xml.text("vpcId", vpc);
    members(xml, &instance.security_groups);
    let interfaces = [&instance.security_groups].into_iter().chain(&instance.interfaces).enumerate();
    items(xml, "networkInterfaceSet", interfaces, |xml, (device, groups)| {
        xml.text("networkInterfaceId", format!("{}{device}", instance.id.replacen("i-", "eni-", 1)));
        xml.text("vpcId", vpc);
        xml.text("status", "in-use");
        members(xml, groups);
        xml.node("attachment", |xml| {
            xml.text("deviceIndex", device);
            xml.text("status", "attached");
            xml.text("networkCardIndex", 0);
        });
    });
}

fn members(xml: &mut Xml, groups: &[String]) {
    items(xml, "groupSet", groups, |xml, id| {
        xml.text("groupId", id);
        xml.text("groupName", id);
    });
}
