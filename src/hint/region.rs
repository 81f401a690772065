//! What errors have to do with the region: one that the account has not enabled is answered as if the credentials were wrong, and one that
//! does not exist has no hosts. Pure.
//!
//! A region that is not enabled knows no keys of the account: `InvalidClientTokenId` of STS, `UnrecognizedClientException` of EKS and the
//! tagging API, `AuthFailure` of EC2 (segmentio/aws-okta#225, aws/aws-sdk-ruby#2850). Only who asks STS for credentials is told why.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors>

use crate::error::AwsError;
use crate::regions;

/// STS gives no credentials in this region: it is not enabled, or STS is deactivated there.
const DISABLED: &str = "RegionDisabledException";
/// What services say of keys that their region does not know.
const UNKNOWN_KEYS: [&str; 4] = ["InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "OptInRequired"];
/// Services that have one place for all regions.
const GLOBAL: [&str; 2] = ["iam:", "globalaccelerator:"];

/// The hint for an answer of AWS's, or for none, where the region may be the cause.
pub(super) fn of_aws(error: &AwsError, region: Option<&str>) -> Option<String> {
    let region = region.filter(|_| !GLOBAL.iter().any(|service| error.operation.starts_with(service)))?;
    match error.code.as_deref() {
        Some(code) => of_code(code, region),
        None if error.no_credentials => of_text(&error.message, Some(region)),
        None if error.status.is_none() => misspelt(region),
        None => None,
    }
}

/// The same for the text of a credentials provider, which holds the code that STS answered.
pub(super) fn of_text(text: &str, region: Option<&str>) -> Option<String> {
    let region = region?;
    let code = UNKNOWN_KEYS.into_iter().chain([DISABLED]).find(|code| text.contains(code));
    match code {
        Some(code) => of_code(code, region),
        // Nobody was reached: the words are the resolver's and the connector's.
        None if ["dns", "lookup", "connect"].iter().any(|word| text.to_ascii_lowercase().contains(word)) => {
            misspelt(region)
        }
        None => None,
    }
}

fn of_code(code: &str, region: &str) -> Option<String> {
    if code != DISABLED && !UNKNOWN_KEYS.contains(&code) {
        return None;
    }
    if regions::may_be_disabled(region) {
        return Some(format!(
            "region {region} may not be enabled for this account: check with `aws account get-region-opt-status --region-name {region}`, \
             enable it with `aws account enable-region --region-name {region}`; if it is enabled, check --profile and the environment"
        ));
    }
    (code == DISABLED).then(|| {
        format!(
            "STS is deactivated in {region} for the account: an administrator activates it in the IAM console under Account settings \
             (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html)"
        )
    })
}

fn misspelt(region: &str) -> Option<String> {
    let meant = regions::meant(region)?;
    Some(format!(
        "`{region}` is no region that this version knows: did you mean `{meant}`? Otherwise check the network, the proxy and \
         --endpoint-url"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(operation: &str, code: Option<&str>) -> AwsError {
        AwsError {
            operation: operation.to_owned(),
            code: code.map(ToOwned::to_owned),
            message: "x".to_owned(),
            request_id: None,
            status: code.map(|_| 403),
            no_credentials: false,
            untrusted: false,
        }
    }

    #[test]
    fn a_region_that_may_not_be_enabled_is_named_and_others_are_not() {
        let told = |operation: &str, code: &str, region: &str| of_aws(&error(operation, Some(code)), Some(region));
        for (operation, code) in [
            ("sts:GetCallerIdentity", "InvalidClientTokenId"),
            ("sts:AssumeRole", "RegionDisabledException"),
            ("eks:DescribeCluster", "UnrecognizedClientException"),
            ("ec2:DescribeSubnets", "AuthFailure"),
        ] {
            let hint = told(operation, code, "ap-east-1").unwrap();
            assert!(hint.starts_with("region ap-east-1 may not be enabled for this account: "), "{hint}");
            assert!(hint.contains("aws account enable-region --region-name ap-east-1"), "{hint}");
        }
        // What it cannot be.
        assert_eq!(told("sts:GetCallerIdentity", "InvalidClientTokenId", "eu-west-1"), None);
        assert_eq!(told("iam:GetRole", "InvalidClientTokenId", "ap-east-1"), None);
        assert_eq!(told("eks:DescribeCluster", "AccessDeniedException", "ap-east-1"), None);
        assert_eq!(of_aws(&error("sts:GetCallerIdentity", Some("InvalidClientTokenId")), None), None);
        // Of a region that every account has, STS can only be deactivated.
        let hint = told("sts:AssumeRole", "RegionDisabledException", "eu-west-1").unwrap();
        assert!(hint.starts_with("STS is deactivated in eu-west-1"), "{hint}");
    }

    #[test]
    fn a_misspelt_region_is_told_where_nobody_answers() {
        let hint = of_aws(&error("sts:GetCallerIdentity", None), Some("eu-wset-1")).unwrap();
        assert!(hint.contains("`eu-wset-1`") && hint.contains("did you mean `eu-west-1`?"), "{hint}");
        assert_eq!(of_aws(&error("sts:GetCallerIdentity", None), Some("eu-west-1")), None);
        // An answer that is not AWS's is a proxy's.
        let foreign = AwsError { status: Some(200), ..error("sts:GetCallerIdentity", None) };
        assert_eq!(of_aws(&foreign, Some("eu-wset-1")), None);
        // A role that could not be assumed for the same reasons.
        let text = of_text("dns error: failed to lookup address information", Some("eu-wset-1")).unwrap();
        assert!(text.contains("did you mean `eu-west-1`?"), "{text}");
        let text = of_text("RegionDisabledException: STS is not activated", Some("ap-east-1")).unwrap();
        assert!(text.contains("ap-east-1 may not be enabled"), "{text}");
        assert_eq!(of_text("no providers in chain provided credentials", Some("eu-wset-1")), None);
    }
}
