//! EC2, read only: the subnets of the cluster's VPC, in which zones they lie, whether the internet reaches them, and how many
//! addresses they have left; and which security groups and volumes are really there. Nothing here is ever changed.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::Result;
use crate::read::pages::Pages;
use crate::read::signed::{Answer, Protocol, Service, Signed};
use crate::read::tagging::Tags;

pub use rules::{Group, Interfaces, Rule};

const SERVICE: Service = Service { id: "EC2", name: "ec2", protocol: Protocol::Query("2016-11-15") };
/// So many values fit into a filter.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html>
const FILTERED_AT_ONCE: usize = 200;

/// A question, with the most that is answered on one page.
struct Question {
    /// The operation as IAM writes it.
    action: &'static str,
    page: u16,
}

/// The largest pages that AWS gives.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html>
const SUBNETS: Question = Question { action: "ec2:DescribeSubnets", page: 1000 };
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html>
const ROUTE_TABLES: Question = Question { action: "ec2:DescribeRouteTables", page: 100 };
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html>
const SECURITY_GROUPS: Question = Question { action: "ec2:DescribeSecurityGroups", page: 1000 };
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html>
const VOLUMES: Question = Question { action: "ec2:DescribeVolumes", page: 500 };

/// A page of an answer to any of the questions.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
struct Page<T> {
    #[serde(
        rename = "subnetSet",
        alias = "routeTableSet",
        alias = "securityGroupInfo",
        alias = "volumeSet",
        alias = "reservationSet"
    )]
    found: Items<T>,
    #[serde(rename = "nextToken")]
    next: Option<String>,
}

/// A list of this protocol.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
struct Items<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Items<T> {
        Items { item: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubnetItem {
    subnet_id: String,
    #[serde(default)]
    availability_zone: String,
    #[serde(default)]
    available_ip_address_count: i32,
    cidr_block: Option<String>,
    #[serde(default)]
    ipv6_cidr_block_association_set: Items<Ipv6Block>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Block {
    ipv6_cidr_block: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RouteTable {
    route_set: Items<Route>,
    association_set: Items<Association>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Route {
    gateway_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Association {
    subnet_id: Option<String>,
    #[serde(default)]
    main: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityGroup {
    group_id: String,
    #[serde(default)]
    vpc_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    volume_id: String,
    #[serde(default)]
    attachment_set: Items<Attachment>,
}

/// None where the volume is attached to something of AWS's own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    instance_id: Option<String>,
}

/// One subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// The availability zone, such as `eu-west-1a`.
    pub zone: String,
    /// Addresses that nobody has.
    pub free: i32,
    /// Its ranges of addresses, of both families.
    pub ranges: Vec<String>,
    /// Its tags.
    pub tags: Tags,
    /// Whether its route table leads to an internet gateway.
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html>
    pub public: bool,
}

/// EC2 of the cluster's region.
#[derive(Clone, Debug)]
pub struct Ec2Read {
    signed: Signed,
}

impl Ec2Read {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> Ec2Read {
        Ec2Read { signed: Signed::new(config, SERVICE) }
    }

    /// Every subnet of a VPC, by id.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn subnets(&self, vpc: &str) -> Result<Vec<Subnet>> {
        let of_vpc = [vpc.to_owned()];
        let (subnets, tables) = futures::try_join!(
            self.all::<SubnetItem>(&SUBNETS, "vpc-id", &of_vpc),
            self.all::<RouteTable>(&ROUTE_TABLES, "vpc-id", &of_vpc)
        )?;
        let ids = subnets.iter().map(|subnet| subnet.subnet_id.clone()).collect();
        let public = public(&tables, &ids);
        let by_id: BTreeMap<_, _> = subnets
            .into_iter()
            .map(|item| {
                let sixes = item.ipv6_cidr_block_association_set.item.into_iter();
                let subnet = Subnet {
                    ranges: item.cidr_block.into_iter().chain(sixes.filter_map(|it| it.ipv6_cidr_block)).collect(),
                    public: public.contains(&item.subnet_id),
                    id: item.subnet_id,
                    zone: item.availability_zone,
                    free: item.available_ip_address_count,
                    tags: item.tag_set.item.into_iter().map(|tag| (tag.key, tag.value)).collect(),
                };
                (subnet.id.clone(), subnet)
            })
            .collect();
        Ok(by_id.into_values().collect())
    }

    /// Those of the security groups that are there, by id, with their VPC.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn security_groups(&self, ids: &[String]) -> Result<BTreeMap<String, String>> {
        let groups = self.there::<SecurityGroup>(&SECURITY_GROUPS, "group-id", ids).await?;
        Ok(groups.into_iter().map(|group| (group.group_id, group.vpc_id)).collect())
    }

    /// Those of the volumes that are there, by id, with the instances that they are attached to.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn volumes(&self, ids: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
        let volumes = self.there::<Volume>(&VOLUMES, "volume-id", ids).await?;
        let instances =
            |volume: Volume| volume.attachment_set.item.into_iter().filter_map(|it| it.instance_id).collect();
        Ok(volumes.into_iter().map(|volume| (volume.volume_id.clone(), instances(volume))).collect())
    }

    /// By a filter, what is not there is left out; by the parameter for ids it would be an error of the whole call.
    async fn there<T: Answer>(&self, question: &Question, filter: &str, ids: &[String]) -> Result<Vec<T>> {
        let mut there = Vec::new();
        for some in ids.chunks(FILTERED_AT_ONCE) {
            there.extend(self.all(question, filter, some).await?);
        }
        Ok(there)
    }

    /// Everything that a filter lets through, page by page.
    async fn all<T: Answer>(&self, question: &Question, filter: &str, values: &[String]) -> Result<Vec<T>> {
        let (mut all, mut token) = (Vec::new(), None);
        let mut pages = Pages::of(question.action);
        loop {
            let parameters = parameters(question, filter, values, token);
            let page: Page<T> = self.signed.call(question.action, parameters).await?;
            all.extend(page.found.item);
            token = pages.next(page.next.filter(|token| !token.is_empty()))?;
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}

/// Lists begin with 1 and have no `member` in between, unlike those of other Query services.
/// <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html>
fn parameters(question: &Question, filter: &str, values: &[String], token: Option<String>) -> Vec<(String, String)> {
    let mut parameters = vec![("Filter.1.Name".to_owned(), filter.to_owned())];
    let values = values.iter().enumerate();
    parameters.extend(values.map(|(place, value)| (format!("Filter.1.Value.{}", place + 1), value.clone())));
    parameters.push(("MaxResults".to_owned(), question.page.to_string()));
    parameters.extend(token.map(|token| ("NextToken".to_owned(), token)));
    parameters
}

/// The subnets whose own route table, or without one the VPC's main table, leads to an internet gateway.
fn public(tables: &[RouteTable], subnets: &BTreeSet<String>) -> BTreeSet<String> {
    let open = |table: &RouteTable| {
        let mut gateways = table.route_set.item.iter().filter_map(|route| route.gateway_id.as_deref());
        gateways.any(|gateway| gateway.starts_with("igw-"))
    };
    let (mut own, mut main) = (BTreeMap::new(), false);
    for table in tables {
        for association in &table.association_set.item {
            if let Some(subnet) = &association.subnet_id {
                own.insert(subnet.clone(), open(table));
            } else if association.main {
                main = open(table);
            }
        }
    }
    subnets.iter().filter(|id| own.get(*id).copied().unwrap_or(main)).cloned().collect()
}

#[cfg(test)]
mod tests;
