//! Components of the user's files in the configuration, and the rules for them, all of which are checked offline. Reading the
//! files is `component_file.rs`' business.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Wanted;
use crate::component::{self, BUILT_IN, Component, Definition, GP3_STORAGE_CLASS, Maker, places};
use crate::component_file;
use crate::config::{ChartComponent, Config, Identity};
use crate::config_file::{ComponentsSpec, CustomSpec};
use crate::context::Facts;
use crate::error::{Error, Result};
use crate::policy::{Document, Kind};
use crate::validate;

/// Helm names releases with at most 53 characters. <https://helm.sh/docs/chart_best_practices/conventions/>
const RELEASE_NAME_LIMIT: usize = 53;

/// IAM attaches ten managed policies to a role. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const ATTACHMENTS: usize = 10;

/// A component of a file, and what is said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Custom {
    /// Its name.
    pub name: String,
    /// The file that describes it, for messages and for `config view`.
    pub file: String,
    /// What the file says.
    pub definition: Definition,
    /// What the configuration says.
    pub settings: ChartComponent,
}

/// The components of files, of the configuration file and then of flags. A file that is named twice counts once.
pub(super) fn of_files(parts: &ComponentsSpec, wanted: &Wanted) -> Result<Vec<(Component, CustomSpec, Definition)>> {
    let flags = wanted
        .component_files
        .iter()
        .map(|file| CustomSpec { file: file.display().to_string(), ..CustomSpec::default() });
    let mut specs: Vec<CustomSpec> = Vec::new();
    for spec in parts.custom.iter().cloned().chain(flags) {
        if specs.iter().all(|known| known.file != spec.file) {
            specs.push(spec);
        }
    }
    let read = |mut spec: CustomSpec| {
        let (name, definition) = component_file::read(Path::new(&spec.file))?;
        // A digest is of one version: where another one is wanted, that of the file says nothing.
        let digest = definition.chart.digest.as_ref().filter(|_| spec.version.is_none());
        spec.chart.digest = spec.chart.digest.or_else(|| digest.cloned());
        Ok((definition.component(&name), spec, definition))
    };
    specs.into_iter().map(read).collect()
}

impl Config {
    /// What the configuration says about a component of a file.
    ///
    /// # Panics
    /// The component is not one of this configuration; components are made from it, so they are.
    pub(crate) fn custom_settings(&self, name: &str) -> &ChartComponent {
        let found = self.custom.iter().find(|custom| custom.name == name);
        &found.expect("the component is made from this configuration").settings
    }
}

/// Checks everything about components of files.
pub(super) fn check(config: &Config) -> Result<()> {
    for (place, custom) in config.custom.iter().enumerate() {
        unique(custom, &config.custom[..place])?;
        definition(custom)?;
        let component = custom.definition.component(&custom.name);
        permissions(config, custom, &component)?;
        if let (Some(replicas), None) = (custom.settings.replicas, &custom.definition.replicas_value) {
            let mend = "say in the component's file which value it is (replicasValue), or set it in `values`";
            return refuse(custom, "replicas", &replicas.to_string(), "no value of its chart is known for it", mend);
        }
    }
    Ok(())
}

fn refuse(custom: &Custom, field: &str, value: &str, reason: &str, mend: &str) -> Result<()> {
    Err(Error::config(format!("{field} of {} ({})", custom.name, custom.file), value, reason, mend))
}

/// Names, long and short, are those of nobody else.
fn unique(custom: &Custom, before: &[Custom]) -> Result<()> {
    let short = custom.definition.short(&custom.name);
    let built_in = BUILT_IN.iter().flat_map(|component| [component.name, component.short]);
    let others = before.iter().flat_map(|other| [other.name.as_str(), other.definition.short(&other.name)]);
    let taken: Vec<_> = built_in.chain([GP3_STORAGE_CLASS]).chain(others).collect();
    for (field, value) in [("metadata.name", custom.name.as_str()), ("spec.shortName", short)] {
        if taken.contains(&value) {
            return refuse(custom, field, value, "another component has that name", "choose another one");
        }
        if !is_label(value) || value.len() > RELEASE_NAME_LIMIT {
            let mend = "use up to 53 lower-case letters, digits and hyphens, as Helm does for releases";
            return refuse(custom, field, value, "not a name for a release", mend);
        }
    }
    Ok(())
}

/// A DNS label, as Kubernetes names things.
fn is_label(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(good) && !text.starts_with('-') && !text.ends_with('-')
}

fn definition(custom: &Custom) -> Result<()> {
    let definition = &custom.definition;
    let names = "use lower-case letters, digits and hyphens, as Kubernetes does";
    if !is_label(&definition.namespace) {
        return refuse(custom, "spec.namespace", &definition.namespace, "not a namespace's name", names);
    }
    let account = &definition.service_account.name;
    if !account.split('.').all(is_label) {
        return refuse(custom, "spec.serviceAccount.name", account, "not a service account's name", names);
    }
    for (field, values) in [("spec.values", &definition.values), ("spec.isolatedValues", &definition.isolated_values)] {
        if !values.is_object() {
            return refuse(custom, field, &values.to_string(), "not a mapping", "give `key: value` pairs");
        }
        if let Some((text, meant)) = places::misspelled(&values.to_string()) {
            return refuse(custom, field, &text, "there is no such place", &format!("write ${{{meant}}}"));
        }
    }
    for object in &definition.objects {
        if object.api_version.is_empty() || object.kind.is_empty() || object.name.is_empty() {
            let mend = "give apiVersion, kind and name";
            return refuse(custom, "spec.objects", &object.kind, "an object without one of its names", mend);
        }
    }
    let paths = definition.images.iter().map(|image| ("spec.images", &image.value));
    for (field, path) in paths.chain(definition.replicas_value.iter().map(|path| ("spec.replicasValue", path))) {
        if path.split('.').any(str::is_empty) {
            let mend = "write it as in `controller.replicaCount`";
            return refuse(custom, field, path, "not the path of a value", mend);
        }
    }
    Ok(())
}

/// What its role may do, and whether its pods get it.
fn permissions(config: &Config, custom: &Custom, component: &Component) -> Result<()> {
    let definition = &custom.definition;
    let facts = anywhere(config);
    if let Some(text) = definition.policy_text() {
        let field = "spec.policyDocument";
        if let Some((found, meant)) = places::misspelled(&text) {
            return refuse(custom, field, &found, "there is no such place", &format!("write ${{{meant}}}"));
        }
        let mend = "give an IAM policy document with Version and Statement, of at most 6,144 characters";
        let parsed = Document::parse(&places::filled(&text, &facts));
        let valid = parsed.and_then(|document| document.validate(Kind::Permissions).map(|()| document));
        if let Err(error) = valid {
            return refuse(custom, field, &shortened(&text), &error.to_string(), mend);
        }
    }
    for arn in &definition.policy_arns {
        let field = format!("spec.policyArns of {} ({})", custom.name, custom.file);
        if let Some((found, meant)) = places::misspelled(arn) {
            return refuse(custom, "spec.policyArns", &found, "there is no such place", &format!("write ${{{meant}}}"));
        }
        validate::iam_arn(&field, &places::filled(arn, &facts), "policy")?;
    }
    let attached = definition.policy_arns.len() + usize::from(definition.policy_document.is_some());
    if attached > ATTACHMENTS {
        let mend = "put what they allow into policyDocument";
        let reason = "IAM attaches ten policies to a role";
        return refuse(custom, "spec.policyArns", &attached.to_string(), reason, mend);
    }
    if !component.has_role() {
        let Some(arn) = &custom.settings.role_arn else { return Ok(()) };
        let mend =
            "name the policies that are to be attached to it: policyDocument or policyArns in the component's file";
        return refuse(custom, "roleArn", arn, "the component has no permissions in AWS", mend);
    }
    let by_chart = definition.service_account.created_by == Maker::Chart;
    let placed = definition.values.to_string().contains(component::ROLE_PLACE);
    if by_chart && !placed && component.identity(config) == Identity::Irsa {
        let mend = "set it by the chart's value for annotations of the service account, \
                    `eks.amazonaws.com/role-arn: ${role_arn}`, or let createdBy be eksBootstrap";
        return refuse(custom, "spec.values", "no ${role_arn}", "its pods would not get the role", mend);
    }
    Ok(())
}

/// Facts for checking texts: what the configuration knows, and something of the same form for the rest.
fn anywhere(config: &Config) -> Facts {
    let region = config.region.as_deref().unwrap_or("us-east-1");
    Facts::offline(&config.cluster, region, config.account.as_deref().unwrap_or("111122223333"))
}

fn shortened(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_kubernetes() {
        for good in ["a", "external-dns", "x2"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert_eq!(shortened("{\"a\": 1}"), "{\"a\":1}");
        let long = format!("\"{}\"", "x".repeat(100));
        assert_eq!(shortened(&long).chars().count(), 60);
    }
}
