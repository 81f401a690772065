//! A component that a file of the user's describes: the form of that file, and how it becomes a [`Component`] like the built-in
//! ones, so that the same steps, checks and permissions are made from it. Reading files is `component_file.rs`' business.

use std::sync::Mutex;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Component, Image, Permissions, ServiceAccountMaker};

/// What a component's file says, `spec` of `kind: Component`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// What people call it; the name where nothing is said.
    #[serde(default)]
    pub title: Option<String>,
    /// The last part of its step ids; the name where nothing is said.
    #[serde(default)]
    pub short_name: Option<String>,
    /// Where it is installed; made where it does not exist.
    pub namespace: String,
    /// The service account of its controller.
    pub service_account: AccountSpec,
    /// Its chart.
    pub chart: ChartOf,
    /// What its role may do: an IAM policy document, or a file with one, relative to this file. `${partition}`, `${account}`,
    /// `${region}`, `${cluster}` and `${vpc}` are filled in.
    #[serde(default)]
    pub policy_document: Option<PolicyText>,
    /// Policies that exist and are attached to its role, by ARN, with the same places.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// Chart values that are always set, with the same places and `${role_arn}`.
    #[serde(default = "nothing")]
    pub values: Value,
    /// Chart values for clusters without a way to the internet.
    #[serde(default = "nothing")]
    pub isolated_values: Value,
    /// The path of the value that says how many replicas it has, as in `controller.replicaCount`.
    #[serde(default)]
    pub replicas_value: Option<String>,
    /// Whether CRDs of the chart are applied before it, at every version.
    #[serde(default = "yes")]
    pub crds: bool,
    /// The images that its chart can run, by the values that name them; they follow `imageRegistry`.
    #[serde(default)]
    pub images: Vec<ImageOf>,
    /// Objects by which an installation of somebody else is recognised; Deployments and `DaemonSets` among them are watched.
    #[serde(default)]
    pub objects: Vec<ObjectOf>,
    /// The aggregated API that it serves, an `APIService`.
    #[serde(default)]
    pub api_service: Option<String>,
    /// The EKS add-on that installs the same.
    #[serde(default)]
    pub eks_addon: Option<String>,
}

/// The service account of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountSpec {
    /// Its name.
    pub name: String,
    /// Who makes it.
    #[serde(default)]
    pub created_by: Maker,
}

/// Who makes a service account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Maker {
    /// The chart, which takes the role's ARN by a value.
    #[default]
    Chart,
    /// This program; the chart is told not to by a value.
    EksBootstrap,
}

/// A chart, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChartOf {
    /// Its name; the component's where nothing is said.
    #[serde(default)]
    pub name: Option<String>,
    /// A repository (`https://`) or a registry (`oci://`).
    pub repository: String,
    /// Its version.
    pub version: String,
    /// The archive's digest, `sha256:` and 64 digits.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A policy document, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PolicyText {
    /// A file, relative to the component's.
    File(String),
    /// The document itself.
    Inline(Value),
}

/// One image of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageOf {
    /// The path of the value that names its repository.
    pub value: String,
    /// What the chart has there.
    pub repository: String,
}

/// One object of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectOf {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

fn nothing() -> Value {
    json!({})
}

fn yes() -> bool {
    true
}

impl Definition {
    /// The last part of its step ids.
    pub fn short<'a>(&'a self, name: &'a str) -> &'a str {
        self.short_name.as_deref().unwrap_or(name)
    }

    /// The policy document, as a text with places.
    pub fn policy_text(&self) -> Option<String> {
        match self.policy_document.as_ref()? {
            PolicyText::Inline(document) => Some(document.to_string()),
            // Files were read when the definition was.
            PolicyText::File(_) => None,
        }
    }

    /// The same as a component.
    pub fn component(&self, name: &str) -> Component {
        let key = json!({ "name": name, "definition": self }).to_string();
        let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, component)) = known.iter().find(|(text, _)| *text == key) {
            return *component;
        }
        let component = self.kept(name);
        known.push((key, component));
        component
    }

    /// Built-in components are constants, and plain data that is copied freely. What a file says is kept for as long as the
    /// program runs, so that its component is the same; a run reads a handful of such files, each once.
    fn kept(&self, name: &str) -> Component {
        let objects = self.objects.iter().map(|it| (keep(&it.api_version), keep(&it.kind), keep(&it.name)));
        let images = self.images.iter().map(|it| Image { value: keep(&it.value), repository: keep(&it.repository) });
        let arns: Vec<_> = self.policy_arns.iter().map(|arn| keep(arn)).collect();
        let (permissions, more) = match (self.policy_text(), arns.split_first()) {
            (Some(text), _) => (Permissions::Template(keep(&text)), arns.as_slice()),
            (None, Some((first, rest))) => (Permissions::Arn(first), rest),
            (None, None) => (Permissions::None, &[][..]),
        };
        Component {
            name: keep(name),
            short: keep(self.short(name)),
            flag: "",
            title: keep(self.title.as_deref().unwrap_or(name)),
            settings: |config, name| config.custom_settings(name),
            by_default: true,
            chart: keep(self.chart.name.as_deref().unwrap_or(name)),
            repository: keep(&self.chart.repository),
            version: keep(&self.chart.version),
            namespace: keep(&self.namespace),
            service_account: keep(&self.service_account.name),
            service_account_maker: match self.service_account.created_by {
                Maker::Chart => ServiceAccountMaker::Chart,
                Maker::EksBootstrap => ServiceAccountMaker::Us,
            },
            permissions,
            more_policies: keep_all(more.iter().copied()),
            choices: &[],
            key_policy: None,
            needs: |_| None,
            actions_since: &[],
            oldest_kubernetes: (0, 0),
            predecessors: &[],
            images: keep_all(images),
            isolated_values: keep(&self.isolated_values.to_string()),
            values: keep(&self.values.to_string()),
            replicas_value: keep_all(self.replicas_value.iter().flat_map(|path| path.split('.')).map(keep)),
            has_crds: self.crds,
            webhook_service: None,
            api_service: self.api_service.as_deref().map(keep),
            objects: keep_all(objects),
            addon: self.eks_addon.as_deref().map(keep),
            offers_addon: false,
            offers_node_role: false,
            documented_role: "",
        }
    }
}

/// Components of definitions, by the definition.
static KNOWN: Mutex<Vec<(String, Component)>> = Mutex::new(Vec::new());

fn keep(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn keep_all<T>(items: impl Iterator<Item = T>) -> &'static [T] {
    Box::leak(items.collect::<Vec<_>>().into_boxed_slice())
}
