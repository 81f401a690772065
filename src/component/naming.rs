//! The names of what is made for a component: role, policy, and the step that installs it. Pure.

use super::Component;
use crate::config::Config;
use crate::context::Facts;
use crate::names;

impl Component {
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
