//! The simulated EC2, as far as the product looks: the subnets of a VPC and their route tables, security groups, instances, and which tagged
//! volumes there are. A cluster's subnets are those of its VPC; their tags are those that the tagging API knows, without its delay.

mod network;

use super::Simulator;
use super::eks::cluster::Cluster;
use super::error::{ApiError, Result};
use super::form::Form;
use super::paging::{Page, page};
use super::seed::SeedSubnet;
use super::world::{CallContext, World};
use super::xml::Xml;

/// The version of the API. AWS answers older ones too, in other forms.
const VERSION: &str = "2016-11-15";

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
    if form.get("Version") != Some(VERSION) {
        return Err(ApiError::not_implemented(&format!("ec2: another version than {VERSION}")));
    }
    let answer = match operation {
        "DescribeSubnets" => subnets,
        "DescribeRouteTables" => route_tables,
        "DescribeSecurityGroups" => return network::security_groups(world, cx, form),
        "DescribeInstances" => return network::instances(world, cx, form),
        "DescribeVolumes" => return volumes(world, cx, form),
        other => return Err(ApiError::not_implemented(&format!("ec2:{other}"))),
    };
    match (form.get("Filter.1.Name"), form.get("Filter.1.Value.1"), form.get("Filter.2.Name")) {
        (Some("vpc-id"), Some(vpc), None) => answer(world, cx, form, vpc),
        _ => Err(ApiError::not_implemented("ec2: other filters than one by `vpc-id`")),
    }
}

/// What is asked for: by ids, by a filter on them, or everything.
struct Asked {
    ids: Vec<String>,
    filter: Option<Vec<String>>,
}

impl Asked {
    /// `ids` is the parameter for ids, `filter` the name of the filter on them.
    fn read(form: &Form, ids: &str, filter: &str) -> Result<Asked> {
        let numbered = |key: &str| -> Vec<String> {
            (1..).map_while(|index| form.get(&format!("{key}.{index}"))).map(str::to_owned).collect()
        };
        let filtered = match (form.get("Filter.1.Name"), form.get("Filter.2.Name")) {
            (None, _) => None,
            (Some(name), None) if name == filter => Some(numbered("Filter.1.Value")),
            _ => return Err(ApiError::not_implemented("ec2: other filters than one by id")),
        };
        if filtered.as_ref().is_some_and(|values| values.len() > 200) {
            return Err(ApiError::new(
                "FilterLimitExceeded",
                400,
                "The maximum number of filter values specified on a single call is 200",
            ));
        }
        Ok(Asked { ids: numbered(ids), filter: filtered })
    }

    /// An id that is asked for and is not there, which is an error of the whole call.
    fn absent(&self, there: impl Fn(&str) -> bool) -> Option<&String> {
        self.ids.iter().find(|id| !there(id))
    }

    fn wants(&self, id: &str) -> bool {
        (self.ids.is_empty() || self.ids.iter().any(|it| it == id))
            && self.filter.as_ref().is_none_or(|all| all.iter().any(|it| it == id))
    }
}

/// Volumes, of which nothing but tags is kept.
fn volumes(world: &World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let there = world.present_in(&cx.region, "ec2", "volume/");
    let there: Vec<_> = there.iter().filter_map(|arn| arn.rsplit('/').next()).collect();
    let asked = Asked::read(form, "VolumeId", "volume-id")?;
    if let Some(id) = asked.absent(|id| there.contains(&id)) {
        return Err(ApiError::new("InvalidVolume.NotFound", 400, format!("The volume '{id}' does not exist")));
    }
    let found = there.iter().filter(|id| asked.wants(id)).map(|id| ((*id).to_owned(), *id)).collect();
    let page = paged(world, form, found, 1000)?;
    Ok(Xml::build(|xml| {
        items(xml, "volumeSet", page.items, |xml, id| {
            xml.text("volumeId", id);
            xml.text("size", 4);
            xml.text("availabilityZone", format!("{}a", cx.region));
            xml.text("status", "available");
            xml.text("volumeType", "gp3");
            xml.node("attachmentSet", |_| {});
        });
        xml.optional("nextToken", page.next);
    }))
}

/// The page that a call asks for, of at most `most` things.
fn paged<T>(world: &World, form: &Form, found: Vec<(String, T)>, most: u16) -> Result<Page<T>> {
    let size = world.page_of(form.number("MaxResults", 5, most.into())?, most.into());
    page(found, form.get("NextToken"), size)
        .ok_or_else(|| ApiError::new("InvalidParameterValue", 400, "Invalid value for parameter nextToken"))
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

fn subnets(world: &World, cx: &CallContext, form: &Form, vpc: &str) -> Result<Xml> {
    let tags = world.tag_index.all();
    let found = of_vpc(world, cx, vpc).into_iter().enumerate();
    let found = found.map(|(place, subnet)| (subnet.id.clone(), (place, subnet)));
    let page = paged(world, form, found.collect(), 1000)?;
    Ok(Xml::build(|xml| {
        items(xml, "subnetSet", page.items, |xml, (place, subnet)| {
            xml.text("subnetId", &subnet.id);
            xml.text("vpcId", vpc);
            xml.text("state", "available");
            xml.text("cidrBlock", subnet.range.clone().unwrap_or_else(|| format!("10.0.{place}.0/24")));
            xml.node("ipv6CidrBlockAssociationSet", |_| {});
            xml.text("availabilityZone", format!("{}{}", cx.region, subnet.zone));
            xml.text("availableIpAddressCount", subnet.free_addresses);
            let own = tags.iter().find(|(arn, _)| arn.ends_with(&format!(":subnet/{}", subnet.id)));
            items(xml, "tagSet", own.into_iter().flat_map(|(_, tags)| tags), |xml, (key, value)| {
                xml.text("key", key);
                xml.text("value", value);
            });
        });
        xml.optional("nextToken", page.next);
    }))
}

/// One table for each kind; that of the private subnets is the VPC's main one.
fn route_tables(world: &World, cx: &CallContext, form: &Form, vpc: &str) -> Result<Xml> {
    let subnets = of_vpc(world, cx, vpc);
    let found = TABLES.map(|(table, public)| (table.to_owned(), (table, public)));
    let page = paged(world, form, found.into(), 100)?;
    Ok(Xml::build(|xml| {
        items(xml, "routeTableSet", page.items, |xml, (table, public)| {
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
        xml.optional("nextToken", page.next);
    }))
}
