//! The README says what the program does: exit codes, steps, and the example of a configuration file are held against it.

use std::collections::BTreeSet;

use eks_bootstrap::{config_file, exit_code, steps};

const README: &str = include_str!("../../README.md");

/// The first cells of the table under a heading.
fn first_cells(heading: &str) -> BTreeSet<String> {
    let section = README.split(heading).nth(1).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.split('|').nth(1).unwrap().trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn every_exit_code_is_in_the_readme() {
    let codes = [
        exit_code::DONE,
        exit_code::FAILED,
        exit_code::CHANGES_PENDING,
        exit_code::CHECK_FAILED,
        exit_code::REFUSED,
        exit_code::USAGE,
        exit_code::NO_PERMISSION,
        exit_code::INTERRUPTED,
        exit_code::TERMINATED,
    ];
    assert_eq!(first_cells("## Exit codes"), codes.iter().map(ToString::to_string).collect());
}

#[test]
fn every_step_is_in_the_readme() {
    assert_eq!(first_cells("## Steps"), steps::ids(&eks_bootstrap::component::BUILT_IN).into_iter().collect());
}

#[test]
fn the_example_file_is_understood() {
    let blocks = README.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let example = blocks.into_iter().find(|block| block.contains("kind: ClusterBootstrap")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, example).unwrap();
    let read = config_file::read(std::slice::from_ref(&file), None).unwrap().unwrap();
    assert_eq!(read.spec.cluster.name.as_deref(), Some("demo"));
    std::fs::write(&file, example.replace("replicas", "replica")).unwrap();
    let error = eks_bootstrap::report::of(&config_file::read(&[file], None).unwrap_err());
    assert!(error.contains("unknown field `spec.components.awsLoadBalancerController.replica`"), "{error}");
}
