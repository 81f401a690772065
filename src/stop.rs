//! Signals that ask to stop, and by when the program has to be over.
//!
//! The first Ctrl-C lets the calls in flight finish. SIGTERM and SIGHUP come from machines that will not wait long, and a
//! second signal of any kind from someone who has waited long enough (pipelines send INT, TERM after 7.5 s and KILL after
//! 2.5 s more): both set an end. Whoever can say what is half done claims the stop for that time; else the command is cut
//! off at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::exit_code;

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP.
    HungUp,
}

impl Stop {
    /// The exit code that says so: 128 and the number of the signal.
    pub fn exit_code(self) -> u8 {
        match self {
            Stop::Interrupted => exit_code::INTERRUPTED,
            Stop::Terminated => exit_code::TERMINATED,
            Stop::HungUp => exit_code::HUNG_UP,
        }
    }

    /// One word for messages.
    pub fn word(self) -> &'static str {
        match self {
            Stop::Interrupted => "interrupted",
            Stop::Terminated => "terminated",
            Stop::HungUp => "hung up",
        }
    }
}

/// After SIGTERM or SIGHUP everything is over within 10 s; what is left of them is for the machine's own slowness.
const SOON: Duration = Duration::from_millis(8500);
/// After a second signal within 2 s.
const AT_ONCE: Duration = Duration::from_millis(1500);

/// What was heard so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The first signal; the exit code is its.
    pub stop: Stop,
    /// The last one.
    pub last: Stop,
    /// How many there were.
    pub count: usize,
    /// By when the program has to be over; none after a single Ctrl-C.
    pub over: Option<Instant>,
}

impl Heard {
    /// What is known after one more signal.
    #[must_use]
    pub fn after(before: Option<Heard>, stop: Stop, now: Instant) -> Heard {
        match before {
            None => Heard { stop, last: stop, count: 1, over: (stop != Stop::Interrupted).then(|| now + SOON) },
            Some(heard) => {
                let over = heard.over.map_or(now + AT_ONCE, |over| over.min(now + AT_ONCE));
                Heard { last: stop, count: heard.count + 1, over: Some(over), ..heard }
            }
        }
    }
}

/// The signals of this process, for everyone who waits for something.
#[derive(Debug, Clone)]
pub struct Stops {
    heard: watch::Receiver<Option<Heard>>,
    claims: Arc<watch::Sender<Claims>>,
}

#[derive(Debug, Default)]
struct Claims {
    now: usize,
    ever: bool,
}

/// While it lives, its owner ends by itself when it is told to stop.
#[derive(Debug)]
pub struct Claim(Arc<watch::Sender<Claims>>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.send_modify(|claims| claims.now -= 1);
    }
}

static PROCESS: OnceLock<Stops> = OnceLock::new();

/// The signals of this process; none ever comes where nobody listens to them.
pub fn of_process() -> Stops {
    PROCESS.get().cloned().unwrap_or_else(|| Stops::by_hand().1)
}

/// Listens to the signals of this process from now on.
///
/// # Errors
/// The system refuses it.
pub fn listen() -> std::io::Result<Stops> {
    let (sender, stops) = Stops::by_hand();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // `nohup` has it ignored, and means it.
    let mut hang_up = if ignored(1) { None } else { Some(signal(SignalKind::hangup())?) };
    tokio::spawn(async move {
        loop {
            let stop = tokio::select! {
                _ = interrupt.recv() => Stop::Interrupted,
                _ = terminate.recv() => Stop::Terminated,
                () = next(hang_up.as_mut()) => Stop::HungUp,
            };
            sender.send_modify(|heard| *heard = Some(Heard::after(*heard, stop, Instant::now())));
        }
    });
    let _ = PROCESS.set(stops.clone());
    Ok(stops)
}

async fn next(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the signal of this number was ignored when this program was started, where the system tells.
fn ignored(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

impl Stops {
    /// Signals that are sent by hand.
    pub fn by_hand() -> (watch::Sender<Option<Heard>>, Stops) {
        let (sender, heard) = watch::channel(None);
        (sender, Stops { heard, claims: Arc::new(watch::Sender::new(Claims::default())) })
    }

    /// What was heard so far.
    pub fn heard(&self) -> Option<Heard> {
        *self.heard.borrow()
    }

    /// Ends with the first signal; never where none can come any more.
    pub async fn first(&self) {
        self.later_than(0).await;
    }

    /// Ends once more than `count` signals were heard.
    pub async fn later_than(&self, count: usize) -> Heard {
        let mut heard = self.heard.clone();
        let found =
            heard.wait_for(|heard| heard.is_some_and(|heard| heard.count > count)).await.ok().and_then(|heard| *heard);
        match found {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }

    /// Ends as soon as there is an end by which the program has to be over.
    pub async fn urgent(&self) {
        let mut heard = self.heard.clone();
        if heard.wait_for(|heard| heard.is_some_and(|heard| heard.over.is_some())).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends so long before the program has to be over, or at once where less is left.
    pub async fn nearly_over(&self, before: Duration) {
        self.urgent().await;
        let mut heard = self.heard.clone();
        loop {
            let Some(over) = heard.borrow_and_update().and_then(|heard| heard.over) else { return };
            tokio::select! {
                () = tokio::time::sleep_until(over.checked_sub(before).unwrap_or(over)) => return,
                // Another signal may have brought it nearer.
                Ok(()) = heard.changed() => {}
            }
        }
    }

    /// Says that the caller ends by itself, and says what is half done, when it is told to stop.
    pub fn claim(&self) -> Claim {
        self.claims.send_modify(|claims| *claims = Claims { now: claims.now + 1, ever: true });
        Claim(self.claims.clone())
    }

    /// Whether something that writes has begun in this process.
    pub fn ever_claimed(&self) -> bool {
        self.claims.borrow().ever
    }

    /// Ends when the command has to be cut off: a signal came and nobody claims it, or the time is over.
    pub async fn cut_off(&self) -> Stop {
        let heard = self.later_than(0).await;
        let mut claims = self.claims.subscribe();
        tokio::select! {
            _ = claims.wait_for(|claims| claims.now == 0) => {}
            () = self.nearly_over(Duration::ZERO) => {}
        }
        heard.stop
    }
}

#[cfg(test)]
mod tests;
