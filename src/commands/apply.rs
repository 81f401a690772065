//! `apply`: plan, confirm, run.

use clap::ArgMatches;

use crate::behind;
use crate::cli::{ApplyArgs, Global, Output};
use crate::commands::saved::{self, Binding, Saved};
use crate::commands::{assess, connecting, execute};
use crate::config::Config;
use crate::connect::Connection;
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::escape::line;
use crate::exit_code;
use crate::plan::{Goal, Plan};
use crate::render::plan_text;
use crate::render::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// Whatever kept the run from beginning; failures of steps are told as they happen and in the exit code.
pub async fn run(global: &Global, args: &ApplyArgs, matches: &ArgMatches, terminal: Terminal) -> Result<u8> {
    let (config, saved) = match &args.plan {
        Some(file) => {
            let saved = saved::load(file, global, args.wanted.account.as_deref(), matches)?;
            (saved.config.clone(), Some(saved))
        }
        None => (Config::resolve(global, &args.wanted, &args.selection)?, None),
    };
    config.guard_isolation()?;
    let connection = connecting::connect(config, terminal).await?;
    let json = global.output == Output::Json;
    // It holds two plans.
    Box::pin(carry_out(connection, saved, args.yes, json, terminal)).await
}

/// Plans, shows the plan, asks unless `yes`, and runs it; called by `migrate` too.
///
/// # Errors
/// The same.
pub(super) async fn carry_out(
    mut connection: Connection,
    saved: Option<Saved>,
    yes: bool,
    json: bool,
    terminal: Terminal,
) -> Result<u8> {
    if let Some(saved) = &saved {
        saved.binding.fits(&Binding::of_cluster(&connection.read.facts))?;
    }
    behind::require(&connection.read).await?;
    // Who may write may try: what admission changes again is no difference here.
    connection.read.dry_runs = true;
    let mut assessed = assess::assess(&connection.read, Goal::Present).await?;
    if let Err(refusal) = assess::runnable(&mut assessed) {
        terminal.note(&plan_text::of(&assessed.plan, terminal.err));
        return Err(refusal);
    }
    if let Some(saved) = saved {
        saved.binding.fits(&Binding::of(&connection.read, &connection.helm, &assessed.plan).await?)?;
        if saved.changes != assessed.plan.fingerprint()
            && !fits_without_dry_runs(&mut connection.read, &saved.changes).await?
        {
            terminal.note(&plan_text::of(&assessed.plan, terminal.err));
            return Err(Error::Stale { what: "the saved plan no longer fits".to_owned() });
        }
    }
    if !json {
        let counts = assessed.plan.counts();
        // What could not be read may differ; the run ends with that.
        if assessed.plan.has_changes() || counts.unknown > 0 {
            if !terminal.quiet {
                terminal.result(&plan_text::of(&assessed.plan, terminal.out));
            }
        } else {
            let counts = plan_text::totals(&counts);
            terminal.result(&format!(
                "nothing to do: {} is as it should be ({counts})\n",
                line(&assessed.plan.target.cluster)
            ));
            for note in assessed.plan.steps.iter().flat_map(|step| &step.assessment.notes) {
                terminal.note(&format!("note: {}\n", line(note)));
            }
            return Ok(exit_code::DONE);
        }
    }
    let write = execute::writers(&connection).await?;
    // A helm that is missing or too old is to be known before anything is written.
    write.helm.check(assessed.plan.helm_ops()).await?;
    if assessed.plan.writes() && !yes {
        confirm(&assessed.plan, terminal).await?;
    }
    terminal.written()?;
    let summary = execute::execute(connection.read, write, assessed, json, terminal).await?;
    Ok(summary.exit_code)
}

/// Whether a saved plan is what a plan shows now. It holds what admission changes again, since who plans may not try a write.
async fn fits_without_dry_runs(read: &mut ReadContext, saved: &str) -> Result<bool> {
    read.dry_runs = false;
    let shown = assess::assess(read, Goal::Present).await?;
    read.dry_runs = true;
    Ok(saved == shown.plan.fingerprint())
}

async fn confirm(plan: &Plan, terminal: Terminal) -> Result<()> {
    let refused = |what: &str, mend: &str| Err(Error::Refused { what: what.to_owned(), mend: mend.to_owned() });
    if !terminal.interactive {
        return refused("not confirmed: nobody can be asked without a terminal", "pass --yes to apply without asking");
    }
    if terminal.confirm(&format!("\nMake these changes to {}?", line(&plan.target.cluster))).await {
        return Ok(());
    }
    refused("not confirmed; nothing was changed", "answer `y`, or pass --yes")
}
