//! Colour. It never carries meaning alone: every sign and word is there without it.

use console::Style;

use crate::plan::Action;

/// Whether and how to colour.
#[derive(Debug, Clone, Copy)]
pub struct Styles {
    /// Whether to colour at all.
    pub on: bool,
}

impl Styles {
    fn style(self) -> Style {
        Style::new().force_styling(self.on)
    }

    /// Success.
    pub fn good(self, text: &str) -> String {
        self.style().green().apply_to(text).to_string()
    }

    /// Failure.
    pub fn bad(self, text: &str) -> String {
        self.style().red().apply_to(text).to_string()
    }

    /// Warnings and changes.
    pub fn warn(self, text: &str) -> String {
        self.style().yellow().apply_to(text).to_string()
    }

    /// Hints and paths.
    pub fn hint(self, text: &str) -> String {
        self.style().cyan().apply_to(text).to_string()
    }

    /// Less important.
    pub fn dim(self, text: &str) -> String {
        self.style().dim().apply_to(text).to_string()
    }

    /// More important.
    pub fn bold(self, text: &str) -> String {
        self.style().bold().apply_to(text).to_string()
    }

    /// The text in the colour of an action.
    pub fn action(self, action: Action, text: &str) -> String {
        match action {
            Action::Create => self.good(text),
            Action::Update => self.warn(text),
            Action::Delete | Action::Blocked => self.bad(text),
            Action::Prove | Action::Unknown => self.hint(text),
            Action::Keep | Action::Skip => self.dim(text),
        }
    }
}
