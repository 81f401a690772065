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

/// What a chart folder may hold; helm packs no chart with files of more than 5 MiB.
const LARGEST_FOLDER: u64 = 256 << 20;
/// Folders in folders go no deeper than this; a link that leads back up would have no end.
const DEEPEST: usize = 24;

/// The digest of a folder: of the names in it, in their order, each with its length and what it holds. Links are followed, as helm
/// follows them.
pub(super) fn digest_of_folder(folder: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let mut left = LARGEST_FOLDER;
    add_folder(folder, "", DEEPEST, &mut left, &mut digest)
        .map_err(|source| Error::io(format!("read the chart `{}`", folder.display()), source))?;
    Ok(format!("{ALGORITHM}{}", hex::encode(digest.finalize())))
}

fn add_folder(folder: &Path, prefix: &str, depth: usize, left: &mut u64, digest: &mut Sha256) -> std::io::Result<()> {
    let too_much = || std::io::Error::other("it is too large or too deep for a chart");
    let names: std::io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let name = format!("{prefix}{}", name.to_string_lossy());
        // A link to nothing is helm's to refuse.
        let Ok(data) = fs::metadata(&path) else { continue };
        if data.is_dir() {
            let depth = depth.checked_sub(1).ok_or_else(too_much)?;
            add_folder(&path, &format!("{name}/"), depth, left, digest)?;
        } else if data.is_file() {
            *left = left.checked_sub(data.len()).ok_or_else(too_much)?;
            let bytes = fs::read(&path)?;
            for part in [name.as_bytes(), &bytes] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
    }
    Ok(())
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
