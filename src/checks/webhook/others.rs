//! Webhooks of other tools that fail closed, do not answer, and would be asked about what is installed here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::check::{Finding, Scene, Stage};
use crate::checks::components;
use crate::checks::webhook::OTHERS;
use crate::checks::webhook::registration::{GROUP, KINDS};
use crate::component;
use crate::error::Result;
use crate::object::{items, name, some_of, text};
use crate::read::kube::{Few, ObjectRef};

/// Kinds that an installation creates, by group and plural, and whether they live in a namespace. Pods are created by their
/// controllers, and the kinds of admission itself are never asked about.
const CREATED: [(&str, &str, bool); 20] = [
    ("", "configmaps", true),
    ("", "namespaces", false),
    ("", "pods", true),
    ("", "secrets", true),
    ("", "serviceaccounts", true),
    ("", "services", true),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("apiregistration.k8s.io", "apiservices", false),
    ("apps", "daemonsets", true),
    ("apps", "deployments", true),
    ("apps", "replicasets", true),
    ("elbv2.k8s.aws", "ingressclassparams", false),
    ("networking.k8s.io", "ingressclasses", false),
    ("policy", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("rbac.authorization.k8s.io", "roles", true),
    ("storage.k8s.io", "csidrivers", false),
    ("storage.k8s.io", "storageclasses", false),
];

/// One webhook of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Foreign {
    /// The command word of its configuration, and its name.
    configuration: String,
    name: String,
    /// The kinds of ours that it is asked about.
    asked_about: Vec<&'static str>,
    /// Whether it has conditions that cannot be judged here.
    conditional: bool,
}

/// Looks.
pub(super) async fn look(scene: &Scene<'_>) -> Vec<Finding> {
    match of_cluster(scene).await {
        Ok(findings) => findings,
        Err(error) => vec![OTHERS.unread(&error)],
    }
}

async fn of_cluster(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let kube = &scene.cx.kube;
    let mut namespaces = BTreeMap::new();
    for component in components(scene) {
        let reference = ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", component.namespace) };
        // One that is not there yet gets this label from the API server; so does one that may not be read.
        let found = kube.get(&reference).await.ok().flatten();
        let labels = found.map_or(Value::Null, |found| found["metadata"]["labels"].clone());
        namespaces.insert(component.namespace, with_name(labels, component.namespace));
    }
    let labels: Vec<_> = namespaces.into_values().collect();
    let (mutating, validating) =
        futures::try_join!(kube.list(GROUP, KINDS[0], "", ""), kube.list(GROUP, KINDS[1], "", ""))?;
    let mut by_service: BTreeMap<(String, String), Vec<Foreign>> = BTreeMap::new();
    for (kind, configurations) in KINDS.iter().zip([&mutating, &validating]) {
        for configuration in configurations {
            for (service, webhook) in in_the_way(kind, configuration, &labels) {
                by_service.entry(service).or_default().push(webhook);
            }
        }
    }
    let asked = by_service.len();
    let mut findings = Vec::new();
    for ((namespace, service), webhooks) in by_service {
        let label = format!("kubernetes.io/service-name={service}");
        let few = Few {
            api_version: "discovery.k8s.io/v1",
            kind: "EndpointSlice",
            namespace: &namespace,
            labels: &label,
            fields: "",
            most: 100,
        };
        if !kube.few(few).await?.iter().any(has_ready) {
            let finding = unanswered(&format!("{namespace}/{service}"), &namespace, &webhooks);
            findings.push(if scene.stage == Stage::Before { finding } else { finding.as_warning() });
        }
    }
    if findings.is_empty() {
        findings.push(OTHERS.passed(match asked {
            0 => "no webhook of another tool is asked about what is installed".to_owned(),
            _ => "the webhooks of other tools have ready endpoints".to_owned(),
        }));
    }
    Ok(findings)
}

fn with_name(labels: Value, namespace: &str) -> Value {
    let mut labels = if labels.is_object() { labels } else { json!({}) };
    labels["kubernetes.io/metadata.name"] = Value::from(namespace);
    labels
}

/// An endpoint without the condition is ready.
fn has_ready(slice: &Value) -> bool {
    items(slice, "/endpoints").any(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
}

fn unanswered(service: &str, namespace: &str, webhooks: &[Foreign]) -> Finding {
    let mut names: Vec<_> = webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
    names.dedup();
    let mut kinds: Vec<_> = webhooks.iter().flat_map(|webhook| webhook.asked_about.iter().copied()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let configuration = webhooks.first().map(|webhook| webhook.configuration.as_str()).unwrap_or_default();
    let finding = OTHERS.failed(
        format!(
            "{} (not managed by eks-bootstrap) fails closed and does not answer, so {} are refused",
            some_of(&names),
            some_of(&kinds)
        ),
        format!("no ready endpoint behind Service {service}"),
        "ready endpoints, or failurePolicy Ignore",
        format!(
            "kubectl get pods -n {namespace} and start what answers; if the tool is gone, kubectl delete {configuration}"
        ),
    );
    if webhooks.iter().all(|webhook| webhook.conditional) { finding.as_warning() } else { finding }
}

/// The webhooks of a configuration that fail closed, are not ours, and are asked about something that is created in one of
/// the namespaces with these labels; with namespace and name of their Services.
fn in_the_way(kind: &str, configuration: &Value, namespaces: &[Value]) -> Vec<((String, String), Foreign)> {
    let mut found = Vec::new();
    for webhook in items(configuration, "/webhooks") {
        let service = text(webhook, "/clientConfig/service/name");
        let ours = component::BUILT_IN.iter().any(|component| component.webhook_service == Some(service));
        if service.is_empty() || ours || text(webhook, "/failurePolicy") == "Ignore" {
            continue;
        }
        let here = namespaces.iter().any(|labels| selects(&webhook["namespaceSelector"], labels));
        let asked_about = CREATED.iter().filter(|(group, plural, namespaced)| {
            (here || !namespaced) && items(webhook, "/rules").any(|rule| asks(rule, group, plural, *namespaced))
        });
        let asked_about: Vec<_> = asked_about.map(|(_, plural, _)| *plural).collect();
        if asked_about.is_empty() {
            continue;
        }
        let conditional = items(webhook, "/matchConditions").next().is_some() || !is_empty(&webhook["objectSelector"]);
        let foreign = Foreign {
            configuration: format!("{} {}", kind.to_lowercase(), name(configuration)),
            name: text(webhook, "/name").to_owned(),
            asked_about,
            conditional,
        };
        found.push(((text(webhook, "/clientConfig/service/namespace").to_owned(), service.to_owned()), foreign));
    }
    found
}

fn is_empty(selector: &Value) -> bool {
    items(selector, "/matchExpressions").next().is_none()
        && selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty)
}

/// Whether a rule covers the creation or change of a kind.
fn asks(rule: &Value, group: &str, plural: &str, namespaced: bool) -> bool {
    let holds = |list: &str, wanted: &[&str]| {
        items(rule, list).filter_map(Value::as_str).any(|item| item == "*" || wanted.contains(&item))
    };
    let scope = match text(rule, "/scope") {
        "Namespaced" => namespaced,
        "Cluster" => !namespaced,
        _ => true,
    };
    scope
        && holds("/apiGroups", &[group])
        && holds("/resources", &[plural, "*/*"])
        && holds("/operations", &["CREATE", "UPDATE"])
}

/// Whether a label selector selects labels; one that says nothing selects everything.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>
fn selects(selector: &Value, labels: &Value) -> bool {
    let equal =
        selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && items(selector, "/matchExpressions").all(|expression| {
            let value = labels.get(text(expression, "/key"));
            let listed = value.is_some_and(|value| items(expression, "/values").any(|one| one == value));
            match text(expression, "/operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;

    fn configuration(change: impl FnOnce(&mut Value)) -> Value {
        let mut webhook = json!({
            "name": "mutate.kyverno.svc-fail",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "kyverno", "name": "kyverno-svc"}},
            "rules": [{"apiGroups": ["", "apps"], "operations": ["CREATE", "UPDATE"],
                "resources": ["serviceaccounts", "deployments"]}],
        });
        change(&mut webhook);
        json!({"metadata": {"name": "kyverno"}, "webhooks": [webhook]})
    }

    fn found(change: impl FnOnce(&mut Value)) -> Vec<Foreign> {
        let labels = [with_name(Value::Null, "kube-system")];
        let found = in_the_way("MutatingWebhookConfiguration", &configuration(change), &labels);
        found.into_iter().map(|(_, webhook)| webhook).collect()
    }

    /// What a case changes in a webhook.
    type Changed = (&'static str, fn(&mut Value));

    #[test]
    fn only_webhooks_that_refuse_what_is_created_are_in_the_way() {
        assert_eq!(found(|_| {})[0].asked_about, ["serviceaccounts", "deployments"]);
        let not_kube_system = json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn",
            "values": ["kube-system"]}]});
        let none: [Changed; 5] = [
            ("fails open", |webhook| webhook["failurePolicy"] = json!("Ignore")),
            ("at a URL", |webhook| webhook["clientConfig"] = json!({"url": "https://example.com"})),
            ("ours", |webhook| webhook["clientConfig"]["service"]["name"] = json!("aws-load-balancer-webhook-service")),
            ("deletions", |webhook| webhook["rules"][0]["operations"] = json!(["DELETE"])),
            ("other kinds", |webhook| webhook["rules"][0]["resources"] = json!(["pods/exec", "ingresses"])),
        ];
        for (what, change) in none {
            assert!(found(change).is_empty(), "{what}");
        }
        assert!(found(|webhook| webhook["namespaceSelector"] = not_kube_system.clone()).is_empty());
        let wide = found(|webhook| {
            webhook["namespaceSelector"] = not_kube_system;
            webhook["rules"] = json!([{"apiGroups": ["*"], "operations": ["*"], "resources": ["*"]}]);
        });
        assert!(wide[0].asked_about.contains(&"clusterroles") && !wide[0].asked_about.contains(&"pods"), "{wide:?}");
        assert!(found(|webhook| webhook["objectSelector"] = json!({"matchLabels": {"a": "b"}}))[0].conditional);
    }

    #[test]
    fn selectors_select_as_in_kubernetes() {
        let labels = json!({"a": "1"});
        let expression =
            |operator: &str| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": ["1"]}]});
        for (selector, selected) in [
            (json!({}), true),
            (Value::Null, true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "2"}}), false),
            (expression("In"), true),
            (expression("NotIn"), false),
            (expression("Exists"), true),
            (expression("DoesNotExist"), false),
        ] {
            assert_eq!(selects(&selector, &labels), selected, "{selector}");
        }
    }

    #[test]
    fn what_does_not_answer_is_named_with_its_service() {
        let finding = unanswered("kyverno/kyverno-svc", "kyverno", &found(|_| {}));
        assert_eq!(finding.severity(), Some(Severity::Error));
        assert!(finding.says.starts_with("mutate.kyverno.svc-fail (not managed by eks-bootstrap)"), "{}", finding.says);
        let conditional = found(|webhook| webhook["matchConditions"] = json!([{"name": "x", "expression": "true"}]));
        assert_eq!(unanswered("a/b", "a", &conditional).severity(), Some(Severity::Warning));
        assert!(has_ready(&json!({"endpoints": [{"conditions": {}}]})));
        assert!(!has_ready(&json!({"endpoints": [{"conditions": {"ready": false}}]})) && !has_ready(&json!({})));
    }
}
