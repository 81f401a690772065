//! The command that starts a simulated AWS. Clap types only, as in `cli.rs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use url::Url;

/// `sandbox`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  eks-bootstrap sandbox -- apply --yes\n  eks-bootstrap sandbox shell\n  eks-bootstrap sandbox --latency 80 -- plan"
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
    /// Server with copies of the released programs, each under the name of its original host [default: the originals]
    #[arg(long, value_name = "URL", env = "EKS_BOOTSTRAP_MIRROR", value_parser = mirror)]
    pub mirror: Option<Url>,
    /// Download nothing: take the programs from KUBEBUILDER_ASSETS, PATH and the cache, or build them from Go's module cache
    #[arg(long, conflicts_with = "official_charts")]
    pub offline: bool,
    /// Something else than one run
    #[command(subcommand)]
    pub action: Option<SandboxAction>,
    /// One eks-bootstrap command (or another program) to run inside; without it the sandbox stays up
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What else can be done with sandboxes.
#[derive(Debug, Subcommand)]
pub enum SandboxAction {
    /// Start your shell inside; the sandbox ends with it
    Shell,
    /// Show what is kept for later starts, and remove it
    Clean {
        /// Remove without asking
        #[arg(short, long)]
        yes: bool,
    },
}

fn mirror(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("{error}; write it as in `https://mirror.example.com/releases`"))?;
    let plain = url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
        Ok(url)
    } else {
        Err("not the address of a server; write it as in `https://mirror.example.com/releases`".to_owned())
    }
}
