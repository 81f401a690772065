//! Values are read as helm reads them: what the program takes from a file is what the real helm makes of the same text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::support::HelmMajor;
use serde_json::Value;

use crate::support::{Run, helm, program};

/// Scalars that YAML 1.1, YAML 1.2 and JSON take for different things, and texts that look like something else.
const FORMS: [&str; 58] = [
    "010",
    "0644",
    "0o17",
    "012345670123",
    "012345678901",
    "08",
    "00",
    "-010",
    "+7",
    "1e3",
    "1E3",
    "1e+3",
    "1.e3",
    "1.",
    ".5",
    "-.5",
    "1.20",
    "1_000",
    "1__0",
    "0_7",
    "0x1F",
    "0x",
    "0b11",
    "9007199254740993",
    "-9007199254740993",
    "18446744073709551615",
    "1000000000000000000000",
    "1e21",
    "0.1e-2",
    "1:30",
    "12:30:45",
    "2001-01-01",
    "2001-12-14T21:59:43.10-05:00",
    "yes",
    "No",
    "nO",
    "ON",
    "Off",
    "y",
    "N",
    "true",
    "True",
    "TRUE",
    "tRue",
    "~",
    "null",
    "Null",
    "\"010\"",
    "'yes'",
    "\"\\x41\\u00e9\\n\"",
    "!!str 010",
    "!!int \"7\"",
    "!!float 1",
    "{a: 010, b: [yes, ~]}",
    "[1, 1.0, 1.50]",
    "v1.2.3",
    "1.2.3",
    "=",
];

/// Forms that nobody writes, of which the YAML library makes a text (the first) or true and false (the others) where helm does not.
const OTHERWISE: [&str; 3] = ["1__0", "nO", "tRue"];

/// Forms of several lines.
const BLOCKS: &str = "literal: |\n  a\n   b\nfolded: >-\n  a\n  b\n\n  c\nanchored: &it {x: 1, z: 010}\nagain: *it\nmerged:\n  <<: *it\n  z: 2\n\
                      empty:\nquoted key: {\"a b\": 1, 'c': 2}\n7: seven\n";

fn document() -> String {
    let mut text = String::new();
    for (place, form) in FORMS.iter().enumerate() {
        let _ = writeln!(text, "form{place:02}: {form}");
    }
    text + BLOCKS
}

/// What helm makes of a file of values.
fn helms(major: HelmMajor, values: &std::path::Path) -> Value {
    let chart = values.parent().unwrap().join("shown");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: shown\nversion: 1.0.0\n").unwrap();
    fs::write(chart.join("templates/values.yaml"), "shown: {{ toJson .Values | quote }}\n").unwrap();
    let command = &mut Command::new(helm(major));
    command.env("HELM_CACHE_HOME", &chart).args(["template", "x"]).arg(&chart).arg("--values").arg(values);
    let run = Run::from(command.output().unwrap()).expect(0);
    let manifest: Value = serde_saphyr::from_str(run.stdout.split_once("shown: ").unwrap().1).unwrap();
    serde_json::from_str(manifest.as_str().unwrap()).unwrap()
}

#[test]
fn every_form_of_a_value_is_what_both_helms_make_of_it() {
    let home = tempfile::tempdir().unwrap();
    let values = home.path().join("values.yaml");
    fs::write(&values, document()).unwrap();
    let indented = document().lines().map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n");
    let file = format!(
        "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {{name: demo}}\n  components:\n    \
         metricsServer:\n      values:\n{indented}"
    );
    fs::write(home.path().join("demo.yaml"), file).unwrap();
    let view = Run::from(program(&["config", "view", "-f", "demo.yaml", "-o", "json"], home.path()).output().unwrap());
    let view = view.expect(0).json();
    let place = ["spec", "components", "metricsServer", "values"].map(Value::from);
    let mut ours = BTreeMap::new();
    for field in view.as_array().unwrap() {
        if let Some(path) = field["path"].as_array().unwrap().strip_prefix(&place) {
            let path: Vec<_> = path.iter().map(|step| step.as_str().unwrap().to_owned()).collect();
            ours.insert(path, field["value"].clone());
        }
    }
    for major in [HelmMajor::Three, HelmMajor::Four] {
        let mut theirs = BTreeMap::new();
        leaves(&helms(major, &values), &[], &mut theirs);
        let form = |path: &[String]| path[0].strip_prefix("form").map(|place| FORMS[place.parse::<usize>().unwrap()]);
        let differ = theirs.iter().filter(|(path, value)| ours.get(*path) != Some(value));
        let differ: Vec<_> = differ.map(|(path, value)| (form(path), path, ours.get(path), value)).collect();
        let forms: Vec<_> = differ.iter().filter_map(|(form, ..)| *form).collect();
        assert!(forms == OTHERWISE && differ.len() == OTHERWISE.len(), "what {major:?} reads otherwise: {differ:#?}");
        assert_eq!(ours.len(), theirs.len(), "{ours:#?}");
    }
}

/// The values by their paths; a list is one of them.
fn leaves(value: &Value, path: &[String], all: &mut BTreeMap<Vec<String>, Value>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => {
            for (name, value) in fields {
                leaves(value, &[path, std::slice::from_ref(name)].concat(), all);
            }
        }
        None => drop(all.insert(path.to_vec(), value.clone())),
    }
}
