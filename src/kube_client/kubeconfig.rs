//! What the user's kubeconfig says of the cluster, as kube's client takes it.
//!
//! Read here and not by kube's own loader, since that one reads the proxy variables of the environment in a way of its own
//! (`proxy.rs`) and refuses every kubeconfig while `NO_PROXY` holds something that it does not know, such as a last comma.

use std::path::Path;

use http::Uri;
use kube::config::{Cluster, ExecAuthCluster, Kubeconfig};

use super::certificates;
use crate::error::{Cause, Error, FileKind, Result};
use crate::proxy::Proxy;

/// The longest kubeconfig that is read; one of a hundred clusters has 0.3 MiB.
const LONGEST: u64 = 8 << 20;

/// The connection that a context describes, the proxy that leads to it, and the name of its cluster entry where that turns off the
/// check of the server's certificate. `context` is the current one where it is none.
///
/// # Errors
/// A file that cannot be read or understood, or a context of it that is not whole.
pub(crate) async fn read(path: &Path, context: Option<&str>) -> Result<(kube::Config, Option<Proxy>, Option<String>)> {
    let kind = FileKind::Kubeconfig;
    let unusable = |source: Cause| Error::ConfigFile { kind, path: path.display().to_string(), source };
    let file = parsed(path).await.map_err(unusable)?;
    let (mut config, cluster, name) = configured(&file, context).map_err(unusable)?;
    let proxy = match cluster.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Some(Proxy::of_kubeconfig(url)?),
        None => Proxy::of_environment(&config.cluster_url)?,
    };
    config.proxy_url = proxy.as_ref().map(|proxy| proxy.uri().clone());
    let unverified = config.accept_invalid_certs.then_some(name);
    Ok((config, proxy, unverified))
}

/// The same for a kubeconfig of the sandbox's, whose API server is on this machine: no proxy leads there.
///
/// # Errors
/// The same.
pub(crate) async fn local(path: &Path) -> Result<kube::Config, Cause> {
    Ok(configured(&parsed(path).await?, None)?.0)
}

async fn parsed(path: &Path) -> Result<Kubeconfig, Cause> {
    // That it cannot be looked at is said where it is read.
    if tokio::fs::metadata(path).await.is_ok_and(|file| file.len() > LONGEST) {
        return Err(format!("it is longer than {} MiB", LONGEST >> 20).into());
    }
    Ok(Kubeconfig::read_from(path)?)
}

fn configured(file: &Kubeconfig, context: Option<&str>) -> Result<(kube::Config, Cluster, String), Cause> {
    let name =
        context.or(file.current_context.as_deref()).ok_or("it has no `current-context`; name one with --context")?;
    let context = file.contexts.iter().find(|context| context.name == name);
    let context = context.and_then(|context| context.context.as_ref()).ok_or_else(|| {
        let known: Vec<_> = file.contexts.iter().map(|context| context.name.as_str()).collect();
        format!("it has no context `{name}`, only: {}", known.join(", "))
    })?;
    let cluster = file.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster
        .and_then(|cluster| cluster.cluster.clone())
        .ok_or_else(|| format!("it has no cluster `{}`, which its context `{name}` names", context.cluster))?;
    // As kubectl has it: a user that is not there is one who does not sign in.
    let user = context.user.as_ref().and_then(|user| file.auth_infos.iter().find(|known| known.name == *user));
    let mut user = user.and_then(|user| user.auth_info.clone()).unwrap_or_default();
    // The one public way to a cluster's authority, which stands in the file or in one of its own.
    let known = ExecAuthCluster::try_from(&cluster)?;
    let authority = known.certificate_authority_data.clone();
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(known);
    }
    let server = cluster.server.as_deref().ok_or_else(|| format!("its cluster `{}` has no server", context.cluster))?;
    let server: Uri = server.parse().map_err(|error| format!("`{server}` is no address of an API server: {error}"))?;
    let mut config = kube::Config::new(server);
    if let Some(namespace) = &context.namespace {
        config.default_namespace.clone_from(namespace);
    }
    if let Some(authority) = authority {
        config.root_cert = Some(certificates(&authority)?);
    }
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.auth_info = user;
    Ok((config, cluster, context.cluster.clone()))
}
