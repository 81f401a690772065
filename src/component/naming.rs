//! The names of what is made for a component: role, policy, and the step that installs it. Pure.

use super::{Component, camel_case};
use crate::config::Config;
use crate::context::Facts;
use crate::names;

impl Component {
    /// Its field in the configuration file: the name in camel case; that of all others for one of a file.
    pub fn field(&self) -> String {
        if self.is_custom() { "custom".to_owned() } else { camel_case(self.name) }
    }

    /// Whether a file of the user's describes it.
    pub fn is_custom(&self) -> bool {
        self.flag.is_empty()
    }

    /// How a setting of it is called towards the user: its flag, or its field.
    pub fn setting(&self, flag: &str) -> String {
        if self.is_custom() {
            format!("{} of {}", camel_case(flag), self.name)
        } else {
            format!("--{}-{flag}", self.flag)
        }
    }

    /// The name of its role (and policy).
    pub fn iam_name(&self, config: &Config, facts: &Facts) -> String {
        names::iam_name(&config.iam.name_prefix, &facts.cluster, self.name, &facts.arn)
    }

    /// The role's ARN: the one the user names, else ours.
    pub fn role_arn(&self, config: &Config, facts: &Facts) -> String {
        self.configured(config).role_arn.clone().unwrap_or_else(|| {
            let name = self.iam_name(config, facts);
            names::iam_arn(&facts.partition, &facts.account, "role", &config.iam.path, &name)
        })
    }

    /// The role that AWS' documentation makes for it.
    pub fn documented_role(&self) -> Option<&'static str> {
        Some(self.documented_role).filter(|role| !role.is_empty())
    }

    /// The Deployment of its controller.
    pub fn deployment(&self) -> Option<&'static str> {
        self.objects.iter().find(|(_, kind, _)| *kind == "Deployment").map(|(_, _, name)| *name)
    }

    /// The kind of the step that installs it: `helm`, or `eks.addon` where EKS does.
    pub fn installer(&self, config: &Config) -> &'static str {
        if self.configured(config).is_addon() { "eks.addon" } else { "helm" }
    }

    /// The ARN of its customer managed policy.
    pub fn policy_arn(&self, config: &Config, facts: &Facts) -> String {
        let name = self.iam_name(config, facts);
        names::iam_arn(&facts.partition, &facts.account, "policy", &config.iam.path, &name)
    }
}
