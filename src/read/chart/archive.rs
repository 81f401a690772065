//! Chart archives as files: their digest, and their way into a folder of ours. Used by `read/chart.rs` and `bundle.rs`; what
//! is in them is `content.rs`' business.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// How a digest begins; nothing else is used for charts.
const ALGORITHM: &str = "sha256:";

/// The digest of `bytes`, as registries and `helm` write it.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("{ALGORITHM}{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether `text` is `sha256:` with 64 lower-case digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix(ALGORITHM).is_some_and(|digits| {
        digits.len() == 64 && digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

/// The digest of the file at `path`.
pub(super) fn digest(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|source| Error::io(format!("read `{}`", path.display()), source))?;
    Ok(digest_of(&bytes))
}

/// Copies an archive into a folder of ours.
pub(super) fn copy(path: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(path.file_name().unwrap_or_default());
    fs::copy(path, &copy).map_err(|source| Error::io(format!("copy `{}`", path.display()), source))?;
    Ok(copy)
}

/// The one archive in `folder`.
pub(super) fn only(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut archives = files.filter(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let first = archives.next()?;
    archives.next().is_none().then_some(first)
}
