//! Charts: from a folder or a bundle, read directly, or from a repository or registry, fetched by helm into a folder of ours.
//! No cluster is asked.
//!
//! Archives are copied to (or fetched into) a folder that only we can read before anything of them is looked at: what is
//! verified, what is read and what helm installs is one file that nobody else can exchange in between.

mod archive;
pub(super) mod content;
mod parts;
mod place;
mod rendering;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::bundle;
use crate::error::{Error, Result};
use crate::flight::Flights;
use crate::helm_process::{Helm, Home, Keys, OLDEST};
use crate::limits::{self, CHART_PULL};
use crate::unpacking::Allowance;

pub use archive::{digest_of, is_digest};
pub(crate) use place::is_loopback;
pub use place::{OCI, oci_reference};

/// Where charts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where it comes from. No part of a plan's fingerprint, which is about content: the same chart may lie elsewhere.
    #[serde(skip)]
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
    content: Arc<parts::Chart>,
}

impl LocalChart {
    /// The digest of all that it holds, wherever it lies: that of the archive, or of the names and contents of a folder's files.
    ///
    /// # Errors
    /// A file of the folder cannot be read, or it holds too much for a chart.
    pub fn content_digest(&self) -> Result<String> {
        match &self.digest {
            Some(digest) => Ok(digest.clone()),
            None => archive::digest_of_folder(&self.path),
        }
    }

    /// Its CRDs, and those of the charts inside it that these values turn on.
    pub fn crds(&self, values: &Value) -> Vec<Value> {
        self.content.crds(values)
    }
}

/// Finds charts and keeps what it found for the run.
#[derive(Clone)]
pub struct ChartRead {
    helm: Helm,
    found: Flights<String, LocalChart>,
    home: KeptHome,
    rendered: rendering::Rendered,
}

/// Where archives are kept until the run ends, once there is one.
#[derive(Clone, Default)]
struct KeptHome(Arc<Mutex<Option<Arc<Home>>>>);

impl KeptHome {
    /// A folder of its own for one chart.
    fn folder(&self) -> Result<(Arc<Home>, PathBuf)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let home = match &*kept {
            Some(home) => home.clone(),
            None => kept.insert(Arc::new(Home::new()?)).clone(),
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
        ChartRead {
            helm,
            found: Flights::default(),
            home: KeptHome::default(),
            rendered: rendering::Rendered::default(),
        }
    }

    /// The chart, in a folder or archive on this machine.
    ///
    /// # Errors
    /// It is not there, not in that version, or not the file that its digest says.
    pub async fn local(&self, chart: &ChartRef) -> Result<LocalChart> {
        let (helm, home, chart) = (self.helm.clone(), self.home.clone(), chart.clone());
        self.found.get(format!("{chart:?}"), || async move { find(&helm, &home, &chart).await }).await
    }
}

/// Finds a chart.
async fn find(helm: &Helm, home: &KeptHome, chart: &ChartRef) -> Result<LocalChart> {
    let path = match &chart.source {
        ChartSource::Folder(folder) => {
            let path = place::in_folder(folder, chart)?;
            if path.is_dir() { path } else { archive::copy(&path, &home.folder()?.1)? }
        }
        ChartSource::Bundle(file) => bundle::take(file, chart, &home.folder()?.1)?,
        ChartSource::Repository(url) => {
            let (home, folder) = home.folder()?;
            fetch(helm, chart, url, &home, &folder).await?
        }
    };
    // Before anything of it is used.
    let digest = verified(chart, &path)?;
    let place = || match &chart.source {
        ChartSource::Repository(url) => url.clone(),
        ChartSource::Folder(path) | ChartSource::Bundle(path) => path.display().to_string(),
    };
    let allowance = Allowance::default();
    let (metadata, content) = content::read(&path, &allowance).map_err(|reason| match allowance.exceeded() {
        Some(_) => archive::unusable(Path::new(&place()), &format!("chart {} {}: {reason}", chart.name, chart.version)),
        None => missing(chart, &place(), &reason),
    })?;
    if metadata.name != chart.name || metadata.version != chart.version {
        let reason = format!("it holds {} {}", metadata.name, metadata.version);
        return Err(missing(chart, &place(), &reason));
    }
    Ok(LocalChart { path, digest, content: Arc::new(content) })
}

async fn fetch(helm: &Helm, chart: &ChartRef, url: &str, home: &Home, folder: &Path) -> Result<PathBuf> {
    let arguments = place::pull(chart, url, folder);
    // A helm that does not even tell its version is no chart that is missing.
    helm.at_least(&OLDEST).await?;
    let keys = if url.starts_with(OCI) { Keys::for_registry(url) } else { Keys::Removed };
    match helm.run(&format!("pull {}", chart.name), &arguments, home, CHART_PULL.get(), keys).await {
        Ok(_) => archive::only(folder).ok_or_else(|| missing(chart, url, "helm pulled it and left no archive")),
        Err(Error::HelmFailed { message, .. }) => Err(missing(chart, url, &message)),
        Err(Error::TimedOut { limit, .. }) => {
            Err(missing(chart, url, &format!("the download did not end within {}", limits::shown(limit))))
        }
        Err(other) => Err(other),
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
