//! NetworkPolicies that stand between the control plane and the pods of a webhook. Which port those pods listen on is read
//! from the workload; who the control plane is cannot be said in a policy but by addresses, so a rule that names pods or
//! namespaces does not let it in.

use serde_json::{Value, json};

use crate::check::Scene;
use crate::checks::network::has_list;
use crate::checks::workload;
use crate::component::Component;
use crate::error::Result;
use crate::object::{items, name, text};

/// The name of the webhook's port in the chart, and its number.
const PORT: (&str, i64) = ("webhook-server", 9443);

/// A policy that lets the control plane not through.
pub(in crate::checks) struct Blocking {
    /// Its name.
    pub(in crate::checks) name: String,
    /// The command that opens the port in it.
    pub(in crate::checks) mend: String,
}

/// The policies that select the component's pods, where none of them admits the control plane to the webhook's port.
///
/// # Errors
/// A read that failed.
pub(in crate::checks) async fn blocking(scene: &Scene<'_>, component: &Component) -> Result<Vec<Blocking>> {
    let kube = &scene.cx.kube;
    let Some(reference) = workload::workloads(component).into_iter().next() else { return Ok(Vec::new()) };
    let (workload, policies) = futures::try_join!(
        kube.get(&reference),
        kube.list("networking.k8s.io/v1", "NetworkPolicy", component.namespace, ""),
    )?;
    let Some(workload) = workload else { return Ok(Vec::new()) };
    let host_network = workload.pointer("/spec/template/spec/hostNetwork") == Some(&Value::Bool(true));
    if host_network {
        // Policies do not concern pods on the node's network.
        return Ok(Vec::new());
    }
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let found = closed(&policies, labels, PORT);
    Ok(found
        .into_iter()
        .map(|policy| Blocking { name: name(policy).to_owned(), mend: open(policy, component) })
        .collect())
}

/// The policies that select pods with these labels and restrict what comes in; none where one of them opens the port.
fn closed<'a>(policies: &'a [Value], labels: &Value, port: (&str, i64)) -> Vec<&'a Value> {
    let selecting: Vec<_> =
        policies.iter().filter(|policy| restricts(policy) && selects(&policy["spec"]["podSelector"], labels)).collect();
    let open = selecting.iter().any(|policy| items(policy, "/spec/ingress").any(|rule| admits(rule, port)));
    if open { Vec::new() } else { selecting }
}

fn restricts(policy: &Value) -> bool {
    // Without the list, a policy concerns what comes in.
    !has_list(policy, "/spec/policyTypes") || items(policy, "/spec/policyTypes").any(|kind| kind == "Ingress")
}

/// A label selector, as Kubernetes evaluates it.
fn selects(selector: &Value, labels: &Value) -> bool {
    let exact = selector["matchLabels"].as_object();
    let exact = exact.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    exact
        && items(selector, "/matchExpressions").all(|expression| {
            let label = labels.get(text(expression, "/key"));
            let among = || items(expression, "/values").any(|value| Some(value) == label);
            match text(expression, "/operator") {
                "In" => among(),
                "NotIn" => !among(),
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                _ => false,
            }
        })
}

fn admits(rule: &Value, (port_name, port_number): (&str, i64)) -> bool {
    let by_address = !has_list(rule, "/from") || items(rule, "/from").any(|peer| peer.get("ipBlock").is_some());
    let by_port = !has_list(rule, "/ports")
        || items(rule, "/ports").any(|port| {
            let end = port["endPort"].as_i64();
            match &port["port"] {
                Value::Null => true,
                Value::String(name) => name == port_name,
                number => number.as_i64().is_some_and(|from| {
                    from == port_number || end.is_some_and(|end| (from..=end).contains(&port_number))
                }),
            }
        });
    by_address && by_port
}

/// A patch that adds a rule, so that whatever else the policy says stays.
fn open(policy: &Value, component: &Component) -> String {
    let rule = json!({"ports": [{"protocol": "TCP", "port": PORT.1}]});
    let operation = if has_list(policy, "/spec/ingress") {
        json!([{"op": "add", "path": "/spec/ingress/-", "value": rule}])
    } else {
        json!([{"op": "add", "path": "/spec/ingress", "value": [rule]}])
    };
    format!("kubectl patch networkpolicy {} -n {} --type=json -p='{operation}'", name(policy), component.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(spec: &Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": spec})
    }

    fn is_closed(spec: &Value) -> bool {
        let labels = json!({"app.kubernetes.io/name": "aws-load-balancer-controller", "tier": "x"});
        !closed(&[policy(spec)], &labels, PORT).is_empty()
    }

    #[test]
    fn what_a_policy_admits() {
        assert!(is_closed(&json!({"podSelector": {}})), "deny all");
        assert!(
            is_closed(&json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [
            {"from": [{"podSelector": {}}]}]})),
            "pods only"
        );
        assert!(is_closed(&json!({"podSelector": {}, "ingress": [{"ports": [{"port": 8080}]}]})), "another port");
        assert!(!is_closed(&json!({"podSelector": {}, "ingress": [{}]})), "allow all");
        assert!(!is_closed(&json!({"podSelector": {}, "ingress": [{"ports": [{"port": "webhook-server"}]}]})));
        assert!(!is_closed(&json!({"podSelector": {}, "ingress": [
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 9000, "endPort": 9999}]}]})));
        assert!(!is_closed(&json!({"podSelector": {}, "policyTypes": ["Egress"]})), "what goes out");
    }

    #[test]
    fn whom_a_policy_selects() {
        let labels = json!({"app": "a"});
        let selects = |selector: &Value| selects(selector, &labels);
        assert!(selects(&json!({})) && selects(&json!({"matchLabels": {"app": "a"}})));
        assert!(!selects(&json!({"matchLabels": {"app": "b"}})));
        let expression = |operator: &str, values: &[&str]| {
            selects(&json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}))
        };
        assert!(expression("In", &["a"]) && !expression("NotIn", &["a"]) && expression("Exists", &[]));
        assert!(!expression("DoesNotExist", &[]) && !expression("In", &["b"]));
    }
}
