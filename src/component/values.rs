//! The values that a component's chart is given: a template with places to fill, the user's on top. Pure.

use serde_json::Value;

use super::{Component, places};
use crate::config::{Config, Identity};
use crate::context::Facts;
use crate::images;

/// Where the ARN of the role stands.
pub const ROLE: &str = "${role_arn}";

impl Component {
    /// The chart's values: what is always set, with the user's on top.
    pub fn chart_values(&self, config: &Config, facts: &Facts) -> Value {
        let configured = self.configured(config);
        let mut values: Value = serde_saphyr::from_str(self.values).expect("value templates are part of the program");
        let role_arn = self.role_arn(config, facts);
        if self.identity(config) == Identity::PodIdentity {
            // Beside the association an annotation has no effect, and would get one the moment that is deleted.
            drop_places(&mut values, ROLE);
        }
        fill(&mut values, &|text| places::filled(text, facts).replace(ROLE, &role_arn));
        if let Some(replicas) = configured.replicas {
            merge(&mut values, &nested(self.replicas_value.iter().copied(), Value::from(replicas)));
        }
        if config.isolated {
            let isolated = serde_saphyr::from_str(self.isolated_values);
            merge(&mut values, &isolated.expect("value templates are part of the program"));
        }
        if let Some(registry) = &config.image_registry {
            for image in self.images {
                let moved = Value::from(images::moved(image.repository, registry));
                merge(&mut values, &nested(image.value.split('.'), moved));
            }
        }
        merge(&mut values, &configured.values);
        values
    }

    /// The repositories of the images that its chart can run with these values.
    pub fn image_repositories(&self, values: &Value) -> Vec<String> {
        let named =
            |path: &str| path.split('.').try_fold(values, |value, name| value.get(name)).and_then(Value::as_str);
        self.images.iter().map(|image| named(image.value).unwrap_or(image.repository).to_owned()).collect()
    }

    /// The configuration of its EKS add-on: what the user says, and nothing that EKS fills in itself.
    pub fn addon_configuration(&self, config: &Config) -> Value {
        let configured = self.configured(config);
        let mut values = serde_json::json!({});
        if let Some(replicas) = configured.replicas {
            merge(&mut values, &nested(self.replicas_value.iter().copied(), Value::from(replicas)));
        }
        merge(&mut values, &configured.values);
        values
    }
}

/// `value` at the end of a path of names.
fn nested<'a>(path: impl DoubleEndedIterator<Item = &'a str>, value: Value) -> Value {
    path.rev().fold(value, |value, name| serde_json::json!({ name: value }))
}

/// Replaces places in all texts of `value`.
fn fill(value: &mut Value, filled: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = filled(text),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, filled)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, filled)),
        _ => {}
    }
}

/// Lays `over` on `value` as helm lays values: objects are merged, everything else is replaced. A null stays, since to
/// helm it means "not even the chart's default".
pub fn merge(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(fields), Value::Object(overs)) => {
            for (name, over) in overs {
                merge(fields.entry(name.clone()).or_insert(Value::Null), over);
            }
        }
        (value, over) => *value = over.clone(),
    }
}

/// Takes out every field whose value is `place`.
fn drop_places(value: &mut Value, place: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| drop_places(item, place)),
        Value::Object(fields) => {
            fields.retain(|_, field| field != place);
            fields.values_mut().for_each(|field| drop_places(field, place));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
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
        fill(&mut value, &|text| text.replace("${cluster}", "demo"));
        assert_eq!(value, json!({"a": "demo", "b": ["${other}", "x"]}));
    }

    #[test]
    fn a_path_of_names_leads_to_the_value() {
        assert_eq!(nested("a.b.c".split('.'), json!(1)), json!({"a": {"b": {"c": 1}}}));
    }

    #[test]
    fn a_field_that_only_holds_a_place_can_be_left_out() {
        let mut value = json!({"account": {"annotations": {"role": "${role_arn}"}, "create": true}, "x": "${cluster}"});
        drop_places(&mut value, "${role_arn}");
        assert_eq!(value, json!({"account": {"annotations": {}, "create": true}, "x": "${cluster}"}));
    }
}
