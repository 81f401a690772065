//! Temporary folders of this program, with kubeconfigs, values and charts in them. They go when they are dropped; those of
//! runs that were killed are removed by the next run.
//!
//! A folder is in use as long as someone holds the lock on the file in it. Its owner does, and so do the programs that it
//! started with that file as their standard input, which may outlive it. The lock is taken before the file gets its name, so
//! that nobody finds one whose owner is just about to lock it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How the names of all of them begin.
const PREFIX: &str = "eks-bootstrap-";
/// The file that is locked.
const LOCK: &str = ".in-use";
/// So many entries of the folder for temporary files are looked at, and so many folders removed, in one run.
const LOOKED_AT: usize = 10_000;
const REMOVED: usize = 100;
/// For so long, at most, a run tidies up.
const TIME: Duration = Duration::from_secs(2);

/// A folder of ours.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    lock: File,
}

impl Scratch {
    /// A new, empty folder that only we can read.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(purpose: &str) -> io::Result<Scratch> {
        static SWEPT: Once = Once::new();
        let parent = std::env::temp_dir();
        // On the side: nobody waits for it, and a run that ends meanwhile leaves the rest to the next one.
        SWEPT.call_once(|| {
            let parent = parent.clone();
            drop(std::thread::Builder::new().spawn(move || sweep(&parent)));
        });
        Scratch::new_in(&parent, purpose)
    }

    fn new_in(parent: &Path, purpose: &str) -> io::Result<Scratch> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{purpose}-"))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let unnamed = folder.path().join(".new");
        let lock = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unnamed)?;
        // Some file systems know no locks; then nobody sweeps either.
        let _ = lock.try_lock();
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Scratch { folder, lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// An empty standard input that keeps the folder in use for as long as the child lives.
    pub(crate) fn lock(&self) -> Stdio {
        self.lock.try_clone().map_or_else(|_| Stdio::null(), Stdio::from)
    }
}

/// Removes the folders that nobody uses any more. What fails is left: it is not what this run is about.
fn sweep(parent: &Path) {
    let began = Instant::now();
    let Ok(entries) = fs::read_dir(parent) else { return };
    let ours = entries
        .take(LOOKED_AT)
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    let mut removed = 0;
    for entry in ours {
        if removed >= REMOVED || began.elapsed() > TIME {
            return;
        }
        if let Some(lock) = unused(&entry.path()) {
            match remove(&entry.path()) {
                Ok(()) => removed += 1,
                Err(error) => tracing::debug!(%error, folder = %entry.path().display(), "not tidied up"),
            }
            drop(lock);
        }
    }
}

/// The lock of a folder of this user's that nobody uses. Links are not followed, neither to the folder nor to the file in it.
fn unused(folder: &Path) -> Option<File> {
    let user = rustix::process::geteuid().as_raw();
    let found = fs::symlink_metadata(folder).ok()?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return None;
    }
    let path = folder.join(LOCK);
    let named = fs::symlink_metadata(&path).ok()?;
    if !named.is_file() || named.uid() != user {
        return None;
    }
    let lock = OpenOptions::new().read(true).open(&path).ok()?;
    let opened = lock.metadata().ok()?;
    // What was looked at is what was opened.
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return None;
    }
    lock.try_lock().ok()?;
    Some(lock)
}

/// Removes a folder, its lock last: what is left of it, if this run ends on the way, is still one that the next one finds.
/// `remove_dir_all` removes links and does not follow them.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.file_name().is_some_and(|name| name == LOCK) {
            continue;
        }
        if fs::symlink_metadata(&path)?.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    fs::remove_file(folder.join(LOCK))?;
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The folder of a run that was killed, with a kubeconfig and a chart in it.
    fn killed(parent: &Path) -> PathBuf {
        let Scratch { folder, lock } = Scratch::new_in(parent, "helm").unwrap();
        let path = folder.keep();
        fs::write(path.join("kubeconfig"), "x").unwrap();
        fs::create_dir_all(path.join("cache/charts")).unwrap();
        fs::write(path.join("cache/charts/a.tgz"), "x").unwrap();
        drop(lock);
        path
    }

    #[test]
    fn folders_of_killed_runs_are_removed_and_those_in_use_stay() {
        let parent = tempfile::tempdir().unwrap();
        let gone = [killed(parent.path()), killed(parent.path())];
        let used = Scratch::new_in(parent.path(), "helm").unwrap();
        sweep(parent.path());
        assert!(gone.iter().all(|folder| !folder.exists()));
        assert!(used.path().join(LOCK).exists());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests start programs")]
    fn a_child_that_outlives_its_run_keeps_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let Scratch { folder, lock } = Scratch::new_in(parent.path(), "helm").unwrap();
        let path = folder.keep();
        let mut child =
            std::process::Command::new("sleep").arg("600").stdin(lock.try_clone().unwrap()).spawn().unwrap();
        drop(lock);
        sweep(parent.path());
        assert!(path.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        sweep(parent.path());
        assert!(!path.exists());
    }

    #[test]
    fn links_are_not_followed_and_nothing_of_others_is_touched() {
        let (parent, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let precious = killed(outside.path());
        // A link to a folder, a folder with a link for a lock, one with a link in it, a file, and folders of other forms.
        symlink(&precious, parent.path().join("eks-bootstrap-helm-link")).unwrap();
        let linked = killed(parent.path());
        fs::remove_file(linked.join(LOCK)).unwrap();
        symlink(precious.join(LOCK), linked.join(LOCK)).unwrap();
        let inner = killed(parent.path());
        symlink(&precious, inner.join("folder")).unwrap();
        symlink(precious.join("kubeconfig"), inner.join("file")).unwrap();
        fs::write(parent.path().join("eks-bootstrap-helm-file"), "x").unwrap();
        let open = killed(parent.path());
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let without = killed(parent.path());
        fs::remove_file(without.join(LOCK)).unwrap();
        let other = parent.path().join("another-helm-x");
        fs::rename(killed(parent.path()), &other).unwrap();

        sweep(parent.path());
        assert!(!inner.exists());
        for stays in [&linked, &open, &without, &other] {
            assert!(stays.join("kubeconfig").exists(), "{}", stays.display());
        }
        assert!(parent.path().join("eks-bootstrap-helm-file").exists());
        assert!(precious.join("kubeconfig").exists() && precious.join("cache/charts/a.tgz").exists());
    }

    #[test]
    fn what_was_removed_halfway_is_removed_the_next_time() {
        let parent = tempfile::tempdir().unwrap();
        let half = killed(parent.path());
        fs::remove_file(half.join("kubeconfig")).unwrap();
        sweep(parent.path());
        assert!(!half.exists());
    }

    #[test]
    fn a_run_removes_no_more_than_it_has_time_for() {
        let parent = tempfile::tempdir().unwrap();
        for _ in 0..REMOVED + 3 {
            killed(parent.path());
        }
        sweep(parent.path());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 3);
    }
}
