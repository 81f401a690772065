//! AWS Global Accelerator, read only. It is a global service with one API, in us-west-2, and its tags are seen there too; there is none
//! outside of the partition `aws`.
//! <https://docs.aws.amazon.com/global-accelerator/latest/api/Welcome.html>

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{Region, SdkConfig};
use serde::Deserialize;

use crate::error::Result;
use crate::read::signed::{Protocol, Service, Signed};
use crate::read::tagging::{Tagged, TaggingRead};

const SERVICE: Service = Service {
    id: "Global Accelerator",
    name: "globalaccelerator",
    protocol: Protocol::Json("GlobalAccelerator_V20180706"),
};
/// The region of its API.
const REGION: &str = "us-west-2";
/// A cluster without a way out of its own region has no accelerators that it could have made, and is not to wait long for that.
const ATTEMPTS: u32 = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(rename = "Accelerator")]
    accelerator: Accelerator,
}

#[derive(Debug, Deserialize)]
struct Accelerator {
    #[serde(rename = "AcceleratorArn")]
    arn: String,
}

/// Global Accelerator and its tags.
#[derive(Clone, Debug)]
pub struct AcceleratorRead {
    signed: Signed,
    tagging: TaggingRead,
}

impl AcceleratorRead {
    /// A reader over `config`, whatever its region.
    pub fn new(config: &SdkConfig) -> AcceleratorRead {
        let retries = config.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        let retries = retries.with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_WAIT);
        let config = config.to_builder().region(Region::new(REGION)).retry_config(retries).build();
        AcceleratorRead { signed: Signed::new(&config, SERVICE), tagging: TaggingRead::new(&config) }
    }

    /// Accelerators that carry a tag with this value, as the tagging API sees them.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn tagged(&self, key: &str, value: &str) -> Result<Vec<Tagged>> {
        self.tagging.tagged(key, value, Some("globalaccelerator:accelerator")).await
    }

    /// Whether an accelerator is there.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn exists(&self, arn: &str) -> Result<bool> {
        let form = vec![("AcceleratorArn".to_owned(), arn.to_owned())];
        match self.signed.call::<Answer>("globalaccelerator:DescribeAccelerator", form).await {
            Ok(answer) => Ok(answer.accelerator.arn == arn),
            Err(error) if error.is("AcceleratorNotFoundException") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
