//! Laying flags and variables on the file and the file on the defaults, and the way back: what is in force in the form of the
//! file. Called by `config.rs` and `commands/config.rs`; whether the values can be used is checked there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{Global, Wanted};
use crate::component::{self, Component};
use crate::config::custom;
use crate::config::sources::origin;
use crate::config::{
    ChartComponent, Config, Custom, DEFAULT_TIMEOUT, IamConfig, Identity, NodeRoles, Removal, StorageClassConfig,
    helm_bin,
};
use crate::config_file::{
    API_VERSION, ChartSpec, ClusterBootstrap, ClusterSpec, ComponentsSpec, CustomSpec, DriverSpec, IamSpec, ManagedBy,
    Metadata, RolelessChartSpec, Spec, StorageClassSpec,
};
use crate::error::{Error, Result};
use crate::validate;

pub(super) fn merged(global: &Global, wanted: &Wanted, file: &ClusterBootstrap) -> Result<Config> {
    let spec = &file.spec;
    let or = |flag: &Option<String>, field: &Option<String>| flag.clone().or_else(|| field.clone());
    let Some(cluster) = or(&global.cluster, &spec.cluster.name) else {
        return Err(Error::Usage {
            message: "no cluster is named".to_owned(),
            mend: "pass --cluster NAME, set EKS_BOOTSTRAP_CLUSTER, or name it in the configuration file".to_owned(),
        });
    };
    let mut tags = spec.iam.tags.clone();
    for tag in &wanted.tags {
        let Some((key, value)) = tag.split_once('=') else {
            return Err(Error::config("--tag", tag, "no `=` in it", "write --tag KEY=VALUE"));
        };
        tags.insert(key.to_owned(), value.to_owned());
    }
    let parts = &spec.components;
    let custom = custom::of_files(parts, wanted)?;
    let known: Vec<_> = custom.iter().map(|(component, ..)| *component).collect();
    let known = [&component::BUILT_IN[..], &known].concat();
    check_switches(&known, wanted)?;
    let said = &Said { wanted, identities: identities(&wanted.identity, &known)?, known: &known };
    Ok(Config {
        cluster,
        region: or(&global.region, &spec.cluster.region),
        profile: global.profile.clone(),
        assume_role: global.assume_role.clone(),
        account: or(&wanted.account, &spec.cluster.account),
        endpoint_url: global.endpoint_url.clone(),
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        helm: global.helm.clone().or_else(helm_bin),
        charts: charts(global, wanted)?,
        image_registry: or(&wanted.sources.image_registry, &spec.image_registry),
        isolated: wanted.sources.isolated || spec.isolated.unwrap_or(false),
        timeout_seconds: match &global.timeout {
            Some(text) => validate::duration("--timeout", text)?.as_secs(),
            None => DEFAULT_TIMEOUT.as_secs(),
        },
        iam: IamConfig {
            name_prefix: or(&wanted.name_prefix, &spec.iam.name_prefix).unwrap_or_default(),
            path: or(&wanted.iam_path, &spec.iam.path).unwrap_or_else(|| "/".to_owned()),
            permissions_boundary: or(&wanted.permissions_boundary, &spec.iam.permissions_boundary),
            tags,
        },
        identity: said.identities.all.or(spec.identity).unwrap_or_default(),
        migrating: BTreeSet::new(),
        load_balancer_controller: chart_component(
            &component::LOAD_BALANCER_CONTROLLER,
            &parts.aws_load_balancer_controller,
            said,
            &Flags {
                version: wanted.lbc_version.as_ref(),
                role_arn: wanted.lbc_role_arn.as_ref(),
                policy: wanted.policies.lbc_policy.as_ref(),
                policy_arn: wanted.policies.lbc_policy_arn.as_ref(),
            },
        )?,
        ebs_csi_driver: driver(&parts.aws_ebs_csi_driver, said)?,
        metrics_server: chart_component(
            &component::METRICS_SERVER,
            &parts.metrics_server.clone().into(),
            said,
            &Flags { version: wanted.metrics_server_version.as_ref(), ..Flags::default() },
        )?,
        gp3_storage_class: StorageClassConfig {
            enabled: enabled(component::GP3_STORAGE_CLASS, parts.gp3_storage_class.enabled, wanted)?,
            default: parts.gp3_storage_class.default.unwrap_or(true),
            encrypted: parts.gp3_storage_class.encrypted.unwrap_or(true),
            kms_key_id: parts.gp3_storage_class.kms_key_id.clone(),
        },
        custom: custom
            .into_iter()
            .map(|(component, spec, definition)| {
                Ok(Custom {
                    name: component.name.to_owned(),
                    file: spec.file.clone(),
                    definition,
                    settings: chart_component(&component, &spec.as_chart(), said, &Flags::default())?,
                })
            })
            .collect::<Result<_>>()?,
        removing: false,
        removal: Removal::default(),
        adopt: BTreeSet::new(),
        recreate: BTreeSet::new(),
        only: BTreeSet::new(),
        skip: BTreeSet::new(),
    })
}

/// What flags say about components, and which there are.
struct Said<'a> {
    wanted: &'a Wanted,
    identities: Identities,
    known: &'a [Component],
}

/// What flags say about one component.
#[derive(Default)]
struct Flags<'a> {
    version: Option<&'a String>,
    role_arn: Option<&'a String>,
    policy: Option<&'a String>,
    policy_arn: Option<&'a String>,
}

fn chart_component(
    component: &Component,
    spec: &ChartSpec,
    said: &Said<'_>,
    flags: &Flags<'_>,
) -> Result<ChartComponent> {
    // A flag that says one thing takes back what the file says of the other.
    let (policy, policy_arn) = match (flags.policy, flags.policy_arn) {
        (None, None) => (spec.policy.clone(), spec.policy_arn.clone()),
        (policy, arn) => (policy.map(|name| component::camel_case(name)), arn.cloned()),
    };
    Ok(ChartComponent {
        enabled: enabled(component.name, spec.enabled, said.wanted)?,
        version: flags.version.or(spec.version.as_ref()).cloned().unwrap_or_else(|| component.version.to_owned()),
        chart: origin(component, &spec.chart, said.wanted, said.known)?,
        replicas: spec.replicas,
        role_arn: flags.role_arn.or(spec.role_arn.as_ref()).cloned(),
        policy,
        policy_arn,
        kms_keys: Vec::new(),
        // A flag for all is stronger than what the file says of one.
        identity: said.identities.of(component).or(said.identities.all).or(spec.identity),
        values: spec.values.clone().unwrap_or_else(|| json!({})),
        managed_by: None,
        addon_version: None,
        nodes: NodeRoles::default(),
        // A pattern names its object, so that one of a flag is of whichever component has it.
        ignore_drift: spec.ignore_drift.iter().chain(&said.wanted.ignore_drift).cloned().collect(),
    })
}

fn driver(spec: &DriverSpec, said: &Said<'_>) -> Result<ChartComponent> {
    let wanted = said.wanted;
    let flags = Flags {
        version: wanted.ebs_version.as_ref(),
        role_arn: wanted.ebs_role_arn.as_ref(),
        policy: wanted.policies.ebs_policy.as_ref(),
        policy_arn: wanted.policies.ebs_policy_arn.as_ref(),
    };
    let chart = chart_component(&component::EBS_CSI_DRIVER, &spec.as_chart(), said, &flags)?;
    let keys = &wanted.policies.kms_keys;
    Ok(ChartComponent {
        kms_keys: if keys.is_empty() { &spec.kms_keys } else { keys }.clone(),
        managed_by: wanted.ebs_managed_by.or(spec.managed_by),
        addon_version: wanted.ebs_addon_version.clone().or_else(|| spec.addon_version.clone()),
        nodes: NodeRoles {
            attach: wanted.attach_node_role || spec.attach_node_role == Some(true),
            more: spec.node_roles.iter().chain(&wanted.node_role).cloned().collect(),
        },
        ..chart
    })
}

/// What `--identity` says of all components and of single ones.
#[derive(Debug, Default)]
struct Identities {
    all: Option<Identity>,
    each: BTreeMap<String, Identity>,
}

impl Identities {
    fn of(&self, component: &Component) -> Option<Identity> {
        self.each.get(component.name).copied()
    }
}

/// Reads `irsa`, `pod-identity` and `COMPONENT=pod-identity`, with a component's name or its short one.
fn identities(flags: &[String], known: &[Component]) -> Result<Identities> {
    let mut identities = Identities::default();
    for flag in flags {
        let (component, word) = flag.split_once('=').map_or((None, flag.as_str()), |(name, word)| (Some(name), word));
        validate::one_of("--identity", word, [Identity::Irsa, Identity::PodIdentity].map(Identity::word).into_iter())?;
        let identity = if word == Identity::Irsa.word() { Identity::Irsa } else { Identity::PodIdentity };
        let before = match component {
            None => identities.all.replace(identity),
            Some(name) => {
                let component = component::with_role("--identity", name, known)?;
                identities.each.insert(component.name.to_owned(), identity)
            }
        };
        if before.is_some_and(|before| before != identity) {
            return Err(Error::config("--identity", flag, "another one says the opposite", "leave one of them out"));
        }
    }
    Ok(identities)
}

/// `--enable` and `--disable` name components that there are.
fn check_switches(known: &[Component], wanted: &Wanted) -> Result<()> {
    for (flag, names) in [("--enable", &wanted.enable), ("--disable", &wanted.disable)] {
        for name in names {
            let known = known.iter().map(|component| component.name).chain([component::GP3_STORAGE_CLASS]);
            validate::one_of(flag, name, known)?;
        }
    }
    Ok(())
}

/// Whether a component is said to be on or off, by flag or else by file.
fn enabled(component: &str, in_file: Option<bool>, wanted: &Wanted) -> Result<Option<bool>> {
    let named = |names: &[String]| names.iter().any(|name| name == component);
    match (named(&wanted.enable), named(&wanted.disable)) {
        (true, true) => {
            Err(Error::config("--enable and --disable", component, "both name it", "leave one of them out"))
        }
        (true, false) => Ok(Some(true)),
        (false, true) => Ok(Some(false)),
        (false, false) => Ok(in_file),
    }
}

/// `--charts`, which a repository on the same command line would contradict; over one in the file it wins, so that a bundle
/// can be used with the file that it was made with.
fn charts(global: &Global, wanted: &Wanted) -> Result<Option<PathBuf>> {
    if let (Some(charts), Some(named)) = (&global.charts, wanted.sources.chart_repositories.first()) {
        return Err(Error::Usage {
            message: format!(
                "--chart-repository {named} and --charts {} both say where a chart comes from",
                charts.display()
            ),
            mend: "leave one of them out (the variable EKS_BOOTSTRAP_CHARTS counts as --charts)".to_owned(),
        });
    }
    global.charts.as_deref().map(absolute).transpose()
}

/// Chart folders are handed to helm, which runs in another folder.
fn absolute(folder: &Path) -> Result<PathBuf> {
    std::path::absolute(folder).map_err(|source| Error::io(format!("find `{}`", folder.display()), source))
}

impl Config {
    /// The same in the form of the file, with every value that is in force.
    pub fn as_file(&self) -> ClusterBootstrap {
        let chart = |component: &ChartComponent| ChartSpec {
            enabled: component.enabled,
            version: Some(component.version.clone()),
            chart: (&component.chart).into(),
            replicas: component.replicas,
            role_arn: component.role_arn.clone(),
            policy: component.policy.clone(),
            policy_arn: component.policy_arn.clone(),
            identity: component.identity,
            values: Some(component.values.clone()),
            ignore_drift: component.ignore_drift.clone(),
        };
        let custom = |custom: &Custom| {
            let ChartSpec { enabled, version, chart, replicas, role_arn, identity, values, ignore_drift, .. } =
                chart(&custom.settings);
            let file = custom.file.clone();
            CustomSpec { file, enabled, version, chart, replicas, role_arn, identity, values, ignore_drift }
        };
        let driver = &self.ebs_csi_driver;
        ClusterBootstrap {
            api_version: API_VERSION.to_owned(),
            kind: "ClusterBootstrap".to_owned(),
            metadata: Metadata::default(),
            spec: Spec {
                cluster: ClusterSpec {
                    name: Some(self.cluster.clone()),
                    region: self.region.clone(),
                    account: self.account.clone(),
                },
                iam: IamSpec {
                    name_prefix: Some(self.iam.name_prefix.clone()),
                    path: Some(self.iam.path.clone()),
                    permissions_boundary: self.iam.permissions_boundary.clone(),
                    tags: self.iam.tags.clone(),
                },
                image_registry: self.image_registry.clone(),
                isolated: Some(self.isolated),
                identity: Some(self.identity),
                components: ComponentsSpec {
                    aws_load_balancer_controller: chart(&self.load_balancer_controller),
                    aws_ebs_csi_driver: DriverSpec {
                        enabled: driver.enabled,
                        managed_by: Some(driver.managed_by.unwrap_or(ManagedBy::Helm)),
                        version: Some(driver.version.clone()),
                        chart: (&driver.chart).into(),
                        addon_version: driver.addon_version.clone(),
                        replicas: driver.replicas,
                        role_arn: driver.role_arn.clone(),
                        policy: driver.policy.clone(),
                        policy_arn: driver.policy_arn.clone(),
                        kms_keys: driver.kms_keys.clone(),
                        identity: driver.identity,
                        attach_node_role: Some(driver.nodes.attach),
                        node_roles: driver.nodes.more.iter().cloned().collect(),
                        values: Some(driver.values.clone()),
                        ignore_drift: driver.ignore_drift.clone(),
                    },
                    metrics_server: RolelessChartSpec {
                        enabled: self.metrics_server.enabled,
                        version: Some(self.metrics_server.version.clone()),
                        chart: (&self.metrics_server.chart).into(),
                        replicas: self.metrics_server.replicas,
                        values: Some(self.metrics_server.values.clone()),
                        ignore_drift: self.metrics_server.ignore_drift.clone(),
                    },
                    gp3_storage_class: StorageClassSpec {
                        enabled: self.gp3_storage_class.enabled,
                        default: Some(self.gp3_storage_class.default),
                        encrypted: Some(self.gp3_storage_class.encrypted),
                        kms_key_id: self.gp3_storage_class.kms_key_id.clone(),
                    },
                    custom: self.custom.iter().map(custom).collect(),
                },
            },
        }
    }
}
