//! The permissions that the components need, written by this project and compiled in.
//!
//! One document per component and partition family in `policies/`; only the ARN prefix differs within a family. They grant
//! what the release's own documents grant, which `tests/it/policies.rs` proves grant by grant.

use super::Document;

/// The partitions that this program knows.
pub const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];

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
