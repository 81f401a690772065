//! The fix for a refusal of Kubernetes or helm, by its kind: what really removes the cause, and whether the same command
//! helps after that. Pure.

use crate::component::BUILT_IN;
use crate::error::{Kind, Refusal};

/// Whether the same command is worth another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Yes: what was in the way goes by itself.
    AsItIs,
    /// Yes, once the cluster is fixed.
    AfterFix,
    /// No: the chart, its values or the flags have to change first, so it will be another command or another input.
    Changed,
}

/// The advice for `refusal`.
pub(super) fn fix(refusal: &Refusal) -> String {
    let (fix, again) = advice(refusal);
    match again {
        Again::AsItIs | Again::Changed => fix,
        Again::AfterFix => format!("{fix}; then run the same command again"),
    }
}

/// Whether the same command would be refused again.
pub(super) fn needs_change(refusal: &Refusal) -> bool {
    advice(refusal).1 == Again::Changed
}

fn advice(refusal: &Refusal) -> (String, Again) {
    let subject = |otherwise: &str| refusal.subject.clone().unwrap_or_else(|| otherwise.to_owned());
    let (text, again) = match refusal.kind {
        Kind::WebhookUnreachable => return (unreachable(refusal), Again::AfterFix),
        Kind::WebhookDenied => {
            let webhook = subject("the webhook");
            let text = format!(
                "the policy behind `{webhook}` does not accept the object: change the chart's values to fit it, or have \
                 its owner exempt the namespace"
            );
            return (text, Again::Changed);
        }
        Kind::AdmissionPolicy => {
            let policy = subject("the policy");
            let text = format!(
                "ValidatingAdmissionPolicy `{policy}` does not accept the object: change the chart's values to fit it, \
                 or have its owner exempt the namespace in the policy's binding"
            );
            return (text, Again::Changed);
        }
        Kind::PodSecurity => (
            "label the namespace with the level that the pods need (drivers on nodes need \
             `pod-security.kubernetes.io/enforce=privileged`)",
            Again::AfterFix,
        ),
        Kind::Quota => {
            let text =
                format!("raise {}, or delete what uses it up", subject("the quota or limit range of the namespace"));
            return (text, Again::AfterFix);
        }
        Kind::NamespaceTerminating => {
            let text = format!(
                "wait until namespace {0} is gone; `kubectl get namespace {0} -o yaml` says in its conditions what holds \
                 it",
                subject("NAME")
            );
            return (text, Again::AfterFix);
        }
        Kind::HeldInDeletion => (
            "start the controller that removes the finalizer; if it is gone for good, remove the finalizer by hand with \
             `kubectl edit`",
            Again::AfterFix,
        ),
        Kind::Denied => (
            "allow the caller to do that: `eks-bootstrap permissions --for apply --kubernetes` prints the RBAC rules",
            Again::AfterFix,
        ),
        Kind::Ownership => {
            let text = format!(
                "{} belongs to another tool or release: remove it there, or take it over with --adopt and the step's name",
                subject("the object")
            );
            return (text, Again::Changed);
        }
        Kind::Schema => {
            let text = format!(
                "correct the values of chart `{}`: its values.schema.json names the allowed fields and types",
                subject("NAME")
            );
            return (text, Again::Changed);
        }
        Kind::RecordTooLarge => (
            "Helm stores the whole chart in a Secret of at most 1 MiB, and something large lies in the chart's folder: find it \
             with `du -ah DIR | sort -h`, then delete it or list it in DIR/.helmignore",
            Again::AfterFix,
        ),
        Kind::PluginMissing => {
            let plugin = subject("the plugin");
            let text = format!("install `{plugin}`, or leave --kubeconfig out: eks-bootstrap then signs in by itself");
            return (text, Again::AfterFix);
        }
        Kind::PluginFailed => (
            "run the credential plugin of the kubeconfig by hand, or leave --kubeconfig out: eks-bootstrap then signs in \
             by itself",
            Again::AfterFix,
        ),
        Kind::KubernetesVersion => {
            let text = format!(
                "upgrade the cluster to Kubernetes {}, or choose a chart version that supports it",
                subject("the version that the chart needs")
            );
            return (text, Again::Changed);
        }
        Kind::Immutable => {
            let text = format!(
                "Kubernetes does not change this field of an existing {}: set the values back to what it has, or delete \
                 the object so that it is created again",
                subject("object")
            );
            return (text, Again::Changed);
        }
        Kind::Template => {
            let text = format!(
                "the chart cannot be rendered: correct the value that {} reads, or the template",
                subject("the template")
            );
            return (text, Again::Changed);
        }
        Kind::NoSuchKind => {
            let text = format!(
                "the cluster does not serve {}: CRDs of the charts have steps of their own (k8s.crds.*), so leave out --only or \
                 name those too; else install the CRDs, or choose a chart version for this Kubernetes",
                refusal.subject.as_ref().map_or_else(|| "this kind".to_owned(), |kind| format!("the kind {kind}"))
            );
            return (text, Again::AfterFix);
        }
        Kind::Invalid => ("the object is not valid: correct the chart's values that set this field", Again::Changed),
        Kind::InProgress => (
            "another helm works on this release: wait until it is done, then run the same command again",
            Again::AsItIs,
        ),
        Kind::Conflict => {
            let text = format!("stop {} from setting that field", subject("the other field manager"));
            return (text, Again::AfterFix);
        }
        Kind::Overloaded => ("the API server is overloaded: run the same command again later", Again::AsItIs),
        Kind::Interrupted => ("the connection broke off: run the same command again", Again::AsItIs),
        Kind::Image => (
            "nodes cannot pull the image: mirror it and set the chart's image values, or give the nodes a way to the registry",
            Again::AfterFix,
        ),
        Kind::Unschedulable => ("add or free nodes, or tolerate their taints in the chart's values", Again::AfterFix),
        Kind::Volume => ("create what the volume needs, as `kubectl describe pod` shows it", Again::AfterFix),
        Kind::Crash => ("fix what the container reports (`kubectl logs`, `kubectl describe pod`)", Again::AfterFix),
        Kind::Reported => ("fix what is reported", Again::AfterFix),
        Kind::TimedOut => (
            "it was slow: look at `kubectl get pods,events`, then run the same command again, or raise --timeout",
            Again::AsItIs,
        ),
    };
    (text.to_owned(), again)
}

/// Which webhook does not answer, whose it is, and what helps.
fn unreachable(refusal: &Refusal) -> String {
    let webhook = refusal.subject.as_deref().unwrap_or("the webhook");
    let Some((namespace, name)) = &refusal.service else {
        return format!("webhook `{webhook}` does not answer: start it, or set its failurePolicy to Ignore meanwhile");
    };
    let ours = BUILT_IN.iter().find(|component| component.webhook_service == Some(name.as_str()));
    if let Some(component) = ours {
        return format!(
            "webhook `{webhook}` belongs to {}, whose pods do not answer: `kubectl get pods -n {namespace}` shows why, \
             and `eks-bootstrap verify` checks the way to it",
            component.name
        );
    }
    format!(
        "webhook `{webhook}` is not managed by eks-bootstrap: start the pods behind its Service {namespace}/{name}, or \
         exempt the namespace in its namespaceSelector, or set its failurePolicy to Ignore meanwhile"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What helps without a change of the command, and what does not.
    const AGAIN: [Kind; 18] = [
        Kind::WebhookUnreachable,
        Kind::PodSecurity,
        Kind::Quota,
        Kind::NamespaceTerminating,
        Kind::HeldInDeletion,
        Kind::Denied,
        Kind::RecordTooLarge,
        Kind::PluginMissing,
        Kind::PluginFailed,
        Kind::NoSuchKind,
        Kind::InProgress,
        Kind::Conflict,
        Kind::Overloaded,
        Kind::Interrupted,
        Kind::Image,
        Kind::Unschedulable,
        Kind::Volume,
        Kind::TimedOut,
    ];
    const CHANGED: [Kind; 8] = [
        Kind::WebhookDenied,
        Kind::AdmissionPolicy,
        Kind::Ownership,
        Kind::Schema,
        Kind::KubernetesVersion,
        Kind::Immutable,
        Kind::Template,
        Kind::Invalid,
    ];

    #[test]
    fn the_same_command_again_is_said_only_where_it_helps() {
        for (kinds, again) in [(&AGAIN[..], true), (&CHANGED, false)] {
            for kind in kinds {
                let refusal = Refusal { kind: *kind, subject: Some("x".to_owned()), service: None };
                assert_eq!(fix(&refusal).contains("run the same command again"), again, "{kind:?}: {}", fix(&refusal));
                assert_eq!(needs_change(&refusal), !again, "{kind:?}");
            }
        }
    }

    #[test]
    fn webhooks_are_told_apart_by_their_service() {
        let of = |name: &str| {
            unreachable(&Refusal {
                kind: Kind::WebhookUnreachable,
                subject: Some("m.x".to_owned()),
                service: Some(("n".to_owned(), name.to_owned())),
            })
        };
        assert!(of("aws-load-balancer-webhook-service").contains("belongs to aws-load-balancer-controller"));
        assert!(
            of("kyverno-svc").contains("not managed by eks-bootstrap: start the pods behind its Service n/kyverno-svc")
        );
    }
}
