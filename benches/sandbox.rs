//! The figures of the README, measured in one run against the sandbox at 80 ms simulated latency for every AWS call.
//!
//! `cargo bench --bench sandbox`. Nothing here passes or fails; it prints a table.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark is a program of its own"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eks_bootstrap::helm_process::Helm;
use eks_bootstrap::sandbox::aws::Seed;
use eks_bootstrap::sandbox::control_plane::Sources;
use eks_bootstrap::sandbox::{Options, Sandbox, new_plane};

const PROGRAM: &str = env!("CARGO_BIN_EXE_eks-bootstrap");
const LATENCY: Duration = Duration::from_millis(80);
/// How often the repeatable commands are run; the median counts.
const RUNS: usize = 5;

struct Measured {
    wall: Duration,
    peak_kib: u64,
}

/// Runs the program inside the sandbox and reads its peak memory while it lives.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> Measured {
    let began = Instant::now();
    let mut child = std::process::Command::new(PROGRAM)
        .args(arguments)
        .envs(sandbox.environment())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    let code = loop {
        peak_kib = peak(&status).unwrap_or(0).max(peak_kib);
        if let Some(code) = child.try_wait().unwrap() {
            break code;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let wall = began.elapsed();
    if !code.success() {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
        eprintln!("{arguments:?} failed:\n{text}");
    }
    Measured { wall, peak_kib }
}

fn peak(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").trim().parse().ok()
}

fn median(mut walls: Vec<Duration>) -> Duration {
    walls.sort();
    walls[walls.len() / 2]
}

fn main() {
    // `cargo test --benches` runs this too; it is no test.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let table = runtime.block_on(measure());
    println!("\n{:<58}{:>12}{:>12}", "what", "measured", "at most");
    for (what, measured, most) in table {
        println!("{what:<58}{measured:>12}{most:>12}");
    }
}

async fn measure() -> Vec<(&'static str, String, &'static str)> {
    let sandbox = Sandbox::start(Options {
        // What is measured is the program, not how long AWS takes to show changes.
        seed: Seed { read_lag_seconds: 0, consistency_seconds: 0, tagging_lag_seconds: 0, ..Seed::builtin() },
        latency: LATENCY,
        program: PathBuf::from(PROGRAM),
        helm: Helm::locate(None),
        sources: Sources::default(),
        plane: new_plane,
        stand_in_charts: true,
        existing: None,
        progress: Arc::new(|progress| eprintln!("{progress}")),
    })
    .await
    .unwrap();
    let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
    let mut table = Vec::new();

    let help: Vec<_> = (0..RUNS).map(|_| run(&sandbox, &["--help"]).wall).collect();
    let without_helm = run(
        &sandbox,
        &[
            "apply",
            "--yes",
            "--skip",
            "helm.ebs",
            "--skip",
            "helm.lbc",
            "--skip",
            "proof.identity.ebs",
            "--skip",
            "proof.webhook.lbc",
        ],
    );
    table.push(("first apply, AWS and Kubernetes part without helm", seconds(without_helm.wall), "3 s"));
    let rest = run(&sandbox, &["apply", "--yes"]);
    table.push(("the rest of it, with helm's waiting", seconds(rest.wall), ""));
    let calls =
        |sandbox: &Sandbox, writes: bool| sandbox.simulator.calls().iter().filter(|call| !writes || call.write).count();
    sandbox.simulator.clear_calls();
    let plans: Vec<_> = (0..RUNS).map(|_| run(&sandbox, &["plan"]).wall).collect();
    table.push(("plan on a finished cluster: wall", seconds(median(plans)), "1.0 s"));
    table.push(("plan on a finished cluster: AWS calls", (calls(&sandbox, false) / RUNS).to_string(), "20"));
    sandbox.simulator.clear_calls();
    let applies: Vec<_> = (0..RUNS).map(|_| run(&sandbox, &["apply", "--yes"]).wall).collect();
    table.push(("apply on a finished cluster: wall", seconds(median(applies)), "1.0 s"));
    table.push(("apply on a finished cluster: AWS writes", calls(&sandbox, true).to_string(), "0"));
    table.push(("--help", format!("{:.1} ms", median(help).as_secs_f64() * 1000.0), "15 ms"));
    let peak = without_helm.peak_kib.max(rest.peak_kib);
    table.push(("peak memory of our process in a first apply", format!("{} MB", peak * 1024 / 1_000_000), "80 MB"));
    sandbox.stop().await;
    table
}
