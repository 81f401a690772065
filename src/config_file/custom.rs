//! Components of the user's own in the configuration file: which file describes one, and what is said about it beside. What such
//! a file holds is `component_file.rs`' business.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ChartOriginSpec, ChartSpec};
use crate::config::Identity;

/// A component that a file describes, and what is said about it here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomSpec {
    /// The file, relative to this one.
    pub file: String,
    /// On or off.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// The chart's version.
    #[serde(default)]
    pub version: Option<String>,
    /// Where the chart comes from.
    #[serde(default)]
    pub chart: ChartOriginSpec,
    /// Replicas of its controller.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// A role that exists and is to be used.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// How its pods get their role, where that differs from the others.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Chart values; they win over those of its file.
    #[serde(default)]
    pub values: Option<Value>,
    /// Fields of its objects that others own: `KIND/[NAMESPACE/]NAME PATH` as the plan prints them, with `*`.
    #[serde(default)]
    pub ignore_drift: Vec<String>,
}

impl CustomSpec {
    /// What it has in common with other components.
    pub fn as_chart(&self) -> ChartSpec {
        let CustomSpec { enabled, version, chart, replicas, role_arn, identity, values, ignore_drift, .. } =
            self.clone();
        ChartSpec {
            enabled,
            version,
            chart,
            replicas,
            role_arn,
            identity,
            values,
            ignore_drift,
            ..ChartSpec::default()
        }
    }
}

/// Names the files of components from where the program runs, since documents of several files are merged.
pub(super) fn anchor(document: &mut Value, folder: &Path) {
    let custom = document.pointer_mut("/spec/components/custom").and_then(Value::as_array_mut);
    for named in custom.into_iter().flatten().filter_map(|custom| custom.get_mut("file")) {
        if let Some(path) = named.as_str() {
            let path: PathBuf = folder.join(path).components().collect();
            *named = Value::from(path.display().to_string());
        }
    }
}
