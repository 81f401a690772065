//! What keeps an object that is being deleted: its own finalizers, and for namespaces and CRDs, which go after what is in
//! them, the objects that do not go. Told beside "is being deleted"; what cannot be read is left out.

use serde_json::Value;

use crate::object::{condition, items, some_of, text};
use crate::read::kube::{KubeRead, ObjectRef};

/// So many objects of one kind are looked at.
const MOST: usize = 50;
/// So many kinds of objects are looked at.
const KINDS: usize = 5;

/// What to say of an object that is being deleted, with what holds it; none for one that stays.
pub async fn parting(kube: &KubeRead, object: &Value) -> Option<String> {
    let leaving = leaving(object)?;
    let held: Vec<_> = match text(object, "/kind") {
        "Namespace" => in_namespace(kube, object).await,
        "CustomResourceDefinition" => instances(kube, object).await,
        _ => Vec::new(),
    };
    let held = if held.is_empty() { finalizers(object) } else { held };
    Some(if held.is_empty() { leaving } else { format!("{leaving}, held by {}", some_of(&held)) })
}

/// What to say without a further read.
pub fn parting_alone(object: &Value) -> Option<String> {
    let (leaving, held) = (leaving(object)?, finalizers(object));
    Some(if held.is_empty() { leaving } else { format!("{leaving}, held by {}", held.join(", ")) })
}

fn leaving(object: &Value) -> Option<String> {
    let since = object.pointer("/metadata/deletionTimestamp").and_then(Value::as_str)?;
    Some(format!("{} is being deleted since {since}", ObjectRef::of(object)))
}

fn finalizers(object: &Value) -> Vec<String> {
    items(object, "/metadata/finalizers").filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// What is left in a namespace, as its controller says in conditions
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>).
async fn in_namespace(kube: &KubeRead, namespace: &Value) -> Vec<String> {
    let mut held = Vec::new();
    let name = text(namespace, "/metadata/name");
    for resource in remaining(namespace).into_iter().take(KINDS) {
        held.extend(holders(&kube.few_of_resource(&resource, name, MOST).await.unwrap_or_default()));
    }
    if held.is_empty() {
        // Without the right to list them, what the namespace's controller counted has to do.
        let counted = ["NamespaceFinalizersRemaining", "NamespaceContentRemaining"];
        held.extend(counted.into_iter().find_map(|kind| told(namespace, kind)).map(ToOwned::to_owned));
    }
    held.extend(undiscovered(namespace));
    held
}

/// Objects of a CRD's kind, by the name of their resource.
async fn instances(kube: &KubeRead, crd: &Value) -> Vec<String> {
    holders(&kube.few_of_resource(text(crd, "/metadata/name"), "", MOST).await.unwrap_or_default())
}

/// Those with finalizers, with them; where none has one, whatever is there.
fn holders(objects: &[Value]) -> Vec<String> {
    let with = objects.iter().filter(|object| items(object, "/metadata/finalizers").next().is_some());
    let with: Vec<_> =
        with.map(|object| format!("{} (finalizer {})", ObjectRef::of(object), finalizers(object).join(", "))).collect();
    if with.is_empty() { objects.iter().map(|object| ObjectRef::of(object).to_string()).collect() } else { with }
}

/// The resources that a terminating namespace still holds: `Some resources are remaining: configmaps. has 1 resource
/// instances, widgets.example.com has 2 resource instances`.
fn remaining(namespace: &Value) -> Vec<String> {
    let Some(remaining) = told(namespace, "NamespaceContentRemaining") else { return Vec::new() };
    let list = remaining.split_once(": ").map_or("", |(_, list)| list);
    list.split(", ").filter_map(|part| part.split_once(" has ")).map(|(resource, _)| resource.to_owned()).collect()
}

/// An API that does not answer keeps namespaces too: nobody can say what they hold of it.
fn undiscovered(namespace: &Value) -> Option<String> {
    let told = told(namespace, "NamespaceDeletionDiscoveryFailure")?;
    Some(format!("an API that does not answer ({told})"))
}

fn told<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    condition(object, kind).filter(|condition| condition["status"] == "True").map(|told| text(told, "/message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_that_is_being_deleted_is_not_there_to_stay() {
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}});
        assert_eq!(parting_alone(&object), None);
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(parting_alone(&object).as_deref(), Some("Secret/b/a is being deleted since 2026-01-01T00:00:00Z"));
        object["metadata"]["finalizers"] = json!(["x/y"]);
        assert!(parting_alone(&object).is_some_and(|text| text.ends_with("held by x/y")));
    }

    #[test]
    fn a_namespace_says_which_resources_it_still_holds() {
        let of = |kind: &str, message: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status, "message": message}]}});
        let message = "Some resources are remaining: configmaps. has 1 resource instances, widgets.example.com has 2 resource instances";
        assert_eq!(
            remaining(&of("NamespaceContentRemaining", message, "True")),
            ["configmaps.", "widgets.example.com"]
        );
        assert!(remaining(&of("NamespaceContentRemaining", message, "False")).is_empty());
        let failed = "Discovery failed for some groups, 1 failing: metrics.k8s.io/v1beta1";
        let told = undiscovered(&of("NamespaceDeletionDiscoveryFailure", failed, "True")).unwrap();
        assert!(told.contains("metrics.k8s.io"), "{told}");
    }

    #[test]
    fn holders_are_named_with_their_finalizers() {
        let object = |name: &str, finalizers: Value| json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "finalizers": finalizers}});
        let held = object("held", json!(["example.com/hold", "b"]));
        let free = object("free", Value::Null);
        assert_eq!(holders(&[free.clone(), held]), ["ConfigMap/n/held (finalizer example.com/hold, b)"]);
        assert_eq!(holders(&[free]), ["ConfigMap/n/free"]);
    }
}
