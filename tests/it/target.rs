//! The cluster behind a kubeconfig has to be the one that AWS was asked about.

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::support::{Aws, Lab, Run, helm, of_aws};

/// The steps that ask the cluster nothing: what refuses them is the kubeconfig.
const OF_AWS: [&str; 2] = ["--only", "iam.oidc-provider"];

/// The kubeconfig of the control plane, with its cluster entry changed.
fn kubeconfig(lab: &Lab, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let text = std::fs::read_to_string(lab.sandbox.plane.admin_kubeconfig()).unwrap();
    let mut document: Value = serde_saphyr::from_str(&text).unwrap();
    change(&mut document["clusters"][0]["cluster"]);
    let path = lab.work.path().join(name);
    std::fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

/// The name of the cluster entry of a kubeconfig.
fn entry(path: &str) -> String {
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    document["clusters"][0]["name"].as_str().unwrap().to_owned()
}

fn finding(run: &Run) -> Value {
    finding_of(run, "EKB-CLUS-008")
}

fn finding_of(run: &Run, id: &str) -> Value {
    let document = run.json();
    let all = document["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["id"] == id).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_of_another_cluster_is_refused_before_the_first_write() {
    let mut seed = Seed::builtin();
    let mut other = seed.clusters[0].clone();
    other.name = "other".to_owned();
    other.objects.clear();
    other.nodegroups.clear();
    seed.clusters.push(other);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let own = kubeconfig(&lab, "own", |_| {});
    let of = |cluster: &'static str| vec!["-c", cluster, "--kubeconfig", &own];

    // Another cluster: whatever writes is refused, whatever reads says so.
    lab.forget();
    for command in [
        &["apply", "--yes"][..],
        &["apply", "--yes", OF_AWS[0], OF_AWS[1]],
        &["destroy", "--confirm", "other"],
        &["migrate", "--to", "pod-identity", "--yes"],
        &["verify", "--deep", "--yes"],
    ] {
        let run = lab.run(&[command, &of("other")].concat()).await.expect(4);
        assert!(run.stderr.contains("leads to another cluster than `other`"), "{command:?}: {}", run.stderr);
        assert!(run.stderr.contains("token issuer: https://oidc.eks.eu-west-1"), "{command:?}: {}", run.stderr);
    }
    assert_eq!((lab.aws_writes(), lab.helm_writes()), (Vec::<String>::new(), Vec::<String>::new()));
    let plan = lab.run(&[&["plan", "-o", "json"][..], &of("other")].concat()).await;
    assert!(plan.json()["diagnostics"][0]["message"].as_str().unwrap().contains("another cluster"), "{}", plan.stdout);
    let run = lab.run(&[&["verify", "-o", "json"][..], &of("other")].concat()).await;
    assert_eq!(finding(&run)["status"], "failed", "{}", finding(&run));

    // Its own: the certificate authority says so, and nothing is asked for that.
    let run = lab.run(&[&["verify", "-o", "json"][..], &of("demo")].concat()).await;
    assert_eq!(finding(&run)["status"], "ok", "{}", finding(&run));
    assert!(run.stdout.contains("it trusts the cluster's certificate authority"), "{}", run.stdout);
    assert_eq!(finding_of(&run, "EKB-CLUS-009")["status"], "ok");
    assert!(!run.stderr.contains("insecure-skip-tls-verify"), "{}", run.stderr);

    // A tunnel whose certificate nobody checks: what the cluster says of itself counts.
    let tunnel = kubeconfig(&lab, "tunnel", |cluster| {
        let server = cluster["server"].clone();
        *cluster = json!({"server": server, "insecure-skip-tls-verify": true});
    });
    let run = lab.run(&["verify", "-o", "json", "-c", "demo", "--kubeconfig", &tunnel]).await;
    assert!(run.stdout.contains("its kube-root-ca.crt holds the cluster's certificate authority"), "{}", run.stdout);
    let entry = format!("cluster entry `{}`", entry(&tunnel));
    let weak = finding_of(&run, "EKB-CLUS-009");
    assert_eq!(weak["status"], "warning", "{weak:#}");
    assert!(weak["observed"].as_str().unwrap().ends_with(&entry), "{weak:#}");
    // Said once by each command that connects, beside its result.
    let warned = |run: &Run| run.stderr.matches("warning: the kubeconfig's cluster entry").count();
    assert_eq!(warned(&run), 1, "{}", run.stderr);
    let tunnelled =
        |command: &[&'static str]| [command, &["-c", "demo", "--kubeconfig", &tunnel], &OF_AWS[..]].concat();
    for command in [&["plan"][..], &["apply", "--yes"]] {
        let run = lab.run(&tunnelled(command)).await.expect(0);
        assert_eq!(warned(&run), 1, "{command:?}: {}", run.stderr);
        assert!(run.stderr.contains(&entry) && !run.stdout.contains("insecure-skip"), "{command:?}: {}", run.stderr);
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_goes_with_its_charts_and_its_helm_wherever_they_lie() {
    let lab = Lab::start().await;
    let only = ["--enable", "metrics-server", "--only", "helm.metrics"];
    lab.run(&[&["plan", "--out", "plan.json"], &only[..]].concat()).await.expect(0);
    let elsewhere = lab.work.path().join("elsewhere");
    let copied = std::process::Command::new("cp").arg("-r").args([&lab.charts(), &elsewhere]).status().unwrap();
    assert!(copied.success());
    let charts = ("EKS_BOOTSTRAP_CHARTS", elsewhere.to_str().unwrap());
    let values = elsewhere.join("metrics-server/values.yaml");
    let original = std::fs::read_to_string(&values).unwrap();
    // A word that changes nothing of what is rendered makes another chart all the same.
    std::fs::write(&values, format!("{original}\n# by hand\n")).unwrap();
    let run = lab.run_with(&["apply", "--yes", "plan.json"], &[charts]).await.expect(4);
    assert!(run.stderr.contains("the content of chart metrics-server was sha256:"), "{}", run.stderr);
    std::fs::write(&values, original).unwrap();
    let three = helm(HelmMajor::Three);
    let run =
        lab.run_with(&["apply", "--yes", "plan.json", "--helm", three.to_str().unwrap()], &[charts]).await.expect(4);
    assert!(run.stderr.contains("the version of helm was 4."), "{}", run.stderr);
    let nowhere = [("EKS_BOOTSTRAP_CHARTS", "/nowhere")];
    let run = lab.run_with(&["apply", "--yes", "plan.json"], &nowhere).await.expect(64);
    assert!(run.stderr.contains("set EKS_BOOTSTRAP_CHARTS"), "{}", run.stderr);
    assert_eq!(lab.helm_writes(), Vec::<String>::new());
    lab.run_with(&["apply", "--yes", "plan.json"], &[charts]).await.expect(0);
    assert_eq!(lab.helm_writes().len(), 1);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arns_of_another_account_or_path_are_refused_by_the_name_of_their_flag() {
    let aws = Aws::start(|_| {}).await;
    let elsewhere = "arn:aws:iam::444455556666";
    for (flag, object) in [
        ("--lbc-role-arn", "role/x"),
        ("--ebs-role-arn", "role/path/x"),
        ("--lbc-policy-arn", "policy/x"),
        ("--permissions-boundary", "policy/x"),
        ("--node-role", "role/x"),
    ] {
        let arn = format!("{elsewhere}:{object}");
        let run = aws.run(&["apply", "--yes", "-c", "demo", "--attach-node-role", flag, &arn], &[]).await.expect(64);
        assert!(run.stderr.contains(flag) && run.stderr.contains("account 444455556666"), "{flag}: {}", run.stderr);
    }
    // A key may be another account's, and the policies of AWS are of none.
    let key = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let boundary = "arn:aws:iam::aws:policy/AdministratorAccess";
    let plan = ["plan", "-c", "demo", "--kms-key", key, "--permissions-boundary", boundary];
    aws.run(&of_aws(&plan), &[]).await.expect(0);
    // IAM would find this role by its name.
    let wrong = "arn:aws:iam::111122223333:role/team/platform-admin";
    let steps = ["--only", "iam.role.lbc", "--only", "iam.oidc-provider"];
    let run = aws
        .run(&[&["apply", "--yes", "-c", "demo", "--lbc-role-arn", wrong], &steps[..]].concat(), &[])
        .await
        .expect(4);
    let right = "arn:aws:iam::111122223333:role/platform-admin";
    assert!(run.stderr.contains(&format!("{right} does")), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("--lbc-role-arn {right}")), "{}", run.stderr);
    assert_eq!(aws.writes(), Vec::<String>::new());
}
