//! Who is writing a revision of a release: a label on helm's record that a later run can hold against the processes of its
//! own host. So a helm of ours that died is seen at once, and one that is alive is never taken for dead.
//!
//! Labels are given before helm starts, so they cannot hold helm's own process id, and a `helm` that is a script has others
//! below it. The label therefore names *our* process (id and start time, so that an id that was given again is not taken for
//! it), and helm is known by the label itself, which stands on its command line: the writer is gone once neither our process
//! nor any process with that label is left. If we are killed, helm goes on in its own process group, and its command line
//! tells. The label holds the number of the revision too, since helm copies labels to later revisions: those of
//! `helm upgrade` by hand and of `helm rollback` name a revision that they are not.
//!
//! The host is a hash of boot id, machine id, host name, process namespace and user: containers of one machine share some of
//! these and not all, and what another namespace or user runs may be invisible. Whoever is another host knows nothing of this
//! process and waits for the record to grow old. Without `/proc` there is no label.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The label of a record that holds its writer.
pub const WRITER_LABEL: &str = "eks-bootstrap.dev/writer";

/// No command line that is read is longer; helm's has its labels within the first few hundred bytes.
const LONGEST: u64 = 128 * 1024;

/// What is known of the helm that wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// It was one of ours on this host, and has ended.
    Gone,
    /// It is one of ours on this host, and a process of it still runs.
    Alive(u32),
    /// It is someone else's, or on another host.
    Unknown,
}

/// The label for a revision that this process is about to have helm write; none where processes cannot be told apart.
pub fn label(revision: u64) -> Option<String> {
    let pid = std::process::id();
    Some(format!("{}.{pid}.{}.{revision}", host()?, start_of(pid)?))
}

/// What is known of the writer of a revision whose record has this label. Reads the list of processes.
pub fn of(label: Option<&str>, revision: u64) -> Writer {
    match (label, host()) {
        (Some(label), Some(host)) => judge(label, revision, &host, start_of, running),
        _ => Writer::Unknown,
    }
}

fn judge(
    label: &str,
    revision: u64,
    host: &str,
    start_of: impl Fn(u32) -> Option<u64>,
    running: impl Fn(&str) -> Option<Vec<u32>>,
) -> Writer {
    let parts: Vec<_> = label.split('.').collect();
    let [of_host, pid, start, of_revision] = parts.as_slice() else { return Writer::Unknown };
    let (Ok(pid), Ok(start), Ok(of_revision)) = (pid.parse(), start.parse::<u64>(), of_revision.parse::<u64>()) else {
        return Writer::Unknown;
    };
    if *of_host != host || of_revision != revision {
        return Writer::Unknown;
    }
    let Some(helms) = running(label) else { return Writer::Unknown };
    if let Some(helm) = helms.first() {
        return Writer::Alive(*helm);
    }
    // This very process knows whether it still has helm running: its command line would have been there.
    if pid != std::process::id() && start_of(pid) == Some(start) { Writer::Alive(pid) } else { Writer::Gone }
}

/// This host, as far as processes can be seen from here; none where there is no `/proc`.
fn host() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let boot = read("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let user = fs::metadata("/proc/self").ok()?.uid();
    let machine = read("/etc/machine-id").unwrap_or_default();
    let name = read("/proc/sys/kernel/hostname").unwrap_or_default();
    let all = format!("{boot}\n{machine}\n{name}\n{}\n{user}", namespace.display());
    Some(hex::encode(Sha256::digest(all.as_bytes()))[..16].to_owned())
}

/// When a process was started, in ticks since the machine was; none where it has ended, also where nobody has noticed.
fn start_of(pid: u32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The start time in `/proc/PID/stat`. The second field is the program's name in brackets and may hold anything.
fn started(stat: &str) -> Option<u64> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X" | "x");
    // State is field 3, the start time is field 22 (proc_pid_stat(5)).
    fields.get(19)?.parse().ok().filter(|_| !ended)
}

/// The processes with this label on their command line; none where processes cannot be listed.
fn running(label: &str) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if command_line(&entry.path()).is_some_and(|line| holds(&line, label)) {
            found.push(pid);
        }
    }
    Some(found)
}

fn command_line(process: &Path) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    fs::File::open(process.join("cmdline")).ok()?.take(LONGEST).read_to_end(&mut line).ok()?;
    Some(line)
}

fn holds(line: &[u8], label: &str) -> bool {
    line.windows(label.len()).any(|part| part == label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_fits_kubernetes_and_names_this_process() {
        let Some(label) = label(12) else { return };
        assert!(label.len() <= 63 && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'), "{label}");
        assert!(label.starts_with(|c: char| c.is_ascii_alphanumeric()), "{label}");
        // As long as a label can become: the largest process id and start time, and a revision of six digits.
        assert!(format!("{}.4194304.{}.999999", "0".repeat(16), u64::MAX).len() <= 63);
        assert_eq!(of(Some(&label), 12), Writer::Gone, "no helm of ours runs");
        assert_eq!(of(Some(&label), 13), Writer::Unknown);
        assert_eq!(of(None, 12), Writer::Unknown);
    }

    type Running = fn(&str) -> Option<Vec<u32>>;

    #[test]
    fn only_a_writer_of_this_host_and_revision_is_known() {
        let (us, other) = (std::process::id(), std::process::id() + 1);
        let nobody = |_: &str| Some(Vec::new());
        let helm = |_: &str| Some(vec![77]);
        let hidden = |_: &str| None;
        let cases: [(&str, String, Running, Writer); 11] = [
            ("ours and helm are gone", format!("h.{other}.5.3"), nobody, Writer::Gone),
            ("ours is gone, helm goes on", format!("h.{other}.5.3"), helm, Writer::Alive(77)),
            ("ours runs", format!("h.{other}.9.3"), nobody, Writer::Alive(other)),
            ("its id was given again", format!("h.{other}.8.3"), nobody, Writer::Gone),
            ("it is this very run, helm is gone", format!("h.{us}.9.3"), nobody, Writer::Gone),
            ("it is this very run, helm goes on", format!("h.{us}.9.3"), helm, Writer::Alive(77)),
            ("another host", format!("g.{other}.5.3"), nobody, Writer::Unknown),
            ("copied by helm", format!("h.{other}.5.2"), nobody, Writer::Unknown),
            ("processes cannot be listed", format!("h.{other}.5.3"), hidden, Writer::Unknown),
            ("not a label of ours", "h.x".to_owned(), nobody, Writer::Unknown),
            ("not a label of ours", format!("h.{other}.5.x"), nobody, Writer::Unknown),
        ];
        for (name, label, running, expected) in cases {
            assert_eq!(judge(&label, 3, "h", |_| Some(9), running), expected, "{name}");
        }
        assert_eq!(judge(&format!("h.{other}.9.3"), 3, "h", |_| None, nobody), Writer::Gone);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let stat = |state: &str| format!("7 (a) b) c) {state} 1{} 4711 0 0", " 0".repeat(17));
        assert_eq!(started(&stat("S")), Some(4711));
        assert_eq!(started(&stat("Z")), None, "ended, and its parent has not noticed");
        assert_eq!(started("7 (x"), None);
    }

    #[test]
    fn a_process_is_found_by_its_command_line() {
        if !Path::new("/proc/self/stat").exists() {
            return;
        }
        let mark = format!("mark.{}.of.a.test", std::process::id());
        assert_eq!(running(&mark), Some(Vec::new()));
        let script = format!("read x # {mark}");
        #[expect(clippy::disallowed_methods, reason = "a process to be found")]
        let mut child =
            std::process::Command::new("sh").args(["-c", &script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        // `spawn` comes back once the child has given its memory up for the new program's, a moment before that has its words.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while running(&mark) != Some(vec![child.id()]) {
            assert!(std::time::Instant::now() < until, "{:?} is not {}", running(&mark), child.id());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(running(&mark), Some(Vec::new()));
    }
}
