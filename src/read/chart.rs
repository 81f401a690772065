//! Charts: from a folder, read directly, or from a repository, fetched by helm into a folder of ours. No cluster is asked.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::helm_process::{Helm, Home};
use crate::read::release::parse_crds;

/// Where charts come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChartSource {
    /// A folder with one folder or `.tgz` per chart.
    Folder(PathBuf),
    /// A chart repository.
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
}

/// A chart at hand: what helm takes as its place.
#[derive(Debug, Clone)]
pub struct LocalChart {
    /// A folder or a `.tgz`.
    pub path: PathBuf,
    /// Its CRDs.
    pub crds: Arc<Vec<Value>>,
}

/// Finds charts and keeps what it found for the run.
#[derive(Clone)]
pub struct ChartRead {
    helm: Helm,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    charts: BTreeMap<String, LocalChart>,
    /// Charts of repositories, kept until the run ends.
    home: Option<Home>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

impl ChartRead {
    /// A reader that fetches with `helm`.
    pub fn new(helm: Helm) -> ChartRead {
        ChartRead { helm, found: Arc::default() }
    }

    /// The chart, in a folder or archive on this machine.
    ///
    /// # Errors
    /// It is not there, or not in that version.
    pub async fn local(&self, chart: &ChartRef) -> Result<LocalChart> {
        let mut found = self.found.lock().await;
        let key = format!("{chart:?}");
        if let Some(local) = found.charts.get(&key) {
            return Ok(local.clone());
        }
        let path = match &chart.source {
            ChartSource::Folder(folder) => in_folder(folder, chart)?,
            ChartSource::Repository(url) => {
                if found.home.is_none() {
                    found.home = Some(Home::new()?);
                }
                let home = found.home.as_ref().ok_or_else(|| missing(chart, url, "no temporary folder"))?;
                self.fetch(chart, url, home).await?
            }
        };
        let (metadata, crds) = read(&path).map_err(|reason| missing(chart, &path.display().to_string(), &reason))?;
        if metadata.name != chart.name || metadata.version != chart.version {
            let reason = format!("it holds {} {}", metadata.name, metadata.version);
            return Err(missing(chart, &path.display().to_string(), &reason));
        }
        let local = LocalChart { path, crds: Arc::new(crds) };
        found.charts.insert(key, local.clone());
        Ok(local)
    }

    async fn fetch(&self, chart: &ChartRef, url: &str, home: &Home) -> Result<PathBuf> {
        let arguments = [
            "pull".into(),
            chart.name.as_str().into(),
            "--repo".into(),
            url.into(),
            "--version".into(),
            chart.version.as_str().into(),
            "--destination".into(),
            home.path().into(),
        ];
        match self.helm.run(&format!("pull {}", chart.name), &arguments, home).await {
            Ok(_) => Ok(home.path().join(format!("{}-{}.tgz", chart.name, chart.version))),
            Err(Error::HelmFailed { message, .. }) => Err(missing(chart, url, &message)),
            Err(other) => Err(other),
        }
    }
}

fn missing(chart: &ChartRef, place: &str, reason: &str) -> Error {
    Error::ChartNotFound {
        chart: chart.name.clone(),
        version: chart.version.clone(),
        place: place.to_owned(),
        reason: reason.to_owned(),
    }
}

/// `FOLDER/NAME`, `FOLDER/NAME-VERSION.tgz` or `FOLDER/NAME.tgz`.
fn in_folder(folder: &Path, chart: &ChartRef) -> Result<PathBuf> {
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

/// Metadata and CRDs of a chart folder or archive.
fn read(path: &Path) -> Result<(Metadata, Vec<Value>), String> {
    let files =
        if path.is_dir() { folder_files(path) } else { archive_files(path) }.map_err(|error| error.to_string())?;
    let text = files.get("Chart.yaml").ok_or("it has no Chart.yaml")?;
    let metadata: Metadata = serde_saphyr::from_str(text).map_err(|error| format!("Chart.yaml: {error}"))?;
    let mut crds = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| name.starts_with("crds/")) {
        crds.extend(parse_crds(text).map_err(|error| format!("{name}: {error}"))?);
    }
    Ok((metadata, crds))
}

/// `Chart.yaml` and everything under `crds/`, by their names in the chart.
fn folder_files(path: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::from([("Chart.yaml".to_owned(), fs::read_to_string(path.join("Chart.yaml"))?)]);
    let crds = path.join("crds");
    if crds.is_dir() {
        for entry in fs::read_dir(crds)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = format!("crds/{}", entry.file_name().to_string_lossy());
                files.insert(name, fs::read_to_string(entry.path())?);
            }
        }
    }
    Ok(files)
}

fn archive_files(path: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(path)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        // The first part of a path is the chart's own folder; sub-charts have CRDs of their own further down.
        let name = entry.path()?.components().skip(1).collect::<PathBuf>().to_string_lossy().into_owned();
        if name == "Chart.yaml" || name.starts_with("crds/") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            files.insert(name, text);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(folder: &Path, version: &str) -> ChartRef {
        ChartRef { name: "x".to_owned(), version: version.to_owned(), source: ChartSource::Folder(folder.to_owned()) }
    }

    fn reader() -> ChartRead {
        ChartRead::new(Helm::new(None))
    }

    #[tokio::test]
    async fn folders_and_archives_give_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("x/crds")).unwrap();
        fs::write(folder.path().join("x/Chart.yaml"), "name: x\nversion: 1.0.0\n").unwrap();
        let crds = "kind: CustomResourceDefinition\nmetadata: {name: a}\n---\nkind: ConfigMap\n";
        fs::write(folder.path().join("x/crds/a.yaml"), crds).unwrap();
        let from_folder = reader().local(&chart(folder.path(), "1.0.0")).await.unwrap();
        assert_eq!(from_folder.crds.len(), 1);

        let packed = tempfile::tempdir().unwrap();
        let file = fs::File::create(packed.path().join("x-1.0.0.tgz")).unwrap();
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::default()));
        builder.append_dir_all("x", folder.path().join("x")).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        let from_archive = reader().local(&chart(packed.path(), "1.0.0")).await.unwrap();
        assert_eq!(from_archive.crds, from_folder.crds);
    }

    #[tokio::test]
    async fn another_version_or_no_chart_is_an_error_that_names_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = reader().local(&chart(folder.path(), "1.0.0")).await.unwrap_err();
        assert!(matches!(&error, Error::ChartNotFound { reason, .. } if reason == "it is empty"), "{error:?}");
        fs::create_dir_all(folder.path().join("x")).unwrap();
        fs::write(folder.path().join("x/Chart.yaml"), "name: x\nversion: 2.0.0\n").unwrap();
        let error = reader().local(&chart(folder.path(), "1.0.0")).await.unwrap_err();
        assert!(matches!(&error, Error::ChartNotFound { reason, .. } if reason == "it holds x 2.0.0"), "{error:?}");
    }
}
