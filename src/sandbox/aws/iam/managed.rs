//! AWS managed policies that exist, by partition. All are carried by name; documents only of those that decide something here.
//!
//! Which of the newer ones exist outside the commercial partition is not documented; they are taken to be absent there, and a seed can say
//! otherwise.

use std::collections::BTreeMap;

/// An AWS managed policy.
#[derive(Debug, Clone)]
pub(in super::super) struct Managed {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) id: String,
}

const EVERYWHERE: [&str; 17] = [
    "AdministratorAccess",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEKSClusterPolicy",
    "AmazonEKSServicePolicy",
    "AmazonEKSVPCResourceController",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
    "CloudWatchAgentServerPolicy",
    "IAMReadOnlyAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "job-function/ViewOnlyAccess",
    "service-role/AmazonEBSCSIDriverPolicy",
    "service-role/AmazonEFSCSIDriverPolicy",
];

const COMMERCIAL: [&str; 2] = ["AmazonEBSCSIDriverEKSClusterScopedPolicy", "AmazonEBSCSIDriverPolicyV2"];

/// Documents by path and name: what the policies grant, in our own words.
const DOCUMENTS: [(&str, &str); 4] = [
    ("AdministratorAccess", include_str!("../../../../templates/sandbox/managed-policies/AdministratorAccess.json")),
    (
        "AmazonEBSCSIDriverEKSClusterScopedPolicy",
        include_str!("../../../../templates/sandbox/managed-policies/AmazonEBSCSIDriverEKSClusterScopedPolicy.json"),
    ),
    (
        "AmazonEBSCSIDriverPolicyV2",
        include_str!("../../../../templates/sandbox/managed-policies/AmazonEBSCSIDriverPolicyV2.json"),
    ),
    (
        "service-role/AmazonEBSCSIDriverPolicy",
        include_str!("../../../../templates/sandbox/managed-policies/AmazonEBSCSIDriverPolicy.json"),
    ),
];

/// Returns the document of a managed policy, if it is carried.
pub(in super::super) fn document(arn: &str, partition: &str) -> Option<String> {
    let name = arn.strip_prefix(&format!("arn:{partition}:iam::aws:policy/"))?;
    let (_, text) = DOCUMENTS.iter().find(|(known, _)| *known == name)?;
    Some(text.replace("${partition}", partition))
}

/// Lists the managed policies of a partition by ARN.
pub(in super::super) fn in_partition(
    partition: &str,
    added: &[String],
    absent: &[String],
) -> BTreeMap<String, Managed> {
    let commercial: &[&str] = if partition == "aws" { &COMMERCIAL } else { &[] };
    EVERYWHERE
        .iter()
        .chain(commercial)
        .map(|name| (*name).to_owned())
        .chain(added.iter().cloned())
        .filter(|name| !absent.contains(name))
        .map(|full| {
            let (path, name) = full.rsplit_once('/').unwrap_or(("", &full));
            let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
            let id = format!("ANPA{}", crate::sandbox::aws::world::digest(&full, 17).to_ascii_uppercase());
            let managed = Managed { name: name.to_owned(), path, id };
            (format!("arn:{partition}:iam::aws:policy/{full}"), managed)
        })
        .collect()
}
