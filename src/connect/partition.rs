//! ARNs that the user names belong to the partition of the cluster, and where the object has to be in the cluster's account, to that:
//! IAM takes names, and a name cut off the ARN of another account is somebody else's object here. IAM answers ARNs of elsewhere with
//! texts that name no field. Called by `connect.rs`, before the first call with the region's partition, and again with the
//! cluster's own partition and account. Pure.

use crate::component;
use crate::config::Config;
use crate::error::{Error, Result};

/// The account of the policies that AWS manages.
const OF_AWS: &str = "aws";

/// Where an object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the account of the cluster: IAM attaches policies and boundaries to roles of one account, and pods get roles through the
    /// account's own OIDC provider or association.
    Here,
    /// In any account, as keys that their policies share, and roles that are assumed.
    Anywhere,
}

use Place::{Anywhere, Here};

/// Refuses the first ARN of another partition, or of another account (none where it is not known yet).
///
/// # Errors
/// There is one; the error names its field.
pub(super) fn check(config: &Config, partition: &str, account: Option<&str>) -> Result<()> {
    for (field, arn, place) in named(config) {
        // Names and ids say nothing of either.
        let Some(rest) = arn.strip_prefix("arn:") else { continue };
        let mut parts = rest.split(':');
        let found = parts.next().unwrap_or_default();
        if found != partition {
            let reason = format!("it is of partition {found}, and the cluster of {partition}");
            let mend = format!("name the one that begins with `arn:{partition}:`, or check --region");
            return Err(Error::config(field, arn, reason, mend));
        }
        let owner = parts.nth(2).unwrap_or_default();
        if let Some(account) = account.filter(|account| place == Here && owner != *account && owner != OF_AWS) {
            let reason = format!("it is of account {owner}, and the cluster of {account}");
            let mend = format!("name one of account {account}, or check --profile and --cluster");
            return Err(Error::config(field, arn, reason, mend));
        }
    }
    Ok(())
}

/// Every ARN of the configuration, with the flag that it can come from.
fn named(config: &Config) -> Vec<(String, &str, Place)> {
    let single = [
        ("--assume-role", &config.assume_role, Anywhere),
        ("--permissions-boundary", &config.iam.permissions_boundary, Here),
        ("kmsKeyId of gp3-storage-class", &config.gp3_storage_class.kms_key_id, Anywhere),
    ];
    let single = single.into_iter();
    let mut all: Vec<_> =
        single.filter_map(|(field, arn, place)| Some((field.to_owned(), arn.as_deref()?, place))).collect();
    for component in component::all(config) {
        let configured = component.configured(config);
        all.extend(configured.role_arn.iter().map(|arn| (component.setting("role-arn"), arn.as_str(), Here)));
        all.extend(configured.policy_arn.iter().map(|arn| (component.setting("policy-arn"), arn.as_str(), Here)));
        all.extend(configured.kms_keys.iter().map(|arn| ("--kms-key".to_owned(), arn.as_str(), Anywhere)));
        all.extend(configured.nodes.more.iter().map(|arn| ("--node-role".to_owned(), arn.as_str(), Here)));
    }
    for custom in &config.custom {
        // A place such as `${partition}` is filled with the cluster's own.
        let fixed = custom.definition.policy_arns.iter().filter(|arn| !arn.contains("${"));
        all.extend(fixed.map(|arn| (format!("policyArns of {}", custom.name), arn.as_str(), Here)));
    }
    all
}
