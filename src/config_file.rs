//! The configuration file: its form, and reading one or several of them. What the values mean is `config.rs`' business.

mod custom;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::component::merge;
use crate::config::Identity;
use crate::config_schema;
use crate::error::{Cause, Error, FileKind, Result};
use crate::files::{self, Unreadable};
use crate::yaml;

pub use custom::CustomSpec;

/// The form's name and version.
pub const API_VERSION: &str = "eks-bootstrap.dev/v1alpha1";

/// One document of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterBootstrap {
    /// `eks-bootstrap.dev/v1alpha1`.
    pub api_version: String,
    /// `ClusterBootstrap`.
    pub kind: String,
    /// A name for the document.
    #[serde(default)]
    pub metadata: Metadata,
    /// What is wanted.
    #[serde(default)]
    pub spec: Spec,
}

/// A name for the document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name.
    pub name: Option<String>,
}

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spec {
    /// Which cluster.
    pub cluster: ClusterSpec,
    /// What every IAM object gets.
    pub iam: IamSpec,
    /// Where every image comes from, instead of its own registry: a host, perhaps with a path.
    pub image_registry: Option<String>,
    /// The cluster has no way to the internet.
    pub isolated: Option<bool>,
    /// How pods get their role, unless a component says otherwise.
    pub identity: Option<Identity>,
    /// What is installed.
    pub components: ComponentsSpec,
}

/// Which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// Its name.
    pub name: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// A guard: any other account is refused.
    pub account: Option<String>,
}

/// What every IAM object gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IamSpec {
    /// Put before every name.
    pub name_prefix: Option<String>,
    /// IAM path.
    pub path: Option<String>,
    /// ARN of the policy that bounds every role.
    pub permissions_boundary: Option<String>,
    /// Tags beside our own.
    pub tags: BTreeMap<String, String>,
}

/// What is installed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ComponentsSpec {
    /// The AWS Load Balancer Controller.
    pub aws_load_balancer_controller: ChartSpec,
    /// The EBS CSI driver.
    pub aws_ebs_csi_driver: DriverSpec,
    /// metrics-server.
    pub metrics_server: RolelessChartSpec,
    /// The StorageClass `gp3`.
    pub gp3_storage_class: StorageClassSpec,
    /// Components of your own.
    pub custom: Vec<CustomSpec>,
}

/// A component that is installed from a chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChartSpec {
    /// On or off.
    pub enabled: Option<bool>,
    /// The chart's version.
    pub version: Option<String>,
    /// Where the chart comes from.
    pub chart: ChartOriginSpec,
    /// Replicas of the controller.
    pub replicas: Option<u32>,
    /// A role that exists and is to be used.
    pub role_arn: Option<String>,
    /// Which policy its role gets.
    pub policy: Option<String>,
    /// A policy that exists and is to be attached instead of one of ours; it is never changed.
    pub policy_arn: Option<String>,
    /// How its pods get their role.
    pub identity: Option<Identity>,
    /// Chart values; they win over ours.
    pub values: Option<Value>,
    /// Fields of its objects that others own: `KIND/[NAMESPACE/]NAME PATH` as the plan prints them, with `*`.
    pub ignore_drift: Vec<String>,
}

/// Who installs a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum ManagedBy {
    /// The Helm chart
    Helm,
    /// EKS, as an add-on
    EksAddon,
}

/// The EBS CSI driver, which a chart or EKS installs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DriverSpec {
    /// On or off.
    pub enabled: Option<bool>,
    /// Who installs it.
    pub managed_by: Option<ManagedBy>,
    /// The chart's version.
    pub version: Option<String>,
    /// Where the chart comes from.
    pub chart: ChartOriginSpec,
    /// The add-on's version.
    pub addon_version: Option<String>,
    /// Replicas of the controller.
    pub replicas: Option<u32>,
    /// A role that exists and is to be used.
    pub role_arn: Option<String>,
    /// Which policy its role gets.
    pub policy: Option<String>,
    /// A policy that exists and is to be attached instead of AWS' own; it is never changed.
    pub policy_arn: Option<String>,
    /// ARNs of the KMS keys that its role may use.
    pub kms_keys: Vec<String>,
    /// How its pods get their role, where that differs from the others.
    pub identity: Option<Identity>,
    /// Whether the nodes' roles get its policy too.
    pub attach_node_role: Option<bool>,
    /// Node roles that no node group names: ARNs or names.
    pub node_roles: Vec<String>,
    /// Chart values, which win over ours, or the add-on's configuration.
    pub values: Option<Value>,
    /// Fields of its objects that others own: `KIND/[NAMESPACE/]NAME PATH` as the plan prints them, with `*`.
    pub ignore_drift: Vec<String>,
}

impl DriverSpec {
    /// What it has in common with other components.
    pub fn as_chart(&self) -> ChartSpec {
        ChartSpec {
            enabled: self.enabled,
            version: self.version.clone(),
            chart: self.chart.clone(),
            replicas: self.replicas,
            role_arn: self.role_arn.clone(),
            policy: self.policy.clone(),
            policy_arn: self.policy_arn.clone(),
            identity: self.identity,
            values: self.values.clone(),
            ignore_drift: self.ignore_drift.clone(),
        }
    }
}

/// Where a chart comes from, and what it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChartOriginSpec {
    /// A repository (`https://`) or a registry (`oci://`), whose last part may be the chart's name.
    pub repository: Option<String>,
    /// The archive's digest, `sha256:` and 64 digits.
    pub digest: Option<String>,
}

/// A component that is installed from a chart and has no role in AWS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RolelessChartSpec {
    /// On or off.
    pub enabled: Option<bool>,
    /// The chart's version.
    pub version: Option<String>,
    /// Where the chart comes from.
    pub chart: ChartOriginSpec,
    /// Replicas of the server.
    pub replicas: Option<u32>,
    /// Chart values; they win over ours.
    pub values: Option<Value>,
    /// Fields of its objects that others own: `KIND/[NAMESPACE/]NAME PATH` as the plan prints them, with `*`.
    pub ignore_drift: Vec<String>,
}

impl From<RolelessChartSpec> for ChartSpec {
    fn from(spec: RolelessChartSpec) -> ChartSpec {
        let RolelessChartSpec { enabled, version, chart, replicas, values, ignore_drift } = spec;
        ChartSpec { enabled, version, chart, replicas, values, ignore_drift, ..ChartSpec::default() }
    }
}

/// The StorageClass `gp3`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StorageClassSpec {
    /// On or off.
    pub enabled: Option<bool>,
    /// Whether it is the class of claims that name none.
    pub default: Option<bool>,
    /// Whether its volumes are encrypted.
    pub encrypted: Option<bool>,
    /// The KMS key of its volumes: an ARN, or the id of a key of this account.
    pub kms_key_id: Option<String>,
}

/// The parts of the files that are about one cluster, each with its file's name, in order.
///
/// # Errors
/// A file that cannot be read or is not of this form.
pub fn parts(files: &[PathBuf], cluster: Option<&str>) -> Result<Vec<(String, Value)>> {
    let one = |file: &PathBuf| {
        let chosen = choose(documents(file)?, cluster).map_err(|source| unusable(file, source))?;
        Ok((file.display().to_string(), chosen))
    };
    files.iter().map(one).collect()
}

/// Reads the files, lays the later on the earlier and chooses the document of `cluster` where there are several.
///
/// # Errors
/// A file that cannot be read or is not of this form.
pub fn read(files: &[PathBuf], cluster: Option<&str>) -> Result<Option<ClusterBootstrap>> {
    let mut merged: Option<Value> = None;
    for (_, chosen) in parts(files, cluster)? {
        match &mut merged {
            Some(merged) => merge(merged, &chosen),
            None => merged = Some(chosen),
        }
    }
    let (Some(merged), Some(last)) = (merged, files.last()) else { return Ok(None) };
    let document: ClusterBootstrap = serde_json::from_value(merged).map_err(|source| unusable(last, source.into()))?;
    if document.api_version != API_VERSION || document.kind != "ClusterBootstrap" {
        let found = format!("it is {} {}, not {API_VERSION} ClusterBootstrap", document.api_version, document.kind);
        return Err(unusable(last, found.into()));
    }
    Ok(Some(document))
}

fn unusable(file: &Path, source: Cause) -> Error {
    Error::ConfigFile { kind: FileKind::Configuration, path: file.display().to_string(), source }
}

fn text(file: &Path) -> Result<String, Cause> {
    let text =
        if file == Path::new("-") { files::standard_input(yaml::LARGEST) } else { files::text(file, yaml::LARGEST) };
    text.map_err(|error| match error {
        Unreadable::Pipe => format!("{error}, or pipe it into `-f -`").into(),
        other => other.into(),
    })
}

fn documents(file: &Path) -> Result<Vec<Value>> {
    let text = text(file).map_err(|source| unusable(file, source))?;
    let mut values = yaml::documents(&text).map_err(|source| unusable(file, source.into()))?;
    // Each document is checked for its own sake before they are merged, so that the error is about this file.
    for value in &values {
        if let Some(unknown) = config_schema::unknown_field(value) {
            return Err(Error::UnknownField { path: file.display().to_string(), unknown });
        }
        if let Some(place) = config_schema::misplaced_list(value) {
            return Err(unusable(file, format!("{place}: a list where a mapping (`name: value`) is wanted").into()));
        }
        yaml::typed::<ClusterBootstrap>(&text, value).map_err(|reason| unusable(file, reason.into()))?;
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    for value in &mut values {
        custom::anchor(value, folder);
    }
    Ok(values)
}

fn choose(mut documents: Vec<Value>, cluster: Option<&str>) -> Result<Value, Cause> {
    if documents.len() <= 1 {
        return documents.pop().ok_or_else(|| "it is empty".into());
    }
    let name = |document: &Value| document.pointer("/spec/cluster/name").and_then(Value::as_str).map(ToOwned::to_owned);
    let names: Vec<_> = documents.iter().filter_map(&name).collect();
    let known = names.join(", ");
    let Some(cluster) = cluster else {
        return Err(format!("it describes several clusters: choose one with --cluster ({known})").into());
    };
    documents
        .into_iter()
        .find(|document| name(document).as_deref() == Some(cluster))
        .ok_or_else(|| format!("it does not describe cluster `{cluster}`, only {known}").into())
}
