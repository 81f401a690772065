//! Clusters in which no EC2 node takes the pods now: Fargate runs them, nodes come when pods need them, or a node group only has to be
//! scaled. It is an error only where nothing is known that could bring nodes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{FARGATE, NODES};
use crate::check::{Finding, Scene};
use crate::component::{Component, EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};
use crate::config::{Config, Identity};
use crate::context::Facts;
use crate::error::Error;
use crate::object::{some_of, text};
use crate::read::eks::{FargateProfile, NodeGroup};

/// Whether Fargate made the node for one pod of its own.
/// <https://docs.aws.amazon.com/eks/latest/userguide/fargate.html>
pub(super) fn is_fargate(node: &Value) -> bool {
    let compute = node["metadata"]["labels"].get("eks.amazonaws.com/compute-type");
    compute.is_some_and(|compute| compute == "fargate") || text(node, "/spec/providerID").contains("/fargate-")
}

/// What could bring nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Supply {
    auto_mode: bool,
    /// Whether Karpenter has pools to make nodes of.
    karpenter: bool,
    groups: Vec<NodeGroup>,
    profiles: Vec<FargateProfile>,
    /// Fargate nodes that are there already.
    fargate_nodes: usize,
    /// Why a part of it is not known.
    unread: Option<String>,
}

/// Reads it; what may not be read is said where it would have mattered.
pub(super) async fn read(scene: &Scene<'_>, fargate_nodes: usize) -> Supply {
    let (cx, cluster) = (scene.cx, &scene.cx.facts.cluster);
    let (groups, profiles, new, old) = futures::join!(
        cx.eks.node_groups(cluster),
        cx.eks.fargate_profiles(cluster),
        cx.kube.list("karpenter.sh/v1", "NodePool", "", ""),
        cx.kube.list("karpenter.sh/v1beta1", "NodePool", "", ""),
    );
    let refused = [groups.as_ref().err(), profiles.as_ref().err(), new.as_ref().err(), old.as_ref().err()];
    let unread = refused.into_iter().flatten().next().map(Error::to_string);
    Supply {
        auto_mode: cx.facts.auto_mode,
        unread,
        karpenter: [new, old].into_iter().flatten().any(|pools| !pools.is_empty()),
        groups: groups.unwrap_or_default(),
        profiles: profiles.unwrap_or_default(),
        fargate_nodes,
    }
}

impl Supply {
    /// The finding about nodes, where `found` says that none takes the pods; `nodes` are those on EC2.
    pub(super) fn judge(&self, found: Finding, nodes: usize, components: &[Component], facts: &Facts) -> Finding {
        let placed: Vec<_> = components.iter().filter(|component| self.places(component)).map(|it| it.name).collect();
        if !components.is_empty() && placed.len() == components.len() {
            return NODES.passed(format!("Fargate profiles select the pods of {}", some_of(&placed)));
        }
        if nodes > 0 {
            return self.beside_others(found);
        }
        let later = |who: &str| NODES.passed(format!("no nodes yet: {who} adds them when pods need them"));
        if self.auto_mode {
            return later("EKS Auto Mode");
        }
        if self.karpenter && self.fargate_nodes > 0 {
            return later("Karpenter");
        }
        let group = self.groups.iter().max_by_key(|group| (group.desired, group.most)).filter(|group| group.most > 0);
        let expected = "at least one node that is ready";
        match group {
            Some(group) if group.desired > 0 => {
                let says = format!("no nodes yet: node group {} is to have {}", group.name, group.desired);
                NODES.failed(says, "no nodes", expected, "kubectl get nodes --watch").as_warning()
            }
            Some(group) => {
                let says = format!("no nodes: node group {} is scaled to zero", group.name);
                let desired = group.most.min(2);
                let mend = format!(
                    "aws eks update-nodegroup-config --cluster-name {} --nodegroup-name {} --scaling-config \
                     minSize=1,desiredSize={desired} --region {}",
                    facts.cluster, group.name, facts.region
                );
                NODES.failed(says, "desired size 0", expected, mend).as_warning()
            }
            None if self.karpenter => NODES
                .failed(
                    "no nodes: Karpenter adds them, and needs one to run on itself",
                    "no nodes",
                    expected,
                    "run Karpenter on Fargate or in a managed node group of two nodes",
                )
                .as_warning(),
            None => self.without(found),
        }
    }

    /// There are nodes, and none of them takes the pods.
    fn beside_others(&self, mut found: Finding) -> Finding {
        let who = match (self.auto_mode, self.karpenter) {
            (true, _) => "EKS Auto Mode",
            (false, true) => "Karpenter",
            (false, false) => return self.without(found),
        };
        found.says = format!("{}; {who} may add one that does", found.says);
        found.as_warning()
    }

    /// Nothing is known that could bring nodes.
    fn without(&self, mut found: Finding) -> Finding {
        if let Some(why) = &self.unread {
            found.says = format!("{}, and what could add some is not known ({why})", found.says);
        }
        found
    }

    /// Whether a profile gives the component's pods Fargate nodes.
    fn places(&self, component: &Component) -> bool {
        let labels = [("app.kubernetes.io/name", component.chart), ("app.kubernetes.io/instance", component.name)];
        let labels = BTreeMap::from(labels);
        let fits = |(namespace, wanted): &(String, BTreeMap<String, String>)| {
            let has = |(key, value): (&String, &String)| {
                labels.iter().any(|(own, text)| matches(key, own) && matches(value, text))
            };
            matches(namespace, component.namespace) && wanted.iter().all(has)
        };
        self.profiles.iter().any(|profile| profile.selectors.iter().any(fits))
    }

    /// What does not work where Fargate alone runs pods.
    pub(super) fn on_fargate(&self, components: &[Component], config: &Config, facts: &Facts) -> Vec<Finding> {
        if self.fargate_nodes == 0 && self.profiles.is_empty() {
            return vec![FARGATE.passed("there are no Fargate profiles")];
        }
        let placed = components.iter().filter(|component| self.places(component));
        let found: Vec<_> = placed.map(|it| of_component(it, config, facts).about(it.short)).collect();
        if found.is_empty() { vec![FARGATE.skipped("no Fargate profile selects the components' pods")] } else { found }
    }
}

fn of_component(component: &Component, config: &Config, facts: &Facts) -> Finding {
    let disable = format!("add EC2 nodes for pods with volumes, or pass --disable {}", component.name);
    if component.name == EBS_CSI_DRIVER.name {
        return FARGATE.failed(
            "Fargate runs no DaemonSets: the driver's controller works there, and no pod gets a volume",
            "Fargate nodes only",
            "EC2 nodes for pods with EBS volumes",
            disable,
        );
    }
    if component.has_role() && component.identity(config) == Identity::PodIdentity {
        let mend = format!("pass --identity {}=irsa", component.short);
        return FARGATE.failed("the Pod Identity agent does not run on Fargate", "Pod Identity", "IRSA", mend);
    }
    let target = component.chart_values(config, facts)["defaultTargetType"].as_str().unwrap_or("instance").to_owned();
    if component.name == LOAD_BALANCER_CONTROLLER.name && target != "ip" {
        return FARGATE.failed(
            "load balancers with target type instance reach no pod on Fargate; region and VPC are set",
            format!("defaultTargetType: {target}"),
            "target type ip",
            "set `values: {defaultTargetType: ip}`, or annotate Services and Ingresses with target-type ip",
        );
    }
    FARGATE.passed("its pods work on Fargate")
}

/// `*` stands for any text and `?` for one character.
/// <https://docs.aws.amazon.com/eks/latest/userguide/fargate-profile.html#fargate-profile-wildcards>
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let ends = text.char_indices().map(|(place, _)| place).chain([text.len()]);
            ends.into_iter().any(|place| matches(rest.as_str(), &text[place..]))
        }
        Some(first) => {
            let mut others = text.chars();
            others.next().is_some_and(|other| first == '?' || first == other) && matches(rest.as_str(), others.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::checks::cluster::nodes;
    use crate::component::BUILT_IN;
    use serde_json::json;

    fn facts() -> Facts {
        crate::context::tests::facts()
    }

    /// What is said of a cluster without nodes, of two components in kube-system.
    fn judged(supply: &Supply) -> Finding {
        supply.judge(nodes::ready(&[], &[]), 0, &BUILT_IN[..2], &facts())
    }

    fn group(desired: i32, most: i32) -> NodeGroup {
        NodeGroup { name: "workers".to_owned(), role: None, desired, most }
    }

    fn profile(namespace: &str, labels: &[(&str, &str)]) -> FargateProfile {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        FargateProfile { name: "fp".to_owned(), selectors: vec![(namespace.to_owned(), labels)] }
    }

    #[test]
    fn no_nodes_is_an_error_only_where_nothing_could_bring_some() {
        let error = Some(Severity::Error);
        assert_eq!(judged(&Supply::default()).severity(), error);
        assert_eq!(judged(&Supply { groups: vec![group(0, 0)], ..Supply::default() }).severity(), error);
        assert_eq!(judged(&Supply { auto_mode: true, ..Supply::default() }).verdict, Verdict::Passed);
        let karpenter = Supply { karpenter: true, ..Supply::default() };
        assert_eq!(judged(&karpenter).severity(), Some(Severity::Warning), "nobody runs it");
        assert_eq!(judged(&Supply { fargate_nodes: 2, ..karpenter }).verdict, Verdict::Passed);
        let unread = judged(&Supply { unread: Some("eks:ListNodegroups: no".to_owned()), ..Supply::default() });
        assert!(unread.severity() == error && unread.says.contains("eks:ListNodegroups"), "{}", unread.says);
    }

    #[test]
    fn a_node_group_that_is_scaled_to_zero_is_named_with_the_command() {
        let found = judged(&Supply { groups: vec![group(0, 3)], ..Supply::default() });
        assert_eq!(found.severity(), Some(Severity::Warning));
        let Verdict::Failed { mend, .. } = found.verdict else { panic!("{}", found.says) };
        assert_eq!(
            mend,
            "aws eks update-nodegroup-config --cluster-name demo --nodegroup-name workers --scaling-config \
             minSize=1,desiredSize=2 --region eu-west-1"
        );
        let coming = judged(&Supply { groups: vec![group(0, 9), group(2, 2)], ..Supply::default() });
        assert!(coming.says.contains("is to have 2"), "{}", coming.says);
    }

    #[test]
    fn nodes_that_do_not_take_the_pods_may_get_company() {
        let shut = || NODES.failed("every node is tainted", "x", "y", "z");
        let judge = |supply: &Supply| supply.judge(shut(), 3, &BUILT_IN[..2], &facts()).severity();
        assert_eq!(judge(&Supply::default()), Some(Severity::Error));
        assert_eq!(judge(&Supply { groups: vec![group(3, 9)], ..Supply::default() }), Some(Severity::Error));
        assert_eq!(judge(&Supply { karpenter: true, ..Supply::default() }), Some(Severity::Warning));
    }

    #[test]
    fn fargate_runs_what_its_profiles_select() {
        let with = |profile: FargateProfile| Supply { profiles: vec![profile], ..Supply::default() };
        assert_eq!(judged(&with(profile("kube-*", &[]))).verdict, Verdict::Passed);
        assert_eq!(judged(&with(profile("default", &[]))).severity(), Some(Severity::Error));
        let coredns = profile("kube-system", &[("k8s-app", "kube-dns")]);
        assert_eq!(judged(&with(coredns)).severity(), Some(Severity::Error));
        let one = with(profile("kube-system", &[("app.kubernetes.io/name", "aws-load-balancer-*")]));
        assert!(one.places(&BUILT_IN[0]) && !one.places(&BUILT_IN[1]));
        for (pattern, text, fits) in
            [("*", "", true), ("a?c", "abc", true), ("a?c", "ac", false), ("*-b", "a-b", true), ("é*", "éa", true)]
        {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn fargate_nodes_are_told_apart() {
        assert!(is_fargate(&json!({"metadata": {"labels": {"eks.amazonaws.com/compute-type": "fargate"}}})));
        assert!(is_fargate(&json!({"spec": {"providerID": "aws:///eu-west-1a/0b4b/fargate-ip-10-0-0-1"}})));
        assert!(!is_fargate(&json!({"metadata": {"labels": {}}, "spec": {"providerID": "aws:///eu-west-1a/i-1"}})));
    }
}
