//! The two commands of the README, `cargo run` and `cargo test`, share one build of the dependencies: cargo compiles a crate
//! again for every other set of features, and a dev-dependency can turn on more of them.
//! <https://doc.rust-lang.org/cargo/reference/features.html#feature-unification>

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates with the sets of features that they are built with, as cargo resolves them for these kinds of dependencies.
fn crates(kinds: &str) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(["tree", "--frozen", "--edges", kinds, "--prefix", "none", "--format", "{p}|{f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut crates = BTreeMap::<_, BTreeSet<_>>::new();
    for line in String::from_utf8_lossy(&run.stdout).lines().filter(|line| !line.is_empty()) {
        let (name, features) = line.trim_end_matches(" (*)").split_once('|').expect("the format has both");
        crates.entry(name.to_owned()).or_default().insert(features.to_owned());
    }
    crates
}

#[test]
fn the_program_and_its_tests_share_one_build_of_the_dependencies() {
    let (program, tests) = (crates("normal,build"), crates("normal,build,dev"));
    assert!(program.len() > 100, "{program:?}");
    let twice: Vec<_> = program
        .iter()
        .filter(|(name, features)| tests.get(*name) != Some(*features))
        .map(|(name, features)| format!("{name}: {features:?} for the program, {:?} for the tests", tests.get(name)))
        .collect();
    assert!(twice.is_empty(), "add to the feature `shared-build` in Cargo.toml what differs:\n{}", twice.join("\n"));
}

#[test]
fn no_crate_takes_a_laptop_of_its_own() {
    // One compiler process takes 8 GB for it, and 10 GB in a release build: read/ec2.rs does without.
    let tests = crates("normal,build,dev");
    assert!(!tests.keys().any(|name| name.starts_with("aws-sdk-ec2 ")), "{tests:?}");
}
