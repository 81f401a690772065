//! Parses the command line, runs the command and turns its outcome into an exit code.
//!
//! The command has a thread of its own, so that signals are heard whatever it does: one that nothing claims cuts it off.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use eks_bootstrap::cli::Cli;
use eks_bootstrap::error::Result;
use eks_bootstrap::render::output;
use eks_bootstrap::render::terminal::Terminal;
use eks_bootstrap::render::usage;
use eks_bootstrap::stop::{self, Stop, Stops};
use eks_bootstrap::{child, commands, exit_code, report};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// The futures of the SDK are large.
const STACK: usize = 8 << 20;
/// For how long a command that was cut off may take to drop what it holds; one that blocks its thread never does.
const DROPPED: Duration = Duration::from_millis(400);
/// What children get before they are killed where all has to be over at once.
const AT_ONCE: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    // One TLS provider for everything; left to chance, the first client to need one panics.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let parsed = command_line().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are results, everything else is a wrong command line.
            let code = if error.use_stderr() { exit_code::USAGE } else { exit_code::DONE };
            usage::print(error);
            return ExitCode::from(written(code));
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
    let code = match runtime.block_on(async { stop::listen() }) {
        Ok(stops) => run(&runtime, &stops, cli, matches, terminal),
        Err(error) => {
            terminal.message(&format!("error: cannot listen for signals: {error}\n"));
            exit_code::FAILED
        }
    };
    // A blocking read of the terminal must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(written(code))
}

/// The command line, under the name by which it was called: kubectl starts its plugin `eks-bootstrap` as `kubectl-eks_bootstrap`
/// (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>).
fn command_line() -> clap::Command {
    let called = std::env::args_os().next().map(PathBuf::from);
    let name = called.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
    let command = Cli::command();
    if name.is_some_and(|name| name.starts_with("kubectl-")) {
        command.bin_name("kubectl eks-bootstrap")
    } else {
        command
    }
}

/// How a command ended.
enum Ended {
    Itself(Result<u8>),
    CutOff(Stop),
}

fn run(runtime: &Runtime, stops: &Stops, cli: Cli, matches: ArgMatches, terminal: Terminal) -> u8 {
    let (sender, receiver) = oneshot::channel();
    let (handle, heard) = (runtime.handle().clone(), stops.clone());
    let work = move || {
        let ended = handle.block_on(async {
            tokio::select! {
                biased;
                // Boxed once here: nested futures of the SDK are large.
                outcome = Box::pin(commands::run(cli, &matches, terminal)) => Ended::Itself(outcome),
                stop = heard.cut_off() => Ended::CutOff(stop),
            }
        });
        let _ = sender.send(ended);
    };
    if let Err(error) = std::thread::Builder::new().stack_size(STACK).spawn(work) {
        terminal.message(&format!("error: cannot start: {error}\n"));
        return exit_code::FAILED;
    }
    let ended = runtime.block_on(async {
        let ended = tokio::select! {
            biased;
            // Without an outcome the thread has panicked, and said so.
            ended = receiver => ended.unwrap_or(Ended::Itself(Ok(exit_code::FAILED))),
            stop = async {
                let stop = stops.cut_off().await;
                tokio::time::sleep_until(tokio::time::Instant::now() + DROPPED).await;
                stop
            } => Ended::CutOff(stop),
        };
        let second = stops.heard().is_some_and(|heard| heard.count > 1);
        child::end_all(if second { AT_ONCE } else { Duration::from_secs(2) }).await;
        ended
    });
    match ended {
        Ended::Itself(Ok(code)) => code,
        Ended::Itself(Err(error)) => {
            terminal.message(&report::of(&error));
            error.exit_code()
        }
        Ended::CutOff(stop) => {
            terminal.message(&cut_off(stop, stops.ever_claimed()));
            stop.exit_code()
        }
    }
}

fn cut_off(stop: Stop, began: bool) -> String {
    let word = stop.word();
    if began {
        format!("\n{word}: what finished is listed above; `eks-bootstrap plan` shows what remains\n")
    } else {
        format!("\n{word}: nothing was changed\n")
    }
}

/// The exit code, given whether all output could be written: a result that nobody got is none.
fn written(code: u8) -> u8 {
    let Some(error) = output::failure().filter(|_| matches!(code, exit_code::DONE | exit_code::CHANGES_PENDING)) else {
        return code;
    };
    // Where a reader has gone on purpose there is nobody to tell.
    if error.kind() != std::io::ErrorKind::BrokenPipe {
        output::err(&format!("error: cannot write the output: {error}\n"), false);
    }
    exit_code::FAILED
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
        .with_writer(move || output::Log { colours: terminal.err.on })
        .with_ansi(terminal.err.on)
        .without_time()
        .init();
}
