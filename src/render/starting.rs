//! What a long start says: a spinner on a terminal, a line for each new thing and every ten seconds otherwise.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::render::terminal::Terminal;

/// How often a log gets a line although nothing new is said.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Draws the start of the sandbox on stderr.
pub struct Starting {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    last: Mutex<(String, Instant)>,
}

impl Starting {
    /// A start that has said nothing yet.
    pub fn new(terminal: Terminal) -> Starting {
        let bar = terminal.bars.then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Starting { terminal, bar, last: Mutex::new((String::new(), Instant::now())) }
    }

    /// Says what is being done.
    pub fn progress(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
            return;
        }
        let Ok(mut last) = self.last.lock() else { return };
        // Only the beginning tells one thing from another; times and counts move all the while.
        let subject: String = text.split([' ', ',']).take(4).collect::<Vec<_>>().join(" ");
        if last.0 != subject || last.1.elapsed() >= SIGN_OF_LIFE {
            *last = (subject, Instant::now());
            self.terminal.note(&format!("{text}\n"));
        }
    }

    /// Takes the spinner away, when a start is given up.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Says that the start is over.
    pub fn ready(&self, text: &str) {
        self.clear();
        self.terminal.note(&format!("{text}\n"));
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.clear();
    }
}
