//! `sandbox`: alone it stays up and prints how to reach it; with a command, or a shell, it runs that inside and ends with its exit
//! code.

mod clean;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::{Cli, Global, Output, SandboxAction, SandboxArgs};
use crate::config;
use crate::error::{Error, FileKind, Result};
use crate::exit_code;
use crate::helm_process::Helm;
use crate::op::shell::{quote, words};
use crate::render::starting::Starting;
use crate::render::terminal::Terminal;
use crate::sandbox::aws::Seed;
use crate::sandbox::control_plane::Sources;
use crate::sandbox::{Options, Sandbox, new_plane, seal};
use crate::stop::{self, Stop, Stops};

/// So long before all has to be over, a command inside that does not end is killed.
const KILLED: Duration = Duration::from_millis(100);

/// What no proxy is to be asked for.
const LOOPBACK: &str = "127.0.0.1,localhost";

/// Runs the command.
///
/// # Errors
/// The sandbox does not start, or its command cannot be run.
pub async fn run(global: &Global, args: SandboxArgs, matches: &ArgMatches, terminal: Terminal) -> Result<u8> {
    if let Some(SandboxAction::Clean { yes }) = args.action {
        return clean::run(global.output, yes, terminal).await;
    }
    let shell = matches!(args.action, Some(SandboxAction::Shell));
    if shell && !terminal.interactive {
        return Err(Error::Usage {
            message: "a shell needs a terminal".to_owned(),
            mend: "run a command instead: `eks-bootstrap sandbox -- sh script.sh`".to_owned(),
        });
    }
    let seed = seed(&args)?;
    let outside = Outside::of(global, &args, matches)?;
    if let Some(file) = args.seed.as_ref().filter(|_| outside.existing.is_some())
        && seed.clusters.first().is_some_and(|cluster| !cluster.objects.is_empty())
    {
        let reason = "the cluster of a context is used as it is, so it gets no objects of a seed";
        let mend = "take the objects out of the seed, or leave --context away";
        return Err(Error::config("clusters[0].objects", file.display().to_string(), reason, mend));
    }
    let program = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
    let starting = Arc::new(Starting::new(terminal));
    let told = starting.clone();
    let start = Sandbox::start(Options {
        seed,
        latency: Duration::from_millis(args.latency),
        program: program.clone(),
        helm: Helm::locate(global.helm.as_deref()),
        sources: Sources { cache: None, mirror: args.mirror.clone(), offline: args.offline },
        plane: new_plane,
        stand_in_charts: !args.official_charts && outside.charts.is_none(),
        existing: outside.existing.clone(),
        progress: Arc::new(move |progress| told.progress(&progress.to_string())),
    });
    // A signal cuts the start off, and dropping it ends what it has begun.
    let sandbox = Box::pin(start).await?;
    let stops = stop::of_process();
    let _claim = stops.claim();
    starting.ready(&format!("sandbox ready: cluster {}, simulated AWS at {}", sandbox.cluster(), sandbox.aws_url()));
    let outcome = if shell {
        terminal.note(
            "eks-bootstrap, aws, kubectl and helm work on the sandbox in this shell. AWS is simulated, with it load balancers and \
             volumes; Kubernetes is real, nodes are not. `exit` ends both.\n",
        );
        inside(&sandbox, &outside, &program, &[user_shell()], &stops).await
    } else if args.command.is_empty() {
        announce(&sandbox, &outside, global.output, terminal);
        stops.first().await;
        terminal.note("\nstopping the sandbox\n");
        Ok(exit_code::DONE)
    } else {
        inside(&sandbox, &outside, &program, &args.command, &stops).await
    };
    sandbox.stop().await;
    terminal.note(if outside.existing.is_some() {
        "sandbox ended; what was made in the cluster of the context stays there\n"
    } else {
        "sandbox ended, nothing of it is left\n"
    });
    outcome
}

/// What a sandbox was told to use of the world outside. Only flags count: a variable that was set for other commands would lead a
/// simulated apply to a real cluster.
struct Outside {
    /// `--context`, with `--kubeconfig`.
    existing: Option<(Option<PathBuf>, String)>,
    /// `--charts`.
    charts: Option<PathBuf>,
    /// Something lies beyond this machine's loopback, or may.
    reaches_out: bool,
}

impl Outside {
    fn of(global: &Global, args: &SandboxArgs, matches: &ArgMatches) -> Result<Outside> {
        let matches = matches.subcommand_matches("sandbox").unwrap_or(matches);
        let is_flag = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let kubeconfig = global.kubeconfig.clone().filter(|_| is_flag("kubeconfig"));
        let existing = global.context.clone().filter(|_| is_flag("context")).map(|context| (kubeconfig, context));
        let charts = global.charts.as_ref().filter(|_| is_flag("charts")).map(|charts| {
            // The command inside may run in another folder.
            std::path::absolute(charts).map_err(|source| Error::io(format!("find `{}`", charts.display()), source))
        });
        let reaches_out = args.official_charts || existing.is_some();
        Ok(Outside { existing, charts: charts.transpose()?, reaches_out })
    }

    /// The variables that lead into the sandbox.
    fn environment(&self, sandbox: &Sandbox) -> Vec<(&'static str, String)> {
        let mut variables = sandbox.environment();
        variables.extend(self.charts.iter().map(|charts| ("EKS_BOOTSTRAP_CHARTS", charts.display().to_string())));
        if self.reaches_out {
            // The simulated AWS is on this machine, whichever proxy leads out.
            let own = config::variable("NO_PROXY").or_else(|| config::variable("no_proxy"));
            let hosts = own.map_or_else(|| LOOPBACK.to_owned(), |own| format!("{own},{LOOPBACK}"));
            variables.extend(["NO_PROXY", "no_proxy"].map(|name| (name, hosts.clone())));
        }
        variables
    }
}

fn seed(args: &SandboxArgs) -> Result<Seed> {
    match &args.seed {
        None => Ok(Seed::builtin()),
        Some(file) => Seed::from_file(file).map_err(|source| Error::ConfigFile {
            kind: FileKind::Seed,
            path: file.display().to_string(),
            source: source.into(),
        }),
    }
}

/// Prints how to reach the sandbox.
fn announce(sandbox: &Sandbox, outside: &Outside, output: Output, terminal: Terminal) {
    let variables = outside.environment(sandbox);
    if output == Output::Json {
        let object: serde_json::Map<_, _> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        terminal.result(&format!("{:#}\n", serde_json::Value::Object(object)));
        return;
    }
    let own: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
    let here = config::variable_names().into_iter().chain(options());
    let unset = words(&seal::to_unset(here, &own, outside.reaches_out));
    let lines = variables.iter().map(|(name, value)| format!("export {name}={}\n", quote(value)));
    terminal.result(&format!("unset {unset}\n{}", lines.collect::<String>()));
    terminal.note(
        "\nPaste these lines into another terminal; eks-bootstrap, aws, kubectl and helm then work on the sandbox.\n\
         AWS is simulated, with it load balancers and volumes; Kubernetes is real, nodes are not. Ctrl-C ends it.\n",
    );
}

/// The variables that stand for flags of this program.
fn options() -> Vec<String> {
    let program = Cli::command();
    let all = program.get_subcommands().chain([&program]).flat_map(clap::Command::get_arguments);
    let named = all.filter_map(|argument| argument.get_env()?.to_str().map(ToOwned::to_owned));
    named.collect()
}

/// The folders of the user's `PATH`, behind one in which this program and the sandbox's helm are.
fn search_path(sandbox: &Sandbox) -> Result<std::ffi::OsString> {
    let folders = std::iter::once(sandbox.tools().to_owned()).chain(config::search_path());
    std::env::join_paths(folders).map_err(|source| Error::io("put together PATH", std::io::Error::other(source)))
}

/// The user's shell, as the login says.
fn user_shell() -> String {
    config::variable("SHELL").unwrap_or_else(|| "/bin/sh".to_owned())
}

/// Runs one command inside: one of this program's, else another program.
#[expect(clippy::disallowed_methods, reason = "the sandbox starts children")]
async fn inside(sandbox: &Sandbox, outside: &Outside, program: &Path, words: &[String], stops: &Stops) -> Result<u8> {
    let ours = Cli::command().get_subcommands().any(|known| known.get_name() == words[0]) || words[0].starts_with('-');
    let (executable, arguments) =
        if ours { (program.to_path_buf(), words) } else { (PathBuf::from(&words[0]), &words[1..]) };
    let mut command = tokio::process::Command::new(&executable);
    command.args(arguments);
    for name in config::variable_names().iter().filter(|name| seal::leads_elsewhere(name, outside.reaches_out)) {
        command.env_remove(name);
    }
    command.envs(outside.environment(sandbox)).env("PATH", search_path(sandbox)?);
    let what = || format!("run `{}` inside the sandbox", executable.display());
    let mut child = command.kill_on_drop(true).spawn().map_err(|source| Error::io(what(), source))?;
    let (mut count, mut killed) = (0, false);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|source| Error::io(what(), source))?,
            heard = stops.later_than(count) => {
                count = heard.count;
                // Ctrl-C at a terminal reaches the child by itself, since it is in the terminal's foreground group.
                let by_itself = heard.last == Stop::Interrupted && std::io::stdin().is_terminal();
                if let Some(pid) = child.id().filter(|_| !by_itself) {
                    pass_on(pid, heard.last);
                }
            }
            () = stops.nearly_over(KILLED), if !killed => {
                killed = true;
                let _ = child.start_kill();
            }
        }
    };
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    Ok(u8::try_from(status.code().unwrap_or(128 + signal)).unwrap_or(exit_code::FAILED))
}

/// Gives a child a signal that we got.
fn pass_on(pid: u32, stop: Stop) {
    let signal = match stop {
        Stop::Interrupted => Signal::INT,
        Stop::Terminated => Signal::TERM,
        Stop::HungUp => Signal::HUP,
    };
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A child that has ended meanwhile is what was wanted.
        let _ = kill_process(pid, signal);
    }
}
