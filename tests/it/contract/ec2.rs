//! The contract of EC2, as far as the product looks.

use super::lab::{element, elements};
use super::{Case, case};

const VPC: &str = "vpc-0a1b2c3d4e5f60718";

/// A filter for the things of a VPC.
fn of(vpc: &str) -> [(&'static str, &str); 2] {
    [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc)]
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "ec2: subnets of a VPC with zone, room and tags",
            Simulator,
            |lab| {
                let (_, found) = lab.ec2("DescribeSubnets", &of(VPC)).await;
                let (_, other) = lab.ec2("DescribeSubnets", &of("vpc-other")).await;
                let tell = |name: &str| elements(&found, name);
                format!(
                    "{}; {}; {}; {}; {}",
                    tell("subnetId"),
                    tell("availabilityZone"),
                    tell("availableIpAddressCount"),
                    tell("value"),
                    elements(&other, "item")
                )
            },
            "subnet-1,subnet-2; eu-west-1a,eu-west-1b; 250,7; private,public; "
        ),
        case!(
            "ec2: route tables say which subnets the internet reaches",
            Simulator,
            |lab| {
                let (_, found) = lab.ec2("DescribeRouteTables", &of(VPC)).await;
                let tables = found.split("<routeSet>").skip(1).map(|table| {
                    format!(
                        "{} {}{}; ",
                        elements(table, "gatewayId"),
                        elements(table, "subnetId"),
                        if element(table, "main") == "true" { "main" } else { "" }
                    )
                });
                tables.collect::<String>()
            },
            "local main; local,igw-0123456789abcdef0 subnet-2; "
        ),
        case!(
            "ec2: other versions of the API and pages that AWS does not have",
            Simulator,
            |lab| {
                let (old, _, _) = lab.form("ec2", &[("Action", "DescribeSubnets"), ("Version", "2014-10-01")]).await;
                let [name, vpc] = of(VPC);
                let (small, _) = lab.ec2("DescribeSubnets", &[name, vpc, ("MaxResults", "4")]).await;
                let (large, _) = lab.ec2("DescribeRouteTables", &[name, vpc, ("MaxResults", "101")]).await;
                let (token, body) = lab.ec2("DescribeSubnets", &[name, vpc, ("NextToken", "x")]).await;
                format!("{old} {small} {large} {token} {}", element(&body, "Code"))
            },
            "501 400 400 400 InvalidParameterValue"
        ),
    ]
}
