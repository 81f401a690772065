//! The one error type of the program, and what the user is told about it.
//!
//! `Display` is a lowercase fragment that names the fact and never repeats its source's text; the chain is printed by
//! `report.rs`. Every variant knows its exit code and, where there is one, the mend. Errors of the AWS SDK become
//! [`AwsError`] at the boundary, since `SdkError` prints only "service error".

mod copy;
mod denied;
pub(crate) mod endpoint;
mod file_kind;
mod no_session;
mod refusal;
mod service;

use std::path::PathBuf;

use serde_json::Value;

use crate::config_schema::Unknown;
use crate::exit_code;
use crate::secrets::{self, Place};

pub use denied::Denied;
pub use file_kind::FileKind;
pub use no_session::NoSession;
pub use refusal::{Kind, Refusal};
pub use service::{AwsError, KubeError, RawStatus};

/// A result whose error is [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The one call of STS that nobody signs: it judges the token of a service account.
pub const WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";

/// Any other error as a source.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the program could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, variable or field has a value that cannot be used.
    #[error("invalid value `{value}` for {field}: {reason}")]
    Config {
        /// Flag or path in the configuration file.
        field: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        mend: String,
    },
    /// Something that must be given is missing, or flags contradict each other.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        mend: String,
    },
    /// A file that the user names cannot be read or understood.
    #[error("cannot use {kind} `{path}`")]
    ConfigFile {
        /// What it is for.
        kind: FileKind,
        /// The file, `-` for standard input.
        path: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The file of a component cannot be read or understood, or one that it names.
    #[error("cannot use component file `{path}`")]
    ComponentFile {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A file has a field that does not exist.
    #[error("unknown field `{}` in file `{path}`", unknown.path)]
    UnknownField {
        /// The file, `-` for standard input.
        path: String,
        /// The field, and those that exist at its place.
        unknown: Unknown,
    },
    /// No credentials were found, or they could not be loaded.
    #[error("no usable AWS credentials")]
    Credentials {
        /// What the provider chain said.
        #[source]
        source: Cause,
    },
    /// The cluster does not exist in that region for this account.
    #[error("cluster `{name}` not found in {region} (account {account})")]
    ClusterNotFound {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        region: String,
        /// The caller's account, or `unknown`.
        account: String,
        /// Clusters that exist there, nearest name first.
        near: Vec<String>,
    },
    /// The cluster exists but cannot be worked on now.
    #[error("cluster `{name}` is {status}, not ACTIVE")]
    ClusterNotActive {
        /// The cluster.
        name: String,
        /// Its status.
        status: String,
    },
    /// The caller's or the cluster's account is not the one that the configuration names.
    #[error("this is account {actual}, the configuration says {expected}")]
    WrongAccount {
        /// The account of the credentials.
        actual: String,
        /// The account of the configuration.
        expected: String,
    },
    /// AWS refused or failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The Kubernetes API server refused or failed.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// The Kubernetes API server does not answer, or another server answers in its place.
    #[error("the Kubernetes API server {endpoint} {}{}", silence(*intercepted), through(proxy.as_deref()))]
    ApiServerUnreachable {
        /// Its address.
        endpoint: String,
        /// Whether the cluster's endpoint is private only.
        private_only: bool,
        /// The proxy that was asked, with who names it and without its credentials.
        proxy: Option<String>,
        /// Whether a server answered whose certificate is of no authority of the cluster's.
        intercepted: bool,
        /// Why.
        #[source]
        source: Cause,
    },
    /// There is no helm.
    #[error("helm not found (looked at {looked})")]
    HelmNotFound {
        /// Where it was looked for.
        looked: String,
    },
    /// Helm is older than what this run needs.
    #[error("helm {version} at `{path}` is too old, {needed} is needed")]
    HelmTooOld {
        /// The binary.
        path: PathBuf,
        /// Its version.
        version: String,
        /// The oldest version that will do.
        needed: String,
    },
    /// Helm ran and failed.
    #[error("helm {command} failed: {message}")]
    HelmFailed {
        /// The sub-command and release, such as `upgrade aws-load-balancer-controller`.
        command: String,
        /// Its last words, without secrets.
        message: String,
        /// What was seen in the cluster while it ran, if that explains it.
        #[source]
        seen: Option<Seen>,
    },
    /// The chart is not where it was looked for.
    #[error("chart `{chart}` {version} not found in {place}")]
    ChartNotFound {
        /// The chart's name.
        chart: String,
        /// The wanted version.
        version: String,
        /// The folder or repository.
        place: String,
        /// Why, as far as known.
        reason: String,
    },
    /// An IAM document cannot be understood.
    #[error("cannot understand the IAM document of {owner}")]
    Document {
        /// The object that carries it.
        owner: String,
        /// Why.
        #[source]
        source: crate::policy::PolicyError,
    },
    /// A guard refused; nothing was changed.
    #[error("{what}")]
    Refused {
        /// What was refused and why.
        what: String,
        /// What to do.
        mend: String,
    },
    /// The world is no longer what the plan showed.
    #[error("the cluster changed since the plan: {what}")]
    Stale {
        /// Which step differs.
        what: String,
    },
    /// Something should have become true within its time and did not.
    #[error("{what} did not become true within {seconds} s: {last}")]
    NotSettled {
        /// The predicate.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// What was seen last.
        last: String,
    },
    /// A step, or another program, took longer than it may.
    #[error("{what} did not end within {}", crate::limits::shown(*.limit))]
    TimedOut {
        /// What was waited for, with what was seen of it last.
        what: String,
        /// How long.
        limit: std::time::Duration,
    },
    /// A program was ended because the run was told to stop.
    #[error("{what}")]
    Stopped {
        /// What was ended, and what it left.
        what: String,
    },
    /// A plugin of the kubeconfig that signs in gave nothing that can be used.
    #[error("the kubeconfig's sign-in plugin `{plugin}` gave no credentials")]
    ExecPlugin {
        /// The program.
        plugin: String,
        /// Why, with its last words; never what it wrote to its standard output.
        #[source]
        source: Cause,
        /// How to install it, as the kubeconfig says.
        install: Option<String>,
    },
    /// A write was taken, and what it was to change still differs.
    #[error("{writer} reports success, but {what}")]
    StillDiffers {
        /// Who took the write, such as `helm`.
        writer: &'static str,
        /// What differs, with the values before and after.
        what: String,
        /// How to find out why.
        mend: String,
    },
    /// The operating system refused something.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The sandbox could not be started or kept.
    #[error("sandbox: {what}")]
    Sandbox {
        /// What failed.
        what: String,
        /// Why.
        #[source]
        source: Cause,
    },
}

/// What was seen in the cluster, such as a pod that cannot be scheduled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Seen(pub String);

fn silence(intercepted: bool) -> &'static str {
    if intercepted {
        "is answered for by another server, whose certificate is not of the cluster's certificate authority,"
    } else {
        "does not answer"
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default()
}

/// Whether a server showed a certificate that no known authority has signed.
pub(crate) fn of_unknown_issuer(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::{CertificateError, Error};
    if matches!(error.downcast_ref(), Some(Error::InvalidCertificate(CertificateError::UnknownIssuer))) {
        return true;
    }
    // What an I/O error wraps is not its source, and it may be another I/O error.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => of_unknown_issuer(wrapped),
        None => error.source().is_some_and(of_unknown_issuer),
    }
}

/// An error and its sources, outermost first.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The texts of an error and its sources, outermost first.
pub fn chain_of(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    causes(error).map(ToString::to_string).collect()
}

impl Error {
    /// A value that cannot be used, with its mend. One that looks like a secret, such as an address with a password, is not shown.
    pub fn config(
        field: impl Into<String>,
        value: impl Into<String>,
        reason: impl Into<String>,
        mend: impl Into<String>,
    ) -> Error {
        let (field, value) = (field.into(), Value::String(value.into()));
        // After its name a field may say whose it is.
        let value = secrets::shown(&Place::of_path(field.split(' ').next().unwrap_or_default()), &value);
        Error::Config { field, value, reason: reason.into(), mend: mend.into() }
    }

    /// Something that the operating system refused.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        Error::Io { what: what.into(), source }
    }

    /// The exit code of the program for this error; the table stands in the README.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Config { .. }
            | Error::Usage { .. }
            | Error::ConfigFile { .. }
            | Error::ComponentFile { .. }
            | Error::UnknownField { .. } => exit_code::USAGE,
            Error::Credentials { .. } | Error::ExecPlugin { .. } => exit_code::NO_PERMISSION,
            Error::Aws(error) if error.denied() || error.bad_credentials() => exit_code::NO_PERMISSION,
            Error::Kube(_) | Error::HelmFailed { .. } if self.denied() => exit_code::NO_PERMISSION,
            Error::Refused { .. } | Error::Stale { .. } | Error::WrongAccount { .. } => exit_code::REFUSED,
            _ => exit_code::FAILED,
        }
    }

    /// Whether the credentials themselves were refused or could not be had, so that every further call would fail too.
    pub fn bad_credentials(&self) -> bool {
        match self {
            Error::Credentials { .. } => true,
            // There the token of a service account is judged, and nobody's credentials.
            Error::Aws(error) => error.bad_credentials() && error.operation != WEB_IDENTITY,
            Error::Kube(error) => error.status == Some(401),
            _ => false,
        }
    }

    /// Whether the caller was denied a call, by IAM or RBAC. What a denied read is about is unknown rather than absent.
    pub fn denied(&self) -> bool {
        match self {
            Error::Aws(error) => error.denied(),
            Error::Kube(error) => error.denied(),
            // Helm signs in as we do, and only its text tells.
            Error::HelmFailed { message, .. } => {
                Refusal::of_text(message).is_some_and(|refusal| refusal.kind == Kind::Denied)
            }
            _ => false,
        }
    }
}
