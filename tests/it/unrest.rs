//! The whole life of a cluster in an AWS that shows changes late, throttles, fails and loses answers at random: every run ends as in a quiet one, in the same
//! world, and nothing is made twice.
//!
//! Which calls are hit follows from a seed that is printed, and that `EKS_BOOTSTRAP_TEST_SEED` gives again. Calls that the program
//! makes side by side may come in another order the next time; how many are hit, how, and after how many others stays.

use std::time::{Duration, SystemTime};

use eks_bootstrap::sandbox::aws::{At, Effect, Fault};
use serde_json::Value;

use crate::support::{Lab, Run};

/// So many of a hundred calls are hit. One that is tried eight times, as the program does it, is then lost once in a hundred million.
const SHARE: u64 = 10;
/// More calls than one command makes with all its tries.
const CALLS: u64 = 4_000;
/// How long one command may take: quiet it needs seconds, and each call that is hit costs a second or two more.
const TIME: Duration = Duration::from_mins(5);

/// A sequence of numbers that follows from its start (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

fn seed() -> u64 {
    if let Ok(given) = std::env::var("EKS_BOOTSTRAP_TEST_SEED") {
        return given
            .parse()
            .unwrap_or_else(|_| panic!("EKS_BOOTSTRAP_TEST_SEED is `{given}`, and has to be a number"));
    }
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Everything that AWS does to a call that is no answer to it.
fn effects() -> [Effect; 6] {
    let error =
        |code: &str, status| Effect::Error { code: code.to_owned(), status, message: "by the roll of dice".to_owned() };
    [
        Effect::Throttle,
        error("TooManyRequestsException", 429),
        error("ServiceUnavailable", 503),
        error("InternalFailure", 500),
        Effect::Drop,
        Effect::LoseAnswer,
    ]
}

/// Runs a command while AWS is restless, and counts the calls that were hit.
async fn restless(lab: &Lab, arguments: &[&str], seed: u64, dice: &mut Dice) -> (Run, usize) {
    let effects = effects();
    lab.forget();
    for number in 1..=CALLS {
        if dice.roll(100) < SHARE {
            let effect = effects[usize::try_from(dice.roll(effects.len() as u64)).unwrap()].clone();
            lab.sandbox.simulator.inject(Fault::once(At::Call(number), effect));
        }
    }
    let run = tokio::time::timeout(TIME, lab.run(arguments)).await;
    let run = run.unwrap_or_else(|_| panic!("seed {seed}: {arguments:?} did not end within {TIME:?}"));
    assert_eq!(run.code, 0, "seed {seed}: {arguments:?}\n{}\n{}", run.stdout, run.stderr);
    let calls = lab.sandbox.simulator.calls();
    assert!((calls.len() as u64) < CALLS, "seed {seed}: {} calls", calls.len());
    let codes = ["Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded"];
    let codes = [&codes[..], &["TooManyRequestsException", "ServiceUnavailable", "InternalFailure"]].concat();
    let hit = |error: &Option<String>| error.as_deref().is_some_and(|code| codes.contains(&code));
    (run, calls.iter().filter(|call| call.status.is_none() || hit(&call.error)).count())
}

/// The account, and the records of helm's releases: one for each revision.
async fn world(lab: &Lab) -> (Value, Vec<String>) {
    let records = lab.reader().await.list("v1", "Secret", "kube-system", "owner=helm").await.unwrap();
    let mut names: Vec<_> =
        records.iter().map(|record| record["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    (lab.sandbox.simulator.snapshot(), names)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restless_aws_leads_to_the_same_worlds_as_a_quiet_one() {
    const DESTROY: [&str; 3] = ["destroy", "--confirm", "demo"];
    let seed = seed();
    eprintln!("EKS_BOOTSTRAP_TEST_SEED={seed} repeats this");
    let lab = Lab::lagging().await;
    let before = world(&lab).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    let bootstrapped = world(&lab).await;
    assert_eq!(bootstrapped.1.len(), 2, "{:?}", bootstrapped.1);
    lab.run(&DESTROY).await.expect(0);
    assert_eq!(world(&lab).await, before);

    let mut dice = Dice(seed);
    let (_, hit) = restless(&lab, &["apply", "--yes"], seed, &mut dice).await;
    assert!(hit >= 3, "seed {seed}: only {hit} calls were hit");
    assert_eq!(world(&lab).await, bootstrapped, "seed {seed}");
    // An exit code of 2 would mean that something is pending.
    restless(&lab, &["plan", "--detailed-exitcode"], seed, &mut dice).await;
    let (run, _) = restless(&lab, &["apply", "--yes"], seed, &mut dice).await;
    assert!(run.stdout.starts_with("nothing to do"), "seed {seed}: {}", run.stdout);
    assert_eq!(lab.aws_writes(), Vec::<String>::new(), "seed {seed}");
    let (run, more) = restless(&lab, &DESTROY, seed, &mut dice).await;
    assert!(hit + more >= 5, "seed {seed}: only {hit} and {more} calls were hit");
    assert!(run.stderr.contains("left in AWS: nothing"), "seed {seed}: {}", run.stderr);
    assert_eq!(world(&lab).await, before, "seed {seed}");
    lab.stop().await;
}
