//! Starting worlds other than the built-in one: another partition with a slow IAM, an EKS add-on in the way, a role from the
//! documentation, Auto Mode; and the sandbox itself as a command.

use std::io::Read as _;
use std::process::Stdio;

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::{Seed, Simulator};
use serde_json::{Value, json};

use crate::support::{Aws, Lab, Run, helm, keep_cache, program};

#[tokio::test(flavor = "multi_thread")]
async fn another_partition_and_an_iam_that_takes_its_time() {
    let mut seed = Seed::from_yaml(
        "account: \"111122223333\"\npartition: aws-cn\nregion: cn-north-1\nconsistencySeconds: 12\n\
         clusters:\n- name: demo\n  version: \"1.34\"\n  nodegroups: [{name: a, role: nodes}]\n",
    )
    .unwrap();
    seed.page_size = Some(1);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    // The proof had to ask more than once until IAM let the new role be assumed.
    let calls = lab.sandbox.simulator.calls();
    let exchanges: Vec<_> = calls.iter().filter(|call| call.operation == "AssumeRoleWithWebIdentity").collect();
    assert!(exchanges.len() > 2, "{exchanges:?}");
    assert_eq!(exchanges.iter().filter(|call| call.error.is_none()).count(), 2, "one proof for each component");
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let world = lab.sandbox.simulator.snapshot().to_string();
    assert!(world.contains("arn:aws-cn:iam::111122223333:role/demo-aws-load-balancer-controller-"), "{world}");
    assert!(!world.contains("arn:aws:"), "{world}");
    let account = lab.object("v1", "ServiceAccount", "aws-load-balancer-controller").await;
    let role = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].as_str().unwrap();
    assert!(role.starts_with("arn:aws-cn:iam::111122223333:role/"), "{role}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addon_in_the_way_and_a_role_from_the_documentation() {
    let mut seed = Seed::builtin();
    let issuer = Simulator::new(seed.clone()).unwrap().cluster_issuer("demo").unwrap();
    let host = issuer.trim_start_matches("https://");
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",
        "Principal":{{"Federated":"arn:aws:iam::111122223333:oidc-provider/{host}"}},"Condition":{{"StringEquals":{{
        "{host}:sub":"system:serviceaccount:kube-system:aws-load-balancer-controller","{host}:aud":"sts.amazonaws.com"}}}}}}]}}"#
    );
    let more: Seed = serde_saphyr::from_str(&format!(
        "account: \"111122223333\"\nregion: eu-west-1\nroles:\n- name: AmazonEKSLoadBalancerControllerRole\n  trust: {document}\n"
    ))
    .unwrap();
    seed.roles.extend(more.roles);
    let addon: Seed = serde_saphyr::from_str(
        "account: \"111122223333\"\nregion: eu-west-1\nclusters: [{name: demo, addons: [{name: aws-ebs-csi-driver}]}]\n",
    )
    .unwrap();
    seed.clusters[0].addons.extend(addon.clusters[0].addons.clone());
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;

    let plan = lab.run(&["plan", "-o", "json"]).await.expect(0).json();
    let step = |id: &str| plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).cloned().unwrap();
    let ebs = step("helm.ebs");
    assert_eq!((ebs["action"].as_str(), ebs["owner"].as_str()), (Some("blocked"), Some("an EKS add-on")), "{ebs}");
    assert_eq!(ebs["mend"], "--disable aws-ebs-csi-driver");
    let named = "arn:aws:iam::111122223333:role/AmazonEKSLoadBalancerControllerRole";
    let reason = step("iam.role.lbc")["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with(&format!("--lbc-role-arn {named} uses that")), "{reason}");

    let options = ["--lbc-role-arn", named, "--disable", "aws-ebs-csi-driver"];
    let run = async |first: &[&str]| lab.run(&[first, &options].concat()).await;
    run(&["apply", "--yes"]).await.expect(0);
    run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let account = lab.object("v1", "ServiceAccount", "aws-load-balancer-controller").await;
    assert_eq!(account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"], named);
    let writes = lab.aws_writes();
    let expected = ["iam:CreateOpenIDConnectProvider", "iam:CreatePolicy", "iam:AttachRolePolicy"];
    for call in expected {
        assert!(writes.iter().any(|write| write == call), "{writes:?}");
    }
    assert_eq!(writes.len(), expected.len(), "the role itself is left as it is: {writes:?}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_mode_needs_nothing_unless_it_is_asked_for() {
    let aws = Aws::start(|seed| seed.clusters[0].auto_mode = true).await;
    let run = aws.run(&["plan", "-c", "demo", "--detailed-exitcode"], &[]).await.expect(0);
    assert!(run.stdout.contains("EKS Auto Mode brings its own"), "{}", run.stdout);
    let run = aws.run(&["apply", "--yes", "-c", "demo"], &[]).await.expect(0);
    assert!(run.stdout.starts_with("nothing to do"), "{}", run.stdout);
    assert_eq!(aws.writes(), Vec::<String>::new());
    let enabled = ["plan", "-c", "demo", "--enable", "aws-ebs-csi-driver", "--only", "iam.role.ebs", "-o", "json"];
    let plan = aws.run(&enabled, &[]).await.expect(0).json();
    assert_eq!(plan["summary"]["create"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_read_is_unknown_and_not_absent() {
    let aws = Aws::start(|seed| seed.deny = vec!["iam:GetRole".to_owned()]).await;
    let only = ["--only", "iam.role.lbc", "--only", "iam.oidc-provider"];
    let plan = aws.run(&[&["plan", "-c", "demo"], &only[..]].concat(), &[]).await.expect(77);
    assert!(plan.stdout.contains("?  iam.role.lbc"), "{}", plan.stdout);
    assert!(plan.stdout.contains("+  iam.oidc-provider"), "{}", plan.stdout);
    assert_eq!(aws.writes(), Vec::<String>::new());
    // What could be read is saved, and what does not need the rest is made.
    let saved = [&["plan", "-c", "demo", "--out", "plan.json"], &only[..]].concat();
    aws.run(&saved, &[]).await.expect(77);
    let saved: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(aws.file("plan.json")).unwrap()).unwrap();
    let role = saved["steps"].as_array().unwrap().iter().find(|step| step["id"] == "iam.role.lbc").unwrap();
    assert_eq!((&role["action"], &role["denied"][0]["right"]), (&json!("unknown"), &json!("iam:GetRole")), "{role}");
    let run = aws.run(&["apply", "plan.json", "--yes"], &[]).await.expect(77);
    assert_eq!(aws.writes(), ["iam:CreateOpenIDConnectProvider"]);
    assert!(run.stderr.contains("incomplete: 1 created, 1 unknown"), "{}", run.stderr);
    assert!(run.stderr.contains("allow the caller to iam:GetRole"), "{}", run.stderr);
    // What needs it is held back, said beforehand and afterwards.
    let more = [&only[..], &["--only", "iam.attachment.lbc", "--only", "iam.policy.lbc"]].concat();
    let plan = aws.run(&[&["plan", "-c", "demo"], &more[..]].concat(), &[]).await.expect(77);
    assert!(plan.stdout.contains("apply does not run it: it needs iam.role.lbc, which is unknown"), "{}", plan.stdout);
    let run = aws.run(&[&["apply", "--yes", "-c", "demo"], &more[..]].concat(), &[]).await.expect(77);
    assert_eq!(aws.writes(), ["iam:CreateOpenIDConnectProvider", "iam:CreatePolicy"]);
    assert!(run.stderr.contains("needs iam.role.lbc, which could not be judged"), "{}", run.stderr);
}

/// Runs the program's own `sandbox` command.
async fn sandbox(arguments: &'static [&'static str], home: &tempfile::TempDir) -> Run {
    sandbox_with(arguments, home, &[]).await
}

/// The same with variables that were set for other commands.
async fn sandbox_with(
    arguments: &'static [&'static str],
    home: &tempfile::TempDir,
    variables: &'static [(&'static str, &'static str)],
) -> Run {
    let mut command = program(arguments, home.path());
    keep_cache(&mut command);
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_runs_one_command_and_gives_its_exit_code() {
    const INSIDE: [&str; 7] =
        ["sandbox", "--charts", "mine", "--", "sh", "-c", "echo $AWS_REGION; echo $EKS_BOOTSTRAP_CHARTS; exit 7"];
    let home = tempfile::tempdir().unwrap();
    let run = sandbox(&["sandbox", "--", "plan", "--detailed-exitcode"], &home).await.expect(2);
    assert!(run.stdout.starts_with("Plan for demo"), "{}", run.stdout);
    assert!(run.stderr.ends_with("sandbox ended, nothing of it is left\n"), "{}", run.stderr);
    // Charts of the user's are found inside too, wherever the command goes.
    let run = sandbox(&INSIDE, &home).await.expect(7);
    assert_eq!(run.stdout, format!("eu-west-1\n{}\n", home.path().join("mine").display()));
    let run = sandbox(&["sandbox", "--seed", "nowhere.yaml", "--", "plan"], &home).await.expect(64);
    assert!(run.stderr.contains("nowhere.yaml"), "{}", run.stderr);
}

/// What leads elsewhere, as people have it set.
const ELSEWHERE: &[(&str, &str)] = &[
    ("EKS_BOOTSTRAP_KUBECONFIG", "/nowhere/production"),
    ("EKS_BOOTSTRAP_CONTEXT", "production"),
    ("EKS_BOOTSTRAP_CHARTS", "/nowhere/charts"),
    ("EKS_BOOTSTRAP_PROFILE", "production"),
    ("AWS_PROFILE", "production"),
    ("AWS_SESSION_TOKEN", "of-another-key"),
    ("AWS_ENDPOINT_URL_IAM", "http://127.0.0.1:9"),
    ("HELM_KUBECONTEXT", "production"),
    ("HELM_NAMESPACE", "production"),
    ("KUBERNETES_MASTER", "https://production"),
    ("NO_PROXY", "production.internal"),
    ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
];

/// Ways to everything, this machine too.
const PROXIES: [(&str, &str); 3] =
    [("HTTPS_PROXY", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9"), ("SSL_CERT_FILE", "/nowhere/ca.pem")];

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_is_sealed_against_variables_that_lead_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let run = sandbox_with(&["sandbox", "--", "sh", "-c", "env"], &home, ELSEWHERE).await.expect(0);
    for (name, value) in ELSEWHERE {
        let line = format!("{name}={value}");
        assert!(!run.stdout.lines().any(|found| found == line), "{line}: {}", run.stdout);
    }
    assert!(run.stdout.contains("AWS_ENDPOINT_URL=http://127.0.0.1:"), "{}", run.stdout);
    assert!(run.stderr.ends_with("sandbox ended, nothing of it is left\n"), "{}", run.stderr);
    let run = sandbox_with(&["sandbox", "--", "plan", "--detailed-exitcode"], &home, ELSEWHERE).await.expect(2);
    assert!(run.stdout.starts_with("Plan for demo"), "{}", run.stdout);

    // What is printed to be pasted works in a terminal where all this is set.
    let mut command = program(&["sandbox"], home.path());
    keep_cache(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let lines = tokio::task::spawn_blocking(move || {
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !(text.ends_with(b"\n") && text.windows(27).any(|word| word == b"export EKS_BOOTSTRAP_CHARTS")) {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1);
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    })
    .await
    .unwrap();
    let mut shell = std::process::Command::new("sh");
    let script = format!("{lines}\nexec {} plan -o json", crate::support::PROGRAM);
    shell.arg("-c").arg(script).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    shell.envs(ELSEWHERE.iter().copied().chain(PROXIES));
    let plan = Run::from(tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap());
    crate::support::signal(&child, rustix::process::Signal::INT);
    tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(plan.expect(0).json()["target"]["cluster"], "demo");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandboxs_own_paths_want_its_token() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let aws = Aws::start(|_| {}).await;
    let ask = async |token: &str| {
        let host = aws.url().trim_start_matches("http://").to_owned();
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        let request = format!(
            "GET /_sandbox/world HTTP/1.1\r\nhost: {host}\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for token in ["", "Bearer ", "Bearer 0123"] {
        let answer = ask(token).await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("clusters"), "{token}: {answer}");
        assert!(answer.contains("EKS_BOOTSTRAP_SANDBOX_TOKEN"), "{answer}");
    }
    assert!(ask(&format!("Bearer {}", aws.token())).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_stays_up_until_it_is_interrupted() {
    let home = tempfile::tempdir().unwrap();
    let seed = home.path().join("world.yaml");
    let objects =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "default"}}]);
    let text =
        format!("account: \"999988887777\"\nregion: eu-west-1\nclusters: [{{name: other, objects: {objects}}}]\n");
    std::fs::write(&seed, text).unwrap();
    let mut command = program(&["sandbox", "-o", "json", "--seed", "world.yaml"], home.path());
    keep_cache(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let variables = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\n}\n") && stdout.read(&mut byte).unwrap() == 1 {
            text.push(byte[0]);
        }
        serde_json::from_slice::<serde_json::Map<String, Value>>(&text).unwrap()
    })
    .await
    .unwrap();
    let mut plan = program(&["plan", "-o", "json"], home.path());
    plan.envs(variables.iter().map(|(name, value)| (name, value.as_str().unwrap())));
    let plan = Run::from(tokio::task::spawn_blocking(move || plan.output()).await.unwrap().unwrap()).expect(0).json();
    assert_eq!(
        (plan["target"]["cluster"].as_str(), plan["target"]["account"].as_str()),
        (Some("other"), Some("999988887777"))
    );

    let kubeconfig = std::path::PathBuf::from(variables["KUBECONFIG"].as_str().unwrap());
    assert!(kubeconfig.exists());
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!kubeconfig.parent().unwrap().exists(), "its folder is gone");
}
