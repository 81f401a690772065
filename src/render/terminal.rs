//! What kind of terminal there is, printing to it, and asking the person before it.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::cli::Color;
use crate::config;
use crate::error::{Error, Result};
use crate::render::output;
use crate::render::style::Styles;

/// The two outputs of the program.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Colour on stdout.
    pub out: Styles,
    /// Colour on stderr.
    pub err: Styles,
    /// Whether a person can answer and bars can move.
    pub interactive: bool,
    /// Whether stderr can draw bars.
    pub bars: bool,
    /// Say less.
    pub quiet: bool,
    /// Say more.
    pub verbose: bool,
}

impl Terminal {
    /// Looks at the terminal and the environment.
    pub fn new(color: Color, quiet: bool, verbose: bool) -> Terminal {
        let forbidden = config::environment_forbids_colour();
        let wanted = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !forbidden,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Terminal {
            out: Styles { on: wanted(out) },
            err: Styles { on: wanted(err) },
            interactive: io::stdin().is_terminal() && err,
            bars: err && !forbidden && !quiet,
            quiet,
            verbose,
        }
    }

    /// Writes the result to stdout; that it failed is in the exit code, and in [`Terminal::written`].
    pub fn result(&self, text: &str) {
        output::out(text, self.out.on);
    }

    /// Writes a message to stderr.
    pub fn message(&self, text: &str) {
        output::err(text, self.err.on);
    }

    /// Makes sure that all so far could be written: nothing is changed whose plan nobody has seen.
    ///
    /// # Errors
    /// Something could not.
    pub fn written(&self) -> Result<()> {
        match output::failure() {
            None => Ok(()),
            Some(source) => Err(Error::io("write the output; nothing was changed", source)),
        }
    }

    /// Writes a message to stderr unless asked to be quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.message(text);
        }
    }

    /// Asks for a line of text; none at the end of input. The caller makes sure that someone can answer.
    pub async fn ask(&self, question: &str) -> Option<String> {
        self.message(question);
        // On a thread of its own, so that signals are heard meanwhile.
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            let read = io::stdin().lock().read_line(&mut answer).unwrap_or(0);
            (read > 0).then(|| answer.trim().to_owned())
        });
        let answer = answer.await.ok().flatten();
        if answer.is_none() {
            self.message("\n");
        }
        answer
    }

    /// Asks a question that only `y` or `yes` affirms. The caller makes sure that someone can answer.
    pub async fn confirm(&self, question: &str) -> bool {
        // End of input is a no.
        let answer = self.ask(&format!("{question} [y/N] ")).await.unwrap_or_default();
        matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
    }
}
