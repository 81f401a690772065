//! A small process that outlives the sandbox and ends its children when nobody else can.
//!
//! `stop` and `Drop` clean up in the normal cases; SIGKILL leaves neither a chance. So the sandbox starts the program
//! once more as `sandbox-reaper` with a pipe as its standard input and writes a line for each child process and for the
//! temporary folder. The kernel closes the pipe when the sandbox ends in whatever way, and at that end of input the
//! reaper kills and removes what was not taken back. It is not a supervisor: it restarts nothing and waits for nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::ControlPlaneError;

/// The hidden subcommand that runs [`run_reaper`] on the standard input.
pub const REAPER_SUBCOMMAND: &str = "sandbox-reaper";

/// One line of the protocol between the sandbox and its reaper.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Started(i32),
    Ended(i32),
    Directory(PathBuf),
    DirectoryRemoved(PathBuf),
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(path) = text.strip_prefix("dir ") {
            return Some(Self::Directory(path.into()));
        }
        if let Some(path) = text.strip_prefix("gone ") {
            return Some(Self::DirectoryRemoved(path.into()));
        }
        // 0 and negative numbers mean groups to kill(2), and 1 is init.
        let process = |digits: &str| digits.parse::<i32>().ok().filter(|process| *process > 1);
        if let Some(digits) = text.strip_prefix('+') {
            return process(digits).map(Self::Started);
        }
        text.strip_prefix('-').and_then(process).map(Self::Ended)
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started(process) => write!(formatter, "+{process}"),
            Self::Ended(process) => write!(formatter, "-{process}"),
            Self::Directory(path) => write!(formatter, "dir {}", path.display()),
            Self::DirectoryRemoved(path) => write!(formatter, "gone {}", path.display()),
        }
    }
}

/// Reads the lines of the sandbox until they end, then kills and removes what it left behind.
///
/// `main` calls it for the hidden subcommand [`REAPER_SUBCOMMAND`] with the standard input. A line that cannot be
/// understood is passed over: the reaper has nobody to tell, and the other lines still count.
pub fn run_reaper(input: impl BufRead) {
    let mut processes = BTreeMap::new();
    let mut directories = BTreeSet::new();
    for line in input.lines().map_while(Result::ok) {
        match Line::parse(&line) {
            Some(Line::Started(process)) => {
                processes.insert(process, birth(process));
            }
            Some(Line::Ended(process)) => {
                processes.remove(&process);
            }
            Some(Line::Directory(path)) => {
                directories.insert(path);
            }
            Some(Line::DirectoryRemoved(path)) => {
                directories.remove(&path);
            }
            None => {}
        }
    }
    for (process, born) in processes {
        // The number may belong to another process by now; then it was born at another time.
        if birth(process) == born {
            kill(process);
        }
    }
    for directory in directories {
        // A dying process may still create a file in it.
        for _ in 0..50 {
            if fs::remove_dir_all(&directory).is_ok() || !directory.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// When a process began, in clock ticks since boot, where the system tells.
fn birth(process: i32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold spaces; the start is the 22nd field.
    let (_, after_name) = status.rsplit_once(')')?;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

/// Kills a process and its group with SIGKILL; one that is gone already is no failure.
pub(super) fn kill(process: i32) {
    if let Some(process) = Pid::from_raw(process) {
        let _ = kill_process_group(process, Signal::KILL);
        let _ = kill_process(process, Signal::KILL);
    }
}

/// The sandbox's end of the pipe.
#[derive(Debug)]
pub(super) struct Reaper {
    process: Child,
    lines: Option<ChildStdin>,
}

impl Reaper {
    /// Starts `program sandbox-reaper` in a process group of its own, so that Ctrl-C does not reach it.
    pub(super) fn start(program: &Path) -> Result<Self, ControlPlaneError> {
        let mut process = Command::new(program)
            .arg(REAPER_SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| ControlPlaneError::Spawn {
                program: format!("{} {REAPER_SUBCOMMAND}", program.display()),
                source,
            })?;
        let lines = process.stdin.take();
        Ok(Self { process, lines })
    }

    pub(super) fn started(&mut self, process: u32) {
        if let Ok(process) = i32::try_from(process) {
            self.write(&Line::Started(process));
        }
    }

    pub(super) fn ended(&mut self, process: u32) {
        if let Ok(process) = i32::try_from(process) {
            self.write(&Line::Ended(process));
        }
    }

    pub(super) fn directory(&mut self, path: &Path) {
        self.write(&Line::Directory(path.to_owned()));
    }

    pub(super) fn directory_removed(&mut self, path: &Path) {
        self.write(&Line::DirectoryRemoved(path.to_owned()));
    }

    fn write(&mut self, line: &Line) {
        // A reaper that is gone only loses the protection against SIGKILL.
        if let Some(lines) = &mut self.lines
            && let Err(error) = writeln!(lines, "{line}").and_then(|()| lines.flush())
        {
            tracing::warn!(%error, "the sandbox's reaper is gone: children survive if this process is killed");
            self.lines = None;
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.lines = None;
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, os::unix::process::ExitStatusExt};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
    }

    #[test]
    fn lines_survive_the_pipe() {
        for line in [
            Line::Started(42),
            Line::Ended(42),
            Line::Directory("/tmp/with a space".into()),
            Line::DirectoryRemoved("/tmp/x".into()),
        ] {
            assert_eq!(Line::parse(&format!("{line}\n")), Some(line));
        }
    }

    #[test]
    fn numbers_that_mean_more_than_one_process_are_refused() {
        for text in ["+0", "+1", "+-1", "-", "+", "+4x", "", "what"] {
            assert_eq!(Line::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn ends_what_was_left_and_spares_what_was_taken_back() {
        let directory = tempfile::tempdir().unwrap().keep();
        let removed = tempfile::tempdir().unwrap();
        fs::write(directory.join("log"), "x").unwrap();
        let (mut left, mut spared) = (sleeper(), sleeper());
        run_reaper(Cursor::new(format!(
            "dir {}\ndir {}\n+{}\nnonsense\n+{}\n-{}\ngone {}\n",
            directory.display(),
            removed.path().display(),
            left.id(),
            spared.id(),
            spared.id(),
            removed.path().display(),
        )));
        assert_eq!(left.wait().unwrap().signal(), Some(9));
        assert_eq!(spared.try_wait().unwrap(), None);
        assert!(!directory.exists());
        assert!(removed.path().exists());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}
