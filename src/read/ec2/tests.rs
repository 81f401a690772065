//! What is asked and what is made of answers, over documents of the shape that AWS's API reference gives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::error::{AwsError, Error};
use crate::limits::AWS_ANSWER;

/// Answers one after another, the last one for ever; keeps what was asked.
#[derive(Debug, Clone)]
struct Answers {
    left: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<(http::HeaderMap, String)>>>,
}

impl Answers {
    fn new(answers: &[(u16, &str)]) -> Answers {
        let left = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Answers { left: Arc::new(Mutex::new(left)), asked: Arc::default() }
    }

    fn reader(&self) -> Ec2Read {
        let answers = self.clone();
        let key = Credentials::new("AKIATEST", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .app_name(aws_config::AppName::new("eks-bootstrap").unwrap())
            .credentials_provider(SharedCredentialsProvider::new(key))
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(answers.clone())));
        Ec2Read::new(&config.build())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }
}

impl HttpConnector for Answers {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = headers.map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()));
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        self.asked.lock().unwrap().push((headers.collect(), body));
        let mut left = self.left.lock().unwrap();
        let (status, body) = if left.len() > 1 { left.pop_front().unwrap() } else { left[0].clone() };
        let answer = http::Response::builder().status(status).body(SdkBody::from(body)).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(answer).unwrap()))
    }
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn volumes(items: &str, token: &str) -> String {
    format!(
        "{HEAD}<DescribeVolumesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n    <requestId>r-1</requestId>\n    \
         <volumeSet>{items}</volumeSet>{token}\n</DescribeVolumesResponse>\n"
    )
}

const ATTACHED: &str = "
        <item>
            <volumeId>vol-1</volumeId>
            <size>4</size>
            <attachmentSet>
                <item>
                    <volumeId>vol-other</volumeId>
                    <instanceId>i-1</instanceId>
                    <deleteOnTermination>false</deleteOnTermination>
                </item>
                <item><instanceOwningService>fargate.amazonaws.com</instanceOwningService></item>
            </attachmentSet>
            <operator><managed>false</managed></operator>
        </item>
";

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn volumes_are_read_page_by_page_with_what_they_are_attached_to() {
    let first = volumes(ATTACHED, "<nextToken>a+b/c=</nextToken>");
    let second = volumes("<item><volumeId>vol-2</volumeId><attachmentSet/></item>", "<nextToken/>");
    let answers = Answers::new(&[(200, &first), (200, &second)]);
    let found = answers.reader().volumes(&ids(&["vol-1", "vol-2"])).await.unwrap();
    assert_eq!(found, BTreeMap::from([("vol-1".to_owned(), ids(&["i-1"])), ("vol-2".to_owned(), Vec::new())]));
    // As botocore 1.44.8 serialises the same two calls.
    let same = "Action=DescribeVolumes&Version=2016-11-15&Filter.1.Name=volume-id&Filter.1.Value.1=vol-1&Filter.1.Value.2=vol-2\
                &MaxResults=500";
    assert_eq!(answers.asked(), [same.to_owned(), format!("{same}&NextToken=a%2Bb%2Fc%3D")]);
}

#[tokio::test]
async fn a_call_is_signed_for_ec2_and_says_who_makes_it() {
    let answers = Answers::new(&[(200, &volumes("", ""))]);
    assert!(answers.reader().volumes(&ids(&["vol-1"])).await.unwrap().is_empty());
    let asked = answers.asked.lock().unwrap();
    let header = |name: &str| asked[0].0.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(header("authorization").contains("/eu-west-1/ec2/aws4_request"), "{}", header("authorization"));
    assert!(header("user-agent").contains("app/eks-bootstrap"), "{}", header("user-agent"));
}

#[tokio::test]
async fn subnets_have_zone_room_tags_and_a_way_to_the_internet() {
    let subnets = format!(
        "{HEAD}<DescribeSubnetsResponse>\n<requestId>r</requestId>\n<subnetSet>\n<item>\n<subnetId>subnet-b</subnetId>\n\
         <availabilityZone>eu-west-1b</availabilityZone>\n<availableIpAddressCount>251</availableIpAddressCount>\n<tagSet>\n\
         <item>\n<key>kubernetes.io/role/elb</key>\n<value/>\n</item>\n<item>\n<key>Name</key>\n<value>R&amp;D &#233;</value>\n</item>\n\
         </tagSet>\n<ipv6CidrBlockAssociationSet/>\n</item>\n<item>\n<subnetId>subnet-a</subnetId>\n\
         <cidrBlock>10.0.1.0/24</cidrBlock>\n<ipv6CidrBlockAssociationSet><item><associationId>a</associationId>\
         <ipv6CidrBlock>2001:db8::/64</ipv6CidrBlock></item></ipv6CidrBlockAssociationSet>\n\
         <availabilityZone>eu-west-1a</availabilityZone>\n<availableIpAddressCount>0</availableIpAddressCount>\n\
         </item>\n</subnetSet>\n</DescribeSubnetsResponse>"
    );
    let tables = format!(
        "{HEAD}<DescribeRouteTablesResponse><routeTableSet><item><routeTableId>rtb-1</routeTableId><routeSet><item>\
         <destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId></item><item>\
         <destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-1</gatewayId></item></routeSet>\
         <associationSet><item><routeTableAssociationId>x</routeTableAssociationId><subnetId>subnet-b</subnetId>\
         <main>false</main></item></associationSet></item><item><routeTableId>rtb-2</routeTableId><routeSet><item>\
         <natGatewayId>nat-1</natGatewayId></item></routeSet><associationSet><item><main>true</main></item></associationSet>\
         </item></routeTableSet></DescribeRouteTablesResponse>"
    );
    let answers = Answers::new(&[(200, &subnets), (200, &tables)]);
    let found = answers.reader().subnets("vpc-1").await.unwrap();
    let tags = [("kubernetes.io/role/elb", ""), ("Name", "R&D \u{e9}")];
    let subnet = |id: &str, zone: &str, free, public, tags: &[(&str, &str)]| Subnet {
        id: id.to_owned(),
        zone: zone.to_owned(),
        free,
        ranges: if id == "subnet-a" { ids(&["10.0.1.0/24", "2001:db8::/64"]) } else { Vec::new() },
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        public,
    };
    let expected =
        [subnet("subnet-a", "eu-west-1a", 0, false, &[]), subnet("subnet-b", "eu-west-1b", 251, true, &tags)];
    assert_eq!(found, expected);
    // As botocore 1.44.8 serialises the same calls.
    let of = |operation: &str, most: u16| {
        format!("Action={operation}&Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&MaxResults={most}")
    };
    assert_eq!(answers.asked(), [of("DescribeSubnets", 1000), of("DescribeRouteTables", 100)]);
}

#[tokio::test]
async fn security_groups_are_asked_for_in_filters_that_aws_accepts() {
    let answer = format!(
        "{HEAD}<DescribeSecurityGroupsResponse><requestId>r</requestId><securityGroupInfo><item><groupId>sg-1</groupId>\
         <ipPermissions><item><groups><item><groupId>sg-2</groupId></item></groups></item></ipPermissions>\
         <vpcId>vpc-1</vpcId></item></securityGroupInfo></DescribeSecurityGroupsResponse>"
    );
    let answers = Answers::new(&[(200, &answer)]);
    let wanted: Vec<_> = (0..201).map(|number| format!("sg-{number}")).collect();
    let found = answers.reader().security_groups(&wanted).await.unwrap();
    assert_eq!(found, BTreeMap::from([("sg-1".to_owned(), "vpc-1".to_owned())]));
    let asked = answers.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].contains("&Filter.1.Value.200=sg-199&MaxResults=1000"), "{}", asked[0]);
    assert!(asked[1].contains("&Filter.1.Value.1=sg-200&MaxResults=1000"), "{}", asked[1]);
    assert!(answers.reader().security_groups(&[]).await.unwrap().is_empty());
    assert_eq!(answers.asked().len(), 2, "nothing is asked about nothing");
}

async fn failure(answers: &Answers) -> AwsError {
    match answers.reader().volumes(&ids(&["vol-1"])).await {
        Err(Error::Aws(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn refused(code: &str) -> String {
    format!(
        "{HEAD}<Response><Errors><Error><Code>{code}</Code><Message>because &lt;so&gt;</Message></Error></Errors>\
         <RequestID>id-1</RequestID></Response>"
    )
}

#[tokio::test]
async fn refusals_keep_code_and_request_id_and_throttling_passes() {
    let denied = refused("UnauthorizedOperation");
    let error = failure(&Answers::new(&[(403, &denied)])).await;
    assert!(error.denied(), "{error:?}");
    assert_eq!(error.to_string(), "ec2:DescribeVolumes: UnauthorizedOperation: because <so>");
    assert_eq!((error.status, error.request_id.as_deref()), (Some(403), Some("id-1")));
    assert!(failure(&Answers::new(&[(401, &refused("AuthFailure"))])).await.bad_credentials());
    let (throttled, there) = (refused("RequestLimitExceeded"), volumes(ATTACHED, ""));
    let answers = Answers::new(&[(503, &throttled), (503, "<html>busy</html>"), (200, &there)]);
    assert_eq!(answers.reader().volumes(&ids(&["vol-1"])).await.unwrap().len(), 1);
    assert_eq!(answers.asked().len(), 3);
}

#[tokio::test]
async fn what_is_not_ec2s_answer_is_never_taken_for_an_empty_one() {
    let whole = volumes(ATTACHED, "");
    for cut in (1..whole.trim_end().len()).step_by(97) {
        let error = failure(&Answers::new(&[(200, &whole[..cut])])).await;
        assert!(error.message.contains("answered HTTP 200 with something that is not AWS's"), "cut at {cut}: {error}");
    }
    for other in ["", "busy", "<html><body>sign in</body></html>", "{}"] {
        let error = failure(&Answers::new(&[(200, other)])).await;
        assert!(error.message.contains("answered HTTP 200 with something that is not AWS's"), "{other}: {error}");
    }
}

#[tokio::test]
async fn pages_without_an_end_and_answers_without_an_end_are_given_up() {
    let answers = Answers::new(&[(200, &volumes(ATTACHED, "<nextToken>again</nextToken>"))]);
    let error = failure(&answers).await;
    assert!(error.message.contains("1000 pages were read and there are more"), "{error}");
    assert_eq!(answers.asked().len(), 1000);
    let long = volumes(&format!("<!--{}-->", " ".repeat(AWS_ANSWER)), "");
    let error = failure(&Answers::new(&[(200, &long)])).await;
    assert!(error.message.contains("answered HTTP 200"), "{error}");
}

#[test]
fn routes_say_which_subnets_the_internet_reaches() {
    let route = |gateway: &str| Route { gateway_id: Some(gateway.to_owned()) };
    let table = |routes: Vec<Route>, subnet: Option<&str>| RouteTable {
        route_set: Items { item: routes },
        association_set: Items {
            item: vec![Association { subnet_id: subnet.map(ToOwned::to_owned), main: subnet.is_none() }],
        },
    };
    let tables = [
        table(vec![route("local")], None),
        table(vec![route("local"), route("igw-1")], Some("a")),
        table(vec![route("local")], Some("b")),
    ];
    let all = ["a", "b", "c"].map(str::to_owned).into();
    assert_eq!(public(&tables, &all), ["a".to_owned()].into());
}
