//! Why the local control plane could not be built, started or used.
//!
//! Returned by everything in this folder and shown by the `sandbox` command. `Display` is a lowercase fragment without
//! the source's text; what a child process wrote is part of the message, since it is nowhere else once the temporary
//! folder is gone.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

/// Why the control plane of the sandbox cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// There is no Go compiler and nothing was built before.
    #[error("building {what} needs Go {wanted} or newer, and no `go` is in PATH")]
    GoMissing {
        /// What was to be built.
        what: String,
        /// The oldest usable version.
        wanted: String,
    },
    /// The Go compiler is too old and may not fetch a newer one by itself.
    #[error("building {what} needs Go {wanted} or newer, found {found}")]
    GoTooOld {
        /// What was to be built.
        what: String,
        /// The oldest usable version.
        wanted: String,
        /// What `go version` says.
        found: String,
    },
    /// The Go compiler failed.
    #[error("`go` could not build {what} ({status}); its last words:\n{output}")]
    Build {
        /// What was to be built.
        what: String,
        /// How the compiler ended.
        status: ExitStatus,
        /// The last lines of its output.
        output: String,
    },
    /// `KUBEBUILDER_ASSETS` names a folder without the binaries.
    #[error("`KUBEBUILDER_ASSETS` is `{directory}`, which has no {missing}")]
    Assets {
        /// The folder.
        directory: PathBuf,
        /// The absent binaries.
        missing: String,
    },
    /// There is no folder in which built binaries can be kept.
    #[error("no cache folder: neither EKS_BOOTSTRAP_CACHE, XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// The control plane cannot behave as the wanted Kubernetes version.
    #[error("the control plane of the sandbox can be Kubernetes {supported}, not {wanted}")]
    Version {
        /// What was asked for.
        wanted: String,
        /// What there is.
        supported: String,
    },
    /// The cache is being filled.
    #[error("another process gets programs into `{folder}`")]
    Busy {
        /// The cache folder.
        folder: PathBuf,
    },
    /// The API server is too old for the sandbox.
    #[error("the API server of the sandbox is {found}, and the sandbox needs {oldest} or newer")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that is usable.
        oldest: String,
    },
    /// A program does not tell its version.
    #[error("`{program} --version` tells no version")]
    NoVersion {
        /// The program.
        program: PathBuf,
    },
    /// The certificate authorities for downloads are unusable.
    #[error("nothing can be downloaded")]
    Authorities {
        /// Why.
        #[source]
        source: Box<crate::error::Error>,
    },
    /// Programs can be had from no source.
    #[error("the programs of the sandbox are neither downloaded{} nor built", because(failures))]
    Nowhere {
        /// Why not downloaded; empty where that was not tried.
        failures: String,
        /// Why not built.
        #[source]
        source: Box<ControlPlaneError>,
    },
    /// A file or folder of ours cannot be written or read.
    #[error("cannot {doing} `{path}`")]
    File {
        /// A verb, such as "write".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate cannot be made.
    #[error("cannot make the certificate of {what}")]
    Certificate {
        /// Whose certificate.
        what: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The TLS settings of one of our servers are unusable.
    #[error("cannot set up TLS for {what}")]
    Tls {
        /// Which server.
        what: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// One of our servers cannot listen.
    #[error("cannot listen for {what}")]
    Listen {
        /// Which server.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program cannot be started.
    #[error("cannot start {program}")]
    Spawn {
        /// Which program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A child process ended although it should run on.
    #[error("{program} ended ({status}); its last words:\n{log}")]
    Exited {
        /// Which program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// Something did not become ready in time.
    #[error("{what} not ready after {} s: {observed}", waited.as_secs())]
    NotReady {
        /// What was awaited.
        what: String,
        /// For how long.
        waited: Duration,
        /// What was seen last.
        observed: String,
    },
    /// The Kubernetes API refused or failed a request.
    #[error("cannot {doing}")]
    Kubernetes {
        /// What was to be done.
        doing: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// A kubeconfig is unusable.
    #[error("cannot use context `{context}` of the kubeconfig: {reason}")]
    Kubeconfig {
        /// The context.
        context: String,
        /// What is wrong.
        reason: String,
    },
}

fn because(failures: &str) -> String {
    if failures.is_empty() { String::new() } else { format!(" ({failures})") }
}

impl ControlPlaneError {
    /// Says what the user can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::GoMissing { .. } | Self::GoTooOld { .. } => Some(
                "install a current Go from https://go.dev/dl/, set KUBEBUILDER_ASSETS to a folder with etcd, \
                 kube-apiserver, kube-controller-manager and kube-scheduler, or use an existing cluster with --context",
            ),
            Self::Build { .. } => Some(
                "the Go module proxy must be reachable (GOPROXY) and 4 GB of disk and memory be free; what is built stays in the cache",
            ),
            Self::Assets { .. } | Self::TooOld { .. } | Self::NoVersion { .. } => {
                Some("complete the folder, or unset KUBEBUILDER_ASSETS to have the programs downloaded or built")
            }
            Self::Nowhere { source, .. } => source.hint(),
            Self::Busy { .. } => Some("wait until it is through, or stop it"),
            Self::NoCache => Some("set EKS_BOOTSTRAP_CACHE to a writable folder"),
            Self::Exited { .. } | Self::NotReady { .. } => Some(
                "run the command again; if it fails in the same way, remove the cache folder so that the binaries are rebuilt",
            ),
            Self::Kubeconfig { .. } => Some("`kubectl config get-contexts` lists the contexts"),
            _ => None,
        }
    }

    pub(super) fn kubernetes(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kubernetes { doing, source: Box::new(source) }
    }

    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
