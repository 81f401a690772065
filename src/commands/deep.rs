//! The part of `verify --deep` that writes: the smoke workload, after consent, and its findings.

use crate::check::Finding;
use crate::checks::smoke as checks;
use crate::cli::{Global, VerifyArgs};
use crate::commands::execute;
use crate::connect::Connection;
use crate::engine::Stop;
use crate::error::{Error, Result};
use crate::exit_code;
use crate::op::kube::KubeWrite;
use crate::render::smoke_text;
use crate::render::terminal::Terminal;
use crate::smoke::{self, Options, Plan};
use crate::validate;

/// For how long everything together may take, unless --timeout says otherwise.
const TIMEOUT: &str = "5m";

/// A run that was agreed to, or why there can be none.
pub(super) enum Agreed {
    /// It may begin.
    Run(Box<Plan>),
    /// The cluster could not be read.
    Unread(Error),
}

/// Looks at what would be made, shows it and asks.
///
/// # Errors
/// A value that cannot be used, a namespace that is someone else's, or no consent.
pub(super) async fn agree(
    global: &Global,
    args: &VerifyArgs,
    connection: &Connection,
    terminal: Terminal,
) -> Result<Agreed> {
    let options = Options {
        namespace: args.smoke.smoke_namespace.clone(),
        image: args.smoke.smoke_image.clone(),
        scheme: args.smoke.smoke_scheme,
        storage_class: args.smoke.smoke_storage_class.clone(),
        timeout: validate::duration("--timeout", global.timeout.as_deref().unwrap_or(TIMEOUT))?,
    };
    let plan = match smoke::plan(&connection.read.kube, options).await {
        Ok(plan) => plan,
        Err(error @ (Error::Refused { .. } | Error::Config { .. })) => return Err(error),
        Err(error) => return Ok(Agreed::Unread(error)),
    };
    terminal.note(&smoke_text::consent(&plan, &connection.read.facts.cluster, terminal.err));
    if !args.yes {
        confirm(terminal)?;
    }
    Ok(Agreed::Run(Box::new(plan)))
}

fn confirm(terminal: Terminal) -> Result<()> {
    let refused = |what: &str, mend: &str| Err(Error::Refused { what: what.to_owned(), mend: mend.to_owned() });
    if !terminal.interactive {
        let mend = "pass --yes to make the objects without asking, or leave --deep out";
        return refused("not confirmed: nobody can be asked without a terminal", mend);
    }
    if terminal.confirm("\nMake and remove them?") {
        return Ok(());
    }
    refused("not confirmed; nothing was made", "answer `y`, pass --yes, or leave --deep out")
}

/// Runs what was agreed to; with the exit code of a signal that ended it early.
///
/// # Errors
/// Signals cannot be listened for, or there is no writer.
pub(super) async fn run(
    agreed: Agreed,
    connection: &Connection,
    terminal: Terminal,
) -> Result<(Vec<Finding>, Option<u8>)> {
    let plan = match agreed {
        Agreed::Run(plan) => plan,
        Agreed::Unread(error) => return Ok((checks::unread(&error), None)),
    };
    let write = KubeWrite::connect(&connection.kube).await?;
    let stop = execute::signals(terminal, "removing what was made, nothing new is begun")?;
    let tell = |progress| terminal.note(&smoke_text::progress(&progress, terminal.err));
    let report = Box::pin(smoke::run(&connection.read.kube, &write, &plan, stop, &tell)).await;
    let code = report.stopped.map(|stop| match stop {
        Stop::Interrupted => exit_code::INTERRUPTED,
        Stop::Terminated => exit_code::TERMINATED,
    });
    Ok((checks::findings(&report), code))
}
