//! How long each test is at work, for `.ci/run`, which prints the slowest: libtest does not tell on stable Rust.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

static BEGAN: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// Writes down that the test of this thread is at work: its name, and the seconds since it was first.
pub(crate) fn note() {
    let thread = std::thread::current();
    // libtest names a thread after its test; those of runtimes have no `::` in theirs.
    let Some(name) = thread.name().filter(|name| name.contains("::")) else { return };
    let now = Instant::now();
    let began = *BEGAN.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_insert(now);
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/test-times");
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
        // In one write: the tests of another thread write too.
        let line = format!("{:.1} {name}\n", now.duration_since(began).as_secs_f64());
        let _ = file.write_all(line.as_bytes());
    }
}
