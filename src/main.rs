//! Parses the command line, runs the command and turns its outcome into an exit code.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use eks_bootstrap::cli::Cli;
use eks_bootstrap::render::terminal::Terminal;
use eks_bootstrap::{commands, exit_code, report};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // One TLS provider for everything; left to chance, the first client to need one panics.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are results, everything else is a wrong command line.
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::DONE };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let terminal = Terminal::new(cli.global.color, cli.global.quiet, cli.global.verbose > 0);
    log(cli.global.verbose, terminal);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.message(&format!("error: cannot start: {error}\n"));
            return ExitCode::from(exit_code::FAILED);
        }
    };
    // Boxed once here: nested futures of the SDK are large.
    let outcome = runtime.block_on(Box::pin(commands::run(cli, &matches, terminal)));
    // A blocking read of the terminal must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(match outcome {
        Ok(code) => code,
        Err(error) => {
            terminal.message(&report::of(&error));
            error.exit_code()
        }
    })
}

/// Logs go to stderr; `-v` shows ours, `-vv` the SDK's too. Bodies and headers are never logged: they hold credentials.
fn log(verbose: u8, terminal: Terminal) {
    let filter = match verbose {
        0 => "off",
        1 => "eks_bootstrap=debug",
        _ => "eks_bootstrap=trace,aws_config=debug,aws_smithy_runtime=info,kube_client=debug,hyper=off,h2=off",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(terminal.err.on)
        .without_time()
        .init();
}
