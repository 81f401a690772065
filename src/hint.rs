//! What to do about an error: one line each, or nothing where nothing sensible can be said. Exhaustive, so that a new error has
//! to think of its mend, and pure but for the region of the run and whom the machine trusts.

mod addon;
mod refused;
mod region;

use crate::authorities;
use crate::config;
use crate::error::{AwsError, Error, Kind, KubeError, NoSession, Refusal, Seen, chain_of, endpoint};
#[cfg(feature = "sandbox")]
use crate::sandbox::control_plane::ControlPlaneError;

/// The mend of `error`.
pub fn of(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Config { mend, .. }
        | Error::Usage { mend, .. }
        | Error::Refused { mend, .. }
        | Error::StillDiffers { mend, .. } => mend.clone(),
        Error::ConfigFile { kind, .. } => kind.fix().to_owned(),
        Error::ComponentFile { .. } => {
            "`eks-bootstrap config schema --component` prints the form; the README names two files to start from"
                .to_owned()
        }
        Error::UnknownField { unknown, .. } => {
            let known = unknown.known.join(", ");
            match unknown.known.first().filter(|_| unknown.near) {
                Some(near) => format!("did you mean `{near}`? Known there: {known}"),
                None => format!("known there: {known}"),
            }
        }
        Error::Credentials { source } => of_credentials(source.as_ref()),
        Error::ClusterNotFound { near, region, .. } if near.is_empty() => {
            format!("there is no EKS cluster in {region} for these credentials; check --region and --profile")
        }
        Error::ClusterNotFound { near, .. } => format!("did you mean {}? Check --region too", near.join(", ")),
        Error::ClusterNotActive { status, .. } => match status.as_str() {
            "CREATING" | "UPDATING" | "PENDING" => {
                "wait until the cluster is ACTIVE, then run the same command".to_owned()
            }
            _ => "mend the cluster first: `aws eks describe-cluster` shows its health".to_owned(),
        },
        Error::WrongAccount { .. } => {
            "choose the account's profile with --profile or its role with --assume-role, or correct the account"
                .to_owned()
        }
        Error::Aws(error) => return of_aws(error),
        Error::Kube(error) => return of_kube(error),
        Error::ApiServerUnreachable { intercepted: true, endpoint, .. } => {
            format!(
                "a proxy that inspects TLS does that: have {} left out of the inspection, or name it in NO_PROXY where there is \
                 a way around the proxy",
                endpoint.split("://").last().unwrap_or_default().trim_end_matches('/')
            )
        }
        Error::ApiServerUnreachable { proxy: Some(_), .. } => {
            "check the proxy's address, its sign-in and what it lets through; if no proxy leads to the API server, name its \
             host in NO_PROXY"
                .to_owned()
        }
        Error::ApiServerUnreachable { private_only: true, .. } => {
            "the cluster's endpoint is private: run this inside the VPC (or over its VPN), or pass --kubeconfig \
             with a proxy or tunnel"
                .to_owned()
        }
        Error::ApiServerUnreachable { private_only: false, .. } => {
            "check the network and the cluster's publicAccessCidrs".to_owned()
        }
        Error::HelmNotFound { .. } => {
            "install Helm 3.14 or newer (https://helm.sh/docs/intro/install), or name the binary with --helm".to_owned()
        }
        Error::HelmTooOld { needed, .. } => {
            format!("install Helm {needed} or newer, or name another binary with --helm")
        }
        Error::HelmFailed { message, seen, .. } => match of_helm(message, seen.as_ref()) {
            Some(refusal) => refused::fix(&refusal),
            None => "fix that, then run the same command again: what is done stays done".to_owned(),
        },
        Error::ChartNotFound { reason, place, .. } if place.starts_with("oci://") && is_login(reason) => {
            format!(
                "sign in with `helm registry login {}`",
                place.trim_start_matches("oci://").split('/').next().unwrap_or_default()
            )
        }
        // Go's words, which helm prints (https://pkg.go.dev/crypto/x509#UnknownAuthorityError).
        Error::ChartNotFound { reason, .. } if reason.contains("certificate signed by unknown authority") => {
            "give the CA of whoever answers, such as a proxy that inspects TLS, in AWS_CA_BUNDLE or SSL_CERT_FILE".to_owned()
        }
        Error::ChartNotFound { .. } => {
            "without a way to the chart repository, put the chart into a folder and pass it with --charts".to_owned()
        }
        Error::Document { .. } => "correct the document in IAM, or adopt the object with --adopt".to_owned(),
        Error::Stale { .. } => "look at the new plan, then apply that".to_owned(),
        Error::NotSettled { last, .. } => match Refusal::of_text(last) {
            Some(refusal) => refused::fix(&refusal),
            None => "AWS or the cluster is slow: run the same command again, or raise --timeout".to_owned(),
        },
        #[cfg(feature = "sandbox")]
        Error::Sandbox { source, .. } => {
            let error = source.downcast_ref::<ControlPlaneError>();
            return error.and_then(ControlPlaneError::hint).map(ToOwned::to_owned);
        }
        #[cfg(not(feature = "sandbox"))]
        Error::Sandbox { .. } => return None,
        Error::TimedOut { .. } => {
            "find out why it hangs, or raise --timeout if it is only slow; then run the same command again".to_owned()
        }
        Error::Stopped { .. } => "run the same command again".to_owned(),
        Error::ExecPlugin { install: Some(install), .. } => install.clone(),
        Error::ExecPlugin { plugin, .. } => {
            format!("sign in with `{plugin}` yourself, then run the same command again")
        }
        Error::Io { .. } => return None,
    };
    Some(hint)
}

/// Whether a registry asked who the caller is.
fn is_login(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["401", "403", "unauthorized", "authentication required", "credential", "denied"]
        .iter()
        .any(|word| reason.contains(word))
}

fn no_credentials() -> String {
    "set AWS_PROFILE or pass --profile, log in with `aws sso login`, or export AWS_ACCESS_KEY_ID and \
     AWS_SECRET_ACCESS_KEY"
        .to_owned()
}

/// Where there are no credentials: what their provider knows to do, what the region has to do with it, or how to have some.
fn of_credentials(source: &(dyn std::error::Error + 'static)) -> String {
    if let Some(session) = NoSession::of(source) {
        return session.mend.clone();
    }
    let chain = chain_of(source);
    if let Some(mend) = chain.iter().find_map(|text| NoSession::mend_of_text(text)) {
        return mend;
    }
    let text = chain.join(": ");
    region::of_text(&text, endpoint::region().as_deref()).unwrap_or_else(no_credentials)
}

fn of_aws(error: &AwsError) -> Option<String> {
    if let Some(mend) = NoSession::mend_of_text(&error.message).filter(|_| error.no_credentials) {
        return Some(mend);
    }
    if let Some(hint) = region::of_aws(error, endpoint::region().as_deref()) {
        return Some(hint);
    }
    if error.no_credentials {
        return Some(no_credentials());
    }
    match error.code.as_deref() {
        Some("ExpiredToken" | "ExpiredTokenException") => {
            return Some("the credentials have expired: log in again (for SSO: `aws sso login`)".to_owned());
        }
        Some("InvalidClientTokenId" | "UnrecognizedClientException") => {
            return Some("AWS does not know these credentials: check --profile and the environment".to_owned());
        }
        Some("SignatureDoesNotMatch" | "InvalidSignatureException") => {
            return Some("check the secret key and this machine's clock".to_owned());
        }
        Some("NoSuchEntity") if error.operation == "iam:CreateRole" => {
            return Some(
                "the permissions boundary has to exist in this account before a role can have it: create that policy, or \
                 correct --permissions-boundary"
                    .to_owned(),
            );
        }
        Some("LimitExceeded") if error.operation == "iam:CreateOpenIDConnectProvider" => {
            return Some(
                "delete the providers of clusters that are gone (aws iam list-open-id-connect-providers), have the quota \
                 raised, or use EKS Pod Identity, which needs none (--identity pod-identity)"
                    .to_owned(),
            );
        }
        Some("LimitExceeded" | "LimitExceededException") => {
            return Some("an IAM quota is used up: delete what is not needed or ask AWS to raise it".to_owned());
        }
        _ if addon::is_of_configuration(error) => return Some(addon::fix(error)),
        // The engine has waited for as long as IAM may take to show what exists.
        Some("EntityAlreadyExists") => {
            return Some(
                "IAM says that it exists and does not show it: if it is under another path (for policies: aws iam \
                 list-policies --scope Local), name that with --iam-path"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if error.denied() {
        return Some(format!("allow {} for the caller, or use another --profile or --assume-role", error.operation));
    }
    if error.untrusted && authorities::machine_has_none() && config::variable("AWS_CA_BUNDLE").is_none() {
        return Some(
            "there are no certificate authorities on this machine, as in a bare container image: install its package \
             ca-certificates, or give a file of them in SSL_CERT_FILE"
                .to_owned(),
        );
    }
    if error.untrusted {
        return Some(
            "no authority that this machine trusts has signed that certificate: behind a proxy that inspects TLS, give \
             its CA in AWS_CA_BUNDLE or as the profile's ca_bundle"
                .to_owned(),
        );
    }
    if error.code.is_none() {
        return Some("AWS did not answer: check the network, the proxy, --region and --endpoint-url".to_owned());
    }
    None
}

fn of_kube(error: &KubeError) -> Option<String> {
    // Of a denied call more is known than its kind.
    if let Some(refusal) = Refusal::of_kube(error).filter(|refusal| refusal.kind != Kind::Denied) {
        return Some(refused::fix(&refusal));
    }
    match error.status {
        Some(401) => Some(
            "the API server does not know the caller: `eks-bootstrap permissions --kubernetes` prints how to map it (an \
             access entry, or aws-auth)"
                .to_owned(),
        ),
        Some(403) => Some(format!(
            "allow the caller to {}: `eks-bootstrap permissions --kubernetes` prints the RBAC rules",
            error.operation
        )),
        _ => None,
    }
}

/// What a failed run of helm means: what it said, or, where it only waited in vain, what was seen in the cluster meanwhile.
fn of_helm(message: &str, seen: Option<&Seen>) -> Option<Refusal> {
    let said = Refusal::of_text(message);
    let waited = said.as_ref().is_none_or(|said| said.kind.is_a_wait());
    match seen {
        Some(seen) if waited => Refusal::of_text(&seen.0),
        _ => said,
    }
}

/// Whether the same command would fail again, since the chart, its values or the flags have to change first.
pub fn needs_change(error: &Error) -> bool {
    let refusal = match error {
        Error::Aws(error) => return addon::is_of_configuration(error),
        Error::Kube(error) => Refusal::of_kube(error),
        Error::HelmFailed { message, seen, .. } => of_helm(message, seen.as_ref()),
        Error::NotSettled { last, .. } => Refusal::of_text(last),
        _ => None,
    };
    refusal.is_some_and(|refusal| refused::needs_change(&refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str, seen: Option<&str>) -> (String, bool) {
        let seen = seen.map(|seen| Seen(seen.to_owned()));
        let error = Error::HelmFailed { command: "upgrade x".to_owned(), message: message.to_owned(), seen };
        (of(&error).unwrap(), needs_change(&error))
    }

    #[test]
    fn what_was_seen_explains_a_helm_that_waited_and_no_other() {
        let pods = Some("pod ...x7k2q Unschedulable: 0/2 nodes are available");
        let (hint, needs_change) = failed("UPGRADE FAILED: context deadline exceeded", pods);
        assert!(hint.starts_with("add or free nodes") && !needs_change, "{hint}");
        let (hint, needs_change) = failed(
            "UPGRADE FAILED: values don't meet the specifications of the schema(s) in the following chart(s): x: y",
            pods,
        );
        assert!(hint.starts_with("correct the values of chart `x`") && needs_change, "{hint}");
        let (hint, _) = failed("UPGRADE FAILED: context deadline exceeded", None);
        assert!(hint.contains("run the same command again, or raise --timeout"), "{hint}");
        let (hint, needs_change) = failed("something new", None);
        assert!(hint.starts_with("fix that") && !needs_change, "{hint}");
    }

    #[test]
    fn a_role_waits_for_no_boundary_that_nobody_made() {
        let error = |operation: &str| {
            Error::Aws(AwsError {
                operation: operation.to_owned(),
                code: Some("NoSuchEntity".to_owned()),
                message: "x".to_owned(),
                request_id: None,
                status: Some(404),
                no_credentials: false,
                untrusted: false,
            })
        };
        assert!(crate::retry::transient(&error("iam:CreateRole"), true).is_none());
        assert!(crate::retry::transient(&error("iam:AttachRolePolicy"), false).is_some());
        assert!(of(&error("iam:CreateRole")).unwrap().contains("permissions boundary"));
    }

    #[test]
    fn what_settles_late_is_told_apart_from_what_is_held() {
        let of_last = |last: &str| {
            of(&Error::NotSettled { what: "k8s.namespace.dns".to_owned(), seconds: 20, last: last.to_owned() }).unwrap()
        };
        assert!(of_last("Namespace/dns is being deleted since x, held by y").contains("removes the finalizer"));
        assert!(of_last("1 CRDs are not established yet").contains("raise --timeout"));
    }
}
