//! Elastic Load Balancing, read only: which load balancers and target groups are really there. The tagging API goes on showing deleted ones
//! for a while, so that its word alone counts for nothing.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde::Deserialize;

use crate::error::{AwsError, Error, Result};
use crate::read::signed::{Protocol, Service, Signed};

const SERVICE: Service =
    Service { id: "Elastic Load Balancing v2", name: "elasticloadbalancing", protocol: Protocol::Query("2015-12-01") };
/// So many ARNs fit into a call.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html>
const ASKED_AT_ONCE: usize = 20;

/// What a kind of thing is asked by.
struct Kind {
    /// The operation as IAM writes it.
    action: &'static str,
    parameter: &'static str,
    absent: &'static str,
}

const LOAD_BALANCER: Kind = Kind {
    action: "elasticloadbalancing:DescribeLoadBalancers",
    parameter: "LoadBalancerArns",
    absent: "LoadBalancerNotFound",
};
const TARGET_GROUP: Kind = Kind {
    action: "elasticloadbalancing:DescribeTargetGroups",
    parameter: "TargetGroupArns",
    absent: "TargetGroupNotFound",
};

/// An answer to either question.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(rename = "DescribeLoadBalancersResult", alias = "DescribeTargetGroupsResult")]
    result: Found,
}

#[derive(Debug, Deserialize)]
struct Found {
    #[serde(rename = "LoadBalancers", alias = "TargetGroups")]
    all: Members<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    #[serde(rename = "LoadBalancerArn", alias = "TargetGroupArn")]
    arn: String,
    #[serde(rename = "VpcId")]
    vpc: Option<String>,
    #[serde(rename = "LoadBalancerArns", default)]
    used_by: Members<String>,
}

/// A list of this protocol.
#[derive(Debug, Deserialize)]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Members<T> {
        Members { member: Vec::new() }
    }
}

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
            match self.signed.call(kind.action, form.collect()).await {
                Ok(answer) => there(kind, arns, answer).map_err(Error::from),
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
fn there(kind: &Kind, arns: &[String], answer: Answer) -> Result<BTreeMap<String, Balanced>, AwsError> {
    let records = answer.result.all.member.into_iter();
    let there: BTreeMap<_, _> =
        records.map(|Record { arn, vpc, used_by }| (arn, Balanced { vpc, used_by: used_by.member })).collect();
    if arns.iter().all(|arn| there.contains_key(arn)) {
        return Ok(there);
    }
    Err(AwsError::unusable(kind.action.to_owned(), "the answer leaves out some of what it was asked for".to_owned()))
}

#[cfg(all(test, feature = "sandbox"))]
mod tests {
    use super::*;
    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;

    use crate::sandbox::aws::{At, Effect, Fault, Seed, Simulator};

    fn reader(simulator: &Simulator) -> ElbRead {
        let key = simulator.access_key();
        let key = Credentials::new(key.access_key_id, key.secret_access_key, None, None, "test");
        let retries = RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1));
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(key))
            .retry_config(retries)
            .http_client(simulator.http_client());
        ElbRead::new(&config.build())
    }

    fn arn(number: usize) -> String {
        format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/lb-{number}/0123456789abcdef")
    }

    fn world(there: impl Iterator<Item = usize>) -> Simulator {
        let simulator = Simulator::new(Seed::builtin()).expect("the built-in seed is valid");
        there.for_each(|number| simulator.put_resource(&arn(number), &BTreeMap::new()));
        simulator
    }

    #[tokio::test]
    async fn what_is_not_there_is_found_among_many_in_few_calls() {
        let simulator = world((0..45).filter(|number| ![3, 21, 44].contains(number)));
        let arns: Vec<_> = (0..45).map(arn).collect();
        let there = reader(&simulator).load_balancers(&arns).await.unwrap();
        let absent: Vec<_> = arns.iter().filter(|arn| !there.contains_key(*arn)).collect();
        assert_eq!(absent, [&arn(3), &arn(21), &arn(44)]);
        assert_eq!(there[&arn(0)].vpc.as_deref(), Some("vpc-0a1b2c3d4e5f60718"));
        let calls = simulator.calls().len();
        assert!((4..30).contains(&calls), "{calls}");
        simulator.clear_calls();
        assert_eq!(reader(&simulator).target_groups(&[]).await.unwrap().len(), 0);
        assert!(simulator.calls().is_empty(), "nothing is asked about nothing");
    }

    #[tokio::test]
    async fn passing_faults_are_retried_and_refusals_keep_code_and_request_id() {
        let simulator = world(0..1);
        let at = |nth| At::Operation { name: "DescribeLoadBalancers".to_owned(), nth };
        simulator.inject(Fault::once(at(1), Effect::Throttle));
        simulator.inject(Fault::once(at(2), Effect::Drop));
        assert_eq!(reader(&simulator).load_balancers(&[arn(0)]).await.unwrap().len(), 1);
        assert_eq!(simulator.calls().len(), 3);
        let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "no".to_owned() };
        simulator.inject(Fault::once(at(4), denied));
        let Err(Error::Aws(error)) = reader(&simulator).load_balancers(&[arn(0)]).await else {
            panic!("it was denied")
        };
        assert!(error.denied() && error.status == Some(403), "{error:?}");
        assert_eq!(error.operation, "elasticloadbalancing:DescribeLoadBalancers");
        assert_eq!(error.request_id.as_deref(), Some(simulator.calls()[3].request_id.as_str()));
    }

    #[test]
    fn an_answer_that_leaves_something_out_is_no_proof() {
        let xml = "<R><DescribeLoadBalancersResult><LoadBalancers><member><LoadBalancerArn>a</LoadBalancerArn>\
                   </member></LoadBalancers></DescribeLoadBalancersResult></R>";
        let answer = || quick_xml::de::from_str(xml).unwrap();
        assert!(there(&LOAD_BALANCER, &["a".to_owned()], answer()).is_ok());
        assert!(there(&LOAD_BALANCER, &["a".to_owned(), "b".to_owned()], answer()).is_err());
    }

    #[test]
    fn target_groups_say_who_uses_them_and_what_is_not_whole_is_no_answer() {
        let xml = "<?xml version=\"1.0\"?>\n<DescribeTargetGroupsResponse xmlns=\"urn:x\">\n <DescribeTargetGroupsResult>\n  <TargetGroups>\n\
            <member>\n<TargetGroupArn>a&amp;b</TargetGroupArn>\n<LoadBalancerArns><member>one</member><member>two</member>\
            </LoadBalancerArns><Matcher><TargetGroupArn>no</TargetGroupArn></Matcher><VpcId>vpc-1</VpcId>\n</member>\n\
            <member><TargetGroupArn>c</TargetGroupArn><LoadBalancerArns/></member>\n\
            </TargetGroups>\n </DescribeTargetGroupsResult>\n</DescribeTargetGroupsResponse>\n";
        let read = |xml: &str| quick_xml::de::from_str::<Answer>(xml).ok();
        let found = there(&TARGET_GROUP, &["a&b".to_owned(), "c".to_owned()], read(xml).unwrap()).unwrap();
        assert_eq!(found["a&b"].used_by, ["one", "two"]);
        assert_eq!((found["a&b"].vpc.as_deref(), found["c"].vpc.as_deref()), (Some("vpc-1"), None));
        for (place, _) in xml.trim_end().char_indices().skip(1) {
            assert!(read(&xml[..place]).is_none(), "cut at {place}");
        }
        for other in
            ["", "plain text", "<html><body>busy</body></html>", "{\"a\": 1}", "<R><DescribeTargetGroupsResult/></R>"]
        {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
