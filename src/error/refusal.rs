//! Why Kubernetes or helm refused, as a kind that the program can decide by.
//!
//! The API server tells status and reason, but most refusals share a few of them (403 is RBAC, a quota, Pod Security, an
//! admission policy or a namespace that goes), and of helm there is only the text on stderr. So texts are recognised, by
//! the table in `table.rs` and nowhere else; a status narrows what a text can mean. Pure.

mod table;

use super::KubeError;
use table::ROWS;

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An admission webhook answered no.
    WebhookDenied,
    /// An admission webhook that fails closed did not answer.
    WebhookUnreachable,
    /// A `ValidatingAdmissionPolicy` says no.
    AdmissionPolicy,
    /// The namespace's Pod Security level does not allow the pod.
    PodSecurity,
    /// A `ResourceQuota` or `LimitRange` is in the way.
    Quota,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// An object or its finalizer keeps something from being deleted.
    HeldInDeletion,
    /// RBAC denies the caller.
    Denied,
    /// An object of the chart belongs to someone else.
    Ownership,
    /// The values do not fit the chart's schema.
    Schema,
    /// Helm's record of the release does not fit into a Secret, or a request into the API server.
    RecordTooLarge,
    /// The kubeconfig names a credential plugin that is not installed.
    PluginMissing,
    /// The credential plugin of the kubeconfig failed.
    PluginFailed,
    /// The chart wants another version of Kubernetes.
    KubernetesVersion,
    /// A field that cannot be changed differs.
    Immutable,
    /// A template of the chart cannot be rendered.
    Template,
    /// The API server does not know the kind.
    NoSuchKind,
    /// The object is not valid.
    Invalid,
    /// Another helm works on the release, or died at it.
    InProgress,
    /// A field belongs to another field manager.
    Conflict,
    /// The API server is overloaded.
    Overloaded,
    /// The API server, or the way to it, broke off.
    Interrupted,
    /// Nodes cannot pull an image.
    Image,
    /// No node takes a pod.
    Unschedulable,
    /// A volume cannot be attached or mounted.
    Volume,
    /// A container ends, or its probe fails.
    Crash,
    /// A controller reports that it failed.
    Reported,
    /// Something was not ready in time.
    TimedOut,
}

/// A refusal that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub kind: Kind,
    /// What it speaks of: a webhook, policy, quota, file, kind or plugin, as far as the text names one.
    pub subject: Option<String>,
    /// Namespace and name of the Service behind a webhook that did not answer.
    pub service: Option<(String, String)>,
}

impl Refusal {
    /// What a text of helm, of an event or of a pod means.
    pub fn of_text(text: &str) -> Option<Refusal> {
        Refusal::find(text, None)
    }

    /// What an answer of the API server means.
    pub fn of_kube(error: &KubeError) -> Option<Refusal> {
        let of_status = |kind: Kind| Refusal { kind, subject: None, service: None };
        Refusal::find(&error.message, error.status).or_else(|| match error.status? {
            422 => Some(of_status(Kind::Invalid)),
            429 => Some(of_status(Kind::Overloaded)),
            _ => None,
        })
    }

    fn find(text: &str, status: Option<u16>) -> Option<Refusal> {
        let fits = |statuses: &[u16]| status.is_none_or(|status| statuses.is_empty() || statuses.contains(&status));
        let row = ROWS.iter().find(|row| fits(row.statuses) && row.parts.iter().all(|part| text.contains(part)))?;
        let subject =
            row.subject.iter().find_map(|(before, after)| between(text, before, after)).map(ToOwned::to_owned);
        let service = (row.kind == Kind::WebhookUnreachable).then(|| service(text)).flatten();
        Some(Refusal { kind: row.kind, subject, service })
    }
}

impl Kind {
    /// Whether helm only waited in vain, or lost its connection, so that what it waited for has to say why.
    pub fn is_a_wait(self) -> bool {
        matches!(self, Kind::TimedOut | Kind::Interrupted)
    }

    /// Whether it comes from admission or validation, which look at the object and not at who sends it.
    pub fn is_of_the_object(self) -> bool {
        use Kind::{AdmissionPolicy, NamespaceTerminating, PodSecurity, Quota, WebhookDenied, WebhookUnreachable};
        matches!(
            self,
            AdmissionPolicy | NamespaceTerminating | PodSecurity | Quota | WebhookDenied | WebhookUnreachable
        )
    }
}

/// What stands between two parts of a text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(rest[..rest.find(after)?].trim()).filter(|found| !found.is_empty())
}

/// The Service that a webhook is asked through: `Post "https://NAME.NAMESPACE.svc:443/path"`.
fn service(text: &str) -> Option<(String, String)> {
    let host = between(text, "Post \"https://", "/")?.split(':').next()?;
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    Some((namespace.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests;
