//! The admission webhooks of the AWS Load Balancer Controller, as far as a cluster without it can tell the difference.
//!
//! Called by the egress for connections to the controller's Service. New Services of type LoadBalancer get the
//! controller's class, as the real one does by default; malformed Ingress annotations are denied; everything else is
//! allowed unchanged. It does not check what only AWS knows.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{
    serve::{self, Answer, Handler},
    webhooks::{allow, deny},
};

const LOAD_BALANCER_CLASS: &str = "service.k8s.aws/nlb";
const INGRESS_ANNOTATION: &str = "alb.ingress.kubernetes.io/";

/// Answers all paths of the controller's webhook server.
pub(super) struct LoadBalancerWebhooks;

#[async_trait]
impl Handler for LoadBalancerWebhooks {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let review = match serde_json::from_slice::<Value>(request.body()) {
            Ok(review) if review["kind"] == "AdmissionReview" => review,
            _ => return serve::text(StatusCode::BAD_REQUEST, "the body is not an AdmissionReview"),
        };
        match answer(request.uri().path(), &review) {
            Some(answer) => serve::json(StatusCode::OK, &answer),
            None => serve::text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }
}

/// The answer to a review; `None` if there is no webhook at the path.
fn answer(path: &str, review: &Value) -> Option<Value> {
    match path {
        "/mutate-v1-service" => Some(allow(review, &service_patch(&review["request"]))),
        "/validate-networking-v1-ingress" => Some(match check_ingress(&review["request"]["object"]) {
            Ok(()) => allow(review, &[]),
            Err(reason) => deny(review, &reason),
        }),
        _ if path.starts_with("/mutate-") || path.starts_with("/validate-") => Some(allow(review, &[])),
        _ => None,
    }
}

/// Gives a new load balancer Service the controller's class, and keeps it there, since it is immutable.
fn service_patch(request: &Value) -> Vec<Value> {
    let class = |object: &Value| object["spec"]["loadBalancerClass"].as_str().unwrap_or_default().to_owned();
    let (new, old) = (&request["object"], &request["oldObject"]);
    if new["spec"]["type"] != "LoadBalancer" || !class(new).is_empty() {
        return Vec::new();
    }
    let wanted = match request["operation"].as_str() {
        Some("CREATE") => LOAD_BALANCER_CLASS.to_owned(),
        Some("UPDATE") if !class(old).is_empty() => class(old),
        _ => return Vec::new(),
    };
    vec![json!({"op": "add", "path": "/spec/loadBalancerClass", "value": wanted})]
}

/// Checks the annotations whose values have a closed form.
fn check_ingress(ingress: &Value) -> Result<(), String> {
    let Some(annotations) = ingress["metadata"]["annotations"].as_object() else { return Ok(()) };
    for (name, value) in annotations {
        let Some(name) = name.strip_prefix(INGRESS_ANNOTATION) else { continue };
        let value = value.as_str().unwrap_or_default();
        match name {
            "scheme" => one_of(name, value, &["internal", "internet-facing"])?,
            "target-type" => one_of(name, value, &["instance", "ip"])?,
            "ip-address-type" => {
                one_of(name, value, &["ipv4", "dualstack", "dualstack-without-public-ipv4"])?;
            }
            "listen-ports" => list(name, value)?,
            _ if name.starts_with("conditions.") => list(name, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn one_of(name: &str, value: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(format!("unknown {name} `{value}` in annotation {INGRESS_ANNOTATION}{name}: must be {}", known.join(" or ")))
}

fn list(name: &str, value: &str) -> Result<(), String> {
    match serde_json::from_str::<Vec<Value>>(value) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("failed to parse annotation {INGRESS_ANNOTATION}{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: &Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    }

    fn ingress(annotation: &str, value: &str) -> Value {
        let object = json!({"metadata": {"annotations": {format!("{INGRESS_ANNOTATION}{annotation}"): value}}});
        answer("/validate-networking-v1-ingress", &review(&json!({"uid": "1", "object": object}))).unwrap()
    }

    #[test]
    fn a_malformed_ingress_is_denied_with_the_annotation() {
        for (annotation, value) in
            [("scheme", "internet"), ("target-type", "pod"), ("listen-ports", "80"), ("conditions.web", "{")]
        {
            let response = &ingress(annotation, value)["response"];
            assert_eq!(response["allowed"], false, "{annotation}");
            assert!(response["status"]["message"].as_str().unwrap().contains(annotation), "{response}");
        }
    }

    #[test]
    fn a_good_ingress_and_one_without_annotations_pass() {
        for (annotation, value) in
            [("scheme", "internal"), ("target-type", "ip"), ("listen-ports", r#"[{"HTTP": 80}]"#), ("group.name", "x")]
        {
            assert_eq!(ingress(annotation, value)["response"]["allowed"], true, "{annotation}");
        }
        let bare = answer("/validate-networking-v1-ingress", &review(&json!({"object": {"metadata": {}}}))).unwrap();
        assert_eq!(bare["response"]["allowed"], true);
    }

    #[test]
    fn services_get_and_keep_the_class() {
        let request = |operation: &str, kind: &str, class: Option<&str>, old: Option<&str>| {
            service_patch(&json!({
                "operation": operation,
                "object": {"spec": {"type": kind, "loadBalancerClass": class}},
                "oldObject": {"spec": {"type": kind, "loadBalancerClass": old}},
            }))
        };
        assert_eq!(request("CREATE", "LoadBalancer", None, None)[0]["value"], LOAD_BALANCER_CLASS);
        assert!(request("CREATE", "LoadBalancer", Some("other"), None).is_empty());
        assert!(request("CREATE", "ClusterIP", None, None).is_empty());
        assert_eq!(request("UPDATE", "LoadBalancer", None, Some("mine"))[0]["value"], "mine");
        assert!(request("UPDATE", "LoadBalancer", None, None).is_empty());
    }

    #[test]
    fn other_webhooks_allow_and_other_paths_are_unknown() {
        let review = review(&json!({"uid": "1"}));
        for path in ["/mutate-v1-pod", "/validate-elbv2-k8s-aws-v1beta1-targetgroupbinding"] {
            assert_eq!(answer(path, &review).unwrap()["response"], json!({"uid": "1", "allowed": true}));
        }
        assert_eq!(answer("/healthz", &review), None);
    }
}
