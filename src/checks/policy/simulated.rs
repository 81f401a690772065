//! What IAM says to the component's actions when it is asked about the role.

use std::collections::BTreeSet;

use super::attached::ROLE;
use super::{ALLOWS, Wanted};
use crate::check::Finding;
use crate::checks::simulation::{ASK_THE_ORGANIZATION, actions, of_organization, refused};
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::hint;
use crate::names;
use crate::read::iam::Role;
use crate::read::simulation::{Simulated, SimulatedDecision};

/// Asks; none where it is not known for the partition what the component calls.
pub(super) async fn ask(cx: &ReadContext, wanted: &Wanted) -> Option<Result<Vec<Simulated>>> {
    let mut needs = wanted.needs.clone()?;
    if let Some((key, _)) = &wanted.role_tag {
        // IAM compares with the tag as it is on the role; a simulation has to be told.
        let role = match cx.iam.role(wanted.role_name()).await {
            Ok(role) => role,
            Err(error) => return Some(Err(error)),
        };
        if let Some(value) = role.and_then(|role| role.tags.get(key).cloned()) {
            for statement in &mut needs.statements {
                let equal = statement.condition.entry("StringEquals".to_owned()).or_default();
                equal.insert(format!("aws:PrincipalTag/{key}"), vec![value.clone()]);
            }
        }
    }
    Some(refused(cx, &wanted.role_arn, &needs).await)
}

pub(super) fn allows(
    wanted: &Wanted,
    asked: Option<&Result<Vec<Simulated>>>,
    role: &Result<Option<Role>>,
    attached: &Result<Option<BTreeSet<String>>>,
) -> Finding {
    let refused = match asked {
        None => return ALLOWS.skipped(format!("what it calls in {} is not known", wanted.partition)),
        Some(Ok(refused)) if refused.is_empty() => return ALLOWS.passed("IAM allows its actions to the role"),
        Some(Ok(refused)) => refused,
        Some(Err(Error::Aws(error))) if error.not_found() => return ALLOWS.skipped(format!("needs {ROLE}")),
        // An advice: whoever may not ask IAM has still proved the rest.
        Some(Err(error)) => {
            let reason = crate::error::chain_of(error).join(": ");
            let mend = hint::of(error).unwrap_or_else(|| "run the same command again".to_owned());
            return ALLOWS.failed("IAM was not asked what the role may do", reason, "an answer", mend).as_warning();
        }
    };
    let boundary = role.as_ref().ok().and_then(Option::as_ref).and_then(|role| role.permissions_boundary.as_deref());
    let attached = attached.as_ref().ok().and_then(Option::as_ref);
    judge(wanted, refused, boundary, attached)
}

fn judge(
    wanted: &Wanted,
    refused: &[Simulated],
    boundary: Option<&str>,
    attached: Option<&BTreeSet<String>>,
) -> Finding {
    let of = |wanted: &dyn Fn(&Simulated) -> bool| refused.iter().filter(|answer| wanted(answer)).collect::<Vec<_>>();
    let expected = format!("all that {} calls is allowed", wanted.component.title);
    let by_organization = of(&of_organization);
    if !by_organization.is_empty() {
        let observed = format!("denied by a service control policy: {}", actions(&by_organization));
        let says = "a policy of the organisation denies what the controller does";
        return ALLOWS.failed(says, observed, expected, ASK_THE_ORGANIZATION);
    }
    let denied = of(&|answer| answer.decision == SimulatedDecision::ExplicitDeny);
    if let Some(policy) = denied.iter().find_map(|answer| answer.policies.first()) {
        let says = format!("policy {policy} denies what the controller does");
        let observed = format!("denied: {}", actions(&denied));
        return ALLOWS.failed(says, observed, expected, without(wanted, policy, boundary, attached));
    }
    let outside = of(&|answer| answer.within_boundary == Some(false));
    if let Some(boundary) = boundary.filter(|_| !outside.is_empty()) {
        let name = names::last_part(boundary);
        let says = format!("the permissions boundary {name} does not allow what the controller does");
        let observed = format!("outside the boundary: {}", actions(&outside));
        return ALLOWS.failed(says, observed, expected, unbound(wanted, boundary));
    }
    let all = of(&|_| true);
    let observed = format!("not allowed: {}", actions(&all));
    ALLOWS.failed("no policy of the role allows what the controller does", observed, expected, wanted.make_and_attach())
}

/// A boundary that was asked for has to be widened by whoever keeps it; another one can go.
fn unbound(wanted: &Wanted, boundary: &str) -> String {
    if wanted.boundary.as_deref() == Some(boundary) {
        return format!("allow these actions in {boundary}, or configure another boundary");
    }
    format!("aws iam delete-role-permissions-boundary --role-name {}", wanted.role_name())
}

/// Takes away the policy that denies. IAM names inline policies `role_ROLE_NAME`, managed ones by their name.
fn without(wanted: &Wanted, policy: &str, boundary: Option<&str>, attached: Option<&BTreeSet<String>>) -> String {
    let role = wanted.role_name();
    let named = |arn: &&String| names::last_part(arn) == policy;
    if let Some(arn) = attached.and_then(|attached| attached.iter().find(named)) {
        return format!("aws iam detach-role-policy --role-name {role} --policy-arn {arn}");
    }
    if let Some(name) = policy.strip_prefix(&format!("role_{role}_")) {
        return format!("aws iam delete-role-policy --role-name {role} --policy-name {name}");
    }
    match boundary {
        Some(boundary) if boundary.ends_with(&format!("/{policy}")) => unbound(wanted, boundary),
        _ => format!("change policy {policy} so that it does not deny these actions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::checks::policy::tests::wanted;
    use crate::component::LOAD_BALANCER_CONTROLLER;

    fn answer(decision: SimulatedDecision, policies: &[&str], within_boundary: Option<bool>) -> Simulated {
        Simulated {
            action: "ec2:CreateTags".to_owned(),
            resource: "*".to_owned(),
            decision,
            policies: policies.iter().map(|policy| (*policy).to_owned()).collect(),
            missing: Vec::new(),
            within_boundary,
            allowed_by_organization: None,
        }
    }

    #[test]
    fn what_the_organisation_denies_is_not_blamed_on_the_role() {
        let organization = answer(SimulatedDecision::ExplicitDeny, &[], Some(false));
        let organization = Simulated { allowed_by_organization: Some(false), ..organization };
        let boundary = "arn:aws:iam::111122223333:policy/fence";
        let others = answer(SimulatedDecision::ImplicitDeny, &[], None);
        let finding = judge(&wanted(&LOAD_BALANCER_CONTROLLER), &[others, organization], Some(boundary), None);
        assert_eq!(finding.says, "a policy of the organisation denies what the controller does");
        let Verdict::Failed { mend, observed, .. } = &finding.verdict else { panic!("{finding:?}") };
        assert_eq!(
            (mend.as_str(), observed.as_str()),
            (ASK_THE_ORGANIZATION, "denied by a service control policy: ec2:CreateTags")
        );
    }

    #[test]
    fn what_refuses_is_named_and_taken_away() {
        use SimulatedDecision::{ExplicitDeny, ImplicitDeny};
        let attached = BTreeSet::from(["arn:aws:iam::111122223333:policy/guard".to_owned()]);
        let boundary = "arn:aws:iam::111122223333:policy/fence";
        let cases = [
            (
                answer(ExplicitDeny, &["guard"], None),
                "aws iam detach-role-policy --role-name r --policy-arn arn:aws:iam::111122223333:policy/guard",
            ),
            (
                answer(ExplicitDeny, &["role_r_mine"], None),
                "aws iam delete-role-policy --role-name r --policy-name mine",
            ),
            (answer(ExplicitDeny, &["fence"], Some(false)), "aws iam delete-role-permissions-boundary --role-name r"),
            (answer(ImplicitDeny, &[], Some(false)), "aws iam delete-role-permissions-boundary --role-name r"),
            (
                answer(ImplicitDeny, &[], Some(true)),
                "eks-bootstrap apply --only iam.policy.lbc --only iam.attachment.lbc",
            ),
        ];
        for (answer, expected) in cases {
            let finding = judge(&wanted(&LOAD_BALANCER_CONTROLLER), &[answer], Some(boundary), Some(&attached));
            let Verdict::Failed { mend, observed, .. } = &finding.verdict else { panic!("{finding:?}") };
            assert_eq!(mend, expected);
            assert!(observed.ends_with("ec2:CreateTags"), "{observed}");
        }
    }
}
