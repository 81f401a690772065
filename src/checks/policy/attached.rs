//! What hangs on the role: its managed policies and its boundary.

use std::collections::BTreeSet;

use super::{ATTACHED, BOUNDARY, ONE, Wanted};
use crate::check::Finding;
use crate::component::Permissions;
use crate::error::Result;
use crate::names::last_part;
use crate::owner;
use crate::read::iam::Role;

type Attached = Result<Option<BTreeSet<String>>>;

/// The check that says whether the role exists.
pub(super) const ROLE: &str = "EKB-IRSA-003";

fn names<'a>(arns: impl IntoIterator<Item = &'a String>) -> String {
    arns.into_iter().map(|arn| last_part(arn)).collect::<Vec<_>>().join(", ")
}

pub(super) fn attached(wanted: &Wanted, attached: &Attached) -> Finding {
    let attached = match attached {
        Ok(Some(attached)) => attached,
        Ok(None) => return ATTACHED.skipped(format!("needs {ROLE}")),
        Err(error) => return ATTACHED.unread(error),
    };
    if let Some(keys) = wanted.keys.as_ref().filter(|arn| !attached.contains(*arn)) {
        let short = wanted.component.short;
        return ATTACHED.failed(
            "the role does not have the policy for its KMS keys",
            if attached.is_empty() { "no policy".to_owned() } else { names(attached) },
            last_part(keys),
            format!("eks-bootstrap apply --only iam.policy.{short}-kms --only iam.attachment.{short}{}", wanted.flags),
        );
    }
    match wanted.policies.iter().find(|arn| attached.contains(*arn)) {
        Some(arn) => ATTACHED.passed(format!("{} is attached", last_part(arn))),
        None => ATTACHED.failed(
            "the role does not have its policy",
            if attached.is_empty() { "no policy".to_owned() } else { names(attached) },
            wanted.policies.iter().map(|arn| last_part(arn)).collect::<Vec<_>>().join(" or "),
            wanted.make_and_attach(),
        ),
    }
}

/// Only where AWS has several policies for the component.
pub(super) fn only_one(wanted: &Wanted, attached: &Attached) -> Option<Finding> {
    if !matches!(wanted.permissions, Permissions::AwsManaged(_)) {
        return None;
    }
    let attached = match attached {
        Ok(Some(attached)) => attached,
        Ok(None) => return Some(ONE.skipped(format!("needs {ROLE}"))),
        Err(error) => return Some(ONE.unread(error)),
    };
    let known = wanted.policies.iter().chain(wanted.others.iter().filter(|arn| arn.contains(":iam::aws:policy/")));
    let held: Vec<_> = known.filter(|arn| attached.contains(*arn)).collect();
    Some(match held.as_slice() {
        [newest, older, ..] => ONE.failed(
            format!("{} and {} are both attached", last_part(newest), last_part(older)),
            names(held.iter().copied()),
            format!("only {}", last_part(newest)),
            format!("aws iam detach-role-policy --role-name {} --policy-arn {older}", wanted.role_name()),
        ),
        _ => ONE.passed("no other policy of AWS' for it is attached"),
    })
}

pub(super) fn boundary(wanted: &Wanted, role: &Result<Option<Role>>) -> Finding {
    let role = match role {
        Ok(Some(role)) => role,
        Ok(None) => return BOUNDARY.skipped(format!("needs {ROLE}")),
        Err(error) => return BOUNDARY.unread(error),
    };
    let observed = role.permissions_boundary.as_deref();
    let Some(boundary) = wanted.boundary.as_deref() else {
        return BOUNDARY.passed(match observed {
            Some(arn) => format!("bounded by {}, of which the configuration says nothing", last_part(arn)),
            None => "no permissions boundary, and none is configured".to_owned(),
        });
    };
    if observed == Some(boundary) {
        return BOUNDARY.passed(format!("bounded by {}", last_part(boundary)));
    }
    let mend = if owner::of_tags(&role.tags, &wanted.cluster_arn).is_ours() {
        format!("{} --permissions-boundary {boundary}", super::super::apply_only(&wanted.component, &["iam.role"]))
    } else {
        format!(
            "aws iam put-role-permissions-boundary --role-name {} --permissions-boundary {boundary}",
            wanted.role_name()
        )
    };
    let says =
        if observed.is_some() { "the role has another boundary" } else { "the role has no permissions boundary" };
    BOUNDARY.failed(says, observed.unwrap_or("no boundary"), boundary, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::checks::policy::tests::wanted;
    use crate::component::{EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};

    fn arns(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| format!("arn:aws:iam::aws:policy/{name}")).collect()
    }

    #[test]
    fn any_of_the_policies_will_do_and_two_are_one_too_many() {
        let wanted = wanted(&EBS_CSI_DRIVER);
        assert_eq!(attached(&wanted, &Ok(Some(arns(&["V1", "other"])))).verdict, Verdict::Passed);
        assert_eq!(attached(&wanted, &Ok(Some(arns(&["other"])))).severity(), Some(Severity::Error));
        assert_eq!(only_one(&wanted, &Ok(Some(arns(&["V1"])))).unwrap().severity(), None);
        let both = only_one(&wanted, &Ok(Some(arns(&["V1", "V2"])))).unwrap();
        let Verdict::Failed { mend, severity: Severity::Warning, .. } = both.verdict else { panic!("{both:?}") };
        assert_eq!(mend, "aws iam detach-role-policy --role-name r --policy-arn arn:aws:iam::aws:policy/V1");
    }

    #[test]
    fn a_policy_of_ours_is_made_and_attached_by_one_command() {
        let missing = attached(&wanted(&LOAD_BALANCER_CONTROLLER), &Ok(Some(arns(&[]))));
        let Verdict::Failed { mend, observed, .. } = missing.verdict else { panic!("{missing:?}") };
        assert_eq!(mend, "eks-bootstrap apply --only iam.policy.lbc --only iam.attachment.lbc");
        assert_eq!(observed, "no policy");
    }
}
