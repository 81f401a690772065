//! Where charts and images come from, and the commands about that. Clap types only, as in `cli.rs`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Wanted;

/// Where charts and images come from; part of the wanted state.
#[derive(Debug, Default, Args)]
pub struct Sources {
    /// Take a component's chart from this repository (https://) or registry (oci://); repeatable
    #[arg(long = "chart-repository", value_name = "COMPONENT=URL", help_heading = "Charts and images")]
    pub chart_repositories: Vec<String>,
    /// What the archive of a component's chart must be; repeatable
    #[arg(long = "chart-digest", value_name = "COMPONENT=sha256:HEX", help_heading = "Charts and images")]
    pub chart_digests: Vec<String>,
    /// Take every image from this registry instead of its own
    #[arg(
        long,
        env = "EKS_BOOTSTRAP_IMAGE_REGISTRY",
        value_name = "HOST[/PREFIX]",
        help_heading = "Charts and images"
    )]
    pub image_registry: Option<String>,
    /// The cluster has no way to the internet: need no host that is not named, leave WAF and Shield off
    #[arg(
        long,
        env = "EKS_BOOTSTRAP_ISOLATED",
        value_parser = clap::builder::FalseyValueParser::new(),
        help_heading = "Charts and images"
    )]
    pub isolated: bool,
}

/// `bundle`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  eks-bootstrap bundle --out charts.tar\n  eks-bootstrap apply --charts charts.tar")]
pub struct BundleArgs {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The wanted state; the same flags as for `apply`.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// `images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// The wanted state; the same flags as for `apply`.
    #[command(flatten)]
    pub wanted: Wanted,
}
