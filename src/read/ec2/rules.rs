//! What decides whether the control plane reaches a node: the rules of security groups, and which groups the interfaces of instances
//! carry. Reads only, over the questions of `ec2.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Ec2Read, Items, Question, SECURITY_GROUPS};
use crate::error::Result;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>
const INSTANCES: Question = Question { action: "ec2:DescribeInstances", page: 1000 };

/// The rules of a security group, in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// What may come in.
    pub ingress: Vec<Rule>,
    /// What may go out.
    pub egress: Vec<Rule>,
}

/// One permission: a protocol, ports, and who is at the other end.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// `tcp`, a number, or `-1` for all of them.
    pub protocol: String,
    /// The first port; none where all are meant.
    pub from: Option<i64>,
    /// The last port.
    pub to: Option<i64>,
    /// Ids of security groups.
    pub groups: Vec<String>,
    /// Ranges of addresses, of both families.
    pub ranges: Vec<String>,
    /// Ids of managed prefix lists.
    pub prefix_lists: Vec<String>,
}

/// The security groups of an instance's interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Those of the first interface, which has the node's own address.
    pub primary: BTreeSet<String>,
    /// Those of the others, from which the VPC CNI gives addresses to pods.
    pub others: Vec<BTreeSet<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupItem {
    group_id: String,
    #[serde(default)]
    ip_permissions: Items<RuleItem>,
    #[serde(default)]
    ip_permissions_egress: Items<RuleItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleItem {
    ip_protocol: String,
    from_port: Option<i64>,
    to_port: Option<i64>,
    groups: Items<PeerItem>,
    ip_ranges: Items<RangeItem>,
    ipv6_ranges: Items<RangeItem>,
    prefix_list_ids: Items<ListItem>,
}

/// A group of another account in a peered VPC may be named without its id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeerItem {
    group_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RangeItem {
    #[serde(rename = "cidrIp", alias = "cidrIpv6")]
    range: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListItem {
    prefix_list_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    #[serde(default)]
    instances_set: Items<InstanceItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceItem {
    instance_id: String,
    #[serde(default)]
    group_set: Items<MemberItem>,
    #[serde(default)]
    network_interface_set: Items<InterfaceItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MemberItem {
    group_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceItem {
    attachment: Option<PlaceItem>,
    #[serde(default)]
    group_set: Items<MemberItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PlaceItem {
    device_index: i64,
    network_card_index: i64,
}

impl Ec2Read {
    /// Those of the security groups that are there, by id, with their rules.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn rules(&self, ids: &[String]) -> Result<BTreeMap<String, Group>> {
        let groups = self.there::<GroupItem>(&SECURITY_GROUPS, "group-id", ids).await?;
        Ok(groups.into_iter().map(GroupItem::parts).collect())
    }

    /// Those of the instances that are there and have interfaces, by id.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn interfaces(&self, instances: &[String]) -> Result<BTreeMap<String, Interfaces>> {
        let found = self.there::<Reservation>(&INSTANCES, "instance-id", instances).await?;
        let instances = found.into_iter().flat_map(|reservation| reservation.instances_set.item);
        // One that was terminated is listed for an hour, without interfaces.
        Ok(instances.map(InstanceItem::parts).filter(|(_, interfaces)| !interfaces.primary.is_empty()).collect())
    }
}

impl GroupItem {
    fn parts(self) -> (String, Group) {
        let rules = |items: Items<RuleItem>| items.item.into_iter().map(Rule::from).collect();
        (self.group_id, Group { ingress: rules(self.ip_permissions), egress: rules(self.ip_permissions_egress) })
    }
}

impl From<RuleItem> for Rule {
    fn from(item: RuleItem) -> Rule {
        let ranges = item.ip_ranges.item.into_iter().chain(item.ipv6_ranges.item);
        Rule {
            protocol: item.ip_protocol,
            from: item.from_port,
            to: item.to_port,
            groups: item.groups.item.into_iter().filter_map(|peer| peer.group_id).collect(),
            ranges: ranges.filter_map(|range| range.range).collect(),
            prefix_lists: item.prefix_list_ids.item.into_iter().filter_map(|list| list.prefix_list_id).collect(),
        }
    }
}

impl InstanceItem {
    fn parts(self) -> (String, Interfaces) {
        let ids = |groups: Items<MemberItem>| groups.item.into_iter().map(|group| group.group_id).collect();
        let is_first = |interface: &InterfaceItem| {
            interface.attachment.as_ref().is_none_or(|place| (place.device_index, place.network_card_index) == (0, 0))
        };
        let others = self.network_interface_set.item.into_iter().filter(|interface| !is_first(interface));
        let others = others.map(|interface| ids(interface.group_set)).collect();
        // The instance's own list is that of its first interface.
        (self.instance_id, Interfaces { primary: ids(self.group_set), others })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Page;
    use super::*;

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn rules_are_read_with_every_kind_of_other_end() {
        let xml = "<DescribeSecurityGroupsResponse><requestId>r</requestId><securityGroupInfo><item><ownerId>1</ownerId>\
                   <groupId>sg-1</groupId><groupName>n</groupName><ipPermissions><item><ipProtocol>tcp</ipProtocol>\
                   <fromPort>9443</fromPort><toPort>9444</toPort><groups><item><userId>1</userId><groupId>sg-2</groupId></item>\
                   <item><userId>2</userId><groupName>peer</groupName></item></groups><ipRanges><item><cidrIp>10.0.0.0/16</cidrIp>\
                   <description>x</description></item></ipRanges><ipv6Ranges><item><cidrIpv6>2001:db8::/56</cidrIpv6></item>\
                   </ipv6Ranges><prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds></item>\
                   </ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups/><ipRanges/><ipv6Ranges/>\
                   <prefixListIds/></item></ipPermissionsEgress><vpcId>vpc-1</vpcId></item></securityGroupInfo>\
                   </DescribeSecurityGroupsResponse>";
        let page: Page<GroupItem> = quick_xml::de::from_str(xml).unwrap();
        let groups: BTreeMap<_, _> = page.found.item.into_iter().map(GroupItem::parts).collect();
        let ingress = Rule {
            protocol: "tcp".to_owned(),
            from: Some(9443),
            to: Some(9444),
            groups: vec!["sg-2".to_owned()],
            ranges: vec!["10.0.0.0/16".to_owned(), "2001:db8::/56".to_owned()],
            prefix_lists: vec!["pl-1".to_owned()],
        };
        let egress = Rule { protocol: "-1".to_owned(), ..Rule::default() };
        assert_eq!(groups["sg-1"], Group { ingress: vec![ingress], egress: vec![egress] });
    }

    #[test]
    fn instances_are_read_with_the_groups_of_each_interface() {
        let interface = |device: u8, card: u8, group: &str| {
            format!(
                "<item><networkInterfaceId>eni-{device}</networkInterfaceId><groupSet><item><groupId>{group}</groupId>\
                 <groupName>n</groupName></item></groupSet><attachment><deviceIndex>{device}</deviceIndex>\
                 <networkCardIndex>{card}</networkCardIndex></attachment></item>"
            )
        };
        let interfaces = [interface(0, 0, "sg-a"), interface(1, 0, "sg-b"), interface(0, 1, "sg-c")].concat();
        let xml = format!(
            "<DescribeInstancesResponse><requestId>r</requestId><reservationSet><item><reservationId>r-1</reservationId>\
             <groupSet/><instancesSet><item><instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name>\
             </instanceState><networkInterfaceSet>{interfaces}</networkInterfaceSet><groupSet><item><groupId>sg-a</groupId>\
             </item></groupSet></item><item><instanceId>i-2</instanceId><groupSet/></item></instancesSet></item>\
             </reservationSet><nextToken>t</nextToken></DescribeInstancesResponse>"
        );
        let page: Page<Reservation> = quick_xml::de::from_str(&xml).unwrap();
        assert_eq!(page.next.as_deref(), Some("t"));
        let instances = page.found.item.into_iter().flat_map(|reservation| reservation.instances_set.item);
        let found: BTreeMap<_, _> = instances.map(InstanceItem::parts).collect();
        let first = Interfaces { primary: set(&["sg-a"]), others: vec![set(&["sg-b"]), set(&["sg-c"])] };
        assert_eq!(found, BTreeMap::from([("i-1".to_owned(), first), ("i-2".to_owned(), Interfaces::default())]));
    }
}
