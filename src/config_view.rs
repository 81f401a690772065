//! The merged configuration in the form of the file, with where each value came from. Pure; `commands/config.rs` gathers the
//! sources, `render/config_view.rs` draws.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::config_file::ClusterBootstrap;
use crate::secrets::Place;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(String),
    /// A variable of the environment.
    Variable(String),
    /// A configuration file.
    File(String),
    /// The program.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) | Origin::Variable(name) | Origin::File(name) => f.write_str(name),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One value of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its place in the file: `spec`, `iam`, `path`. Keys of tags and chart values may hold dots.
    pub path: Vec<String>,
    /// What is in force; null where nothing is set.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// What the sources say: flags and variables by the place of the field that they set, and the files in their order.
#[derive(Debug, Default)]
pub struct Sources {
    /// Fields set by a flag or a variable.
    pub flags: BTreeMap<String, Origin>,
    /// Name and content of each file.
    pub files: Vec<(String, Value)>,
}

impl Sources {
    fn of(&self, path: &[String]) -> Origin {
        // A flag may stand for one value or, as `--enable` does, for a field of it.
        if let Some(origin) = self.flags.get(&path.join(".")) {
            return origin.clone();
        }
        let says = |document: &Value| {
            let found = path.iter().try_fold(document, |value, key| value.get(key));
            found.is_some_and(|value| !value.is_null())
        };
        let file = self.files.iter().rev().find(|(_, document)| says(document));
        file.map_or(Origin::Default, |(name, _)| Origin::File(name.clone()))
    }
}

/// Every value of the effective configuration, in the order of the file's form.
pub fn settings(effective: &ClusterBootstrap, sources: &Sources) -> Vec<Setting> {
    let mut settings = Vec::new();
    let document = serde_json::to_value(effective).unwrap_or_default();
    walk(&document["spec"], &["spec".to_owned()], &Place::default(), sources, &mut settings);
    settings
}

fn walk(value: &Value, path: &[String], place: &Place, sources: &Sources, settings: &mut Vec<Setting>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let path = [path, std::slice::from_ref(name)].concat();
                walk(field, &path, &place.member(name, field), sources, settings);
            }
        }
        value => {
            settings.push(Setting { path: path.to_vec(), value: place.masked(value), origin: sources.of(path) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_names_its_nearest_source() {
        let sources = Sources {
            flags: BTreeMap::from([("spec.cluster.name".to_owned(), Origin::Flag("--cluster".to_owned()))]),
            files: vec![
                ("base.yaml".to_owned(), json!({"spec": {"iam": {"path": "/a/", "namePrefix": "x-"}}})),
                ("prod.yaml".to_owned(), json!({"spec": {"iam": {"path": "/b/", "tags": {"a.b/c": "d"}}}})),
            ],
        };
        let origin = |path: &str| {
            let path: Vec<_> = path.split(' ').map(ToOwned::to_owned).collect();
            sources.of(&path).to_string()
        };
        assert_eq!(origin("spec cluster name"), "--cluster");
        assert_eq!(origin("spec iam path"), "prod.yaml");
        assert_eq!(origin("spec iam namePrefix"), "base.yaml");
        assert_eq!(origin("spec iam tags a.b/c"), "prod.yaml");
        assert_eq!(origin("spec iam permissionsBoundary"), "default");
    }

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        let text = json!({"apiVersion": "x", "kind": "y", "spec": {"components": {"awsEbsCsiDriver":
            {"values": {"db": {"password": "hunter2"}, "replicas": 2}}}}});
        let document: ClusterBootstrap = serde_json::from_value(text).unwrap();
        let shown: BTreeMap<_, _> = settings(&document, &Sources::default())
            .into_iter()
            .map(|setting| (setting.path.join("."), setting.value))
            .collect();
        assert_eq!(shown["spec.components.awsEbsCsiDriver.values.db.password"], "(hidden)");
        assert_eq!(shown["spec.components.awsEbsCsiDriver.values.replicas"], 2);
        assert_eq!(shown["spec.iam.path"], Value::Null);
    }
}
