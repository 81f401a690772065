//! What goes wrong for users before anything is written: one message with cause and mend, and the right exit code. AWS is
//! simulated behind its loopback front; no cluster is needed, since none of these runs gets that far.

use std::time::Duration;

use crate::support::{Aws, Run};

/// Runs the program and makes sure that it wrote nothing.
async fn refused(aws: &Aws, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let run = aws.run(arguments, variables).await;
    let writes = aws.writes();
    assert!(writes.is_empty(), "{arguments:?} wrote {writes:?}");
    run
}

/// stderr without what differs from run to run.
fn message(run: &Run) -> String {
    let ports = regex_lite::Regex::new(r"127\.0\.0\.1:\d{2,5}").unwrap();
    ports.replace_all(&run.stderr, "127.0.0.1:PORT").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_missing_or_not_taken() {
    let aws = Aws::start(|_| {}).await;
    let gone = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let run = refused(&aws, &["plan", "-c", "demo"], &gone).await.expect(77);
    insta::assert_snapshot!("no_credentials", message(&run));
    let run = refused(&aws, &["plan", "-c", "demo"], &[("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN000000000")]).await.expect(77);
    insta::assert_snapshot!("unknown_credentials", message(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_have_expired() {
    let aws = Aws::start(|seed| seed.credentials[0].expires = Some("2026-01-01T00:00:00Z".to_owned())).await;
    let run = refused(&aws, &["plan", "-c", "demo"], &[]).await.expect(77);
    insta::assert_snapshot!("expired_credentials", message(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_iam_denies() {
    let aws = Aws::start(|seed| seed.deny = vec!["eks:DescribeCluster".to_owned()]).await;
    let run = refused(&aws, &["plan", "-c", "demo"], &[]).await.expect(77);
    insta::assert_snapshot!("denied_call", message(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_are_not_there_or_not_ready() {
    let aws = Aws::start(|_| {}).await;
    let run = refused(&aws, &["plan", "-c", "demmo"], &[]).await.expect(1);
    insta::assert_snapshot!("cluster_not_found", message(&run));
    let aws = Aws::start(|seed| seed.clusters[0].status = "CREATING".to_owned()).await;
    // A cluster that is being created becomes ACTIVE by the simulator's clock, so ask at once.
    let run = refused(&aws, &["plan", "-c", "demo"], &[]).await.expect(1);
    insta::assert_snapshot!("cluster_not_ready", message(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account() {
    let aws = Aws::start(|_| {}).await;
    let run = refused(&aws, &["apply", "--yes", "-c", "demo", "--account", "999999999999"], &[]).await.expect(4);
    insta::assert_snapshot!("another_account", message(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_answer() {
    let aws = Aws::start(|seed| seed.clusters[0].endpoint_public_access = false).await;
    let run = refused(&aws, &["apply", "--yes", "-c", "demo"], &[]).await.expect(1);
    let text = message(&run);
    let error = text.split("error: ").nth(1).unwrap();
    insta::assert_snapshot!("api_server_unreachable", error);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aws_that_does_not_answer() {
    let aws = Aws::start(|_| {}).await;
    let began = std::time::Instant::now();
    let run = refused(
        &aws,
        &["plan", "-c", "demo"],
        &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_MAX_ATTEMPTS", "1")],
    );
    let run = run.await.expect(1);
    assert!(began.elapsed() < Duration::from_mins(1));
    assert!(run.stderr.contains("hint: AWS did not answer"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_cannot_be_used() {
    let aws = Aws::start(|_| {}).await;
    let cases: [(&[&str], &str); 11] = [
        (&["plan"], "no cluster is named"),
        (&["plan", "-c", "a b"], "--cluster"),
        (&["plan", "-c", "demo", "-r", "eu-west-1a"], "--region"),
        (&["plan", "-c", "demo", "--skip", "iam.role.lcb"], "did you mean `iam.role.lbc`"),
        (&["plan", "-c", "demo", "--enable", "ebs"], "--enable"),
        (&["plan", "-c", "demo", "--enable", "gp3"], "--enable"),
        (&["plan", "-c", "demo", "--metrics-server-version", "latest"], "--metrics-server-version"),
        (&["plan", "-c", "demo", "--charts", "nowhere"], "--charts"),
        (&["plan", "-c", "demo", "--helm", "nowhere"], "--helm"),
        (&["apply", "-c", "demo", "-o", "commands"], "plan -o commands"),
        (&["plann"], "plan"),
    ];
    for (arguments, expected) in cases {
        let run = refused(&aws, arguments, &[]).await.expect(64);
        assert!(run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    }
    let run = refused(&aws, &["plan", "-c", "demo"], &[("AWS_REGION", "")]).await.expect(64);
    assert!(run.stderr.contains("no AWS region is known"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn components_that_a_file_describes_wrongly() {
    let aws = Aws::start(|_| {}).await;
    let key = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let cases = [
        ("metricsServer: {roleArn: x}".to_owned(), "unknown field `spec.components.metricsServer.roleArn`"),
        ("metricsServer: {replicas: 0}".to_owned(), "replicas of metrics-server"),
        ("metricsServer: {version: v3.13.1}".to_owned(), "--metrics-server-version"),
        ("metricsServer: {values: [1]}".to_owned(), "values of metrics-server"),
        ("gp3StorageClass: {kmsKeyId: alias/mine}".to_owned(), "not a KMS key"),
        (format!("gp3StorageClass: {{encrypted: false, kmsKeyId: {key}}}"), "its volumes are not encrypted"),
        ("gp3StorageClass: {isDefault: true}".to_owned(), "unknown field `spec.components.gp3StorageClass.isDefault`"),
        ("gp3StorageClass: {default: maybe}".to_owned(), "expected a boolean"),
    ];
    let file = aws.file("wrong.yaml");
    for (component, expected) in cases {
        let head = "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {name: demo}";
        std::fs::write(&file, format!("{head}\n  components:\n    {component}\n")).unwrap();
        let run = refused(&aws, &["plan", "-f", "wrong.yaml"], &[]).await.expect(64);
        assert!(run.stderr.contains(expected), "{component}: {}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_explained() {
    let aws = Aws::start(|_| {}).await;
    let run = refused(&aws, &["explain", "iam.role.lbc"], &[]).await.expect(0);
    insta::assert_snapshot!("explain_a_role", run.stdout);
    let run = refused(&aws, &["explain"], &[]).await.expect(0);
    assert_eq!(run.stdout.lines().count(), eks_bootstrap::explain::codes().len());
    // A component of the user's own has steps of the same kinds.
    for own in ["iam.policy.dns", "k8s.namespace.external-dns"] {
        let run = refused(&aws, &["explain", own], &[]).await.expect(0);
        assert!(run.stdout.starts_with(own) && run.stdout.contains("  mend "), "{}", run.stdout);
    }
    let run = refused(&aws, &["explain", "iam.rol.lbc"], &[]).await.expect(64);
    assert!(run.stderr.contains("did you mean `iam.role.lbc`"), "{}", run.stderr);
}
