//! The commands and flags of `config`.

use clap::{Args, Subcommand};

use crate::cli::Wanted;

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `config` does.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a commented configuration file to start from
    Init,
    /// Print the JSON Schema of the configuration file
    Schema(ConfigSchemaArgs),
    /// Print what is in force, and where each value came from
    View(Box<ConfigViewArgs>),
}

/// `config schema`.
#[derive(Debug, Args)]
pub struct ConfigSchemaArgs {
    /// That of the files which describe components of your own
    #[arg(long)]
    pub component: bool,
}

/// `config view`.
#[derive(Debug, Args)]
pub struct ConfigViewArgs {
    /// The wanted state.
    #[command(flatten)]
    pub wanted: Wanted,
}
