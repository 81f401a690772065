//! The part of `verify --deep` that writes: the smoke workload, after consent, and its findings.

use std::time::Duration;

use crate::behind;
use crate::check::Finding;
use crate::checks::smoke as checks;
use crate::cli::{Global, VerifyArgs};
use crate::connect::Connection;
use crate::error::{Error, Result};
use crate::limits;
use crate::op::kube::KubeWrite;
use crate::render::smoke_text;
use crate::render::terminal::Terminal;
use crate::smoke::{self, Options, Plan};
use crate::stop::{self, Stop, Stops};
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
    match behind::require(&connection.read).await {
        Ok(()) => {}
        Err(error @ Error::Refused { .. }) => return Err(error),
        Err(error) => return Ok(Agreed::Unread(error)),
    }
    let plan = match smoke::plan(&connection.read.kube, options).await {
        Ok(plan) => plan,
        Err(error @ (Error::Refused { .. } | Error::Config { .. })) => return Err(error),
        Err(error) => return Ok(Agreed::Unread(error)),
    };
    terminal.note(&smoke_text::consent(&plan, &connection.read.facts.cluster, terminal.err));
    if !args.yes {
        confirm(terminal).await?;
    }
    terminal.written()?;
    Ok(Agreed::Run(Box::new(plan)))
}

async fn confirm(terminal: Terminal) -> Result<()> {
    let refused = |what: &str, mend: &str| Err(Error::Refused { what: what.to_owned(), mend: mend.to_owned() });
    if !terminal.interactive {
        let mend = "pass --yes to make the objects without asking, or leave --deep out";
        return refused("not confirmed: nobody can be asked without a terminal", mend);
    }
    if terminal.confirm("\nMake and remove them?").await {
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
    let stops = stop::of_process();
    let claim = stops.claim();
    let told = tokio::spawn(say(stops.clone(), terminal));
    let tell = |progress| terminal.note(&smoke_text::progress(&progress, terminal.err));
    let report = Box::pin(smoke::run(&connection.read.kube, &write, &plan, &stops, &tell)).await;
    told.abort();
    drop(claim);
    let code = report.stopped.map(Stop::exit_code);
    Ok((checks::findings(&report), code))
}

/// Says of every signal what is being done about it.
async fn say(stops: Stops, terminal: Terminal) {
    let mut count = 0;
    loop {
        let heard = stops.later_than(count).await;
        count = heard.count;
        let left = heard.over.map(|over| over.saturating_duration_since(tokio::time::Instant::now()));
        let most = limits::shown(Duration::from_secs(left.unwrap_or(smoke::LONGEST_CLEANUP).as_secs()));
        terminal.message(&format!(
            "\n{}: removing what was made (at most {most}), nothing new is begun\n",
            heard.stop.word()
        ));
    }
}
