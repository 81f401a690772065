//! Charts: from a folder or a bundle, read directly, or from a repository or registry, fetched by helm into a folder of ours.
//! No cluster is asked.
//!
//! Archives are copied to (or fetched into) a folder that only we can read before anything of them is looked at: what is
//! verified, what is read and what helm installs is one file that nobody else can exchange in between.

mod archive;
mod content;
mod place;
mod rendering;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::bundle;
use crate::error::{Error, Result};
use crate::helm_process::{Helm, Home};

pub use archive::{digest_of, is_digest};
pub(crate) use place::is_loopback;
pub use place::{OCI, oci_reference};

/// Where charts come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChartSource {
    /// A folder with one folder or `.tgz` per chart.
    Folder(PathBuf),
    /// A file that `bundle` made.
    Bundle(PathBuf),
    /// A chart repository (`https://`), or a registry (`oci://`).
    Repository(String),
}

/// One chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChartRef {
    /// Its name.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Where it comes from.
    pub source: ChartSource,
    /// What its archive must be, `sha256:` and 64 digits.
    pub digest: Option<String>,
}

/// A chart at hand: what helm takes as its place.
#[derive(Debug, Clone)]
pub struct LocalChart {
    /// A folder or a `.tgz`.
    pub path: PathBuf,
    /// The archive's digest; a folder has none.
    pub digest: Option<String>,
    /// Its CRDs.
    pub crds: Arc<Vec<Value>>,
}

/// Finds charts and keeps what it found for the run.
#[derive(Clone)]
pub struct ChartRead {
    helm: Helm,
    found: Arc<Mutex<Found>>,
    rendered: rendering::Rendered,
}

#[derive(Default)]
struct Found {
    charts: BTreeMap<String, LocalChart>,
    /// Archives, kept until the run ends.
    home: Option<Home>,
}

impl Found {
    /// A folder of its own for one chart.
    fn folder(&mut self) -> Result<(&Home, PathBuf)> {
        let home = match &mut self.home {
            Some(home) => home,
            none => none.insert(Home::new()?),
        };
        let folder = tempfile::tempdir_in(home.path())
            .map_err(|source| Error::io("make a temporary folder for a chart", source))?
            .keep();
        Ok((home, folder))
    }
}

impl ChartRead {
    /// A reader that fetches with `helm`.
    pub fn new(helm: Helm) -> ChartRead {
        ChartRead { helm, found: Arc::default(), rendered: rendering::Rendered::default() }
    }

    /// The chart, in a folder or archive on this machine.
    ///
    /// # Errors
    /// It is not there, not in that version, or not the file that its digest says.
    pub async fn local(&self, chart: &ChartRef) -> Result<LocalChart> {
        let mut found = self.found.lock().await;
        let key = format!("{chart:?}");
        if let Some(local) = found.charts.get(&key) {
            return Ok(local.clone());
        }
        let path = match &chart.source {
            ChartSource::Folder(folder) => {
                let path = place::in_folder(folder, chart)?;
                if path.is_dir() { path } else { archive::copy(&path, &found.folder()?.1)? }
            }
            ChartSource::Bundle(file) => bundle::take(file, chart, &found.folder()?.1)?,
            ChartSource::Repository(url) => {
                let (home, folder) = found.folder()?;
                self.fetch(chart, url, home, &folder).await?
            }
        };
        // Before anything of it is used.
        let digest = verified(chart, &path)?;
        let place = || match &chart.source {
            ChartSource::Repository(url) => url.clone(),
            ChartSource::Folder(path) | ChartSource::Bundle(path) => path.display().to_string(),
        };
        let (metadata, crds) = content::read(&path).map_err(|reason| missing(chart, &place(), &reason))?;
        if metadata.name != chart.name || metadata.version != chart.version {
            let reason = format!("it holds {} {}", metadata.name, metadata.version);
            return Err(missing(chart, &place(), &reason));
        }
        let local = LocalChart { path, digest, crds: Arc::new(crds) };
        found.charts.insert(key, local.clone());
        Ok(local)
    }

    async fn fetch(&self, chart: &ChartRef, url: &str, home: &Home, folder: &Path) -> Result<PathBuf> {
        let arguments = place::pull(chart, url, folder);
        match self.helm.run(&format!("pull {}", chart.name), &arguments, home).await {
            Ok(_) => archive::only(folder).ok_or_else(|| missing(chart, url, "helm pulled it and left no archive")),
            Err(Error::HelmFailed { message, .. }) => Err(missing(chart, url, &message)),
            Err(other) => Err(other),
        }
    }
}

/// The digest of the archive at `path`, which is the one that `chart` asks for.
fn verified(chart: &ChartRef, path: &Path) -> Result<Option<String>> {
    if path.is_dir() {
        let Some(digest) = &chart.digest else { return Ok(None) };
        return Err(Error::Refused {
            what: format!("`{}` is a folder, and chart {} is to have the digest {digest}", path.display(), chart.name),
            mend: format!(
                "pack it with `helm package {}` and put the .tgz in its place, or leave the digest out",
                path.display()
            ),
        });
    }
    let actual = archive::digest(path)?;
    match &chart.digest {
        Some(expected) if *expected != actual => Err(Error::Refused {
            what: format!(
                "chart {} {} is not the expected file: its digest is {actual}, expected is {expected}",
                chart.name, chart.version
            ),
            mend: "find out who changed it; if the new file is right, correct the digest".to_owned(),
        }),
        _ => Ok(Some(actual)),
    }
}

pub(crate) fn missing(chart: &ChartRef, place: &str, reason: &str) -> Error {
    Error::ChartNotFound {
        chart: chart.name.clone(),
        version: chart.version.clone(),
        place: place.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
