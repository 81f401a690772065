//! Kubernetes manifests as Helm reads them: many YAML documents, empty ones among them, and lists that stand for their items.
//!
//! Used wherever a manifest is read: release records, CRD files, rendered charts. Pure; which namespace an object lives in is
//! asked of the cluster (`read/kube.rs`).

use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

/// Helm's records hold at most 1 MiB of packed JSON and a chart's rendering a little more; this is far above both.
pub(crate) const LARGEST: usize = 64 * 1024 * 1024;
/// A list inside a list is legal; nobody writes more than one of them.
const DEEPEST_LIST: usize = 8;

/// The objects of a manifest, in its order, with every list replaced by its items, as Helm's builder does it
/// (<https://pkg.go.dev/k8s.io/cli-runtime/pkg/resource#Builder.Flatten>).
///
/// # Errors
/// Text that is no YAML, that is too large, or a document that is no Kubernetes object; the error names which.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>, String> {
    if text.len() > LARGEST {
        return Err(format!("it has {} bytes, more than {LARGEST}", text.len()));
    }
    // Helm converts YAML with sigs.k8s.io/yaml: the last of two equal keys counts, and `0644` is octal.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 100_000,
            max_nodes: 10_000_000,
            max_events: 40_000_000,
        },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| error.to_string())?;
    let mut objects = Vec::with_capacity(documents.len());
    for (place, document) in documents.into_iter().enumerate() {
        flatten(document, DEEPEST_LIST, &mut objects).map_err(|reason| format!("document {}: {reason}", place + 1))?;
    }
    Ok(objects)
}

/// The hooks by which helm makes an object instead of keeping it with the release, such as `pre-install`; none of a part of the
/// release (<https://helm.sh/docs/topics/charts_hooks/>).
pub(crate) fn hooks(object: &Value) -> Vec<&str> {
    let named = object.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str).unwrap_or_default();
    named.split(',').map(str::trim).filter(|hook| !hook.is_empty()).collect()
}

fn flatten(document: Value, depth: usize, objects: &mut Vec<Value>) -> Result<(), String> {
    if document.is_null() {
        return Ok(());
    }
    let Value::Object(mut fields) = document else { return Err("it is no object".to_owned()) };
    let text = |fields: &serde_json::Map<String, Value>, name: &str| {
        fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (version, kind) = (text(&fields, "apiVersion"), text(&fields, "kind"));
    // Whatever holds items is a list to Kubernetes, also `RoleList`, whose items need not say that they are roles.
    if let Some(Value::Array(items)) = fields.get_mut("items").map(Value::take) {
        if depth == 0 {
            return Err(format!("lists are nested more than {DEEPEST_LIST} deep"));
        }
        let of_items = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        for mut item in items {
            if let (Some(item), Some(kind)) = (item.as_object_mut(), of_items) {
                item.entry("kind").or_insert_with(|| Value::from(kind));
                item.entry("apiVersion").or_insert_with(|| Value::from(version.as_str()));
            }
            flatten(item, depth - 1, objects)?;
        }
        return Ok(());
    }
    if fields.is_empty() {
        return Ok(());
    }
    if kind.is_empty() || version.is_empty() {
        let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
        return Err(format!("it has no {missing}"));
    }
    objects.push(Value::Object(fields));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let of = |object: &Value, name: &str| object.pointer(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let objects = objects(text).unwrap();
        objects.iter().map(|object| format!("{}/{}", of(object, "/kind"), of(object, "/metadata/name"))).collect()
    }

    #[test]
    fn lists_stand_for_their_items() {
        let text = "
apiVersion: v1
kind: List
metadata: {name: ingress-class}
items:
- {apiVersion: elbv2.k8s.aws/v1beta1, kind: IngressClassParams, metadata: {name: alb}}
- apiVersion: v1
  kind: List
  items: [{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: alb}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleList
items: [{metadata: {name: r}}]
---
{apiVersion: v1, kind: ConfigMapList, items: []}
";
        assert_eq!(names(text), ["IngressClassParams/alb", "IngressClass/alb", "Role/r"]);
        let role = objects(text).unwrap().pop().unwrap();
        assert_eq!(role["apiVersion"], "rbac.authorization.k8s.io/v1");
    }

    #[test]
    fn empty_documents_are_nothing_and_thousands_are_read() {
        assert_eq!(names("---\n# Source: a\n---\n\n---\nnull\n--- {}\n"), Vec::<String>::new());
        let many = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".repeat(1_500);
        assert_eq!(names(&many).len(), 1_500);
    }

    #[test]
    fn numbers_and_keys_are_read_as_helm_reads_them() {
        let object = objects("apiVersion: v1\nkind: X\na: 0644\na: 0420\n").unwrap().pop().unwrap();
        assert_eq!(object["a"], 0o420);
    }

    #[test]
    fn what_is_no_object_is_named_by_its_place() {
        for (text, expected) in [
            ("apiVersion: v1\nkind: A\n---\njust text\n", "document 2: it is no object"),
            ("apiVersion: v1\nmetadata: {name: x}\n", "document 1: it has no kind"),
            ("kind: A\n", "document 1: it has no apiVersion"),
        ] {
            assert_eq!(objects(text).unwrap_err(), expected);
        }
        let deep = (0..12).fold("{apiVersion: v1, kind: A}".to_owned(), |inner, _| {
            format!("{{apiVersion: v1, kind: List, items: [{inner}]}}")
        });
        assert!(objects(&deep).unwrap_err().contains("nested"), "{deep}");
    }
}
