//! Where the sandbox's programs come from, as the program tells it: a mirror with other files, none at all, no network wanted, and what
//! is kept afterwards. What a download does is in the unit tests of `sandbox::control_plane::download`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Run, program};

/// A mirror that answers everything with the same page, and the paths that it was asked for.
fn mirror(page: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/copies", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            log.lock().unwrap().push(head.split(' ').nth(1).unwrap_or_default().to_owned());
            let length = page.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}");
        }
    });
    (url, asked)
}

/// The sandbox on a machine with nothing: no program in `PATH`, no Go, an empty cache.
fn sandbox(home: &Path, arguments: &[&str]) -> Command {
    let nothing = home.join("nothing");
    fs::create_dir_all(&nothing).unwrap();
    let mut command = program(&[&["sandbox"], arguments].concat(), home);
    command.env("PATH", nothing).env("EKS_BOOTSTRAP_CACHE", home.join("cache"));
    command
}

fn run(mut command: Command) -> Run {
    command.output().unwrap().into()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_mirror_with_other_files_is_refused_and_nothing_of_them_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (url, asked) = mirror("<html>please sign in</html>");
    let run = run(sandbox(home.path(), &["--mirror", &url, "--", "plan"])).expect(1);
    for part in [
        "/copies/dl.k8s.io/release/v",
        "/kube-apiserver is refused: its SHA-256 is ",
        "/copies/get.helm.sh/helm-v",
        "needs Go 1.26 or newer, and no `go` is in PATH",
        "KUBEBUILDER_ASSETS",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 6, "each file once: {asked:?}");
    assert!(asked.iter().all(|path| path.starts_with("/copies/")), "{asked:?}");
    assert_eq!(files(&home.path().join("cache")), ["downloads", "programs.lock"]);
    assert_eq!(files(&home.path().join("cache/downloads")), Vec::<String>::new());
}

#[test]
fn no_way_to_the_servers_is_known_at_once_and_no_error_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let began = Instant::now();
    let gone = run(sandbox(home.path(), &["--mirror", &url, "--", "plan"])).expect(1);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(gone.stderr.contains("not downloaded: 127.0.0.1 does not answer: "), "{}", gone.stderr);
    // The error is that there is no other way either.
    assert!(gone.stderr.contains("error: ") && gone.stderr.contains("no `go` is in PATH"), "{}", gone.stderr);
}

#[test]
fn offline_asks_nobody() {
    let home = tempfile::tempdir().unwrap();
    let (url, asked) = mirror("");
    let mut command = sandbox(home.path(), &["--offline", "--", "plan"]);
    command.env("EKS_BOOTSTRAP_MIRROR", url);
    let run = run(command).expect(1);
    assert!(run.stderr.contains("no `go` is in PATH") && !run.stderr.contains("not downloaded: "), "{}", run.stderr);
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn programs_of_the_users_are_taken_where_they_fit() {
    let home = tempfile::tempdir().unwrap();
    let assets = home.path().join("assets");
    fs::create_dir_all(&assets).unwrap();
    for name in ["etcd", "kube-apiserver"] {
        fs::write(assets.join(name), "#!/bin/sh\necho Kubernetes v1.30.2\n").unwrap();
    }
    let start = || {
        let mut command = sandbox(home.path(), &["--offline", "--", "plan"]);
        command.env("KUBEBUILDER_ASSETS", &assets);
        run(command).expect(1).stderr
    };
    let text = start();
    assert!(text.contains("has no kube-controller-manager, kube-scheduler"), "{text}");
}

#[test]
fn addresses_that_are_none_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for url in ["mirror", "ftp://mirror.example.com", "https://", "https://mirror.example.com/?x=y"] {
        let run = run(sandbox(home.path(), &["--mirror", url, "--", "plan"])).expect(64);
        assert!(run.stderr.contains(url) && run.stderr.contains("--mirror"), "{url}: {}", run.stderr);
    }
}

#[test]
fn what_is_kept_is_shown_and_removed_only_when_told() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let empty = run(sandbox(home.path(), &["clean"])).expect(0);
    assert_eq!(empty.stdout, format!("{} holds nothing\n", cache.display()));

    fs::create_dir_all(cache.join("etcd-3.6.8-0123")).unwrap();
    fs::write(cache.join("etcd-3.6.8-0123/etcd"), vec![0; 2_500_000]).unwrap();
    fs::create_dir_all(cache.join("downloads")).unwrap();
    fs::write(cache.join("downloads/4567"), vec![0; 100_000]).unwrap();
    let refused = run(sandbox(home.path(), &["clean"])).expect(4);
    let shown =
        format!("{} holds 2.6 MB:\n  downloads            0.1 MB\n  etcd-3.6.8-0123      2.5 MB\n", cache.display());
    assert_eq!(refused.stdout, shown);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert!(cache.join("etcd-3.6.8-0123/etcd").exists());

    let removed = run(sandbox(home.path(), &["clean", "--yes", "-o", "json"])).expect(0);
    let entries = json!([{"name": "downloads", "bytes": 100_000}, {"name": "etcd-3.6.8-0123", "bytes": 2_500_000}]);
    let expected = json!({"folder": cache, "entries": entries, "bytes": 2_600_000, "removed": true});
    assert_eq!(removed.json(), expected);
    assert_eq!(files(&cache), ["programs.lock"]);
}
