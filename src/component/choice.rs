//! What a component's role may do: what there is to choose from, as data, and the policies that follow from a choice. Part of the
//! catalogue in `component.rs`; steps, checks and `permissions` ask it which policies a configuration means.

use crate::component::{Component, places};
use crate::config::Config;
use crate::context::Facts;
use crate::names;
use crate::policy::{self, Document};

/// Where a component's permissions come from.
#[derive(Debug, Clone, Copy)]
pub enum Permissions {
    /// A document of ours becomes a customer managed policy.
    Document(fn(&Facts) -> Option<Document>),
    /// The same of a component's file: a text with places to fill.
    Template(&'static str),
    /// A policy that exists, by its ARN with places to fill.
    Arn(&'static str),
    /// An AWS managed policy: the first of these paths that exists in the partition.
    AwsManaged(&'static [&'static str]),
    /// A policy that the user names.
    Named,
    /// Nothing in AWS: it has no role.
    None,
}

impl Permissions {
    /// Whether a customer managed policy is made for them.
    pub fn is_ours(self) -> bool {
        matches!(self, Permissions::Document(_) | Permissions::Template(_))
    }
}

/// One thing that a component's role may be allowed, chosen by name.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The name in the configuration file.
    pub name: &'static str,
    /// What the role gets.
    pub permissions: Permissions,
    /// What the component calls under it, as a document that would just allow it.
    pub needs: fn(&Facts) -> Option<Document>,
    /// A tag of the role, with the cluster's name for its value, that the policy compares with.
    pub role_tag: Option<&'static str>,
    /// The tag without which the policy lets no volume be used.
    pub volume_tag: Option<VolumeTag>,
}

/// A volume's tag: its key, and its value from the facts.
pub type VolumeTag = (&'static str, fn(&Facts) -> String);

/// The tag of volumes that V2 of the EBS CSI driver's policy asks for.
pub const V2_TAG: VolumeTag = ("ebs.csi.aws.com/cluster", |_| "true".to_owned());

/// V2 has no `service-role/` in its ARN (AWS managed policy reference), whatever the driver's own page says.
pub(super) const EBS_V2: &str = "AmazonEBSCSIDriverPolicyV2";
pub(super) const EBS_V1: &str = "service-role/AmazonEBSCSIDriverPolicy";
const EBS_CLUSTER: &str = "AmazonEBSCSIDriverEKSClusterScopedPolicy";

pub(super) const FULL: Permissions =
    Permissions::Document(|facts| policy::load_balancer_controller_policy(&facts.partition));

/// The whole policy, the one for a single cluster, and the one for controllers that only bind targets.
pub(super) const OF_LOAD_BALANCER_CONTROLLER: &[Choice] = &[
    Choice {
        name: "full",
        permissions: FULL,
        needs: |facts| policy::load_balancer_controller_policy(&facts.partition),
        role_tag: None,
        volume_tag: None,
    },
    Choice {
        name: "scoped",
        permissions: Permissions::Document(|facts| policy::load_balancer_controller_scoped(&facts.scope())),
        needs: |facts| policy::load_balancer_controller_scoped(&facts.scope()),
        role_tag: None,
        volume_tag: None,
    },
    Choice {
        name: "targetGroupBindingOnly",
        permissions: Permissions::Document(|facts| policy::target_group_bindings(&facts.scope())),
        needs: |facts| policy::target_group_bindings(&facts.scope()),
        role_tag: None,
        volume_tag: None,
    },
];

/// AWS' policies for the driver. <https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html>
pub(super) const OF_EBS_CSI_DRIVER: &[Choice] = &[
    Choice {
        name: "v2",
        permissions: Permissions::AwsManaged(&[EBS_V2]),
        needs: |facts| policy::ebs_csi_driver_needs(&facts.partition),
        role_tag: None,
        volume_tag: Some(V2_TAG),
    },
    Choice {
        name: "v1",
        permissions: Permissions::AwsManaged(&[EBS_V1]),
        needs: |facts| policy::ebs_csi_driver_needs(&facts.partition),
        role_tag: None,
        volume_tag: None,
    },
    Choice {
        name: "clusterScoped",
        permissions: Permissions::AwsManaged(&[EBS_CLUSTER]),
        needs: |facts| policy::ebs_csi_driver_scoped_needs(&facts.scope()),
        role_tag: Some("eks-cluster-name"),
        volume_tag: Some(("ebs.csi.aws.com/cluster-name", |facts| facts.cluster.clone())),
    },
];

impl Component {
    /// What the configuration chooses; none where it leaves it to us.
    pub fn choice(&self, config: &Config) -> Option<&'static Choice> {
        let name = self.configured(config).policy.as_deref()?;
        self.choices.iter().find(|choice| choice.name == name)
    }

    /// What its role may do under the configuration.
    pub fn grants(&self, config: &Config) -> Permissions {
        if self.configured(config).policy_arn.is_some() && self.has_role() {
            return Permissions::Named;
        }
        self.choice(config).map_or(self.permissions, |choice| choice.permissions)
    }

    /// Whether the configuration says which policy it is to have, so that others of the component's have no place on its role.
    pub fn chooses_policy(&self, config: &Config) -> bool {
        let configured = self.configured(config);
        configured.policy.is_some() || configured.policy_arn.is_some()
    }

    /// The document of its customer managed policy; none where its policy is not ours, or none is known for the partition.
    pub fn document(&self, config: &Config, facts: &Facts) -> Option<Document> {
        match self.grants(config) {
            Permissions::Document(document) => document(facts),
            Permissions::Template(text) => Document::parse(&places::filled(text, facts)).ok(),
            _ => None,
        }
    }

    /// What it calls under the configuration, as a document that would just allow it.
    pub fn needed(&self, config: &Config, facts: &Facts) -> Option<Document> {
        match self.permissions {
            Permissions::Template(_) => self.document(config, facts),
            _ => self.choice(config).map_or_else(|| (self.needs)(&facts.partition), |choice| (choice.needs)(facts)),
        }
    }

    /// The flags that say the same about its policies, each with a space before it; empty where nothing is said.
    pub fn policy_flags(&self, config: &Config) -> String {
        let (configured, flag) = (self.configured(config), self.flag);
        let kebab = |name: &str| {
            let letters = name
                .chars()
                .map(|c| if c.is_ascii_uppercase() { format!("-{}", c.to_ascii_lowercase()) } else { c.to_string() });
            letters.collect::<Vec<_>>().concat()
        };
        let policy = configured.policy.iter().map(|name| format!(" --{flag}-policy {}", kebab(name)));
        let arn = configured.policy_arn.iter().map(|arn| format!(" --{flag}-policy-arn {arn}"));
        let keys = configured.kms_keys.iter().map(|key| format!(" --kms-key {key}"));
        policy.chain(arn).chain(keys).collect::<Vec<_>>().concat()
    }

    /// The tag that the policy wants on its role.
    pub fn role_tag(&self, config: &Config, facts: &Facts) -> Option<(String, String)> {
        let key = self.role_tag_key(config)?;
        Some((key.to_owned(), facts.cluster.clone()))
    }

    /// The key of that tag.
    pub fn role_tag_key(&self, config: &Config) -> Option<&'static str> {
        self.choice(config)?.role_tag
    }

    /// ARNs of the policies, one of which is to be attached to its role: the first that exists, unless another one is already.
    pub fn policy_arns(&self, config: &Config, facts: &Facts) -> Vec<String> {
        match self.grants(config) {
            Permissions::Document(_) | Permissions::Template(_) => vec![self.policy_arn(config, facts)],
            Permissions::Arn(arn) => vec![places::filled(arn, facts)],
            Permissions::AwsManaged(paths) => paths.iter().map(|path| of_aws(path, facts)).collect(),
            Permissions::Named => self.configured(config).policy_arn.iter().cloned().collect(),
            Permissions::None => Vec::new(),
        }
    }

    /// ARNs of policies that are attached beside that one.
    pub fn more_policy_arns(&self, config: &Config, facts: &Facts) -> Vec<String> {
        let more = self.more_policies.iter().map(|arn| places::filled(arn, facts));
        more.chain(self.wanted_key_policy_arn(config, facts)).collect()
    }

    /// ARNs of policies that are attached and that somebody else makes.
    pub fn named_policy_arns(&self, config: &Config, facts: &Facts) -> Vec<String> {
        let first = match self.grants(config) {
            Permissions::Named | Permissions::Arn(_) => self.policy_arns(config, facts),
            _ => Vec::new(),
        };
        first.into_iter().chain(self.more_policies.iter().map(|arn| places::filled(arn, facts))).collect()
    }

    /// The name of the policy for its KMS keys.
    pub fn key_policy_name(&self, config: &Config, facts: &Facts) -> String {
        names::iam_name(&config.iam.name_prefix, &facts.cluster, &format!("{}-kms", self.name), &facts.arn)
    }

    /// The ARN of the policy for its KMS keys, whether it has some or not; none for a component that uses none.
    pub fn key_policy_arn(&self, config: &Config, facts: &Facts) -> Option<String> {
        self.key_policy?;
        let name = self.key_policy_name(config, facts);
        Some(names::iam_arn(&facts.partition, &facts.account, "policy", &config.iam.path, &name))
    }

    /// The ARN of the policy for its KMS keys where the configuration names keys.
    pub fn wanted_key_policy_arn(&self, config: &Config, facts: &Facts) -> Option<String> {
        self.key_policy_arn(config, facts).filter(|_| !self.configured(config).kms_keys.is_empty())
    }

    /// ARNs of the customer managed policies that are made for it under the configuration.
    pub fn made_policy_arns(&self, config: &Config, facts: &Facts) -> Vec<String> {
        let own = self.grants(config).is_ours().then(|| self.policy_arn(config, facts));
        own.into_iter().chain(self.wanted_key_policy_arn(config, facts)).collect()
    }

    /// ARNs of all customer managed policies that may have been made for it under any configuration.
    pub fn possible_policy_arns(&self, config: &Config, facts: &Facts) -> Vec<String> {
        let own = self.permissions.is_ours().then(|| self.policy_arn(config, facts));
        own.into_iter().chain(self.key_policy_arn(config, facts)).collect()
    }

    /// ARNs of policies that another configuration would attach and this one does not.
    pub fn other_policy_arns(&self, config: &Config, facts: &Facts) -> Vec<String> {
        let wanted = [
            self.policy_arns(config, facts),
            self.more_policy_arns(config, facts),
            self.made_policy_arns(config, facts),
        ]
        .concat();
        let paths = [self.permissions].into_iter().chain(self.choices.iter().map(|choice| choice.permissions));
        let known = paths.flat_map(|permissions| match permissions {
            Permissions::AwsManaged(paths) => paths.iter().map(|path| of_aws(path, facts)).collect(),
            _ => Vec::new(),
        });
        let mut others: Vec<String> = Vec::new();
        for arn in known.chain(self.possible_policy_arns(config, facts)) {
            if !wanted.contains(&arn) && !others.contains(&arn) {
                others.push(arn);
            }
        }
        others
    }
}

fn of_aws(path: &str, facts: &Facts) -> String {
    format!("arn:{}:iam::aws:policy/{path}", facts.partition)
}
