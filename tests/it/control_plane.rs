//! A real control plane: what Helm, kubectl and the steps rely on, and that nothing of it is left behind.
//!
//! The programs come from `KUBEBUILDER_ASSETS`, `PATH` or the cache, and are downloaded or built if they are nowhere.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use eks_bootstrap::sandbox::control_plane::{
    ADMIN_GROUP, ControlPlane, Options, Programs, Sources, TokenUser, run_reaper,
};
use kube::{Client, Config, config::KubeConfigOptions};
use serde_json::{Value, json};

const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";
const ROLE: &str = "arn:aws:iam::111122223333:role/lbc";
const WEBHOOK_SERVICE: &str = "aws-load-balancer-webhook-service";

async fn options() -> Options {
    let sources = Sources::default();
    Options {
        cluster: "prod".into(),
        issuer: ISSUER.into(),
        region: "eu-west-1".into(),
        partition: "aws".into(),
        account: "111122223333".into(),
        node_role_arn: "arn:aws:iam::111122223333:role/prod-node".into(),
        kubernetes_version: None,
        programs: Programs::find(&sources, false, &|progress| eprintln!("{progress}")).await.unwrap(),
        reaper: None,
        authenticate: Arc::new(|token| match token {
            "k8s-aws-v1.good" => Ok(TokenUser {
                username: "arn:aws:iam::111122223333:role/admin".into(),
                uid: "aws-iam-authenticator:111122223333:AROAEXAMPLE".into(),
                groups: vec![ADMIN_GROUP.into()],
            }),
            _ => Err("not a token of this cluster".into()),
        }),
        associated: Arc::new(|_, _| false),
        progress: Arc::new(|progress| eprintln!("{progress}")),
    }
}

/// Requests with plain JSON, as any other client would send them.
struct Cluster {
    client: Client,
}

impl Cluster {
    async fn admin(plane: &ControlPlane) -> Self {
        let kubeconfig = kube::config::Kubeconfig::read_from(plane.admin_kubeconfig()).unwrap();
        assert_eq!(kubeconfig.current_context.as_deref(), Some("arn:aws:eks:eu-west-1:111122223333:cluster/prod"));
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Self { client: Client::try_from(config).unwrap() }
    }

    fn with_token(plane: &ControlPlane, token: &str) -> Self {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let mut config = Config::new(plane.endpoint().parse().unwrap());
        config.root_cert = Some(vec![CertificateDer::from_pem_slice(plane.ca_pem().as_bytes()).unwrap().to_vec()]);
        config.auth_info.token = Some(token.to_owned().into());
        Self { client: Client::try_from(config).unwrap() }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.client.request(request.body(body).unwrap()).await.map_err(|error| error.to_string())
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        self.send("GET", path, &Value::Null).await
    }

    async fn create(&self, path: &str, object: &Value) -> Value {
        self.send("POST", path, object).await.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Repeats a request until its answer is as wanted, since apiserver and controllers follow changes with a delay.
    async fn eventually(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        wanted: impl Fn(&Result<Value, String>) -> bool,
    ) {
        let begin = Instant::now();
        loop {
            let answer = self.send(method, path, body).await;
            if wanted(&answer) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{method} {path} stays {answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn deploy(&self, namespace: &str, name: &str, replicas: u32) {
        let object = json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]},
                },
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        self.create(&path, &object).await;
        self.eventually("GET", &format!("{path}/{name}"), &Value::Null, |answer| {
            answer.as_ref().is_ok_and(|found| found["status"]["readyReplicas"] == replicas)
        })
        .await;
    }

    async fn expose(&self, name: &str, app: &str, target_port: u16) {
        let object = json!({
            "metadata": {"name": name},
            "spec": {"selector": {"app": app}, "ports": [{"port": 443, "targetPort": target_port}]},
        });
        self.create("/api/v1/namespaces/kube-system/services", &object).await;
    }
}

fn contains(answer: &Result<Value, String>, text: &str) -> bool {
    answer.as_ref().is_err_and(|error| error.contains(text))
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn control_plane() {
    let plane = ControlPlane::start(options().await).await.unwrap();
    let cluster = Cluster::admin(&plane).await;

    identifies_itself(&plane, &cluster).await;
    authenticates_tokens(&plane).await;
    rolls_out(&cluster).await;
    injects_identities(&cluster).await;
    asks_load_balancer_webhooks(&cluster).await;
    aggregates_metrics(&cluster).await;
    exposes_an_existing_context(&plane).await;

    plane.check().unwrap();
    let directory = plane.directory().to_owned();
    let processes = plane.processes();
    assert_eq!(processes.len(), 5);
    assert!(processes.iter().all(|process| is_alive(*process)));
    plane.stop().await;
    assert!(!directory.exists());
    assert!(!processes.iter().any(|process| is_alive(*process)));
}

async fn identifies_itself(plane: &ControlPlane, cluster: &Cluster) {
    let version = cluster.get("/version").await.unwrap();
    let (major, minor) = (version["major"].as_str().unwrap(), version["minor"].as_str().unwrap());
    assert_eq!(plane.kubernetes(), format!("{major}.{minor}"));
    assert_eq!(plane.issuer(), ISSUER);
    let discovery = cluster.get("/.well-known/openid-configuration").await.unwrap();
    assert_eq!(discovery["issuer"], ISSUER);
    assert_eq!(discovery["jwks_uri"], format!("{ISSUER}/keys"));
    assert_eq!(plane.issuer_jwks()["keys"][0]["alg"], "RS256");
    assert_eq!(fs::metadata(plane.directory()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(plane.admin_kubeconfig()).unwrap().permissions().mode() & 0o777, 0o600);

    let nodes = cluster.get("/api/v1/nodes").await.unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 2);
    for node in nodes["items"].as_array().unwrap() {
        assert!(node["spec"]["providerID"].as_str().unwrap().starts_with("aws:///eu-west-1"), "{node}");
        assert_eq!(node["metadata"]["labels"]["eks.amazonaws.com/nodegroup"], "default");
    }
}

async fn authenticates_tokens(plane: &ControlPlane) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let user = Cluster::with_token(plane, "k8s-aws-v1.good").create(path, &review).await;
    assert_eq!(user["status"]["userInfo"]["username"], "arn:aws:iam::111122223333:role/admin");
    Cluster::with_token(plane, "k8s-aws-v1.good").get("/api/v1/secrets").await.unwrap();
    let refused = Cluster::with_token(plane, "k8s-aws-v1.bad").get("/api/v1/nodes").await;
    assert!(contains(&refused, "Unauthorized"), "{refused:?}");
}

async fn rolls_out(cluster: &Cluster) {
    cluster.deploy("default", "web", 3).await;
    let job = json!({"metadata": {"name": "once"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": "example.com/main:1"}],
    }}}});
    cluster.create("/apis/batch/v1/namespaces/default/jobs", &job).await;
    cluster
        .eventually("GET", "/apis/batch/v1/namespaces/default/jobs/once", &Value::Null, |answer| {
            answer.as_ref().is_ok_and(|job| job["status"]["succeeded"] == 1)
        })
        .await;
    let deleted = cluster.send("DELETE", "/apis/apps/v1/namespaces/default/deployments/web", &Value::Null).await;
    assert!(deleted.is_ok(), "{deleted:?}");
    cluster
        .eventually("GET", "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb", &Value::Null, |answer| {
            answer.as_ref().is_ok_and(|pods| pods["items"].as_array().is_some_and(Vec::is_empty))
        })
        .await;
}

async fn injects_identities(cluster: &Cluster) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"metadata": {"name": "with-role", "annotations": {"eks.amazonaws.com/role-arn": ROLE}}});
    cluster.create(accounts, &account).await;
    let pod = |name: &str, account: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "serviceAccountName": account, "containers": [{"name": "main", "image": "example.com/main:1"}],
        }})
    };
    let pods = "/api/v1/namespaces/default/pods";
    let with = cluster.create(pods, &pod("with", "with-role")).await;
    let container = &with["spec"]["containers"][0];
    let variable = |name: &str| {
        container["env"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name)).map(|one| &one["value"])
    };
    assert_eq!(variable("AWS_ROLE_ARN"), Some(&ROLE.into()), "{with}");
    assert_eq!(variable("AWS_REGION"), Some(&"eu-west-1".into()));
    let volumes = with["spec"]["volumes"].as_array().unwrap();
    let token = volumes.iter().find(|volume| volume["name"] == "aws-iam-token").unwrap();
    assert_eq!(token["projected"]["sources"][0]["serviceAccountToken"]["audience"], "sts.amazonaws.com");
    let without = cluster.create(pods, &pod("without", "default")).await;
    assert_eq!(without["spec"]["containers"][0].get("env"), None, "{without}");

    // The token that such a pod would get is one that AWS could check.
    let request = json!({"spec": {"audiences": ["sts.amazonaws.com"]}});
    let token = cluster.create(&format!("{accounts}/with-role/token"), &request).await;
    let claims = token["status"]["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    };
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], "system:serviceaccount:default:with-role");
}

/// The certificate of a webhook server, signed by itself.
fn webhook_certificate() -> (String, String) {
    let certified = rcgen::generate_simple_self_signed(vec![format!("{WEBHOOK_SERVICE}.kube-system.svc")]).unwrap();
    (certified.cert.pem(), certified.signing_key.serialize_pem())
}

fn webhook(kind: &str, path: &str, rule: &Value, ca: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "aws-load-balancer-webhook"},
        "webhooks": [{
            "name": "webhook.elbv2.k8s.aws",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {
                "service": {"namespace": "kube-system", "name": WEBHOOK_SERVICE, "path": path},
                "caBundle": base64(ca),
            },
            "rules": [rule],
        }],
    })
}

async fn asks_load_balancer_webhooks(cluster: &Cluster) {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let (certificate, key) = webhook_certificate();
    let (other_certificate, _) = webhook_certificate();
    cluster.expose(WEBHOOK_SERVICE, "lbc", 9443).await;
    let rule = json!({
        "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"], "operations": ["CREATE"],
    });
    let validating = webhook("ValidatingWebhookConfiguration", "/validate-networking-v1-ingress", &rule, &certificate);
    cluster.create(&format!("{group}/validatingwebhookconfigurations"), &validating).await;

    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses?dryRun=All";
    let ingress = |scheme: &str| {
        json!({
            "metadata": {"name": "web", "annotations": {"alb.ingress.kubernetes.io/scheme": scheme}},
            "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
        })
    };
    // Exactly what users see: no pods, then pods without a certificate, then a working webhook.
    cluster
        .eventually("POST", ingresses, &ingress("internal"), |answer| contains(answer, "no endpoints available"))
        .await;
    cluster.deploy("kube-system", "lbc", 2).await;
    cluster.eventually("POST", ingresses, &ingress("internal"), |answer| contains(answer, "have no certificate")).await;
    let secret = json!({
        "metadata": {"name": "aws-load-balancer-tls"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": base64(&certificate), "tls.key": base64(&key)},
    });
    cluster.create("/api/v1/namespaces/kube-system/secrets", &secret).await;
    cluster.eventually("POST", ingresses, &ingress("internal"), Result::is_ok).await;
    let denied = cluster.send("POST", ingresses, &ingress("world")).await;
    assert!(contains(&denied, "unknown scheme `world`"), "{denied:?}");

    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"], "operations": ["CREATE"]});
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let services = "/api/v1/namespaces/default/services?dryRun=All";
    let configurations = format!("{group}/mutatingwebhookconfigurations");
    let mutating = |ca: &str| webhook("MutatingWebhookConfiguration", "/mutate-v1-service", &rule, ca);
    cluster.create(&configurations, &mutating(&other_certificate)).await;
    cluster.eventually("POST", services, &service, |answer| contains(answer, "x509")).await;
    let name = format!("{configurations}/aws-load-balancer-webhook");
    cluster.send("DELETE", &name, &Value::Null).await.unwrap();
    cluster.create(&configurations, &mutating(&certificate)).await;
    cluster
        .eventually("POST", services, &service, |answer| {
            answer.as_ref().is_ok_and(|service| service["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb")
        })
        .await;
}

async fn aggregates_metrics(cluster: &Cluster) {
    cluster.deploy("kube-system", "metrics", 1).await;
    cluster.expose("metrics-server", "metrics", 10250).await;
    let service = json!({
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443},
        },
    });
    let path = "/apis/apiregistration.k8s.io/v1/apiservices";
    cluster.create(path, &service).await;
    cluster
        .eventually("GET", &format!("{path}/v1beta1.metrics.k8s.io"), &Value::Null, |answer| {
            let available = |condition: &Value| condition["type"] == "Available" && condition["status"] == "True";
            answer.as_ref().is_ok_and(|found| {
                found["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(available))
            })
        })
        .await;
    let nodes = cluster.get("/apis/metrics.k8s.io/v1beta1/nodes").await.unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 2);
    let pods = cluster.get("/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods?labelSelector=app%3Dlbc").await;
    let pods = pods.unwrap();
    assert_eq!(pods["items"].as_array().unwrap().len(), 2);
    assert!(pods["items"][0]["containers"][0]["usage"]["cpu"].as_str().unwrap().ends_with('m'));
}

async fn exposes_an_existing_context(plane: &ControlPlane) {
    let context = "arn:aws:eks:eu-west-1:111122223333:cluster/prod";
    let existing = ControlPlane::existing(Some(plane.admin_kubeconfig()), context).await.unwrap();
    assert_eq!((existing.endpoint(), existing.ca_pem()), (plane.endpoint(), plane.ca_pem()));
    assert_eq!((existing.issuer(), existing.issuer_jwks()), (plane.issuer(), plane.issuer_jwks()));
    assert!(existing.processes().is_empty());
    Cluster::admin(&existing).await.get("/api/v1/nodes").await.unwrap();
    let directory = existing.directory().to_owned();
    existing.stop().await;
    assert!(!directory.exists());
    let unknown = ControlPlane::existing(Some(plane.admin_kubeconfig()), "other").await.unwrap_err();
    assert!(unknown.to_string().contains("no such context"), "{unknown}");
}

fn is_alive(process: u32) -> bool {
    // A zombie is dead: it only waits for a parent that asks.
    let output = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// A program that runs one of the helpers below out of this test binary.
fn helper(folder: &Path, test: &str) -> PathBuf {
    let path = folder.join(test);
    let binary = std::env::current_exe().unwrap();
    let script =
        format!("#!/bin/sh\nexec '{}' --ignored --exact --nocapture --quiet control_plane::{test}\n", binary.display());
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[test]
#[ignore = "a helper process of `a_killed_parent_leaves_nothing`"]
fn reaper_process() {
    run_reaper(std::io::stdin().lock());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a helper process of `a_killed_parent_leaves_nothing`"]
async fn parent_process() {
    let Some(reaper) = std::env::var_os("REAPER_OF_TEST") else { return };
    let options = Options { reaper: Some(reaper.into()), kubernetes_version: Some("1.33".into()), ..options().await };
    let plane = ControlPlane::start(options).await.unwrap();
    let version = Cluster::admin(&plane).await.get("/version").await.unwrap();
    assert_eq!(version["emulationMinor"], "33", "{version}");
    let processes: Vec<_> = plane.processes().iter().map(u32::to_string).collect();
    println!("\nrunning {} {}", plane.directory().display(), processes.join(" "));
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_parent_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(helper(folder.path(), "parent_process"))
        .env("REAPER_OF_TEST", helper(folder.path(), "reaper_process"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(parent.stdout.take().unwrap());
    let line = output.lines().map_while(Result::ok).find(|line| line.starts_with("running /")).unwrap();
    let mut words = line.split(' ').skip(1);
    let directory = PathBuf::from(words.next().unwrap());
    let processes: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    assert_eq!(processes.len(), 5);
    assert!(directory.exists() && processes.iter().all(|process| is_alive(*process)));

    // SIGKILL: neither `stop` nor `Drop` runs.
    parent.kill().unwrap();
    parent.wait().unwrap();
    let begin = Instant::now();
    while directory.exists() || processes.iter().any(|process| is_alive(*process)) {
        assert!(begin.elapsed() < Duration::from_secs(10), "{line}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
