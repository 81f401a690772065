//! Who asks, and whether that is who was meant. When these fail nothing else can be asked, so the run has only them.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::check::{Check, Finding, Scene, Severity};
use crate::checks::ALWAYS;
use crate::error::Error;
use crate::hint;
use crate::read::sts::short_caller;

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-CRED-001",
        title: "AWS credentials are there and AWS takes them",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "every other check asks AWS something",
        breaks: "every command ends with code 77",
        mend: "log in, or name another --profile or --assume-role",
        references: &["https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html"],
    },
    Check {
        id: "EKB-CRED-002",
        title: "the credentials belong to the account of the configuration and of the cluster",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "roles and OIDC providers live in an account; those of another one help this cluster's pods nothing",
        breaks: "objects are made in an account where nobody looks for them",
        mend: "choose the account's profile or role, or correct the account in the configuration",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html"],
    },
    Check {
        id: "EKB-CRED-003",
        title: "this machine's clock agrees with AWS'",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "signatures and tokens hold for minutes only, counted by the clock of whoever signs",
        breaks: "SignatureDoesNotMatch, or 401 of the API server while AWS itself answers",
        mend: "set the clock by NTP",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html",
            "boto/botocore#3600",
        ],
    },
];

const TAKEN: &Check = &CHECKS[0];
const ACCOUNT: &Check = &CHECKS[1];
const CLOCK: &Check = &CHECKS[2];

/// AWS takes signatures that are five minutes off; tokens for the API server hold for fifteen. Half of the shorter is near.
const TOLERATED: i64 = 150;

/// Looks: that there is a scene at all means that AWS took the credentials.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    let facts = &scene.cx.facts;
    let caller_account = facts.caller_arn.split(':').nth(4).unwrap_or_default();
    let account = if caller_account == facts.account {
        ACCOUNT.passed(format!("caller and cluster are in account {caller_account}"))
    } else {
        ACCOUNT.failed(
            "the cluster is in another account than the caller",
            format!("caller in {caller_account}"),
            format!("caller in {}", facts.account),
            "choose the account with --profile or --assume-role",
        )
    };
    let findings = vec![
        TAKEN.passed(format!("AWS knows the caller as {}", short_caller(&facts.caller_arn))),
        account,
        clock(facts.clock_skew),
    ];
    async move { findings }.boxed()
}

fn clock(skew: Option<i64>) -> Finding {
    let Some(skew) = skew else { return CLOCK.skipped("AWS' answer has no date") };
    if skew.abs() <= TOLERATED {
        return CLOCK.passed("this machine's clock agrees with AWS'");
    }
    let way = if skew > 0 { "behind" } else { "ahead of" };
    CLOCK.failed(
        "this machine's clock is wrong",
        format!("{} s {way} AWS'", skew.abs()),
        format!("at most {TOLERATED} s apart"),
        "sudo timedatectl set-ntp true",
    )
}

/// The finding for an error before anything could be asked.
pub(super) fn of_connection(error: &Error) -> Option<Finding> {
    match error {
        Error::Credentials { .. } => Some(TAKEN.failed(
            "no usable credentials",
            crate::error::chain_of(error).pop().unwrap_or_default(),
            "credentials from the environment, a profile, SSO, web identity or the instance",
            hint::of(error).unwrap_or_default(),
        )),
        Error::WrongAccount { actual, expected } => Some(ACCOUNT.failed(
            "these are credentials of another account",
            actual,
            expected,
            hint::of(error).unwrap_or_default(),
        )),
        Error::Aws(inner) if inner.operation.starts_with("sts:") => Some(TAKEN.failed(
            "AWS does not take the credentials",
            crate::error::chain_of(error).join(": "),
            "an answer of sts:GetCallerIdentity",
            hint::of(error).unwrap_or_default(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn clocks_may_differ_by_a_little() {
        assert_eq!(clock(Some(-150)).severity(), None);
        assert_eq!(clock(None).severity(), None);
        let Verdict::Failed { observed, severity: Severity::Warning, .. } = clock(Some(400)).verdict else { panic!() };
        assert_eq!(observed, "400 s behind AWS'");
    }
}
