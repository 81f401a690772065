//! The eight AWS partitions: ARN prefix, host suffix and the region where global services live.
//!
//! Used by the seed (to check it), by the services (to build and check ARNs) and by the token check (to know STS hosts).

/// One AWS partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Partition {
    /// Second field of every ARN.
    pub(super) name: &'static str,
    /// What host names of services end with.
    pub(super) suffix: &'static str,
    /// Region whose tagging API answers for IAM, which is global.
    pub(super) global_region: &'static str,
    region_prefix: &'static str,
}

const PARTITIONS: [Partition; 8] = [
    partition("aws-cn", "amazonaws.com.cn", "cn-north-1", "cn-"),
    partition("aws-us-gov", "amazonaws.com", "us-gov-west-1", "us-gov-"),
    partition("aws-iso", "c2s.ic.gov", "us-iso-east-1", "us-iso-"),
    partition("aws-iso-b", "sc2s.sgov.gov", "us-isob-east-1", "us-isob-"),
    partition("aws-iso-e", "cloud.adc-e.uk", "eu-isoe-west-1", "eu-isoe-"),
    partition("aws-iso-f", "csp.hci.ic.gov", "us-isof-south-1", "us-isof-"),
    partition("aws-eusc", "amazonaws.eu", "eusc-de-east-1", "eusc-"),
    partition("aws", "amazonaws.com", "us-east-1", ""),
];

const fn partition(
    name: &'static str,
    suffix: &'static str,
    global_region: &'static str,
    region_prefix: &'static str,
) -> Partition {
    Partition { name, suffix, global_region, region_prefix }
}

/// Finds a partition by the name that stands in ARNs.
pub(super) fn by_name(name: &str) -> Option<&'static Partition> {
    PARTITIONS.iter().find(|partition| partition.name == name)
}

/// Finds the partition that a region belongs to.
pub(super) fn of_region(region: &str) -> &'static Partition {
    PARTITIONS
        .iter()
        .find(|partition| region.starts_with(partition.region_prefix))
        .expect("the last partition has an empty prefix")
}

/// Lists the names, for messages.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = PARTITIONS.iter().map(|partition| partition.name).collect();
    names.sort_unstable();
    names
}
