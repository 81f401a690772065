//! Chart archives as files: their digest, and their way into a folder of ours. Used by `read/chart.rs` and `bundle.rs`; what
//! is in them is `content.rs`' business.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::files;
use crate::unpacking::{Allowance, LARGEST_FILE};

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
    let bytes = files::read(path, LARGEST_FILE).map_err(|error| unusable(path, &error.to_string()))?;
    Ok(digest_of(&bytes))
}

/// Folders in folders go no deeper than this; a link that leads back up would have no end.
pub(super) const DEEPEST_FOLDER: usize = 24;

/// A place from which no chart is taken.
pub(super) fn unusable(place: &Path, reason: &str) -> Error {
    Error::Refused {
        what: format!("no chart can be taken from `{}`: {reason}", place.display()),
        mend: "give a chart as `helm package` makes it, or its folder".to_owned(),
    }
}

/// The digest of a folder: of the names in it, in their order, each with its length and what it holds. Links are followed, as helm
/// follows them.
pub(super) fn digest_of_folder(folder: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let allowance = Allowance::default();
    add_folder(folder, "", DEEPEST_FOLDER, &allowance, &mut digest)
        .map_err(|error| unusable(folder, &allowance.told(&error)))?;
    Ok(format!("{ALGORITHM}{}", hex::encode(digest.finalize())))
}

fn add_folder(
    folder: &Path,
    prefix: &str,
    depth: usize,
    allowance: &Allowance,
    digest: &mut Sha256,
) -> std::io::Result<()> {
    let too_deep = || std::io::Error::other(format!("folders in it are nested more than {DEEPEST_FOLDER} deep"));
    let names: std::io::Result<Vec<_>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let name = format!("{prefix}{}", name.to_string_lossy());
        allowance.file()?;
        // A link to nothing is helm's to refuse.
        let Ok(data) = fs::metadata(&path) else { continue };
        if data.is_dir() {
            let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
            add_folder(&path, &format!("{name}/"), depth, allowance, digest)?;
        } else {
            let bytes = files::read(&path, LARGEST_FILE)
                .map_err(|error| std::io::Error::other(format!("`{name}`: {error}")))?;
            allowance.bytes(bytes.len() as u64)?;
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
    let bytes = files::read(path, LARGEST_FILE).map_err(|error| unusable(path, &error.to_string()))?;
    fs::write(&copy, bytes).map_err(|source| Error::io(format!("copy `{}`", path.display()), source))?;
    Ok(copy)
}

/// The one archive in `folder`.
pub(super) fn only(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut archives = files.filter(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let first = archives.next()?;
    archives.next().is_none().then_some(first)
}
