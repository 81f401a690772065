//! What packages rely on: the name of the kubectl plugin, and the scripts of `packaging/`, which have tests of their own.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{PROGRAM, Run};

#[test]
fn a_kubectl_plugin_shows_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-eks_bootstrap");
    symlink(PROGRAM, &plugin).unwrap();
    let run = |arguments: &[&str]| Run::from(Command::new(&plugin).args(arguments).output().unwrap());
    let help = run(&["plan", "--help"]).expect(0);
    assert!(help.stdout.contains("Usage: kubectl eks-bootstrap plan "), "{}", help.stdout);
    let wrong = run(&["plan", "--wrong"]).expect(64);
    assert!(
        wrong.stderr.contains("kubectl eks-bootstrap plan") && !wrong.stderr.contains("eks_bootstrap"),
        "{}",
        wrong.stderr
    );
    assert!(run(&["--version"]).expect(0).stdout.starts_with("eks-bootstrap "));
}

/// Runs a script of `packaging/`, whose cases must all pass.
fn script(name: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
    let run = Run::from(Command::new("sh").arg(name).current_dir(path).output().unwrap()).expect(0);
    assert!(run.stdout.contains(" passed, 0 failed, "), "{}{}", run.stdout, run.stderr);
}

#[test]
fn the_installer_installs_only_what_it_has_verified() {
    script("install_test.sh");
}

#[test]
fn names_versions_and_addresses_of_packages_agree() {
    script("names_test.sh");
}

#[test]
fn the_action_keeps_the_words_of_others_apart() {
    script("action/action_test.sh");
}
