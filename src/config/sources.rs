//! Where charts and images come from: merging what flags and files say, and the rules for it, all of which are checked offline.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::bundle;
use crate::cli::Wanted;
use crate::component::{self, Component};
use crate::config::Config;
use crate::config_file::ChartOriginSpec;
use crate::error::{Error, Result};
use crate::files;
use crate::read::chart::{ChartRef, ChartSource, OCI, is_digest, is_loopback};
use crate::validate;

/// What the user says of where a component's chart comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChartOrigin {
    /// A repository or registry instead of the component's own.
    pub repository: Option<String>,
    /// What the archive must be.
    pub digest: Option<String>,
}

impl From<&ChartOrigin> for ChartOriginSpec {
    fn from(origin: &ChartOrigin) -> ChartOriginSpec {
        ChartOriginSpec { repository: origin.repository.clone(), digest: origin.digest.clone() }
    }
}

/// Flags laid on the file, for one component.
pub(super) fn origin(
    component: &Component,
    spec: &ChartOriginSpec,
    wanted: &Wanted,
    known: &[Component],
) -> Result<ChartOrigin> {
    let sources = &wanted.sources;
    let pick = |flag, given: &[String], field: &Option<String>| {
        Ok::<_, Error>(of_component(component, flag, given, known)?.or_else(|| field.clone()))
    };
    Ok(ChartOrigin {
        repository: pick("--chart-repository", &sources.chart_repositories, &spec.repository)?,
        digest: pick("--chart-digest", &sources.chart_digests, &spec.digest)?,
    })
}

/// What the flag says for a component; the last one wins, as everywhere on the command line.
fn of_component(component: &Component, flag: &str, given: &[String], known: &[Component]) -> Result<Option<String>> {
    let mut found = None;
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            let mend = format!("write {flag} COMPONENT=..., as in {flag} {}=...", component.name);
            return Err(Error::config(flag, text, "no `=` in it", mend));
        };
        validate::one_of(flag, name, known.iter().map(|component| component.name))?;
        if name == component.name {
            found = Some(value.to_owned());
        }
    }
    Ok(found)
}

/// The field of a component's chart as errors name it.
fn field(component: &Component, name: &str) -> String {
    format!("chart {name} of {}", component.name)
}

/// Checks everything about charts and images.
pub(super) fn check(config: &Config) -> Result<()> {
    for component in component::all(config) {
        let origin = &component.configured(config).chart;
        let own = component.is_custom().then_some(component.repository);
        if let Some(url) = origin.repository.as_deref().or(own) {
            repository(&field(&component, "repository"), url, origin.digest.is_some())?;
        }
        if let Some(digest) = origin.digest.as_ref().filter(|digest| !is_digest(digest)) {
            let mend = "give the archive's `sha256:` and 64 lower-case hexadecimal digits, as `bundle` prints them";
            return Err(Error::config(field(&component, "digest"), digest, "not a SHA-256 digest", mend));
        }
    }
    if let Some(registry) = &config.image_registry {
        image_registry(registry)?;
    }
    config.charts.as_deref().map_or(Ok(()), charts)
}

/// `https://`, `oci://`, or `http://` where nobody can change what comes.
fn repository(field: &str, url: &str, has_digest: bool) -> Result<()> {
    let refuse = |reason: &str, mend: &str| Err(Error::config(field, url, reason, mend));
    let as_in = "write it as in `https://aws.github.io/eks-charts` or `oci://public.ecr.aws/eks-charts`";
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse("no scheme", as_in);
    };
    if !matches!(scheme, "http" | "https" | "oci") {
        return refuse("the scheme is not https, http or oci", as_in);
    }
    let parsed = Url::parse(&format!("https://{rest}"));
    // The parser takes the first part of the path where the host is empty.
    let Some(parsed) = parsed.ok().filter(|url| url.has_host() && !rest.starts_with('/')) else {
        return refuse("no host", as_in);
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return refuse("it holds credentials", "sign in with `helm registry login` instead, and leave them out");
    }
    if parsed.query().is_some() || parsed.fragment().is_some() || rest.contains([' ', '\n']) {
        return refuse("only host and path belong there", as_in);
    }
    if url.starts_with(OCI) {
        if rest.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) && rest.contains('/') {
            return refuse(
                "it holds a tag or digest",
                "give the version as the component's version, and `chart.digest`",
            );
        }
    } else if scheme == "http" && !has_digest && !is_loopback(url) {
        let mend = "use https or oci, or pin the chart with its digest (--chart-digest)";
        return refuse("over plain HTTP anyone on the way can exchange the chart", mend);
    }
    Ok(())
}

/// `HOST[:PORT][/PREFIX]`, in the characters of image names.
fn image_registry(text: &str) -> Result<()> {
    let refuse = |reason: &str| {
        let mend = "write it as in `registry.example.com/mirror`: host, then perhaps a port and a path, no scheme";
        Err(Error::config("--image-registry", text, reason, mend))
    };
    if text.contains("://") {
        return refuse("a scheme does not belong in image names");
    }
    let mut parts = text.split('/');
    let host = parts.next().unwrap_or_default();
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    // Without a dot or port the first part would be a path on Docker Hub.
    let is_host = (name.contains('.') || port.is_some() || name == "localhost")
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.ends_with(['.', '-'])
        && name.chars().all(good)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if !is_host {
        return refuse("not the host of a registry");
    }
    let path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    for part in parts {
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !part.starts_with(ends) || !part.ends_with(ends) || !part.chars().all(path) {
            return refuse("its path has other characters than `a-z`, `0-9`, `-`, `_` and `.`, or an empty part");
        }
    }
    Ok(())
}

/// A folder, or a file that is a bundle.
fn charts(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let refuse = |reason: &str| {
        let mend = "give a folder with one folder or .tgz per chart, or a file made by `eks-bootstrap bundle`";
        Err(Error::config("--charts", path.display().to_string(), reason, mend))
    };
    match files::look(path) {
        Ok(()) => {}
        Err(error) if error.is_missing() => return refuse("no such folder or file"),
        Err(error) => return refuse(&error.to_string()),
    }
    bundle::index(path).map(drop).or_else(|error| match error {
        Error::Refused { what, .. } => refuse(&what),
        other => Err(other),
    })
}

impl Config {
    /// The chart of a component, and where it comes from: `--charts`, else what the user names, else the component's own.
    pub fn chart(&self, component: &Component) -> ChartRef {
        let configured = component.configured(self);
        let origin = &configured.chart;
        let source = match &self.charts {
            Some(path) if path.is_file() => ChartSource::Bundle(path.clone()),
            Some(path) => ChartSource::Folder(path.clone()),
            None => {
                ChartSource::Repository(origin.repository.clone().unwrap_or_else(|| component.repository.to_owned()))
            }
        };
        ChartRef {
            name: component.chart.to_owned(),
            version: configured.version.clone(),
            source,
            digest: origin.digest.clone(),
        }
    }

    /// Makes sure, before anything is asked, that an isolated cluster's charts come from places that the user named.
    ///
    /// # Errors
    /// A component whose chart would come from the internet.
    pub fn guard_isolation(&self) -> Result<()> {
        if !self.isolated || self.charts.is_some() {
            return Ok(());
        }
        let open: Vec<_> = component::all(self)
            .into_iter()
            .filter(|component| component.configured(self).enabled.unwrap_or(component.by_default))
            .filter(|component| component.configured(self).chart.repository.is_none())
            .collect();
        let Some(first) = open.first() else { return Ok(()) };
        let names: Vec<_> = open.iter().map(|component| component.name).collect();
        Err(Error::Usage {
            message: format!(
                "the cluster is isolated, and the charts of {} would come from the internet ({})",
                names.join(", "),
                first.repository
            ),
            mend: format!(
                "where there is a way out run `eks-bootstrap bundle --out charts.tar` and pass --charts charts.tar here; or \
                 name your own registry with --chart-repository {}=oci://HOST/PATH",
                first.name
            ),
        })
    }
}

/// Where helm keeps the user's logins to registries, if it is not named by `HELM_REGISTRY_CONFIG`.
/// <https://helm.sh/docs/helm/helm/>
#[expect(clippy::disallowed_methods, reason = "this is the reader of the environment")]
pub fn registry_logins() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if of("HELM_REGISTRY_CONFIG").is_some() {
        return None;
    }
    let folder = of("HELM_CONFIG_HOME").or_else(|| Some(of("XDG_CONFIG_HOME")?.join("helm"))).or_else(|| {
        let own = if cfg!(target_os = "macos") { "Library/Preferences/helm" } else { ".config/helm" };
        Some(of("HOME")?.join(own))
    })?;
    Some(folder.join("registry/config.json")).filter(|file| file.is_file())
}

/// By how much the limits of `limits.rs` are shortened, for tests that wait for them to pass. Not for users, and so in no help
/// text: a limit that is too short breaks runs that are only slow.
#[expect(clippy::disallowed_methods, reason = "this is the reader of the environment")]
pub(crate) fn haste() -> u32 {
    let text = std::env::var("EKS_BOOTSTRAP_TEST_HASTE").unwrap_or_default();
    text.parse().ok().filter(|factor| *factor >= 1).unwrap_or(1)
}

/// The variable by which a run tells the `token` commands that its helm starts how far AWS' clock is ahead, in seconds: they ask
/// nobody, so they cannot measure it. Not for users, who set their clock instead.
pub(crate) const MEASURED_SKEW: &str = "EKS_BOOTSTRAP_MEASURED_SKEW";

/// What that variable says.
pub(crate) fn measured_skew() -> Option<i64> {
    variable(MEASURED_SKEW)?.parse().ok()
}

/// A variable that other programs read too, such as `AWS_ENDPOINT_URL_IAM` or `HTTPS_PROXY`; none where it is empty.
#[expect(clippy::disallowed_methods, reason = "this is the reader of the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(result: Result<()>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), crate::exit_code::USAGE);
        assert!(crate::hint::of(&error).is_some());
        error.to_string()
    }

    #[test]
    fn repositories_are_addresses_that_nobody_can_change() {
        for url in [
            "https://aws.github.io/eks-charts",
            "oci://public.ecr.aws/eks-charts",
            "oci://registry.example.com:5000/charts/aws-load-balancer-controller",
            "oci://registry.example.com:5000",
            "http://127.0.0.1:8080/charts",
            "http://localhost/charts",
        ] {
            repository("x", url, false).unwrap();
        }
        repository("x", "http://charts.example.com", true).unwrap();
        for (url, reason) in [
            ("", "no scheme"),
            ("public.ecr.aws/eks-charts", "no scheme"),
            ("file:///charts", "scheme is not"),
            ("ftp://x", "scheme is not"),
            ("https://", "no host"),
            ("oci:///charts", "no host"),
            ("https://me:secret@charts.example.com", "credentials"),
            ("https://charts.example.com/?a=b", "host and path"),
            ("oci://public.ecr.aws/eks-charts/x:1.0.0", "tag or digest"),
            ("oci://public.ecr.aws/eks-charts/x@sha256:abc", "tag or digest"),
            ("http://charts.example.com", "plain HTTP"),
        ] {
            let text = refusal(repository("chart repository of x", url, false));
            assert!(text.contains(reason), "{url}: {text}");
        }
    }

    #[test]
    fn image_registries_are_the_beginning_of_image_names() {
        for text in [
            "registry.example.com",
            "registry.example.com/mirror",
            "localhost:5000",
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com/ecr-public/a_b",
            "10.0.0.1:5000/x",
        ] {
            image_registry(text).unwrap();
        }
        for text in [
            "",
            "mirror",
            "https://registry.example.com",
            "registry.example.com/",
            "registry.example.com//a",
            "registry.example.com/Mirror",
            "registry.example.com:x",
            "registry.example.com:0",
            "registry example.com",
            ".example.com",
            "registry.example.com/-a",
        ] {
            let error = refusal(image_registry(text));
            assert!(error.contains("--image-registry"), "{text}: {error}");
        }
    }
}
