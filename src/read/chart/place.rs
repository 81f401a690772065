//! Where charts lie: names in a folder, and what helm is told of repositories and registries. Pure but for looking whether a
//! file exists.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use url::Url;

use crate::error::Result;
use crate::read::chart::{ChartRef, missing};

/// How the address of a registry begins.
pub const OCI: &str = "oci://";

/// `FOLDER/NAME`, `FOLDER/NAME-VERSION.tgz` or `FOLDER/NAME.tgz`.
pub(super) fn in_folder(folder: &Path, chart: &ChartRef) -> Result<PathBuf> {
    let candidates =
        [chart.name.clone(), format!("{}-{}.tgz", chart.name, chart.version), format!("{}.tgz", chart.name)];
    if let Some(path) = candidates.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        return Ok(path);
    }
    let there: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    let there = if there.is_empty() { "it is empty".to_owned() } else { format!("it holds {}", there.join(", ")) };
    Err(missing(chart, &folder.display().to_string(), &there))
}

/// The chart's own address in a registry: `oci://HOST/PATH/NAME`, whether the configured one ends with the name or not.
pub fn oci_reference(url: &str, name: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.rsplit('/').next() == Some(name) { url.to_owned() } else { format!("{url}/{name}") }
}

/// Whether the address is this machine's own, where HTTP without TLS shows nothing to others.
pub(crate) fn is_loopback(url: &str) -> bool {
    // The host of an unknown scheme is a plain text to the parser, so an address would not be seen as one.
    let url = url.strip_prefix(OCI).map_or_else(|| url.to_owned(), |rest| format!("http://{rest}"));
    match Url::parse(&url).ok().as_ref().and_then(Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What helm is told to put the chart's archive into `folder`.
pub(super) fn pull(chart: &ChartRef, url: &str, folder: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["pull".into()];
    if url.starts_with(OCI) {
        arguments.push(oci_reference(url, &chart.name).into());
        if is_loopback(url) {
            arguments.push("--plain-http".into());
        }
    } else {
        arguments.extend([chart.name.as_str(), "--repo", url].map(Into::into));
    }
    arguments.extend(["--version", &chart.version, "--destination"].map(Into::into));
    arguments.push(folder.into());
    arguments
}
