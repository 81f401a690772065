//! The child processes of a control plane and the temporary folder they live in.
//!
//! Each child has a process group of its own, so that Ctrl-C at the terminal reaches our program only, and a log file in
//! the folder. Dropping [`Children`] kills all of them and removes the folder; the reaper does it where nothing is dropped.

use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{ControlPlaneError, reaper::Reaper};

/// Lines of a log that an error repeats.
const LAST_LINES: usize = 12;

/// All processes that one control plane started.
#[derive(Debug)]
pub(super) struct Children {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    running: Vec<Running>,
    reaper: Option<Reaper>,
}

/// How much garbage, in percent of what lives, the Go programs gather before they collect it. A fifth of what a start costs is
/// collecting, with Go's own 100; for it the API server takes half as much memory again.
const GARBAGE: &str = "400";

#[derive(Debug)]
struct Running {
    name: &'static str,
    process: Child,
}

impl Children {
    /// Makes the folder, readable by its owner only, and starts the reaper if there is one.
    pub(super) fn new(reaper: Option<&Path>) -> Result<Self, ControlPlaneError> {
        let parent = std::env::temp_dir();
        let mut reaper = reaper.map(Reaper::start).transpose()?;
        let directory = tempfile::Builder::new()
            .prefix("eks-bootstrap-sandbox-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(ControlPlaneError::file("create a folder in", parent))?
            .keep();
        if let Some(reaper) = &mut reaper {
            reaper.directory(&directory);
        }
        Ok(Self { directory, state: Mutex::new(State { running: Vec::new(), reaper }) })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// Starts a program in the folder, with its output in `NAME.log`.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        program: &Path,
        arguments: &[String],
    ) -> Result<(), ControlPlaneError> {
        let path = self.log(name);
        let log = File::create(&path).map_err(ControlPlaneError::file("create", &path))?;
        let errors = log.try_clone().map_err(ControlPlaneError::file("open", &path))?;
        let process = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .env("GOGC", std::env::var_os("GOGC").unwrap_or_else(|| GARBAGE.into()))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|source| ControlPlaneError::Spawn { program: program.display().to_string(), source })?;
        let mut state = self.state();
        if let Some(reaper) = &mut state.reaper {
            reaper.started(process.id());
        }
        state.running.push(Running { name, process });
        Ok(())
    }

    /// Fails when a child has ended, with the last lines of its log.
    pub(super) fn check(&self) -> Result<(), ControlPlaneError> {
        let mut state = self.state();
        for child in &mut state.running {
            let ended = child.process.try_wait().ok().flatten();
            if let Some(status) = ended {
                return Err(ControlPlaneError::Exited {
                    program: child.name.to_owned(),
                    status,
                    log: self.last_words(child.name),
                });
            }
        }
        Ok(())
    }

    /// Ends one child and forgets it, so that it can be started anew.
    pub(super) fn end(&self, name: &str) {
        let mut state = self.state();
        let State { running, reaper } = &mut *state;
        if let Some(position) = running.iter().position(|child| child.name == name) {
            end(running.remove(position), reaper.as_mut());
        }
    }

    /// The end of a child's log, which is where the reason stands.
    pub(super) fn last_words(&self, name: &str) -> String {
        let text = fs::read(self.log(name)).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text))
    }

    /// The process ids, for tests and for the curious.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.state().running.iter().map(|child| child.process.id()).collect()
    }

    /// Kills all children and removes the folder. A second call does nothing.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        let State { running, reaper } = &mut *state;
        // SIGKILL at once: the apiserver takes a minute to end by itself, and nothing of it is kept.
        for child in running.iter_mut() {
            let _ = child.process.kill();
        }
        for child in running.drain(..).rev() {
            end(child, reaper.as_mut());
        }
        let _ = fs::remove_dir_all(&self.directory);
        if let Some(reaper) = reaper
            && !self.directory.exists()
        {
            reaper.directory_removed(&self.directory);
        }
        *reaper = None;
    }
}

fn end(mut child: Running, reaper: Option<&mut Reaper>) {
    let _ = child.process.kill();
    let _ = child.process.wait();
    if let Some(reaper) = reaper {
        reaper.ended(child.process.id());
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        let text = (1..=30).map(|line| format!("line {line}\n")).collect::<Vec<_>>().join("\n");
        let shown = last_lines(&text);
        assert!(shown.starts_with("line 19\n"), "{shown}");
        assert!(shown.ends_with("line 30"), "{shown}");
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn a_child_that_dies_is_noticed_with_its_last_words() {
        let children = Children::new(None).unwrap();
        let script = ["-c".to_owned(), "echo cannot bind >&2; exit 7".to_owned()];
        children.spawn("etcd", Path::new("/bin/sh"), &script).unwrap();
        let error = loop {
            match children.check() {
                Ok(()) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(error, "etcd ended (exit status: 7); its last words:\ncannot bind");
        children.end("etcd");
        assert!(children.check().is_ok());
    }

    #[test]
    fn dropping_ends_the_children_and_removes_the_folder() {
        let children = Children::new(None).unwrap();
        children.spawn("sleeper", Path::new("sleep"), &["600".to_owned()]).unwrap();
        let directory = children.directory().to_owned();
        let process = children.processes()[0];
        assert!(directory.join("sleeper.log").exists());
        drop(children);
        assert!(!directory.exists());
        let gone = Command::new("kill").args(["-0", &process.to_string()]).stderr(Stdio::null()).status().unwrap();
        assert!(!gone.success());
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let children = Children::new(None).unwrap();
        let error = children.spawn("etcd", Path::new("/nowhere/etcd"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /nowhere/etcd");
    }
}
