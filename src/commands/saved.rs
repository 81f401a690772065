//! Plans in files: what `plan --out` writes and `apply PLAN` reads. A saved plan is bound by content and never by a path: to the
//! account, the cluster with its endpoint and certificate authority, helm's major and minor version, the content of the charts and
//! the configuration. So one job of a pipeline can plan and another apply, in another folder and on another machine.
//!
//! The fingerprint covers everything in the file and finds what was changed in it. It is no signature: whoever can write the file
//! can write a fingerprint that fits.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cli::{Cli, Global};
use crate::config::Config;
use crate::context::{Facts, ReadContext};
use crate::error::{Error, FileKind, Result};
use crate::files;
use crate::helm_process::Helm;
use crate::op::helm::HelmOp;
use crate::plan::{Goal, Plan};
use crate::read::chart::digest_of;
use crate::render::plan_json;

/// What a plan may hold; those of large charts stay below a twentieth of it.
const LIMIT: u64 = 64 << 20;

/// Flags that end a run before it begins.
const OF_CLAP: [&str; 2] = ["help", "version"];
/// The flags that `apply PLAN` accepts; everything else is in the plan. `--account` and `--cluster` are compared with it.
const ACCEPTED: [&str; 12] = [
    "yes",
    "output",
    "quiet",
    "verbose",
    "color",
    "profile",
    "assume-role",
    "helm",
    "kubeconfig",
    "context",
    "account",
    "cluster",
];

/// What a plan was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Binding {
    account: String,
    cluster: String,
    endpoint: String,
    /// SHA-256 of the cluster's certificate authority.
    certificate_authority: String,
    /// Major and minor version; none where the plan needs no helm.
    helm: Option<String>,
    /// The charts that would be installed, by name, with the SHA-256 of their content.
    charts: BTreeMap<String, String>,
}

impl Binding {
    /// What `plan` was made with.
    ///
    /// # Errors
    /// Helm or a chart cannot be read, which a plan that needs them has read before.
    pub(super) async fn of(cx: &ReadContext, helm: &Helm, plan: &Plan) -> Result<Binding> {
        let mut charts = BTreeMap::new();
        for op in plan.helm_ops() {
            if let HelmOp::Upgrade { release } = op {
                let chart = cx.charts.local(&release.chart).await?;
                charts.insert(release.name.clone(), chart.content_digest()?);
            }
        }
        let helm = if plan.helm_ops().next().is_some() { Some(minor(&helm.found().await?.1)) } else { None };
        Ok(Binding { helm, charts, ..Binding::of_cluster(&cx.facts) })
    }

    /// The part that is known before anything is planned.
    pub(super) fn of_cluster(facts: &Facts) -> Binding {
        Binding {
            account: facts.account.clone(),
            cluster: facts.arn.clone(),
            endpoint: facts.endpoint.clone(),
            certificate_authority: digest_of(facts.ca_pem.trim().as_bytes()),
            helm: None,
            charts: BTreeMap::new(),
        }
    }

    /// Makes sure that `now` is what the plan was made for. What the run does not need now is no difference: what it does is
    /// compared beside this.
    ///
    /// # Errors
    /// The first thing that is another one.
    pub(super) fn fits(&self, now: &Binding) -> Result<()> {
        let mut pairs = vec![
            ("account".to_owned(), self.account.clone(), now.account.clone()),
            ("cluster".to_owned(), self.cluster.clone(), now.cluster.clone()),
            ("endpoint of the cluster".to_owned(), self.endpoint.clone(), now.endpoint.clone()),
            (
                "certificate authority of the cluster".to_owned(),
                self.certificate_authority.clone(),
                now.certificate_authority.clone(),
            ),
        ];
        if let (Some(planned), Some(found)) = (&self.helm, &now.helm) {
            pairs.push(("version of helm".to_owned(), planned.clone(), found.clone()));
        }
        for (name, digest) in &self.charts {
            let found = now.charts.get(name).into_iter();
            pairs.extend(found.map(|found| (format!("content of chart {name}"), digest.clone(), found.clone())));
        }
        match pairs.into_iter().find(|(_, planned, found)| planned != found) {
            None => Ok(()),
            Some((what, planned, found)) => Err(Error::Refused {
                what: format!(
                    "the saved plan does not fit: the {what} was {planned} when it was saved, and is {found}"
                ),
                mend: "apply it where that is the same (--profile, --helm, EKS_BOOTSTRAP_CHARTS), or plan again"
                    .to_owned(),
            }),
        }
    }
}

fn minor(version: &semver::Version) -> String {
    format!("{}.{}", version.major, version.minor)
}

/// A plan that was read from a file.
pub(super) struct Saved {
    /// The configuration, with what this machine has of its own.
    pub(super) config: Config,
    /// What it was made with.
    pub(super) binding: Binding,
    /// Of what would be done.
    pub(super) changes: String,
}

/// The document that `plan --out` writes.
pub(super) fn document(plan: &Plan, config: &Config, binding: &Binding) -> Value {
    let mut document = plan_json::of(plan);
    document["config"] = serde_json::json!(config.to_be_saved());
    document["binding"] = serde_json::json!(binding);
    document["changes"] = plan.fingerprint().into();
    document["fingerprint"] = fingerprint(&document).into();
    document
}

/// Of everything in the document but itself, whatever the order of its fields.
fn fingerprint(document: &Value) -> String {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("fingerprint");
    }
    format!("sha256:{}", hex::encode(Sha256::digest(document.to_string().as_bytes())))
}

/// Writes a plan, for its owner only: it holds the configuration, chart values and all. What was there is replaced as a whole, and
/// never written through a link.
///
/// # Errors
/// The file is a link or no file, or cannot be written.
pub(super) fn save(file: &Path, document: &Value) -> Result<()> {
    if file.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        let reason = "it is a link, a folder or a device";
        return Err(Error::config("--out", file.display().to_string(), reason, "name a file, new or to be replaced"));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        // Made with 0600, whatever the umask and whatever it replaces.
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(format!("{document:#}\n").as_bytes())?;
        new.persist(file)?;
        Ok(())
    };
    write().map_err(|source| Error::io(format!("write the plan to `{}`", file.display()), source))
}

/// Reads a plan, and gives its configuration what the flags say of this machine.
///
/// # Errors
/// It is no plan, of a newer form or another goal, was changed, is for another cluster or account than the flags say, or a flag
/// would say something that the plan says.
pub(super) fn load(file: &Path, global: &Global, account: Option<&str>, matches: &ArgMatches) -> Result<Saved> {
    check_flags(matches)?;
    let unusable = |reason: String| Error::ConfigFile {
        kind: FileKind::Plan,
        path: file.display().to_string(),
        source: reason.into(),
    };
    let text = files::text(file, LIMIT).map_err(|source| unusable(source.to_string()))?;
    let document: Value = serde_json::from_str(&text).map_err(|source| unusable(source.to_string()))?;
    check_form(&document).map_err(unusable)?;
    if document["fingerprint"] != fingerprint(&document) {
        return Err(Error::Refused {
            what: format!(
                "the saved plan `{}` was changed after it was saved: its fingerprint does not fit",
                file.display()
            ),
            mend: "plan again with the flags or the file changed instead".to_owned(),
        });
    }
    let binding: Binding =
        serde_json::from_value(document["binding"].clone()).map_err(|source| unusable(source.to_string()))?;
    let config: Config =
        serde_json::from_value(document["config"].clone()).map_err(|source| unusable(source.to_string()))?;
    let changes = document["changes"].as_str().ok_or_else(|| unusable("it has no `changes`".to_owned()))?.to_owned();
    for (flag, said, planned) in
        [("--cluster", global.cluster.as_deref(), &config.cluster), ("--account", account, &binding.account)]
    {
        if let Some(said) = said.filter(|said| said != planned) {
            return Err(Error::Refused {
                what: format!("the saved plan `{}` is for {planned}, and {flag} says {said}", file.display()),
                mend: format!("apply the plan of {said}, or leave {flag} out"),
            });
        }
    }
    Ok(Saved { config: config.on_this_machine(global)?, binding, changes })
}

/// The form is one that this version knows.
fn check_form(document: &Value) -> Result<(), String> {
    let schema = document["schema"].as_str().unwrap_or_default();
    let (form, own) = (schema.rsplit_once("/v"), plan_json::SCHEMA.rsplit_once("/v"));
    if schema != plan_json::SCHEMA {
        let number = |form: Option<(&str, &str)>| form.and_then(|(_, number)| number.parse::<u32>().ok());
        let is_newer = form.map(|form| form.0) == own.map(|own| own.0) && number(form) > number(own);
        return Err(if is_newer {
            format!("a newer eks-bootstrap saved it ({schema}, this one knows {})", plan_json::SCHEMA)
        } else {
            format!("it is no plan that `plan --out` saved (schema {})", document["schema"])
        });
    }
    if document["binding"].is_null() || document["config"].is_null() {
        return Err(
            "it is a plan without what `plan --out` adds to apply it: its configuration and what it is bound to".into(),
        );
    }
    if document["goal"] != serde_json::json!(Goal::Present) {
        return Err(format!(
            "its goal is {}, and apply only reaches {}",
            document["goal"],
            serde_json::json!(Goal::Present)
        ));
    }
    Ok(())
}

/// No flag says something that the plan says. Variables are no reason to refuse: they are set for other commands too.
fn check_flags(matches: &ArgMatches) -> Result<()> {
    let Some(given) = matches.subcommand_matches("apply") else { return Ok(()) };
    let mut program = Cli::command();
    program.build();
    let known = program.find_subcommand("apply").into_iter().flat_map(clap::Command::get_arguments);
    for argument in known {
        let Some(long) = argument.get_long().filter(|long| !ACCEPTED.contains(long) && !OF_CLAP.contains(long)) else {
            continue;
        };
        if given.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine) {
            return Err(Error::Usage {
                message: format!("--{long} cannot be used with a saved plan, which says it already"),
                mend: format!("plan again with --{long}, or leave it out; accepted are --{}", ACCEPTED.join(", --")),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn binding() -> Binding {
        Binding {
            account: "111122223333".to_owned(),
            cluster: "arn:c".to_owned(),
            endpoint: "https://e".to_owned(),
            certificate_authority: "sha256:a".to_owned(),
            helm: Some("4.3".to_owned()),
            charts: [("x".to_owned(), "sha256:x".to_owned())].into(),
        }
    }

    #[test]
    fn whatever_is_another_one_is_named() {
        binding().fits(&binding()).unwrap();
        binding().fits(&Binding { helm: None, charts: BTreeMap::new(), ..binding() }).unwrap();
        let stale = |change: fn(&mut Binding)| {
            let mut now = binding();
            change(&mut now);
            binding().fits(&now).unwrap_err().to_string()
        };
        for (change, named) in [
            ((|now| now.account = "2".to_owned()) as fn(&mut Binding), "account was 111122223333"),
            (|now| now.cluster = "arn:d".to_owned(), "cluster was arn:c"),
            (|now| now.endpoint = "https://f".to_owned(), "endpoint of the cluster"),
            (|now| now.certificate_authority = "sha256:b".to_owned(), "certificate authority"),
            (|now| now.helm = Some("4.2".to_owned()), "version of helm was 4.3 when it was saved, and is 4.2"),
            (|now| now.charts = [("x".to_owned(), "sha256:y".to_owned())].into(), "content of chart x"),
        ] {
            let text = stale(change);
            assert!(text.contains(named), "{text}");
        }
    }

    #[test]
    fn forms_and_goals_of_others_are_refused() {
        let document = |schema: &str, goal: &str| json!({"schema": schema, "goal": goal, "binding": {}, "config": {}});
        check_form(&document(plan_json::SCHEMA, "present")).unwrap();
        let refused = |document: Value| check_form(&document).unwrap_err();
        assert!(refused(document("eks-bootstrap/plan/v9", "present")).contains("newer"));
        assert!(refused(document("eks-bootstrap/plan/v0", "present")).contains("no plan"));
        assert!(refused(document("terraform/plan/v9", "present")).contains("no plan"));
        assert!(refused(document(plan_json::SCHEMA, "absent")).contains("\"absent\""));
        assert!(refused(json!({"schema": plan_json::SCHEMA, "goal": "present"})).contains("plan --out"));
    }

    #[test]
    fn an_edit_anywhere_shows_and_an_order_does_not() {
        let document: Value =
            serde_json::from_str(r#"{"a": {"x": 1, "y": [1, 2]}, "b": 2, "fingerprint": "z"}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"fingerprint": "", "b": 2, "a": {"y": [1, 2], "x": 1}}"#).unwrap();
        assert_eq!(fingerprint(&document), fingerprint(&other));
        let edited: Value = serde_json::from_str(r#"{"a": {"x": 1, "y": [2, 1]}, "b": 2}"#).unwrap();
        assert_ne!(fingerprint(&document), fingerprint(&edited));
    }

    #[test]
    fn a_plan_is_for_its_owner_and_replaces_no_link() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("plan"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let error = save(&link, &json!({})).unwrap_err();
        assert!(error.to_string().contains("--out") && std::fs::read_to_string(&file).unwrap() == "old", "{error}");
        save(&file, &json!({"a": 1})).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&file).unwrap().contains("\"a\": 1"));
    }
}
