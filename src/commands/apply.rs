//! `apply`: plan, confirm, run.

use std::path::Path;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::cli::{ApplyArgs, Global, Output};
use crate::commands::assess;
use crate::config::Config;
use crate::connect::{self, Connection};
use crate::context::{ReadContext, WriteContext};
use crate::engine::{Engine, Stop};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::exit_code;
use crate::op::helm::HelmWrite;
use crate::op::iam::IamWrite;
use crate::op::kube::KubeWrite;
use crate::plan::{Goal, Plan};
use crate::render::bars::Bars;
use crate::render::lines::Lines;
use crate::render::terminal::Terminal;
use crate::render::{events, plan_json, plan_text};
use crate::summary::Summary;

/// Runs the command.
///
/// # Errors
/// Whatever kept the run from beginning; failures of steps are told as they happen and in the exit code.
pub async fn run(global: &Global, args: &ApplyArgs, terminal: Terminal) -> Result<u8> {
    if global.output == Output::Commands {
        return Err(Error::Usage {
            message: "apply has no output form `commands`".to_owned(),
            mend: "use `eks-bootstrap plan -o commands`".to_owned(),
        });
    }
    let (config, saved) = match &args.plan {
        Some(file) => {
            let (config, fingerprint) = load(file)?;
            (config, Some(fingerprint))
        }
        None => (Config::resolve(global, &args.wanted)?, None),
    };
    let connection = connect::connect(config, None).await?;
    let mut assessed = assess::assess(&connection.read, Goal::Present).await?;
    let json = global.output == Output::Json;
    if let Err(refusal) = assess::applicable(&mut assessed) {
        terminal.note(&plan_text::of(&assessed.plan, terminal.err));
        return Err(refusal);
    }
    if saved.is_some_and(|saved| saved != assessed.plan.fingerprint()) {
        terminal.note(&plan_text::of(&assessed.plan, terminal.err));
        return Err(Error::Stale { what: "the saved plan no longer fits".to_owned() });
    }
    if !json {
        if assessed.plan.has_changes() {
            if !terminal.quiet {
                terminal.result(&plan_text::of(&assessed.plan, terminal.out));
            }
        } else {
            let counts = plan_text::totals(&assessed.plan.counts());
            terminal
                .result(&format!("nothing to do: {} is as it should be ({counts})\n", assessed.plan.target.cluster));
            return Ok(exit_code::DONE);
        }
    }
    let write = writers(&connection).await?;
    // A helm that is missing or too old is to be known before anything is written.
    write.helm.check(assessed.plan.helm_ops()).await?;
    if assessed.plan.has_changes() && !args.yes {
        confirm(&assessed.plan, terminal)?;
    }
    let summary = execute(connection.read, write, assessed, json, terminal).await?;
    Ok(summary.exit_code)
}

fn confirm(plan: &Plan, terminal: Terminal) -> Result<()> {
    let refused = |what: &str, mend: &str| Err(Error::Refused { what: what.to_owned(), mend: mend.to_owned() });
    if !terminal.interactive {
        return refused("not confirmed: nobody can be asked without a terminal", "pass --yes to apply without asking");
    }
    if terminal.confirm(&format!("\nMake these changes to {}?", plan.target.cluster)) {
        return Ok(());
    }
    refused("not confirmed; nothing was changed", "answer `y`, or pass --yes")
}

async fn writers(connection: &Connection) -> Result<WriteContext> {
    let read = &connection.read;
    Ok(WriteContext {
        iam: IamWrite::new(&connection.aws),
        kube: KubeWrite::connect(&connection.kube).await?,
        helm: HelmWrite::new(
            &read.config,
            &read.facts,
            &connection.kube,
            connection.helm.clone(),
            read.charts.clone(),
            read.kube.clone(),
        )?,
    })
}

/// Runs a plan and draws its events.
async fn execute(
    read: ReadContext,
    write: WriteContext,
    assessed: assess::Assessed,
    json: bool,
    terminal: Terminal,
) -> Result<Summary> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let patience = read.config.timeout();
    let engine = Engine { steps: assessed.steps, read, write, events: sender, stop: signals(terminal)?, patience };
    let drawing = tokio::spawn(draw(receiver, json, terminal));
    let summary = Box::pin(engine.run(&assessed.plan)).await;
    drop(engine);
    // The renderer ends with its channel; if it panicked, the run itself is still what it is.
    let _ = drawing.await;
    Ok(summary)
}

async fn draw(mut events: mpsc::UnboundedReceiver<Event>, json: bool, terminal: Terminal) {
    let mut bars = Bars::new(terminal.err);
    let mut lines = Lines::new(std::io::stderr(), terminal.err, terminal.quiet);
    while let Some(event) = events.recv().await {
        if json {
            terminal.result(&events::json(&event));
        } else if terminal.bars {
            bars.event(&event);
        } else {
            lines.event(&event);
        }
    }
}

/// The first signal asks the engine to stop after the calls in flight; later ones only say that it is being done.
fn signals(terminal: Terminal) -> Result<watch::Receiver<Option<Stop>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|source| Error::io("listen for signals", source));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let stop = tokio::select! {
                _ = interrupt.recv() => Stop::Interrupted,
                _ = terminate.recv() => Stop::Terminated,
                () = sender.closed() => return,
            };
            terminal.message("\nstopping: finishing the calls in flight, nothing new is begun\n");
            sender.send_if_modified(|current| current.is_none().then(|| *current = Some(stop)).is_some());
        }
    });
    Ok(receiver)
}

/// Reads a saved plan: its configuration and its fingerprint.
fn load(file: &Path) -> Result<(Config, String)> {
    let unusable = |reason: String| Error::ConfigFile { path: file.display().to_string(), source: reason.into() };
    let text = std::fs::read_to_string(file).map_err(|source| unusable(source.to_string()))?;
    let document: Value = serde_json::from_str(&text).map_err(|source| unusable(source.to_string()))?;
    if document["schema"] != plan_json::SCHEMA {
        return Err(unusable(format!("not a plan saved by this version (schema {})", document["schema"])));
    }
    let config = serde_json::from_value(document["config"].clone()).map_err(|source| unusable(source.to_string()))?;
    let Some(fingerprint) = document["fingerprint"].as_str() else {
        return Err(unusable("it has no fingerprint".to_owned()));
    };
    Ok((config, fingerprint.to_owned()))
}
