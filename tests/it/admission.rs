//! A policy of the cluster that rewrites images to a cache, as Kyverno does it: a real mutating webhook, which the API server
//! asks about every write. `apply` converges, `plan` says what differs and how to leave it alone.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::drift_content::fields;
use crate::support::Lab;

const CACHE: &str = "cache.example.com/";
const WANTED: [&str; 2] = ["--disable", "aws-load-balancer-controller"];
const IMAGE: &str = "Deployment/kube-system/ebs-csi-controller spec.template.spec.containers[ebs-plugin].image";
const IGNORED: [&str; 2] =
    ["--ignore-drift", "Deployment/kube-system/ebs-csi-controller spec.template.spec.containers[*].image"];

/// The images of a workload that do not come from the cache yet.
fn rewritten(request: &Value) -> Vec<Value> {
    let containers = request["object"]["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let image = |(place, container): (usize, &Value)| {
        let image = container["image"].as_str()?;
        let path = format!("/spec/template/spec/containers/{place}/image");
        (!image.starts_with(CACHE)).then(|| json!({"op": "replace", "path": path, "value": format!("{CACHE}{image}")}))
    };
    containers.enumerate().filter_map(image).collect()
}

async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let patch = STANDARD.encode(json!(rewritten(&review["request"])).to_string());
    let response = json!({"uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": patch});
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    let answer = hyper::Response::builder().header("content-type", "application/json").body(answer.to_string().into());
    Ok(answer.unwrap())
}

/// Serves the webhook on loopback; returns its address and authority.
async fn serve() -> (String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    });
    (url, STANDARD.encode(authority.pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_admission_changes_is_told_and_left_alone() {
    let lab = Lab::start().await;
    let (url, authority) = serve().await;
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "cache"},
        "webhooks": [{
            "name": "cache.example.com", "clientConfig": {"url": url, "caBundle": authority},
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
                "resources": ["deployments"]}],
        }],
    });
    lab.create("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", &webhook).await;
    let command = |words: &[&'static str]| [words, &WANTED].concat();
    lab.run(&command(&["apply", "--yes"])).await.expect(0);
    let deployment = lab.object("apps/v1", "Deployment", "ebs-csi-controller").await;
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    assert!(image.starts_with(CACHE), "the webhook was not asked: {image}");

    // A plan has no right to try a write, so it shows the difference and the way to leave it alone.
    let plan = lab.run(&command(&["plan", "-o", "json", "--detailed-exitcode"])).await.expect(2).json();
    let told = plan["diagnostics"].to_string();
    assert!(told.contains("ignoreDrift: ['Deployment/kube-system/ebs-csi-controller spec."), "{told}");
    let found = fields(&plan);
    assert_eq!(found[IMAGE]["before"], json!(image), "{found:#?}");

    // Who applies may try: nothing can be done, so nothing is to be done.
    lab.forget();
    let run = lab.run(&command(&["apply", "--yes"])).await.expect(0);
    assert!(run.stdout.starts_with("nothing to do"), "{}", run.stdout);
    assert!(run.stderr.contains(&format!("{IMAGE} is changed by admission")), "{}", run.stderr);
    assert_eq!(lab.helm_runs(), Vec::<String>::new());

    let left = [&["plan", "-o", "json", "--detailed-exitcode"], &WANTED[..], &IGNORED].concat();
    let plan = lab.run(&left).await.expect(0).json();
    assert!(!plan["diagnostics"].to_string().contains("ignoreDrift"), "the line covers something: {plan:#}");
    let nothing = [&["plan", "-o", "json"], &WANTED[..], &["--ignore-drift", "Deployment/a/b spec.replicas"]].concat();
    let plan = lab.run(&nothing).await.expect(0).json();
    let told = plan["diagnostics"].to_string();
    assert!(told.contains("ignoreDrift covers nothing: Deployment/a/b spec.replicas"), "{told}");

    // A saved plan shows it as well, and is not stale for that.
    let file = lab.work.path().join("plan.json").display().to_string();
    lab.run(&[&["plan", "--out", &file], &WANTED[..]].concat()).await.expect(0);
    let run = lab.run(&["apply", &file, "--yes"]).await.expect(0);
    assert!(run.stdout.starts_with("nothing to do"), "{}", run.stdout);

    // Another field of the same object is a difference all the same, and its fix ends.
    let path = "/apis/apps/v1/namespaces/kube-system/deployments/ebs-csi-controller";
    lab.patch(path, &json!({"spec": {"replicas": 1}})).await;
    let run = lab.run(&command(&["apply", "--yes"])).await.expect(0);
    assert!(run.stdout.contains("spec.replicas"), "{}", run.stdout);

    // Replicas under an autoscaler are the autoscaler's.
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "driver"},
        "spec": {"minReplicas": 1, "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ebs-csi-controller"}}});
    lab.create("/apis/autoscaling/v2/namespaces/kube-system/horizontalpodautoscalers", &scaler).await;
    lab.patch(path, &json!({"spec": {"replicas": 3}})).await;
    lab.run(&left).await.expect(0);
    lab.stop().await;
}
