//! EC2, read only: the subnets of the cluster's VPC, in which zones they lie, whether the internet reaches them, and how many
//! addresses they have left; and which security groups and volumes are really there. Nothing here is ever changed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, RouteTable};

use crate::error::{AwsError, Result};
use crate::heard::Heard;
use crate::read::tagging::Tags;

/// So many values fit into a filter.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html>
const FILTERED_AT_ONCE: usize = 200;

/// One subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// The availability zone, such as `eu-west-1a`.
    pub zone: String,
    /// Addresses that nobody has.
    pub free: i32,
    /// Its tags.
    pub tags: Tags,
    /// Whether its route table leads to an internet gateway.
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html>
    pub public: bool,
}

/// EC2 of the cluster's region.
#[derive(Clone, Debug)]
pub struct Ec2Read {
    client: Client,
}

impl Ec2Read {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> Ec2Read {
        Ec2Read {
            client: Client::from_conf(aws_sdk_ec2::config::Builder::from(config).interceptor(Heard::of("ec2")).build()),
        }
    }

    /// Every subnet of a VPC, by id.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn subnets(&self, vpc: &str) -> Result<Vec<Subnet>> {
        let filter = Filter::builder().name("vpc-id").values(vpc).build();
        let (subnets, tables) = futures::try_join!(self.described(&filter), self.route_tables(&filter))?;
        let ids: BTreeSet<_> = subnets.keys().cloned().collect();
        let public = public(&tables, &ids);
        Ok(subnets.into_values().map(|subnet| Subnet { public: public.contains(&subnet.id), ..subnet }).collect())
    }

    /// Those of the security groups that are there, by id, with their VPC.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn security_groups(&self, ids: &[String]) -> Result<BTreeMap<String, String>> {
        let mut there = BTreeMap::new();
        // By a filter, what is not there is left out; by the parameter for ids it would be an error of the whole call.
        for some in ids.chunks(FILTERED_AT_ONCE) {
            let filter = Filter::builder().name("group-id").set_values(Some(some.to_vec())).build();
            let mut token = None;
            loop {
                let call = self.client.describe_security_groups().filters(filter.clone()).set_next_token(token);
                let page = call.send().await.map_err(|error| AwsError::new("ec2:DescribeSecurityGroups", &error))?;
                let found = page.security_groups().iter();
                there.extend(found.filter_map(|group| {
                    Some((group.group_id()?.to_owned(), group.vpc_id().unwrap_or_default().to_owned()))
                }));
                token = page.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(there)
    }

    /// Those of the volumes that are there, by id, with the instances that they are attached to.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn volumes(&self, ids: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
        let mut there = BTreeMap::new();
        for some in ids.chunks(FILTERED_AT_ONCE) {
            let filter = Filter::builder().name("volume-id").set_values(Some(some.to_vec())).build();
            let mut token = None;
            loop {
                let call = self.client.describe_volumes().filters(filter.clone()).set_next_token(token);
                let page = call.send().await.map_err(|error| AwsError::new("ec2:DescribeVolumes", &error))?;
                there.extend(page.volumes().iter().filter_map(|volume| {
                    let attachments = volume.attachments().iter().filter_map(|attachment| attachment.instance_id());
                    Some((volume.volume_id()?.to_owned(), attachments.map(ToOwned::to_owned).collect()))
                }));
                token = page.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(there)
    }

    async fn described(&self, filter: &Filter) -> Result<BTreeMap<String, Subnet>> {
        let (mut all, mut token) = (BTreeMap::new(), None);
        loop {
            let call = self.client.describe_subnets().filters(filter.clone()).set_next_token(token);
            let page = call.send().await.map_err(|error| AwsError::new("ec2:DescribeSubnets", &error))?;
            for subnet in page.subnets() {
                let tags =
                    subnet.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
                let id = subnet.subnet_id().unwrap_or_default().to_owned();
                let zone = subnet.availability_zone().unwrap_or_default().to_owned();
                let free = subnet.available_ip_address_count().unwrap_or_default();
                all.insert(id.clone(), Subnet { id, zone, free, tags: tags.collect(), public: false });
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    async fn route_tables(&self, filter: &Filter) -> Result<Vec<RouteTable>> {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let call = self.client.describe_route_tables().filters(filter.clone()).set_next_token(token);
            let page = call.send().await.map_err(|error| AwsError::new("ec2:DescribeRouteTables", &error))?;
            all.extend(page.route_tables().iter().cloned());
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}

/// The subnets whose own route table, or without one the VPC's main table, leads to an internet gateway.
fn public(tables: &[RouteTable], subnets: &BTreeSet<String>) -> BTreeSet<String> {
    let open = |table: &RouteTable| {
        table.routes().iter().any(|route| route.gateway_id().is_some_and(|gateway| gateway.starts_with("igw-")))
    };
    let (mut own, mut main) = (BTreeMap::new(), false);
    for table in tables {
        for association in table.associations() {
            if let Some(subnet) = association.subnet_id() {
                own.insert(subnet.to_owned(), open(table));
            } else if association.main() == Some(true) {
                main = open(table);
            }
        }
    }
    subnets.iter().filter(|id| own.get(*id).copied().unwrap_or(main)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};

    #[test]
    fn routes_say_which_subnets_the_internet_reaches() {
        let route = |gateway: &str| Route::builder().gateway_id(gateway).build();
        let of = |subnet: &str| RouteTableAssociation::builder().subnet_id(subnet).build();
        let main = RouteTableAssociation::builder().main(true).build();
        let tables = [
            RouteTable::builder().routes(route("local")).associations(main).build(),
            RouteTable::builder().routes(route("local")).routes(route("igw-1")).associations(of("a")).build(),
            RouteTable::builder().routes(route("local")).associations(of("b")).build(),
        ];
        let all = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(public(&tables, &all), ["a".to_owned()].into());
    }
}
