//! The folder in which programs are kept: what is there, making what is not, and clearing it.
//!
//! Each program has a folder of its own, named after its version and a hash of everything that goes into it. It appears by a
//! rename when it is complete, under a file lock, so that two sandboxes started at once neither make it twice nor see half of it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{ControlPlaneError, Progress, binaries::Report};

/// What is not finished begins so.
const UNFINISHED: &str = "unfinished.";
/// Held by whoever makes programs.
const LOCK: &str = "programs.lock";
/// How often it is looked whether the other process is through.
const LOOK: Duration = Duration::from_millis(500);
/// Beginnings of downloads, by the digests of what they are to become.
const DOWNLOADS: &str = "downloads";

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Cache(PathBuf);

/// The right to make programs, and the folder to make them in; it goes at the end, with what is not kept.
pub(super) struct Making<'a> {
    cache: &'a Cache,
    folder: TempDir,
    _lock: File,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Cache {
        Cache(folder)
    }

    /// The folder of a program, whether it is there or not.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether a program is there.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.folder(name).is_dir()
    }

    /// What is kept; nothing where the folder is not there yet.
    pub(super) fn kept(&self) -> Result<Kept, ControlPlaneError> {
        let Cache(folder) = self;
        let mut entries = Vec::new();
        match fs::read_dir(folder) {
            Ok(found) => {
                for entry in found.filter_map(Result::ok) {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let bytes = bytes_of(&entry.path());
                    // Locks are empty, and empty folders are nothing to keep.
                    if bytes > 0 {
                        entries.push((name, bytes));
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(ControlPlaneError::file("read", folder)(error)),
        }
        entries.sort();
        Ok(Kept { folder: folder.clone(), entries })
    }

    /// The right to make programs; waits for others who do.
    pub(super) async fn make(&self, report: Report<'_>) -> Result<Making<'_>, ControlPlaneError> {
        let Cache(root) = self;
        fs::create_dir_all(root.join(DOWNLOADS)).map_err(ControlPlaneError::file("create", root))?;
        let path = root.join(LOCK);
        let lock = File::create(&path).map_err(ControlPlaneError::file("create", &path))?;
        let began = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let waiting = Progress::doing("waiting for another process that gets the same programs");
                    report(Progress { elapsed: began.elapsed(), ..waiting });
                    tokio::time::sleep(LOOK).await;
                }
                Err(TryLockError::Error(source)) => return Err(ControlPlaneError::file("lock", &path)(source)),
            }
        }
        // Of those that were killed: under the lock nobody uses it.
        remove(root, |name| name.starts_with(UNFINISHED));
        let folder = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(root)
            .map_err(ControlPlaneError::file("create a folder in", root))?;
        Ok(Making { cache: self, folder, _lock: lock })
    }
}

/// What is kept, by name and bytes.
#[derive(Debug)]
pub struct Kept {
    /// Where.
    pub folder: PathBuf,
    /// Everything in it.
    pub entries: Vec<(String, u64)>,
}

impl Kept {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Removes all of it. Sandboxes that run keep running: what is open stays until it is closed.
    ///
    /// # Errors
    /// A process makes programs, or something cannot be removed.
    pub fn remove(&self) -> Result<(), ControlPlaneError> {
        let path = self.folder.join(LOCK);
        let lock = File::create(&path).map_err(ControlPlaneError::file("create", &path))?;
        if lock.try_lock().is_err() {
            return Err(ControlPlaneError::Busy { folder: self.folder.clone() });
        }
        for (name, _) in &self.entries {
            let entry = self.folder.join(name);
            let is_folder = entry.symlink_metadata().is_ok_and(|data| data.is_dir());
            let removed = if is_folder { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            removed.map_err(ControlPlaneError::file("remove", &entry))?;
        }
        Ok(())
    }
}

fn bytes_of(path: &Path) -> u64 {
    let Ok(data) = path.symlink_metadata() else { return 0 };
    if !data.is_dir() {
        return data.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_of(&entry.path())).sum()
}

impl Making<'_> {
    /// Where to make them.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a download with this digest begins, and goes on.
    pub(super) fn download(&self, sha256: &str) -> PathBuf {
        self.cache.0.join(DOWNLOADS).join(sha256)
    }

    /// Keeps the program that was made under the name of its file.
    pub(super) fn keep(&self, file: &str, name: &str) -> Result<(), ControlPlaneError> {
        let made = self.folder.path().join(file);
        let complete = self.folder.path().join(format!("{file}.complete"));
        fs::create_dir(&complete)
            .and_then(|()| fs::rename(&made, complete.join(file)))
            .map_err(ControlPlaneError::file("keep", &made))?;
        let to = self.cache.folder(name);
        fs::rename(&complete, &to).map_err(ControlPlaneError::file("create", to))
    }
}

fn remove(folder: &Path, what: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_str().is_some_and(&what) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn quiet(_: Progress) {}

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_program_is_made_once_even_by_four_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("new"));
        let made = AtomicUsize::new(0);
        let one = || async {
            let making = cache.make(&quiet).await.unwrap();
            if !cache.holds("thing-1") {
                made.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                fs::write(making.folder().join("thing"), "x").unwrap();
                making.keep("thing", "thing-1").unwrap();
            }
            drop(making);
            assert!(cache.folder("thing-1").join("thing").is_file());
        };
        tokio::join!(one(), one(), one(), one());
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(names(&cache.folder("")), ["downloads", "programs.lock", "thing-1"]);
    }

    #[tokio::test]
    async fn what_is_kept_is_told_and_removed_unless_someone_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        assert!(cache.kept().unwrap().entries.is_empty(), "there is no folder yet");
        let making = cache.make(&quiet).await.unwrap();
        fs::write(making.folder().join("thing"), "four").unwrap();
        making.keep("thing", "thing-1").unwrap();
        fs::write(making.download("0123"), "of it").unwrap();
        let kept = cache.kept().unwrap();
        let busy = kept.remove().unwrap_err().to_string();
        assert!(busy.contains("another process"), "{busy}");
        drop(making);
        let kept = cache.kept().unwrap();
        assert_eq!(kept.entries, [("downloads".to_owned(), 5), ("thing-1".to_owned(), 4)]);
        assert_eq!(kept.bytes(), 9);
        kept.remove().unwrap();
        assert_eq!(names(&kept.folder), ["programs.lock"]);
        // And it can be filled anew.
        drop(cache.make(&quiet).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_not_kept_goes_and_so_does_what_killed_runs_left() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        fs::create_dir_all(folder.path().join("unfinished.x/deep")).unwrap();
        let making = cache.make(&quiet).await.unwrap();
        fs::write(making.folder().join("half"), "x").unwrap();
        assert_eq!(names(folder.path()).iter().filter(|name| name.starts_with(UNFINISHED)).count(), 1);
        fs::write(making.download("0123"), "beginning").unwrap();
        drop(making);
        assert_eq!(names(folder.path()), ["downloads", "programs.lock"]);
        assert_eq!(names(&folder.path().join("downloads")), ["0123"], "downloads go on in the next run");
    }
}
