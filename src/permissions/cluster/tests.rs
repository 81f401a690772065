//! What the tables make of rules.

use super::*;

fn rule(resource: &str, names: &[&str], verbs: &[&str]) -> Rule {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Rule {
        reason: "r".to_owned(),
        group: String::new(),
        resources: texts(&[resource]),
        urls: Vec::new(),
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
