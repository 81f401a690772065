//! What `destroy` adds to the configuration; called by that command and by `permissions`, which prints what it needs.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// What a destroy removes beside what `apply` made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Removal {
    /// The objects for which the load balancer controller keeps load balancers.
    pub drain: bool,
    /// The charts' CRDs.
    pub purge_crds: bool,
}

impl Config {
    /// The same for removing: components that are off unless they are asked for count as asked for, so that nothing of ours
    /// is forgotten. What is said to be off stays out.
    #[must_use]
    pub fn for_removal(mut self, removal: Removal) -> Config {
        self.removal = removal;
        self.removing = true;
        let all = [
            &mut self.load_balancer_controller.enabled,
            &mut self.ebs_csi_driver.enabled,
            &mut self.metrics_server.enabled,
            &mut self.gp3_storage_class.enabled,
        ];
        for enabled in all {
            enabled.get_or_insert(true);
        }
        self
    }
}
