//! Writing to stdout and stderr, and remembering that it failed: a full disk, a reader that has gone (`| head`). A run that
//! has begun goes on to its end, since stopping halfway helps nobody; the exit code says it.

use std::io::{self, Write};
use std::sync::Mutex;

use crate::escape::guard;

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

/// Writes to stdout. What a terminal would obey is escaped, but for colours where there are any.
pub fn out(text: &str, colours: bool) {
    let mut out = io::stdout().lock();
    noted(out.write_all(guard(text, colours).as_bytes()).and_then(|()| out.flush()));
}

/// Writes to stderr, the same way.
pub fn err(text: &str, colours: bool) {
    noted(io::stderr().lock().write_all(guard(text, colours).as_bytes()));
}

/// A stderr for loggers, which panic or print to it again where it fails. A record is one line, whatever is in it.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Whether the logger colours.
    pub colours: bool,
}

impl Log {
    /// What is written of a record.
    fn record(self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let one = text.trim_end_matches('\n').replace('\n', "\\n");
        format!("{}\n", guard(&one, self.colours))
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(io::stderr().lock().write_all(self.record(bytes).as_bytes()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn a_record_is_one_line() {
        let record = "\u{1b}[2mDEBUG\u{1b}[0m error=a\nDEBUG forged \u{1b}]0;x\u{7}\n";
        assert_eq!(Log { colours: false }.record(b"a\xff\tb\r\n"), "a\u{fffd}\tb\\r\n");
        let shown = Log { colours: true }.record(record.as_bytes());
        assert_eq!(shown, "\u{1b}[2mDEBUG\u{1b}[0m error=a\\nDEBUG forged \\u001b]0;x\\u0007\n");
    }
}
