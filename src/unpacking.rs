//! How much is unpacked of what others packed: a chart with the charts in it, a bundle, a release's records.
//!
//! One [`Allowance`] holds for all of it together, whatever lies in what. What is skipped counts as well, since it has to be unpacked
//! to be skipped: a megabyte of gzip may hold a gigabyte of zeros.

use std::cell::Cell;
use std::io::{self, Read};

use crate::files::{Unreadable, shown};

/// The most that is unpacked in sum; helm itself takes charts of 100 MiB
/// (<https://pkg.go.dev/helm.sh/helm/v4/pkg/chart/loader/archive>).
const MOST: u64 = 256 << 20;
/// The most that a single file may hold, far above the 5 MiB that helm takes in a chart.
pub(crate) const LARGEST_FILE: u64 = 64 << 20;
/// The most files, those that are skipped among them.
const MOST_FILES: usize = 20_000;

/// What may still be unpacked.
#[derive(Debug)]
pub(crate) struct Allowance {
    most: u64,
    bytes: Cell<u64>,
    files: Cell<usize>,
    exceeded: Cell<Option<Exceeded>>,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// Bytes: so many are allowed.
    #[error("it unpacks to more than {}", shown(*.0))]
    Bytes(u64),
    /// Files.
    #[error("it holds more than {MOST_FILES} files")]
    Files,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance::of(MOST)
    }
}

impl Allowance {
    /// So many bytes.
    pub(crate) fn of(most: u64) -> Self {
        Allowance { most, bytes: Cell::new(most), files: Cell::new(MOST_FILES), exceeded: Cell::new(None) }
    }

    /// Counts a file.
    pub(crate) fn file(&self) -> io::Result<()> {
        match self.files.get().checked_sub(1) {
            Some(left) => {
                self.files.set(left);
                Ok(())
            }
            None => Err(self.exceeded_by(Exceeded::Files)),
        }
    }

    /// Counts bytes.
    pub(crate) fn bytes(&self, count: u64) -> io::Result<()> {
        match self.bytes.get().checked_sub(count) {
            Some(left) => {
                self.bytes.set(left);
                Ok(())
            }
            None => Err(self.exceeded_by(Exceeded::Bytes(self.most))),
        }
    }

    fn exceeded_by(&self, what: Exceeded) -> io::Error {
        self.exceeded.set(Some(what));
        io::Error::other(what)
    }

    /// What there was too much of, if anything.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded.get()
    }

    /// Why reading failed: the limit where it was that, however it was wrapped on its way, else what `error` says.
    pub(crate) fn told(&self, error: &io::Error) -> String {
        self.exceeded().map_or_else(|| error.to_string(), |exceeded| exceeded.to_string())
    }

    /// What `inner` gives, counted.
    pub(crate) fn counting<R: Read>(&self, inner: R) -> Counting<'_, R> {
        Counting { allowance: self, inner }
    }
}

/// The whole of one file of an archive, whose bytes are counted where they come from.
pub(crate) fn whole(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Unreadable::TooLarge(LARGEST_FILE).into());
    }
    Ok(bytes)
}

/// A reader whose bytes are counted.
pub(crate) struct Counting<'a, R> {
    allowance: &'a Allowance,
    inner: R,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.allowance.bytes(count as u64)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_counts_together_and_the_limit_is_named() {
        let allowance = Allowance::default();
        let three_quarters = MOST / 4 * 3;
        let skip = |count: u64| io::copy(&mut allowance.counting(io::repeat(0).take(count)), &mut io::sink());
        assert_eq!(skip(three_quarters).unwrap(), three_quarters);
        let error = skip(three_quarters).unwrap_err();
        assert_eq!(allowance.told(&error), "it unpacks to more than 256 MiB");
        // Wrapped, as tar does it.
        assert_eq!(allowance.told(&io::Error::other("broken")), "it unpacks to more than 256 MiB");

        let allowance = Allowance::default();
        let error = whole(io::repeat(0)).unwrap_err();
        assert_eq!(allowance.told(&error), "it is larger than 64 MiB");
        let error = (0..=MOST_FILES).find_map(|_| allowance.file().err()).unwrap();
        assert_eq!(allowance.told(&error), "it holds more than 20000 files");
    }
}
