//! Where an object is. Pure.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::read::kinds;

/// One object's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// None where the kind has none, or where the object leaves it out.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// An address; kinds without a namespace lose it.
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
        let namespaced = kinds::of_kubernetes(api_version, kind).is_none_or(|known| known.namespaced);
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespaced.then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// Whether a text names it as people write it: `KIND/NAME` or `KIND/NAMESPACE/NAME`, the kind in any case.
    pub fn is_called(&self, text: &str) -> bool {
        let parts: Vec<_> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(*namespace), name),
            _ => return false,
        };
        let placed = namespace.is_none() || self.namespace.as_deref() == namespace;
        placed && *name == self.name && kind.eq_ignore_ascii_case(&self.kind)
    }

    /// The address of an object.
    pub fn of(object: &Value) -> ObjectRef {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        ObjectRef {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_printed_as_kubectl_users_write_them() {
        assert_eq!(
            ObjectRef::new("v1", "ServiceAccount", "kube-system", "x").to_string(),
            "ServiceAccount/kube-system/x"
        );
        assert_eq!(
            ObjectRef::new("storage.k8s.io/v1", "CSIDriver", "kube-system", "ebs.csi.aws.com").to_string(),
            "CSIDriver/ebs.csi.aws.com"
        );
    }

    #[test]
    fn people_name_objects_by_kind_and_name() {
        let object = ObjectRef::new("apps/v1", "Deployment", "kube-system", "x");
        for text in ["Deployment/x", "deployment/x", "deployment/kube-system/x"] {
            assert!(object.is_called(text), "{text}");
        }
        for text in ["Deployment/y", "deploy/x", "Deployment/default/x", "x", "a/b/c/d"] {
            assert!(!object.is_called(text), "{text}");
        }
    }
}
