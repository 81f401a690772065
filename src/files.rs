//! Files that somebody names: regular ones, up to a limit.
//!
//! A pipe to which nobody writes is silent for ever, a device may never end, and opening either may do something. So a file is looked
//! at, opened without waiting, and looked at again through what was opened: nobody can put another in its place in between.
//! `<(...)` of a shell is such a pipe, which is why the refusal says what to do instead.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// A pipe, as `mkfifo` and a shell's `<(...)` make it.
    #[error(
        "it is a pipe (FIFO), such as a shell's `<(...)`, and only regular files are read: save its content to a file"
    )]
    Pipe,
    /// Something else that is no file.
    #[error("it is a {0}, not a regular file")]
    Irregular(&'static str),
    /// More than anybody means to give.
    #[error("it is larger than {}", shown(*.0))]
    TooLarge(u64),
    /// Bytes where text is wanted.
    #[error("it is not UTF-8 text")]
    NotText,
    /// What the operating system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Unreadable {
    /// Whether there is nothing of that name.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Unreadable::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<Unreadable> for io::Error {
    fn from(error: Unreadable) -> io::Error {
        match error {
            Unreadable::Io(error) => error,
            other => io::Error::other(other),
        }
    }
}

/// A size as messages write it: `64 MiB`, `100 bytes`.
pub(crate) fn shown(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

/// Whether it is a regular file, or a link to one; says what else it is.
pub(crate) fn look(path: &Path) -> Result<(), Unreadable> {
    regular(&path.metadata()?)
}

/// The file at `path`, ready to be read.
pub(crate) fn open(path: &Path) -> Result<File, Unreadable> {
    // Before it is opened, since that alone has effects on some devices, and sockets cannot be opened at all.
    look(path)?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// What is in the file at `path`, at most `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
    up_to(open(path)?, most)
}

/// The text of the file at `path`, at most `most` bytes.
pub(crate) fn text(path: &Path, most: u64) -> Result<String, Unreadable> {
    String::from_utf8(read(path, most)?).map_err(|_| Unreadable::NotText)
}

/// What somebody pipes in, at most `most` bytes of text. It is waited for: whoever says `-` is going to write.
pub(crate) fn standard_input(most: u64) -> Result<String, Unreadable> {
    String::from_utf8(up_to(io::stdin().lock(), most)?).map_err(|_| Unreadable::NotText)
}

/// Whether it is the null device, by which people say that there is no file.
pub(crate) fn is_null(path: &Path) -> bool {
    let device = |path: &Path| path.metadata().ok().filter(|it| it.file_type().is_char_device()).map(|it| it.rdev());
    device(path).is_some_and(|found| device(Path::new("/dev/null")) == Some(found))
}

fn up_to(from: impl io::Read, most: u64) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(Unreadable::TooLarge(most)) } else { Ok(bytes) }
}

fn regular(data: &Metadata) -> Result<(), Unreadable> {
    let kind = data.file_type();
    if kind.is_file() { Ok(()) } else { Err(irregular(kind)) }
}

fn irregular(kind: FileType) -> Unreadable {
    if kind.is_fifo() {
        return Unreadable::Pipe;
    }
    Unreadable::Irregular(if kind.is_dir() {
        "folder"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        symlink(at("pipe"), at("link")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let begun = std::time::Instant::now();
        for (path, expected) in [
            (at("pipe"), "it is a pipe (FIFO)"),
            (at("link"), "it is a pipe (FIFO)"),
            (at("socket"), "it is a socket, not a regular file"),
            (at("."), "it is a folder, not a regular file"),
            ("/dev/zero".into(), "it is a device, not a regular file"),
            ("/dev/null".into(), "it is a device, not a regular file"),
            (at("nothing"), "No such file"),
        ] {
            let error = read(&path, 10).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{}: {error}", path.display());
            assert_eq!(error.is_missing(), path == at("nothing"));
            assert_eq!(look(&path).unwrap_err().to_string(), error.to_string());
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
        drop(socket);
    }

    #[test]
    fn files_are_read_up_to_their_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        symlink(&path, folder.path().join("link")).unwrap();
        assert_eq!(text(&folder.path().join("link"), 10).unwrap(), "0123456789");
        assert_eq!(read(&path, 9).unwrap_err().to_string(), "it is larger than 9 bytes");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(text(&path, 9).unwrap_err().to_string(), "it is not UTF-8 text");
        assert_eq!(shown(256 << 20), "256 MiB");
    }

    #[test]
    fn only_the_null_device_stands_for_no_file() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/dev/null", folder.path().join("config")).unwrap();
        assert!(is_null(Path::new("/dev/null")) && is_null(&folder.path().join("config")));
        assert!(!is_null(Path::new("/dev/zero")) && !is_null(folder.path()) && !is_null(Path::new("/nowhere")));
    }
}
