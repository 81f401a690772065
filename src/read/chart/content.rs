//! What is in a chart: its name and version, and its CRDs. Reads folders and archives alike.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::read::release::parse_crds;

/// What `Chart.yaml` says.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) version: String,
}

/// Metadata and CRDs of a chart folder or archive.
pub(super) fn read(path: &Path) -> Result<(Metadata, Vec<Value>), String> {
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
