//! What a cluster that was deleted and made again under its name leaves in IAM: OIDC providers of ours for its former issuers.
//!
//! An ARN names one cluster at a time, and EKS gives every cluster an issuer of its own, so a provider that we made for this ARN
//! and that has another issuer is of a cluster that is gone. Nobody gets a token of that issuer any more, and deleting the
//! provider changes no role (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteOpenIDConnectProvider.html>).
//! IAM lists providers without their tags, so each that may be one is asked for. Used by the provider's step, and at the end of
//! a destroy.

use futures::stream::{self, StreamExt as _};

use crate::context::Facts;
use crate::error::Result;
use crate::names;
use crate::owner;
use crate::read::iam::IamRead;

/// How many providers are asked for at once: an account has a hundred, and IAM answers a few calls a second.
const AT_ONCE: usize = 8;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Former {
    /// ARNs of providers of ours for former issuers of the cluster, sorted.
    pub arns: Vec<String>,
    /// What the caller may not read; then there may be more.
    pub denied: Option<String>,
}

/// Looks for them.
///
/// # Errors
/// A read that failed for another reason than a lack of permission.
pub async fn providers(iam: &IamRead, facts: &Facts) -> Result<Former> {
    let all = match iam.oidc_providers().await {
        Ok(all) => all,
        Err(error) if error.denied() => return Ok(Former { denied: Some(error.to_string()), ..Former::default() }),
        Err(error) => return Err(error),
    };
    let current = facts.provider_arn();
    let likely = all.into_iter().filter(|arn| *arn != current && may_be_of_region(arn, facts));
    let asked: Vec<_> = stream::iter(likely)
        .map(|arn| async move {
            let found = iam.oidc_provider(&arn).await;
            (arn, found)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut former = Former::default();
    for (arn, found) in asked {
        match found {
            Ok(Some(provider)) if owner::is_made_for(&provider.tags, &facts.arn) => former.arns.push(arn),
            Ok(_) => {}
            Err(error) if error.denied() => former.denied = Some(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    former.arns.sort();
    Ok(former)
}

/// Whether a provider may be that of an EKS cluster in this region: the hosts of EKS' issuers name their region.
fn may_be_of_region(arn: &str, facts: &Facts) -> bool {
    let host = |issuer: &str| issuer.split('/').next().unwrap_or_default().to_owned();
    let Some((_, issuer)) = arn.split_once(":oidc-provider/") else { return false };
    let host_of_provider = host(issuer);
    host_of_provider == host(names::issuer_host(&facts.issuer))
        || host_of_provider.split('.').any(|label| label == facts.region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_issuers_of_the_region_are_asked_for() {
        let facts = Facts::offline("demo", "eu-west-1", "111122223333");
        let likely =
            |issuer: &str| may_be_of_region(&format!("arn:aws:iam::111122223333:oidc-provider/{issuer}"), &facts);
        assert!(likely("oidc.eks.eu-west-1.amazonaws.com/id/A") && likely("oidc-eks.eu-west-1.api.aws/id/A"));
        assert!(!likely("oidc.eks.eu-west-2.amazonaws.com/id/A") && !likely("token.actions.githubusercontent.com"));
    }
}
