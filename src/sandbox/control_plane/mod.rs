//! The real Kubernetes control plane of the sandbox: etcd, kube-apiserver, controller manager, scheduler and kwok.
//!
//! The `sandbox` command and the tests start one with [`ControlPlane::start`]; the AWS simulator gives it the issuer and the
//! check of `k8s-aws-v1.` tokens, and gets endpoint, CA and key set back. Everything is real except what would run on
//! nodes: kwok plays the kubelets, and whatever the apiserver would dial inside the cluster goes through an egress socket
//! to servers of ours. [`ControlPlane::existing`] uses another cluster instead and starts nothing.
//!
//! ```text
//! binaries (programs, cache, download, build) -> children (reaper) -> certificates, configuration -> start (arguments) -> objects
//! apiserver -> webhooks: token_review, identity        apiserver -> egress -> address -> admission | metrics
//! ```

mod address;
mod admission;
mod arguments;
mod binaries;
mod build;
mod cache;
mod certificates;
mod children;
mod configuration;
mod download;
mod egress;
mod error;
mod existing;
mod identity;
mod metrics;
mod objects;
mod programs;
mod progress;
mod reaper;
mod registration;
mod serve;
mod start;
mod token_review;
mod wait;
mod webhooks;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use tokio::task::JoinSet;

pub use binaries::{Programs, Sources};
pub use build::FLAGS as BUILD_FLAGS;
pub use cache::Kept;
pub use error::ControlPlaneError;
pub use objects::ADMIN_GROUP;
pub(super) use objects::instances;
pub use progress::{Progress, megabytes};
pub use reaper::{REAPER_SUBCOMMAND, run_reaper};
pub use token_review::{Authenticate, TokenUser};

use children::Children;

/// Says whether a service account, by namespace and name, has a Pod Identity association.
pub type Associated = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// What a control plane is started with.
#[derive(Clone)]
pub struct Options {
    /// The cluster's name.
    pub cluster: String,
    /// The issuer of service-account tokens: that of the simulated cluster.
    pub issuer: String,
    /// The region that nodes and pods believe to be in.
    pub region: String,
    /// The partition of the cluster's ARN.
    pub partition: String,
    /// The account of the cluster's ARN.
    pub account: String,
    /// The role of the node group, for `aws-auth`.
    pub node_role_arn: String,
    /// `MAJOR.MINOR` to behave as; the version of the binaries if absent. `/version` still names the binaries, and says
    /// this one as `emulationMinor`.
    pub kubernetes_version: Option<String>,
    /// What it is made of.
    pub programs: Programs,
    /// The program that understands [`REAPER_SUBCOMMAND`]; without it, SIGKILL leaves children behind.
    pub reaper: Option<PathBuf>,
    /// Says whom a bearer token belongs to.
    pub authenticate: Authenticate,
    /// Says whether a service account, by namespace and name, has a Pod Identity association that EKS' webhook knows of.
    pub associated: Associated,
    /// Told what a long start is doing.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("cluster", &self.cluster)
            .field("issuer", &self.issuer)
            .field("region", &self.region)
            .field("kubernetes_version", &self.kubernetes_version)
            .field("programs", &self.programs)
            .field("reaper", &self.reaper)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The cluster's ARN, which is also what `aws eks update-kubeconfig` calls its context.
    fn arn(&self) -> String {
        format!("arn:{}:eks:{}:{}:cluster/{}", self.partition, self.region, self.account, self.cluster)
    }
}

/// A running control plane, or the handle of an existing one.
///
/// Dropping it kills its processes and removes its folder; [`ControlPlane::stop`] does the same without blocking the
/// runtime.
#[derive(Debug)]
pub struct ControlPlane {
    endpoint: String,
    ca_pem: String,
    admin_kubeconfig: PathBuf,
    issuer: String,
    issuer_jwks: Value,
    kubernetes: String,
    /// Our servers; they end when the set is dropped.
    servers: JoinSet<()>,
    silence: egress::Silence,
    home: Home,
}

/// What has to be cleaned up in the end.
#[derive(Debug)]
enum Home {
    /// Processes and their folder.
    Started(Children),
    /// The folder with an existing cluster's kubeconfig.
    Existing(tempfile::TempDir),
}

impl ControlPlane {
    /// Starts a control plane and waits until it has nodes that are ready.
    ///
    /// # Errors
    /// When a process dies, or something is not ready in time.
    pub async fn start(options: Options) -> Result<Self, ControlPlaneError> {
        Box::pin(start::start(options)).await
    }

    /// Uses a context of a kubeconfig (the usual files if `None`) instead of starting anything.
    ///
    /// The cluster is used as it is: it does not know the simulated AWS's tokens, its webhooks and aggregated APIs are
    /// whatever runs there, and no nodes or bindings are made. The issuer is the one that the cluster says it has.
    ///
    /// # Errors
    /// When the context is absent or names no CA, or the cluster does not answer.
    pub async fn existing(kubeconfig: Option<&Path>, context: &str) -> Result<Self, ControlPlaneError> {
        Box::pin(existing::existing(kubeconfig, context)).await
    }

    /// The apiserver's URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The certificates by which the apiserver is recognised.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A kubeconfig with an administrator's credentials, readable by its owner only.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// The issuer of service-account tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `MAJOR.MINOR` of its Kubernetes, as it behaves.
    pub fn kubernetes(&self) -> &str {
        &self.kubernetes
    }

    /// The public keys of service-account tokens, as the apiserver publishes them.
    pub fn issuer_jwks(&self) -> Value {
        self.issuer_jwks.clone()
    }

    /// Closes (or opens again) the way from the apiserver to the port of the load balancer controller's webhooks, as a
    /// security group without a rule for it does: nothing comes back. Of no effect on an existing cluster.
    pub fn close_webhook_port(&self, closed: bool) {
        self.silence.set(closed);
    }

    /// The folder with logs, sockets and certificates; gone after the end.
    pub fn directory(&self) -> &Path {
        match &self.home {
            Home::Started(children) => children.directory(),
            Home::Existing(folder) => folder.path(),
        }
    }

    /// The ids of the processes that were started.
    pub fn processes(&self) -> Vec<u32> {
        match &self.home {
            Home::Started(children) => children.processes(),
            Home::Existing(_) => Vec::new(),
        }
    }

    /// Fails if one of the processes has died since, with the last lines of its log.
    ///
    /// # Errors
    /// When a process has ended.
    pub fn check(&self) -> Result<(), ControlPlaneError> {
        match &self.home {
            Home::Started(children) => children.check(),
            Home::Existing(_) => Ok(()),
        }
    }

    /// Kills the processes and removes the folder.
    pub async fn stop(mut self) {
        self.servers.shutdown().await;
        // Waits for the kernel, not for the processes; still not for the runtime's threads.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}
