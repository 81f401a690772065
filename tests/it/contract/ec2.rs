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
        case!(
            "ec2: rules of security groups, by who is at the other end",
            Simulator,
            |lab| {
                let (_, found) = lab.ec2("DescribeSecurityGroups", &[("GroupId.1", "sg-2")]).await;
                let (inwards, outwards) = found.split_once("<ipPermissionsEgress>").unwrap();
                let all = ["ipProtocol", "fromPort", "toPort", "cidrIp", "cidrIpv6", "prefixListId", "userId"];
                let told = all.map(|name| elements(inwards, name)).join("; ");
                // The group's own id, and those that its rules name.
                format!("{told}; {}; {}", elements(inwards, "groupId"), elements(outwards, "ipProtocol"))
            },
            "tcp,-1; 10250; 10250; 10.0.0.0/8; 2001:db8::/56; pl-1; 111122223333; sg-2,sg-1; "
        ),
        case!(
            "ec2: the cluster's own security group allows itself, a new one lets everything out",
            Simulator,
            |lab| {
                let groups = [("GroupId.1", "sg-0c1a5e7d9b3f24680"), ("GroupId.2", "sg-1")];
                let (_, found) = lab.ec2("DescribeSecurityGroups", &groups).await;
                let groups = found.split("<groupName>").skip(1).map(|group| {
                    let (inwards, outwards) = group.split_once("<ipPermissionsEgress>").unwrap();
                    format!("{} {}; ", elements(inwards, "groupId"), elements(outwards, "cidrIp"))
                });
                groups.collect::<String>()
            },
            "sg-0c1a5e7d9b3f24680 0.0.0.0/0;  0.0.0.0/0; "
        ),
        case!(
            "ec2: instances with the security groups of each interface, by id and by a filter",
            Simulator,
            |lab| {
                let filter =
                    [("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", "i-2"), ("Filter.1.Value.2", "i-9")];
                let (_, found) = lab.ec2("DescribeInstances", &filter).await;
                let (gone, body) = lab.ec2("DescribeInstances", &[("InstanceId.1", "i-9")]).await;
                let both = [("InstanceId.1", "i-1"), ("MaxResults", "5")];
                let (_, both) = lab.ec2("DescribeInstances", &both).await;
                let (small, _) = lab.ec2("DescribeInstances", &[("MaxResults", "4")]).await;
                format!(
                    "{} {} {}; {gone} {}; {}; {small}",
                    elements(&found, "instanceId"),
                    elements(&found, "groupId"),
                    elements(&found, "deviceIndex"),
                    element(&body, "Code"),
                    element(&both, "Code")
                )
            },
            "i-2 sg-1,sg-2,sg-1,sg-2,sg-2 0,1; 400 InvalidInstanceID.NotFound; InvalidParameterCombination; 400"
        ),
    ]
}
