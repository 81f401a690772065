//! What EKS says of a role: worth another try only while this run has just written that role.

use eks_bootstrap::sandbox::aws::{At, Effect, Fault};

use crate::support::Aws;

const CALL: &str = "CreatePodIdentityAssociation";

/// EKS does not know the role, so often.
fn unknown_role(aws: &Aws, times: u64) {
    let message = "Role provided in the request does not exist.".to_owned();
    let effect = Effect::Error { code: "InvalidParameterException".to_owned(), status: 400, message };
    aws.simulator.inject(Fault { at: At::Operation { name: CALL.to_owned(), nth: 1 }, effect, times });
}

fn asked(aws: &Aws) -> usize {
    aws.simulator.calls().iter().filter(|call| call.operation == CALL).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_is_asked_again_only_for_a_role_of_this_run() {
    let aws = Aws::start(|_| {}).await;
    let roles = ["--only", "iam.policy.lbc", "--only", "iam.role.lbc", "--only", "iam.attachment.lbc"];
    let association = ["--only", "eks.pod-identity.lbc"];
    let apply = ["apply", "--yes", "-c", "demo", "--identity", "pod-identity", "--timeout", "20s"];
    aws.run(&[&apply[..], &roles].concat(), &[]).await.expect(0);

    // An earlier run has made the role: what EKS does not like of it now, it does not like in a minute either.
    aws.simulator.clear_calls();
    unknown_role(&aws, 1000);
    let failed = aws.run(&[&apply[..], &association].concat(), &[]).await.expect(1);
    assert!(failed.stderr.contains("Role provided in the request does not exist"), "{}", failed.stderr);
    assert_eq!(asked(&aws), 1);

    // This run makes the role: EKS has only not heard of it yet.
    let aws = Aws::start(|_| {}).await;
    unknown_role(&aws, 2);
    aws.run(&[&apply[..], &roles, &association].concat(), &[]).await.expect(0);
    assert_eq!(asked(&aws), 3);
}
