//! Runs other programs to their end: helm, and the sign-in plugins of kubeconfigs. Their output is read bounded, they get
//! SIGTERM and two seconds later SIGKILL when their time is over or the run is told to stop, with all their own children, and
//! none outlives this program unless it is killed itself. Who starts what stands in `helm_process.rs` and
//! `kube_client/exec.rs`.
//!
//! What is not done: a child does not die with a SIGKILL of ours, since asking the kernel for that needs unsafe code. It
//! ends by the time-outs that it was given itself; until then it holds the lock on its folder (`scratch.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::limits;
use crate::stop::Stops;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// So long before the program has to be over, what is left of its children is killed.
const LAST: Duration = Duration::from_secs(1);
/// For how long the output of a child that has ended is read: a grandchild may hold the pipe open.
const REST: Duration = Duration::from_secs(1);
/// How often it is looked whether a library's children have ended.
const LOOK: Duration = Duration::from_millis(20);

/// What a child may do.
pub(crate) struct Rules<'a> {
    /// How long it may take.
    pub(crate) limit: Duration,
    /// Whether it may talk to the person at the terminal; it then stays in our process group, so that it can.
    pub(crate) interactive: bool,
    /// Ends it when the program has to be over soon; without it the child ends when whoever waits for it is dropped.
    pub(crate) stops: Option<&'a Stops>,
}

/// Why a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// By itself.
    Itself,
    /// It took too long.
    TooLong,
    /// It wrote too much to its standard output.
    TooMuch,
    /// The run was told to stop.
    Stopped,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its own status.
    pub(crate) status: ExitStatus,
    /// Why it ended.
    pub(crate) why: Why,
    /// What it wrote, whole unless it wrote too much.
    pub(crate) stdout: Vec<u8>,
    /// The end of what it wrote to standard error.
    pub(crate) stderr: String,
}

/// Runs `command` to its end. The caller says where its standard input comes from.
///
/// # Errors
/// It cannot be started or waited for.
pub(crate) async fn run(mut command: Command, rules: &Rules<'_>) -> io::Result<Ended> {
    command.stdout(Stdio::piped()).stderr(if rules.interactive { Stdio::inherit() } else { Stdio::piped() });
    if !rules.interactive {
        // Ctrl-C at the terminal is ours to handle: helm interrupted halfway leaves a release that is pending for ever
        // (helm/helm#10599).
        command.process_group(0);
    }
    let mut child = Running::start(command, !rules.interactive)?;
    let (out, errors) = (child.process()?.stdout.take(), child.process()?.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (mut why, mut ending, mut killed) = (Why::Itself, None, false);
    let end = Instant::now() + rules.limit;
    let status = {
        let mut reading =
            std::pin::pin!(async { tokio::try_join!(whole(out, &mut stdout), last(errors, &mut stderr)).is_ok() });
        let mut read = false;
        let status = loop {
            let now = tokio::select! {
                biased;
                status = child.wait() => break status?,
                fits = &mut reading, if !read => {
                    read = true;
                    if fits { continue }
                    Why::TooMuch
                }
                () = tokio::time::sleep_until(end), if ending.is_none() => Why::TooLong,
                () = stopped(rules.stops, None), if ending.is_none() => Why::Stopped,
                () = killing(ending, rules.stops), if ending.is_some() && !killed => {
                    child.signal(Signal::KILL);
                    killed = true;
                    continue;
                }
            };
            if ending.is_none() {
                why = now;
                child.signal(Signal::TERM);
                ending = Some(Instant::now() + GRACE);
            }
        };
        if !read {
            let _ = tokio::time::timeout(REST, reading).await;
        }
        status
    };
    Ok(Ended { status, why, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

async fn stopped(stops: Option<&Stops>, before: Option<Duration>) {
    match (stops, before) {
        (None, _) => std::future::pending().await,
        (Some(stops), None) => stops.urgent().await,
        (Some(stops), Some(before)) => stops.nearly_over(before).await,
    }
}

/// Ends when a child that was asked to end has to be killed.
async fn killing(at: Option<Instant>, stops: Option<&Stops>) {
    let Some(at) = at else { return std::future::pending().await };
    tokio::select! {
        () = tokio::time::sleep_until(at) => {}
        () = stopped(stops, Some(LAST)) => {}
    }
}

/// Everything, or an error once it is too much.
async fn whole(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), ()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let most = limits::CHILD_OUTPUT;
    let _ = pipe.take(most as u64 + 1).read_to_end(kept).await;
    if kept.len() > most { Err(()) } else { Ok(()) }
}

/// The end, however much there was before it.
async fn last(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), ()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut more = vec![0; 16 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut more).await {
        kept.extend_from_slice(&more[..count]);
        if kept.len() > 2 * limits::CHILD_ERRORS {
            kept.drain(..kept.len() - limits::CHILD_ERRORS);
        }
    }
    Ok(())
}

/// The children that run, by their ids, and whether they lead a process group.
static RUNNING: LazyLock<watch::Sender<BTreeSet<(i32, bool)>>> = LazyLock::new(|| watch::Sender::new(BTreeSet::new()));

/// How often work is under way in which a library may start programs.
static HOSTS: AtomicUsize = AtomicUsize::new(0);

/// Work in which a library starts programs that it does not end, such as the SDK's `credential_process`. They are known only
/// by being children of this process that nobody here started, and end with the work, or with the program.
pub(crate) struct Host(());

impl Host {
    /// Begins it.
    pub(crate) fn new() -> Host {
        HOSTS.fetch_add(1, Ordering::SeqCst);
        Host(())
    }

    /// Ends what the library left running.
    pub(crate) fn end(self) {
        let guests = guests();
        send_each(&guests, Signal::TERM);
        tokio::spawn(async move {
            tokio::time::sleep_until(Instant::now() + GRACE).await;
            // Only those that are still ours to end: an id may have been given again.
            let left = self::guests();
            let still: Vec<_> = guests.into_iter().filter(|process| left.contains(process)).collect();
            send_each(&still, Signal::KILL);
            drop(self);
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        HOSTS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The children of this process that are not ours, with all their own; none where the kernel does not list children.
fn guests() -> Vec<i32> {
    let running = RUNNING.borrow();
    let mut found: Vec<_> =
        children("self").filter(|process| !running.iter().any(|(ours, _)| ours == process)).collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children(&process.to_string()));
        next += 1;
    }
    found
}

/// The children of a process, from each of its threads (proc_pid_children(5)).
fn children(process: &str) -> impl Iterator<Item = i32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
}

/// Ends all children that still run, when the program is about to end; they get `grace` between SIGTERM and SIGKILL.
pub async fn end_all(grace: Duration) {
    let hosted = HOSTS.load(Ordering::SeqCst) > 0;
    let guests = if hosted { guests() } else { Vec::new() };
    send_each(&guests, Signal::TERM);
    let mut running = RUNNING.subscribe();
    for (process, group) in running.borrow().iter() {
        send(*process, *group, Signal::TERM);
    }
    let ended = async {
        let _ = running.wait_for(BTreeSet::is_empty).await;
        while guests.iter().any(|process| alive(*process)) {
            tokio::time::sleep_until(Instant::now() + LOOK).await;
        }
    };
    if tokio::time::timeout(grace.min(GRACE), ended).await.is_err() {
        for (process, group) in RUNNING.borrow().iter() {
            send(*process, *group, Signal::KILL);
        }
        let still: Vec<_> = guests.into_iter().filter(|process| alive(*process)).collect();
        send_each(&still, Signal::KILL);
    }
}

/// Whether a process runs that nobody has ended; one that has ended and was not waited for does not.
fn alive(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
}

fn send_each(processes: &[i32], signal: Signal) {
    for process in processes {
        send(*process, false, signal);
    }
}

fn send(process: i32, group: bool, signal: Signal) {
    // One that is gone already is no failure. It is not another one yet: nobody has waited for it.
    if let Some(process) = Pid::from_raw(process).filter(|process| process.as_raw_nonzero().get() > 1) {
        let _ = if group { kill_process_group(process, signal) } else { kill_process(process, signal) };
    }
}

/// A child that is ended when it is dropped.
struct Running {
    child: Option<Child>,
    process: i32,
    group: bool,
    /// Whether it was dropped and has had its SIGTERM.
    dropped: bool,
}

impl Running {
    fn start(mut command: Command, group: bool) -> io::Result<Running> {
        let mut started = Err(io::Error::other("not started"));
        // Under the lock, so that it is never seen as a child that is not ours.
        RUNNING.send_modify(|running| {
            started = command.spawn().map(|child| {
                let process = child.id().and_then(|process| i32::try_from(process).ok()).unwrap_or_default();
                running.insert((process, group));
                Running { child: Some(child), process, group, dropped: false }
            });
        });
        started
    }

    fn process(&mut self) -> io::Result<&mut Child> {
        self.child.as_mut().ok_or_else(|| io::Error::other("it has ended"))
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.process()?.wait().await;
        self.child = None;
        self.forget();
        status
    }

    fn forget(&self) {
        RUNNING.send_modify(|running| {
            running.remove(&(self.process, self.group));
        });
    }

    fn signal(&self, signal: Signal) {
        send(self.process, self.group, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let mut left = Running { child: Some(child), dropped: true, ..*self };
        // A runtime that is shutting down drops at once what is spawned on it: the second time nobody is left to wait.
        if let (false, Ok(runtime)) = (self.dropped, tokio::runtime::Handle::try_current()) {
            left.signal(Signal::TERM);
            runtime.spawn(async move {
                if tokio::time::timeout(GRACE, left.wait()).await.is_err() {
                    left.signal(Signal::KILL);
                    let _ = left.wait().await;
                }
            });
        } else {
            left.signal(Signal::KILL);
            left.child = None;
            left.forget();
        }
    }
}

#[cfg(test)]
mod tests;
