//! What is said about ports of nodes, over groups of a small world.

use serde_json::json;

use super::ports::LISTENERS;
use super::*;
use crate::check::{Severity, Verdict};
use crate::read::ec2::Rule;

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn facts() -> Facts {
    Facts {
        security_group: "sg-cluster".to_owned(),
        security_groups: vec!["sg-extra".to_owned()],
        ..crate::context::tests::facts()
    }
}

fn from(group: &str, port: i64) -> Rule {
    Rule {
        protocol: "tcp".to_owned(),
        from: Some(port),
        to: Some(port),
        groups: vec![group.to_owned()],
        ..Rule::default()
    }
}

fn node(name: &str, groups: &[&str], others: &[&[&str]]) -> Node {
    Node {
        name: name.to_owned(),
        labels: json!({"kubernetes.io/os": "linux"}),
        address: Network::parse("10.0.0.7"),
        kubelet: KUBELET,
        interfaces: Interfaces { primary: set(groups), others: others.iter().map(|groups| set(groups)).collect() },
    }
}

/// Nodes of a group that admits the kubelet's port only, beside the cluster's own group, which admits itself.
fn seen(nodes: Vec<Node>) -> Seen {
    let everywhere = Rule { protocol: "-1".to_owned(), ranges: vec!["0.0.0.0/0".to_owned()], ..Rule::default() };
    let group = |ingress: Vec<Rule>| Group { ingress, egress: vec![everywhere.clone()] };
    let rules = BTreeMap::from([
        ("sg-cluster".to_owned(), group(vec![Rule { protocol: "-1".to_owned(), ..from("sg-cluster", 0) }])),
        ("sg-extra".to_owned(), group(Vec::new())),
        ("sg-nodes".to_owned(), group(vec![from("sg-extra", 10250)])),
        ("sg-pods".to_owned(), group(vec![from("sg-cluster", 9443)])),
    ]);
    let plane = End { groups: facts().control_plane_groups(), networks: Vec::new() };
    Seen { total: nodes.len(), nodes, plane, rules }
}

fn webhook() -> Port {
    Port::of("lbc", &LISTENERS[0], &json!({"nodeSelector": {"kubernetes.io/os": "linux"}}), None)
}

fn kubelet() -> Port {
    Port { about: "kubelet", what: "the kubelet", number: None, on_node: true, selector: Value::Null }
}

fn mend(finding: &Finding) -> &str {
    match &finding.verdict {
        Verdict::Failed { mend, .. } => mend,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_rule_that_is_missing_is_named_as_a_command() {
    let seen = seen(vec![node("a", &["sg-cluster"], &[]), node("b", &["sg-nodes"], &[&["sg-nodes"]])]);
    let found = judge(&webhook(), &seen, &facts());
    assert_eq!(found.severity(), Some(Severity::Error));
    assert!(
        found.says.contains("port 9443 of the webhook") && found.says.ends_with("on 1 of 2 nodes"),
        "{}",
        found.says
    );
    assert_eq!(
        mend(&found),
        "aws ec2 authorize-security-group-ingress --group-id sg-nodes --protocol tcp --port 9443 --source-group sg-cluster \
         --region eu-west-1"
    );
    // A rule for any of the control plane's groups will do.
    assert_eq!(judge(&kubelet(), &seen, &facts()).verdict, Verdict::Passed);
}

#[test]
fn what_leaves_the_control_plane_counts_too() {
    let mut seen = seen(vec![node("b", &["sg-nodes"], &[])]);
    for group in ["sg-cluster", "sg-extra"] {
        seen.rules.get_mut(group).unwrap().egress.clear();
    }
    assert_eq!(
        mend(&judge(&kubelet(), &seen, &facts())),
        "aws ec2 authorize-security-group-egress --group-id sg-cluster --ip-permissions \
         IpProtocol=tcp,FromPort=10250,ToPort=10250,UserIdGroupPairs=[{GroupId=sg-nodes}] --region eu-west-1"
    );
    let both = judge(&webhook(), &seen, &facts());
    assert_eq!(mend(&both).matches(" && ").count(), 1, "{}", mend(&both));
}

#[test]
fn pods_of_custom_networking_have_groups_of_their_own() {
    let open = seen(vec![node("c", &["sg-nodes"], &[&["sg-pods"]])]);
    assert_eq!(judge(&webhook(), &open, &facts()).verdict, Verdict::Passed);
    let on_node = Port { on_node: true, ..webhook() };
    assert_eq!(judge(&on_node, &open, &facts()).severity(), Some(Severity::Error), "the node's own network");
    let shut = seen(vec![node("d", &["sg-pods"], &[&["sg-nodes"]])]);
    assert!(mend(&judge(&webhook(), &shut, &facts())).contains("--group-id sg-nodes "));
}

#[test]
fn only_nodes_that_take_the_pods_count() {
    let windows = Node { labels: json!({"kubernetes.io/os": "windows"}), ..node("w", &["sg-nodes"], &[]) };
    let mixed = seen(vec![node("a", &["sg-cluster"], &[]), windows.clone()]);
    let found = judge(&webhook(), &mixed, &facts());
    assert!(found.verdict == Verdict::Passed && found.says.ends_with("on 1 nodes"), "{}", found.says);
    let found = judge(&webhook(), &seen(vec![windows]), &facts());
    assert!(matches!(found.verdict, Verdict::Skipped { .. }), "{found:?}");
}

#[test]
fn what_is_not_known_is_a_warning_and_a_large_cluster_says_what_was_looked_at() {
    let mut seen = seen(vec![node("b", &["sg-nodes"], &[])]);
    seen.total = 5000;
    let list = Rule { groups: Vec::new(), prefix_lists: vec!["pl-1".to_owned()], ..from("", 9443) };
    seen.rules.get_mut("sg-nodes").unwrap().ingress.push(list);
    let found = judge(&webhook(), &seen, &facts());
    assert_eq!(found.severity(), Some(Severity::Warning));
    assert!(found.says.contains("prefix list pl-1"), "{}", found.says);
    assert!(mend(&found).starts_with("aws ec2 describe-security-group-rules --filters Name=group-id,Values=sg-nodes "));
    assert!(judge(&kubelet(), &seen, &facts()).says.ends_with("on 1 nodes (of 5000 in all)"));
}

#[test]
fn ports_come_from_what_runs_then_from_the_values_then_from_the_chart() {
    let of = |listener: usize, values: Value, running: Option<Value>| {
        let port = Port::of("x", &LISTENERS[listener], &values, running.as_ref());
        (port.number, port.on_node)
    };
    assert_eq!(of(0, json!({}), None), (Some(9443), false));
    assert_eq!(of(0, json!({"webhookBindPort": null, "hostNetwork": true}), None), (Some(9443), true));
    assert_eq!(of(0, json!({"webhookBindPort": 8443}), None), (Some(8443), false));
    assert_eq!(of(1, json!({"containerPort": 4443, "hostNetwork": {"enabled": true}}), None), (Some(4443), true));
    // As the community add-on of EKS has it.
    let addon = json!({"spec": {"template": {"spec": {"containers": [
        {"ports": [{"name": "metrics", "containerPort": 1}]}, {"ports": [{"name": "https", "containerPort": 10251}]}]}}}});
    assert_eq!(of(1, json!({"hostNetwork": {"enabled": true}}), Some(addon)), (Some(10251), false));
}

#[test]
fn instances_are_known_by_the_provider_id() {
    for (id, instance) in [
        ("aws:///eu-west-1a/i-0a1b", Some("i-0a1b")),
        ("aws:///eu-west-1a/0b4b6e9a2f-4d5c/fargate-ip-192-168-1-1.eu-west-1.compute.internal", None),
        ("eks-hybrid:///eu-west-1/demo/mi-0a1b", None),
        ("kind://docker/kind/i-0a1b", None),
        ("", None),
    ] {
        assert_eq!(super::instance(&json!({"spec": {"providerID": id}})), instance, "{id}");
    }
    let port = json!({"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 10260}},
        "addresses": [{"type": "Hostname", "address": "x"}, {"type": "InternalIP", "address": "2001:db8::1"}]}});
    let node = Node::of(&port, Interfaces::default());
    assert_eq!((node.kubelet, node.address), (10260, Network::parse("2001:db8::1")));
    let unset = json!({"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}});
    assert_eq!(Node::of(&unset, Interfaces::default()).kubelet, KUBELET);
}
