//! Elastic Load Balancing, read only: which load balancers and target groups are really there. The tagging API goes on showing deleted ones
//! for a while, so that its word alone counts for nothing.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use crate::error::{AwsError, Error, Result};
use crate::read::signed::{Protocol, Service, Signed};
use crate::read::xml;

const SERVICE: Service =
    Service { id: "Elastic Load Balancing v2", name: "elasticloadbalancing", protocol: Protocol::Query("2015-12-01") };
/// So many ARNs fit into a call.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html>
const ASKED_AT_ONCE: usize = 20;

/// What a kind of thing is asked by.
struct Kind {
    operation: &'static str,
    parameter: &'static str,
    list: &'static str,
    arn: &'static str,
    absent: &'static str,
}

const LOAD_BALANCER: Kind = Kind {
    operation: "DescribeLoadBalancers",
    parameter: "LoadBalancerArns",
    list: "LoadBalancers",
    arn: "LoadBalancerArn",
    absent: "LoadBalancerNotFound",
};
const TARGET_GROUP: Kind = Kind {
    operation: "DescribeTargetGroups",
    parameter: "TargetGroupArns",
    list: "TargetGroups",
    arn: "TargetGroupArn",
    absent: "TargetGroupNotFound",
};

/// A load balancer or target group that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balanced {
    /// Its VPC; none for target groups of functions.
    pub vpc: Option<String>,
    /// ARNs of the load balancers that send to a target group.
    pub used_by: Vec<String>,
}

/// Elastic Load Balancing of the cluster's region.
#[derive(Clone, Debug)]
pub struct ElbRead {
    signed: Signed,
}

impl ElbRead {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> ElbRead {
        ElbRead { signed: Signed::new(config, SERVICE) }
    }

    /// Those of the load balancers that are there, by ARN.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn load_balancers(&self, arns: &[String]) -> Result<BTreeMap<String, Balanced>> {
        self.there(&LOAD_BALANCER, arns).await
    }

    /// Those of the target groups that are there, by ARN.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn target_groups(&self, arns: &[String]) -> Result<BTreeMap<String, Balanced>> {
        self.there(&TARGET_GROUP, arns).await
    }

    async fn there(&self, kind: &'static Kind, arns: &[String]) -> Result<BTreeMap<String, Balanced>> {
        let mut there = BTreeMap::new();
        for some in arns.chunks(ASKED_AT_ONCE) {
            there.extend(self.of(kind, some).await?);
        }
        Ok(there)
    }

    /// One that is not there makes the whole call fail, so halves are asked until the one is alone.
    fn of<'a>(&'a self, kind: &'static Kind, arns: &'a [String]) -> BoxFuture<'a, Result<BTreeMap<String, Balanced>>> {
        Box::pin(async move {
            let form = arns
                .iter()
                .enumerate()
                .map(|(place, arn)| (format!("{}.member.{}", kind.parameter, place + 1), arn.clone()));
            let answer = self.signed.call(kind.operation, form.collect()).await;
            match answer {
                Ok(xml) => there(kind, arns, &xml).map_err(Error::from),
                Err(error) if error.is(kind.absent) => match arns {
                    [] | [_] => Ok(BTreeMap::new()),
                    _ => {
                        let (first, second) = arns.split_at(arns.len() / 2);
                        let mut there = self.of(kind, first).await?;
                        there.extend(self.of(kind, second).await?);
                        Ok(there)
                    }
                },
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// What an answer holds, which is everything that was asked for: what is not there would have been an error.
fn there(kind: &Kind, arns: &[String], xml: &str) -> Result<BTreeMap<String, Balanced>, AwsError> {
    let unusable = |message: &str| AwsError {
        operation: format!("{}:{}", SERVICE.name, kind.operation),
        code: None,
        message: message.to_owned(),
        request_id: None,
        status: Some(200),
        no_credentials: false,
    };
    let records = xml::records(xml, kind.list, &[kind.arn, "VpcId"], &["LoadBalancerArns"])
        .ok_or_else(|| unusable("HTTP status 200 with a body that is not an answer of this service"))?;
    let there: BTreeMap<_, _> = records
        .into_iter()
        .filter_map(|mut record| {
            let vpc = record.remove("VpcId").and_then(|mut texts| texts.pop());
            let used_by = record.remove("LoadBalancerArns").unwrap_or_default();
            Some((record.remove(kind.arn)?.pop()?, Balanced { vpc, used_by }))
        })
        .collect();
    if arns.iter().all(|arn| there.contains_key(arn)) {
        return Ok(there);
    }
    Err(unusable("the answer leaves out some of what it was asked for"))
}
