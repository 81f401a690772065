//! What a long start tells its caller: the first one downloads or compiles Kubernetes, which takes minutes.
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
    /// How many Go packages are compiled.
    pub done: usize,
    /// How many bytes are there, and how many there will be where that is known.
    pub bytes: Option<(u64, Option<u64>)>,
}

impl Progress {
    /// Something that has just begun.
    pub(super) fn doing(what: impl Into<String>) -> Progress {
        Progress { doing: what.into(), elapsed: Duration::ZERO, expectation: None, done: 0, bytes: None }
    }
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
        match self.bytes {
            None => {}
            Some((done, None)) => write!(formatter, ", {}", megabytes(done))?,
            Some((done, Some(total))) => write!(formatter, ", {} of {}", megabytes(done), megabytes(total))?,
        }
        Ok(())
    }
}

/// A size in megabytes of a million bytes each, as makers and browsers give it.
pub fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_takes_how_long() {
        let mut progress = Progress::doing("building kwok");
        assert_eq!(progress.to_string(), "building kwok");
        progress.expectation = Some("once, about a minute".into());
        progress.elapsed = Duration::from_secs(61);
        progress.done = 12;
        assert_eq!(progress.to_string(), "building kwok (once, about a minute) 01:01, 12 packages compiled");
        progress = Progress { bytes: Some((12_345_678, None)), ..Progress::doing("downloading kwok") };
        assert_eq!(progress.to_string(), "downloading kwok, 12.3 MB");
        progress.bytes = Some((900_000, Some(65_000_000)));
        assert_eq!(progress.to_string(), "downloading kwok, 0.9 MB of 65.0 MB");
    }
}
