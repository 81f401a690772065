//! The commands: each takes resolved values, and returns the exit code.

pub mod apply;
pub mod assess;
pub mod destroy;
pub mod diagnostics;
pub mod execute;
pub mod explain;
pub mod permissions;
pub mod plan;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod token;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command};
use crate::error::{Error, Result};
use crate::exit_code;
use crate::render::terminal::Terminal;

/// Runs the command of the command line.
///
/// # Errors
/// Whatever kept the command from its result; `main.rs` prints it.
pub async fn run(cli: Cli, terminal: Terminal) -> Result<u8> {
    match cli.command {
        Command::Plan(args) => Box::pin(plan::run(&cli.global, &args, terminal)).await,
        Command::Apply(args) => Box::pin(apply::run(&cli.global, &args, terminal)).await,
        Command::Destroy(args) => Box::pin(destroy::run(&cli.global, &args, terminal)).await,
        Command::Explain(args) => explain::run(cli.global.output, &args, terminal),
        Command::Permissions(args) => permissions::run(&cli.global, &args, terminal).await,
        Command::Token(_) => token::run(&cli.global, terminal).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => Box::pin(sandbox::run(&cli.global, args, terminal)).await,
        #[cfg(feature = "sandbox")]
        Command::SandboxReaper => {
            crate::sandbox::control_plane::run_reaper(std::io::stdin().lock());
            Ok(exit_code::DONE)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "eks-bootstrap", &mut script);
            terminal.result(&String::from_utf8_lossy(&script));
            Ok(exit_code::DONE)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(|source| Error::io("write the manual page", source))?;
            terminal.result(&String::from_utf8_lossy(&page));
            Ok(exit_code::DONE)
        }
    }
}
