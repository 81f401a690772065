//! A bundle: the archives of several charts in one tar file, with an index that says where each came from and what its digest
//! is. Made by `commands/bundle.rs`, taken by `read/chart.rs`. The same charts give the same bytes.
//!
//! A bundle comes from somewhere else, so nothing in it is trusted: only plain files at its top that the index names are
//! taken, and only with the digest that stands there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::read::chart::{ChartRef, digest_of, missing};
use crate::unpacking::{self, Allowance, LARGEST_FILE};

/// Name and version of the index's form.
pub const SCHEMA: &str = "eks-bootstrap/bundle/v1";

/// The index's name in the bundle.
const INDEX: &str = "bundle.json";

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// [`SCHEMA`].
    pub schema: String,
    /// The charts, by name.
    pub charts: Vec<Entry>,
}

/// One chart of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The chart's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it was taken from.
    pub source: String,
    /// The digest of its archive.
    pub digest: String,
    /// The images that it runs with our values.
    pub images: Vec<String>,
}

impl Entry {
    /// The archive's name in the bundle.
    pub fn file(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }
}

/// Writes the bundle of these charts, given with their archives; a bundle that exists is replaced as a whole.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, charts: Vec<(Entry, Vec<u8>)>) -> Result<Index> {
    let (index, bytes) = pack(charts).map_err(|source| Error::io("pack the bundle", source))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let save = || -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut new = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder)?;
        new.write_all(&bytes)?;
        new.persist(file)?;
        Ok(())
    };
    save().map_err(|source| Error::io(format!("write the bundle to `{}`", file.display()), source))?;
    Ok(index)
}

fn pack(mut charts: Vec<(Entry, Vec<u8>)>) -> std::io::Result<(Index, Vec<u8>)> {
    charts.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    let index = Index { schema: SCHEMA.to_owned(), charts: charts.iter().map(|(entry, _)| entry.clone()).collect() };
    let text = format!("{:#}\n", serde_json::to_value(&index)?);
    let files = charts.iter().map(|(entry, bytes)| (entry.file(), bytes.as_slice()));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in std::iter::once((INDEX.to_owned(), text.as_bytes())).chain(files) {
        // Times, owners and modes are not the chart's: they would make every bundle another file.
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes)?;
    }
    Ok((index, builder.into_inner()?))
}

/// What the bundle says it holds.
///
/// # Errors
/// It cannot be read, or is no bundle.
pub fn index(file: &Path) -> Result<Index> {
    contents(file).map(|(index, _)| index).map_err(|reason| unusable(file, &reason))
}

/// Unpacks the archive of one chart into `folder`.
///
/// # Errors
/// The bundle cannot be used, does not hold the chart, or holds another file than its index says.
pub fn take(file: &Path, chart: &ChartRef, folder: &Path) -> Result<PathBuf> {
    let (index, files) = contents(file).map_err(|reason| unusable(file, &reason))?;
    let Some(entry) = index.charts.iter().find(|entry| entry.name == chart.name && entry.version == chart.version)
    else {
        let there: Vec<_> = index.charts.iter().map(|entry| format!("{} {}", entry.name, entry.version)).collect();
        return Err(missing(chart, &file.display().to_string(), &format!("it holds {}", there.join(", "))));
    };
    let bytes = files.get(&entry.file()).map(Vec::as_slice).unwrap_or_default();
    let actual = digest_of(bytes);
    if actual != entry.digest {
        let what = format!(
            "{} in bundle `{}` is not the expected file: its digest is {actual}, expected is {}",
            entry.file(),
            file.display(),
            entry.digest
        );
        return Err(Error::Refused { what, mend: ANEW.to_owned() });
    }
    let path = folder.join(entry.file());
    fs::write(&path, bytes).map_err(|source| Error::io("unpack a chart of the bundle", source))?;
    Ok(path)
}

/// What to do about a bundle that cannot be used.
const ANEW: &str = "make the bundle anew with `eks-bootstrap bundle --out FILE`, and find out who changed this one";

fn unusable(file: &Path, reason: &str) -> Error {
    Error::Refused { what: format!("`{}` cannot be used as a bundle: {reason}", file.display()), mend: ANEW.to_owned() }
}

/// The index and every file of the bundle.
fn contents(file: &Path) -> Result<(Index, BTreeMap<String, Vec<u8>>), String> {
    let mut files = unpacked(files::open(file).map_err(|error| error.to_string())?, &Allowance::default())?;
    let text = files.remove(INDEX).ok_or_else(|| format!("it has no {INDEX}"))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| format!("{INDEX}: {error}"))?;
    if index.schema != SCHEMA {
        return Err(format!("its form is {}, not {SCHEMA}", index.schema));
    }
    for entry in &index.charts {
        if !is_plain(&entry.file()) {
            return Err(format!("{INDEX} names the file `{}`", entry.file()));
        }
        if !files.contains_key(&entry.file()) {
            return Err(format!("{} is not in it", entry.file()));
        }
    }
    let known: Vec<_> = index.charts.iter().map(Entry::file).collect();
    if let Some(name) = files.keys().find(|name| !known.contains(name)) {
        return Err(format!("it holds `{name}`, which {INDEX} does not name"));
    }
    Ok((index, files))
}

fn unpacked(file: fs::File, allowance: &Allowance) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let no_tar = |error: std::io::Error| match allowance.exceeded() {
        Some(exceeded) => exceeded.to_string(),
        None => format!("it is no tar file ({error})"),
    };
    let mut unpacked = BTreeMap::new();
    for entry in tar::Archive::new(allowance.counting(file)).entries().map_err(no_tar)? {
        let entry = entry.map_err(no_tar)?;
        allowance.file().map_err(no_tar)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !is_plain(&name) {
            return Err(format!("it holds the path `{name}`, where only plain file names belong"));
        }
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(format!("`{name}` is no regular file"));
        }
        if entry.size() > LARGEST_FILE {
            return Err(format!("`{name}` is larger than {}", files::shown(LARGEST_FILE)));
        }
        let bytes = unpacking::whole(entry).map_err(no_tar)?;
        if unpacked.insert(name.clone(), bytes).is_some() {
            return Err(format!("it holds `{name}` twice"));
        }
    }
    Ok(unpacked)
}

/// A name that leads nowhere but into the folder it is put in.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::chart::ChartSource;

    fn entry(name: &str, bytes: &[u8]) -> (Entry, Vec<u8>) {
        let entry = Entry {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            source: "https://charts.example".to_owned(),
            digest: digest_of(bytes),
            images: vec!["registry.example/a:1".to_owned()],
        };
        (entry, bytes.to_vec())
    }

    fn chart(name: &str, version: &str) -> ChartRef {
        let source = ChartSource::Bundle(PathBuf::new());
        ChartRef { name: name.to_owned(), version: version.to_owned(), source, digest: None }
    }

    #[test]
    fn the_same_charts_give_the_same_bytes_and_come_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.tar"), folder.path().join("other.tar"));
        write(&one, vec![entry("b", b"bb"), entry("a", b"aa")]).unwrap();
        fs::write(&other, "in the way").unwrap();
        let written = write(&other, vec![entry("a", b"aa"), entry("b", b"bb")]).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&other).unwrap());
        assert_eq!(index(&one).unwrap(), written);
        let path = take(&one, &chart("b", "1.0.0"), folder.path()).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"bb");
        let text = crate::report::of(&take(&one, &chart("b", "2.0.0"), folder.path()).unwrap_err());
        assert!(text.contains("it holds a 1.0.0, b 1.0.0"), "{text}");
    }

    #[test]
    fn a_chart_that_is_not_what_the_index_says_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tar");
        let (mut lying, bytes) = entry("a", b"aa");
        lying.digest = digest_of(b"other");
        write(&file, vec![(lying, bytes)]).unwrap();
        let error = take(&file, &chart("a", "1.0.0"), folder.path()).unwrap_err();
        let text = crate::report::of(&error);
        assert!(text.contains(&digest_of(b"aa")) && text.contains(&digest_of(b"other")), "{text}");
        assert_eq!(error.exit_code(), crate::exit_code::REFUSED);
        assert!(!folder.path().join("a-1.0.0.tgz").exists());
    }

    /// Name, content and kind of an entry.
    type Raw<'a> = (&'a str, &'a [u8], tar::EntryType);

    /// A tar file with these entries, whatever their names.
    fn raw(entries: &[Raw<'_>]) -> tempfile::NamedTempFile {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes, kind) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_entry_type(*kind);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), builder.into_inner().unwrap()).unwrap();
        file
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        use tar::EntryType::{Directory, Regular, Symlink};
        let (own, _) = pack(vec![entry("a", b"aa")]).unwrap();
        let good = serde_json::to_vec(&own).unwrap();
        let cases: [(&[Raw<'_>], &str); 9] = [
            (&[("../a-1.0.0.tgz", b"aa", Regular)], "the path `../a-1.0.0.tgz`"),
            (&[("/etc/x", b"aa", Regular)], "the path `/etc/x`"),
            (&[("x/../../y", b"aa", Regular)], "the path"),
            (&[("..", b"", Directory)], "the path `..`"),
            (&[("a-1.0.0.tgz", b"", Symlink)], "is no regular file"),
            (&[("a-1.0.0.tgz", b"aa", Regular)], "it has no bundle.json"),
            (&[(INDEX, &good, Regular)], "a-1.0.0.tgz is not in it"),
            (&[(INDEX, b"{}", Regular)], "bundle.json: missing field"),
            (
                &[(INDEX, &good, Regular), ("a-1.0.0.tgz", b"aa", Regular), ("more", b"", Regular)],
                "`more`, which bundle.json does not name",
            ),
        ];
        for (entries, expected) in cases {
            let text = crate::report::of(&index(raw(entries).path()).unwrap_err());
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let mut index_of_a_traveller = own;
        index_of_a_traveller.charts[0].name = "../../a".to_owned();
        let bytes = serde_json::to_vec(&index_of_a_traveller).unwrap();
        let text = crate::report::of(&index(raw(&[(INDEX, &bytes, Regular)]).path()).unwrap_err());
        assert!(text.contains("names the file `../../a-1.0.0.tgz`"), "{text}");
        let file = || raw(&[("a-1.0.0.tgz", &[0; 4096], Regular), ("b-1.0.0.tgz", &[0; 4096], Regular)]).into_file();
        assert_eq!(unpacked(file(), &Allowance::of(1 << 20)).unwrap().len(), 2);
        assert_eq!(unpacked(file(), &Allowance::of(6000)).unwrap_err(), "it unpacks to more than 6000 bytes");
        let no_tar = tempfile::NamedTempFile::new().unwrap();
        fs::write(no_tar.path(), "x".repeat(2000)).unwrap();
        let text = crate::report::of(&index(no_tar.path()).unwrap_err());
        assert!(text.contains("it is no tar file"), "{text}");
    }
}
