//! The manifests of `templates/smoke` with values filled in: as text for people, as objects for a run. Pure.

use serde_json::Value;

use super::{LABEL, Scheme};
use crate::error::{Error, Result};
use crate::owner::{MANAGED_BY_LABEL, OUR_NAME};

/// Small, for both architectures, without root, and answers 200 on port 8080; from a registry that EKS nodes reach.
pub const DEFAULT_IMAGE: &str = "public.ecr.aws/nginx/nginx-unprivileged:1.27-alpine";

/// A part of the workload: one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The namespace.
    Namespace,
    /// A StorageClass for gp3.
    StorageClass,
    /// The web server.
    Deployment,
    /// Its Service.
    Service,
    /// Its load balancer.
    Ingress,
    /// Its autoscaler.
    Autoscaler,
    /// Its disruption budget.
    DisruptionBudget,
    /// The Service of the pod with a volume.
    HeadlessService,
    /// The pod with a volume.
    StatefulSet,
}

macro_rules! template {
    ($name:literal) => {
        ($name, include_str!(concat!("../../templates/smoke/", $name)))
    };
}

/// Every part with its file and text, in the order in which they are made.
const TEMPLATES: [(Part, (&str, &str)); 9] = [
    (Part::Namespace, template!("10-namespace.yaml")),
    (Part::StorageClass, template!("20-storage-class.yaml")),
    (Part::Deployment, template!("30-deployment.yaml")),
    (Part::Service, template!("31-service.yaml")),
    (Part::Ingress, template!("32-ingress.yaml")),
    (Part::Autoscaler, template!("33-horizontal-pod-autoscaler.yaml")),
    (Part::DisruptionBudget, template!("34-pod-disruption-budget.yaml")),
    (Part::HeadlessService, template!("40-headless-service.yaml")),
    (Part::StatefulSet, template!("41-stateful-set.yaml")),
];

/// What is filled in.
#[derive(Debug, Clone)]
pub struct Values {
    /// The namespace.
    pub namespace: String,
    /// The image of every container.
    pub image: String,
    /// Who reaches the load balancer.
    pub scheme: Scheme,
    /// The class of the Ingress.
    pub ingress_class: String,
    /// The class of the volume.
    pub storage_class: String,
}

impl Values {
    /// Refuses what the API server would refuse later.
    ///
    /// # Errors
    /// The field, its value and the mend.
    pub fn check(&self) -> Result<()> {
        label("the namespace", &self.namespace)?;
        for (field, name) in [("the Ingress class", &self.ingress_class), ("the StorageClass", &self.storage_class)] {
            for part in name.split('.') {
                label(field, part).map_err(|_| bad_name(field, name))?;
            }
        }
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@".contains(letter);
        if self.image.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && self.image.chars().all(allowed) {
            return Ok(());
        }
        let mend = "write it as in `registry.example/team/image:tag`";
        Err(Error::config("the smoke image", &self.image, "not the name of an image", mend))
    }
}

fn label(field: &str, name: &str) -> Result<()> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if letters && (1..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(());
    }
    Err(bad_name(field, name))
}

fn bad_name(field: &str, name: &str) -> Error {
    let mend = "use lower-case letters, digits and hyphens, at most 63, with a letter or digit at both ends";
    Error::config(field, name, "not a name that Kubernetes takes", mend)
}

/// A value as YAML: quoted where it would otherwise be read as something else than text.
fn yaml(value: &str) -> String {
    match serde_saphyr::from_str::<Value>(value) {
        Ok(Value::String(read)) if read == value => value.to_owned(),
        _ => Value::from(value).to_string(),
    }
}

fn fill(text: &str, values: &Values) -> String {
    [
        ("${namespace}", values.namespace.as_str()),
        ("${image}", values.image.as_str()),
        ("${scheme}", values.scheme.as_str()),
        ("${ingress_class}", values.ingress_class.as_str()),
        ("${storage_class}", values.storage_class.as_str()),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, &yaml(value)))
}

/// The chosen parts as texts with their files' names.
///
/// # Errors
/// A value that cannot be used.
pub fn manifests(values: &Values, wanted: impl Fn(Part) -> bool) -> Result<Vec<(&'static str, String)>> {
    values.check()?;
    let chosen = TEMPLATES.iter().filter(|(part, _)| wanted(*part));
    Ok(chosen.map(|(_, (name, text))| (*name, fill(text, values))).collect())
}

/// The chosen parts as objects of a run: with our labels, so that they are found again.
///
/// # Errors
/// A value that cannot be used.
pub(super) fn objects(values: &Values, wanted: impl Fn(Part) -> bool) -> Result<Vec<(Part, Value)>> {
    values.check()?;
    TEMPLATES
        .iter()
        .filter(|(part, _)| wanted(*part))
        .map(|(part, (name, text))| {
            let mut object: Value = serde_saphyr::from_str(&fill(text, values)).map_err(|source| {
                Error::io(format!("read the template {name}"), std::io::Error::other(source.to_string()))
            })?;
            object["metadata"]["labels"][MANAGED_BY_LABEL] = OUR_NAME.into();
            object["metadata"]["labels"][LABEL] = "true".into();
            Ok((*part, object))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            namespace: "n".to_owned(),
            image: DEFAULT_IMAGE.to_owned(),
            scheme: Scheme::Internal,
            ingress_class: "alb".to_owned(),
            storage_class: "gp3".to_owned(),
        }
    }

    #[test]
    fn every_value_is_filled_in_and_every_object_carries_our_labels() {
        for (name, text) in manifests(&values(), |_| true).unwrap() {
            assert!(!text.contains("${"), "{name} has a placeholder left");
            assert!(text.starts_with("# ") && text.ends_with('\n'), "{name} does not say what it is");
        }
        let objects = objects(&values(), |_| true).unwrap();
        assert_eq!(objects.len(), TEMPLATES.len());
        for (part, object) in objects {
            assert_eq!(object["metadata"]["labels"][MANAGED_BY_LABEL], OUR_NAME, "{part:?}");
            let cluster_wide = matches!(part, Part::Namespace | Part::StorageClass);
            assert_eq!(object["metadata"]["namespace"] == "n", !cluster_wide, "{part:?}");
        }
    }

    #[test]
    fn printed_manifests_are_the_users_own() {
        for (name, text) in manifests(&values(), |_| true).unwrap() {
            assert!(!text.contains(OUR_NAME), "{name} would be taken for ours and removed");
        }
    }

    #[test]
    fn names_that_look_like_numbers_stay_names() {
        let values = Values { namespace: "123".to_owned(), storage_class: "true".to_owned(), ..values() };
        for (_, object) in objects(&values, |part| part != Part::StorageClass).unwrap() {
            let name = if object["kind"] == "Namespace" { "/metadata/name" } else { "/metadata/namespace" };
            assert_eq!(object.pointer(name).unwrap(), "123");
        }
    }

    #[test]
    fn values_that_would_break_the_yaml_are_refused() {
        let refused = |change: fn(&mut Values)| {
            let mut values = values();
            change(&mut values);
            values.check().unwrap_err().to_string()
        };
        assert!(refused(|values| values.namespace = "Upper".to_owned()).contains("invalid value `Upper`"));
        assert!(refused(|values| values.image = "a: b\nc".to_owned()).contains("the smoke image"));
        assert!(refused(|values| values.storage_class = "gp3..x".to_owned()).contains("the StorageClass"));
        assert!(refused(|values| values.ingress_class = String::new()).contains("the Ingress class"));
    }

    #[test]
    fn pods_ask_for_nothing_that_the_restricted_standard_refuses() {
        for (part, object) in objects(&values(), |_| true).unwrap() {
            let Some(pod) = object.pointer("/spec/template/spec") else { continue };
            assert_eq!(pod["nodeSelector"], serde_json::json!({"kubernetes.io/os": "linux"}), "{part:?}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{part:?}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{part:?}");
            let container = &pod["containers"][0];
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{part:?}");
            assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL", "{part:?}");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{part:?}");
        }
    }
}
