//! Who installs a component, and whether the nodes' roles get its permissions too: the part of a component's configuration
//! that is about more than its chart, with its rules. Called by `config.rs`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::ChartComponent;
use crate::config_file::ManagedBy;
use crate::error::{Error, Result};
use crate::validate;

/// Whether the nodes' roles get a component's policy too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRoles {
    /// They do.
    pub attach: bool,
    /// Roles beside those of the node groups: ARNs or names.
    pub more: BTreeSet<String>,
}

impl ChartComponent {
    /// Whether EKS is to install it.
    pub fn is_addon(&self) -> bool {
        self.managed_by == Some(ManagedBy::EksAddon)
    }

    /// Refuses what does not go together.
    pub(super) fn check_installation(&self, flag: &str) -> Result<()> {
        if let Some(version) = &self.addon_version {
            validate::addon_version(&format!("--{flag}-addon-version"), version)?;
            if !self.is_addon() {
                let mend = format!("add --{flag}-managed-by eks-addon, or choose the chart with --{flag}-version");
                let reason = "there is no add-on without EKS installing it";
                return Err(Error::config(format!("--{flag}-addon-version"), version, reason, mend));
            }
        }
        for role in &self.nodes.more {
            validate::node_role(role)?;
        }
        if let Some(role) = self.nodes.more.first().filter(|_| !self.nodes.attach) {
            let mend = "add --attach-node-role, or leave --node-role out";
            return Err(Error::config("--node-role", role, "nothing is to be attached to the nodes' roles", mend));
        }
        Ok(())
    }
}
