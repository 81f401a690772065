//! Whether a webhook answers: a Service and an Ingress as server-side dry runs, and what a failure's text means.

use serde_json::{Value, json};

use crate::check::{Check, Finding, Scene};
use crate::checks::load_balancer_controller::class_name;
use crate::checks::network;
use crate::checks::webhook::registration::Registration;
use crate::checks::webhook::{INGRESS, SERVICE, new_certificate};
use crate::component::Component;
use crate::error::{Error, Result};
use crate::read::tagging::Tags;

/// The port on which the controller's pods are asked.
const PORT: u16 = 9443;

/// What the API server's text about a webhook means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A webhook of ours was reached and said no: it answers.
    Denied,
    /// A webhook of someone else said no, so ours may not have been asked.
    DeniedByAnother,
    /// No pod is ready behind the Service, or there is no Service.
    NoEndpoints,
    /// Nothing comes back: a security group or a network policy.
    Silence,
    /// The certificate and the bundle do not fit, or it is for another name, or too old.
    Certificate,
    /// Something else.
    Other,
}

/// Reads the API server's text; `ours` are the names of the webhooks.
fn classify(text: &str, ours: &[&str]) -> Trouble {
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if says(&["denied the request"]) {
        let by_us = ours.iter().any(|name| text.contains(&format!("\"{name}\"")));
        return if by_us { Trouble::Denied } else { Trouble::DeniedByAnother };
    }
    if says(&["x509:", "tls: "]) {
        return Trouble::Certificate;
    }
    if says(&["no endpoints available for service", "no ready pod behind Service"])
        || (says(&["service \""]) && says(&["not found"]))
    {
        return Trouble::NoEndpoints;
    }
    if says(&["context deadline exceeded", "i/o timeout", "Client.Timeout", "no route to host", "failed to do request"])
    {
        return Trouble::Silence;
    }
    Trouble::Other
}

fn service(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "eks-bootstrap-webhook-check", "namespace": namespace},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "eks-bootstrap-webhook-check"}},
    })
}

fn ingress(namespace: &str, class: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "eks-bootstrap-webhook-check", "namespace": namespace},
        "spec": {
            "ingressClassName": class,
            "defaultBackend": {"service": {"name": "eks-bootstrap-webhook-check", "port": {"number": 80}}},
        },
    })
}

/// The findings about both.
pub(super) async fn look(scene: &Scene<'_>, component: &Component, registration: &Registration) -> Vec<Finding> {
    let namespace = component.namespace;
    let class = class_name(scene, component);
    let (service, ingress) = futures::join!(
        ask(SERVICE, "services", service(namespace), scene, component, registration),
        ask(INGRESS, "ingresses", ingress(namespace, &class), scene, component, registration),
    );
    vec![service, ingress]
}

async fn ask(
    check: &'static Check,
    resource: &str,
    object: Value,
    scene: &Scene<'_>,
    component: &Component,
    registration: &Registration,
) -> Finding {
    if !registration.asks_about(resource) {
        return check.skipped(format!("no webhook of the controller is asked about {resource}"));
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let Err(error) = scene.cx.kube.dry_run_create(&object).await else {
        return check.passed(format!("a dry-run {kind} passed through the webhook"));
    };
    let text = match &error {
        Error::Kube(kube) if !kube.denied() || kube.message.contains("webhook") => kube.message.clone(),
        other => return check.unread(other),
    };
    let ours: Vec<_> = registration.webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
    let expected = format!("the dry-run {kind} passes");
    let failed = |says: String, mend: String| check.failed(says, text.clone(), expected.clone(), mend);
    match classify(&text, &ours) {
        Trouble::Denied => check.passed(format!("the webhook answers, and refuses the dry-run {kind}: {text}")),
        Trouble::DeniedByAnother => check.unread(&error),
        Trouble::NoEndpoints => {
            failed(format!("no {kind} can be created: nobody answers the webhook"), registration.endpoints_mend.clone())
        }
        Trouble::Certificate => {
            let secret = registration.secret().unwrap_or("aws-load-balancer-tls");
            failed(
                format!("no {kind} can be created: the webhook's certificate is not trusted"),
                new_certificate(secret, component),
            )
        }
        Trouble::Silence => match way_to_pods(scene, component).await {
            Ok(mend) => failed(format!("no {kind} can be created: the control plane does not reach port {PORT}"), mend),
            Err(error) => check.unread(&error),
        },
        Trouble::Other => failed(
            format!("no {kind} can be created: the webhook fails"),
            format!(
                "kubectl logs deployment/{} -n {}",
                component.deployment().unwrap_or(component.name),
                component.namespace
            ),
        ),
    }
}

/// The command that opens the way from the control plane to the pods: in the policy that closes it, else in the nodes'
/// security group.
async fn way_to_pods(scene: &Scene<'_>, component: &Component) -> Result<String> {
    if let Some(policy) = network::blocking(scene, component).await?.into_iter().next() {
        return Ok(policy.mend);
    }
    // Who may not read the rules still gets the command for the group that is most likely the nodes'.
    if let Ok(Some(mend)) = Box::pin(network::opening(scene, component)).await {
        return Ok(mend);
    }
    let facts = &scene.cx.facts;
    let groups = scene.cx.tagging.all("ec2:security-group").await?;
    let source = &facts.security_group;
    let target = group_of_nodes(&groups, &facts.cluster, source);
    Ok(format!(
        "aws ec2 authorize-security-group-ingress --group-id {target} --protocol tcp --port {PORT} --source-group {source} \
         --region {}",
        facts.region
    ))
}

/// The security group of the nodes: managed node groups have the cluster's own, others one that carries the cluster's tag.
fn group_of_nodes(groups: &std::collections::BTreeMap<String, Tags>, cluster: &str, own: &str) -> String {
    let tag = format!("kubernetes.io/cluster/{cluster}");
    let tagged = groups.iter().filter(|(_, tags)| tags.contains_key(&tag));
    let ids: Vec<_> = tagged.filter_map(|(arn, _)| arn.rsplit('/').next()).filter(|id| *id != own).collect();
    match ids.as_slice() {
        [one] => (*one).to_owned(),
        _ => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_texts_of_the_api_server_are_understood() {
        let post =
            "failed calling webhook \"mservice.elbv2.k8s.aws\": failed to call webhook: Post \"https://x.svc:443/y\": ";
        let table = [
            ("no endpoints available for service \"aws-load-balancer-webhook-service\"", Trouble::NoEndpoints),
            ("service \"aws-load-balancer-webhook-service\" not found", Trouble::NoEndpoints),
            ("context deadline exceeded", Trouble::Silence),
            ("dial tcp 10.0.1.2:9443: i/o timeout", Trouble::Silence),
            ("tls: failed to verify certificate: x509: certificate signed by unknown authority", Trouble::Certificate),
            ("x509: certificate has expired or is not yet valid", Trouble::Certificate),
            ("EOF", Trouble::Other),
        ];
        for (text, trouble) in table {
            assert_eq!(classify(&format!("{post}{text}"), &[]), trouble, "{text}");
        }
        let denied = "admission webhook \"vingress.elbv2.k8s.aws\" denied the request: no such params";
        assert_eq!(classify(denied, &["vingress.elbv2.k8s.aws"]), Trouble::Denied);
        assert_eq!(classify(denied, &["other"]), Trouble::DeniedByAnother);
    }

    #[test]
    fn the_group_of_nodes_is_the_one_with_the_tag() {
        let group = |id: &str| {
            let tags = Tags::from([("kubernetes.io/cluster/demo".to_owned(), "owned".to_owned())]);
            (format!("arn:aws:ec2:eu-west-1:111122223333:security-group/{id}"), tags)
        };
        let of = |ids: &[&str]| {
            group_of_nodes(&ids.iter().map(|id| group(id)).collect::<BTreeMap<_, _>>(), "demo", "sg-own")
        };
        assert_eq!(of(&["sg-own"]), "sg-own");
        assert_eq!(of(&["sg-own", "sg-nodes"]), "sg-nodes");
        assert_eq!(of(&["sg-a", "sg-b"]), "sg-own", "nobody knows which");
    }
}
