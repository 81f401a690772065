//! What the tables make of rules.

use super::*;

fn rule(resource: &str, names: &[&str], verbs: &[&str]) -> Rule {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Rule {
        reason: "r".to_owned(),
        group: String::new(),
        resources: texts(&[resource]),
        names: texts(names),
        verbs: texts(verbs),
    }
}

#[test]
fn what_another_rule_grants_is_not_said_again() {
    let rules = [
        rule("secrets", &["tls"], &["get", "delete"]),
        rule("secrets", &[], &["get", "list"]),
        rule("pods", &[], &["get", "list"]),
        rule("pods", &[], &["list"]),
    ];
    let mut shared = rule("secrets", &[], &["get", "list"]);
    shared.resources.push("pods".to_owned());
    assert_eq!(shortened(&rules), [rule("secrets", &["tls"], &["delete"]), shared]);
}

#[test]
fn names_do_not_spread_to_other_kinds() {
    let rules = [rule("services", &["a"], &["get"]), rule("secrets", &["b"], &["get"])];
    assert_eq!(shortened(&rules), rules);
}

#[test]
fn the_tables_speak_of_components_that_exist() {
    let known: Vec<_> = crate::component::ALL.iter().map(|component| component.name).collect();
    let named = CHARTS.iter().map(|row| row.0).chain(CHART_CRDS.iter().map(|row| row.0));
    assert!(named.into_iter().chain(BOUND.iter().map(|row| row.0)).all(|name| known.contains(&name)));
    for component in crate::component::ALL {
        assert!(CHARTS.iter().any(|row| row.0 == component.name), "{} has a chart", component.name);
        assert_eq!(CHART_CRDS.iter().any(|row| row.0 == component.name), component.has_crds, "{}", component.name);
    }
}
