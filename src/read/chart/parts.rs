//! Charts inside charts, as far as their CRDs go: which of them are turned on under some values, as helm decides it.
//! Pure; the files are read by `content.rs`.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::component::merge;

/// A chart that another one brings, as `Chart.yaml` of the outer one says (<https://helm.sh/docs/topics/charts/>).
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Dependency {
    name: String,
    alias: Option<String>,
    /// Paths of values, separated by commas: the first that says yes or no decides.
    #[serde(default)]
    condition: String,
    /// Names under `tags` of the outermost values.
    #[serde(default)]
    tags: Vec<String>,
}

impl Dependency {
    /// Under which name the outer chart's values hold the inner one's.
    fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    fn is_on(&self, values: &Value, tags: &Value) -> bool {
        let mut conditions = self.condition.split(',').map(str::trim).filter(|path| !path.is_empty());
        let said = |path: &str| path.split('.').try_fold(values, |value, name| value.get(name))?.as_bool();
        if let Some(said) = conditions.find_map(said) {
            return said;
        }
        let told: Vec<_> = self.tags.iter().filter_map(|tag| tags.get(tag)?.as_bool()).collect();
        told.is_empty() || told.contains(&true)
    }
}

/// What of a chart decides about CRDs.
#[derive(Debug, Clone, Default)]
pub(super) struct Chart {
    pub(super) name: String,
    pub(super) crds: Vec<Value>,
    /// The chart's own values.
    pub(super) values: Value,
    pub(super) dependencies: Vec<Dependency>,
    /// The charts in its folder `charts`.
    pub(super) parts: Vec<Chart>,
}

impl Chart {
    /// Its CRDs and those of the charts in it that are turned on under these values, each once: the outermost one's counts.
    pub(super) fn crds(&self, values: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        let mut values = values.clone();
        self.add_defaults(&mut values);
        let tags = values.get("tags").cloned().unwrap_or_default();
        self.add_crds(&values, &tags, &mut found);
        found
    }

    fn add_crds(&self, values: &Value, tags: &Value, found: &mut Vec<Value>) {
        for crd in &self.crds {
            if !found.iter().any(|known| known["metadata"]["name"] == crd["metadata"]["name"]) {
                found.push(crd.clone());
            }
        }
        for part in &self.parts {
            let mut keys: Vec<_> = self.of(part).filter(|one| one.is_on(values, tags)).map(Dependency::key).collect();
            // One that lies there without being declared is always on.
            if self.of(part).next().is_none() {
                keys.push(&part.name);
            }
            for key in keys {
                part.add_crds(&values[key], tags, found);
            }
        }
    }

    fn of<'a>(&'a self, part: &'a Chart) -> impl Iterator<Item = &'a Dependency> {
        self.dependencies.iter().filter(|dependency| dependency.name == part.name)
    }

    /// Fills in what the values leave to the charts: the outer chart's words count more than the inner one's.
    fn add_defaults(&self, values: &mut Value) {
        let given = std::mem::replace(values, self.values.clone());
        if !values.is_object() {
            *values = Value::Object(Map::new());
        }
        if given.is_object() {
            merge(values, &given);
        }
        for part in &self.parts {
            let declared: Vec<_> = self.of(part).map(|dependency| dependency.key().to_owned()).collect();
            for key in if declared.is_empty() { vec![part.name.clone()] } else { declared } {
                part.add_defaults(&mut values[key.as_str()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chart(name: &str, values: Value) -> Chart {
        let crds = vec![json!({"metadata": {"name": format!("{name}s.example.com")}})];
        Chart { name: name.to_owned(), crds, values, ..Chart::default() }
    }

    fn names(chart: &Chart, values: &Value) -> Vec<String> {
        let name = |crd: &Value| crd["metadata"]["name"].as_str().unwrap().trim_end_matches("s.example.com").to_owned();
        chart.crds(values).iter().map(name).collect()
    }

    #[test]
    fn crds_of_inner_charts_follow_their_switches() {
        let dependency = |text: Value| serde_json::from_value::<Dependency>(text).unwrap();
        let outer = Chart {
            dependencies: vec![
                dependency(json!({"name": "on"})),
                dependency(json!({"name": "off", "condition": "nothing.there, off.enabled"})),
                dependency(json!({"name": "tagged", "tags": ["front", "back"]})),
            ],
            parts: vec![
                chart("on", json!({})),
                Chart { parts: vec![chart("inner", json!({}))], ..chart("off", json!({"enabled": false})) },
                chart("tagged", json!({})),
                chart("loose", json!({})),
            ],
            ..chart("outer", json!({"tags": {"back": false}}))
        };
        assert_eq!(names(&outer, &json!({})), ["outer", "on", "loose"]);
        assert_eq!(names(&outer, &json!({"off": {"enabled": true}})), ["outer", "on", "off", "inner", "loose"]);
        assert_eq!(names(&outer, &json!({"tags": {"front": true}})), ["outer", "on", "tagged", "loose"]);
    }

    #[test]
    fn a_crd_of_two_charts_is_the_outermost_ones() {
        let outer = Chart { parts: vec![chart("same", json!({}))], ..chart("same", json!({})) };
        assert_eq!(names(&outer, &json!({})), ["same"]);
    }
}
