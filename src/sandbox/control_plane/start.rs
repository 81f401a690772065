//! The order in which a control plane comes up.
//!
//! etcd first, everything that depends on the apiserver as soon as it listens, objects as soon as it is ready. etcd speaks
//! over a Unix socket in our private folder: no port to collide on, and nobody else on the machine can read it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::kube_client::kubeconfig;

use super::{
    ControlPlane, ControlPlaneError, Home, Options, Progress, arguments,
    certificates::{Certificates, write_private},
    children::Children,
    configuration, egress, objects,
    programs::Program,
    registration, serve,
    wait::until,
    webhooks::{self, Webhooks},
};

/// A start takes seconds; a machine under load gets ten times that.
const LIMIT: Duration = Duration::from_secs(90);
/// Another program may take the port between our choice and the apiserver's start.
const PORT_ATTEMPTS: usize = 3;

/// What kwok makes of nodes and pods.
const STAGES: [(&str, &str); 2] = [
    ("node.yaml", include_str!("../../../templates/sandbox/control-plane/stages/node.yaml")),
    ("pod.yaml", include_str!("../../../templates/sandbox/control-plane/stages/pod.yaml")),
];

/// Starts everything and waits until it works.
pub(super) async fn start(options: Options) -> Result<ControlPlane, ControlPlaneError> {
    let programs = &options.programs;
    let own = programs.kubernetes();
    let emulated = arguments::emulated_version(options.kubernetes_version.as_deref(), own)?;
    // kube's client wants a process-wide provider; it is an error only if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let begin = Instant::now();
    let report = |doing: &str| {
        (options.progress)(Progress { elapsed: begin.elapsed(), ..Progress::doing(doing) });
    };
    report("starting etcd and kube-apiserver");
    let children = Children::new(options.reaper.as_deref())?;
    children.spawn("etcd", programs.path(Program::Etcd), &arguments::etcd())?;
    let directory = children.directory().to_owned();
    let certificates = {
        let folder = directory.join("pki");
        blocking(move || Certificates::make(&folder)).await?
    };

    let mut servers = JoinSet::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(|source| ControlPlaneError::Listen { what: "webhooks".into(), source })?;
    let webhook_url = address(&listener).map(|address| format!("https://{address}"))?;
    write(
        &directory.join("token-webhook.json"),
        &configuration::token_webhook(&format!("{webhook_url}{}", webhooks::AUTHENTICATE), &certificates.cluster_ca),
    )?;
    let egress_socket = directory.join("egress.sock");
    write(&directory.join("egress.json"), &configuration::egress(&egress_socket.display().to_string()))?;
    let etcd_socket = directory.join(arguments::ETCD_SOCKET);
    until("etcd", LIMIT, async || {
        children.check()?;
        Ok(if etcd_socket.exists() { Ok(()) } else { Err(children.last_words("etcd")) })
    })
    .await?;

    let endpoint = start_apiserver(&options, emulated.as_deref(), &certificates, &children).await?;
    let admin_kubeconfig = directory.join("admin.kubeconfig");
    write(
        &admin_kubeconfig,
        &configuration::kubeconfig(&options.arn(), &endpoint, &certificates.cluster_ca, &certificates.admin),
    )?;
    let client = client(&admin_kubeconfig).await?;
    let webhooks = Webhooks {
        authenticate: Arc::clone(&options.authenticate),
        client: client.clone(),
        region: options.region.clone(),
        associated: Arc::clone(&options.associated),
    };
    let acceptor = serve::acceptor("webhooks", &certificates.webhooks)?;
    servers.spawn(serve::listen(listener, acceptor, Arc::new(webhooks)));
    let silence = egress::Silence::default();
    servers.spawn(egress::listen(&egress_socket, client.clone(), silence.clone())?);

    // The controller manager gives up on an apiserver that does not answer within ten seconds.
    wait_answer(&client, &children, |error| matches!(error, kube::Error::Api(_))).await?;
    report("starting kube-controller-manager, kube-scheduler and kwok");
    start_clients(&options, emulated.as_deref(), &certificates, &children, &endpoint)?;
    wait_answer(&client, &children, |_| false).await?;
    report("waiting for nodes and service accounts");
    let version = arguments::kubelet_version(emulated.as_deref(), own);
    create_objects(&client, &options, &version, &format!("{webhook_url}{}", webhooks::MUTATE_POD), &certificates)
        .await?;
    let issuer_jwks =
        get(&client, "/openid/v1/jwks").await.map_err(ControlPlaneError::kubernetes("read the key set"))?;
    wait_usable(&client, &children).await?;
    servers.spawn(registration::keep(client));
    report("control plane ready");

    Ok(ControlPlane {
        endpoint,
        ca_pem: certificates.cluster_ca,
        admin_kubeconfig,
        kubernetes: emulated.unwrap_or_else(|| options.programs.kubernetes_minor()),
        issuer: options.issuer,
        issuer_jwks,
        servers,
        silence,
        home: Home::Started(children),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ControlPlaneError> + Send + 'static,
) -> Result<T, ControlPlaneError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

fn write(path: &Path, value: &Value) -> Result<(), ControlPlaneError> {
    write_private(path, &value.to_string())
}

fn address(listener: &TcpListener) -> Result<SocketAddr, ControlPlaneError> {
    listener.local_addr().map_err(|source| ControlPlaneError::Listen { what: "webhooks".into(), source })
}

fn free_port() -> Result<u16, ControlPlaneError> {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ControlPlaneError::Listen { what: "kube-apiserver".into(), source })
}

/// Starts the apiserver on a free port and waits until it listens there.
async fn start_apiserver(
    options: &Options,
    emulated: Option<&str>,
    certificates: &Certificates,
    children: &Children,
) -> Result<String, ControlPlaneError> {
    let mut attempt = 1;
    loop {
        let port = free_port()?;
        let list = arguments::apiserver(options, emulated, &certificates.files, port);
        children.spawn("kube-apiserver", options.programs.path(Program::ApiServer), &list)?;
        let listening = until("kube-apiserver", LIMIT, async || {
            children.check()?;
            let connected = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
            Ok(connected.map(drop).map_err(|error| error.to_string()))
        });
        match listening.await {
            Ok(()) => return Ok(format!("https://127.0.0.1:{port}")),
            Err(ControlPlaneError::Exited { log, .. })
                if attempt < PORT_ATTEMPTS && log.contains("address already in use") =>
            {
                children.end("kube-apiserver");
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Starts the processes that are clients of the apiserver; they wait for it by themselves.
fn start_clients(
    options: &Options,
    emulated: Option<&str>,
    certificates: &Certificates,
    children: &Children,
    endpoint: &str,
) -> Result<(), ControlPlaneError> {
    let (directory, programs) = (children.directory(), &options.programs);
    for (name, pair) in [
        ("controller-manager", &certificates.controller_manager),
        ("scheduler", &certificates.scheduler),
        ("kwok", &certificates.kwok),
    ] {
        let kubeconfig = configuration::kubeconfig(name, endpoint, &certificates.cluster_ca, pair);
        write(&directory.join(format!("{name}.kubeconfig")), &kubeconfig)?;
    }
    let manager = arguments::controller_manager(&options.cluster, emulated, &certificates.files);
    children.spawn("kube-controller-manager", programs.path(Program::ControllerManager), &manager)?;
    children.spawn("kube-scheduler", programs.path(Program::Scheduler), &arguments::scheduler(emulated))?;
    let stages = write_stages(&directory.join("stages"))?;
    children.spawn("kwok", programs.path(Program::Kwok), &arguments::kwok(&stages))
}

/// Writes what kwok makes of nodes and pods. Released kwok has no stages in it, so ours are used wherever it comes from.
fn write_stages(folder: &Path) -> Result<Vec<PathBuf>, ControlPlaneError> {
    std::fs::create_dir_all(folder).map_err(ControlPlaneError::file("create", folder))?;
    STAGES
        .into_iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(ControlPlaneError::file("write", &path))?;
            Ok(path)
        })
        .collect()
}

async fn client(kubeconfig: &Path) -> Result<Client, ControlPlaneError> {
    let config = kubeconfig::local(kubeconfig)
        .await
        .map_err(|error| ControlPlaneError::Kubeconfig { context: "admin".into(), reason: error.to_string() })?;
    Client::try_from(config).map_err(ControlPlaneError::kubernetes("set up the client of the control plane"))
}

pub(super) async fn get(client: &Client, path: &str) -> Result<Value, kube::Error> {
    client.request(request(http::Method::GET, path, Vec::new())).await
}

fn request(method: http::Method, path: &str, body: Vec<u8>) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    // Only constant paths get here.
    *request.uri_mut() = path.parse().expect("a constant path is a URI");
    request.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    request
}

/// Waits until the apiserver says that it is ready, or fails in a way that is good enough.
async fn wait_answer(
    client: &Client,
    children: &Children,
    is_enough: impl Fn(&kube::Error) -> bool,
) -> Result<(), ControlPlaneError> {
    until("kube-apiserver", LIMIT, async || {
        children.check()?;
        let answer = client.request_text(request(http::Method::GET, "/readyz", Vec::new())).await;
        Ok(match answer {
            Err(error) if !is_enough(&error) => Err(error.to_string()),
            _ => Ok(()),
        })
    })
    .await
}

async fn create_objects(
    client: &Client,
    options: &Options,
    version: &str,
    identity_url: &str,
    certificates: &Certificates,
) -> Result<(), ControlPlaneError> {
    let mut objects: Vec<_> =
        objects::nodes(options, version).into_iter().map(|node| ("/api/v1/nodes", node)).collect();
    objects.push(("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", objects::admin_binding()));
    objects.push(("/api/v1/namespaces/kube-system/configmaps", objects::aws_auth(options)));
    objects.push((
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        webhooks::pod_identity_configuration(identity_url, &certificates.cluster_ca),
    ));
    futures::future::try_join_all(objects.iter().map(|(path, object)| async move {
        let request = request(http::Method::POST, path, object.to_string().into_bytes());
        let created: Result<Value, _> = client.request(request).await;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        created.map(drop).map_err(ControlPlaneError::kubernetes(format!("create {name}")))
    }))
    .await
    .map(drop)
}

/// Waits for what the other processes contribute: ready nodes and the service accounts that pods need.
async fn wait_usable(client: &Client, children: &Children) -> Result<(), ControlPlaneError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "kube-system");
    until("nodes", LIMIT, async || {
        children.check()?;
        let list = nodes.list(&ListParams::default()).await.map_err(ControlPlaneError::kubernetes("list nodes"))?;
        let waiting: Vec<_> = list
            .into_iter()
            .filter(|node| !is_schedulable(node))
            .map(|node| node.metadata.name.unwrap_or_default())
            .collect();
        Ok(if waiting.is_empty() { Ok(()) } else { Err(format!("{} not ready", waiting.join(", "))) })
    })
    .await?;
    until("service account kube-system/default", LIMIT, async || {
        children.check()?;
        let account = accounts
            .get_opt("default")
            .await
            .map_err(ControlPlaneError::kubernetes("read service account kube-system/default"))?;
        Ok(account.map(drop).ok_or_else(|| "absent".to_owned()))
    })
    .await
}

/// Ready, and without the taint that the node lifecycle controller takes off a moment later.
fn is_schedulable(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    ready && taints.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_counts_when_it_is_ready_and_untainted() {
        let node = |status: &str, taints: Value| {
            serde_json::from_value::<Node>(serde_json::json!({
                "spec": {"taints": taints},
                "status": {"conditions": [{"type": "Ready", "status": status}]},
            }))
            .unwrap()
        };
        assert!(is_schedulable(&node("True", Value::Null)));
        assert!(!is_schedulable(&node("False", Value::Null)));
        assert!(!is_schedulable(&node("True", serde_json::json!([{"key": "x", "effect": "NoSchedule"}]))));
    }
}
