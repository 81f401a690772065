//! Writing to stdout and stderr, and remembering that it failed: a full disk, a reader that has gone (`| head`). A run that
//! has begun goes on to its end, since stopping halfway helps nobody; the exit code says it.

use std::io::{self, Write};
use std::sync::Mutex;

/// The first failure of this process.
static FAILED: Mutex<Option<io::ErrorKind>> = Mutex::new(None);

fn failed(change: impl FnOnce(&mut Option<io::ErrorKind>)) {
    change(&mut FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}

/// Remembers whether something could be written.
pub fn noted(result: io::Result<()>) {
    if let Err(error) = result {
        failed(|first| *first = first.or(Some(error.kind())));
    }
}

/// Why output is incomplete, if it is.
pub fn failure() -> Option<io::Error> {
    let mut kind = None;
    failed(|first| kind = *first);
    kind.map(io::Error::from)
}

/// Writes to stdout.
pub fn out(text: &str) {
    let mut out = io::stdout().lock();
    noted(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes to stderr.
pub fn err(text: &str) {
    noted(io::stderr().lock().write_all(text.as_bytes()));
}

/// A stderr for loggers, which panic or print to it again where it fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(io::stderr().lock().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
