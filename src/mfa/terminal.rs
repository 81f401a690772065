//! Asking for a code on the terminal. What is typed is not shown, as the AWS CLI does it, and shows again however the question ends.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use async_trait::async_trait;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::Person;
use crate::render::output;

/// As much is read of a line.
const LINE: u64 = 256;

/// Whoever sits at the terminal.
pub(crate) struct AtTerminal;

#[async_trait]
impl Person for AtTerminal {
    fn is_there(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn tell(&self, text: &str) {
        output::err(text, false);
    }

    async fn ask(&self, question: &str) -> Option<String> {
        // Before the question: what is typed ahead of it is dropped.
        let _hidden = Hidden::new();
        output::err(question, false);
        // On a thread of its own, so that signals are heard meanwhile.
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            let read = io::stdin().lock().take(LINE).read_line(&mut line).unwrap_or(0);
            (read > 0).then_some(line)
        });
        let line = read.await.ok().flatten();
        if line.is_none() {
            output::err("\n", false);
        }
        line
    }
}

/// While it lives, the terminal does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    fn new() -> Option<Hidden> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).ok()?;
        Some(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
