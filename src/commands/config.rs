//! `config`: a file to start from, its schema, and the merged result with where each value came from. Asks nobody.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::cli::{ConfigCommand, Global, Output, Selection, Wanted};
use crate::component;
use crate::component_file;
use crate::config::Config;
use crate::config_file;
use crate::config_schema;
use crate::config_view::{self, Origin, Sources};
use crate::error::Result;
use crate::exit_code;
use crate::render;
use crate::render::terminal::Terminal;

/// What `config init` prints.
const EXAMPLE: &str = include_str!("../../templates/config.yaml");

/// Flags that set one field of the file: the flag's name, and the field.
const FIELDS: [(&str, &str); 21] = [
    ("cluster", "spec.cluster.name"),
    ("region", "spec.cluster.region"),
    ("account", "spec.cluster.account"),
    ("name_prefix", "spec.iam.namePrefix"),
    ("iam_path", "spec.iam.path"),
    ("permissions_boundary", "spec.iam.permissionsBoundary"),
    ("image_registry", "spec.imageRegistry"),
    ("isolated", "spec.isolated"),
    ("lbc_version", "spec.components.awsLoadBalancerController.version"),
    ("lbc_role_arn", "spec.components.awsLoadBalancerController.roleArn"),
    ("lbc_policy", "spec.components.awsLoadBalancerController.policy"),
    ("lbc_policy_arn", "spec.components.awsLoadBalancerController.policyArn"),
    ("ebs_version", "spec.components.awsEbsCsiDriver.version"),
    ("ebs_role_arn", "spec.components.awsEbsCsiDriver.roleArn"),
    ("ebs_managed_by", "spec.components.awsEbsCsiDriver.managedBy"),
    ("ebs_addon_version", "spec.components.awsEbsCsiDriver.addonVersion"),
    ("attach_node_role", "spec.components.awsEbsCsiDriver.attachNodeRole"),
    ("node_role", "spec.components.awsEbsCsiDriver.nodeRoles"),
    ("ebs_policy", "spec.components.awsEbsCsiDriver.policy"),
    ("ebs_policy_arn", "spec.components.awsEbsCsiDriver.policyArn"),
    ("metrics_server_version", "spec.components.metricsServer.version"),
];

/// Runs the command.
///
/// # Errors
/// A value or a file that cannot be used.
pub fn run(global: &Global, command: &ConfigCommand, matches: &ArgMatches, terminal: Terminal) -> Result<u8> {
    terminal.result(&match command {
        ConfigCommand::Init => EXAMPLE.to_owned(),
        ConfigCommand::Schema(args) if args.component => format!("{:#}\n", component_file::schema()),
        ConfigCommand::Schema(_) => format!("{:#}\n", config_schema::schema()),
        ConfigCommand::View(args) => {
            let config = Config::resolve(global, &args.wanted, &Selection::default())?;
            let sources = Sources {
                flags: flags(innermost(matches), &args.wanted),
                files: config_file::parts(&global.file, Some(&config.cluster))?,
            };
            let settings = config_view::settings(&config.as_file(), &sources);
            match global.output {
                Output::Json => render::config_view::json(&settings),
                _ => render::config_view::of(&settings, terminal.out),
            }
        }
    });
    Ok(exit_code::DONE)
}

/// The matches of the last subcommand, which know all flags.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

/// The fields that flags and variables set.
fn flags(matches: &ArgMatches, wanted: &Wanted) -> std::collections::BTreeMap<String, Origin> {
    let origin = |name: &str| {
        let flag = name.replace('_', "-");
        match matches.value_source(name)? {
            ValueSource::CommandLine => Some(Origin::Flag(format!("--{flag}"))),
            ValueSource::EnvVariable => Some(Origin::Variable(format!("EKS_BOOTSTRAP_{}", name.to_uppercase()))),
            _ => None,
        }
    };
    let single = FIELDS.iter().filter_map(|(name, field)| Some(((*field).to_owned(), origin(name)?)));
    let tags = wanted.tags.iter().filter_map(|tag| tag.split_once('='));
    let tags = tags.map(|(key, _)| (format!("spec.iam.tags.{key}"), Origin::Flag("--tag".to_owned())));
    let origins = [
        ("--chart-repository", "repository", &wanted.sources.chart_repositories),
        ("--chart-digest", "digest", &wanted.sources.chart_digests),
    ];
    let origins = origins.into_iter().flat_map(|(flag, name, given)| given.iter().map(move |text| (flag, name, text)));
    let origins = origins.filter_map(|(flag, name, text)| {
        let (component, _) = text.split_once('=')?;
        let component = component::BUILT_IN.iter().find(|known| known.name == component)?;
        Some((format!("spec.components.{}.chart.{name}", component.field()), Origin::Flag(flag.to_owned())))
    });
    let switches = [("--enable", &wanted.enable), ("--disable", &wanted.disable)];
    let switches = switches.into_iter().flat_map(|(flag, names)| names.iter().map(move |name| (flag, name)));
    let switches = switches.filter_map(|(flag, name)| {
        let component = component::BUILT_IN.iter().find(|component| component.name == *name)?;
        Some((format!("spec.components.{}.enabled", component.field()), Origin::Flag(flag.to_owned())))
    });
    let keys = wanted
        .policies
        .kms_keys
        .first()
        .map(|_| ("spec.components.awsEbsCsiDriver.kmsKeys".to_owned(), Origin::Flag("--kms-key".to_owned())));
    let charts = component::BUILT_IN.iter().filter(|_| !wanted.ignore_drift.is_empty());
    let left = charts.map(|component| {
        let field = format!("spec.components.{}.ignoreDrift", component.field());
        (field, Origin::Flag("--ignore-drift".to_owned()))
    });
    let identity = origin("identity").map(|origin| {
        wanted.identity.iter().filter_map(move |flag| {
            let Some((name, _)) = flag.split_once('=') else {
                return Some(("spec.identity".to_owned(), origin.clone()));
            };
            let component = component::with_role("--identity", name, &component::BUILT_IN).ok()?;
            Some((format!("spec.components.{}.identity", component.field()), origin.clone()))
        })
    });
    single
        .chain(tags)
        .chain(origins)
        .chain(switches)
        .chain(keys)
        .chain(left)
        .chain(identity.into_iter().flatten())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_file::ClusterBootstrap;
    use serde_json::Value;

    /// The example without its comment signs: every field that it shows, set.
    fn uncommented() -> String {
        let lines = EXAMPLE.lines().map(|line| {
            let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
            match rest.strip_prefix("# ") {
                Some(field) if is_field(field) => format!("{indent}{field}\n"),
                _ => format!("{line}\n"),
            }
        });
        lines.collect()
    }

    /// `name: value` rather than a sentence.
    fn is_field(text: &str) -> bool {
        let name = text.trim_start().split(':').next().unwrap_or_default();
        text.contains(':') && !name.contains(' ') && name.starts_with(|c: char| c.is_ascii_lowercase())
    }

    #[test]
    fn the_example_is_valid_with_and_without_its_comments() {
        for text in [EXAMPLE.to_owned(), uncommented()] {
            let value: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(config_schema::unknown_field(&value), None);
            serde_json::from_value::<ClusterBootstrap>(value).unwrap();
        }
    }

    #[test]
    fn the_example_shows_every_field() {
        let value: Value = serde_saphyr::from_str(&uncommented()).unwrap();
        let missing = config_schema::fields()
            .into_iter()
            .filter(|path| path.iter().try_fold(&value, |value, key| value.get(key)).is_none())
            .collect::<Vec<_>>();
        assert_eq!(missing, Vec::<Vec<String>>::new());
    }
}
