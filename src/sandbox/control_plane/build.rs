//! Runs the Go compiler for what is neither in the cache nor downloaded: one module for all programs, so that what they share is
//! compiled once.
//!
//! Called by `binaries.rs` with a folder to fill. The environment's GOFLAGS, GOPROXY and the like apply, since the child inherits
//! them. `go -v` names each package when it is compiled, which is the only progress that Go gives.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::binaries::Report;
use super::programs::{self, Program};
use super::{ControlPlaneError, Progress};

/// Lines of the compiler's output that an error repeats.
const LAST_LINES: usize = 15;
/// And of each so much.
const LINE: usize = 500;
/// Packages come faster than anybody reads.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);
/// The oldest Go that compiles it, which go.mod says too.
const OLDEST_GO: (u32, u32) = (1, 26);
/// What makes the build cheap: nobody debugs these programs, and little of them is inlined. Where they spend their time it is: with
/// nothing inlined the build is a minute shorter, and each sandbox with an apply three seconds of twelve longer; with everything
/// inlined it is a minute and a half longer for nothing (cold caches, two cores).
pub const FLAGS: [&str; 8] = [
    "-trimpath",
    "-buildvcs=false",
    "-gcflags=all=-l -dwarf=false",
    // Of several patterns the last one that fits counts.
    "-gcflags=std=-dwarf=false",
    "-gcflags=google.golang.org/protobuf/...=-dwarf=false",
    "-gcflags=k8s.io/apimachinery/...=-dwarf=false",
    "-gcflags=k8s.io/kube-openapi/...=-dwarf=false",
    "-gcflags=sigs.k8s.io/...=-dwarf=false",
];

/// Builds programs into `folder`.
///
/// # Errors
/// There is no Go, it is too old, or it fails.
pub(super) async fn build(
    programs: &[Program],
    offline: bool,
    folder: &Path,
    report: Report<'_>,
) -> Result<(), ControlPlaneError> {
    let names: Vec<_> = programs.iter().map(|program| program.name()).collect();
    let what = names.join(", ");
    let module = tempfile::tempdir().map_err(ControlPlaneError::file("create a folder in", std::env::temp_dir()))?;
    for (name, text) in [("go.mod", programs::GO_MOD), ("go.sum", programs::GO_SUM)] {
        let path = module.path().join(name);
        fs::write(&path, text).map_err(ControlPlaneError::file("write", path))?;
    }
    require_go(&what, OLDEST_GO, module.path()).await?;
    let built = folder.join("built");
    fs::create_dir(&built).map_err(ControlPlaneError::file("create", &built))?;
    let mut command = go(module.path());
    command.args(["build", "-v"]).args(FLAGS).args(["-ldflags", &programs::linker_flags()]).arg("-o").arg(&built);
    command.args(programs.iter().map(|program| program.package()));
    // Fast and small enough: no process of this build takes more than 0.7 GB without collecting garbage.
    command.env("CGO_ENABLED", "0").env("GOGC", "off");
    if offline {
        command.env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
    }
    run(command, &what, "once, about eight minutes on two cores", report).await?;
    for program in programs {
        // Go names a program after the last part of its path that is not a major version.
        let (from, to) = (built.join(program.built_as()), folder.join(program.name()));
        fs::rename(&from, &to).map_err(ControlPlaneError::file("rename", from))?;
    }
    Ok(())
}

fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    // What is dropped half way, as by a signal, must not go on by itself.
    command.current_dir(folder).env("GOWORK", "off").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Fails early and clearly when Go is absent or too old to fetch a newer toolchain by itself.
async fn require_go(what: &str, oldest: (u32, u32), folder: &Path) -> Result<(), ControlPlaneError> {
    let wanted = format!("{}.{}", oldest.0, oldest.1);
    let mut command = go(folder);
    // Where go.mod wants a newer one, Go would fetch that before it answers, or fail without a word about versions.
    command.args(["env", "GOVERSION", "GOTOOLCHAIN"]).current_dir("/");
    let output = match command.output().await {
        Ok(output) => output,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(ControlPlaneError::GoMissing { what: what.to_owned(), wanted });
        }
        Err(source) => return Err(ControlPlaneError::Spawn { program: "go".to_owned(), source }),
    };
    let found = String::from_utf8_lossy(&output.stdout);
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
async fn run(mut command: Command, what: &str, expectation: &str, report: Report<'_>) -> Result<(), ControlPlaneError> {
    let spawn = |source| ControlPlaneError::Spawn { program: "go".to_owned(), source };
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(spawn)?;
    let errors = child.stderr.take().map(BufReader::new);
    let mut lines = errors.map(|errors| errors.split(b'\n'));
    let mut last = VecDeque::with_capacity(LAST_LINES);
    let (mut done, mut downloading, mut reported) = (0, false, None::<Instant>);
    while let Some(source) = &mut lines {
        match tokio::time::timeout(Duration::from_secs(1), source.next_segment()).await {
            Ok(Ok(Some(line))) => {
                let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]).into_owned();
                downloading = line.starts_with("go: downloading ");
                done += usize::from(is_package(&line));
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
            }
            Ok(_) => break,
            Err(_) => {}
        }
        if reported.is_some_and(|reported| reported.elapsed() < REPORT_INTERVAL) {
            continue;
        }
        reported = Some(Instant::now());
        let doing = if downloading && done == 0 { "downloading sources of" } else { "building" };
        report(Progress {
            elapsed: began.elapsed(),
            expectation: Some(expectation.to_owned()),
            done,
            ..Progress::doing(format!("{doing} {what}"))
        });
    }
    let status = child.wait().await.map_err(spawn)?;
    if status.success() {
        return Ok(());
    }
    Err(ControlPlaneError::Build { what: what.to_owned(), status, output: Vec::from(last).join("\n") })
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
    fn packages_are_told_from_messages() {
        assert!(is_package("k8s.io/kubernetes/pkg/apis/core"));
        assert!(is_package("runtime"));
        for line in ["", "go: downloading k8s.io/api v0.36.3", "# k8s.io/api", "x.go:3:1: undefined", "\tnote"] {
            assert!(!is_package(line), "{line:?}");
        }
    }

    #[tokio::test]
    async fn a_failed_build_repeats_its_last_lines() {
        let seen = Mutex::new(0);
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "for i in $(seq 40); do echo pkg/$i >&2; sleep 0.01; done; sleep 0.3; echo 'boom: it broke' >&2; exit 3",
        ]);
        let error =
            run(command, "a thing", "at once", &|progress: Progress| *seen.lock().unwrap() = progress.done).await;
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("`go` could not build a thing (exit status: 3)"), "{text}");
        assert!(text.ends_with("pkg/40\nboom: it broke"), "{text}");
        assert!(!text.contains("pkg/20\n"), "only the end is shown: {text}");
        assert_eq!(*seen.lock().unwrap(), 40);
    }

    #[tokio::test]
    async fn a_missing_compiler_is_a_failure_to_start() {
        let error = run(Command::new("no-such-compiler"), "a thing", "", &|_| {}).await.unwrap_err();
        assert!(matches!(error, ControlPlaneError::Spawn { .. }), "{error}");
    }
}
