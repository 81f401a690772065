//! The contract of what is asked about load balancers, security groups, volumes and accelerators: whether they are there.

use std::collections::BTreeMap;

use super::lab::{Lab, element, elements};
use super::{Case, case};

const BALANCER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/k8s-shop/0123456789abcdef";
const OTHER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/net/k8s-api/0123456789abcdef";
const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/k8s-shop/0123456789abcdef";
const SECURITY: &str = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0123456789abcdef0";
const ACCELERATOR: &str = "arn:aws:globalaccelerator::111122223333:accelerator/01234567-89ab-cdef-0123-456789abcdef";

fn put(lab: &Lab) {
    let tags = BTreeMap::from([("elbv2.k8s.aws/cluster".to_owned(), "demo".to_owned())]);
    for arn in [BALANCER, OTHER, GROUP, SECURITY, ACCELERATOR] {
        lab.simulator().put_resource(arn, &tags);
    }
}

/// Status, and code of an error or how often an element is answered.
async fn asked(lab: &Lab, operation: &str, more: &[(&str, &str)], counted: &str) -> String {
    let form = [&[("Action", operation), ("Version", "2015-12-01")][..], more].concat();
    let (status, _, body) = lab.form("elasticloadbalancing", &form).await;
    match element(&body, "Code") {
        "" | "active" => format!("{status} {}", body.matches(&format!("<{counted}>")).count()),
        code => format!("{status} {code}"),
    }
}

async fn accelerator(lab: &Lab, region: &str, arn: &str) -> String {
    let request = http::Request::post(format!("{}/", lab.url()))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "GlobalAccelerator_V20180706.DescribeAccelerator")
        .body(format!("{{\"AcceleratorArn\": \"{arn}\"}}"));
    let (status, _, body) = lab.send_in(region, "globalaccelerator", request.unwrap()).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let told = body["__type"].as_str().or(body["Accelerator"]["Status"].as_str()).unwrap_or("something else");
    format!("{status} {told}")
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "elb: load balancers by ARN; one that is not there fails the call",
            Simulator,
            |lab| {
                put(&lab);
                let first = ("LoadBalancerArns.member.1", BALANCER);
                let both = [first, ("LoadBalancerArns.member.2", OTHER)];
                let there = asked(&lab, "DescribeLoadBalancers", &both, "LoadBalancerArn").await;
                lab.simulator().remove_resource(OTHER);
                let one = asked(&lab, "DescribeLoadBalancers", &both, "LoadBalancerArn").await;
                let rest = asked(&lab, "DescribeLoadBalancers", &[first], "LoadBalancerArn").await;
                format!("{there}; {one}; {rest}")
            },
            "200 2; 400 LoadBalancerNotFound; 200 1"
        ),
        case!(
            "elb: target groups have codes of their own, and ARNs of another kind are refused",
            Simulator,
            |lab| {
                put(&lab);
                let by = |arn| [("TargetGroupArns.member.1", arn)];
                let there = asked(&lab, "DescribeTargetGroups", &by(GROUP), "TargetGroupArn").await;
                lab.simulator().remove_resource(GROUP);
                let gone = asked(&lab, "DescribeTargetGroups", &by(GROUP), "TargetGroupArn").await;
                let other = asked(&lab, "DescribeTargetGroups", &by(BALANCER), "TargetGroupArn").await;
                format!("{there}; {gone}; {other}")
            },
            "200 1; 400 TargetGroupNotFound; 400 ValidationError"
        ),
        case!(
            "elb: all of them, by pages; the older API at the same host is another",
            Simulator,
            |lab| {
                put(&lab);
                let page = [("PageSize", "1")];
                let form = [("Action", "DescribeLoadBalancers"), ("Version", "2015-12-01"), page[0]];
                let (_, _, body) = lab.form("elasticloadbalancing", &form).await;
                let marker = element(&body, "NextMarker").to_owned();
                let last = asked(&lab, "DescribeLoadBalancers", &[page[0], ("Marker", &marker)], "NextMarker").await;
                let form = [("Action", "DescribeLoadBalancers"), ("Version", "2012-06-01")];
                let (status, _, body) = lab.form("elasticloadbalancing", &form).await;
                format!("{} {last} {status} {}", marker.is_empty(), element(&body, "Code"))
            },
            "false 200 0 400 InvalidAction"
        ),
        case!(
            "ec2: by a filter what is not there is left out, by its id it is an error",
            Simulator,
            |lab| {
                put(&lab);
                let filter = |name, there, gone| {
                    [("Filter.1.Name", name), ("Filter.1.Value.1", there), ("Filter.1.Value.2", gone)]
                };
                let ask = async |operation: &str, fields: &[(&str, &str)]| {
                    let (status, body) = lab.ec2(operation, fields).await;
                    match element(&body, "Code") {
                        "" => format!("{}{}", elements(&body, "vpcId"), elements(&body, "volumeId")),
                        code => format!("{status} {code}"),
                    }
                };
                let groups = filter("group-id", "sg-0123456789abcdef0", "sg-gone");
                format!(
                    "{} {}; {} {}",
                    ask("DescribeSecurityGroups", &groups).await,
                    ask("DescribeSecurityGroups", &[("GroupId.1", "sg-gone")]).await,
                    ask("DescribeVolumes", &filter("volume-id", "vol-1", "vol-gone")).await,
                    ask("DescribeVolumes", &[("VolumeId.1", "vol-gone")]).await
                )
            },
            "vpc-0a1b2c3d4e5f60718 400 InvalidGroup.NotFound; vol-1 400 InvalidVolume.NotFound"
        ),
        case!(
            "globalaccelerator: asked in us-west-2 only",
            Simulator,
            |lab| {
                put(&lab);
                let there = accelerator(&lab, "us-west-2", ACCELERATOR).await;
                let elsewhere = accelerator(&lab, "eu-west-1", ACCELERATOR).await;
                lab.simulator().remove_resource(ACCELERATOR);
                format!("{there}; {elsewhere}; {}", accelerator(&lab, "us-west-2", ACCELERATOR).await)
            },
            "200 DEPLOYED; 403 InvalidSignatureException; 400 AcceleratorNotFoundException"
        ),
        case!(
            "tagging: accelerators are seen in us-west-2, and what is deleted is shown for a long time",
            Simulator,
            |lab| {
                put(&lab);
                lab.advance(20);
                let key =
                    aws_credential_types::Credentials::new("AKIACONTRACT00000001", "secret-1", None, None, "contract");
                let count = async |region: &str| {
                    let client = aws_sdk_resourcegroupstagging::Client::new(&lab.seen_by(&key, region));
                    let filter =
                        aws_sdk_resourcegroupstagging::types::TagFilter::builder().key("elbv2.k8s.aws/cluster");
                    let found = client.get_resources().tag_filters(filter.build()).send().await.unwrap();
                    found.resource_tag_mapping_list().len()
                };
                let before = (count("eu-west-1").await, count("us-west-2").await, count("us-east-1").await);
                for arn in [BALANCER, OTHER, GROUP, SECURITY, ACCELERATOR] {
                    lab.simulator().remove_resource(arn);
                }
                lab.advance(600);
                let ghosts = (count("eu-west-1").await, count("us-west-2").await);
                lab.advance(3600);
                format!("{before:?} {ghosts:?} {}", count("eu-west-1").await)
            },
            "(4, 1, 0) (4, 1) 0"
        ),
    ]
}
