//! AWS' regions as far as this version knows them: which accounts have without asking for them, and what a misspelt one was meant to
//! be. Pure, and for hints only: a region that is not listed may be newer than this program.

use crate::names;
use crate::validate;

/// The regions that are enabled in every account of the partition `aws`.
/// <https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html>
const ALWAYS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The regions that an account has to enable, and those of other partitions.
const OTHERS: [&str; 22] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "us-gov-east-1",
    "us-gov-west-1",
];

/// Whether an account may have left the region disabled. Partitions beside `aws` have no such choice.
pub(crate) fn may_be_disabled(region: &str) -> bool {
    names::partition_of_region(region) == "aws" && !ALWAYS.contains(&region)
}

/// The region that an unknown one most resembles; none for one that is known, or where nothing comes near.
pub(crate) fn meant(region: &str) -> Option<&'static str> {
    let known = || ALWAYS.into_iter().chain(OTHERS);
    // Regions of isolated partitions are in no public list, and what stands for a region elsewhere is no misspelt one.
    if known().any(|one| one == region) || region.contains("-iso") || region.matches('-').count() < 2 {
        return None;
    }
    validate::nearest(&region.to_ascii_lowercase(), known()).first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_have_to_be_enabled_are_told_from_the_others() {
        for region in ["ap-east-1", "eu-south-2", "me-central-1", "xx-new-1"] {
            assert!(may_be_disabled(region), "{region}");
        }
        for region in ["eu-west-1", "us-east-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1"] {
            assert!(!may_be_disabled(region), "{region}");
        }
    }

    #[test]
    fn misspelt_regions_are_recognised() {
        for (written, right) in [
            ("eu-wset-1", "eu-west-1"),
            ("us-esat-1", "us-east-1"),
            ("eu-west-1a", "eu-west-1"),
            ("ap-southest-2", "ap-southeast-2"),
            ("EU-central-1", "eu-central-1"),
        ] {
            assert_eq!(meant(written), Some(right), "{written}");
        }
        for region in ["eu-west-1", "ap-east-1", "us-iso-east-1", "local"] {
            assert_eq!(meant(region), None, "{region}");
        }
    }
}
