//! Signals, on the built program with a simulated AWS: how fast it ends, with which code, and what it says is left.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Aws, Run, finish, of_aws, signal};

/// A run of the program that is about to be told to stop.
struct Running {
    child: Child,
}

impl Running {
    fn start(aws: &Aws, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = aws.command(arguments, variables);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child }
    }

    /// Sends signals, each so many milliseconds after the one before; gives the run and how long it took after the last.
    async fn stop(self, signals: &[(u64, Signal)]) -> (Run, Duration) {
        let mut last = Instant::now();
        for (after, kind) in signals {
            tokio::time::sleep(Duration::from_millis(*after)).await;
            signal(&self.child, *kind);
            last = Instant::now();
        }
        let run = tokio::time::timeout(Duration::from_secs(30), finish(self.child)).await.expect("it hangs");
        (run, last.elapsed())
    }
}

/// Whether these tests run under `nohup`, so that the programs which they start ignore SIGHUP, as they should.
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1);
    if ignored {
        eprintln!("SIGHUP is skipped: it is ignored here, as under nohup");
    }
    ignored
}

/// What is sent hangs up.
fn hangs_up(signals: Sent) -> bool {
    signals.iter().any(|(_, signal)| *signal == Signal::HUP)
}

/// An AWS that takes its time for every call.
async fn slow(latency: u64) -> Aws {
    let aws = Aws::start(|_| {}).await;
    aws.simulator.set_latency(Duration::from_millis(latency));
    aws
}

/// Signals, each after so many milliseconds.
type Sent = &'static [(u64, Signal)];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_only_reads_ends_at_once_with_the_signals_code() {
    let aws = slow(60_000).await;
    let commands: [(&[&str], Sent, i32); 7] = [
        (&["plan", "-c", "demo"], &[(700, Signal::INT)], 130),
        (&["plan", "-c", "demo"], &[(700, Signal::HUP)], 129),
        (&["verify", "-c", "demo"], &[(700, Signal::TERM)], 143),
        (&["apply", "--yes", "-c", "demo"], &[(700, Signal::INT)], 130),
        (&["destroy", "--confirm", "demo", "-c", "demo"], &[(700, Signal::TERM)], 143),
        (&["migrate", "--to", "pod-identity", "--yes", "-c", "demo"], &[(700, Signal::HUP)], 129),
        (&["plan", "-c", "demo", "-o", "json"], &[(700, Signal::INT), (50, Signal::INT)], 130),
    ];
    let ignored = hang_up_is_ignored();
    let runs = commands.into_iter().filter(|(_, signals, _)| !ignored || !hangs_up(signals));
    let runs = runs.map(|(arguments, signals, code)| {
        let running = Running::start(&aws, arguments, &[]);
        async move {
            let (run, took) = running.stop(signals).await;
            let run = run.expect(code);
            assert!(took < Duration::from_secs(2), "{arguments:?}: {took:?}");
            assert!(run.stderr.contains("nothing was changed"), "{arguments:?}: {}", run.stderr);
        }
    });
    futures::future::join_all(runs).await;
    assert!(aws.writes().is_empty());
}

/// The simulated AWS behind a door that lets reads through and keeps what creates something; its address, and whether it holds
/// something.
async fn door(aws: &Aws) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let inside = aws.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let holds = Arc::new(AtomicBool::new(false));
    let told = holds.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (inside, told) = (inside.clone(), told.clone());
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                let (mut answers, mut requests) = TcpStream::connect(inside).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to).await });
                let mut bytes = vec![0; 65536];
                while let Ok(count @ 1..) = from.read(&mut bytes).await {
                    if String::from_utf8_lossy(&bytes[..count]).contains("Action=Create") {
                        told.store(true, Ordering::SeqCst);
                        std::future::pending::<()>().await;
                    }
                    requests.write_all(&bytes[..count]).await.unwrap();
                }
            });
        }
    });
    (url, holds)
}

/// An apply that waits for the answer to its first write.
async fn writing(aws: &Aws) -> Running {
    let (url, holds) = door(aws).await;
    let running = Running::start(aws, &of_aws(&["apply", "--yes", "-c", "demo"]), &[("AWS_ENDPOINT_URL_IAM", &url)]);
    let began = Instant::now();
    while !holds.load(Ordering::SeqCst) && began.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_writes_ends_in_time_and_lists_what_it_left() {
    let rows: [(Sent, i32, u64, &str); 4] = [
        (&[(0, Signal::TERM)], 143, 10_000, "terminated: waiting for running calls"),
        (&[(0, Signal::HUP)], 129, 10_000, "hung up: waiting for running calls"),
        // As pipelines do it; the kill would come 2.5 s after SIGTERM.
        (&[(0, Signal::INT), (1500, Signal::TERM)], 130, 2_000, "press Ctrl-C again to end within 2 s"),
        (&[(0, Signal::INT), (300, Signal::INT)], 130, 2_000, "(at most 604 s)"),
    ];
    let ignored = hang_up_is_ignored();
    let runs = rows.into_iter().filter(|(signals, ..)| !ignored || !hangs_up(signals));
    let runs = runs.map(|(signals, code, millis, told)| async move {
        let aws = Aws::start(|_| {}).await;
        let (run, took) = writing(&aws).await.stop(signals).await;
        let run = run.expect(code);
        assert!(took < Duration::from_millis(millis), "{signals:?}: {took:?}");
        for part in [told, "may be half done: iam:", "remains: iam:"] {
            assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
        }
    });
    futures::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_no_reason_to_ignore_signals() {
    // Standard input that nobody closes: the configuration is read from it, blocking the command's thread.
    let aws = Aws::start(|_| {}).await;
    let mut command = aws.command(&["plan", "-f", "-"], &[]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running { child };
    let input = running.child.stdin.take();
    let (run, took) = running.stop(&[(500, Signal::INT)]).await;
    drop(input);
    run.expect(130);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_panic_and_a_full_disk_is_told() {
    let aws = Aws::start(|_| {}).await;
    let apply = of_aws(&["apply", "--yes", "-v", "-c", "demo"]);
    // `-v 2>&1 | head -1`, in the middle of a run: it goes on to its end.
    let mut command = aws.command(&apply, &[]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("created") && lines.read_line(&mut line).unwrap() > 0 {}
        drop(lines);
        child.wait().unwrap()
    });
    assert_eq!(status.await.unwrap().code(), Some(1));
    let all = of_aws(&["plan", "--detailed-exitcode", "-c", "demo"]);
    aws.run(&all, &[]).await.expect(0);

    // What cannot be shown is not done.
    let fresh = Aws::start(|_| {}).await;
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [(&apply[..], 1), (&all[..], 1), (&["explain"], 1), (&["--help"], 1), (&["nonsense"], 64)]
    {
        let mut command = fresh.command(arguments, &[]);
        let child = command.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let run = finish(child).await.expect(code);
        assert!(!run.stderr.contains("panicked"), "{arguments:?}: {}", run.stderr);
        assert!(code == 64 || run.stderr.contains("write the output"), "{arguments:?}: {}", run.stderr);
    }
    assert!(fresh.writes().is_empty(), "{:?}", fresh.writes());
    // The progress goes to a full disk: the run goes on to its end.
    let mut command = fresh.command(&apply, &[]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(full()).spawn().unwrap();
    finish(child).await.expect(1);
    fresh.run(&all, &[]).await.expect(0);
}
