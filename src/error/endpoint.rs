//! The addresses of AWS' services, for errors that got no answer, or one that is not AWS's: the SDK's errors do not name them.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use aws_config::SdkConfig;

use crate::{config, names};

/// Services that have an SDK client, by their prefix in IAM actions, with the part of their variable and whether they have one address per partition.
const SERVICES: [(&str, &str, &str, bool); 4] = [
    ("iam", "IAM", "iam", true),
    ("sts", "STS", "sts", false),
    ("eks", "EKS", "eks", false),
    ("tag", "RESOURCE_GROUPS_TAGGING_API", "tagging", false),
];

/// Set once the configuration is known; a process works on one.
static KNOWN: RwLock<BTreeMap<&str, String>> = RwLock::new(BTreeMap::new());

/// The region that the calls go to.
static REGION: RwLock<Option<String>> = RwLock::new(None);

/// The region that the calls go to; none before it is known.
pub(crate) fn region() -> Option<String> {
    REGION.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps the addresses that `aws` leads to.
pub(crate) fn remember(aws: &SdkConfig) {
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    *REGION.write().unwrap_or_else(PoisonError::into_inner) = Some(region.clone());
    let suffix = names::dns_suffix(names::partition_of_region(&region));
    let known = SERVICES.into_iter().map(|(prefix, variable, host, global)| {
        let own = config::variable(&format!("AWS_ENDPOINT_URL_{variable}"));
        let address = own.or_else(|| aws.endpoint_url().map(ToOwned::to_owned)).unwrap_or_else(|| {
            if global { format!("https://{host}.{suffix}") } else { format!("https://{host}.{region}.{suffix}") }
        });
        (prefix, address)
    });
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).extend(known);
}

/// Keeps the address of a service that is called without a client of the SDK.
pub(crate) fn keep(prefix: &'static str, address: &str) {
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(prefix, address.to_owned());
}

/// The address of the service of an operation such as `iam:GetRole`.
pub(super) fn of(operation: &str) -> String {
    let service = operation.split(':').next().unwrap_or_default();
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.get(service).cloned().unwrap_or_else(|| format!("the endpoint of {service}"))
}
