//! What `migrate` makes of the configuration: one component, moved to one way of getting its role.

use crate::component::{self, Component};
use crate::config::{Config, Identity};
use crate::steps::{oidc_provider, pod_identity_agent};

impl Config {
    /// The same for moving `component` to `identity`: only its own steps, and those that it shares with others.
    #[must_use]
    pub fn for_migration(mut self, component: &Component, identity: Identity) -> Config {
        let built_in = [
            (component::LOAD_BALANCER_CONTROLLER.name, &mut self.load_balancer_controller),
            (component::EBS_CSI_DRIVER.name, &mut self.ebs_csi_driver),
        ];
        let custom = self.custom.iter_mut().map(|custom| (custom.name.as_str(), &mut custom.settings));
        for (name, configured) in built_in.into_iter().chain(custom) {
            if name == component.name {
                configured.identity = Some(identity);
            }
        }
        self.migrating = [component.name.to_owned()].into();
        let shared = match identity {
            Identity::Irsa => oidc_provider::ID,
            Identity::PodIdentity => pod_identity_agent::ID,
        };
        let own = format!(".{}", component.short);
        self.only = crate::steps::ids(&component::all(&self)).into_iter().filter(|id| id.ends_with(&own)).collect();
        self.only.insert(shared.to_string());
        self
    }
}
