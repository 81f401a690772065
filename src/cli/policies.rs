//! The flags that say what the roles of the components may do.

use clap::Args;

/// What roles may do.
#[derive(Debug, Default, Args)]
pub struct PolicyFlags {
    /// What the AWS Load Balancer Controller's role may do [default: full]
    #[arg(long, env = "EKS_BOOTSTRAP_LBC_POLICY", value_name = "POLICY", help_heading = "Components",
        value_parser = ["full", "scoped", "target-group-binding-only"])]
    pub lbc_policy: Option<String>,
    /// Attach this policy to the AWS Load Balancer Controller's role instead of one of ours
    #[arg(long, env = "EKS_BOOTSTRAP_LBC_POLICY_ARN", value_name = "ARN", help_heading = "Components")]
    pub lbc_policy_arn: Option<String>,
    /// AWS' policy for the EBS CSI driver's role [default: v2 where it exists, and v1 where that is attached]
    #[arg(long, env = "EKS_BOOTSTRAP_EBS_POLICY", value_name = "POLICY", help_heading = "Components",
        value_parser = ["v2", "v1", "cluster-scoped"])]
    pub ebs_policy: Option<String>,
    /// Attach this policy to the EBS CSI driver's role instead of one of AWS'
    #[arg(long, env = "EKS_BOOTSTRAP_EBS_POLICY_ARN", value_name = "ARN", help_heading = "Components")]
    pub ebs_policy_arn: Option<String>,
    /// KMS key that the EBS CSI driver encrypts volumes with; repeatable
    #[arg(long = "kms-key", value_name = "ARN", help_heading = "Components")]
    pub kms_keys: Vec<String>,
}
