//! Files that describe a component of the user's own, `kind: Component`: reading one, with the policy document that it may
//! name. What the values may be is `config/custom.rs`' business, what becomes of them that of `component/definition.rs`.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::component::{Definition, PolicyText};
use crate::config_file::API_VERSION;
use crate::config_schema;
use crate::error::{Cause, Error, Result};
use crate::files;
use crate::yaml;

/// The only document of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentFile {
    /// `eks-bootstrap.dev/v1alpha1`.
    pub api_version: String,
    /// `Component`.
    pub kind: String,
    /// What it is called.
    pub metadata: ComponentName,
    /// What it is.
    pub spec: Definition,
}

/// What a component is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentName {
    /// Its name, and its Helm release's.
    pub name: String,
}

/// The form of such files as JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ComponentFile>();
    for (field, value) in [("apiVersion", API_VERSION), ("kind", "Component")] {
        if let Some(field) = schema.pointer_mut(&format!("/properties/{field}")) {
            field["const"] = json!(value);
        }
    }
    schema.insert("title".to_owned(), json!("Component"));
    schema.to_value()
}

/// The name and the description in a file.
///
/// # Errors
/// A file, or a policy document that it names, that cannot be read or is not of this form.
pub fn read(path: &Path) -> Result<(String, Definition)> {
    let text = files::text(path, yaml::LARGEST).map_err(|source| unusable(path, source.into()))?;
    let mut documents: Vec<Value> = yaml::documents(&text).map_err(|source| unusable(path, source.into()))?;
    let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
        return Err(unusable(path, "it has to hold one document, of one component".into()));
    };
    if let Some(unknown) = config_schema::unknown_field_of(&schema(), &document) {
        return Err(Error::UnknownField { path: path.display().to_string(), unknown });
    }
    let file: ComponentFile = yaml::typed(&text, &document).map_err(|reason| unusable(path, reason.into()))?;
    if file.api_version != API_VERSION || file.kind != "Component" {
        let found = format!("it is {} {}, not {API_VERSION} Component", file.api_version, file.kind);
        return Err(unusable(path, found.into()));
    }
    let mut definition = file.spec;
    if let Some(PolicyText::File(named)) = &definition.policy_document {
        let beside = path.parent().unwrap_or(Path::new("")).join(named);
        definition.policy_document = Some(PolicyText::Inline(policy(&beside)?));
    }
    Ok((file.metadata.name, definition))
}

fn policy(path: &Path) -> Result<Value> {
    let text = files::text(path, yaml::LARGEST).map_err(|source| unusable(path, source.into()))?;
    serde_json::from_str(&text).map_err(|source| unusable(path, source.into()))
}

fn unusable(path: &Path, source: Cause) -> Error {
    Error::ComponentFile { path: path.display().to_string(), source }
}
