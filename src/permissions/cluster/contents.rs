//! What a chart contains, as rows of rights: from the tables for charts that are known here, from what helm renders for those of
//! the user's own components. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Place::{Cluster, Namespace};
use super::{LBC, Place, RBAC};
use crate::component::Component;
use crate::object::text;

/// Objects of one kind in a chart: component, place, API group, plural, names.
type InChart = (&'static str, Place, &'static str, &'static str, &'static [&'static str]);

const EBS: &str = crate::component::EBS_CSI_DRIVER.name;
const METRICS: &str = crate::component::METRICS_SERVER.name;

/// What the charts contain.
#[rustfmt::skip]
const CHARTS: &[InChart] = &[
    (LBC, Namespace, "", "services", &["aws-load-balancer-webhook-service"]),
    (LBC, Namespace, "", "secrets", &["aws-load-balancer-tls"]),
    (LBC, Namespace, "apps", "deployments", &["aws-load-balancer-controller"]),
    (LBC, Namespace, RBAC, "roles", &["aws-load-balancer-controller-leader-election-role"]),
    (LBC, Namespace, RBAC, "rolebindings", &["aws-load-balancer-controller-leader-election-rolebinding"]),
    (LBC, Cluster, RBAC, "clusterroles", &["aws-load-balancer-controller-role"]),
    (LBC, Cluster, RBAC, "clusterrolebindings", &["aws-load-balancer-controller-rolebinding"]),
    (LBC, Cluster, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["aws-load-balancer-webhook"]),
    (LBC, Cluster, "admissionregistration.k8s.io", "validatingwebhookconfigurations", &["aws-load-balancer-webhook"]),
    (LBC, Cluster, "networking.k8s.io", "ingressclasses", &["alb"]),
    (LBC, Cluster, "elbv2.k8s.aws", "ingressclassparams", &["alb"]),
    (EBS, Namespace, "", "serviceaccounts", &["ebs-csi-controller-sa", "ebs-csi-node-sa"]),
    (EBS, Namespace, "apps", "deployments", &["ebs-csi-controller"]),
    (EBS, Namespace, "apps", "daemonsets", &["ebs-csi-node", "ebs-csi-node-windows"]),
    (EBS, Namespace, "policy", "poddisruptionbudgets", &["ebs-csi-controller"]),
    (EBS, Namespace, RBAC, "roles", &["ebs-csi-leases-role"]),
    (EBS, Namespace, RBAC, "rolebindings", &["ebs-csi-leases-rolebinding"]),
    (EBS, Cluster, RBAC, "clusterroles", &["ebs-csi-node-role", "ebs-external-attacher-role", "ebs-external-provisioner-role", "ebs-external-resizer-role", "ebs-external-snapshotter-role"]),
    (EBS, Cluster, RBAC, "clusterrolebindings", &["ebs-csi-node-getter-binding", "ebs-csi-attacher-binding", "ebs-csi-provisioner-binding", "ebs-csi-resizer-binding", "ebs-csi-snapshotter-binding"]),
    (EBS, Cluster, "storage.k8s.io", "csidrivers", &["ebs.csi.aws.com"]),
    (METRICS, Namespace, "", "serviceaccounts", &["metrics-server"]),
    (METRICS, Namespace, "", "services", &["metrics-server"]),
    (METRICS, Namespace, "apps", "deployments", &["metrics-server"]),
    (METRICS, Namespace, "policy", "poddisruptionbudgets", &["metrics-server"]),
    (METRICS, Namespace, RBAC, "rolebindings", &["metrics-server-auth-reader"]),
    (METRICS, Cluster, RBAC, "clusterroles", &["system:metrics-server", "system:metrics-server-aggregated-reader"]),
    (METRICS, Cluster, RBAC, "clusterrolebindings", &["metrics-server:system:auth-delegator", "system:metrics-server"]),
    (METRICS, Cluster, "apiregistration.k8s.io", "apiservices", &["v1beta1.metrics.k8s.io"]),
];

/// The CRDs that a step of ours applies before the chart.
const CHART_CRDS: &[(&str, &[&str])] = &[(
    LBC,
    &[
        "albtargetcontrolconfigs.elbv2.k8s.aws",
        "globalaccelerators.aga.k8s.aws",
        "ingressclassparams.elbv2.k8s.aws",
        "listenerruleconfigurations.gateway.k8s.aws",
        "loadbalancerconfigurations.gateway.k8s.aws",
        "targetgroupbindings.elbv2.k8s.aws",
        "targetgroupconfigurations.gateway.k8s.aws",
    ],
)];

/// Roles that are there and to which a chart binds its service account: component, place, plural, names.
const BOUND: &[(&str, Place, &str, &[&str])] = &[
    (METRICS, Cluster, "clusterroles", &["system:auth-delegator"]),
    (METRICS, Namespace, "roles", &["extension-apiserver-authentication-reader"]),
];

/// Objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) names: Vec<String>,
}

/// What a chart contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The component.
    component: String,
    /// Its objects.
    pub(super) rows: Vec<Row>,
    /// Its CRDs, by name.
    pub(super) crds: Vec<String>,
    /// Roles that are there and to which it binds service accounts.
    pub(super) bound: Vec<Row>,
}

/// Kinds outside of namespaces that charts have.
const CLUSTER_WIDE: [&str; 16] = [
    "APIService",
    "CSIDriver",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

impl Contents {
    /// What is known of a built-in component's chart.
    pub(super) fn built_in(component: &Component) -> Contents {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let row = |place: Place, group: &str, plural: &str, names: &[&str]| Row {
            place,
            group: group.to_owned(),
            plural: plural.to_owned(),
            names: texts(names),
        };
        let of = |row: &&str| **row == *component.name;
        Contents {
            component: component.name.to_owned(),
            rows: CHARTS.iter().filter(|it| of(&it.0)).map(|it| row(it.1, it.2, it.3, it.4)).collect(),
            crds: CHART_CRDS.iter().filter(|it| of(&it.0)).flat_map(|it| texts(it.1)).collect(),
            bound: BOUND.iter().filter(|it| of(&it.0)).map(|it| row(it.1, RBAC, it.2, it.3)).collect(),
        }
    }

    /// What helm renders of a component's chart, and the CRDs beside it.
    pub fn rendered(component: &Component, objects: &[Value], crds: &[Value]) -> Contents {
        let mut rows: Vec<Row> = Vec::new();
        for object in objects {
            let (place, group, plural) = kind(object);
            // A CRD of the chart says what its kind is called in the plural.
            let own = crds.iter().find(|crd| {
                text(crd, "/spec/group") == group && text(crd, "/spec/names/kind") == text(object, "/kind")
            });
            let plural = own.map_or(plural, |crd| text(crd, "/spec/names/plural").to_owned());
            add(&mut rows, (place, group, plural), text(object, "/metadata/name"));
        }
        let mut bound = Vec::new();
        for binding in objects.iter().filter(|object| text(object, "/kind").ends_with("RoleBinding")) {
            let role = |field: &str| text(binding, &format!("/roleRef/{field}")).to_owned();
            let (place, plural) = if role("kind") == "Role" { (Namespace, "roles") } else { (Cluster, "clusterroles") };
            let own = rows.iter().any(|row| row.plural == plural && row.names.contains(&role("name")));
            if !own {
                add(&mut bound, (place, RBAC.to_owned(), plural.to_owned()), &role("name"));
            }
        }
        let crds: BTreeSet<_> = crds.iter().map(|crd| text(crd, "/metadata/name").to_owned()).collect();
        Contents { component: component.name.to_owned(), rows, crds: crds.into_iter().collect(), bound }
    }

    /// Whether it is this component's.
    pub fn is_of(&self, component: &Component) -> bool {
        self.component == component.name
    }
}

fn add(rows: &mut Vec<Row>, (place, group, plural): (Place, String, String), name: &str) {
    let alike = |row: &&mut Row| row.place == place && row.group == group && row.plural == plural;
    match rows.iter_mut().find(alike) {
        Some(row) if row.names.iter().any(|known| known == name) => {}
        Some(row) => row.names.push(name.to_owned()),
        None => rows.push(Row { place, group, plural, names: vec![name.to_owned()] }),
    }
}

/// Where objects of this kind live, their group, and their plural. Kinds of which neither is known are custom resources: a right
/// in the whole cluster holds for them wherever they live, and their plural follows Kubernetes' own rule for names.
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/api/meta#UnsafeGuessKindToResource>
fn kind(object: &Value) -> (Place, String, String) {
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let of_kubernetes = !group.contains('.') || group.ends_with(".k8s.io");
    let place = if of_kubernetes && !CLUSTER_WIDE.contains(&kind) { Namespace } else { Cluster };
    let lower = kind.to_lowercase();
    let plural = match lower.strip_suffix('y') {
        _ if lower.ends_with('s') => format!("{lower}es"),
        Some(stem) => format!("{stem}ies"),
        None => format!("{lower}s"),
    };
    (place, group.to_owned(), plural)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{BUILT_IN, METRICS_SERVER};
    use serde_json::json;

    #[test]
    fn rows_follow_from_what_is_rendered() {
        let object = |version: &str, kind: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        let mut binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "b");
        binding["roleRef"] = json!({"kind": "ClusterRole", "name": "view"});
        let mut own = object("rbac.authorization.k8s.io/v1", "RoleBinding", "c");
        own["roleRef"] = json!({"kind": "Role", "name": "r"});
        let objects = [
            object("v1", "Service", "a"),
            object("v1", "Service", "b"),
            object("networking.k8s.io/v1", "IngressClass", "alb"),
            object("networking.k8s.io/v1", "NetworkPolicy", "n"),
            object("example.com/v1", "Thing", "t"),
            object("rbac.authorization.k8s.io/v1", "Role", "r"),
            own,
            binding,
        ];
        let mut crd = object("v1", "X", "things.example.com");
        crd["spec"] = json!({"group": "example.com", "names": {"kind": "Thing", "plural": "thingies"}});
        let contents = Contents::rendered(&BUILT_IN[0], &objects, &[crd]);
        let rows: Vec<_> = contents
            .rows
            .iter()
            .map(|row| (row.place, row.group.as_str(), row.plural.as_str(), row.names.join(",")))
            .collect();
        assert_eq!(rows[0], (Namespace, "", "services", "a,b".to_owned()));
        assert_eq!(rows[1], (Cluster, "networking.k8s.io", "ingressclasses", "alb".to_owned()));
        assert_eq!(rows[2], (Namespace, "networking.k8s.io", "networkpolicies", "n".to_owned()));
        assert_eq!(rows[3], (Cluster, "example.com", "thingies", "t".to_owned()));
        assert_eq!(contents.crds, ["things.example.com"]);
        let bound: Vec<_> = contents.bound.iter().map(|row| (row.place, row.names.join(","))).collect();
        assert_eq!(bound, [(Cluster, "view".to_owned())]);
    }

    #[test]
    fn the_tables_know_the_built_in_charts() {
        let contents = Contents::built_in(&METRICS_SERVER);
        assert!(contents.is_of(&METRICS_SERVER) && contents.rows.len() > 5 && contents.bound.len() == 2);
    }

    #[test]
    fn the_tables_speak_of_components_that_exist() {
        let known: Vec<_> = BUILT_IN.iter().map(|component| component.name).collect();
        let named = CHARTS.iter().map(|row| row.0).chain(CHART_CRDS.iter().map(|row| row.0));
        assert!(named.into_iter().chain(BOUND.iter().map(|row| row.0)).all(|name| known.contains(&name)));
        for component in BUILT_IN {
            assert!(CHARTS.iter().any(|row| row.0 == component.name), "{} has a chart", component.name);
            assert_eq!(CHART_CRDS.iter().any(|row| row.0 == component.name), component.has_crds, "{}", component.name);
        }
    }
}
