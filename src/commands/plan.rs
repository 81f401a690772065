//! `plan`: a read-only audit of every step.

use serde_json::Value;

use crate::cli::{Global, Output, PlanArgs};
use crate::commands::assess::{self, Assessed};
use crate::commands::connecting;
use crate::commands::saved::{self, Binding};
use crate::config::Config;
use crate::connect::Connection;
use crate::error::Result;
use crate::escape::line;
use crate::exit_code;
use crate::plan::{Goal, Plan};
use crate::render::terminal::Terminal;
use crate::render::{plan_commands, plan_json, plan_text};

/// Runs the command.
///
/// # Errors
/// Whatever kept the plan from being complete; what could be read is shown all the same.
pub async fn run(global: &Global, args: &PlanArgs, terminal: Terminal) -> Result<u8> {
    let config = Config::resolve(global, &args.wanted, &args.selection)?;
    config.guard_isolation()?;
    let Connection { read, helm, .. } = connecting::connect(config, terminal).await?;
    let mut assessed = assess::assess(&read, Goal::Present).await?;
    show(&assessed.plan, global.output, terminal);
    // What could be read is a plan too: `apply FILE` finds the same unknown steps, or says that the plan no longer fits.
    if let Some(file) = &args.out {
        let binding = Binding::of(&read, &helm, &assessed.plan).await?;
        saved::save(file, &saved::document(&assessed.plan, &read.config, &binding))?;
        terminal.note(&format!("saved; run it with `eks-bootstrap apply {}`\n", line(&file.display().to_string())));
    }
    if !assessed.errors.is_empty() {
        return Err(assess::worst(&mut assessed.errors));
    }
    Ok(code(&assessed, args.detailed_exitcode))
}

fn code(assessed: &Assessed, detailed: bool) -> u8 {
    let counts = assessed.plan.counts();
    if counts.blocked > 0 && detailed {
        exit_code::REFUSED
    } else if assessed.plan.has_changes() && detailed {
        exit_code::CHANGES_PENDING
    } else {
        exit_code::DONE
    }
}

/// Prints a plan in the wanted form.
pub fn show(plan: &Plan, output: Output, terminal: Terminal) {
    terminal.result(&match output {
        Output::Json => pretty(&plan_json::of(plan)),
        Output::Commands => plan_commands::of(plan),
        // The other forms have been refused.
        _ => plan_text::of(plan, terminal.out),
    });
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
