//! The flags of `verify`.

use clap::{Args, ValueEnum};

use crate::check::Severity;
use crate::cli::{SmokeFlags, Wanted};

/// `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 3 means that a check failed. `eks-bootstrap explain CHECK` says more about one. Verify judges whether things work; what \
                  differs from what is wanted, field by field, `eks-bootstrap plan` tells."
)]
pub struct VerifyArgs {
    /// Before anything is installed: credentials, permissions, nodes, versions, subnets, helm, charts
    #[arg(long, help_heading = "Checks")]
    pub pre: bool,
    /// Not this check, or not this family (EKB-NET); repeatable
    #[arg(long, value_name = "CHECK", help_heading = "Checks")]
    pub skip: Vec<String>,
    /// Look again until nothing fails, at most so long (90s, 10m)
    #[arg(long, value_name = "DURATION", help_heading = "Checks")]
    pub wait: Option<String>,
    /// From which severity on a failure gives exit code 3
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::Error, help_heading = "Checks")]
    pub fail_on: FailOn,
    /// List the checks and end
    #[arg(long, help_heading = "Checks")]
    pub list_checks: bool,
    /// Also make a short-lived workload (pods, volume, load balancer), prove that it works, and remove it
    #[arg(long, help_heading = "Smoke workload", conflicts_with_all = ["pre", "wait"])]
    pub deep: bool,
    /// Do not ask before --deep makes its objects
    #[arg(short, long, env = "EKS_BOOTSTRAP_YES", value_parser = clap::builder::FalseyValueParser::new())]
    pub yes: bool,
    /// The smoke workload.
    #[command(flatten)]
    pub smoke: SmokeFlags,
    /// What was wanted; the same flags as for `apply`.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// From which severity on `verify` fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Warnings too
    Warning,
    /// Errors only
    Error,
}

impl FailOn {
    /// The least severity that fails.
    pub fn least(self) -> Severity {
        match self {
            FailOn::Warning => Severity::Warning,
            FailOn::Error => Severity::Error,
        }
    }
}
