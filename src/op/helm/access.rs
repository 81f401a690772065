//! How helm reaches the cluster: with the user's kubeconfig, or with one of ours that calls our own `token` command, which gets the
//! credentials of this run wherever they last for helm's, and else loads its own by the same profile and role.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, MEASURED_SKEW};
use crate::context::Facts;
use crate::error::{Error, Result};
use crate::helm_process::Home;
use crate::kube_client::KubeTarget;
use crate::kubeconfig::{self, Ways};
use crate::proxy::Proxy;
use crate::token::TokenSigner;

/// How helm reaches the cluster.
pub(super) enum Access {
    /// The user's kubeconfig and context.
    User { path: PathBuf, context: Option<String> },
    /// One of ours, as text: `named` says with which profile and role, `handed` relies on keys of the environment.
    Ours { named: String, handed: String, signer: TokenSigner },
}

impl Access {
    /// The way to the cluster of `facts`.
    ///
    /// # Errors
    /// This program's own path or the kubeconfig cannot be found, or the environment's proxy cannot be used.
    pub(super) fn new(config: &Config, facts: &Facts, target: &KubeTarget) -> Result<Access> {
        Ok(match target {
            KubeTarget::Kubeconfig { path, context } => {
                let path = std::path::absolute(path).map_err(|source| Error::io("find the kubeconfig", source))?;
                Access::User { path, context: context.clone() }
            }
            KubeTarget::Local(path) => Access::User { path: path.clone(), context: None },
            KubeTarget::Endpoint { url, ca_pem, signer, .. } => {
                let program = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
                // Written down, so that helm takes the way that we take; of the environment it would read other rules.
                let proxy = url.parse().ok().map(|server| Proxy::of_environment(&server)).transpose()?.flatten();
                let of = |profile: Option<&str>, role: Option<&str>| {
                    let flags = [("--profile", profile), ("--assume-role", role)];
                    our_kubeconfig(config, facts, (url, ca_pem), &program, proxy.as_ref(), flags)
                };
                let named = of(config.profile.as_deref(), config.assume_role.as_deref());
                Access::Ours { named, handed: of(None, None), signer: signer.clone() }
            }
        })
    }

    /// The flags for a run of helm of at most `limit`; what they name is written into its home.
    ///
    /// # Errors
    /// No credentials, or the kubeconfig cannot be written.
    pub(super) async fn arguments(&self, home: &mut Home, limit: Duration) -> Result<Vec<OsString>> {
        match self {
            Access::User { path, context } => {
                let mut arguments: Vec<OsString> = vec!["--kubeconfig".into(), path.into()];
                if let Some(context) = context {
                    arguments.extend(["--kube-context".into(), context.into()]);
                }
                Ok(arguments)
            }
            Access::Ours { named, handed, signer } => {
                let kubeconfig = match signer.handed_over(limit).await? {
                    Some(session) => {
                        home.hand_over(session);
                        handed
                    }
                    None => named,
                };
                Ok(vec!["--kubeconfig".into(), home.write("kubeconfig", kubeconfig)?.into()])
            }
        }
    }
}

/// A kubeconfig whose tokens come from our `token` command.
fn our_kubeconfig(
    config: &Config,
    facts: &Facts,
    (url, ca_pem): (&str, &str),
    program: &Path,
    proxy: Option<&Proxy>,
    identity: [(&str, Option<&str>); 2],
) -> String {
    let mut arguments = vec!["token", "--cluster", &facts.cluster, "--region", &facts.region];
    let rest = [("--endpoint-url", config.endpoint_url.as_deref()), ("--cluster-id", facts.outpost_id.as_deref())];
    for (flag, value) in identity.into_iter().chain(rest) {
        if let Some(value) = value {
            arguments.extend([flag, value]);
        }
    }
    let (proxy, skew) = (proxy.map(Proxy::address), facts.clock_skew.map(|skew| skew.to_string()));
    let variable = skew.as_deref().map(|skew| (MEASURED_SKEW, skew));
    let ways = Ways { proxy: proxy.as_deref(), variable };
    kubeconfig::with_our_token(&facts.cluster, url, ca_pem, program, &arguments, ways).to_string()
}
