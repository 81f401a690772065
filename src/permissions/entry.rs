//! How a caller gets into the group that RBAC speaks of: the EKS access entry that an administrator makes once.
//! <https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html>

use crate::context::Facts;
use crate::error::{Error, Result};
use crate::op::shell::quote;

/// The group that gets the rights where no other is named.
pub const GROUP: &str = "eks-bootstrap";

/// Prefixes that Kubernetes and EKS keep for themselves.
const RESERVED: [&str; 5] = ["system:", "eks:", "aws:", "amazon:", "iam:"];

/// Who is to be mapped to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// An IAM role or user by its ARN.
    Arn(String),
    /// A role by its session; AWS leaves the role's path out of a session's ARN.
    Session {
        /// The ARN that the role has if it has no path.
        arn: String,
    },
    /// The root user, which cannot be mapped.
    Root,
    /// Nobody is known.
    Unknown,
}

impl Principal {
    /// The principal of a caller's ARN as STS gives it.
    pub fn of_caller(arn: &str) -> Principal {
        let parts: Vec<_> = arn.splitn(6, ':').collect();
        let [_, partition, service, _, account, resource] = parts.as_slice() else { return Principal::Unknown };
        match (*service, resource.split_once('/')) {
            ("sts", Some(("assumed-role", rest))) => {
                let role = rest.split('/').next().unwrap_or(rest);
                Principal::Session { arn: format!("arn:{partition}:iam::{account}:role/{role}") }
            }
            ("iam", Some(("user" | "role", _))) => Principal::Arn(arn.to_owned()),
            ("iam", None) if *resource == "root" => Principal::Root,
            _ => Principal::Unknown,
        }
    }
}

/// Refuses names of groups that an access entry cannot have.
///
/// # Errors
/// An empty name, or one with a reserved prefix.
pub fn check_group(group: &str) -> Result<()> {
    let reserved = RESERVED.iter().find(|prefix| group.starts_with(**prefix));
    match reserved {
        Some(prefix) => {
            let why = format!("EKS keeps names that begin with `{prefix}` for itself");
            Err(Error::config("--group", group, why, "name a group of your own, such as `eks-bootstrap`"))
        }
        None if group.is_empty() || group.chars().any(|letter| letter.is_whitespace() || letter.is_control()) => {
            Err(Error::config("--group", group, "not a name", "name a group, such as `eks-bootstrap`"))
        }
        None => Ok(()),
    }
}

/// Refuses what is not the ARN of a role or user.
///
/// # Errors
/// Anything else, such as the ARN of a session.
pub fn check_principal(arn: &str) -> Result<()> {
    if matches!(Principal::of_caller(arn), Principal::Arn(_)) {
        return Ok(());
    }
    let mend = "give the ARN of an IAM role or user, such as `arn:aws:iam::111122223333:role/platform-admin`";
    Err(Error::config("--principal", arn, "not the ARN of an IAM role or user", mend))
}

/// How the principal is mapped to the group, line by line: by an access entry, or, in a cluster that knows none, by the
/// ConfigMap `aws-auth`.
pub fn lines(principal: &Principal, facts: &Facts, group: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let by_map = facts.access_entries == Some(false);
    let arn = match principal {
        Principal::Arn(arn) => arn.clone(),
        Principal::Session { arn } => {
            if !by_map {
                lines.push("A session does not tell its role's path: where the role has one, put it in.".to_owned());
            }
            arn.clone()
        }
        Principal::Root => {
            lines.push("The root user cannot be mapped: name a role with --principal.".to_owned());
            "ROLE_ARN".to_owned()
        }
        Principal::Unknown => {
            lines.push("Without credentials the caller is not known: name it with --principal.".to_owned());
            "ROLE_ARN".to_owned()
        }
    };
    let (cluster, region) = (quote(&facts.cluster), quote(&facts.region));
    if by_map {
        let arn = without_path(&arn);
        let (list, field) = if arn.contains(":user/") { ("mapUsers", "userarn") } else { ("mapRoles", "rolearn") };
        lines.push(
            "EKS refuses access entries for this cluster (authentication mode CONFIG_MAP): add to the list".to_owned(),
        );
        lines.push(format!("{list} of the ConfigMap, where ARNs of roles have no path:"));
        lines.push("kubectl edit configmap aws-auth --namespace kube-system".to_owned());
        lines.push(format!("  - {{{field}: {arn}, username: {arn}, groups: [{group}]}}"));
        lines.push("Or let it know access entries too, which cannot be taken back, then run this again:".to_owned());
        let mode = "authenticationMode=API_AND_CONFIG_MAP";
        lines.push(format!("aws eks update-cluster-config --name {cluster} --region {region} --access-config {mode}"));
        return lines;
    }
    lines.push(format!(
        "aws eks create-access-entry --cluster-name {cluster} --region {region} --principal-arn {} --kubernetes-groups {}",
        quote(&arn),
        quote(group)
    ));
    if facts.access_entries.is_none() {
        lines.push(
            "Where the cluster's authentication mode is CONFIG_MAP, EKS refuses that: map it in aws-auth.".to_owned(),
        );
    }
    lines
}

/// An ARN as `aws-auth` wants it (<https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html>).
fn without_path(arn: &str) -> String {
    match (arn.split_once(":role/"), arn.rsplit_once('/')) {
        (Some((account, _)), Some((_, name))) => format!("{account}:role/{name}"),
        _ => arn.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_without_access_entries_gets_the_other_way() {
        let arn = "arn:aws:iam::111122223333:role/aws-reserved/sso/Admin_1";
        let of = |access_entries: Option<bool>| {
            let facts = Facts { access_entries, ..crate::context::tests::facts() };
            lines(&Principal::Arn(arn.to_owned()), &facts, "g").join("\n")
        };
        let (taken, refused, unknown) = (of(Some(true)), of(Some(false)), of(None));
        assert!(taken.contains(&format!("--principal-arn {arn} ")) && !taken.contains("aws-auth"), "{taken}");
        assert!(!refused.contains("create-access-entry") && refused.contains("edit configmap aws-auth"), "{refused}");
        assert!(refused.contains("- {rolearn: arn:aws:iam::111122223333:role/Admin_1, username: "), "{refused}");
        assert!(unknown.contains("create-access-entry") && unknown.contains("aws-auth"), "{unknown}");
    }

    #[test]
    fn callers_are_told_by_their_arns() {
        let table = [
            (
                "arn:aws-cn:sts::111122223333:assumed-role/admin/me",
                Principal::Session { arn: "arn:aws-cn:iam::111122223333:role/admin".to_owned() },
            ),
            (
                "arn:aws:iam::111122223333:user/ops/me",
                Principal::Arn("arn:aws:iam::111122223333:user/ops/me".to_owned()),
            ),
            ("arn:aws:iam::111122223333:root", Principal::Root),
            ("arn:aws:sts::111122223333:federated-user/me", Principal::Unknown),
            ("", Principal::Unknown),
        ];
        for (arn, expected) in table {
            assert_eq!(Principal::of_caller(arn), expected, "{arn}");
        }
    }

    #[test]
    fn reserved_groups_are_refused() {
        for group in ["system:masters", "eks:x", "", "a b"] {
            assert!(check_group(group).is_err(), "{group}");
        }
        assert!(check_group("platform:eks-bootstrap").is_ok());
    }
}
