//! Whether the connection verifies who answers as the API server.

use super::CERTIFICATE;
use crate::check::Finding;
use crate::context::ReadContext;

/// The finding; with the endpoint of EKS the certificate authority is always that of EKS.
pub(super) fn verified(cx: &ReadContext) -> Finding {
    judged(cx.kube.unverified(), &cx.facts.cluster, &cx.facts.region)
}

fn judged(unverified: Option<&str>, cluster: &str, region: &str) -> Finding {
    match unverified {
        None => CERTIFICATE.passed("the API server's certificate is verified"),
        Some(entry) => CERTIFICATE.failed(
            "the kubeconfig turns off the verification of the API server's certificate",
            format!("insecure-skip-tls-verify: true in the cluster entry `{entry}`"),
            "certificate-authority-data of the cluster, and no insecure-skip-tls-verify",
            format!("aws eks update-kubeconfig --name {cluster} --region {region}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};

    #[test]
    fn an_entry_that_verifies_nothing_is_named() {
        assert_eq!(judged(None, "demo", "eu-west-1").verdict, Verdict::Passed);
        let finding = judged(Some("tunnel"), "demo", "eu-west-1");
        assert_eq!(finding.severity(), Some(Severity::Warning));
        assert!(matches!(finding.verdict, Verdict::Failed { observed, .. } if observed.ends_with("`tunnel`")));
    }
}
