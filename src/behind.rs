//! Which cluster a kubeconfig of the user's leads to. AWS is asked about `--cluster`, and the kubeconfig may lead to any other:
//! what is planned for one must not be written into the other. Reads only; asked before the first write, by the plan's notes and
//! by `verify`.
//!
//! Any one of three proofs will do, and the first of them asks nobody. EKS gives every cluster a certificate authority of its own
//! (<https://docs.aws.amazon.com/eks/latest/userguide/cert-signing.html>) and an issuer of its own
//! (<https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html>).

use std::fmt;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::context::{Facts, ReadContext};
use crate::error::{Error, Result};
use crate::kube_client::certificates;
use crate::names;
use crate::read::kube::ObjectRef;

/// What clients inside a cluster trust; every namespace has it, written by the controller manager.
/// <https://kubernetes.io/docs/reference/config-api/kube-controller-manager-config.v1alpha1/>
pub(crate) const ROOT_CA: (&str, &str) = ("kube-system", "kube-root-ca.crt");
/// Where the kubeconfig leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// To the cluster; says by what that is known.
    TheCluster(&'static str),
    /// To another one, with what was compared.
    Another(Vec<Compared>),
    /// Nobody knows, with what was compared and what could not be read.
    Unknown(Vec<Compared>),
}

/// Two values of one thing that differ, or one that could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    what: &'static str,
    found: String,
    expected: String,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, of the cluster: {}", self.what, self.found, self.expected)
    }
}

/// Looks for a proof. None where no kubeconfig is used, since the endpoint and the certificate authority are then those of EKS.
///
/// # Errors
/// The API server does not answer, or does not know the caller.
pub(crate) async fn look(cx: &ReadContext) -> Result<Option<Behind>> {
    if cx.config.kubeconfig.is_none() {
        return Ok(None);
    }
    let facts = &cx.facts;
    let own = certificates(facts.ca_pem.as_bytes()).unwrap_or_default();
    let expected = shown(&own);
    let trusted = cx.kube.authorities();
    // Whoever answers has shown a certificate of one of these, so all of them have to be the cluster's. Where the server is reached
    // (a tunnel, a bastion, another name) makes no difference to that.
    if !trusted.is_empty() && trusted.iter().all(|one| own.contains(one)) {
        return Ok(Some(Behind::TheCluster("it trusts the cluster's certificate authority")));
    }
    let found = if trusted.is_empty() { "none that is checked".to_owned() } else { shown(trusted) };
    let mut compared =
        vec![Compared { what: "certificate authority of the kubeconfig", found, expected: expected.clone() }];
    let mut another = false;

    let (namespace, name) = ROOT_CA;
    let what = "ConfigMap kube-system/kube-root-ca.crt";
    let found = match cx.kube.get(&ObjectRef::new("v1", "ConfigMap", namespace, name)).await {
        Ok(object) => {
            let text = object.as_ref().and_then(|object| object.pointer("/data/ca.crt")).and_then(Value::as_str);
            let inside = text.and_then(|text| certificates(text.as_bytes()).ok()).unwrap_or_default();
            if inside.iter().any(|one| own.contains(one)) {
                return Ok(Some(Behind::TheCluster("its kube-root-ca.crt holds the cluster's certificate authority")));
            }
            another |= !inside.is_empty();
            if inside.is_empty() { "not there".to_owned() } else { shown(&inside) }
        }
        Err(error) => unreadable(error)?,
    };
    compared.push(Compared { what, found, expected });

    let found = match cx.kube.issuer().await {
        Ok(issuer) => {
            if issuer.as_deref().is_some_and(|issuer| same_issuer(issuer, facts)) {
                return Ok(Some(Behind::TheCluster("its tokens come from the cluster's issuer")));
            }
            another |= issuer.is_some();
            issuer.unwrap_or_else(|| "not told".to_owned())
        }
        Err(error) => unreadable(error)?,
    };
    compared.push(Compared { what: "token issuer", found, expected: facts.issuer.clone() });
    Ok(Some(if another { Behind::Another(compared) } else { Behind::Unknown(compared) }))
}

/// Makes sure that writes go to the cluster that is meant.
///
/// # Errors
/// There is no proof that they do, or it could not be looked for.
pub(crate) async fn require(cx: &ReadContext) -> Result<()> {
    let Some(behind) = look(cx).await? else { return Ok(()) };
    match said(&behind, cx) {
        None => Ok(()),
        Some((what, mend)) => Err(Error::Refused { what: format!("{what}; nothing was changed"), mend }),
    }
}

/// What is wrong with where it leads, and what to do; none where it leads to the cluster.
pub(crate) fn said(behind: &Behind, cx: &ReadContext) -> Option<(String, String)> {
    let file = cx.config.kubeconfig.as_deref().unwrap_or(std::path::Path::new("")).display();
    let cluster = &cx.facts.cluster;
    let (what, compared) = match behind {
        Behind::TheCluster(_) => return None,
        Behind::Another(compared) => {
            (format!("kubeconfig `{file}` leads to another cluster than `{cluster}`"), compared)
        }
        Behind::Unknown(compared) => {
            (format!("nothing shows that kubeconfig `{file}` leads to cluster `{cluster}`"), compared)
        }
    };
    let compared: Vec<_> = compared.iter().map(ToString::to_string).collect();
    let mend = match behind {
        Behind::Unknown(_) => format!(
            "use a kubeconfig with the cluster's certificate authority (aws eks update-kubeconfig --name {cluster} --region {}), or \
             allow the caller what `eks-bootstrap permissions --kubernetes --kubeconfig {file}` prints",
            cx.facts.region
        ),
        _ => format!(
            "name another --kubeconfig or --context (aws eks update-kubeconfig --name {cluster} --region {} writes one), or the \
             --cluster that it leads to",
            cx.facts.region
        ),
    };
    Some((format!("{what} ({})", compared.join("; ")), mend))
}

/// What cannot be read proves nothing; without an answer, or without a sign-in, nothing else can be read either.
fn unreadable(error: Error) -> Result<String> {
    match error {
        Error::Kube(error) if error.status.is_some_and(|status| status != 401) => Ok(format!("not readable ({error})")),
        error => Err(error),
    }
}

fn same_issuer(found: &str, facts: &Facts) -> bool {
    !facts.issuer.is_empty() && names::issuer_host(found) == names::issuer_host(&facts.issuer)
}

/// Certificates by the beginnings of their SHA-256, as `openssl x509 -fingerprint -sha256` prints them.
fn shown(all: &[Vec<u8>]) -> String {
    let short = |one: &Vec<u8>| {
        let digest = Sha256::digest(one);
        let pairs: Vec<_> = digest.iter().take(6).map(|byte| format!("{byte:02X}")).collect();
        format!("SHA-256 {}...", pairs.join(":"))
    };
    if all.is_empty() { "none".to_owned() } else { all.iter().map(short).collect::<Vec<_>>().join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::facts;
    use crate::error::KubeError;

    #[test]
    fn an_issuer_is_the_same_whatever_its_end() {
        assert!(same_issuer("https://oidc.eks.eu-west-1.amazonaws.com/id/0/", &facts()));
        assert!(!same_issuer("https://oidc.eks.eu-west-1.amazonaws.com/id/1", &facts()));
        assert!(!same_issuer("", &Facts { issuer: String::new(), ..facts() }));
    }

    #[test]
    fn a_denied_read_proves_nothing_and_a_missing_answer_ends_it() {
        let of = |status: Option<u16>| {
            let (operation, message) = ("get x".to_owned(), "no".to_owned());
            unreadable(KubeError { operation, status, reason: String::new(), message }.into())
        };
        assert!(of(Some(403)).unwrap().contains("not readable"));
        assert!(of(Some(401)).is_err() && of(None).is_err());
    }
}
