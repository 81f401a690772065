//! A release as its live objects show it, for callers who may not read Helm's records: owner, chart label, images, and
//! whether the objects are there. It shows neither values nor status, so it never proves that a release is right.

use futures::future::join_all;
use serde_json::Value;

use crate::error::{Denied, Result};
use crate::object::{items, text};
use crate::owner::{self, Owner};
use crate::read::kube::{KubeRead, ObjectRef};

/// What the live objects should show.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `NAMESPACE/NAME` of the release.
    pub release: &'a str,
    /// The chart's name.
    pub chart: &'a str,
    /// The chart's version.
    pub version: &'a str,
    /// Repositories of the images that the chart can run; none where they are not known.
    pub images: &'a [String],
}

/// The objects by which a release is recognised.
#[derive(Debug, Default)]
pub struct Live {
    /// Those that exist.
    pub found: Vec<Value>,
    /// Those that do not.
    pub missing: Vec<ObjectRef>,
    /// Those that may not be read.
    pub denied: Vec<Denied>,
}

/// Reads objects one by one; those that the caller may not read are left out and told.
///
/// # Errors
/// A read that failed for another reason.
pub async fn each(kube: &KubeRead, objects: &[ObjectRef]) -> Result<(Vec<(ObjectRef, Option<Value>)>, Vec<Denied>)> {
    let (mut found, mut denied) = (Vec::new(), Vec::new());
    let read = join_all(objects.iter().map(|object| kube.get(object))).await;
    for (object, read) in objects.iter().zip(read) {
        match read {
            Ok(value) => found.push((object.clone(), value)),
            Err(error) => denied.push(Denied::of(&error).ok_or(error)?),
        }
    }
    Ok((found, denied))
}

impl Live {
    /// Reads.
    ///
    /// # Errors
    /// A read that failed for another reason than that it is denied.
    pub async fn read(kube: &KubeRead, objects: &[ObjectRef]) -> Result<Live> {
        let (read, denied) = each(kube, objects).await?;
        let mut live = Live { denied, ..Live::default() };
        for (object, found) in read {
            match found {
                Some(found) => live.found.push(found),
                None => live.missing.push(object),
            }
        }
        Ok(live)
    }

    /// Everything that speaks against the expected release.
    pub fn differences(&self, expected: Expected<'_>) -> Vec<String> {
        let mut differences: Vec<_> = self.missing.iter().map(|object| format!("{object} does not exist")).collect();
        for object in &self.found {
            differences.extend(of_object(object, expected));
        }
        differences
    }
}

fn of_object(object: &Value, expected: Expected<'_>) -> Vec<String> {
    let reference = ObjectRef::of(object);
    let owner = owner::of_object(object);
    if owner != (Owner::Helm { release: expected.release.to_owned() }) {
        return vec![format!("{reference} belongs to {owner}")];
    }
    let mut differences = Vec::new();
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    // Labels hold no plus sign, so charts write an underline.
    let chart = format!("{}-{}", expected.chart, expected.version.replace('+', "_"));
    if let Some(found) = label("helm.sh/chart").filter(|found| *found != chart) {
        differences.push(format!("{reference} is of chart {found}, not {chart}"));
    }
    if object.pointer("/spec/replicas") == Some(&Value::from(0)) {
        differences.push(format!("{reference} is scaled to nothing"));
    }
    let images: Vec<_> = items(object, "/spec/template/spec/containers").map(|it| text(it, "/image")).collect();
    let foreign = |image: &&str| !expected.images.is_empty() && !expected.images.iter().any(|of| of == parts(image).0);
    let own = images.iter().copied().filter(foreign);
    differences.extend(own.map(|image| format!("{reference} runs the image {image}, which is not the chart's")));
    let bare = |version: &str| version.trim_start_matches('v').to_owned();
    if let Some(version) = label("app.kubernetes.io/version").filter(|_| !images.is_empty()) {
        let tags: Vec<_> = images.iter().filter_map(|image| parts(image).1).collect();
        if !tags.is_empty() && !tags.iter().any(|tag| bare(tag) == bare(version)) {
            differences.push(format!("{reference} runs {}, not version {version}", images.join(", ")));
        }
    }
    differences
}

/// Repository and tag of an image.
fn parts(image: &str) -> (&str, Option<&str>) {
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        // A colon before a slash is the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "d",
                "namespace": "n",
                "labels": {
                    "app.kubernetes.io/managed-by": "Helm",
                    "helm.sh/chart": "x-1.0.0_b1",
                    "app.kubernetes.io/version": "2.0.0",
                },
                "annotations": {"meta.helm.sh/release-name": "x", "meta.helm.sh/release-namespace": "n"},
            },
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"image": "registry:5000/x@sha256:ab"}, {"image": "registry:5000/x:v2.0.0"}]}}},
        })
    }

    #[test]
    fn labels_and_images_speak_for_a_release_or_against_it() {
        type Change = fn(&mut Value);
        let cases: [(Change, &[&str]); 7] = [
            (|_| {}, &[]),
            (|it| it["metadata"]["labels"]["helm.sh/chart"] = json!("x-0.9.0"), &["of chart x-0.9.0, not x-1.0.0_b1"]),
            (|it| it["metadata"]["annotations"] = json!({}), &["belongs to Helm"]),
            (|it| it["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!("y"), &["Helm release n/y"]),
            (|it| it["spec"]["replicas"] = json!(0), &["scaled to nothing"]),
            (
                |it| it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil.example/x"),
                &["runs the image evil.example/x, which is not the chart's"],
            ),
            (
                |it| it["spec"]["template"]["spec"]["containers"][1]["image"] = json!("registry:5000/x:v1.9.0"),
                &["x:v1.9.0, not version 2.0.0"],
            ),
        ];
        for (change, expected) in cases {
            let mut object = deployment();
            change(&mut object);
            let live = Live { found: vec![object], ..Live::default() };
            let images = ["registry:5000/x".to_owned()];
            let found = live.differences(Expected { release: "n/x", chart: "x", version: "1.0.0+b1", images: &images });
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(found, word)| found.contains(word)), "{found:?}");
        }
    }

    #[test]
    fn what_is_gone_is_a_difference() {
        let missing = vec![ObjectRef::new("v1", "Service", "n", "s")];
        let live = Live { missing, ..Live::default() };
        let expected = Expected { release: "n/x", chart: "x", version: "1", images: &[] };
        assert_eq!(live.differences(expected), ["Service/n/s does not exist"]);
    }
}
