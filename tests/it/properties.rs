//! Properties of a run over the AWS part: whatever call fails, in whatever way, a re-run ends in the same world; and
//! nothing is written twice.

use eks_bootstrap::sandbox::aws::{At, Effect, Fault};
use serde_json::Value;

use crate::support::{Aws, of_aws};

/// An apply of the AWS steps only, since behind this AWS there is no cluster.
fn arguments() -> Vec<&'static str> {
    of_aws(&["apply", "--yes", "-c", "demo"])
}

/// The world after an undisturbed apply, and how many writes that takes.
async fn undisturbed() -> (Value, usize) {
    let aws = Aws::start(|_| {}).await;
    aws.run(&arguments(), &[]).await.expect(0);
    (aws.simulator.snapshot(), aws.writes().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_write_leads_to_the_same_world_in_the_end() {
    let (wanted, writes) = undisturbed().await;
    assert_eq!(writes, 6, "provider, policy, two roles, two attachments");
    let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "no".to_owned() };
    let broken = Effect::Error { code: "ServiceFailure".to_owned(), status: 500, message: String::new() };
    for number in 1..=u64::try_from(writes).unwrap() {
        for effect in [denied.clone(), broken.clone(), Effect::Throttle, Effect::Drop, Effect::LoseAnswer] {
            let aws = Aws::start(|_| {}).await;
            aws.simulator.inject(Fault::once(At::Write(number), effect.clone()));
            let first = aws.run(&arguments(), &[]).await;
            let fatal = effect == denied;
            assert_eq!(first.code, if fatal { 77 } else { 0 }, "write {number}, {effect:?}: {}", first.stderr);
            if fatal {
                assert!(first.stderr.contains("remains: iam:"), "{}", first.stderr);
                aws.run(&arguments(), &[]).await.expect(0);
            }
            assert_eq!(aws.simulator.snapshot(), wanted, "write {number}, {effect:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_end_in_the_same_world() {
    let (wanted, _) = undisturbed().await;
    let aws = Aws::start(|_| {}).await;
    let arguments = arguments();
    let (first, second) = tokio::join!(aws.run(&arguments, &[]), aws.run(&arguments, &[]));
    // Whoever comes second either finds everything done or sees that the world is no longer what its plan showed.
    assert!(first.code == 0 || second.code == 0, "{}\n{}", first.stderr, second.stderr);
    aws.run(&arguments, &[]).await.expect(0);
    assert_eq!(aws.simulator.snapshot(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_refused_once_the_world_has_changed() {
    let aws = Aws::start(|_| {}).await;
    let mut plan = arguments();
    plan.splice(0..2, ["plan", "--out", "plan.json"]);
    aws.run(&plan, &[]).await.expect(0);
    let mode = std::os::unix::fs::PermissionsExt::mode(&aws.file("plan.json").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    aws.run(&arguments(), &[]).await.expect(0);
    let before = aws.writes().len();
    let run = aws.run(&["apply", "--yes", "plan.json"], &[]).await.expect(4);
    assert!(run.stderr.contains("the cluster changed since the plan"), "{}", run.stderr);
    assert_eq!(aws.writes().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_bound_by_content() {
    let aws = Aws::start(|_| {}).await;
    let mut plan = arguments();
    plan.splice(0..2, ["plan", "--out", "plan.json"]);
    aws.run(&plan, &[]).await.expect(0);
    let apply = async |flags: &[&str], variables: &[(&str, &str)]| {
        aws.run(&[&["apply", "--yes", "plan.json"], flags].concat(), variables).await
    };
    let text = std::fs::read_to_string(aws.file("plan.json")).unwrap();
    let write = |text: &str| std::fs::write(aws.file("plan.json"), text).unwrap();

    // An edit of whatever part of it.
    let mut edited: serde_json::Value = serde_json::from_str(&text).unwrap();
    edited["config"]["iam"]["path"] = "/elsewhere/".into();
    write(&edited.to_string());
    let run = apply(&[], &[]).await.expect(4);
    assert!(run.stderr.contains("was changed after it was saved"), "{}", run.stderr);
    // Spaces and the order of fields are none.
    let same: serde_json::Value = serde_json::from_str(&text).unwrap();
    write(&same.to_string());

    // Flags that the plan says already are named; those that it is compared with have to fit.
    for flag in
        [&["--enable", "metrics-server"][..], &["--region", "eu-west-2"], &["--timeout", "5m"], &["-f", "x.yaml"]]
    {
        let run = apply(flag, &[]).await.expect(64);
        let name = if flag[0] == "-f" { "--file" } else { flag[0] };
        assert!(run.stderr.contains(&format!("{name} cannot be used with a saved plan")), "{}", run.stderr);
    }
    for (flag, other) in [("--cluster", "other"), ("--account", "444455556666")] {
        let run = apply(&[flag, other], &[]).await.expect(4);
        assert!(run.stderr.contains(&format!("{flag} says {other}")), "{}", run.stderr);
    }
    assert_eq!(aws.writes(), Vec::<String>::new());

    // In another folder, with variables that are set for other commands, and flags that agree.
    std::fs::create_dir(aws.file("job")).unwrap();
    let file = aws.file("plan.json").display().to_string();
    let agreeing = ["apply", "--yes", "--cluster", "demo", "--account", "111122223333", "-q", &file];
    let mut command = aws.command(&agreeing, &[("EKS_BOOTSTRAP_IAM_PATH", "/x/"), ("EKS_BOOTSTRAP_TIMEOUT", "7m")]);
    command.current_dir(aws.file("job"));
    let run = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(!aws.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_finishes_its_call_and_says_what_remains() {
    let (wanted, _) = undisturbed().await;
    let aws = Aws::start(|_| {}).await;
    aws.simulator.set_latency(std::time::Duration::from_millis(400));
    let arguments = arguments();
    let (run, ()) = tokio::join!(aws.run(&arguments, &[]), async {
        // The first write is under way.
        while aws.writes().is_empty() {
            tokio::task::yield_now().await;
        }
        aws.interrupt();
    });
    let run = run.expect(130);
    // Where the call has ended already there is nothing to wait for, and only the summary says it.
    assert!(run.stderr.contains("interrupted: "), "{}", run.stderr);
    assert!(run.stderr.contains("cancelled"), "{}", run.stderr);
    aws.simulator.set_latency(std::time::Duration::ZERO);
    aws.run(&arguments, &[]).await.expect(0);
    assert_eq!(aws.simulator.snapshot(), wanted);
}

/// An apply of one step.
fn only(step: &'static str, more: &[&'static str]) -> Vec<&'static str> {
    [&["apply", "--yes", "-c", "demo", "--only", step][..], more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_already_is_waited_for_until_iam_shows_it() {
    let aws = Aws::start(|_| {}).await;
    let unseen = Effect::Error { code: "NoSuchEntity".to_owned(), status: 404, message: "not here".to_owned() };
    let created = At::Operation { name: "CreateRole".to_owned(), nth: 1 };
    aws.simulator.inject(Fault::once(created, Effect::LoseAnswer));
    // The plan, the look before the write, and more looks after it than there are tries.
    aws.simulator.inject(Fault { at: At::Operation { name: "GetRole".to_owned(), nth: 1 }, effect: unseen, times: 16 });
    let run = aws.run(&only("iam.role.lbc", &[]), &[]).await.expect(0);
    assert!(!run.stderr.contains("--name-prefix"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_under_another_path_is_named_at_once() {
    let aws = Aws::start(|_| {}).await;
    aws.run(&only("iam.policy.lbc", &["--iam-path", "/a/"]), &[]).await.expect(0);
    let begun = std::time::Instant::now();
    let run = aws.run(&only("iam.policy.lbc", &["--iam-path", "/b/"]), &[]).await.expect(1);
    assert!(run.stderr.contains("exists under another path: arn:aws:iam::111122223333:policy/a/"), "{}", run.stderr);
    assert!(run.stderr.contains("--iam-path /a/"), "{}", run.stderr);
    assert!(begun.elapsed() < std::time::Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_in_the_middle_end_the_run_at_once() {
    let aws = Aws::start(|_| {}).await;
    let expired = Effect::Error { code: "ExpiredToken".to_owned(), status: 403, message: "expired".to_owned() };
    aws.simulator.inject(Fault { at: At::Write(1), effect: expired, times: 1_000 });
    let run = aws.run(&arguments(), &[]).await.expect(77);
    assert!(run.stderr.contains("the credentials have expired: log in again"), "{}", run.stderr);
    // What was running side by side may still have tried; nothing that came later did.
    assert!(!run.stderr.contains("iam:AttachRolePolicy: ExpiredToken"), "{}", run.stderr);
    assert!(run.stderr.contains("not run"), "{}", run.stderr);
    // Nothing can be read any more, and what was not made is known all the same.
    assert!(run.stderr.contains("remains: iam:Create"), "{}", run.stderr);
    assert!(!run.stderr.contains("could not be observed"), "{}", run.stderr);
    aws.simulator.clear_calls();
    aws.run(&arguments(), &[]).await.expect(0);
}
