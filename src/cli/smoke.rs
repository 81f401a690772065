//! The flags of the smoke workload: those of `verify --deep`, and `smoke print`.

use clap::{Args, Subcommand};

use crate::smoke::{self, Scheme};

/// What the smoke workload of `verify --deep` is like.
#[derive(Debug, Args)]
pub struct SmokeFlags {
    /// Image of its containers: answers 200 on port 8080, without root
    #[arg(long, env = "EKS_BOOTSTRAP_SMOKE_IMAGE", value_name = "IMAGE", default_value = smoke::DEFAULT_IMAGE, help_heading = "Smoke workload")]
    pub smoke_image: String,
    /// Who reaches its load balancer; an internal one only answers inside the VPC
    #[arg(long, value_enum, value_name = "SCHEME", default_value_t = Scheme::InternetFacing, help_heading = "Smoke workload")]
    pub smoke_scheme: Scheme,
    /// Namespace that is made for it
    #[arg(long, value_name = "NAME", default_value = smoke::NAMESPACE, help_heading = "Smoke workload")]
    pub smoke_namespace: String,
    /// StorageClass of its volume [default: the cluster's for gp3, else a temporary one]
    #[arg(long, value_name = "NAME", help_heading = "Smoke workload")]
    pub smoke_storage_class: Option<String>,
}

/// `smoke`.
#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SmokeCommand,
}

/// What `smoke` does.
#[derive(Debug, Subcommand)]
pub enum SmokeCommand {
    /// Print the manifests; asks no cluster
    Print(SmokePrintArgs),
}

/// `smoke print`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  eks-bootstrap smoke print --namespace shop | kubectl apply --server-side -f -")]
pub struct SmokePrintArgs {
    /// Namespace of everything
    #[arg(long, value_name = "NAME", default_value = "example")]
    pub namespace: String,
    /// Image of the containers: answers 200 on port 8080, without root
    #[arg(long, default_value = smoke::DEFAULT_IMAGE)]
    pub image: String,
    /// Who reaches the load balancer
    #[arg(long, value_enum, default_value_t = Scheme::Internal)]
    pub scheme: Scheme,
    /// Class of the Ingress
    #[arg(long, value_name = "NAME", default_value = "alb")]
    pub ingress_class: String,
    /// StorageClass of the volume
    #[arg(long, value_name = "NAME", default_value = "gp3")]
    pub storage_class: String,
    /// Print the StorageClass too
    #[arg(long)]
    pub with_storage_class: bool,
}
