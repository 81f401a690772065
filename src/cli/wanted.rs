//! The flags that the commands share which plan: what the wanted state is, and which steps a command is about.

use std::path::PathBuf;

use clap::Args;

use super::{PolicyFlags, Sources};
use crate::config_file::ManagedBy;

/// What the wanted state is; shared by the commands that plan.
#[derive(Debug, Default, Args)]
pub struct Wanted {
    /// Refuse to work in any other account
    #[arg(long, env = "EKS_BOOTSTRAP_ACCOUNT", value_name = "ID", help_heading = "Guards")]
    pub account: Option<String>,
    /// Turn a component on: metrics-server, gp3-storage-class, or on EKS Auto Mode any; repeatable
    #[arg(long, value_name = "COMPONENT", help_heading = "Components")]
    pub enable: Vec<String>,
    /// Turn a component off; repeatable
    #[arg(long, value_name = "COMPONENT", help_heading = "Components")]
    pub disable: Vec<String>,
    /// A component of your own, described by this file; repeatable
    #[arg(long = "component-file", value_name = "FILE", help_heading = "Components")]
    pub component_files: Vec<PathBuf>,
    /// Chart version of the AWS Load Balancer Controller
    #[arg(long, env = "EKS_BOOTSTRAP_LBC_VERSION", value_name = "VERSION", help_heading = "Components")]
    pub lbc_version: Option<String>,
    /// Chart version of the EBS CSI driver
    #[arg(long, env = "EKS_BOOTSTRAP_EBS_VERSION", value_name = "VERSION", help_heading = "Components")]
    pub ebs_version: Option<String>,
    /// Chart version of metrics-server
    #[arg(long, env = "EKS_BOOTSTRAP_METRICS_SERVER_VERSION", value_name = "VERSION", help_heading = "Components")]
    pub metrics_server_version: Option<String>,
    /// Use this role for the AWS Load Balancer Controller instead of one of ours
    #[arg(long, env = "EKS_BOOTSTRAP_LBC_ROLE_ARN", value_name = "ARN", help_heading = "Components")]
    pub lbc_role_arn: Option<String>,
    /// Use this role for the EBS CSI driver instead of one of ours
    #[arg(long, env = "EKS_BOOTSTRAP_EBS_ROLE_ARN", value_name = "ARN", help_heading = "Components")]
    pub ebs_role_arn: Option<String>,
    /// Who installs the EBS CSI driver: the Helm chart, or EKS as an add-on [default: helm]
    #[arg(long, env = "EKS_BOOTSTRAP_EBS_MANAGED_BY", value_enum, value_name = "WHO", help_heading = "Components")]
    pub ebs_managed_by: Option<ManagedBy>,
    /// Version of the EKS add-on [default: what EKS has as default for the cluster's Kubernetes, or newer]
    #[arg(long, env = "EKS_BOOTSTRAP_EBS_ADDON_VERSION", value_name = "VERSION", help_heading = "Components")]
    pub ebs_addon_version: Option<String>,
    /// Attach the EBS CSI driver's policy to the nodes' roles too: every pod on these nodes can then use it
    #[arg(long, help_heading = "Components")]
    pub attach_node_role: bool,
    /// A node role that no node group names (self-managed nodes, Karpenter); repeatable
    #[arg(long, value_name = "ARN|NAME", help_heading = "Components")]
    pub node_role: Vec<String>,
    /// How pods get their role: irsa or pod-identity, for all or for one (`lbc=pod-identity`); repeatable [default: irsa]
    #[arg(
        long,
        env = "EKS_BOOTSTRAP_IDENTITY",
        value_name = "[COMPONENT=]WAY",
        value_delimiter = ',',
        help_heading = "IAM"
    )]
    pub identity: Vec<String>,
    /// What roles may do.
    #[command(flatten)]
    pub policies: PolicyFlags,
    /// IAM path of roles and policies [default: /]
    #[arg(long, env = "EKS_BOOTSTRAP_IAM_PATH", value_name = "PATH", help_heading = "IAM")]
    pub iam_path: Option<String>,
    /// Put before every role and policy name
    #[arg(long, env = "EKS_BOOTSTRAP_NAME_PREFIX", value_name = "TEXT", help_heading = "IAM")]
    pub name_prefix: Option<String>,
    /// Policy that bounds every role
    #[arg(long, env = "EKS_BOOTSTRAP_PERMISSIONS_BOUNDARY", value_name = "ARN", help_heading = "IAM")]
    pub permissions_boundary: Option<String>,
    /// Tag on every IAM object; repeatable
    #[arg(long = "tag", value_name = "KEY=VALUE", help_heading = "IAM")]
    pub tags: Vec<String>,
    /// Leave this field of a chart's object to whoever else sets it, as the plan prints it, `*` for any characters; repeatable
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME PATH", help_heading = "Components")]
    pub ignore_drift: Vec<String>,
    /// Where charts and images come from.
    #[command(flatten)]
    pub sources: Sources,
}

/// Which steps a command is about; shared by the commands that plan.
#[derive(Debug, Default, Args)]
pub struct Selection {
    /// Take over the object of this step from its owner; repeatable
    #[arg(long, value_name = "STEP", help_heading = "Guards")]
    pub adopt: Vec<String>,
    /// Delete this object of a chart and create it again where a field that cannot be changed differs; repeatable
    #[arg(long, value_name = "KIND/NAME", help_heading = "Guards")]
    pub recreate: Vec<String>,
    /// Only these steps; repeatable
    #[arg(long, value_name = "STEP", help_heading = "Steps")]
    pub only: Vec<String>,
    /// All but these steps; repeatable
    #[arg(long, value_name = "STEP", help_heading = "Steps")]
    pub skip: Vec<String>,
}
