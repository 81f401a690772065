//! The images that charts run: found in what helm renders, matched with the values that name them, moved to another registry.
//! Pure; `commands/images.rs` and `commands/bundle.rs` have the charts rendered, `component.rs` holds what is known of them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::component::Component;

/// An image that a component runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// The component's name.
    pub component: &'static str,
    /// The image with its tag, as the pods have it.
    pub image: String,
    /// The path of the value that names its repository, where it is known.
    pub value: Option<&'static str>,
    /// Where it comes from if no other registry is named: what to copy when mirroring.
    pub source: String,
    /// Whether it is where it is wanted: anywhere if no registry is named.
    pub placed: Placed,
}

/// Whether an image comes from the registry that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placed {
    /// It does, or none is named.
    Right,
    /// It does not, since the user's own chart values say otherwise.
    ByUser,
    /// It does not, and no value is known that would change it.
    Elsewhere,
}

/// A repository in another registry: what comes after its host is kept.
pub fn moved(repository: &str, registry: &str) -> String {
    let path = repository.split_once('/').map_or(repository, |(_, path)| path);
    format!("{registry}/{path}")
}

/// Every image in the pods of these objects.
pub fn of_objects(objects: &[Value]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in objects {
        walk(object, &mut found);
    }
    found
}

fn walk(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let containers = matches!(name.as_str(), "containers" | "initContainers" | "ephemeralContainers");
                for container in field.as_array().into_iter().flatten().filter(|_| containers) {
                    found.extend(container.get("image").and_then(Value::as_str).map(ToOwned::to_owned));
                }
                // Pods are images' places too: a volume can be one.
                if name == "volumes" {
                    let sources = field.as_array().into_iter().flatten();
                    let references = sources.filter_map(|volume| volume.pointer("/image/reference")?.as_str());
                    found.extend(references.map(ToOwned::to_owned));
                }
                walk(field, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        _ => {}
    }
}

/// What the rendered objects of a component run. `registry` is where all images are to come from, `own` what the user sets.
pub fn running(component: &Component, objects: &[Value], registry: Option<&str>, own: &Value) -> Vec<Running> {
    of_objects(objects).into_iter().map(|image| classify(component, image, registry, own)).collect()
}

fn classify(component: &Component, image: String, registry: Option<&str>, own: &Value) -> Running {
    let repository = repository(&image);
    let known = component.images.iter().find(|known| {
        let user = known.value.split('.').try_fold(own, |value, name| value.get(name)).and_then(Value::as_str);
        let there = registry.map_or_else(|| known.repository.to_owned(), |registry| moved(known.repository, registry));
        user.map_or(there.as_str(), |user| user) == repository
    });
    let inside = registry.is_none_or(|registry| image.starts_with(&format!("{registry}/")));
    let placed = match (inside, sets(own, repository)) {
        (true, _) => Placed::Right,
        (false, true) => Placed::ByUser,
        (false, false) => Placed::Elsewhere,
    };
    let source = match (known, registry) {
        (Some(known), Some(registry)) if moved(known.repository, registry) == repository => {
            format!("{}{}", known.repository, &image[repository.len()..])
        }
        _ => image.clone(),
    };
    Running { component: component.name, value: known.map(|known| known.value), source, placed, image }
}

/// An image without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rfind('/').map_or(0, |place| place + 1);
    name[last..].find(':').map_or(name, |colon| &name[..last + colon])
}

/// Whether one of the values is the beginning of the repository, so that it was chosen by whoever gave the values.
fn sets(values: &Value, repository: &str) -> bool {
    match values {
        Value::String(text) => !text.is_empty() && repository.starts_with(text.as_str()),
        Value::Array(items) => items.iter().any(|item| sets(item, repository)),
        Value::Object(fields) => fields.values().any(|field| sets(field, repository)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};
    use serde_json::json;

    #[test]
    fn images_are_found_in_every_kind_of_pod() {
        let objects = [
            json!({"kind": "Deployment", "spec": {"template": {"spec": {
                "initContainers": [{"name": "i", "image": "a/init:1"}],
                "containers": [{"name": "c", "image": "a/main:1"}, {"name": "d", "image": "a/side@sha256:00"}],
                "volumes": [{"name": "v", "image": {"reference": "a/data:1"}}]}}}}),
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {
                "containers": [{"name": "c", "image": "a/job:1"}]}}}}}}),
            json!({"kind": "ConfigMap", "data": {"image": "a/not-run:1"}}),
        ];
        let found: Vec<_> = of_objects(&objects).into_iter().collect();
        assert_eq!(found, ["a/data:1", "a/init:1", "a/job:1", "a/main:1", "a/side@sha256:00"]);
    }

    #[test]
    fn repositories_have_neither_tag_nor_digest() {
        for (image, name) in [
            ("a.example:5000/b/c:v1", "a.example:5000/b/c"),
            ("a.example:5000/b", "a.example:5000/b"),
            ("a.example/b:v1@sha256:00", "a.example/b"),
            ("b", "b"),
        ] {
            assert_eq!(repository(image), name);
        }
        assert_eq!(moved("registry.k8s.io/a/b", "r.example/mirror"), "r.example/mirror/a/b");
    }

    fn one(image: &str, registry: Option<&str>, own: &Value) -> Running {
        let objects = [json!({"spec": {"containers": [{"image": image}]}})];
        running(&LOAD_BALANCER_CONTROLLER, &objects, registry, own).remove(0)
    }

    #[test]
    fn every_image_says_which_value_sets_it_and_whether_it_is_where_it_should_be() {
        let original = "public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0";
        let found = one(original, None, &json!({}));
        assert_eq!((found.value, found.placed), (Some("image.repository"), Placed::Right));
        assert_eq!(found.source, original);

        let registry = Some("r.example/mirror");
        let found = one("r.example/mirror/eks/aws-load-balancer-controller:v3.5.0", registry, &json!({}));
        assert_eq!((found.value, found.placed), (Some("image.repository"), Placed::Right));
        assert_eq!(found.source, original);
        // A registry whose name only begins alike is another.
        assert_eq!(one("r.example/mirrors/x:1", registry, &json!({})).placed, Placed::Elsewhere);
        let unknown = one("docker.io/new/sidecar:1", registry, &json!({}));
        assert_eq!((unknown.value, unknown.placed), (None, Placed::Elsewhere));

        let own = json!({"image": {"repository": "mine.example/lbc"}});
        let found = one("mine.example/lbc:v3.5.0", registry, &own);
        assert_eq!((found.value, found.placed), (Some("image.repository"), Placed::ByUser));
        assert_eq!(found.source, found.image);
    }

    #[test]
    fn no_two_images_end_at_one_place() {
        let all: Vec<_> = crate::component::BUILT_IN.iter().flat_map(|component| component.images).collect();
        let places: BTreeSet<_> = all.iter().map(|image| moved(image.repository, "r.example")).collect();
        assert_eq!(places.len(), all.len());
        assert!(EBS_CSI_DRIVER.images.len() >= 7);
    }
}
