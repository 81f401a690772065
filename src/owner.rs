//! Who an existing object belongs to, read from its tags, labels and annotations. Pure; decides nothing.
//!
//! AWS objects of ours carry the tags of [`tags`]; Kubernetes objects carry the label
//! `app.kubernetes.io/managed-by=eks-bootstrap`. What others leave behind is recognised from public conventions: eksctl's
//! and CloudFormation's tags, Helm's label and annotations, Flux's and Argo CD's, the EKS add-on manager, tags that look like
//! Terraform's.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::object::annotation;

/// Tag keys of AWS objects that are ours.
pub mod tags {
    /// Always `eks-bootstrap`.
    pub const MANAGED_BY: &str = "eks-bootstrap/managed-by";
    /// The ARN of the cluster that the object serves.
    pub const CLUSTER: &str = "eks-bootstrap/cluster";
    /// The component that the object serves.
    pub const COMPONENT: &str = "eks-bootstrap/component";
    /// On adopted objects: whom they belonged to; destroy releases them instead of deleting them.
    pub const ADOPTED_FROM: &str = "eks-bootstrap/adopted-from";
}

/// Our name as a field manager, a label value and a tag value.
pub const OUR_NAME: &str = "eks-bootstrap";
/// Kubernetes' recommended label for the managing tool.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// On adopted Kubernetes objects: whom they belonged to.
pub const ADOPTED_FROM_ANNOTATION: &str = "eks-bootstrap.dev/adopted-from";

/// Whom an object belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Owner {
    /// We made it (or adopted it) for this cluster.
    Ours {
        /// Whether it was adopted rather than made.
        adopted: bool,
    },
    /// We made it, but for another cluster.
    OtherCluster {
        /// That cluster's ARN.
        arn: String,
    },
    /// eksctl made it.
    Eksctl {
        /// Its CloudFormation stack, if known.
        stack: Option<String>,
    },
    /// Another CloudFormation stack made it.
    CloudFormation {
        /// The stack.
        stack: String,
    },
    /// Its tags look like Terraform's.
    Terraform,
    /// A Helm release made it.
    Helm {
        /// `NAMESPACE/NAME` of the release.
        release: String,
    },
    /// Flux applies it.
    Flux {
        /// Its resource: `HelmRelease flux-system/NAME`, or a Kustomization.
        resource: String,
    },
    /// Argo CD applies it.
    ArgoCd {
        /// Its application.
        application: String,
    },
    /// The EKS add-on manager made it.
    EksAddon,
    /// Another tool that names itself.
    Tool {
        /// The name.
        name: String,
    },
    /// AWS made it and manages it.
    Aws,
    /// Nobody that names themselves.
    Unmarked,
}

impl Owner {
    /// Whether we may change the object without being told to adopt it.
    pub fn is_ours(&self) -> bool {
        matches!(self, Owner::Ours { .. })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Ours { adopted: false } => write!(f, "eks-bootstrap"),
            Owner::Ours { adopted: true } => write!(f, "eks-bootstrap (adopted)"),
            Owner::OtherCluster { arn } => write!(f, "eks-bootstrap for {arn}"),
            Owner::Eksctl { stack: Some(stack) } => write!(f, "eksctl (stack {stack})"),
            Owner::Eksctl { stack: None } => write!(f, "eksctl"),
            Owner::CloudFormation { stack } => write!(f, "CloudFormation stack {stack}"),
            Owner::Terraform => write!(f, "Terraform, by its tags"),
            Owner::Helm { release } => write!(f, "Helm release {release}"),
            Owner::Flux { resource } => write!(f, "Flux ({resource})"),
            Owner::ArgoCd { application } => write!(f, "Argo CD (application {application})"),
            Owner::EksAddon => write!(f, "an EKS add-on"),
            Owner::Tool { name } => write!(f, "{name}"),
            Owner::Aws => write!(f, "AWS"),
            Owner::Unmarked => write!(f, "someone else"),
        }
    }
}

/// Reads the owner of an AWS object from its tags.
pub fn of_tags(tags: &BTreeMap<String, String>, cluster_arn: &str) -> Owner {
    if tags.get(tags::MANAGED_BY).is_some_and(|value| value == OUR_NAME) {
        return match tags.get(tags::CLUSTER) {
            Some(arn) if arn != cluster_arn => Owner::OtherCluster { arn: arn.clone() },
            _ => Owner::Ours { adopted: tags.contains_key(tags::ADOPTED_FROM) },
        };
    }
    let stack = tags.get("aws:cloudformation:stack-name");
    if tags.keys().any(|key| key.starts_with("alpha.eksctl.io/") || key.starts_with("eksctl.cluster.k8s.io/")) {
        return Owner::Eksctl { stack: stack.cloned() };
    }
    if let Some(stack) = stack {
        return Owner::CloudFormation { stack: stack.clone() };
    }
    let terraform = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("terraform") || text.contains("opentofu")
    };
    if tags.iter().any(|(key, value)| terraform(key) || terraform(value)) {
        return Owner::Terraform;
    }
    Owner::Unmarked
}

/// Whether an AWS object names this cluster as the one that we made it for. Stricter than [`of_tags`], for what no name gives away:
/// an object of ours that names no cluster may be any cluster's.
pub fn is_made_for(tags: &BTreeMap<String, String>, cluster_arn: &str) -> bool {
    of_tags(tags, cluster_arn) == Owner::Ours { adopted: false } && tags.contains_key(tags::CLUSTER)
}

/// The Helm release whose marks an object carries, as `NAMESPACE/NAME`; helm refuses objects of any other.
pub fn helm_release(object: &Value) -> Option<String> {
    let release = annotation(object, "meta.helm.sh/release-name")?;
    let namespace = annotation(object, "meta.helm.sh/release-namespace").unwrap_or("?");
    Some(format!("{namespace}/{release}"))
}

/// Labels that Flux's controllers put onto everything they apply: the kind of their resource, and its name and namespace.
/// <https://fluxcd.io/flux/components/helm/helmreleases/>
const FLUX: [(&str, &str); 2] =
    [("HelmRelease", "helm.toolkit.fluxcd.io"), ("Kustomization", "kustomize.toolkit.fluxcd.io")];

/// The resource of Flux that an object comes from: its kind, namespace and name.
pub fn flux_resource(object: &Value) -> Option<(&'static str, String, String)> {
    let label = |name: String| object["metadata"]["labels"].get(name).and_then(Value::as_str);
    FLUX.iter().find_map(|(kind, group)| {
        let name = label(format!("{group}/name"))?;
        Some((*kind, label(format!("{group}/namespace")).unwrap_or("flux-system").to_owned(), name.to_owned()))
    })
}

/// Who applies an object again and again from a repository: whatever else changes it is undone.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>
fn reconciler(object: &Value) -> Option<Owner> {
    if let Some((kind, namespace, name)) = flux_resource(object) {
        return Some(Owner::Flux { resource: format!("{kind} {namespace}/{name}") });
    }
    let tracked = annotation(object, "argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let labelled = || object["metadata"]["labels"].get("argocd.argoproj.io/instance").and_then(Value::as_str);
    let application = tracked.or_else(labelled).filter(|name| !name.is_empty())?;
    Some(Owner::ArgoCd { application: application.to_owned() })
}

/// Reads the owner of a Kubernetes object from its metadata.
pub fn of_object(object: &Value) -> Owner {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let managed_by = text("/metadata/labels/app.kubernetes.io~1managed-by");
    if managed_by == Some(OUR_NAME) {
        let adopted = text("/metadata/annotations/eks-bootstrap.dev~1adopted-from").is_some();
        return Owner::Ours { adopted };
    }
    if managed_by == Some("eksctl") {
        return Owner::Eksctl { stack: None };
    }
    // Flux has helm do it and Argo CD renders charts, so helm's marks may be there too.
    if let Some(owner) = reconciler(object) {
        return owner;
    }
    if let Some(release) = helm_release(object) {
        return Owner::Helm { release };
    }
    if managed_by == Some("EKS") || text("/metadata/labels/eks.amazonaws.com~1component").is_some() {
        return Owner::EksAddon;
    }
    match managed_by {
        Some(name) => Owner::Tool { name: name.to_owned() },
        None => Owner::Unmarked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

    #[test]
    fn owners_are_read_from_tags() {
        let owner = |pairs: &[(&str, &str)]| {
            let tags = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            of_tags(&tags, CLUSTER).to_string()
        };
        assert_eq!(owner(&[]), "someone else");
        assert_eq!(owner(&[(tags::MANAGED_BY, OUR_NAME), (tags::CLUSTER, CLUSTER)]), "eks-bootstrap");
        assert_eq!(owner(&[(tags::MANAGED_BY, OUR_NAME), (tags::CLUSTER, "arn:other")]), "eks-bootstrap for arn:other");
        assert_eq!(
            owner(&[("alpha.eksctl.io/cluster-name", "demo"), ("aws:cloudformation:stack-name", "eksctl-demo")]),
            "eksctl (stack eksctl-demo)"
        );
        assert_eq!(owner(&[("aws:cloudformation:stack-name", "iam")]), "CloudFormation stack iam");
        assert_eq!(owner(&[("ManagedBy", "Terraform")]), "Terraform, by its tags");
    }

    #[test]
    fn what_is_made_for_a_cluster_names_it() {
        let made = |pairs: &[(&str, &str)]| {
            let tags = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            is_made_for(&tags, CLUSTER)
        };
        let ours = (tags::MANAGED_BY, OUR_NAME);
        assert!(made(&[ours, (tags::CLUSTER, CLUSTER)]));
        for elsewhere in [&CLUSTER.replace("eu-west-1", "eu-west-2"), &CLUSTER.replace("1111", "9999")] {
            assert!(!made(&[ours, (tags::CLUSTER, elsewhere.as_str())]), "{elsewhere}");
        }
        assert!(!made(&[ours]) && !made(&[(tags::CLUSTER, CLUSTER)]));
        assert!(!made(&[ours, (tags::CLUSTER, CLUSTER), (tags::ADOPTED_FROM, "eksctl")]));
    }

    #[test]
    fn owners_are_read_from_metadata() {
        let owner = |labels: Value, annotations: Value| {
            of_object(&serde_json::json!({"metadata": {"labels": labels, "annotations": annotations}})).to_string()
        };
        assert_eq!(owner(serde_json::json!({}), serde_json::json!({})), "someone else");
        assert_eq!(owner(serde_json::json!({MANAGED_BY_LABEL: "eksctl"}), serde_json::json!({})), "eksctl");
        assert_eq!(
            owner(
                serde_json::json!({MANAGED_BY_LABEL: "Helm"}),
                serde_json::json!({"meta.helm.sh/release-name": "lbc", "meta.helm.sh/release-namespace": "kube-system"})
            ),
            "Helm release kube-system/lbc"
        );
        let marks =
            serde_json::json!({"meta.helm.sh/release-name": "ebs", "meta.helm.sh/release-namespace": "kube-system"});
        let flux = serde_json::json!({MANAGED_BY_LABEL: "Helm", "helm.toolkit.fluxcd.io/name": "ebs",
            "helm.toolkit.fluxcd.io/namespace": "flux-system"});
        assert_eq!(owner(flux, marks), "Flux (HelmRelease flux-system/ebs)");
        let argo = serde_json::json!({MANAGED_BY_LABEL: "Helm", "argocd.argoproj.io/instance": "platform"});
        assert_eq!(owner(argo, serde_json::json!({})), "Argo CD (application platform)");
        let tracked = serde_json::json!({"argocd.argoproj.io/tracking-id": "platform:apps/Deployment:kube-system/x"});
        assert_eq!(owner(serde_json::json!({}), tracked), "Argo CD (application platform)");
        assert_eq!(owner(serde_json::json!({MANAGED_BY_LABEL: "EKS"}), serde_json::json!({})), "an EKS add-on");
        assert_eq!(owner(serde_json::json!({MANAGED_BY_LABEL: "argocd"}), serde_json::json!({})), "argocd");
        assert_eq!(owner(serde_json::json!({MANAGED_BY_LABEL: OUR_NAME}), serde_json::json!({})), "eks-bootstrap");
    }
}
