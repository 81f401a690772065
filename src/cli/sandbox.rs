//! The command that starts a simulated AWS. Clap types only, as in `cli.rs`.

use std::path::PathBuf;

use clap::Args;

/// `sandbox`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  eks-bootstrap sandbox -- apply --yes\n  eks-bootstrap sandbox --latency 80 -- plan"
)]
pub struct SandboxArgs {
    /// Starting world: the cluster and what exists already (YAML) [default: built in]
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Simulated latency of every AWS call, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency: u64,
    /// Use the official chart repositories instead of the built-in stand-in charts
    #[arg(long)]
    pub official_charts: bool,
    /// One eks-bootstrap command (or another program) to run inside; without it the sandbox stays up
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
