//! What the user's kubeconfig says of the cluster, as kube's client takes it.
//!
//! Read here and not by kube's own loader, since that one reads the proxy variables of the environment in a way of its own
//! (`proxy.rs`) and refuses every kubeconfig while `NO_PROXY` holds something that it does not know, such as a last comma.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, Kubeconfig};

use super::certificates;
use crate::error::{Cause, Error, FileKind, Result};
use crate::files::{self, Unreadable};
use crate::proxy::Proxy;

/// The largest kubeconfig, or file that it names, that is read; one of a hundred clusters has 0.3 MiB.
const LARGEST: u64 = 8 << 20;

/// The connection that a context describes, the proxy that leads to it, and the name of its cluster entry where that turns off the
/// check of the server's certificate. `context` is the current one where it is none.
///
/// # Errors
/// A file that cannot be read or understood, or a context of it that is not whole.
pub(crate) async fn read(path: &Path, context: Option<&str>) -> Result<(kube::Config, Option<Proxy>, Option<String>)> {
    let kind = FileKind::Kubeconfig;
    let unusable = |source: Cause| Error::ConfigFile { kind, path: path.display().to_string(), source };
    let file = parsed(path).await.map_err(unusable)?;
    let (mut config, cluster, name) = configured(&file, folder(path), context).map_err(unusable)?;
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
    Ok(configured(&parsed(path).await?, folder(path), None)?.0)
}

/// What the paths in a kubeconfig are relative to.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

async fn parsed(path: &Path) -> Result<Kubeconfig, Cause> {
    let path = path.to_owned();
    let read = move || Ok::<_, Cause>(Kubeconfig::from_yaml(&decoded(&files::read(&path, LARGEST)?)?)?);
    tokio::task::spawn_blocking(read).await?
}

/// The text, in the encodings that kubectl takes: PowerShell's `>` writes UTF-16.
fn decoded(bytes: &[u8]) -> Result<String, Unreadable> {
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<_> = bytes[2..].chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok().map(ToOwned::to_owned),
    };
    text.ok_or(Unreadable::NotText)
}

/// Reads the files that the kubeconfig names, relative to itself, and puts what they hold in their place: the client would read each
/// to an end that it may not have. A token's file is read again and again, so that one is only looked at.
fn take_in(cluster: &mut Cluster, user: &mut AuthInfo, folder: &Path) -> Result<(), Cause> {
    let place = |path: &String| folder.join(path);
    let refused = |path: &Path, error: Unreadable| format!("`{}`: {error}", path.display());
    let read = |path: Option<String>| {
        let path = path.filter(|path| !path.is_empty()).map(|path| place(&path));
        let read = |path: PathBuf| files::read(&path, LARGEST).map_err(|error| refused(&path, error));
        path.map(read).transpose().map(|bytes| bytes.map(|bytes| STANDARD.encode(bytes)))
    };
    // What stands in the kubeconfig itself counts more.
    if cluster.certificate_authority_data.is_none() {
        cluster.certificate_authority_data = read(cluster.certificate_authority.take())?;
    }
    if user.client_certificate_data.is_none() {
        user.client_certificate_data = read(user.client_certificate.take())?;
    }
    if user.client_key_data.is_none() {
        user.client_key_data = read(user.client_key.take())?.map(Into::into);
    }
    if let Some(file) = user.token_file.as_mut().filter(|file| !file.is_empty()) {
        let path = place(&*file);
        files::look(&path).map_err(|error| refused(&path, error))?;
        *file = path.display().to_string();
    }
    Ok(())
}

fn configured(
    file: &Kubeconfig,
    folder: &Path,
    context: Option<&str>,
) -> Result<(kube::Config, Cluster, String), Cause> {
    let name =
        context.or(file.current_context.as_deref()).ok_or("it has no `current-context`; name one with --context")?;
    let context = file.contexts.iter().find(|context| context.name == name);
    let context = context.and_then(|context| context.context.as_ref()).ok_or_else(|| {
        let known: Vec<_> = file.contexts.iter().map(|context| context.name.as_str()).collect();
        format!("it has no context `{name}`, only: {}", known.join(", "))
    })?;
    let cluster = file.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let mut cluster = cluster
        .and_then(|cluster| cluster.cluster.clone())
        .ok_or_else(|| format!("it has no cluster `{}`, which its context `{name}` names", context.cluster))?;
    // As kubectl has it: a user that is not there is one who does not sign in.
    let user = context.user.as_ref().and_then(|user| file.auth_infos.iter().find(|known| known.name == *user));
    let mut user = user.and_then(|user| user.auth_info.clone()).unwrap_or_default();
    take_in(&mut cluster, &mut user, folder)?;
    // The one public way to a cluster's authority.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Connects by a kubeconfig with these fields of its cluster and its user, which lies in `folder`.
    async fn read_in(folder: &Path, cluster: Value, user: Value) -> Result<kube::Config> {
        let mut document = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": cluster}],
            "users": [{"name": "a", "user": user}],
        });
        document["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:9");
        let path = folder.join("config");
        std::fs::write(&path, document.to_string()).unwrap();
        read(&path, None).await.map(|(config, ..)| config)
    }

    #[tokio::test]
    async fn files_are_found_beside_the_kubeconfig_and_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let authority = include_str!("../../tests/fixtures/unrelated-ca.pem");
        for (name, text) in
            [("ca.pem", authority), ("client.pem", "certificate"), ("client.key", "key"), ("token", "t")]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let user = json!({"client-certificate": "client.pem", "client-key": "client.key", "tokenFile": "token"});
        let config = read_in(folder.path(), json!({"certificate-authority": "ca.pem"}), user).await.unwrap();
        assert_eq!(config.root_cert.map(|all| all.len()), Some(1));
        let user = config.auth_info;
        assert_eq!(user.client_certificate_data, Some(STANDARD.encode("certificate")));
        assert!(user.client_key_data.is_some() && user.client_certificate.is_none() && user.client_key.is_none());
        assert_eq!(user.token_file, Some(folder.path().join("token").display().to_string()));
    }

    #[tokio::test]
    async fn pipes_and_devices_in_place_of_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let empty = || json!({});
        for (cluster, user, expected) in [
            (json!({"certificate-authority": "pipe"}), empty(), "pipe`: it is a pipe (FIFO)"),
            (empty(), json!({"client-certificate": "pipe"}), "pipe`: it is a pipe (FIFO)"),
            (empty(), json!({"client-key": "/dev/zero"}), "`/dev/zero`: it is a device"),
            (empty(), json!({"tokenFile": "pipe"}), "pipe`: it is a pipe (FIFO)"),
        ] {
            let error = read_in(folder.path(), cluster, user).await.map(drop).expect_err("it is taken");
            let text = crate::report::of(&error);
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let text = crate::report::of(&read(&pipe, None).await.map(drop).expect_err("it is taken"));
        assert!(text.contains("it is a pipe (FIFO)"), "{text}");
    }

    #[test]
    fn kubeconfigs_of_powershell_are_read() {
        let wide = |of: fn(u16) -> [u8; 2]| "\u{feff}a: ä".encode_utf16().flat_map(of).collect::<Vec<_>>();
        for bytes in [wide(u16::to_le_bytes), wide(u16::to_be_bytes), "\u{feff}a: ä".into(), "a: ä".into()] {
            assert_eq!(decoded(&bytes).unwrap(), "a: ä");
        }
        assert!(matches!(decoded(b"\xff\xfe\x00\xd8"), Err(Unreadable::NotText)));
    }
}
