//! What a run would make in this cluster, and what it cannot try here. Reads only; the command shows it and asks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::workload::{self, Part, Values};
use super::{Aspect, Ended, LABEL, Options, STORAGE_CLASS};
use crate::error::{Error, Result};
use crate::read::kube::{KubeRead, ObjectRef};

/// The EBS CSI driver, as a provisioner and as a CSIDriver.
const DRIVER: &str = "ebs.csi.aws.com";
/// The AWS Load Balancer Controller, as IngressClasses name it.
const CONTROLLER: &str = "ingress.k8s.aws/alb";
/// The APIService of metrics-server.
const METRICS: &str = "v1beta1.metrics.k8s.io";

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the user wants.
    pub options: Options,
    /// The objects, in the order in which they are made.
    pub objects: Vec<(Part, Value)>,
    /// What earlier runs left behind.
    pub left_over: LeftOver,
    /// Aspects that end before anything is made, and how.
    pub ended: BTreeMap<Aspect, Ended>,
}

/// Objects of an earlier run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// StorageClasses.
    pub classes: Vec<String>,
}

impl LeftOver {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.classes.is_empty()
    }

    /// Their names for people.
    pub fn names(&self) -> Vec<String> {
        let namespaces = self.namespaces.iter().map(|name| format!("Namespace/{name}"));
        namespaces.chain(self.classes.iter().map(|name| format!("StorageClass/{name}"))).collect()
    }
}

impl Plan {
    /// What the run itself makes and has to remove.
    pub fn own(&self) -> LeftOver {
        let temporary = self.objects.iter().any(|(part, _)| *part == Part::StorageClass);
        LeftOver {
            namespaces: vec![self.options.namespace.clone()],
            classes: temporary.then(|| STORAGE_CLASS.to_owned()).into_iter().collect(),
        }
    }

    /// Whether a part is made.
    pub fn makes(&self, part: Part) -> bool {
        self.objects.iter().any(|(own, _)| *own == part)
    }
}

/// An object without a namespace.
pub(super) fn cluster_wide(api_version: &str, kind: &str, name: &str) -> ObjectRef {
    ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace: None, name: name.to_owned() }
}

/// Looks at the cluster and decides what a run makes.
///
/// # Errors
/// A read that failed, a value that cannot be used, or a namespace or class that is someone else's.
pub async fn plan(kube: &KubeRead, options: Options) -> Result<Plan> {
    let namespace = cluster_wide("v1", "Namespace", &options.namespace);
    let (driver, metrics) = (
        cluster_wide("storage.k8s.io/v1", "CSIDriver", DRIVER),
        cluster_wide("apiregistration.k8s.io/v1", "APIService", METRICS),
    );
    let (namespace, driver, metrics, classes, ingress_classes, own_namespaces) = futures::try_join!(
        kube.get(&namespace),
        kube.get(&driver),
        kube.get(&metrics),
        kube.list("storage.k8s.io/v1", "StorageClass", "", ""),
        kube.list("networking.k8s.io/v1", "IngressClass", "", ""),
        kube.list("v1", "Namespace", "", LABEL),
    )?;
    if namespace.is_some_and(|found| !is_ours(&found)) {
        return Err(Error::Refused {
            what: format!("the namespace {} exists and was not made by a smoke run", options.namespace),
            mend: "pass --smoke-namespace with a name that is free".to_owned(),
        });
    }
    let left_over = LeftOver {
        namespaces: own_namespaces.iter().map(name_of).collect(),
        classes: classes.iter().filter(|class| is_ours(class)).map(name_of).collect(),
    };
    let mut ended = BTreeMap::new();
    let ingress_class = ingress_class(&ingress_classes);
    if ingress_class.is_none() {
        let failed = Ended::Failed {
            cause: format!("no IngressClass of the controller {CONTROLLER}"),
            mend: "eks-bootstrap apply".to_owned(),
        };
        ended.insert(Aspect::Address, failed);
        ended.insert(Aspect::Http, Ended::Skipped { reason: "there is no load balancer to ask".to_owned() });
    }
    if driver.is_none() {
        let failed = Ended::Failed { cause: format!("no CSIDriver {DRIVER}"), mend: "eks-bootstrap apply".to_owned() };
        ended.insert(Aspect::Volume, failed);
    }
    if metrics.is_none() {
        let reason = "the metrics API (metrics.k8s.io) is not served: metrics-server is not installed".to_owned();
        ended.insert(Aspect::Autoscaler, Ended::Skipped { reason });
    }
    let (storage_class, temporary) = storage_class(&classes, options.storage_class.as_deref())?;
    let values = Values {
        namespace: options.namespace.clone(),
        image: options.image.clone(),
        scheme: options.scheme,
        ingress_class: ingress_class.unwrap_or_else(|| "alb".to_owned()),
        storage_class,
    };
    let with_volume = driver.is_some();
    let wanted = |part| match part {
        Part::Ingress => !ended.contains_key(&Aspect::Address),
        Part::Autoscaler => !ended.contains_key(&Aspect::Autoscaler),
        Part::StorageClass => with_volume && temporary,
        Part::HeadlessService | Part::StatefulSet => with_volume,
        _ => true,
    };
    let objects = workload::objects(&values, wanted)?;
    Ok(Plan { options, objects, left_over, ended })
}

fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"].get(LABEL).is_some()
}

/// The class of the AWS Load Balancer Controller; `alb` where there are several.
fn ingress_class(classes: &[Value]) -> Option<String> {
    let names: Vec<_> = classes.iter().filter(|class| class["spec"]["controller"] == CONTROLLER).map(name_of).collect();
    names.iter().find(|name| *name == "alb").or(names.first()).cloned()
}

/// The StorageClass to use, and whether it has to be made: volumes must be gp3 of the EBS CSI driver and go with their claim.
fn storage_class(classes: &[Value], wanted: Option<&str>) -> Result<(String, bool)> {
    let deletes = |class: &Value| class["reclaimPolicy"].as_str().unwrap_or("Delete") == "Delete";
    let Some(wanted) = wanted else {
        let is_default =
            |class: &Value| class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        let mut fitting: Vec<_> = classes
            .iter()
            .filter(|class| class["provisioner"] == DRIVER && class["parameters"]["type"] == "gp3")
            .filter(|class| deletes(class) && !is_ours(class))
            .collect();
        fitting.sort_by_key(|class| (!is_default(class), name_of(class)));
        return Ok(fitting.first().map_or((STORAGE_CLASS.to_owned(), true), |class| (name_of(class), false)));
    };
    let refused = |what: String, mend: &str| Err(Error::Refused { what, mend: mend.to_owned() });
    match classes.iter().find(|class| name_of(class) == wanted) {
        None => {
            refused(format!("there is no StorageClass {wanted}"), "leave --smoke-storage-class out, or make the class")
        }
        Some(class) if !deletes(class) => refused(
            format!("StorageClass {wanted} retains volumes: the probe's would stay in AWS"),
            "leave --smoke-storage-class out: a temporary class is made where none fits",
        ),
        Some(_) => Ok((wanted.to_owned(), false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(name: &str, kind: &str, policy: &str, default: &str) -> Value {
        json!({"metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}},
               "provisioner": DRIVER, "parameters": {"type": kind}, "reclaimPolicy": policy})
    }

    #[test]
    fn the_default_gp3_class_is_preferred_and_one_that_retains_is_never_used() {
        let gp2 = class("gp2", "gp2", "Delete", "true");
        let kept = class("kept", "gp3", "Retain", "true");
        assert_eq!(storage_class(&[gp2.clone(), kept.clone()], None).unwrap(), (STORAGE_CLASS.to_owned(), true));
        let all = [gp2, kept, class("a", "gp3", "Delete", "false"), class("b", "gp3", "Delete", "true")];
        assert_eq!(storage_class(&all, None).unwrap(), ("b".to_owned(), false));
        assert_eq!(storage_class(&all, Some("gp2")).unwrap(), ("gp2".to_owned(), false));
        assert!(storage_class(&all, Some("kept")).unwrap_err().to_string().contains("retains volumes"));
        assert!(storage_class(&all, Some("none")).unwrap_err().to_string().contains("no StorageClass none"));
    }

    #[test]
    fn our_own_temporary_class_is_no_class_of_the_cluster() {
        let mut own = class(STORAGE_CLASS, "gp3", "Delete", "false");
        own["metadata"]["labels"] = json!({LABEL: "true"});
        assert_eq!(storage_class(&[own], None).unwrap(), (STORAGE_CLASS.to_owned(), true));
    }

    #[test]
    fn the_ingress_class_is_the_controllers() {
        let class =
            |name: &str, controller: &str| json!({"metadata": {"name": name}, "spec": {"controller": controller}});
        assert_eq!(ingress_class(&[class("nginx", "k8s.io/ingress-nginx")]), None);
        assert_eq!(ingress_class(&[class("public", CONTROLLER)]).as_deref(), Some("public"));
        assert_eq!(ingress_class(&[class("a", CONTROLLER), class("alb", CONTROLLER)]).as_deref(), Some("alb"));
    }
}
