//! The contract of the AWS simulator: one table of requests and the answers that AWS gives to them.
//!
//! The table runs against the simulator below the SDK and behind its HTTP front. With `EKS_BOOTSTRAP_CONTRACT_ENDPOINT` it runs against that
//! endpoint instead, without the cases that need the simulator's seed, clock or faults.

#![expect(clippy::unwrap_used, reason = "a case that cannot be set up has to fail")]
#![expect(clippy::format_collect, reason = "answers are short")]
#![expect(clippy::print_stdout, reason = "skipped cases are named")]

mod association;
mod ec2;
mod eks;
mod fault;
mod iam;
mod lab;
mod left;
mod mfa;
mod sts;
mod tagging;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures::FutureExt;

use lab::{Lab, Reach};

/// What a case needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// An account with any content.
    Account,
    /// The simulator's seed, clock or faults.
    Simulator,
}

/// One line of the contract.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    /// Makes the requests and writes down what was answered.
    pub(crate) run: fn(Lab) -> Pin<Box<dyn Future<Output = String>>>,
    /// What AWS answers.
    pub(crate) expected: &'static str,
}

/// Writes a line of the contract: name, what it needs, the requests, the expected answer.
macro_rules! case {
    ($name:literal, $needs:ident, |$lab:ident| $body:expr, $expected:expr) => {
        $crate::contract::Case {
            name: $name,
            needs: $crate::contract::Needs::$needs,
            run: |lab| {
                Box::pin(async move {
                    // Taken as a whole, so that the front lives as long as the case.
                    let $lab = lab;
                    $body
                })
            },
            expected: $expected,
        }
    };
}
pub(crate) use case;

async fn check(reach: Reach) {
    let external = matches!(reach, Reach::External(_));
    let mut failures = Vec::new();
    let (mut ran, mut skipped) = (0, Vec::new());
    let tables = [
        iam::cases(),
        sts::cases(),
        mfa::cases(),
        fault::cases(),
        eks::cases(),
        association::cases(),
        tagging::cases(),
        ec2::cases(),
        left::cases(),
    ];
    for case in tables.into_iter().flatten() {
        if external && case.needs == Needs::Simulator {
            skipped.push(case.name);
            continue;
        }
        ran += 1;
        // A case that cannot go on is a difference like any other, not the end of the table.
        let run = AssertUnwindSafe((case.run)(Lab::open(&reach).await)).catch_unwind();
        let answered = run.await.unwrap_or_else(|_| "something else on the way (the panic is above)".to_owned());
        if answered != case.expected {
            failures.push(format!("{}\n    expected  {}\n    answered  {answered}", case.name, case.expected));
        }
    }
    for name in skipped {
        println!("skipped (needs the simulator): {name}");
    }
    assert!(failures.is_empty(), "{} of {ran} cases differ:\n  {}", failures.len(), failures.join("\n  "));
    assert!(ran >= 50, "only {ran} cases ran");
}

#[tokio::test]
async fn the_simulator_keeps_the_contract_below_the_sdk() {
    match std::env::var("EKS_BOOTSTRAP_CONTRACT_ENDPOINT") {
        Ok(endpoint) => check(Reach::External(endpoint)).await,
        Err(_) => check(Reach::Connector).await,
    }
}

#[tokio::test]
async fn the_simulator_keeps_the_contract_behind_its_front() {
    if std::env::var_os("EKS_BOOTSTRAP_CONTRACT_ENDPOINT").is_none() {
        check(Reach::Front).await;
    }
}
