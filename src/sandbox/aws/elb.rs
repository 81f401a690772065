//! The simulated Elastic Load Balancing, as far as the product looks: load balancers and target groups that the sandbox's stand-ins
//! made. What is there is what carries tags now; all lie in the VPC of the region's cluster.

use super::eks::cluster::Cluster;
use super::error::{ApiError, Result};
use super::form::Form;
use super::paging::page;
use super::world::{CallContext, World};
use super::xml::Xml;

/// The version of the API. Under an older one the same host answers for classic load balancers.
const VERSION: &str = "2015-12-01";
/// So many ARNs may be asked for at once.
const MOST_ARNS: usize = 20;

/// A kind of thing, as its operation speaks of it.
struct Kind {
    operation: &'static str,
    prefix: &'static str,
    list: &'static str,
    member: &'static str,
    noun: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        operation: "DescribeLoadBalancers",
        prefix: "loadbalancer/",
        list: "LoadBalancers",
        member: "LoadBalancer",
        noun: "load balancer",
    },
    Kind {
        operation: "DescribeTargetGroups",
        prefix: "targetgroup/",
        list: "TargetGroups",
        member: "TargetGroup",
        noun: "target group",
    },
];

/// Answers a call of Elastic Load Balancing.
pub(super) fn call(world: &World, cx: &CallContext, operation: &str, form: &Form) -> Result<Xml> {
    let version = form.get("Version").unwrap_or_default();
    if version != VERSION {
        let text = format!("Could not find operation {operation} for version {version}");
        return Err(ApiError::new("InvalidAction", 400, text));
    }
    let kind = KINDS.iter().find(|kind| kind.operation == operation);
    let kind = kind.ok_or_else(|| ApiError::not_implemented(&format!("elasticloadbalancing:{operation}")))?;
    let there = world.present_in(&cx.region, "elasticloadbalancing", kind.prefix);
    let (arns, names) = (form.list(&format!("{}Arns", kind.member)), form.list("Names"));
    if arns.len() > MOST_ARNS {
        let text =
            format!("The maximum number of {}s that can be specified in a describe call is {MOST_ARNS}", kind.noun);
        return Err(ApiError::validation(text));
    }
    if let Some(arn) = arns.iter().find(|arn| !arn.contains(&format!(":{}", kind.prefix))) {
        return Err(ApiError::validation(format!("'{arn}' is not a valid {} ARN", kind.noun)));
    }
    if form.get("LoadBalancerArn").is_some() {
        return Err(ApiError::not_implemented("elasticloadbalancing: target groups of one load balancer"));
    }
    let known = |wanted: &String| there.iter().any(|arn| arn == wanted || name(arn) == wanted);
    if !arns.iter().chain(&names).all(known) {
        let code = format!("{}NotFound", kind.member);
        return Err(ApiError::new(code, 400, format!("One or more {}s not found", kind.noun)));
    }
    let asked = |arn: &String| {
        (arns.is_empty() && names.is_empty()) || arns.contains(arn) || names.iter().any(|it| it == name(arn))
    };
    let items: Vec<_> = there.iter().filter(|arn| asked(arn)).map(|arn| (arn.clone(), arn.clone())).collect();
    let size = world.page_of(form.number("PageSize", 1, 400)?, 400);
    let page = page(items, form.get("Marker"), size).ok_or_else(|| {
        ApiError::validation(format!("'{}' is not a valid marker", form.get("Marker").unwrap_or_default()))
    })?;
    let vpc = vpc(world, &cx.region);
    Ok(Xml::build(|xml| {
        xml.members(kind.list, page.items, |xml, arn| match kind.member {
            "LoadBalancer" => load_balancer(xml, &arn, &vpc, &cx.region),
            _ => target_group(xml, &arn, &vpc),
        });
        xml.optional("NextMarker", page.next);
    }))
}

/// `app/NAME/ID`, `NAME/ID`.
fn name(arn: &str) -> &str {
    arn.rsplit('/').nth(1).unwrap_or_default()
}

fn vpc(world: &World, region: &str) -> String {
    let cluster = world.clusters.values().find(|cluster| cluster.region == region).map(Cluster::network);
    cluster.map(|(vpc, _)| vpc.to_owned()).unwrap_or_default()
}

fn load_balancer(xml: &mut Xml, arn: &str, vpc: &str, region: &str) {
    let kind = if arn.contains("/app/") { "application" } else { "network" };
    xml.text("LoadBalancerArn", arn);
    xml.text("DNSName", format!("{}-0.{region}.elb.amazonaws.com", name(arn)));
    xml.text("LoadBalancerName", name(arn));
    xml.text("Scheme", "internet-facing");
    xml.text("VpcId", vpc);
    xml.node("State", |xml| xml.text("Code", "active"));
    xml.text("Type", kind);
    xml.text("IpAddressType", "ipv4");
}

fn target_group(xml: &mut Xml, arn: &str, vpc: &str) {
    xml.text("TargetGroupArn", arn);
    xml.text("TargetGroupName", name(arn));
    xml.text("Protocol", "HTTP");
    xml.text("Port", 80);
    xml.text("VpcId", vpc);
    xml.text("TargetType", "ip");
    xml.node("LoadBalancerArns", |_| {});
}
