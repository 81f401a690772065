//! Names and ARNs that the program gives to what it makes. Pure; the same facts and configuration give the same names,
//! so that a re-run finds them again and nothing has to be remembered.

use sha2::{Digest, Sha256};

/// IAM role and policy names have at most 64 and 128 characters; one limit serves both.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub const NAME_LIMIT: usize = 64;

/// The host suffix of AWS's services in a partition.
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html>
pub fn dns_suffix(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "amazonaws.com.cn",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-iso-e" => "cloud.adc-e.uk",
        "aws-iso-f" => "csp.hci.ic.gov",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

/// The suffix of the hosts that answer over IPv6 too.
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html#dual-stack-endpoints>
pub fn dual_stack_suffix(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "api.amazonwebservices.com.cn",
        "aws-iso" => "api.aws.ic.gov",
        "aws-iso-b" => "api.aws.scloud",
        "aws-iso-e" => "api.cloud-aws.adc-e.uk",
        "aws-iso-f" => "api.aws.hci.ic.gov",
        "aws-eusc" => "api.amazonwebservices.eu",
        _ => "api.aws",
    }
}

/// The partition of a region, by the region's name.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
pub fn partition_of_region(region: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    PREFIXES.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// The first eight hexadecimal digits of the hash of a cluster's ARN: tells clusters apart where there is little room.
pub fn cluster_hash(cluster_arn: &str) -> String {
    let mut hash = hex::encode(Sha256::digest(cluster_arn.as_bytes()));
    hash.truncate(8);
    hash
}

/// `<prefix><cluster>-<component>-<8 hex of the cluster ARN's hash>`, with the stem shortened so that it fits.
///
/// IAM is global: two clusters of one name in two regions must not collide, hence the hash.
pub fn iam_name(prefix: &str, cluster: &str, component: &str, cluster_arn: &str) -> String {
    let hash = cluster_hash(cluster_arn);
    let tail = format!("-{component}-{hash}");
    let stem: String = format!("{prefix}{cluster}").chars().take(NAME_LIMIT.saturating_sub(tail.len())).collect();
    format!("{}{tail}", stem.trim_end_matches('-'))
}

/// The ARN of an IAM object; `path` begins and ends with `/`.
pub fn iam_arn(partition: &str, account: &str, kind: &str, path: &str, name: &str) -> String {
    format!("arn:{partition}:iam::{account}:{kind}{path}{name}")
}

/// The issuer without its scheme, as provider ARNs and condition keys carry it.
pub fn issuer_host(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/')
}

/// The last part of an ARN or a path: a role's name without its path, a subnet's id.
pub(crate) fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

    #[test]
    fn names_are_stable_and_fit() {
        let name = iam_name("", "demo", "aws-ebs-csi-driver", ARN);
        assert!(name.starts_with("demo-aws-ebs-csi-driver-"), "{name}");
        assert_eq!(name, iam_name("", "demo", "aws-ebs-csi-driver", ARN));
        assert_ne!(name, iam_name("", "demo", "aws-ebs-csi-driver", &ARN.replace("eu-west-1", "eu-west-2")));
        let long = iam_name("team-", &"c".repeat(100), "aws-load-balancer-controller", ARN);
        assert_eq!(long.len(), NAME_LIMIT);
        assert!(long.contains("-aws-load-balancer-controller-"));
    }

    #[test]
    fn issuers_lose_their_scheme() {
        assert_eq!(
            issuer_host("https://oidc.eks.eu-west-1.amazonaws.com/id/AB"),
            "oidc.eks.eu-west-1.amazonaws.com/id/AB"
        );
    }
}
