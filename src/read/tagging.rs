//! The tagging API, read only: what carries a tag, of whatever service. It is how load balancers, target groups, security
//! groups and volumes are found without asking each service; it sees changes with some delay.

use std::collections::BTreeMap;

use aws_sdk_resourcegroupstagging::Client;
use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::error::{AwsError, Result};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

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
        Ok(self.resources(Some(filter), kind).await?.into_keys().collect())
    }

    /// ARNs and tags of what carries a tag with this value, of one type such as `elasticloadbalancing:loadbalancer`.
    pub async fn tags_of(&self, key: &str, value: &str, kind: &str) -> Result<BTreeMap<String, Tags>> {
        self.resources(Some(TagFilter::builder().key(key).values(value).build()), Some(kind)).await
    }

    /// ARNs and tags of everything of a type, such as `ec2:subnet`, that has or had tags.
    pub async fn all(&self, kind: &str) -> Result<BTreeMap<String, Tags>> {
        self.resources(None, Some(kind)).await
    }

    async fn resources(&self, filter: Option<TagFilter>, kind: Option<&str>) -> Result<BTreeMap<String, Tags>> {
        let filters = filter.map(|filter| vec![filter]);
        let kinds = kind.map(|kind| vec![kind.to_owned()]);
        let (mut found, mut token) = (BTreeMap::new(), None);
        loop {
            let request = self.client.get_resources().set_tag_filters(filters.clone());
            let answer =
                request.set_resource_type_filters(kinds.clone()).set_pagination_token(token.clone()).send().await;
            let page = answer.map_err(|error| AwsError::new("tag:GetResources", &error))?;
            for mapping in page.resource_tag_mapping_list() {
                let tags = mapping.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
                found.insert(mapping.resource_arn().unwrap_or_default().to_owned(), tags.collect());
            }
            token = page.pagination_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}
