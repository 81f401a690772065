//! The loopback server of the two webhooks that EKS itself runs: token authentication and pod identity.
//!
//! Started before the apiserver, which is told its address. The admission webhooks of charts are not here: they are
//! reached through the egress, as pods would be.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{
    Associated,
    configuration::base64,
    identity::{self, Identity},
    serve::{self, Answer, Handler},
    token_review::{self, Authenticate},
};

pub(super) const AUTHENTICATE: &str = "/authenticate";
pub(super) const MUTATE_POD: &str = "/mutate";

/// Answers both webhooks.
pub(super) struct Webhooks {
    pub(super) authenticate: Authenticate,
    pub(super) client: Client,
    pub(super) region: String,
    pub(super) associated: Associated,
}

#[async_trait]
impl Handler for Webhooks {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
            return serve::text(StatusCode::BAD_REQUEST, "the body is not JSON");
        };
        let answer = match request.uri().path() {
            AUTHENTICATE => token_review::review(&body, &self.authenticate),
            MUTATE_POD => self.mutate(&body).await,
            path => return serve::text(StatusCode::NOT_FOUND, format!("no webhook at {path}")),
        };
        match answer {
            Some(answer) => serve::json(StatusCode::OK, &answer),
            None => serve::text(StatusCode::BAD_REQUEST, "the body is not the review that this webhook answers"),
        }
    }
}

impl Webhooks {
    async fn mutate(&self, review: &Value) -> Option<Value> {
        let request = review.get("request").filter(|_| review["kind"] == "AdmissionReview")?;
        let pod = &request["object"];
        let namespace = request["namespace"].as_str().unwrap_or("default");
        let name = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        // An association counts alone: the webhook looks at annotations only where there is none (`buildPodPatchConfig` of
        // aws/amazon-eks-pod-identity-webhook).
        if (self.associated)(namespace, name) {
            return Some(allow(review, &identity::patch(pod, &[identity::association(&self.region)])));
        }
        let mut injections = Vec::new();
        match accounts.get_opt(name).await {
            Ok(account) => {
                let annotations = account.and_then(|account| account.metadata.annotations).unwrap_or_default();
                injections.extend(Identity::from_annotations(&annotations).map(|role| role.injection(&self.region)));
            }
            Err(error) => {
                tracing::warn!(%error, namespace, name, "the pod identity webhook cannot read a service account");
            }
        }
        Some(allow(review, &identity::patch(pod, &injections)))
    }
}

/// The answer that admits an object, changed by `patch`.
pub(super) fn allow(review: &Value, patch: &[Value]) -> Value {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if !patch.is_empty() {
        response["patchType"] = "JSONPatch".into();
        response["patch"] = base64(&Value::from(patch).to_string()).into();
    }
    json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})
}

/// The answer that refuses an object.
pub(super) fn deny(review: &Value, message: &str) -> Value {
    json!({
        "apiVersion": review["apiVersion"],
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": false,
            "status": {"code": 400, "reason": "Invalid", "message": message},
        },
    })
}

/// The registration of the pod identity webhook, under the name that EKS gives it.
pub(super) fn pod_identity_configuration(url: &str, ca_pem: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "pod-identity-webhook"},
        "webhooks": [{
            "name": "iam-for-pods.amazonaws.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": url, "caBundle": base64(ca_pem)},
            "failurePolicy": "Ignore",
            "matchPolicy": "Equivalent",
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": 10,
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*",
            }],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_request_and_carries_the_patch() {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "7"}});
        let plain = allow(&review, &[]);
        assert_eq!(plain["response"], json!({"uid": "7", "allowed": true}));
        let patched = allow(&review, &[json!({"op": "add"})]);
        assert_eq!(patched["response"]["patchType"], "JSONPatch");
        assert_eq!(patched["response"]["patch"], base64(r#"[{"op":"add"}]"#));
        let denied = deny(&review, "no");
        assert_eq!(denied["response"]["allowed"], false);
        assert_eq!(denied["response"]["status"]["message"], "no");
    }
}
