//! Running a plan and drawing its events: what `apply` and `destroy` have in common once a plan is confirmed.

use tokio::sync::{mpsc, watch};

use crate::commands::assess::Assessed;
use crate::connect::Connection;
use crate::context::{ReadContext, WriteContext};
use crate::engine::{Engine, Stop, Waiting};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::op::eks::EksWrite;
use crate::op::helm::HelmWrite;
use crate::op::iam::IamWrite;
use crate::op::kube::KubeWrite;
use crate::render::bars::Bars;
use crate::render::events;
use crate::render::lines::Lines;
use crate::render::terminal::Terminal;
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
/// Signals cannot be listened for; failures of steps are in the summary.
pub async fn execute(
    read: ReadContext,
    write: WriteContext,
    assessed: Assessed,
    json: bool,
    terminal: Terminal,
) -> Result<Summary> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let patience = read.config.timeout();
    let engine = Engine {
        steps: assessed.steps,
        read,
        write,
        events: sender,
        stop: signals(terminal, "finishing the calls in flight, nothing new is begun")?,
        patience,
        waiting: Waiting::default(),
    };
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

/// The first signal asks to stop; later ones only say again what is being done about it.
///
/// # Errors
/// Signals cannot be listened for.
pub(super) fn signals(terminal: Terminal, meanwhile: &'static str) -> Result<watch::Receiver<Option<Stop>>> {
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
            terminal.message(&format!("\nstopping: {meanwhile}\n"));
            sender.send_if_modified(|current| current.is_none().then(|| *current = Some(stop)).is_some());
        }
    });
    Ok(receiver)
}
