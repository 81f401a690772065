//! The contract of the tagging API.

use aws_sdk_resourcegroupstagging::types::TagFilter;

use super::eks::DEMO;
use super::lab::{DOCUMENT, said, tag, tell};
use super::{Case, case};

fn tag_filter(key: &str, value: &str) -> TagFilter {
    TagFilter::builder().key(key).values(value).build()
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "tagging: filters by tag and type; untagged things are left out",
            Simulator,
            |lab| {
                let get = || lab.tagging.get_resources();
                let all = get().resource_type_filters("ec2").send().await.unwrap().resource_tag_mapping_list().len();
                let private = get()
                    .tag_filters(tag_filter("role", "private"))
                    .send()
                    .await
                    .unwrap()
                    .resource_tag_mapping_list()
                    .len();
                let both = get()
                    .tag_filters(tag_filter("role", "private"))
                    .resource_type_filters("ec2:subnet")
                    .send()
                    .await
                    .unwrap();
                format!("{all} {private} {}", both.resource_tag_mapping_list()[0].resource_arn().unwrap())
            },
            "3 2 arn:aws:ec2:eu-west-1:111122223333:subnet/subnet-1"
        ),
        case!(
            "tagging: pages",
            Simulator,
            |lab| {
                let get = || lab.tagging.get_resources().resource_type_filters("ec2").resources_per_page(2);
                let first = get().send().await.unwrap();
                let second = get().set_pagination_token(first.pagination_token.clone()).send().await.unwrap();
                format!(
                    "{} {} {:?}",
                    first.resource_tag_mapping_list().len(),
                    second.resource_tag_mapping_list().len(),
                    second.pagination_token.unwrap_or_default()
                )
            },
            r#"2 1 """#
        ),
        case!(
            "tagging: it lags behind writes, and remembers what had tags",
            Simulator,
            |lab| {
                let get = || lab.tagging.get_resources().tag_filters(tag_filter("new", "1"));
                let count = |it: aws_sdk_resourcegroupstagging::operation::get_resources::GetResourcesOutput| {
                    it.resource_tag_mapping_list().len().to_string()
                };
                lab.eks.tag_resource().resource_arn(DEMO).tags("new", "1").send().await.unwrap();
                let early = tell(get().send().await, count);
                lab.advance(20);
                let late = tell(get().send().await, count);
                lab.eks.untag_resource().resource_arn(DEMO).tag_keys("new").tag_keys("team").send().await.unwrap();
                lab.advance(20);
                let bare = tell(lab.tagging.get_resources().resource_arn_list(DEMO).send().await, |it| {
                    format!("{}", it.resource_tag_mapping_list()[0].tags().len())
                });
                format!("{early} {late} {bare}")
            },
            "0 1 0"
        ),
        case!(
            "tagging: IAM answers in the global region only, without roles",
            Simulator,
            |lab| {
                let create = lab.iam.create_policy().policy_name("p").policy_document(DOCUMENT).tags(tag("own", "1"));
                create.send().await.unwrap();
                lab.role("tagged").await;
                lab.iam.tag_role().role_name("tagged").tags(tag("own", "1")).send().await.unwrap();
                lab.advance(20);
                let here = lab.tagging.get_resources().tag_filters(tag_filter("own", "1")).send().await.unwrap();
                let key =
                    aws_credential_types::Credentials::new("AKIACONTRACT00000001", "secret-1", None, None, "contract");
                let global = aws_sdk_resourcegroupstagging::Client::new(&lab.seen_by(&key, "us-east-1"));
                let there = global.get_resources().tag_filters(tag_filter("own", "1")).send().await.unwrap();
                let arns: Vec<_> =
                    there.resource_tag_mapping_list().iter().map(|it| it.resource_arn().unwrap()).collect();
                format!("{} {}", here.resource_tag_mapping_list().len(), arns.join(","))
            },
            "0 arn:aws:iam::111122223333:policy/p"
        ),
        case!(
            "tagging: a list of ARNs with other filters is refused",
            Simulator,
            |lab| {
                said(lab.tagging.get_resources().resource_arn_list(DEMO).tag_filters(tag_filter("a", "b")).send().await)
            },
            "400 InvalidParameterException"
        ),
    ]
}
