//! Files that a user names and that are none: pipes to which nobody writes, devices, folders, and more than anybody means to give. Each
//! is refused at once, before anything is asked, with an error that names it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Run, program};

/// Nothing is read here, so nothing takes long; a run that waits for a writer would wait for ever.
const TIME: Duration = Duration::from_secs(30);

/// Ends a run that does not end by itself.
fn ended(mut command: Command) -> Run {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Held open, so that a pipe as standard input has no end.
    let held = child.stdin.take();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > TIME {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(held);
    child.wait_with_output().unwrap().into()
}

fn pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
}

/// Arguments, a variable, the exit code, and what the error has to say.
type Refusal<'a> = (&'a [&'a str], (&'a str, &'a str), i32, [&'a str; 2]);

const PIPE: &str = "it is a pipe (FIFO)";
const NONE: (&str, &str) = ("LANG", "C");
const PLAN: [&str; 5] = ["plan", "-c", "demo", "-r", "eu-west-1"];

#[test]
fn what_is_no_file_is_refused_before_anything_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    pipe(&at("pipe"));
    fs::create_dir(at("charts")).unwrap();
    pipe(&at("charts/aws-load-balancer-controller.tgz"));
    let described = include_str!("../../examples/components/external-dns.yaml");
    assert!(described.contains("./external-dns-policy.json"));
    fs::write(at("dns.yaml"), described.replace("./external-dns-policy.json", "pipe")).unwrap();
    let table: &[Refusal<'_>] = &[
        (&["-f", "pipe"], NONE, 64, ["`pipe`", PIPE]),
        (&["-f", "pipe"], NONE, 64, ["`pipe`", "`-f -`"]),
        (&["-f", "/dev/zero"], NONE, 64, ["`/dev/zero`", "it is a device, not a regular file"]),
        (&["-f", "charts"], NONE, 64, ["`charts`", "it is a folder, not a regular file"]),
        (&["--component-file", "pipe"], NONE, 64, ["`pipe`", PIPE]),
        (&["--component-file", "dns.yaml"], NONE, 64, ["`pipe`", PIPE]),
        (&["--kubeconfig", "pipe"], NONE, 64, ["`pipe` for --kubeconfig", PIPE]),
        (&["--kubeconfig", "/dev/zero"], NONE, 64, ["`/dev/zero` for --kubeconfig", "it is a device"]),
        (&["--helm", "pipe"], NONE, 64, ["`pipe` for --helm", PIPE]),
        (&["--charts", "pipe"], NONE, 64, ["pipe` for --charts", PIPE]),
        (&["--charts", "/dev/zero"], NONE, 64, ["`/dev/zero` for --charts", "it is a device"]),
        (&[], ("AWS_CONFIG_FILE", "pipe"), 64, ["AWS config file `pipe`", PIPE]),
        (&[], ("AWS_SHARED_CREDENTIALS_FILE", "/dev/zero"), 64, ["credentials file `/dev/zero`", "it is a device"]),
        (&[], ("AWS_CA_BUNDLE", "pipe"), 64, ["`pipe` for AWS_CA_BUNDLE", PIPE]),
        (&[], ("SSL_CERT_FILE", "pipe"), 64, ["`pipe` for SSL_CERT_FILE", PIPE]),
    ];
    let run = |arguments: &[&str], (name, value): (&str, &str), code: i32, expected: &[&str]| {
        let mut command = program(arguments, home.path());
        command.env(name, value).stdin(Stdio::null());
        let run = ended(command).expect(code);
        for text in expected {
            assert!(run.stderr.contains(text), "{arguments:?} {name}: no {text} in\n{}", run.stderr);
        }
    };
    for (arguments, variable, code, expected) in table {
        run(&[&PLAN[..], *arguments].concat(), *variable, *code, expected);
    }
    run(&["apply", "--yes", "pipe"], NONE, 64, &["`pipe`", PIPE]);
    run(&["sandbox", "--seed", "pipe", "--", "true"], NONE, 64, &["`pipe`", PIPE]);
    run(&["bundle", "--out", "b.tar"], ("AWS_CONFIG_FILE", "pipe"), 64, &["AWS config file `pipe`", PIPE]);
    let archive = ["charts/aws-load-balancer-controller.tgz`", PIPE];
    run(&["bundle", "--out", "b.tar", "--charts", "charts"], NONE, 4, &archive);
    assert!(!at("b.tar").exists());

    // As a shell hands over `<(...)`: an open pipe under a name in /dev/fd.
    let mut command = program(&[&PLAN[..], &["-f", "/dev/fd/0"]].concat(), home.path());
    command.stdin(Stdio::piped());
    let run = ended(command).expect(64);
    assert!(run.stderr.contains("`/dev/fd/0`") && run.stderr.contains("pipe it into `-f -`"), "{}", run.stderr);
}

#[test]
fn what_is_too_large_is_refused_with_its_limit() {
    let home = tempfile::tempdir().unwrap();
    let long = |name: &str, bytes: u64| fs::File::create(home.path().join(name)).unwrap().set_len(bytes).unwrap();
    for name in ["config.yaml", "plan.json", "ca.pem"] {
        long(name, 65 << 20);
    }
    // Five archives, each small enough, in a file that takes no room on the disk.
    let mut bundle = fs::File::create(home.path().join("bundle.tar")).unwrap();
    let mut size = 0;
    for number in 0..5 {
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("chart-{number}.tgz")).unwrap();
        header.set_size(60 << 20);
        header.set_mode(0o644);
        header.set_cksum();
        bundle.write_all(header.as_bytes()).unwrap();
        size += 512 + (60 << 20);
        bundle.set_len(size).unwrap();
        std::io::Seek::seek(&mut bundle, std::io::SeekFrom::End(0)).unwrap();
    }
    let table: &[Refusal<'_>] = &[
        (&["-f", "config.yaml"], NONE, 64, ["`config.yaml`", "it is larger than 16 MiB"]),
        (&["--charts", "bundle.tar"], NONE, 64, ["bundle.tar", "it unpacks to more than 256 MiB"]),
        (&[], ("AWS_CA_BUNDLE", "ca.pem"), 64, ["`ca.pem` for AWS_CA_BUNDLE", "it is larger than 4 MiB"]),
        (&[], ("AWS_CONFIG_FILE", "ca.pem"), 64, ["AWS config file `ca.pem`", "it is larger than 4 MiB"]),
    ];
    for (arguments, (name, value), code, expected) in table {
        let mut command = program(&[&PLAN[..], *arguments].concat(), home.path());
        command.env(name, value).stdin(Stdio::null());
        let run = ended(command).expect(*code);
        assert!(expected.iter().all(|text| run.stderr.contains(text)), "{arguments:?}: {}", run.stderr);
    }
    let mut command = program(&["apply", "--yes", "plan.json"], home.path());
    command.stdin(Stdio::null());
    let run = ended(command).expect(64);
    assert!(run.stderr.contains("`plan.json`") && run.stderr.contains("it is larger than 64 MiB"), "{}", run.stderr);

    // What is piped in has its limit too, however long it goes on.
    let mut command = program(&[&PLAN[..], &["-f", "-"]].concat(), home.path());
    command.stdin(fs::File::open("/dev/zero").unwrap());
    let run = ended(command).expect(64);
    assert!(run.stderr.contains("`-`") && run.stderr.contains("it is larger than 16 MiB"), "{}", run.stderr);
}
