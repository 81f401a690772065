//! `verify`: proves that it works, check by check. Never stops at the first failure, and writes nothing but for `--deep`,
//! whose writing part is `deep.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Finding, Scene, Stage};
use crate::checks;
use crate::cli::{FailOn, Global, Output, Selection, VerifyArgs, Wanted};
use crate::commands::{connecting, deep};
use crate::config::Config;
use crate::connect::Connection;
use crate::error::{Error, Result};
use crate::exit_code;
use crate::plan::Target;
use crate::render::terminal::Terminal;
use crate::render::{findings_json, findings_junit, findings_text};
use crate::retry::BackOff;
use crate::validate;

/// Between two looks of `--wait`.
const BETWEEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Runs the command.
///
/// # Errors
/// A wrong command line; what the checks find is in the exit code.
pub async fn run(global: &Global, args: &VerifyArgs, terminal: Terminal) -> Result<u8> {
    if args.list_checks {
        terminal.result(&findings_text::list(terminal.out));
        return Ok(exit_code::DONE);
    }
    let skip = skipped(&args.skip)?;
    let wait = args.wait.as_deref().map(|text| validate::duration("--wait", text)).transpose()?;
    let config = Config::resolve(global, &args.wanted, &Selection::default())?;
    // Whoever skips all that --deep proves wants nothing to be made.
    let is_deep = args.deep && !skip.contains("EKB-SMOK");
    let stage = match (args.pre, is_deep) {
        (true, _) => Stage::Before,
        (false, true) => Stage::Deep,
        (false, false) => Stage::Installed,
    };
    let shown = Shown {
        output: global.output,
        fail_on: args.fail_on,
        stage,
        terminal,
        said: Said { wanted: &args.wanted, files: &global.file },
    };
    let mut back_off = BackOff::new(BETWEEN.0, BETWEEN.1, wait.unwrap_or_default());
    loop {
        // Connected anew each time: with --wait it may be the cluster or the access entry that is not there yet.
        let (target, findings, code) = match connecting::connect(config.clone(), terminal).await {
            Ok(connection) if is_deep => {
                return Box::pin(look_deep(global, args, &connection, &skip, &shown)).await;
            }
            Ok(connection) => {
                let (target, findings) = look(&connection, stage, &skip).await;
                (Some(target), findings, exit_code::CHECK_FAILED)
            }
            Err(error) => match checks::of_connection(&error) {
                Some(finding) => (None, vec![finding], code_of(&error)),
                None => return Err(error),
            },
        };
        let fails = findings.iter().filter(|finding| shown.counts(finding)).count();
        if fails == 0 || wait.is_none() || !back_off.wait().await {
            shown.show(target.as_ref(), findings)?;
            return Ok(if fails == 0 { exit_code::DONE } else { code });
        }
        terminal.note(&format!("{fails} not as they should be, looking again\n"));
    }
}

async fn look(connection: &Connection, stage: Stage, skip: &BTreeSet<String>) -> (Target, Vec<Finding>) {
    let components = checks::components_as_installed(&connection.read).await;
    let scene = Scene { cx: &connection.read, helm: &connection.helm, stage, components };
    (connection.read.facts.target(), checks::run(&scene, skip).await)
}

/// All checks of an installation, then the smoke workload. Asked first, so that nobody waits for a question.
async fn look_deep(
    global: &Global,
    args: &VerifyArgs,
    connection: &Connection,
    skip: &BTreeSet<String>,
    shown: &Shown<'_>,
) -> Result<u8> {
    let agreed = deep::agree(global, args, connection, shown.terminal).await?;
    let (target, mut findings) = look(connection, Stage::Installed, skip).await;
    let (smoke, stopped) = deep::run(agreed, connection, shown.terminal).await?;
    findings.extend(smoke.into_iter().map(|finding| {
        if checks::skips(skip, finding.check.id) { finding.check.skipped("by --skip") } else { finding }
    }));
    let fails = findings.iter().any(|finding| shown.counts(finding));
    shown.show(Some(&target), findings)?;
    Ok(stopped.unwrap_or(if fails { exit_code::CHECK_FAILED } else { exit_code::DONE }))
}

/// Missing credentials keep their own code, so that a pipeline can tell them from a cluster that does not work.
fn code_of(error: &Error) -> u8 {
    match error.exit_code() {
        exit_code::NO_PERMISSION => exit_code::NO_PERMISSION,
        _ => exit_code::CHECK_FAILED,
    }
}

fn skipped(flags: &[String]) -> Result<BTreeSet<String>> {
    let families = checks::FAMILIES.iter().map(|family| format!("EKB-{}", family.code));
    let known: Vec<_> = checks::all().map(|check| check.id.to_owned()).chain(families).collect();
    for flag in flags {
        validate::one_of("--skip", flag, known.iter().map(String::as_str))?;
    }
    Ok(flags.iter().cloned().collect())
}

/// How findings are shown, and which of them count.
struct Shown<'a> {
    output: Output,
    fail_on: FailOn,
    stage: Stage,
    terminal: Terminal,
    said: Said<'a>,
}

/// What the command line says of the wanted state, and what the printed mends have to say again.
struct Said<'a> {
    wanted: &'a Wanted,
    files: &'a [PathBuf],
}

impl Shown<'_> {
    fn counts(&self, finding: &Finding) -> bool {
        finding.severity() >= Some(self.fail_on.least())
    }

    fn show(&self, target: Option<&Target>, findings: Vec<Finding>) -> Result<()> {
        let complete = |mend: &str| self.said.wanted.repeated_in(self.said.files, mend);
        let findings: Vec<_> = findings.into_iter().map(|finding| finding.with_mend(complete)).collect();
        let findings = findings.as_slice();
        let styles = self.terminal.out;
        self.terminal.result(&match self.output {
            Output::Json => format!("{:#}\n", findings_json::of(target, findings, self.stage)),
            Output::Junit => findings_junit::of(findings, self.fail_on)?,
            Output::Short => findings_text::short(findings, self.stage, styles),
            Output::Text | Output::Commands => findings_text::of(target, findings, self.stage, styles),
        });
        Ok(())
    }
}
