//! What the user wants, merged from flags and `EKS_BOOTSTRAP_*` variables (which clap reads), the configuration file and
//! defaults, in this order. The only reader of the environment. Nothing here asks AWS or Kubernetes: wrong values are
//! refused before the first call.

mod custom;
mod installation;
mod merging;
mod migration;
mod removal;
mod reserved;
mod saved;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::{Global, Selection, Wanted};
use crate::component;
use crate::config_file::{self, ClusterBootstrap, ManagedBy};
use crate::error::{Error, Result};
use crate::plan::StepId;
use crate::validate;

pub use custom::Custom;
pub use installation::NodeRoles;
pub use removal::Removal;
pub use reserved::check_cluster;
pub use sources::{ChartOrigin, registry_logins};
pub(crate) use sources::{MEASURED_SKEW, haste, measured_skew, variable};

/// How long one step may wait by default: the time that `helm --wait` needs for image pulls on fresh nodes, twice.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

/// The merged configuration of one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The cluster's name.
    pub cluster: String,
    /// The region; none leaves it to the AWS profile.
    pub region: Option<String>,
    /// The AWS profile.
    pub profile: Option<String>,
    /// A role to assume for every AWS call.
    pub assume_role: Option<String>,
    /// A guard: any other account is refused.
    pub account: Option<String>,
    /// One endpoint for every AWS service.
    pub endpoint_url: Option<String>,
    /// A kubeconfig to use instead of the endpoint and token of EKS.
    pub kubeconfig: Option<PathBuf>,
    /// The context in that kubeconfig.
    pub context: Option<String>,
    /// The helm binary.
    pub helm: Option<PathBuf>,
    /// A folder with one folder or `.tgz` per chart, or a bundle.
    pub charts: Option<PathBuf>,
    /// Where every image comes from, instead of its own registry.
    #[serde(default)]
    pub image_registry: Option<String>,
    /// The cluster has no way to the internet.
    #[serde(default)]
    pub isolated: bool,
    /// How long one step may wait, in seconds.
    pub timeout_seconds: u64,
    /// What every IAM object gets.
    pub iam: IamConfig,
    /// How pods get their role, unless a component says otherwise.
    #[serde(default)]
    pub identity: Identity,
    /// Components that are being moved to the identity that is said of them: what the other way has left behind goes.
    #[serde(default)]
    pub migrating: BTreeSet<String>,
    /// The AWS Load Balancer Controller.
    pub load_balancer_controller: ChartComponent,
    /// The EBS CSI driver.
    pub ebs_csi_driver: ChartComponent,
    /// metrics-server.
    pub metrics_server: ChartComponent,
    /// The StorageClass `gp3`.
    pub gp3_storage_class: StorageClassConfig,
    /// Components of the user's files.
    #[serde(default)]
    pub custom: Vec<Custom>,
    /// Everything of ours is to go, whichever way the identities are said to be.
    #[serde(default)]
    pub removing: bool,
    /// What a destroy removes beside what `apply` made.
    #[serde(default)]
    pub removal: Removal,
    /// Steps whose objects may be taken over from their owner.
    pub adopt: BTreeSet<String>,
    /// Objects that may be deleted and created again, as `KIND/NAME`.
    #[serde(default)]
    pub recreate: BTreeSet<String>,
    /// Only these steps; empty means all.
    pub only: BTreeSet<String>,
    /// Not these steps.
    pub skip: BTreeSet<String>,
}

/// How pods get their role.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "camelCase")]
pub enum Identity {
    /// IAM roles for service accounts: an annotation, a token, the cluster's OIDC provider
    #[default]
    Irsa,
    /// EKS Pod Identity: an association, and an agent on the nodes
    PodIdentity,
}

impl Identity {
    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Identity::Irsa => "irsa",
            Identity::PodIdentity => "pod-identity",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Identity {
        match self {
            Identity::Irsa => Identity::PodIdentity,
            Identity::PodIdentity => Identity::Irsa,
        }
    }
}

/// What every IAM object gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IamConfig {
    /// Put before every role and policy name.
    pub name_prefix: String,
    /// IAM path; begins and ends with `/`.
    pub path: String,
    /// ARN of the policy that bounds every role.
    pub permissions_boundary: Option<String>,
    /// Tags beside our own.
    pub tags: BTreeMap<String, String>,
}

/// What can be said about a component that is installed from a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChartComponent {
    /// On, off, or (none) on unless the cluster brings it itself, as Auto Mode does.
    pub enabled: Option<bool>,
    /// The chart's version.
    pub version: String,
    /// Where the chart comes from, if not from its own repository.
    #[serde(default)]
    pub chart: ChartOrigin,
    /// Replicas of the controller; none leaves it to the chart.
    pub replicas: Option<u32>,
    /// A role that exists and is to be used instead of one of ours.
    pub role_arn: Option<String>,
    /// Which of the component's policies its role gets, by name; none leaves it to us.
    #[serde(default)]
    pub policy: Option<String>,
    /// A policy that exists and is to be used instead of one of ours.
    #[serde(default)]
    pub policy_arn: Option<String>,
    /// ARNs of the KMS keys that its role may use.
    #[serde(default)]
    pub kms_keys: Vec<String>,
    /// How its pods get their role; none is as for all.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Values beside the ones that we set; they win.
    pub values: Value,
    /// Who installs it; none where nothing is said, so the chart, unless EKS has installed it already.
    #[serde(default)]
    pub managed_by: Option<ManagedBy>,
    /// The version of the EKS add-on; none leaves it to EKS.
    #[serde(default)]
    pub addon_version: Option<String>,
    /// Whether the nodes' roles get its policy too.
    #[serde(default)]
    pub nodes: NodeRoles,
    /// Fields of its objects that others own, as the plan prints them, with `*`.
    #[serde(default)]
    pub ignore_drift: Vec<String>,
}

/// What can be said about the StorageClass `gp3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageClassConfig {
    /// On or off; none is off.
    pub enabled: Option<bool>,
    /// Whether it is the class of claims that name none.
    pub default: bool,
    /// Whether its volumes are encrypted.
    pub encrypted: bool,
    /// The KMS key of its volumes; none is the account's default key for EBS.
    pub kms_key_id: Option<String>,
}

impl Config {
    /// Merges flags, variables, files and defaults, and checks every value.
    ///
    /// # Errors
    /// The first value that cannot be used, with the flag or field and the mend.
    pub fn resolve(global: &Global, wanted: &Wanted, selection: &Selection) -> Result<Config> {
        let file = config_file::read(&global.file, global.cluster.as_deref())?.unwrap_or_default();
        Config::of(global, wanted, selection, &file)
    }

    /// The same for commands that ask no cluster, and so need no name of one.
    ///
    /// # Errors
    /// As for [`Config::resolve`].
    pub fn resolve_for_any_cluster(global: &Global, wanted: &Wanted) -> Result<Config> {
        let mut file = config_file::read(&global.file, global.cluster.as_deref())?.unwrap_or_default();
        file.spec.cluster.name.get_or_insert_with(|| "any".to_owned());
        Config::of(global, wanted, &Selection::default(), &file)
    }

    fn of(global: &Global, wanted: &Wanted, selection: &Selection, file: &ClusterBootstrap) -> Result<Config> {
        let mut config = merging::merged(global, wanted, file)?;
        for (chosen, flags) in [
            (&mut config.adopt, &selection.adopt),
            (&mut config.recreate, &selection.recreate),
            (&mut config.only, &selection.only),
            (&mut config.skip, &selection.skip),
        ] {
            *chosen = flags.iter().cloned().collect();
        }
        config.check()?;
        Ok(config)
    }

    pub(crate) fn check(&self) -> Result<()> {
        validate::cluster_name(&self.cluster)?;
        check(self.region.as_deref(), validate::region)?;
        check(self.account.as_deref(), validate::account)?;
        check(self.endpoint_url.as_deref(), validate::endpoint_url)?;
        check(self.assume_role.as_deref(), |arn| validate::iam_arn("--assume-role", arn, "role"))?;
        check(self.iam.permissions_boundary.as_deref(), |arn| {
            validate::iam_arn("--permissions-boundary", arn, "policy")
        })?;
        validate::iam_path(&self.iam.path)?;
        validate::name_prefix(&self.iam.name_prefix)?;
        validate::tags(&self.iam.tags)?;
        custom::check(self)?;
        for component in component::all(self) {
            let configured = component.configured(self);
            let flag = component.flag;
            validate::version(&component.setting("version"), &configured.version)?;
            check(configured.role_arn.as_deref(), |arn| {
                validate::iam_arn(&component.setting("role-arn"), arn, "role")
            })?;
            check(configured.policy_arn.as_deref(), |arn| {
                validate::iam_arn(&format!("--{flag}-policy-arn"), arn, "policy")
            })?;
            check(configured.policy.as_deref(), |name| {
                validate::one_of(&format!("--{flag}-policy"), name, component.choices.iter().map(|choice| choice.name))
            })?;
            if let Some(name) = configured.policy.as_ref().filter(|_| configured.policy_arn.is_some()) {
                let field = format!("--{flag}-policy and --{flag}-policy-arn");
                return Err(Error::config(field, name, "both say what its role may do", "leave one of them out"));
            }
            if let Some(key) = component.role_tag_key(self) {
                validate::tag_key(key, self.iam.tags.keys())?;
            }
            validate::kms_keys(&configured.kms_keys)?;
            validate::ignore_drift(&configured.ignore_drift)?;
            validate::replicas(component.name, configured.replicas)?;
            configured.check_installation(flag)?;
            if !configured.values.is_object() {
                let field = format!("values of {}", component.name);
                return Err(Error::config(
                    field,
                    configured.values.to_string(),
                    "not a mapping",
                    "give `key: value` pairs",
                ));
            }
        }
        reserved::check(self)?;
        let class = &self.gp3_storage_class;
        check(class.kms_key_id.as_deref(), |key| validate::kms_key("kmsKeyId of gp3-storage-class", key))?;
        if let Some(key) = class.kms_key_id.as_ref().filter(|_| !class.encrypted) {
            let mend = "leave kmsKeyId out, or set encrypted to true";
            return Err(Error::config("kmsKeyId of gp3-storage-class", key, "its volumes are not encrypted", mend));
        }
        sources::check(self)?;
        check(self.helm.as_deref(), |file| validate::file("--helm", file))?;
        check(self.kubeconfig.as_deref(), |file| validate::file("--kubeconfig", file))?;
        if self.context.is_some() && self.kubeconfig.is_none() {
            return Err(Error::Usage {
                message: "--context needs a kubeconfig".to_owned(),
                mend: "pass --kubeconfig FILE, or leave --context out".to_owned(),
            });
        }
        self.recreate.iter().try_for_each(|named| validate::object_name("--recreate", named))?;
        let known = crate::steps::ids(&component::all(self));
        for (flag, ids) in [("--adopt", &self.adopt), ("--only", &self.only), ("--skip", &self.skip)] {
            for id in ids {
                validate::one_of(flag, id, known.iter().map(String::as_str))?;
            }
        }
        Ok(())
    }

    /// Whether `--only` and `--skip` leave a step in.
    pub fn chooses(&self, step: &StepId) -> bool {
        (self.only.is_empty() || self.only.contains(step.as_str())) && !self.skip.contains(step.as_str())
    }

    /// How long one step may wait.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

fn check<T: ?Sized>(value: Option<&T>, rule: impl FnOnce(&T) -> Result<()>) -> Result<()> {
    value.map_or(Ok(()), rule)
}

/// `HELM_BIN`, which helm sets for its own plugins and people set for tools around helm.
#[expect(clippy::disallowed_methods, reason = "this is the reader of the environment")]
fn helm_bin() -> Option<PathBuf> {
    std::env::var_os("HELM_BIN").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Whether the environment asks for no colour (<https://no-color.org>) or the terminal cannot show any.
#[expect(clippy::disallowed_methods, reason = "this is the reader of the environment")]
pub fn environment_forbids_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The folders of `PATH`.
#[expect(clippy::disallowed_methods, reason = "this is the reader of the environment")]
pub fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// The names of all variables of the environment that are text.
pub fn variable_names() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}
