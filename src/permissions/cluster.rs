//! What every purpose needs in the cluster, as RBAC: a Role where the namespace is known, a ClusterRole for the rest, and
//! their bindings to a group.
//!
//! Two tables: what the charts contain with the values that we set (`contents.rs`), by the names that they give by default, and what the
//! steps and checks do besides ([`NEEDS`]). Reading, changing and deleting is granted on those names only; RBAC cannot limit creating,
//! listing and watching by name. The charts' roles are written and bound by name too, instead of holding all their rights;
//! whoever may do that can still give itself any right through them, as an administrator can.

mod contents;

use std::collections::BTreeMap;

use super::Purpose::{self, Apply, Destroy, Migrate, Plan, Verify};
use crate::behind;
use crate::component::{Component, ServiceAccountMaker};
use crate::config::{Config, Identity};
use crate::context::Facts;
use crate::read::kube::DISCOVERY;
use crate::steps::{namespace, pod_identity_agent};

pub use contents::{Contents, Kind, Told};
use contents::{Made, Row};

/// Where a right holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In the component's namespace.
    Namespace,
    /// In all of them, or on kinds without a namespace.
    Cluster,
}

use Place::{Cluster, Namespace};

const LBC: &str = crate::component::LOAD_BALANCER_CONTROLLER.name;
const RBAC: &str = "rbac.authorization.k8s.io";
const CRDS: &str = "apiextensions.k8s.io";

/// Helm 4 waits by watching every kind of a chart in all namespaces, since a chart has objects inside and outside of its own.
const WATCHED: &str = "helm's wait, which watches the kinds of a chart in all namespaces";

/// What steps and checks do besides: reason, purposes, place, API group, plurals, verbs.
type Need = (&'static str, &'static [Purpose], Place, &'static str, &'static [&'static str], &'static [&'static str]);

#[rustfmt::skip]
const NEEDS: &[Need] = &[
    ("Helm's release records", &[Plan, Verify], Namespace, "", &["secrets"], &["list"]),
    ("Helm's release records", &[Apply, Destroy], Namespace, "", &["secrets"], &["create", "delete", "get", "list", "patch", "update", "watch"]),
    ("why pods do not start", &[Plan, Verify], Namespace, "", &["events", "pods"], &["list"]),
    ("why pods do not start", &[Apply, Destroy], Namespace, "", &["events"], &["list"]),
    ("rollouts that helm waits for", &[Apply, Destroy], Namespace, "", &["pods"], &["get", "list", "watch"]),
    ("rollouts that helm waits for", &[Apply, Destroy], Namespace, "apps", &["replicasets"], &["get", "list", "watch"]),
    ("the webhooks' answer to a dry run", &[Verify], Namespace, "", &["services"], &["create"]),
    ("the webhooks' answer to a dry run", &[Verify], Namespace, "networking.k8s.io", &["ingresses"], &["create"]),
    ("other installations of the same", &[Verify], Cluster, "apps", &["deployments"], &["list"]),
    ("nodes and the drivers on them", &[Verify], Cluster, "", &["nodes"], &["list"]),
    ("nodes and the drivers on them", &[Verify], Cluster, "storage.k8s.io", &["csidrivers", "csinodes"], &["list"]),
    ("quotas that would refuse the pods", &[Verify], Namespace, "", &["limitranges", "resourcequotas"], &["list"]),
    ("what could bring nodes, where there are none", &[Verify], Cluster, "karpenter.sh", &["nodepools"], &["list"]),
    ("the pod network", &[Plan, Apply], Cluster, "apps", &["daemonsets"], &["list"]),
    ("nodes and the drivers on them", &[Verify], Cluster, "apps", &["daemonsets"], &["get", "list"]),
    ("the default StorageClass and autoscalers", &[Plan, Apply, Verify], Cluster, "storage.k8s.io", &["storageclasses"], &["list"]),
    ("the default StorageClass and autoscalers", &[Plan, Apply, Verify], Cluster, "autoscaling", &["horizontalpodautoscalers"], &["list"]),
    ("the default StorageClass and autoscalers", &[Plan, Apply, Verify], Cluster, "apiregistration.k8s.io", &["apiservices"], &["get", "list"]),
    ("the webhooks and what they guard", &[Verify], Cluster, "admissionregistration.k8s.io", &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"], &["list"]),
    ("the webhooks and what they guard", &[Verify], Namespace, "discovery.k8s.io", &["endpointslices"], &["list"]),
    ("webhooks of other tools that would refuse what is installed", &[Verify], Cluster, "discovery.k8s.io", &["endpointslices"], &["list"]),
    ("webhooks of other tools that would refuse what is installed", &[Verify], Cluster, "", &["namespaces"], &["get"]),
    ("the webhooks and what they guard", &[Verify], Namespace, "networking.k8s.io", &["networkpolicies"], &["list"]),
    ("the webhooks and what they guard", &[Verify], Cluster, "networking.k8s.io", &["ingressclasses", "ingresses"], &["list"]),
    ("claims, volumes and why they wait", &[Verify], Cluster, "", &["persistentvolumeclaims", "persistentvolumes", "events", "services"], &["list"]),
    ("the metrics of the nodes", &[Verify], Cluster, "metrics.k8s.io", &["nodes"], &["list"]),
    ("Gateways and their CRDs", &[Verify], Cluster, "gateway.networking.k8s.io", &["gatewayclasses", "gateways"], &["list"]),
    ("load balancers that are nobody's", &[Verify], Cluster, "elbv2.k8s.aws", &["ingressclassparams", "targetgroupbindings"], &["list"]),
    ("load balancers that are nobody's", &[Verify], Cluster, "aga.k8s.aws", &["globalaccelerators"], &["list"]),
    ("Gateways and their CRDs", &[Verify], Cluster, CRDS, &["customresourcedefinitions"], &["list"]),
    ("load balancers that depend on the controller", &[Destroy], Cluster, "", &["services"], &["list"]),
    ("load balancers that depend on the controller", &[Destroy], Cluster, "networking.k8s.io", &["ingressclasses", "ingresses"], &["list"]),
    ("load balancers that depend on the controller", &[Destroy], Cluster, "elbv2.k8s.aws", &["ingressclassparams", "targetgroupbindings"], &["list"]),
    ("load balancers that depend on the controller", &[Destroy], Cluster, "aga.k8s.aws", &["globalaccelerators"], &["list"]),
    ("load balancers that depend on the controller", &[Destroy], Cluster, "gateway.networking.k8s.io", &["gatewayclasses", "gateways"], &["list"]),
    ("only for --drain: what has load balancers, and why it does not go", &[Destroy], Cluster, "", &["services"], &["delete"]),
    ("only for --drain: what has load balancers, and why it does not go", &[Destroy], Cluster, "", &["events"], &["list"]),
    ("only for --drain: what has load balancers, and why it does not go", &[Destroy], Cluster, "networking.k8s.io", &["ingresses"], &["delete"]),
    ("only for --drain: what has load balancers, and why it does not go", &[Destroy], Cluster, "elbv2.k8s.aws", &["targetgroupbindings"], &["delete"]),
    ("only for --drain: what has load balancers, and why it does not go", &[Destroy], Cluster, "aga.k8s.aws", &["globalaccelerators"], &["delete"]),
    ("only for --drain: what has load balancers, and why it does not go", &[Destroy], Cluster, "gateway.networking.k8s.io", &["gateways"], &["delete"]),
    ("volumes that depend on the driver", &[Destroy], Cluster, "", &["persistentvolumes"], &["list"]),
    ("volumes that the driver's new policy may not let in", &[Plan, Apply], Cluster, "", &["persistentvolumes"], &["list"]),
];

/// One rule with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is for.
    pub reason: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// Plurals.
    pub resources: Vec<String>,
    /// Paths of the API server that are no resources; a rule has these or plurals.
    pub urls: Vec<String>,
    /// The only names that it holds for; empty means all.
    pub names: Vec<String>,
    /// Verbs, sorted.
    pub verbs: Vec<String>,
}

/// The rights of one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The name of all objects that grant them.
    pub name: String,
    /// The group that gets them.
    pub group: String,
    /// Rules in namespaces.
    pub namespaced: BTreeMap<String, Vec<Rule>>,
    /// Rules in the whole cluster.
    pub cluster: Vec<Rule>,
    /// Kinds of charts of which nobody here knows how RBAC calls them: there is no rule for them.
    pub unknown: Vec<Kind>,
}

/// The rights of a purpose under a configuration, for a group. `charts` say what the charts of components of files contain.
pub fn rights(purpose: Purpose, config: &Config, facts: &Facts, group: &str, charts: &[Contents]) -> Rights {
    let mut rights = Rights {
        name: format!("eks-bootstrap-{}", purpose.word()),
        group: group.to_owned(),
        namespaced: BTreeMap::new(),
        cluster: Vec::new(),
        unknown: Vec::new(),
    };
    // A move is an apply that knows both ways, whichever the configuration says.
    let moves = purpose == Migrate;
    let purpose = if moves { Apply } else { purpose };
    let all = crate::component::wanted(config, facts).into_iter();
    for component in all.filter(|component| !moves || component.has_role()) {
        let known = charts.iter().find(|contents| contents.is_of(&component)).cloned();
        let contents = known.unwrap_or_else(|| Contents::built_in(&component));
        rights.add_chart(purpose, &component, &contents);
        rights.unknown.extend(contents.unknown().iter().cloned());
        rights.add_steps(purpose, &component, &contents);
        if namespace::is_made(component.namespace) {
            rights.add_namespace(purpose, &component);
        }
        if component.has_role() && (moves || component.identity(config) == Identity::PodIdentity) {
            rights.add_pod_identity(purpose, &component);
        }
        for (reason, purposes, place, api_group, resources, verbs) in NEEDS {
            if purposes.contains(&purpose) {
                for resource in *resources {
                    rights.add(*place, &component, reason, (api_group, resource), &[], verbs);
                }
            }
        }
    }
    if config.gp3_storage_class.enabled == Some(true) && !moves {
        let own = match purpose {
            Plan | Verify => &["get", "list"][..],
            Apply | Migrate => &["create", "delete", "get", "list", "patch"][..],
            Destroy => &["delete", "get", "list", "patch"][..],
        };
        // It moves the default from whichever class has it, so the names are not known.
        let (driver, reason) = (&crate::component::EBS_CSI_DRIVER, "the StorageClass gp3, and which is the default");
        rights.add(Cluster, driver, reason, ("storage.k8s.io", "storageclasses"), &[], own);
    }
    if config.kubeconfig.is_some() {
        rights.add_proofs();
    }
    for rules in rights.namespaced.values_mut().chain([&mut rights.cluster]) {
        *rules = shortened(rules);
    }
    rights
}

impl Rights {
    /// The objects of the component's chart.
    fn add_chart(&mut self, purpose: Purpose, component: &Component, contents: &Contents) {
        let reason = format!("what the chart {} contains", component.name);
        for row in &contents.rows {
            let Row { place, group, plural, names, made, namespace } = row;
            let (own, make, watch) = of_objects(purpose, *made);
            let (kind, names) = ((group.as_str(), plural.as_str()), &words(names)[..]);
            let inside = namespace.as_deref().unwrap_or(component.namespace);
            self.add_in(*place, inside, &reason, kind, names, own);
            self.add_in(*place, inside, "making what the charts contain", kind, &[], make);
            self.add(Cluster, component, WATCHED, kind, &[], watch);
            if purpose == Apply && group == RBAC && plural.ends_with("roles") {
                let reason = format!("what the chart {} grants to its own service accounts", component.name);
                self.add_in(*place, inside, &reason, kind, names, &["bind", "escalate"]);
            }
        }
        for Row { place, plural, names, namespace, .. } in contents.bound.iter().filter(|_| purpose == Apply) {
            let reason = format!("roles of Kubernetes that the chart {} uses", component.name);
            let inside = namespace.as_deref().unwrap_or(component.namespace);
            self.add_in(*place, inside, &reason, (RBAC, plural), &words(names), &["bind"]);
        }
    }

    /// Which cluster a kubeconfig leads to, where its certificate authority does not say so.
    fn add_proofs(&mut self) {
        let reason = "which cluster the kubeconfig leads to";
        let (namespace, name) = behind::ROOT_CA;
        self.add_in(Namespace, namespace, reason, ("", "configmaps"), &[name], &["get"]);
        self.cluster.push(Rule {
            reason: reason.to_owned(),
            group: String::new(),
            resources: Vec::new(),
            urls: vec![DISCOVERY.to_owned()],
            names: Vec::new(),
            verbs: vec!["get".to_owned()],
        });
    }

    /// The namespace of a component that is in none of every cluster's.
    fn add_namespace(&mut self, purpose: Purpose, component: &Component) {
        let (reason, kind) = ("the namespaces of components of yours", ("", "namespaces"));
        let own = match purpose {
            Plan | Verify => &["get"][..],
            Apply | Migrate => &["get", "patch"][..],
            Destroy => &["delete", "get"][..],
        };
        self.add(Cluster, component, reason, kind, &[component.namespace], own);
        if purpose == Apply {
            self.add(Cluster, component, reason, kind, &[], &["create"]);
        }
        if purpose == Destroy {
            // Deleting a namespace takes everything in it along, whatever it is.
            let reason = "whether a namespace holds anything of others";
            self.add(Namespace, component, reason, ("*", "*"), &[], &["list"]);
        }
    }

    /// What Pod Identity needs besides: the agent, a pod as a dry run, pods that are replaced.
    fn add_pod_identity(&mut self, purpose: Purpose, component: &Component) {
        let reason = "the Pod Identity agent, and what new pods are given";
        if purpose != Destroy {
            self.add(Namespace, component, reason, ("apps", "daemonsets"), &[pod_identity_agent::NAME], &["get"]);
        }
        if purpose == Apply {
            self.add(Namespace, component, reason, ("", "pods"), &[], &["create"]);
        }
        let account = &[component.service_account][..];
        let own = if purpose == Apply { &["get", "patch"][..] } else { &["get"][..] };
        self.add(Namespace, component, reason, ("", "serviceaccounts"), account, own);
    }

    /// The objects of steps of our own: service account, its tokens, CRDs.
    fn add_steps(&mut self, purpose: Purpose, component: &Component, contents: &Contents) {
        if matches!(purpose, Plan | Apply) && component.name == LBC {
            self.add(Namespace, component, "the pod network", ("apps", "daemonsets"), &["aws-node"], &["get"]);
        }
        let account = &[component.service_account][..];
        if component.service_account_maker == ServiceAccountMaker::Us {
            let reason = format!("the service account of {}", component.name);
            let own = match purpose {
                Plan | Verify => &["get"][..],
                Apply | Migrate => &["get", "patch"][..],
                Destroy => &["delete", "get", "patch"][..],
            };
            self.add(Namespace, component, &reason, ("", "serviceaccounts"), account, own);
            if purpose == Apply {
                self.add(Namespace, component, &reason, ("", "serviceaccounts"), &[], &["create"]);
            }
        }
        if matches!(purpose, Apply | Verify) && component.has_role() {
            let reason = "the proof that a service account gets its role";
            self.add(Namespace, component, reason, ("", "serviceaccounts/token"), account, &["create"]);
        }
        if !contents.crds.is_empty() {
            let names = &words(&contents.crds)[..];
            let reason = format!("the CRDs of the chart {}", component.name);
            let own = if purpose == Apply { &["get", "patch"][..] } else { &["get"][..] };
            self.add(Cluster, component, &reason, (CRDS, "customresourcedefinitions"), names, own);
            if purpose == Apply {
                self.add(Cluster, component, &reason, (CRDS, "customresourcedefinitions"), &[], &["create"]);
            }
        }
    }

    fn add(
        &mut self,
        place: Place,
        component: &Component,
        reason: &str,
        kind: (&str, &str),
        names: &[&str],
        verbs: &[&str],
    ) {
        self.add_in(place, component.namespace, reason, kind, names, verbs);
    }

    fn add_in(
        &mut self,
        place: Place,
        namespace: &str,
        reason: &str,
        (group, resource): (&str, &str),
        names: &[&str],
        verbs: &[&str],
    ) {
        if verbs.is_empty() {
            return;
        }
        let list = match place {
            Namespace => self.namespaced.entry(namespace.to_owned()).or_default(),
            Cluster => &mut self.cluster,
        };
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let rule = Rule {
            reason: reason.to_owned(),
            group: group.to_owned(),
            resources: texts(&[resource]),
            urls: Vec::new(),
            names: texts(names),
            verbs: texts(verbs),
        };
        if !list.contains(&rule) {
            list.push(rule);
        }
    }
}

/// Verbs on the objects by name, on all of their kind, and for helm's wait.
fn of_objects(
    purpose: Purpose,
    made: Made,
) -> (&'static [&'static str], &'static [&'static str], &'static [&'static str]) {
    let making: (&[&str], &[&str], &[&str]) = (&["delete", "get", "patch", "update"], &["create"], &["list", "watch"]);
    let nothing: (&[&str], &[&str], &[&str]) = (&[], &[], &[]);
    match (purpose, made) {
        (Plan | Verify, Made::WithRelease) => (&["get"], &[], &[]),
        // A first installation that failed is uninstalled before the next one, so its hooks of removal run as well.
        (Apply | Migrate, Made::WithRelease | Made::ByHook | Made::ByHookOfRemoval)
        | (Destroy, Made::ByHookOfRemoval) => making,
        // Helm leaves what hooks made.
        (Destroy, Made::ByHook | Made::ByTest) => (&["delete", "get"], &[], &[]),
        (Destroy, Made::WithRelease) => (&["delete", "get"], &[], &["list", "watch"]),
        (Plan | Verify, _) | (Apply | Migrate, Made::ByTest) => nothing,
    }
}

fn words(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Without what another rule grants already; then kinds with equal rights share a rule. Names of one kind must not spread to
/// another, so rules with names stay alone.
fn shortened(rules: &[Rule]) -> Vec<Rule> {
    let mut short: Vec<Rule> = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let mut rule = rule.clone();
        for (other_place, other) in rules.iter().enumerate() {
            let wider = if other.names == rule.names { other_place < place } else { other.names.is_empty() };
            if other_place != place && wider && other.group == rule.group && other.resources == rule.resources {
                rule.verbs.retain(|verb| !other.verbs.contains(verb));
            }
        }
        if rule.verbs.is_empty() {
            continue;
        }
        let same = short.iter_mut().find(|earlier| {
            let alike = earlier.reason == rule.reason && earlier.group == rule.group && earlier.verbs == rule.verbs;
            alike && earlier.names.is_empty() && rule.names.is_empty()
        });
        match same {
            Some(earlier) => earlier.resources.extend(rule.resources),
            None => short.push(rule),
        }
    }
    // Rules with one reason stand together, in the order in which reasons came up.
    let reasons: Vec<String> = short.iter().map(|rule| rule.reason.clone()).collect();
    short.sort_by_key(|rule| reasons.iter().position(|reason| *reason == rule.reason));
    short
}

#[cfg(test)]
mod tests;
