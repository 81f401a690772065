//! Whether the account takes the roles and policies that an apply makes: both are counted against quotas of the account.

use super::ROOM;
use crate::check::{Finding, Scene};
use crate::component::Component;
use crate::error::Result;
use crate::read::iam::{AccountSummary, Usage};

/// One part in so many of a quota that is left is little.
const LITTLE: usize = 20;

/// What an apply makes.
#[derive(Debug, Clone, Copy)]
struct Needs {
    roles: usize,
    policies: usize,
}

/// Looks.
pub(super) async fn look(scene: &Scene<'_>) -> Finding {
    let (config, facts) = (&scene.cx.config, &scene.cx.facts);
    let components = crate::checks::components_with_role(scene);
    let own_role = |component: &&Component| component.configured(config).role_arn.is_none();
    let needs = Needs {
        roles: components.iter().filter(own_role).count(),
        policies: components.iter().map(|component| component.made_policy_arns(config, facts).len()).sum(),
    };
    if needs.roles + needs.policies == 0 {
        return ROOM.skipped("apply makes neither roles nor policies");
    }
    judge(&scene.cx.iam.summary().await, needs)
}

fn judge(summary: &Result<AccountSummary>, needs: Needs) -> Finding {
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => return ROOM.unread(error),
    };
    let kinds = [("roles", summary.roles, needs.roles), ("managed policies", summary.policies, needs.policies)];
    let told = kinds.iter().filter_map(|(kind, usage, needed)| Some((*kind, (*usage)?, *needed)));
    let told: Vec<_> = told.filter(|(_, _, needed)| *needed > 0).collect();
    let shown = |(kind, usage, _): &(&str, Usage, usize)| format!("{} of {} {kind}", usage.used, usage.quota);
    let little = |(_, usage, needed): &&(&str, Usage, usize)| usage.left() < (*needed).max(usage.quota / LITTLE);
    let short: Vec<_> = told.iter().filter(little).collect();
    if short.is_empty() {
        let all: Vec<_> = told.iter().map(shown).collect();
        return ROOM.passed(if all.is_empty() { "IAM tells no quotas".to_owned() } else { all.join(", ") });
    }
    let wanted: Vec<_> = short.iter().map(|(kind, _, needed)| format!("{needed} {kind}")).collect();
    ROOM.failed(
        "a quota of IAM is nearly used up",
        short.iter().map(|one| shown(one)).collect::<Vec<_>>().join(", "),
        format!("room for {}", wanted.join(" and ")),
        "delete what nobody uses (aws iam get-account-summary counts it), or have the quota raised in Service Quotas",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};

    #[test]
    fn what_is_nearly_used_up_is_a_warning() {
        let found = |roles: (usize, usize), policies: (usize, usize), needs: Needs| {
            let usage = |(used, quota): (usize, usize)| Some(Usage { used, quota });
            judge(&Ok(AccountSummary { roles: usage(roles), policies: usage(policies) }), needs)
        };
        let both = Needs { roles: 2, policies: 1 };
        assert_eq!(found((950, 1000), (0, 1500), both).severity(), None);
        let short = found((951, 1000), (1500, 1500), both);
        assert_eq!(short.severity(), Some(Severity::Warning));
        let Verdict::Failed { observed, expected, .. } = &short.verdict else { panic!("{short:?}") };
        assert_eq!(observed, "951 of 1000 roles, 1500 of 1500 managed policies");
        assert_eq!(expected, "room for 2 roles and 1 managed policies");
        // A small quota has no twentieth, but as many as are made.
        assert_eq!(found((9, 10), (0, 10), both).severity(), Some(Severity::Warning));
        assert_eq!(found((8, 10), (0, 10), both).severity(), None);
        // What is not made needs no room, and what IAM does not tell is not made up.
        assert_eq!(found((1, 1000), (1500, 1500), Needs { roles: 2, policies: 0 }).severity(), None);
        assert_eq!(judge(&Ok(AccountSummary::default()), both).verdict, Verdict::Passed);
    }
}
