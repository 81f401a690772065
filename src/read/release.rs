//! Helm's release records, read from their Secrets without helm.
//!
//! Helm 3 and 4 keep one Secret of type `helm.sh/release.v1` per revision; its `release` is base64 of gzip of JSON
//! (<https://helm.sh/docs/topics/advanced/#storage-backends>). The record holds the chart with its CRDs, the values that
//! the user gave, and the rendered manifest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Denied, Error, KubeError, Result};
use crate::helm_writer::{self, WRITER_LABEL, Writer};
use crate::read::chart::content;
use crate::read::kube::{KubeRead, ObjectRef, listing};
use crate::read::manifest;
use crate::unpacking::{self, Allowance};

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
    /// What hooks of the revision have made, or make when it is uninstalled.
    pub hooks: Vec<Hook>,
    /// The chart's CRDs.
    pub crds: Vec<Value>,
    /// Whether the chart has charts inside it, whose CRDs helm does not keep in the record.
    pub has_parts: bool,
    /// When the revision was made or last changed, in seconds since 1970: by the clock of the API server, to be held against
    /// [`KubeRead::now`]. Helm's own times are by the clock of whoever ran it.
    pub changed_at: i64,
    /// Whether the helm that wrote it lives, where it is pending.
    pub writer: Writer,
    /// The ARN of the cluster for which we installed it; none where someone else did.
    pub our_cluster: Option<String>,
    /// Whether we took it, or objects in it, over from someone else.
    pub adopted: bool,
    /// The Secret that holds the record.
    pub record: String,
}

/// An object that a hook makes. It is no part of the release, so helm leaves it where the chart does not say otherwise
/// (<https://helm.sh/docs/topics/charts_hooks/#hook-resources-are-not-managed-with-corresponding-releases>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The object.
    pub object: ObjectRef,
    /// Whether helm makes it while it uninstalls, and keeps it.
    pub stays_after_removal: bool,
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
    let allowance = Allowance::default();
    let mut releases = Vec::new();
    for secret in &secrets {
        if secret["type"] != "helm.sh/release.v1" {
            continue;
        }
        let mut release = decode(secret, &allowance).map_err(|message| {
            let record = secret["metadata"]["name"].as_str().unwrap_or_default();
            Error::Kube(KubeError {
                operation: format!("read the record of helm release {namespace}/{name}"),
                status: None,
                reason: String::new(),
                message: format!("Secret {record}: {message}"),
            })
        })?;
        release.writer = writer(secret, &release).await;
        for object in &mut release.objects {
            *object = kube.placed(object, namespace).await?;
        }
        for hook in &mut release.hooks {
            hook.object = kube.placed(&hook.object, namespace).await?;
        }
        releases.push(release);
    }
    releases.sort_by_key(|release| std::cmp::Reverse(release.revision));
    Ok(releases)
}

/// The denial, where it is that of the records of a namespace; Kubernetes' role `view` shows everything else of a release.
pub fn denied_records(error: &Error, namespace: &str) -> Option<Denied> {
    match Denied::of(error)? {
        Denied::Kube(denied) if denied.operation == listing("Secret", namespace) => {
            Some(Denied::Kube(KubeError { operation: format!("list secrets in {namespace}"), ..denied }))
        }
        _ => None,
    }
}

/// Whether the helm that left a revision pending lives. Only what helm itself labels by our `--labels` tells: a rollback and
/// an uninstall keep the labels of other runs.
async fn writer(secret: &Value, release: &Release) -> Writer {
    let (label, revision) =
        (secret["metadata"]["labels"][WRITER_LABEL].as_str().map(ToOwned::to_owned), release.revision);
    if label.is_none() || !matches!(release.status.as_str(), "pending-install" | "pending-upgrade") {
        return Writer::Unknown;
    }
    let look = tokio::task::spawn_blocking(move || helm_writer::of(label.as_deref(), revision));
    look.await.unwrap_or(Writer::Unknown)
}

/// When the API server took the record, or its last change where that is what made it pending; none where it does not say.
fn written_at(secret: &Value, status: &str) -> Option<jiff::Timestamp> {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let made = time(&secret["metadata"]["creationTimestamp"]);
    if status.starts_with("pending-") {
        // A revision begins with its record.
        return made;
    }
    let managers = secret["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    managers.iter().filter_map(|manager| time(&manager["time"])).chain(made).max()
}

/// Reads a record, of which, with the others, no more is unpacked than is allowed: a Secret of 1 MiB may hold a gigabyte.
fn decode(secret: &Value, allowance: &Allowance) -> Result<Release, String> {
    let text = secret.pointer("/data/release").and_then(Value::as_str).ok_or("the Secret holds no release")?;
    let inner = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let packed = STANDARD.decode(inner).map_err(|error| error.to_string())?;
    let json = flate2::read::GzDecoder::new(packed.as_slice());
    let json = unpacking::whole(allowance.counting(json)).map_err(|error| allowance.told(&error))?;
    let record: Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let label = |name: &str| secret["metadata"]["labels"][name].as_str().map(ToOwned::to_owned);
    let documents = manifest::objects(&text("/manifest"))?;
    let changed = [text("/info/last_deployed"), text("/info/first_deployed")];
    let by_helm = || changed.iter().find_map(|time| time.parse::<jiff::Timestamp>().ok());
    let status = text("/info/status");
    let changed_at = written_at(secret, &status).or_else(by_helm);
    Ok(Release {
        revision: record["version"].as_u64().unwrap_or(0),
        status,
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
        hooks: hooks(&record)?,
        crds: crds(&record)?,
        has_parts: record
            .pointer("/chart/metadata/dependencies")
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty()),
        changed_at: changed_at.map_or(0, jiff::Timestamp::as_second),
        writer: Writer::Unknown,
        our_cluster: label(OUR_LABEL),
        adopted: label(ADOPTED_LABEL).is_some(),
        record: secret["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
    })
}

/// The hooks that have run, and those of a removal that is still to come; `helm test` and others that never ran made nothing.
fn hooks(record: &Value) -> Result<Vec<Hook>, String> {
    let mut hooks = Vec::new();
    for hook in record["hooks"].as_array().into_iter().flatten() {
        let holds = |field: &str, wanted: &[&str]| {
            hook[field].as_array().into_iter().flatten().any(|word| wanted.iter().any(|wanted| word == wanted))
        };
        // Go's zero time stands for never.
        let began = hook.pointer("/last_run/started_at").and_then(Value::as_str).unwrap_or_default();
        let ran = !began.is_empty() && !began.starts_with("0001-");
        let stays_after_removal =
            holds("events", &["pre-delete", "post-delete"]) && !holds("delete_policies", &["hook-succeeded"]);
        if !ran && !stays_after_removal {
            continue;
        }
        let objects = manifest::objects(hook["manifest"].as_str().unwrap_or_default())?;
        hooks.extend(objects.iter().map(|object| Hook { object: ObjectRef::of(object), stays_after_removal }));
    }
    Ok(hooks)
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

    fn read(secret: &Value) -> Result<Release, String> {
        decode(secret, &Allowance::default())
    }

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
        let release = read(&secret(&record)).unwrap();
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
    fn hooks_that_ran_or_are_to_run_are_told() {
        let hook = |name: &str, event: &str, policy: &str, began: &str| {
            json!({"name": name, "events": [event], "delete_policies": [policy], "last_run": {"started_at": began},
                "manifest": format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")})
        };
        let never = "0001-01-01T00:00:00Z";
        let record = json!({"hooks": [
            hook("ran", "post-install", "before-hook-creation", "2026-08-01T10:00:00Z"),
            hook("test", "test", "", never),
            hook("to-run", "post-delete", "", never),
            hook("goes-by-itself", "pre-delete", "hook-succeeded", never),
            {"name": "no-run", "events": ["pre-upgrade"], "manifest": "a: 1"},
        ]});
        let hooks = read(&secret(&record)).unwrap().hooks;
        let told: Vec<_> = hooks.iter().map(|hook| (hook.object.to_string(), hook.stays_after_removal)).collect();
        assert_eq!(told, [("ConfigMap/ran".to_owned(), false), ("ConfigMap/to-run".to_owned(), true)]);
    }

    #[test]
    fn records_of_both_helms_are_understood() {
        for (text, name) in [
            (include_str!("../../tests/fixtures/helm3-release.json"), "three"),
            (include_str!("../../tests/fixtures/helm4-release.json"), "four"),
        ] {
            let secret: Value = serde_json::from_str(text).unwrap();
            let release = read(&secret).unwrap();
            assert_eq!((release.revision, release.status.as_str()), (1, "deployed"), "{name}");
            assert!(!release.chart.is_empty() && !release.chart_version.is_empty(), "{name}: {release:?}");
            assert!(!release.objects.is_empty() && release.changed_at > 0, "{name}: {release:?}");
        }
    }

    #[test]
    fn the_age_of_a_record_is_by_the_clock_of_the_api_server() {
        let of = |status: &str, managed: &Value| {
            let record = json!({"info": {"status": status, "last_deployed": "2027-01-01T00:00:00Z"}});
            let mut secret = secret(&record);
            secret["metadata"]["creationTimestamp"] = json!("2026-08-01T10:00:00Z");
            secret["metadata"]["managedFields"] = managed.clone();
            read(&secret).unwrap().changed_at - 1_785_578_400
        };
        let managed = json!([{"manager": "helm", "time": "2026-08-01T10:05:00Z"}, {"manager": "helm", "time": "2026-08-01T10:01:00Z"}]);
        assert_eq!(of("pending-install", &managed), 0, "a label that someone sets makes it no younger");
        assert_eq!(of("uninstalling", &managed), 300);
        assert_eq!(of("deployed", &Value::Null), 0);
    }

    #[tokio::test]
    async fn only_what_helm_was_told_by_us_says_who_writes() {
        let of = async |status: &str, revision: u64, label: Option<String>| {
            let record = json!({"version": revision, "info": {"status": status}});
            let mut secret = secret(&record);
            secret["metadata"]["labels"][WRITER_LABEL] = json!(label);
            writer(&secret, &read(&secret).unwrap()).await
        };
        // Without `/proc` nobody is known.
        let gone = if helm_writer::label(2).is_some() { Writer::Gone } else { Writer::Unknown };
        assert_eq!(of("pending-install", 2, helm_writer::label(2)).await, gone);
        assert_eq!(of("pending-upgrade", 2, helm_writer::label(2)).await, gone);
        assert_eq!(of("pending-upgrade", 3, helm_writer::label(2)).await, Writer::Unknown, "carried over by helm");
        assert_eq!(of("pending-rollback", 2, helm_writer::label(2)).await, Writer::Unknown);
        assert_eq!(of("uninstalling", 2, helm_writer::label(2)).await, Writer::Unknown);
        assert_eq!(of("pending-install", 2, None).await, Writer::Unknown);
    }

    #[test]
    fn records_are_unpacked_up_to_what_is_allowed_for_all_of_them() {
        let allowance = Allowance::of(6 << 20);
        let record = secret(&json!({"chart": {"values": {"a": "x".repeat(4 << 20)}}}));
        assert!(record.to_string().len() < 1 << 20, "it is a small Secret");
        assert!(decode(&record, &allowance).is_ok());
        assert_eq!(decode(&record, &allowance).unwrap_err(), "it unpacks to more than 6 MiB");
        let deep = format!("{{\"chart\": {}{}}}", "[".repeat(1000), "]".repeat(1000));
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(deep.as_bytes()).unwrap();
        let release = STANDARD.encode(STANDARD.encode(packer.finish().unwrap()));
        let error = read(&json!({"data": {"release": release}})).unwrap_err();
        assert!(error.contains("recursion limit"), "{error}");
    }

    #[test]
    fn a_record_that_is_none_is_an_error() {
        let secret = json!({"type": "helm.sh/release.v1", "data": {"release": "AAAA"}});
        assert!(read(&secret).is_err());
    }
}
