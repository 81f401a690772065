//! ARNs that the user names belong to the partition of the cluster; IAM answers those of others with texts that name no field.
//! Called by `connect.rs`, before the first call with the region's partition, and again with the cluster's own. Pure.

use crate::component;
use crate::config::Config;
use crate::error::{Error, Result};

/// Refuses the first ARN of another partition.
///
/// # Errors
/// There is one; the error names its field.
pub(super) fn check(config: &Config, partition: &str) -> Result<()> {
    for (field, arn) in named(config) {
        // Names and ids say nothing of a partition.
        let other =
            arn.strip_prefix("arn:").and_then(|rest| rest.split(':').next()).filter(|found| *found != partition);
        if let Some(other) = other {
            let reason = format!("it is of partition {other}, and the cluster of {partition}");
            let mend = format!("name the one that begins with `arn:{partition}:`, or check --region");
            return Err(Error::config(field, arn, reason, mend));
        }
    }
    Ok(())
}

/// Every ARN of the configuration, with the flag that it can come from.
fn named(config: &Config) -> Vec<(String, &str)> {
    let single = [
        ("--assume-role", &config.assume_role),
        ("--permissions-boundary", &config.iam.permissions_boundary),
        ("kmsKeyId of gp3-storage-class", &config.gp3_storage_class.kms_key_id),
    ];
    let mut all: Vec<(String, &str)> =
        single.into_iter().filter_map(|(field, arn)| Some((field.to_owned(), arn.as_deref()?))).collect();
    for component in component::all(config) {
        let configured = component.configured(config);
        all.extend(configured.role_arn.iter().map(|arn| (component.setting("role-arn"), arn.as_str())));
        all.extend(configured.policy_arn.iter().map(|arn| (component.setting("policy-arn"), arn.as_str())));
        all.extend(configured.kms_keys.iter().map(|arn| ("--kms-key".to_owned(), arn.as_str())));
        all.extend(configured.nodes.more.iter().map(|arn| ("--node-role".to_owned(), arn.as_str())));
    }
    for custom in &config.custom {
        // A place such as `${partition}` is filled with the cluster's own.
        let fixed = custom.definition.policy_arns.iter().filter(|arn| !arn.contains("${"));
        all.extend(fixed.map(|arn| (format!("policyArns of {}", custom.name), arn.as_str())));
    }
    all
}
