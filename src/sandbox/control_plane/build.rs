//! Runs the Go compiler for what the cache does not hold.
//!
//! Called by `binaries.rs` with an empty folder to fill. The environment's GOFLAGS, GOPROXY and the like apply, since the
//! child inherits them; only GOWORK and GOBIN are ours. `go -v` names each package when it is compiled, which is the only
//! progress that Go gives.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{ControlPlaneError, Progress, binaries::Report};

/// Lines of the compiler's output that an error repeats.
const LAST_LINES: usize = 15;

/// Packages come faster than anybody reads.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// The packages of the control plane and the file names that they get.
const PACKAGES: [&str; 4] = [
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
];

/// The files of kwok's module that make nodes and pods ready, complete Jobs and delete what is to be deleted.
const KWOK_STAGES: [&str; 5] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

/// A program that is installed at a version, outside our module.
pub(super) struct Install<'a> {
    /// `path@version`.
    pub(super) package: &'a str,
    /// Its name.
    pub(super) what: &'a str,
    /// How long it takes.
    pub(super) expectation: &'a str,
    /// What the linker sets; `go install` leaves versions unset.
    pub(super) linker_flags: &'a str,
    /// The oldest Go that compiles it.
    pub(super) oldest_go: (u32, u32),
}

/// Stamps the version, which `go build` of a dependency would leave at v0.0.0.
pub(super) fn linker_flags(version: &str) -> String {
    let number = version.trim_start_matches('v');
    let mut parts = number.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let variable = "-X k8s.io/component-base/version";
    format!("-s -w {variable}.gitVersion={version} {variable}.gitMajor={major} {variable}.gitMinor={minor}")
}

/// Builds etcd and Kubernetes out of the module into `folder`.
pub(super) fn kubernetes(
    go_mod: &str,
    go_sum: &str,
    flags: &str,
    folder: &Path,
    report: Report<'_>,
) -> Result<(), ControlPlaneError> {
    let what = "etcd, kube-apiserver, kube-controller-manager and kube-scheduler";
    let module = tempfile::tempdir().map_err(ControlPlaneError::file("create a folder in", std::env::temp_dir()))?;
    for (name, text) in [("go.mod", go_mod), ("go.sum", go_sum)] {
        let path = module.path().join(name);
        fs::write(&path, text).map_err(ControlPlaneError::file("write", path))?;
    }
    require_go(what, (1, 25), module.path())?;
    let mut command = go(module.path());
    command.args(["build", "-v", "-trimpath", "-ldflags", flags, "-o"]).arg(folder).args(PACKAGES);
    run(command, what, "once, about six minutes on two cores", report)?;
    // Go names a binary after the last part of the path that is not a major version.
    let (built, wanted) = (folder.join("server"), folder.join("etcd"));
    fs::rename(&built, &wanted).map_err(ControlPlaneError::file("rename", built))
}

/// Builds one program at its version into `folder`.
pub(super) fn install(install: &Install<'_>, folder: &Path, report: Report<'_>) -> Result<(), ControlPlaneError> {
    // Not in a folder with a go.mod: `go install package@version` wants none to apply.
    require_go(install.what, install.oldest_go, folder)?;
    let mut command = go(folder);
    command
        .args(["install", "-v", "-trimpath", "-ldflags", install.linker_flags, install.package])
        .env("GOBIN", folder);
    run(command, install.what, install.expectation, report)
}

/// Copies the stages that kwok ships in its own module out of the module cache.
pub(super) fn copy_kwok_stages(version: &str, folder: &Path) -> Result<(), ControlPlaneError> {
    fs::create_dir_all(folder).map_err(ControlPlaneError::file("create", folder))?;
    let modules = query(&["env", "GOMODCACHE"], folder)?;
    let source = PathBuf::from(modules).join(format!("sigs.k8s.io/kwok@{version}/kustomize/stage"));
    for file in KWOK_STAGES {
        let from = source.join(file);
        // Read and written rather than copied: the module cache is read-only, and a copy would be too.
        let text = fs::read(&from).map_err(ControlPlaneError::file("read", &from))?;
        let to = folder.join(file.rsplit('/').next().unwrap_or(file));
        fs::write(&to, text).map_err(ControlPlaneError::file("write", to))?;
    }
    Ok(())
}

fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("GOWORK", "off").stdin(Stdio::null());
    command
}

fn query(arguments: &[&str], folder: &Path) -> Result<String, ControlPlaneError> {
    let spawn = |source| ControlPlaneError::Spawn { program: format!("go {}", arguments.join(" ")), source };
    let output = go(folder).args(arguments).output().map_err(spawn)?;
    if !output.status.success() {
        return Err(ControlPlaneError::Build {
            what: format!("anything: `go {}` failed", arguments.join(" ")),
            status: output.status,
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Fails early and clearly when Go is absent or too old to fetch a newer toolchain by itself.
fn require_go(what: &str, oldest: (u32, u32), folder: &Path) -> Result<(), ControlPlaneError> {
    let wanted = format!("{}.{}", oldest.0, oldest.1);
    let found = match query(&["env", "GOVERSION", "GOTOOLCHAIN"], folder) {
        Ok(found) => found,
        Err(ControlPlaneError::Spawn { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(ControlPlaneError::GoMissing { what: what.to_owned(), wanted });
        }
        Err(error) => return Err(error),
    };
    let mut lines = found.lines();
    let (version, toolchain) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if is_usable(version, toolchain, oldest) {
        Ok(())
    } else {
        Err(ControlPlaneError::GoTooOld { what: what.to_owned(), wanted, found: version.to_owned() })
    }
}

/// Whether this Go compiles it: new enough, or able to fetch a newer one (1.21 and later, unless told not to).
fn is_usable(version: &str, toolchain: &str, oldest: (u32, u32)) -> bool {
    let mut numbers = version.trim_start_matches("go").split('.').map(|part| {
        part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().unwrap_or_default()
    });
    let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    found >= oldest || (found >= (1, 21) && toolchain.contains("auto"))
}

/// Runs the compiler, reports each second and each package, and keeps the last lines for the error.
fn run(mut command: Command, what: &str, expectation: &str, report: Report<'_>) -> Result<(), ControlPlaneError> {
    let spawn = |source| ControlPlaneError::Spawn { program: "go".into(), source };
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(spawn)?;
    let (sender, lines) = mpsc::channel();
    let errors = child.stderr.take();
    let reader = std::thread::spawn(move || {
        if let Some(errors) = errors {
            send_lines(errors, &sender);
        }
    });
    let mut last = VecDeque::with_capacity(LAST_LINES);
    let mut done = 0;
    let mut downloading = false;
    let mut reported = None::<Instant>;
    loop {
        let ended = match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                downloading = line.starts_with("go: downloading ");
                done += usize::from(is_package(&line));
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if !ended && reported.is_some_and(|reported| reported.elapsed() < REPORT_INTERVAL) {
            continue;
        }
        reported = Some(Instant::now());
        report(Progress {
            doing: if downloading && done == 0 {
                format!("downloading sources of {what}")
            } else {
                format!("building {what}")
            },
            elapsed: begin.elapsed(),
            expectation: Some(expectation.to_owned()),
            done,
        });
        if ended {
            break;
        }
    }
    let status = child.wait().map_err(spawn)?;
    // The thread ended with the channel.
    let _ = reader.join();
    if status.success() {
        return Ok(());
    }
    Err(ControlPlaneError::Build { what: what.to_owned(), status, output: Vec::from(last).join("\n") })
}

fn send_lines(input: impl Read, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(input).lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            break;
        }
    }
}

/// With `-v` Go prints the import path of each package that it compiles, and messages that contain a space.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains([' ', ':', '\t']) && !line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn versions_of_go_are_compared_as_numbers() {
        assert!(is_usable("go1.26.8", "local", (1, 26)));
        assert!(is_usable("go1.100", "local", (1, 26)));
        assert!(is_usable("go1.26rc1", "local", (1, 26)));
        assert!(is_usable("go1.21.0", "auto", (1, 26)));
        assert!(!is_usable("go1.25.3", "local", (1, 26)));
        assert!(!is_usable("go1.20.1", "auto", (1, 25)));
        assert!(!is_usable("", "", (1, 25)));
    }

    #[test]
    fn the_whole_version_is_stamped() {
        let flags = linker_flags("v1.35.4");
        assert!(flags.contains("version.gitVersion=v1.35.4 "));
        assert!(flags.contains("version.gitMajor=1 "));
        assert!(flags.ends_with("version.gitMinor=35"));
    }

    #[test]
    fn packages_are_told_from_messages() {
        assert!(is_package("k8s.io/kubernetes/pkg/apis/core"));
        assert!(is_package("runtime"));
        for line in ["", "go: downloading k8s.io/api v0.35.4", "# k8s.io/api", "x.go:3:1: undefined", "\tnote"] {
            assert!(!is_package(line), "{line:?}");
        }
    }

    #[test]
    fn a_failed_build_repeats_its_last_lines() {
        let seen = Mutex::new(0);
        let mut command = Command::new("sh");
        command.args(["-c", "for i in $(seq 40); do echo pkg/$i >&2; done; echo 'boom: it broke' >&2; exit 3"]);
        let error = run(command, "a thing", "at once", &|progress: Progress| *seen.lock().unwrap() = progress.done);
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("`go` could not build a thing (exit status: 3)"), "{text}");
        assert!(text.ends_with("pkg/40\nboom: it broke"), "{text}");
        assert!(!text.contains("pkg/20\n"), "only the end is shown: {text}");
        assert_eq!(*seen.lock().unwrap(), 40);
    }

    #[test]
    fn a_missing_compiler_is_a_failure_to_start() {
        let error = run(Command::new("no-such-compiler"), "a thing", "", &|_| {}).unwrap_err();
        assert!(matches!(error, ControlPlaneError::Spawn { .. }), "{error}");
    }
}
