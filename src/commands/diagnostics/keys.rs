//! A KMS key of the StorageClass gp3 that the EBS CSI driver's role gets no policy for: volumes then appear and vanish. Called
//! by `diagnostics.rs`; asks nobody, since the configuration says both.

use crate::component::{EBS_CSI_DRIVER, Permissions};
use crate::context::ReadContext;
use crate::plan::Diagnostic;

/// A warning where the class has a key that the driver is not given.
pub(super) fn not_granted(cx: &ReadContext) -> Option<Diagnostic> {
    let (config, driver) = (&cx.config, &EBS_CSI_DRIVER);
    let class = &config.gp3_storage_class;
    let key = class.kms_key_id.as_deref().filter(|_| class.enabled == Some(true))?;
    let configured = driver.configured(config);
    // A policy or a role of the user's own may hold the key.
    let own = matches!(driver.grants(config), Permissions::Named) || configured.role_arn.is_some();
    if own || !driver.wanted(config, &cx.facts) || covers(&configured.kms_keys, key) {
        return None;
    }
    let arn = if key.contains(":key/") { key } else { "ARN" };
    Some(super::warning(format!(
        "the StorageClass gp3 encrypts with KMS key {key}, and no policy lets the driver use it, so its volumes appear and \
         vanish; --kms-key {arn} makes one (leave it out where the key's own policy names the driver's role)"
    )))
}

/// Whether `key` is one of `keys`, which are ARNs. What an alias stands for is not known here.
fn covers(keys: &[String], key: &str) -> bool {
    let is_alias = key.contains(":alias/");
    keys.iter().any(|arn| is_alias || arn == key || arn.ends_with(&format!(":key/{key}")))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_key_is_known_by_its_arn_or_its_id() {
        let keys = ["arn:aws:kms:eu-west-1:111122223333:key/k".to_owned()];
        assert!(covers(&keys, &keys[0]) && covers(&keys, "k"));
        assert!(covers(&keys, "arn:aws:kms:eu-west-1:111122223333:alias/a"));
        assert!(!covers(&keys, "arn:aws:kms:eu-west-1:111122223333:key/l") && !covers(&[], "k"));
    }
}
