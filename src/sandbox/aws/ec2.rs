//! The simulated EC2, as far as the product looks: the subnets of a VPC and their route tables. A cluster's subnets are those of its
//! VPC; their tags are those that the tagging API knows, without its delay.

use super::Simulator;
use super::eks::cluster::Cluster;
use super::error::{ApiError, Result};
use super::form::Form;
use super::seed::SeedSubnet;
use super::world::{CallContext, World};
use super::xml::Xml;

/// The gateway and the route tables of every VPC.
const GATEWAY: &str = "igw-0123456789abcdef0";
const TABLES: [(&str, bool); 2] = [("rtb-0a000000000000000", false), ("rtb-0b000000000000000", true)];

impl Simulator {
    /// Says where a subnet lies and how much room it has; it is one of a cluster's.
    pub fn put_subnet(&self, subnet: SeedSubnet) {
        let subnets = &mut self.state().world.subnets;
        subnets.retain(|known| known.id != subnet.id);
        subnets.push(subnet);
    }
}

/// Answers a call of EC2.
pub(super) fn call(world: &World, cx: &CallContext, operation: &str, form: &Form) -> Result<Xml> {
    let answer = match operation {
        "DescribeSubnets" => subnets,
        "DescribeRouteTables" => route_tables,
        other => return Err(ApiError::not_implemented(&format!("ec2:{other}"))),
    };
    match (form.get("Filter.1.Name"), form.get("Filter.1.Value.1"), form.get("Filter.2.Name")) {
        (Some("vpc-id"), Some(vpc), None) => Ok(answer(world, cx, vpc)),
        _ => Err(ApiError::not_implemented("ec2: other filters than one by `vpc-id`")),
    }
}

/// The subnets of the clusters in a VPC, with where they lie.
fn of_vpc(world: &World, cx: &CallContext, vpc: &str) -> Vec<SeedSubnet> {
    let clusters = world.clusters.values().filter(|cluster| cluster.region == cx.region).map(Cluster::network);
    let mut found: Vec<SeedSubnet> = Vec::new();
    for id in clusters.filter(|(own, _)| *own == vpc).flat_map(|(_, subnets)| subnets) {
        if found.iter().any(|known| known.id == *id) {
            continue;
        }
        let seeded = world.subnets.iter().find(|subnet| subnet.id == *id).cloned();
        found.push(seeded.unwrap_or_else(|| SeedSubnet::unnamed(id)));
    }
    found
}

fn items<T>(xml: &mut Xml, tag: &str, items: impl IntoIterator<Item = T>, body: impl Fn(&mut Xml, T)) {
    xml.node(tag, |xml| {
        for item in items {
            xml.node("item", |xml| body(xml, item));
        }
    });
}

fn subnets(world: &World, cx: &CallContext, vpc: &str) -> Xml {
    let tags = world.tag_index.all();
    Xml::build(|xml| {
        items(xml, "subnetSet", of_vpc(world, cx, vpc), |xml, subnet| {
            xml.text("subnetId", &subnet.id);
            xml.text("vpcId", vpc);
            xml.text("state", "available");
            xml.text("availabilityZone", format!("{}{}", cx.region, subnet.zone));
            xml.text("availableIpAddressCount", subnet.free_addresses);
            let own = tags.iter().find(|(arn, _)| arn.ends_with(&format!(":subnet/{}", subnet.id)));
            items(xml, "tagSet", own.into_iter().flat_map(|(_, tags)| tags), |xml, (key, value)| {
                xml.text("key", key);
                xml.text("value", value);
            });
        });
    })
}

/// One table for each kind; that of the private subnets is the VPC's main one.
fn route_tables(world: &World, cx: &CallContext, vpc: &str) -> Xml {
    let subnets = of_vpc(world, cx, vpc);
    Xml::build(|xml| {
        items(xml, "routeTableSet", TABLES, |xml, (table, public)| {
            xml.text("routeTableId", table);
            xml.text("vpcId", vpc);
            let routes = [("10.0.0.0/16", "local")].into_iter().chain(public.then_some(("0.0.0.0/0", GATEWAY)));
            items(xml, "routeSet", routes, |xml, (destination, gateway)| {
                xml.text("destinationCidrBlock", destination);
                xml.text("gatewayId", gateway);
                xml.text("state", "active");
            });
            let own = subnets.iter().filter(|subnet| public && subnet.public).map(Some);
            let associations = own.chain((!public).then_some(None));
            items(xml, "associationSet", associations, |xml, subnet| {
                xml.text("routeTableId", table);
                match subnet {
                    Some(subnet) => xml.text("subnetId", &subnet.id),
                    None => xml.text("main", true),
                }
            });
        });
    })
}
