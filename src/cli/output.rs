//! The forms in which a command gives its result.

use clap::ValueEnum;

/// Forms of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
    /// `plan` only: the same as a shell script of aws, kubectl and helm
    Commands,
    /// `verify` only: what is not as it should be, one line each
    Short,
    /// `verify` only: JUnit's XML, as CI systems read it
    Junit,
}
