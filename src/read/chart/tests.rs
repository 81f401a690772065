use std::fs;

use super::*;

fn chart(folder: &Path, version: &str) -> ChartRef {
    let source = ChartSource::Folder(folder.to_owned());
    ChartRef { name: "x".to_owned(), version: version.to_owned(), source, digest: None }
}

fn reader() -> ChartRead {
    ChartRead::new(Helm::new(None))
}

#[tokio::test]
async fn folders_and_archives_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("x/crds")).unwrap();
    fs::write(folder.path().join("x/Chart.yaml"), "name: x\nversion: 1.0.0\n").unwrap();
    let crd = |name: &str| {
        format!("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {name}}}\n")
    };
    let write = |name: &str, text: &str| {
        let path = folder.path().join("x").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("crds/a.yaml", &format!("{}---\napiVersion: v1\nkind: ConfigMap\n---\n", crd("a")));
    write("crds/deep/b.yml", &crd("b"));
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition", "metadata": {"name": "c"}}]});
    write("crds/c.json", &list.to_string());
    // Among CRDs lie other things, some of which are no objects.
    write("crds/kustomization.yaml", "resources: [a.yaml]\n");
    write("crds/README.md", "no: [yaml\n");
    write("charts/part/Chart.yaml", "name: part\nversion: 2.0.0\n");
    write("charts/part/crds/d.yaml", &crd("d"));
    let names = |local: &LocalChart| -> Vec<String> {
        let crds = local.crds(&serde_json::json!({}));
        crds.iter().map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let from_folder = reader().local(&chart(folder.path(), "1.0.0")).await.unwrap();
    assert_eq!(names(&from_folder), ["a", "c", "b", "d"]);

    let packed = tempfile::tempdir().unwrap();
    let file = fs::File::create(packed.path().join("x-1.0.0.tgz")).unwrap();
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::default()));
    builder.append_dir_all("x", folder.path().join("x")).unwrap();
    builder.into_inner().unwrap().finish().unwrap();
    let from_archive = reader().local(&chart(packed.path(), "1.0.0")).await.unwrap();
    assert_eq!(names(&from_archive), names(&from_folder));
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

/// A folder with the archive of chart x 1.0.0.
fn packed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x-1.0.0.tgz"), archive_of(&[ABOUT])).unwrap();
    folder
}

#[tokio::test]
async fn an_archive_is_verified_and_what_was_verified_is_what_is_used() {
    let folder = packed();
    let file = folder.path().join("x-1.0.0.tgz");
    let right = digest_of(&fs::read(&file).unwrap());
    let wanted = |digest: &str| ChartRef { digest: Some(digest.to_owned()), ..chart(folder.path(), "1.0.0") };
    let charts = reader();
    let local = charts.local(&wanted(&right)).await.unwrap();
    assert_eq!(local.digest.as_deref(), Some(right.as_str()));
    // Whoever exchanges the original now changes nothing of what is going to be installed.
    fs::write(&file, "another").unwrap();
    let again = charts.local(&wanted(&right)).await.unwrap();
    assert_eq!(digest_of(&fs::read(&again.path).unwrap()), right);
    assert_ne!(again.path, file);

    let error = reader().local(&wanted(&right)).await.unwrap_err();
    let text = crate::report::of(&error);
    let actual = digest_of(b"another");
    assert!(text.contains(&format!("its digest is {actual}, expected is {right}")), "{text}");
    assert_eq!(error.exit_code(), crate::exit_code::REFUSED);
}

#[tokio::test]
async fn a_folder_has_no_digest() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("x")).unwrap();
    fs::write(folder.path().join("x/Chart.yaml"), "name: x\nversion: 1.0.0\n").unwrap();
    let digest = Some(digest_of(b""));
    let error = reader().local(&ChartRef { digest, ..chart(folder.path(), "1.0.0") }).await.unwrap_err();
    let text = crate::report::of(&error);
    assert!(text.contains("is a folder") && text.contains("helm package"), "{text}");
    assert_eq!(error.exit_code(), crate::exit_code::REFUSED);
}

#[test]
fn digests_have_one_form() {
    assert!(is_digest(&digest_of(b"x")));
    let short = digest_of(b"x").replace("sha256:", "");
    for text in ["", "sha256:", "sha256:abc", &short, &digest_of(b"x").to_uppercase(), &format!("sha512:{short}")] {
        assert!(!is_digest(text), "{text}");
    }
}

#[test]
fn addresses_of_registries_may_end_with_the_name() {
    assert_eq!(oci_reference("oci://ghcr.io/charts", "x"), "oci://ghcr.io/charts/x");
    assert_eq!(oci_reference("oci://ghcr.io/charts/", "x"), "oci://ghcr.io/charts/x");
    assert_eq!(oci_reference("oci://ghcr.io/charts/x", "x"), "oci://ghcr.io/charts/x");
    let pull = |url: &str| {
        let arguments = place::pull(&chart(Path::new("/"), "1.0.0"), url, Path::new("/to"));
        arguments.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(pull("oci://ghcr.io/charts"), "pull oci://ghcr.io/charts/x --version 1.0.0 --destination /to");
    assert_eq!(
        pull("oci://127.0.0.1:5000/charts"),
        "pull oci://127.0.0.1:5000/charts/x --plain-http --version 1.0.0 --destination /to"
    );
    assert_eq!(pull("https://a.example/c"), "pull x --repo https://a.example/c --version 1.0.0 --destination /to");
}

#[test]
fn only_this_machine_is_loopback() {
    for url in ["oci://127.0.0.1:5000/a", "oci://localhost/a", "http://[::1]:80/a", "http://127.9.9.9"] {
        assert!(is_loopback(url), "{url}");
    }
    for url in ["oci://127.0.0.1.example.com/a", "oci://localhost.example.com", "http://10.0.0.1", "https://a.example"]
    {
        assert!(!is_loopback(url), "{url}");
    }
}

/// A packed chart with these files.
fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// What is said of a packed chart of which 1 MiB may be unpacked.
fn said_of(archive: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), archive).unwrap();
    match content::read(file.path(), &Allowance::of(1 << 20)) {
        Ok((metadata, _)) => metadata.name,
        Err(reason) => reason,
    }
}

const ABOUT: (&str, &[u8]) = ("x/Chart.yaml", b"name: x\nversion: 1.0.0\n");

#[test]
fn a_chart_is_unpacked_up_to_its_limit_whatever_lies_in_it() {
    let (large, half) = (vec![0; 2 << 20], vec![b' '; 600 << 10]);
    assert_eq!(said_of(&archive_of(&[ABOUT, ("x/templates/a.yaml", &half)])), "x");
    // What is skipped has to be unpacked as well.
    let bomb = archive_of(&[ABOUT, ("x/templates/a.yaml", &large)]);
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    assert_eq!(said_of(&bomb), "it unpacks to more than 1 MiB");
    assert_eq!(
        said_of(&archive_of(&[ABOUT, ("x/crds/a.yaml", &large)])),
        "`crds/a.yaml`: it unpacks to more than 1 MiB"
    );
    // Charts in it count with it.
    let part = archive_of(&[("p/Chart.yaml", b"name: p\nversion: 1.0.0\n"), ("p/crds/a.yaml", &half)]);
    assert_eq!(said_of(&archive_of(&[ABOUT, ("x/charts/p.tgz", &part)])), "x");
    let two = archive_of(&[ABOUT, ("x/charts/p.tgz", &part), ("x/charts/q.tgz", &part)]);
    assert!(said_of(&two).ends_with("it unpacks to more than 1 MiB"), "{}", said_of(&two));
    let deepest = (0..14).fold(archive_of(&[ABOUT]), |inner, _| archive_of(&[ABOUT, ("x/charts/x.tgz", &inner)]));
    assert!(said_of(&deepest).ends_with("charts in it are nested more than 12 deep"), "{}", said_of(&deepest));
}

#[tokio::test]
async fn folders_that_lead_back_up_and_what_is_no_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join("x").join(name);
    fs::create_dir_all(at("charts")).unwrap();
    fs::write(at("Chart.yaml"), "name: x\nversion: 1.0.0\n").unwrap();
    std::os::unix::fs::symlink(at("charts"), at("charts/again")).unwrap();
    let local =
        async || reader().local(&chart(folder.path(), "1.0.0")).await.map_err(|error| crate::report::of(&error));
    let error = local().await.unwrap_err();
    assert!(error.contains("folders in it are nested more than 24 deep"), "{error}");
    fs::remove_file(at("charts/again")).unwrap();
    let found = local().await.unwrap();

    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let error = crate::report::of(&found.content_digest().unwrap_err());
    assert!(error.contains("`pipe`: it is a pipe (FIFO)"), "{error}");
    std::os::unix::fs::symlink("/dev/zero", at("values.yaml")).unwrap();
    let error = local().await.unwrap_err();
    assert!(error.contains("`values.yaml`: it is a device, not a regular file"), "{error}");
}
