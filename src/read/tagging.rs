//! The tagging API, read only: what carries a tag, of whatever service. It is how load balancers, target groups, security
//! groups and volumes are found without asking each service; it sees changes with some delay.

use std::collections::BTreeMap;

use aws_sdk_resourcegroupstagging::Client;
use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::error::{AwsError, Result};
use crate::heard::Heard;
use crate::read::pages::Pages;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Something with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// Its ARN.
    pub arn: String,
    /// All of its tags.
    pub tags: Tags,
}

/// The tagging API of the cluster's region.
#[derive(Clone, Debug)]
pub struct TaggingRead {
    client: Client,
}

impl TaggingRead {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> TaggingRead {
        TaggingRead {
            client: Client::from_conf(
                aws_sdk_resourcegroupstagging::config::Builder::from(config).interceptor(Heard::of("tag")).build(),
            ),
        }
    }

    /// What carries a tag with this value; of one type such as `ec2:volume`, or (none) of all.
    pub async fn tagged(&self, key: &str, value: &str, kind: Option<&str>) -> Result<Vec<Tagged>> {
        self.resources(Some(TagFilter::builder().key(key).values(value).build()), kind).await
    }

    /// Tags by ARN of everything of a type, such as `ec2:subnet`, that has or had tags.
    pub async fn all(&self, kind: &str) -> Result<BTreeMap<String, Tags>> {
        let found = self.resources(None, Some(kind)).await?;
        Ok(found.into_iter().map(|tagged| (tagged.arn, tagged.tags)).collect())
    }

    async fn resources(&self, filter: Option<TagFilter>, kind: Option<&str>) -> Result<Vec<Tagged>> {
        let filters = filter.map(|filter| vec![filter]);
        let kinds = kind.map(|kind| vec![kind.to_owned()]);
        let (mut all, mut token) = (Vec::new(), None);
        let mut pages = Pages::of("tag:GetResources");
        loop {
            let request = self.client.get_resources().set_tag_filters(filters.clone());
            let answer =
                request.set_resource_type_filters(kinds.clone()).set_pagination_token(token.clone()).send().await;
            let page = answer.map_err(|error| AwsError::new("tag:GetResources", &error))?;
            let found = page.resource_tag_mapping_list().iter();
            all.extend(found.filter_map(|mapping| {
                let tags = mapping.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
                Some(Tagged { arn: mapping.resource_arn()?.to_owned(), tags: tags.collect() })
            }));
            token = pages.next(page.pagination_token.filter(|token| !token.is_empty()))?;
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}
