//! What a long start tells its caller: the first one compiles Kubernetes, which takes minutes.
//!
//! Made by the builder and by the start sequence, drawn by `render/`; nothing here prints.

use std::{fmt, time::Duration};

/// A sign of life during the build or the start of the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, such as "building etcd, kube-apiserver, kube-controller-manager and kube-scheduler".
    pub doing: String,
    /// Since when.
    pub elapsed: Duration,
    /// How long it takes, in words, where that is worth saying.
    pub expectation: Option<String>,
    /// How many parts are done, such as compiled Go packages.
    pub done: usize,
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.doing)?;
        if let Some(expectation) = &self.expectation {
            write!(formatter, " ({expectation})")?;
        }
        let seconds = self.elapsed.as_secs();
        if seconds > 0 {
            write!(formatter, " {:02}:{:02}", seconds / 60, seconds % 60)?;
        }
        if self.done > 0 {
            write!(formatter, ", {} packages compiled", self.done)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_takes_how_long() {
        let mut progress =
            Progress { doing: "building kwok".into(), elapsed: Duration::ZERO, expectation: None, done: 0 };
        assert_eq!(progress.to_string(), "building kwok");
        progress.expectation = Some("once, about a minute".into());
        progress.elapsed = Duration::from_secs(61);
        progress.done = 12;
        assert_eq!(progress.to_string(), "building kwok (once, about a minute) 01:01, 12 packages compiled");
    }
}
