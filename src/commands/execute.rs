//! Running a plan and drawing its events: what `apply` and `destroy` have in common once a plan is confirmed.

use tokio::sync::mpsc;

use crate::commands::assess::Assessed;
use crate::connect::Connection;
use crate::context::{ReadContext, WriteContext};
use crate::engine::{Engine, Waiting};
use crate::error::Result;
use crate::event::Event;
use crate::op::eks::EksWrite;
use crate::op::helm::HelmWrite;
use crate::op::iam::IamWrite;
use crate::op::kube::KubeWrite;
use crate::render::bars::Bars;
use crate::render::events;
use crate::render::lines::Lines;
use crate::render::terminal::Terminal;
use crate::stop;
use crate::summary::Summary;

/// Makes the writers.
///
/// # Errors
/// An address, kubeconfig or program that cannot be used.
pub async fn writers(connection: &Connection) -> Result<WriteContext> {
    let read = &connection.read;
    Ok(WriteContext {
        iam: IamWrite::new(&connection.aws),
        eks: EksWrite::new(&connection.aws),
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
///
/// # Errors
/// None of its own; failures of steps are in the summary.
pub async fn execute(
    read: ReadContext,
    write: WriteContext,
    assessed: Assessed,
    json: bool,
    terminal: Terminal,
) -> Result<Summary> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let patience = read.config.timeout();
    let stops = stop::of_process();
    // From here on the run itself says what a signal leaves half done.
    let _claim = stops.claim();
    let waiting = Waiting::default();
    let engine = Engine { steps: assessed.steps, read, write, events: sender, stops, patience, waiting };
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
            if let Event::Stopping { signal, count, waits_for } = &event {
                terminal.message(&events::stopping(*signal, *count, waits_for));
            }
            terminal.result(&events::json(&event));
        } else if terminal.bars {
            bars.event(&event);
        } else {
            lines.event(&event);
        }
    }
}
