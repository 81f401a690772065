//! The contract of EC2, as far as the product looks.

use aws_sdk_ec2::types::Filter;

use super::{Case, case};

fn of_vpc(vpc: &str) -> Filter {
    Filter::builder().name("vpc-id").values(vpc).build()
}

const VPC: &str = "vpc-0a1b2c3d4e5f60718";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "ec2: subnets of a VPC with zone, room and tags",
            Simulator,
            |lab| {
                let get = |vpc: &str| lab.ec2.describe_subnets().filters(of_vpc(vpc)).send();
                let found = get(VPC).await.unwrap();
                let tell = |subnet: &aws_sdk_ec2::types::Subnet| {
                    let tags: Vec<_> = subnet.tags().iter().filter_map(|tag| tag.value()).collect();
                    let (id, zone) = (subnet.subnet_id().unwrap(), subnet.availability_zone().unwrap());
                    format!("{id} {zone} {} {}; ", subnet.available_ip_address_count().unwrap(), tags.join(","))
                };
                let text: String = found.subnets().iter().map(tell).collect();
                format!("{text}{}", get("vpc-other").await.unwrap().subnets().len())
            },
            "subnet-1 eu-west-1a 250 private; subnet-2 eu-west-1b 7 public; 0"
        ),
        case!(
            "ec2: route tables say which subnets the internet reaches",
            Simulator,
            |lab| {
                let found = lab.ec2.describe_route_tables().filters(of_vpc(VPC)).send().await.unwrap();
                let tell = |table: &aws_sdk_ec2::types::RouteTable| {
                    let gateways: Vec<_> = table.routes().iter().filter_map(|route| route.gateway_id()).collect();
                    let of: Vec<_> = table
                        .associations()
                        .iter()
                        .map(|it| it.subnet_id().unwrap_or(if it.main() == Some(true) { "main" } else { "?" }))
                        .collect();
                    format!("{} {}; ", gateways.join(","), of.join(","))
                };
                found.route_tables().iter().map(tell).collect::<String>()
            },
            "local main; local,igw-0123456789abcdef0 subnet-2; "
        ),
    ]
}
