#![expect(clippy::disallowed_methods, reason = "tests start programs and wait")]

use std::os::unix::process::ExitStatusExt as _;
use std::time::Instant as Clock;

use super::*;
use crate::stop::{Heard, Stop};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

fn rules(millis: u64, stops: Option<&Stops>) -> Rules<'_> {
    Rules { limit: Duration::from_millis(millis), interactive: false, stops }
}

/// Ends a test that hangs.
async fn soon(command: Command, rules: Rules<'_>) -> Ended {
    tokio::time::timeout(Duration::from_secs(20), run(command, &rules)).await.expect("it hangs").unwrap()
}

/// Fails where a process stays.
async fn gone(process: i32) {
    for _ in 0..200 {
        if !alive(process) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{process} is alive");
}

#[tokio::test]
async fn a_child_that_ends_by_itself_gives_what_it_wrote() {
    let ended = soon(shell("echo out; echo err >&2; exit 3"), rules(9_000, None)).await;
    assert_eq!((ended.status.code(), ended.why), (Some(3), Why::Itself));
    assert_eq!((ended.stdout.as_slice(), ended.stderr.as_str()), (&b"out\n"[..], "err\n"));
}

#[tokio::test]
async fn one_that_takes_too_long_ends_with_all_its_children() {
    let began = Clock::now();
    // The grandchild holds the pipe, too.
    let ended = soon(shell("sleep 600 & echo $! ; wait"), rules(300, None)).await;
    assert_eq!((ended.why, ended.status.signal()), (Why::TooLong, Some(15)));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let grandchild: i32 = String::from_utf8(ended.stdout).unwrap().trim().parse().unwrap();
    gone(grandchild).await;
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_two_seconds_later() {
    let began = Clock::now();
    let ended = soon(shell("trap '' TERM; while :; do sleep 0.05; done"), rules(700, None)).await;
    assert_eq!((ended.why, ended.status.signal()), (Why::TooLong, Some(9)));
    assert!((Duration::from_millis(2600)..Duration::from_secs(6)).contains(&began.elapsed()));
}

#[tokio::test]
async fn gigabytes_are_neither_kept_nor_waited_for() {
    let ended = soon(shell("exec cat /dev/zero"), rules(15_000, None)).await;
    assert_eq!(ended.why, Why::TooMuch);
    assert!(ended.stdout.len() <= limits::CHILD_OUTPUT + 1);
    let ended = soon(shell("head -c 20000000 /dev/zero >&2; echo last >&2"), rules(15_000, None)).await;
    assert_eq!(ended.why, Why::Itself);
    assert!(ended.stderr.len() <= 2 * limits::CHILD_ERRORS + (16 << 10) && ended.stderr.ends_with("last\n"));
}

#[tokio::test]
async fn a_stop_with_an_end_ends_it_and_lets_it_say_what_it_did() {
    let (sender, stops) = Stops::by_hand();
    let script = "trap 'echo recorded >&2; exit 1' TERM; while :; do sleep 0.05; done";
    let (ended, ()) = tokio::join!(soon(shell(script), rules(15_000, Some(&stops))), async {
        // A single Ctrl-C lets it finish.
        sender.send_replace(Some(Heard::after(None, Stop::Interrupted, Instant::now())));
        tokio::time::sleep(Duration::from_millis(300)).await;
        sender.send_modify(|heard| *heard = Some(Heard::after(*heard, Stop::Terminated, Instant::now())));
    });
    assert_eq!((ended.why, ended.status.code()), (Why::Stopped, Some(1)));
    assert!(ended.stderr.ends_with("recorded\n"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_signal_does_not_wait_two_seconds() {
    let (sender, stops) = Stops::by_hand();
    let mut began = Clock::now();
    let (ended, ()) =
        tokio::join!(soon(shell("trap '' TERM; while :; do sleep 0.05; done"), rules(15_000, Some(&stops))), async {
            // The shell has set its trap by then.
            tokio::time::sleep(Duration::from_millis(700)).await;
            began = Clock::now();
            let first = Heard::after(None, Stop::Interrupted, Instant::now());
            sender.send_replace(Some(Heard::after(Some(first), Stop::Interrupted, Instant::now())));
        });
    assert_eq!((ended.why, ended.status.signal()), (Why::Stopped, Some(9)));
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nobody_who_waits_leaves_no_child() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let command = shell(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let rules = rules(60_000, None);
    let waited = tokio::time::timeout(Duration::from_millis(500), run(command, &rules)).await;
    assert!(waited.is_err());
    let process: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    for _ in 0..100 {
        if !alive(process) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it still runs");
}

#[test]
fn a_runtime_that_ends_takes_a_dropped_child_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let command = shell(&format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", file.display()));
    runtime.block_on(async {
        let rules = rules(60_000, None);
        assert!(tokio::time::timeout(Duration::from_millis(500), run(command, &rules)).await.is_err());
    });
    let process: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert!(alive(process), "it ignores SIGTERM");
    drop(runtime);
    for _ in 0..100 {
        if !alive(process) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it still runs");
}
