//! The commands of mends about workloads, for a machine without kubectl and the aws CLI: each is read here and its effect
//! made by the same API. Writes of EC2 and the load balancers' API are not simulated; of them only the effect that `verify`
//! can see is made, which each says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scenarios::path;
use crate::support::Lab;

/// The kinds of the Gateway API that its standard release brings, as far as anyone here looks.
pub(super) const GATEWAY_KINDS: [&str; 5] = ["GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"];

/// Runs a kubectl command; false where it is not known here.
pub(super) async fn kubectl(lab: &Lab, words: &[&str]) -> bool {
    match words {
        ["scale", target, "-n", namespace, replicas] => {
            let (kind, name) = target.split_once('/').unwrap();
            let count: u32 = replicas.strip_prefix("--replicas=").unwrap().parse().unwrap();
            lab.patch(&path(kind, Some(namespace), name), &json!({"spec": {"replicas": count}})).await;
        }
        ["patch", kind, name, "-n", namespace, "--type=json", patch] => {
            let patch = patch.strip_prefix("-p='").and_then(|patch| patch.strip_suffix('\'')).unwrap();
            lab.patch_json(&path(kind, Some(namespace), name), &serde_json::from_str(patch).unwrap()).await;
        }
        ["apply", "--server-side", "-f", url] => {
            let version = url
                .strip_prefix("https://github.com/kubernetes-sigs/gateway-api/releases/download/")
                .and_then(|rest| rest.strip_suffix("/standard-install.yaml"))
                .unwrap();
            // In place of the release's file, which no test can fetch: the names and the version are what is looked at.
            for kind in GATEWAY_KINDS {
                gateway_crd(lab, kind, version).await;
            }
        }
        _ => return false,
    }
    true
}

/// Makes a CRD of the Gateway API, or moves it to a version.
pub(super) async fn gateway_crd(lab: &Lab, kind: &str, version: &str) {
    let singular = kind.to_lowercase();
    let plural = if singular.ends_with('s') { format!("{singular}es") } else { format!("{singular}s") };
    let name = format!("{plural}.gateway.networking.k8s.io");
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {
            "gateway.networking.k8s.io/bundle-version": version,
            "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466",
        }},
        "spec": {
            "group": "gateway.networking.k8s.io",
            "names": {"kind": kind, "plural": plural, "singular": singular, "listKind": format!("{kind}List")},
            "scope": if kind == "GatewayClass" { "Cluster" } else { "Namespaced" },
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    lab.apply(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"), &object).await;
}

/// Runs a command of the aws CLI; false where it is not known here.
pub(super) async fn aws(lab: &Lab, service: &str, operation: &str, words: &[&str]) -> bool {
    let flag = |name: &str| {
        let place = words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("no {name} in {words:?}"));
        words[place + 1].trim_matches('\'')
    };
    let values = |name: &str| {
        let place = words.iter().position(|word| *word == name).unwrap();
        words[place + 1..].iter().take_while(|word| !word.starts_with("--")).copied().collect::<Vec<_>>()
    };
    let simulator = &lab.sandbox.simulator;
    match (service, operation) {
        ("iam", "put-role-policy") => {
            let call = lab.iam().await.put_role_policy().role_name(flag("--role-name"));
            let call = call.policy_name(flag("--policy-name")).policy_document(flag("--policy-document"));
            call.send().await.map(drop).unwrap();
        }
        ("ec2", "create-tags") => {
            for id in values("--resources") {
                let (arn, mut tags) = resource(lab, id);
                for pair in values("--tags") {
                    let (key, value) = pair.strip_prefix("Key=").unwrap().split_once(",Value=").unwrap();
                    tags.insert(key.to_owned(), value.to_owned());
                }
                simulator.put_resource(&arn, &tags);
            }
        }
        // And what the rule does: the way to the port is open.
        ("ec2", "authorize-security-group-ingress") => {
            assert_eq!((flag("--protocol"), flag("--region")), ("tcp", "eu-west-1"));
            let port = flag("--port").parse().unwrap();
            assert!(simulator.authorize_ingress(flag("--group-id"), port, flag("--source-group")), "{words:?}");
            if port == 9443 {
                lab.sandbox.plane.close_webhook_port(false);
            }
        }
        // What the endpoint does: at their next start the containers reach the service.
        ("ec2", "create-vpc-endpoint") => {
            assert_eq!(flag("--vpc-id"), "vpc-0a1b2c3d4e5f60718");
            for id in values("--subnet-ids") {
                resource(lab, id);
            }
            start_again(lab).await;
        }
        ("elbv2", "delete-load-balancer") => simulator.remove_resource(flag("--load-balancer-arn")),
        _ => return false,
    }
    true
}

/// A tagged resource by its id; one that does not exist fails the test.
fn resource(lab: &Lab, id: &str) -> (String, BTreeMap<String, String>) {
    let all = lab.sandbox.simulator.tagged_resources();
    let found = all.into_iter().find(|(arn, _)| arn.ends_with(&format!("/{id}")));
    found.unwrap_or_else(|| panic!("{id} does not exist"))
}

/// Replaces the pods that do not run, as a kubelet would start their containers again.
async fn start_again(lab: &Lab) {
    let pods = lab.reader().await.list("v1", "Pod", "kube-system", "").await.unwrap();
    for pod in pods.iter().filter(|pod| !is_ready(pod)) {
        lab.delete(&path("pod", Some("kube-system"), pod["metadata"]["name"].as_str().unwrap())).await;
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
