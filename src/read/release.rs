//! Helm's release records, read from their Secrets without helm.
//!
//! Helm 3 and 4 keep one Secret of type `helm.sh/release.v1` per revision; its `release` is base64 of gzip of JSON
//! (<https://helm.sh/docs/topics/advanced/#storage-backends>). The record holds the chart with its CRDs, the values that
//! the user gave, and the rendered manifest.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Error, KubeError, Result};
use crate::read::chart::content;
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::manifest;

/// No record is larger: a Secret holds at most 1 MiB, and gzip rarely saves more than twenty-fold.
const LARGEST: u64 = manifest::LARGEST as u64;

/// One revision of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its number, from 1.
    pub revision: u64,
    /// As helm writes it, such as `deployed` or `pending-install`.
    pub status: String,
    /// The chart's name.
    pub chart: String,
    /// The chart's version.
    pub chart_version: String,
    /// The version of the software in the chart, as the chart says it: `v2.13.0` or `2.13.0`.
    pub app_version: String,
    /// The values that the user gave.
    pub values: Value,
    /// Addresses of everything in the rendered manifest, lists replaced by their items; hooks are not in it.
    pub objects: Vec<ObjectRef>,
    /// What the manifest sets, one document for each of `objects`, in the same order.
    pub documents: Vec<Value>,
    /// The chart's CRDs.
    pub crds: Vec<Value>,
    /// Whether the chart has charts inside it, whose CRDs helm does not keep in the record.
    pub has_parts: bool,
    /// When the revision was made or last changed, in seconds since 1970.
    pub changed_at: i64,
    /// The ARN of the cluster for which we installed it; none where someone else did.
    pub our_cluster: Option<String>,
    /// Whether we took it, or objects in it, over from someone else.
    pub adopted: bool,
    /// The Secret that holds the record.
    pub record: String,
}

/// The label that says that we installed a release; labels hold no colons, so it is a hash of the cluster's ARN.
pub const OUR_LABEL: &str = "eks-bootstrap.dev/cluster";
/// The label that says the same to people.
pub const MANAGED_BY_LABEL: &str = "eks-bootstrap.dev/managed-by";
/// The label that says that a release, or objects in it, belonged to someone else before; helm carries it over to every
/// later revision.
pub const ADOPTED_LABEL: &str = "eks-bootstrap.dev/adopted";

/// All revisions of a release, newest first.
///
/// # Errors
/// A read that failed, or a record that cannot be understood.
pub async fn history(kube: &KubeRead, namespace: &str, name: &str) -> Result<Vec<Release>> {
    let secrets = kube.list("v1", "Secret", namespace, &format!("owner=helm,name={name}")).await?;
    let mut releases = Vec::new();
    for secret in &secrets {
        if secret["type"] != "helm.sh/release.v1" {
            continue;
        }
        let mut release = decode(secret).map_err(|message| {
            Error::Kube(KubeError {
                operation: format!("read the record of helm release {namespace}/{name}"),
                status: None,
                reason: String::new(),
                message,
            })
        })?;
        for object in &mut release.objects {
            *object = kube.placed(object, namespace).await?;
        }
        releases.push(release);
    }
    releases.sort_by_key(|release| std::cmp::Reverse(release.revision));
    Ok(releases)
}

fn decode(secret: &Value) -> Result<Release, String> {
    let text = secret.pointer("/data/release").and_then(Value::as_str).ok_or("the Secret holds no release")?;
    let inner = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let packed = STANDARD.decode(inner).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .take(LARGEST)
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    let record: Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let label = |name: &str| secret["metadata"]["labels"][name].as_str().map(ToOwned::to_owned);
    let documents = manifest::objects(&text("/manifest"))?;
    let changed = [text("/info/last_deployed"), text("/info/first_deployed")];
    let changed_at = changed.iter().find_map(|time| time.parse::<jiff::Timestamp>().ok());
    Ok(Release {
        revision: record["version"].as_u64().unwrap_or(0),
        status: text("/info/status"),
        chart: text("/chart/metadata/name"),
        chart_version: text("/chart/metadata/version"),
        app_version: text("/chart/metadata/appVersion"),
        values: record
            .get("config")
            .filter(|config| config.is_object())
            .cloned()
            .unwrap_or_else(|| serde_json::json!({})),
        objects: documents.iter().map(ObjectRef::of).collect(),
        documents,
        crds: crds(&record)?,
        has_parts: record
            .pointer("/chart/metadata/dependencies")
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty()),
        changed_at: changed_at.map_or(0, jiff::Timestamp::as_second),
        our_cluster: label(OUR_LABEL),
        adopted: label(ADOPTED_LABEL).is_some(),
        record: secret["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
    })
}

/// The CRDs under `crds/` of the chart, which the record keeps as base64 files.
fn crds(record: &Value) -> Result<Vec<Value>, String> {
    let files = record.pointer("/chart/files").and_then(Value::as_array);
    let mut crds = Vec::new();
    for file in files.into_iter().flatten() {
        let name = file["name"].as_str().unwrap_or_default();
        if !content::is_crd_file(name) {
            continue;
        }
        let bytes = STANDARD.decode(file["data"].as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
        crds.extend(parse_crds(&String::from_utf8_lossy(&bytes))?);
    }
    Ok(crds)
}

/// The CRDs of one YAML file.
pub(super) fn parse_crds(text: &str) -> Result<Vec<Value>, String> {
    let documents = manifest::objects(text)?;
    Ok(documents.into_iter().filter(|document| document["kind"] == "CustomResourceDefinition").collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    fn secret(record: &Value) -> Value {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(record.to_string().as_bytes()).unwrap();
        let release = STANDARD.encode(STANDARD.encode(packer.finish().unwrap()));
        json!({"type": "helm.sh/release.v1", "metadata": {"labels": {"owner": "helm"}}, "data": {"release": release}})
    }

    #[test]
    fn a_record_tells_chart_values_objects_and_crds() {
        let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n";
        let record = json!({
            "name": "x", "version": 3, "config": {"a": 1},
            "info": {"status": "deployed", "last_deployed": "2026-08-01T10:00:00.5+02:00"},
            "chart": {"metadata": {"name": "x", "version": "1.2.3"},
                      "files": [{"name": "crds/w.yaml", "data": STANDARD.encode(crd)}, {"name": "README.md", "data": ""},
                                {"name": "crds/kustomization.yaml", "data": STANDARD.encode("resources: [w.yaml]")}]},
            "manifest": "---\n# Source: x\napiVersion: v1\nkind: Service\nmetadata:\n  name: s\n---\napiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata:\n  name: d\n",
        });
        let release = decode(&secret(&record)).unwrap();
        assert_eq!((release.revision, release.status.as_str()), (3, "deployed"));
        assert_eq!((release.chart.as_str(), release.chart_version.as_str()), ("x", "1.2.3"));
        assert_eq!(release.values, json!({"a": 1}));
        let objects: Vec<_> = release.objects.iter().map(ToString::to_string).collect();
        assert_eq!(objects, ["Service/s", "CSIDriver/d"]);
        assert_eq!((release.crds.len(), release.has_parts), (1, false));
        assert_eq!(release.changed_at, 1_785_571_200);
        assert_eq!(release.our_cluster, None);
    }

    #[test]
    fn records_of_both_helms_are_understood() {
        for (text, name) in [
            (include_str!("../../tests/fixtures/helm3-release.json"), "three"),
            (include_str!("../../tests/fixtures/helm4-release.json"), "four"),
        ] {
            let secret: Value = serde_json::from_str(text).unwrap();
            let release = decode(&secret).unwrap();
            assert_eq!((release.revision, release.status.as_str()), (1, "deployed"), "{name}");
            assert!(!release.chart.is_empty() && !release.chart_version.is_empty(), "{name}: {release:?}");
            assert!(!release.objects.is_empty() && release.changed_at > 0, "{name}: {release:?}");
        }
    }

    #[test]
    fn a_record_that_is_none_is_an_error() {
        let secret = json!({"type": "helm.sh/release.v1", "data": {"release": "AAAA"}});
        assert!(decode(&secret).is_err());
    }
}
