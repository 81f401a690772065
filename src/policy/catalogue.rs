//! The permissions that the components need, written by this project and compiled in.
//!
//! One document per component and partition family in `policies/`; only the ARN prefix differs within a family. They grant
//! what the release's own documents grant, which `tests/it/policies.rs` proves grant by grant.

use super::Document;

/// The partitions that this program knows.
pub const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];

const EBS_NEEDS: &str = include_str!("../../policies/aws-ebs-csi-driver-needs.json");
const PUBLIC: &str = include_str!("../../policies/aws-load-balancer-controller.json");
const ISOLATED: &str = include_str!("../../policies/aws-load-balancer-controller-isolated.json");

/// The permissions of the AWS Load Balancer Controller 2.13 to 3.5, or nothing for an unknown partition.
pub fn load_balancer_controller_policy(partition: &str) -> Option<Document> {
    let text = match partition {
        "aws" | "aws-cn" | "aws-us-gov" | "aws-eusc" => PUBLIC,
        // These regions lack trust stores, listener attributes and capacity reservations; IAM there need not know the actions.
        "aws-iso" | "aws-iso-b" | "aws-iso-e" | "aws-iso-f" => ISOLATED,
        _ => return None,
    };
    let text = text.replace("${partition}", partition);
    Some(Document::parse(&text).expect("a test parses the document of every partition"))
}

/// What the EBS CSI driver calls to make, attach and delete volumes, whichever of AWS' policies allows it.
pub fn ebs_csi_driver_needs(partition: &str) -> Option<Document> {
    let text = PARTITIONS.contains(&partition).then(|| EBS_NEEDS.replace("${partition}", partition))?;
    Some(Document::parse(&text).expect("a test parses the document of every partition"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_documents() {
        for partition in PARTITIONS {
            assert!(load_balancer_controller_policy(partition).is_some() && ebs_csi_driver_needs(partition).is_some());
        }
        assert!(ebs_csi_driver_needs("nowhere").is_none());
    }
}
