//! The command line: clap types only. What they mean together with files and defaults is `config.rs`' business.

mod config;
mod output;
mod policies;
mod repeat;
#[cfg(feature = "sandbox")]
mod sandbox;
mod smoke;
mod sources;
mod verify;
mod wanted;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Identity;
use crate::permissions::Purpose;

pub use config::{ConfigArgs, ConfigCommand, ConfigViewArgs};
pub use output::Output;
pub use policies::PolicyFlags;
#[cfg(feature = "sandbox")]
pub use sandbox::{SandboxAction, SandboxArgs};
pub use smoke::{SmokeArgs, SmokeCommand, SmokeFlags, SmokePrintArgs};
pub use sources::{BundleArgs, ImagesArgs, Sources};
pub use verify::{FailOn, VerifyArgs};
pub use wanted::{Selection, Wanted};

/// Takes an existing Amazon EKS cluster from "created" to "load balancers and volumes work".
#[derive(Debug, Parser)]
#[command(name = "eks-bootstrap", version, propagate_version = true, max_term_width = 100)]
#[cfg_attr(
    feature = "sandbox",
    command(after_help = "Try it without an AWS account:  eks-bootstrap sandbox -- apply --yes")
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what differs from the wanted state; writes nothing
    Plan(PlanArgs),
    /// Make the wanted state; a second run changes nothing
    Apply(ApplyArgs),
    /// Remove what `apply` made, in reverse order; refuses while load balancers or volumes depend on it
    Destroy(DestroyArgs),
    /// Prove that it works, check by check; writes nothing unless asked to (--deep)
    Verify(VerifyArgs),
    /// Move components between IRSA and EKS Pod Identity, without a moment in which their pods have no role
    Migrate(MigrateArgs),
    /// Say what a step or a check is for, what breaks without it, and how to mend it
    Explain(ExplainArgs),
    /// Print the least IAM policy, or the least rights in the cluster, for a command under this configuration
    Permissions(PermissionsArgs),
    /// Write, check and explain configuration files
    Config(ConfigArgs),
    /// Download the charts once into one file, for where there is no way to them
    Bundle(BundleArgs),
    /// List the images that run, for mirroring
    Images(ImagesArgs),
    /// The smoke workload of `verify --deep` as manifests to start from
    Smoke(SmokeArgs),
    /// Print the cluster's bearer token as an exec credential for kubectl and helm
    Token(TokenArgs),
    /// Start a simulated AWS and a real local control plane, alone or around one command
    #[cfg(feature = "sandbox")]
    Sandbox(SandboxArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Ends the sandbox's processes when the sandbox is gone
    #[cfg(feature = "sandbox")]
    #[command(hide = true)]
    SandboxReaper,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Name of the EKS cluster
    #[arg(short, long, global = true, env = "EKS_BOOTSTRAP_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,
    /// AWS region [default: the profile's]
    #[arg(short, long, global = true, env = "EKS_BOOTSTRAP_REGION")]
    pub region: Option<String>,
    /// AWS profile
    #[arg(short, long, global = true, env = "EKS_BOOTSTRAP_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// Role to assume for every AWS call
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_ASSUME_ROLE", value_name = "ARN")]
    pub assume_role: Option<String>,
    /// Configuration file, `-` for standard input; later ones win
    #[arg(short, long, global = true, env = "EKS_BOOTSTRAP_FILE", value_delimiter = ',')]
    pub file: Vec<PathBuf>,
    /// Form of the result
    #[arg(short, long, global = true, env = "EKS_BOOTSTRAP_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Say less
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more (twice: every Kubernetes request)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colour
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_COLOR", value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Kubeconfig to use instead of the endpoint and token of EKS
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Helm binary [default: $HELM_BIN, then helm of PATH]
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_HELM", value_name = "FILE")]
    pub helm: Option<PathBuf>,
    /// Folder with one folder or .tgz per chart, or a file made by `bundle`, instead of the chart repositories
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_CHARTS", value_name = "DIR|FILE")]
    pub charts: Option<PathBuf>,
    /// One endpoint for every AWS service
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_ENDPOINT_URL", value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// How long one step may wait, such as 90s or 10m [default: 10m]
    #[arg(long, global = true, env = "EKS_BOOTSTRAP_TIMEOUT", value_name = "DURATION")]
    pub timeout: Option<String>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Exit with 2 if there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Save the plan for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The wanted state.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Which steps.
    #[command(flatten)]
    pub selection: Selection,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan saved by `plan --out`; refused if the cluster has changed since. Flags of the plan cannot be repeated with it, and
    /// variables for them have no effect, but EKS_BOOTSTRAP_CHARTS may name another place of the same charts
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long, env = "EKS_BOOTSTRAP_YES", value_parser = clap::builder::FalseyValueParser::new())]
    pub yes: bool,
    /// The wanted state.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Which steps.
    #[command(flatten)]
    pub selection: Selection,
}

/// `destroy`.
#[derive(Debug, Args)]
pub struct DestroyArgs {
    /// The cluster's name, instead of asking for it
    #[arg(long, value_name = "NAME", help_heading = "Guards")]
    pub confirm: Option<String>,
    /// Go on although volumes of the EBS CSI driver exist; they stay in AWS
    #[arg(long, help_heading = "Guards")]
    pub leave_volumes: bool,
    /// First delete the Ingresses, Services, bindings and Gateways that have load balancers, and wait until AWS shows none
    #[arg(long, help_heading = "Guards")]
    pub drain: bool,
    /// Delete the charts' custom resource definitions too; refused while objects of their kinds exist
    #[arg(long, help_heading = "Guards")]
    pub purge_crds: bool,
    /// Not enough to destroy: the cluster's name is wanted (--confirm)
    #[arg(short, long)]
    pub yes: bool,
    /// What was wanted; the same flags as for `apply`.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Which steps.
    #[command(flatten)]
    pub selection: Selection,
}

/// `migrate`.
#[derive(Debug, Args)]
#[command(
    after_help = "It can be interrupted at any point and run again. Afterwards the configuration has to say it too."
)]
pub struct MigrateArgs {
    /// The way by which the pods are to get their role
    #[arg(long, value_enum)]
    pub to: Identity,
    /// Only this component (lbc, ebs); repeatable [default: all, one after the other]
    #[arg(long, value_name = "COMPONENT")]
    pub component: Vec<String>,
    /// Take over the object of this step from its owner; repeatable
    #[arg(long, value_name = "STEP", help_heading = "Guards")]
    pub adopt: Vec<String>,
    /// Do not ask
    #[arg(short, long, env = "EKS_BOOTSTRAP_YES", value_parser = clap::builder::FalseyValueParser::new())]
    pub yes: bool,
    /// What was wanted; the same flags as for `apply`.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The step as the plan lists it, or the check as verify lists it [default: one line for each]
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// `permissions`.
#[derive(Debug, Args)]
pub struct PermissionsArgs {
    /// What the policy is for
    #[arg(long = "for", value_name = "COMMAND", value_enum, default_value_t = Purpose::Apply)]
    pub purpose: Purpose,
    /// Print the rights in the cluster (RBAC as YAML, or a List with -o json) and the access-entry command
    #[arg(long)]
    pub kubernetes: bool,
    /// With --kubernetes: the group that gets the rights [default: eks-bootstrap]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// With --kubernetes: the IAM role or user that is mapped to the group [default: the caller]
    #[arg(long, value_name = "ARN")]
    pub principal: Option<String>,
    /// The wanted state.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Which steps.
    #[command(flatten)]
    pub selection: Selection,
}

/// `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Id of a local cluster on an AWS Outpost, which its tokens name instead of the cluster (`id` of `aws eks describe-cluster`)
    #[arg(long, value_name = "ID")]
    pub cluster_id: Option<String>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
