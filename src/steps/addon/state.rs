//! What an add-on says of itself, in words and as an assessment. Called by `addon.rs`. Pure.

use crate::plan::Assessment;
use crate::read::eks::Addon;

/// Whether fields of others keep it from being what it should be.
pub(super) fn conflicts(addon: &Addon) -> bool {
    addon.issues.iter().any(|issue| issue.starts_with("ConfigurationConflict"))
}

/// Version and status, with what EKS finds wrong.
pub(super) fn told(addon: &Addon) -> String {
    let state = if addon.status == "ACTIVE" { String::new() } else { format!(" is {}", addon.status) };
    let issues = if addon.issues.is_empty() { String::new() } else { format!(": {}", addon.issues.join("; ")) };
    format!("add-on {}{state}{issues}", addon.version)
}

/// Nothing to change; an add-on that is not active does not work, so it is waited for, and told of.
pub(super) fn sound(addon: &Addon, reason: &str) -> Assessment {
    if addon.status == "ACTIVE" { Assessment::keep(reason) } else { Assessment::unknown(reason) }
}
