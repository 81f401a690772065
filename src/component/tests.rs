//! How values are laid on each other, and that ids and names are unique.

use super::*;
use serde_json::json;

#[test]
fn values_are_merged_as_helm_merges_them() {
    let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1]});
    merge(&mut value, &json!({"a": {"b": 3, "c": null}, "d": [2, 3], "e": true}));
    assert_eq!(value, json!({"a": {"b": 3, "c": null}, "d": [2, 3], "e": true}));
}

#[test]
fn places_are_filled() {
    let mut value = json!({"a": "${cluster}", "b": ["${other}", "x"]});
    let demo = "demo".to_owned();
    fill(&mut value, &|place| (place == "cluster").then_some(&demo));
    assert_eq!(value, json!({"a": "demo", "b": ["${other}", "x"]}));
}

#[test]
fn ids_and_names_are_unique() {
    for (place, component) in ALL.iter().enumerate() {
        assert!(ALL[..place].iter().all(|other| other.short != component.short && other.name != component.name));
    }
    let mut names: Vec<_> = names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len() + 1);
}
