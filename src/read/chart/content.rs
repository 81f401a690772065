//! What is in a chart: its name and version, and its CRDs, also those of the charts inside it. Reads folders and archives alike.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::DEEPEST_FOLDER;
use super::parts::{Chart, Dependency};
use crate::files;
use crate::read::release::parse_crds;
use crate::unpacking::{self, Allowance, LARGEST_FILE};

/// Charts in charts go no deeper than this.
const DEEPEST: usize = 12;
/// What the charts in a chart lie in.
const PARTS: &str = "charts/";

/// What `Chart.yaml` says.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) version: String,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

/// The files of a chart by their names in it, as far as they matter here.
type Files = BTreeMap<String, Vec<u8>>;

/// Metadata and CRDs of a chart folder or archive, of which no more is unpacked than is allowed.
pub(super) fn read(path: &Path, allowance: &Allowance) -> Result<(Metadata, Chart), String> {
    let files = if path.is_dir() {
        let mut files = Files::new();
        add_folder(path, "", DEEPEST_FOLDER, &mut files, allowance).map_err(|error| allowance.told(&error))?;
        files
    } else {
        archive_files(files::open(path).map_err(|error| error.to_string())?, allowance)?
    };
    of_files(files, DEEPEST, allowance)
}

fn of_files(files: Files, depth: usize, allowance: &Allowance) -> Result<(Metadata, Chart), String> {
    let text = |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes));
    let about = text("Chart.yaml").ok_or("it has no Chart.yaml")?;
    let mut metadata: Metadata = serde_saphyr::from_str(&about).map_err(|error| format!("Chart.yaml: {error}"))?;
    let values = match text("values.yaml").filter(|values| !values.trim().is_empty()) {
        // Values that cannot be read are helm's to refuse; here they turn no inner chart off.
        Some(values) => serde_saphyr::from_str(&values).unwrap_or_default(),
        None => serde_json::Value::Null,
    };
    let mut chart = Chart {
        name: metadata.name.clone(),
        values,
        dependencies: std::mem::take(&mut metadata.dependencies),
        ..Chart::default()
    };
    for (name, bytes) in files.iter().filter(|(name, _)| is_crd_file(name)) {
        let crds = parse_crds(&String::from_utf8_lossy(bytes));
        chart.crds.extend(crds.map_err(|error| format!("{name}: {error}"))?);
    }
    for (name, part) in parts(files, allowance)? {
        if depth == 0 {
            return Err(format!("charts in it are nested more than {DEEPEST} deep"));
        }
        let part = of_files(part, depth - 1, allowance).map_err(|error| format!("{PARTS}{name}: {error}"))?;
        chart.parts.push(part.1);
    }
    Ok((metadata, chart))
}

/// The charts in the folder `charts`, unpacked or not. Helm leaves out what begins with a dot or an underscore.
fn parts(files: Files, allowance: &Allowance) -> Result<BTreeMap<String, Files>, String> {
    let mut parts = BTreeMap::<String, Files>::new();
    for (name, bytes) in files {
        let Some(rest) = name.strip_prefix(PARTS).filter(|rest| !rest.starts_with(['.', '_'])) else { continue };
        match rest.split_once('/') {
            Some((part, rest)) => {
                parts.entry(part.to_owned()).or_default().insert(rest.to_owned(), bytes);
            }
            None if is_archive(rest) => {
                let inner = archive_files(bytes.as_slice(), allowance).map_err(|error| format!("{name}: {error}"))?;
                parts.insert(rest.to_owned(), inner);
            }
            None => {}
        }
    }
    parts.retain(|_, files| files.contains_key("Chart.yaml"));
    Ok(parts)
}

/// Whether helm reads CRDs of a file: anywhere under `crds`, by the end of its name. What kustomize keeps beside them is its own.
pub(in crate::read) fn is_crd_file(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("crds/") else { return false };
    let file = rest.rsplit('/').next().unwrap_or(rest).to_lowercase();
    let (stem, extension) = file.rsplit_once('.').unwrap_or((&file, ""));
    matches!(extension, "yaml" | "yml" | "json") && stem != "kustomization"
}

/// Whether a file under `charts` is a packed chart; helm goes by the end of its name.
fn is_archive(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension == "tgz")
}

/// Whether a file of a chart, or of a chart inside it, matters here.
fn matters(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix(PARTS) {
        return match rest.split_once('/') {
            Some((_, rest)) => matters(rest),
            None => is_archive(rest),
        };
    }
    matches!(name, "Chart.yaml" | "values.yaml") || is_crd_file(name)
}

/// The files that matter in a folder of the chart; links are followed, as helm follows them.
fn add_folder(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Files,
    allowance: &Allowance,
) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        allowance.file()?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // A link to nothing is helm's to refuse.
        let Ok(data) = fs::metadata(entry.path()) else { continue };
        let leads_on = name.starts_with("crds") || name.starts_with("charts");
        if data.is_dir() && leads_on {
            let too_deep =
                || std::io::Error::other(format!("folders in it are nested more than {DEEPEST_FOLDER} deep"));
            let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
            add_folder(&entry.path(), &format!("{name}/"), depth, files, allowance)?;
        } else if !data.is_dir() && matters(&name) {
            let bytes = files::read(&entry.path(), LARGEST_FILE)
                .map_err(|error| std::io::Error::other(format!("`{name}`: {error}")))?;
            allowance.bytes(bytes.len() as u64)?;
            files.insert(name, bytes);
        }
    }
    Ok(())
}

fn archive_files(archive: impl Read, allowance: &Allowance) -> Result<Files, String> {
    let text = |error: std::io::Error| allowance.told(&error);
    let mut files = Files::new();
    let mut archive = tar::Archive::new(allowance.counting(flate2::read::GzDecoder::new(archive)));
    for entry in archive.entries().map_err(text)? {
        let entry = entry.map_err(text)?;
        allowance.file().map_err(text)?;
        // The first part of a path is the chart's own folder.
        let path = entry.path().map_err(text)?;
        let name = path.components().skip(1).collect::<PathBuf>().to_string_lossy().into_owned();
        if matters(&name) {
            // Its holes are made up by the reader, so nothing would count them.
            if entry.header().entry_type().is_gnu_sparse() {
                return Err(format!("`{name}` is a sparse file"));
            }
            let bytes = unpacking::whole(entry).map_err(|error| format!("`{name}`: {}", allowance.told(&error)))?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crd_files_are_told_by_their_place_and_end() {
        for name in ["crds/a.yaml", "crds/deep/er/b.YML", "crds/c.json"] {
            assert!(is_crd_file(name), "{name}");
        }
        for name in
            ["crds/README.md", "crds/kustomization.yaml", "crds/x/Kustomization.yml", "crds", "templates/crds/a.yaml"]
        {
            assert!(!is_crd_file(name), "{name}");
        }
        assert!(
            matters("charts/a/charts/b/crds/c.yaml")
                && matters("charts/a-1.0.0.tgz")
                && matters("charts/a/values.yaml")
        );
        assert!(!matters("charts/a/templates/b.yaml") && !matters("charts/README.md"));
    }
}
