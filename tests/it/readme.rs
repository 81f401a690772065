//! The README says what the program does: exit codes, steps, options and the example of a configuration file are held
//! against it.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use eks_bootstrap::cli::Cli;
use eks_bootstrap::{config_file, config_schema, exit_code, steps, versions};
use serde_json::Value;

pub(crate) const README: &str = include_str!("../../README.md");

/// What stands in the README as YAML.
pub(crate) fn yaml_blocks() -> impl Iterator<Item = &'static str> {
    README.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap())
}

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
        exit_code::HUNG_UP,
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
    let example = yaml_blocks().find(|block| block.contains("kind: ClusterBootstrap")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, example).unwrap();
    let read = config_file::read(std::slice::from_ref(&file), None).unwrap().unwrap();
    assert_eq!(read.spec.cluster.name.as_deref(), Some("demo"));
    std::fs::write(&file, example.replace("replicas", "replica")).unwrap();
    let error = eks_bootstrap::report::of(&config_file::read(&[file], None).unwrap_err());
    assert!(error.contains("unknown field `spec.components.awsLoadBalancerController.replica`"), "{error}");
}

/// A row of the table of options.
struct Row {
    /// With the dashes.
    flags: Vec<String>,
    /// Without what they all begin with.
    variables: Vec<String>,
    /// With the field of its group.
    fields: Vec<String>,
}

/// What stands in backticks.
fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn options() -> Vec<Row> {
    let table = README.split("\n## Options\n").nth(1).unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let (mut group, mut all) = (String::new(), Vec::new());
    for row in rows.skip(2) {
        let row = row.replace("\\|", "/");
        let cells: Vec<_> = row.split('|').skip(1).map(str::trim).collect();
        if cells[0].starts_with("**") {
            group = codes(cells[2]).next().map(|field| format!("{field}.")).unwrap_or_default();
            continue;
        }
        let flags = codes(cells[0]).map(|code| code.split(' ').next().unwrap().to_owned());
        all.push(Row {
            flags: flags.filter(|flag| flag.starts_with("--")).collect(),
            variables: codes(cells[1]).map(ToOwned::to_owned).collect(),
            fields: codes(cells[2]).map(|field| format!("{group}{field}")).collect(),
        });
    }
    all
}

#[test]
fn every_flag_of_plan_and_its_variable_is_in_the_table_of_options() {
    let mut program = Cli::command();
    program.build();
    let plan = program.find_subcommand("plan").unwrap();
    let rows = options();
    let mut known = BTreeSet::new();
    for argument in plan.get_arguments() {
        let Some(long) = argument.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
        let flag = format!("--{long}");
        let row = rows.iter().find(|row| row.flags.contains(&flag));
        let row = row.unwrap_or_else(|| panic!("{flag} is not in the table"));
        if let Some(variable) = argument.get_env() {
            let variable = variable.to_str().unwrap().strip_prefix("EKS_BOOTSTRAP_").unwrap();
            assert!(row.variables.iter().any(|named| named == variable), "{variable} does not stand beside {flag}");
        }
        known.insert(flag);
    }
    let told: BTreeSet<_> = rows.iter().flat_map(|row| row.flags.clone()).collect();
    assert_eq!(told.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "these do not exist");
    let variables = plan.get_arguments().filter_map(clap::Arg::get_env).count();
    assert_eq!(rows.iter().map(|row| row.variables.len()).sum::<usize>(), variables, "variables that do not exist");
}

/// The fields of the file that hold no other fields.
fn leaves(root: &Value, form: &Value, path: &str, all: &mut Vec<String>) {
    let of_list = form.get("items").unwrap_or(form);
    let form = match of_list["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => form,
    };
    let Some(fields) = form["properties"].as_object() else {
        all.push(path.to_owned());
        return;
    };
    for (name, field) in fields {
        leaves(root, field, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, all);
    }
}

/// Whether a field of the table, in which `*` stands for any component, is a field of the file.
fn is(told: &str, leaf: &str) -> bool {
    let (told, leaf): (Vec<_>, Vec<_>) = (told.split('.').collect(), leaf.split('.').collect());
    told.len() == leaf.len() && told.iter().zip(&leaf).all(|(told, leaf)| *told == "*" || told == leaf)
}

#[test]
fn every_field_of_the_file_is_in_the_table_of_options() {
    let (schema, mut known) = (config_schema::schema(), Vec::new());
    leaves(&schema, &schema, "", &mut known);
    assert!(known.len() > 40, "{known:?}");
    let told: Vec<_> = options().into_iter().flat_map(|row| row.fields).collect();
    let missing: Vec<_> = known.iter().filter(|leaf| !told.iter().any(|told| is(told, leaf))).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let unknown: Vec<_> = told.iter().filter(|told| !known.iter().any(|leaf| is(told, leaf))).collect();
    assert!(unknown.is_empty(), "no fields of the file: {unknown:?}");
}

#[test]
fn every_tried_set_is_in_the_readme() {
    let shown = |(major, minor): (u64, u64)| format!("{major}.{minor}");
    for set in versions::TRIED {
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} to {} |",
            set.component,
            set.chart,
            set.app,
            set.crds,
            set.policy,
            shown(set.kubernetes.0),
            shown(set.kubernetes.1)
        );
        assert!(README.contains(&row), "{row}");
    }
}
