//! The tagging API, read only: what carries a tag, of whatever service. It is how load balancers, target groups, security
//! groups and volumes are found without asking each service; it sees changes with some delay.

use aws_sdk_resourcegroupstagging::Client;
use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::error::{AwsError, Result};

/// The tagging API of the cluster's region.
#[derive(Clone, Debug)]
pub struct TaggingRead {
    client: Client,
}

impl TaggingRead {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> TaggingRead {
        TaggingRead { client: Client::new(config) }
    }

    /// ARNs of what carries a tag with this value; of one type such as `ec2:volume`, or (none) of all.
    pub async fn tagged(&self, key: &str, value: &str, kind: Option<&str>) -> Result<Vec<String>> {
        let filter = TagFilter::builder().key(key).values(value).build();
        let kinds = kind.map(|kind| vec![kind.to_owned()]);
        let (mut arns, mut token) = (Vec::new(), None);
        loop {
            let request = self.client.get_resources().tag_filters(filter.clone());
            let answer =
                request.set_resource_type_filters(kinds.clone()).set_pagination_token(token.clone()).send().await;
            let page = answer.map_err(|error| AwsError::new("tag:GetResources", &error))?;
            let found = page.resource_tag_mapping_list().iter();
            arns.extend(found.filter_map(|mapping| mapping.resource_arn().map(ToOwned::to_owned)));
            token = page.pagination_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(arns);
            }
        }
    }
}
