//! RBAC as it is applied: YAML with the reason of each rule, or a `List` in JSON. Pure; what is granted comes from
//! `permissions/cluster.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::escape::line;
use crate::permissions::cluster::{Rights, Rule};

const RBAC: &str = "rbac.authorization.k8s.io";

/// A role with its binding.
struct Granted<'a> {
    /// None for the whole cluster.
    namespace: Option<&'a str>,
    rules: &'a [Rule],
}

impl Granted<'_> {
    fn prefix(&self) -> &'static str {
        if self.namespace.is_some() { "" } else { "Cluster" }
    }
}

fn granted(rights: &Rights) -> impl Iterator<Item = Granted<'_>> {
    let cluster = Granted { namespace: None, rules: &rights.cluster };
    let namespaced = rights.namespaced.iter().map(|(namespace, rules)| Granted { namespace: Some(namespace), rules });
    namespaced.chain([cluster]).filter(|granted| !granted.rules.is_empty())
}

/// One `List` of all objects.
pub fn list(rights: &Rights) -> Value {
    let items: Vec<_> =
        granted(rights).flat_map(|granted| [role(rights, &granted), binding(rights, &granted)]).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn metadata(rights: &Rights, granted: &Granted<'_>) -> Value {
    match granted.namespace {
        Some(namespace) => json!({"name": rights.name, "namespace": namespace}),
        None => json!({"name": rights.name}),
    }
}

fn role(rights: &Rights, granted: &Granted<'_>) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": format!("{}Role", granted.prefix()),
        "metadata": metadata(rights, granted),
        "rules": granted.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn rule(rule: &Rule) -> Value {
    if !rule.urls.is_empty() {
        return json!({"nonResourceURLs": rule.urls, "verbs": rule.verbs});
    }
    let mut fields = BTreeMap::from([
        ("apiGroups", json!([rule.group])),
        ("resources", json!(rule.resources)),
        ("verbs", json!(rule.verbs)),
    ]);
    if !rule.names.is_empty() {
        fields.insert("resourceNames", json!(rule.names));
    }
    json!(fields)
}

fn binding(rights: &Rights, granted: &Granted<'_>) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": format!("{}RoleBinding", granted.prefix()),
        "metadata": metadata(rights, granted),
        "roleRef": {"apiGroup": RBAC, "kind": format!("{}Role", granted.prefix()), "name": rights.name},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": rights.group}],
    })
}

/// All objects as YAML documents, each rule under its reason, with `head` as comments before them.
pub fn yaml(rights: &Rights, head: &[String]) -> String {
    let mut text = String::new();
    for each in head {
        let _ = writeln!(text, "# {}", line(each));
    }
    for granted in granted(rights) {
        let mut role = role(rights, &granted);
        role["rules"] = json!([]);
        document(&mut text, &role, &["apiVersion", "kind", "metadata"]);
        text.push_str("rules:\n");
        let mut reason = "";
        for each in granted.rules {
            if each.reason != reason {
                reason = &each.reason;
                let _ = writeln!(text, "  # {}", line(reason));
            }
            let fields = rule(each);
            let order = ["apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs"];
            let fields =
                order.iter().filter_map(|name| fields.get(name).map(|value| format!("{name}: {}", flow(value))));
            let _ = writeln!(text, "  - {}", fields.collect::<Vec<_>>().join("\n    "));
        }
        document(&mut text, &binding(rights, &granted), &["apiVersion", "kind", "metadata", "roleRef", "subjects"]);
    }
    text
}

fn document(text: &mut String, object: &Value, fields: &[&str]) {
    text.push_str("---\n");
    for name in fields {
        let _ = writeln!(text, "{name}: {}", flow(&object[*name]));
    }
}

/// YAML's flow style. JSON is YAML; plain words need no quotes.
fn flow(value: &Value) -> String {
    match value {
        Value::String(word) if plain(word) => word.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", flow(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => line(&other.to_string()).into_owned(),
    }
}

/// Words that YAML reads as texts, whatever stands around them.
fn plain(word: &str) -> bool {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "-./".contains(letter);
    let reserved = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    word.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && word.chars().all(letters)
        && !reserved.contains(&word.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_say_the_same() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let one = |reason: &str, group: &str, resource: &str, names: &[&str]| Rule {
            reason: reason.to_owned(),
            group: group.to_owned(),
            resources: texts(&[resource]),
            urls: Vec::new(),
            names: texts(names),
            verbs: texts(&["get", "list"]),
        };
        let rights = Rights {
            name: "n".to_owned(),
            group: "team: a".to_owned(),
            namespaced: BTreeMap::from([("kube-system".to_owned(), vec![one("a", "", "secrets", &["on", "x"])])]),
            cluster: vec![one("b", "apps", "deployments", &[]), one("b", "apps", "daemonsets", &["1"])],
            unknown: Vec::new(),
        };
        let text = yaml(&rights, &["first".to_owned()]);
        assert!(text.starts_with("# first\n---\n"), "{text}");
        assert_eq!(text.matches("  # b\n").count(), 1, "{text}");
        let documents: Vec<Value> = text
            .split("---\n")
            .skip(1)
            .map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}")))
            .collect();
        assert_eq!(Value::Array(documents), list(&rights)["items"], "{text}");
    }
}
