//! One cluster from "created" to finished, as a person and as a pipeline see it: texts, JSON, exit codes, access.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Lab, Run, finish, program, signal};

/// Replaces what differs from run to run: durations, ports, hashes, folders.
fn stable(lab: &Lab, text: &str) -> String {
    let mut text = text.replace(&lab.work.path().display().to_string(), "WORK");
    text = text.replace(&lab.charts().display().to_string(), "CHARTS");
    for (pattern, replacement) in [
        (r" +\d+(\.\d+)? s\b", " TIME"),
        (r"\d\d:\d\d\b", "TIME"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"sha256:[0-9a-f]+", "sha256:HASH"),
    ] {
        text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, replacement).into_owned();
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Sorted, since steps that run side by side end in any order; the numbers go with the order.
fn finished_lines(text: &str) -> String {
    let number = regex_lite::Regex::new(r"^\[ ?\d+/(\d+)\]").unwrap();
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with('[') || line.starts_with("done"))
        .map(|line| number.replace(line, "[N/$1]").into_owned())
        .collect();
    lines.sort();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn from_created_to_finished() {
    let lab = Lab::start().await;

    let plan = lab.run(&["plan"]).await.expect(0);
    insta::assert_snapshot!("plan_of_a_new_cluster", stable(&lab, &plan.stdout));
    assert_eq!(plan.stderr, "");
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(2);
    let document = lab.run(&["plan", "-o", "json"]).await.expect(0).json();
    assert_eq!(document["schema"], "eks-bootstrap/plan/v1");
    assert_eq!(document["summary"]["create"], 10);
    let script = lab.run(&["plan", "-o", "commands"]).await.expect(0).stdout;
    for command in ["aws iam create-role ", "kubectl apply --server-side", "helm upgrade --install aws-ebs-csi-driver "]
    {
        assert!(script.contains(command), "{script}");
    }

    let refused = lab.run(&["apply"]).await.expect(4);
    assert!(refused.stderr.contains("not confirmed"), "{}", refused.stderr);
    assert_eq!(lab.aws_writes(), Vec::<String>::new());

    let apply = lab.run(&["apply", "--yes"]).await.expect(0);
    insta::assert_snapshot!("apply_to_a_new_cluster", finished_lines(&stable(&lab, &apply.stderr)));
    let again = lab.run(&["apply", "--yes"]).await.expect(0);
    insta::assert_snapshot!("apply_to_a_finished_cluster", stable(&lab, &again.stdout));
    let finished = lab.run(&["plan"]).await.expect(0);
    insta::assert_snapshot!("plan_of_a_finished_cluster", stable(&lab, &finished.stdout));

    what_was_made_is_what_was_promised(&lab).await;
    events_are_complete(&lab).await;
    tokens_and_kubeconfigs_open_the_cluster(&lab).await;
    a_release_without_the_node_selector_differs_in_that(&lab).await;
    lab.stop().await;
}

async fn what_was_made_is_what_was_promised(lab: &Lab) {
    let world = lab.sandbox.simulator.snapshot().to_string();
    for part in ["AmazonEBSCSIDriverPolicyV2", "eks-bootstrap/managed-by", "sts.amazonaws.com", "EksBootstrapIrsa"] {
        assert!(world.contains(part), "{part} is not in {world}");
    }
    let account = lab.object("v1", "ServiceAccount", "aws-load-balancer-controller").await;
    assert_eq!(account["metadata"]["labels"]["app.kubernetes.io/managed-by"], "eks-bootstrap");
    let controller = lab.object("apps/v1", "Deployment", "aws-load-balancer-controller").await;
    assert_eq!(controller["status"]["readyReplicas"], 2);
    let arguments = controller["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    for argument in ["demo", "eu-west-1", "vpc-"] {
        assert!(arguments.contains(argument), "{arguments}");
    }
    let driver = lab.object("v1", "ServiceAccount", "ebs-csi-controller-sa").await;
    let role = driver["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].as_str().unwrap();
    assert!(role.contains("demo-aws-ebs-csi-driver-"), "{role}");
    // Pods really got the role, not only their service account the annotation.
    let pods = lab.reader().await.list("v1", "Pod", "kube-system", "").await.unwrap();
    assert!(pods.iter().any(|pod| pod["spec"]["containers"].to_string().contains(role)));
}

/// An older version of this program set every value but the node selector, so an update finds exactly one difference.
async fn a_release_without_the_node_selector_differs_in_that(lab: &Lab) {
    let name = "aws-load-balancer-controller";
    let chart = lab.charts().join(name).display().to_string();
    let values = "clusterName=demo,region=eu-west-1,vpcId=vpc-0a1b2c3d4e5f60718,serviceAccount.create=false,\
                  serviceAccount.name=aws-load-balancer-controller,keepTLSSecret=true";
    lab.helm(&["upgrade", name, &chart, "-n", "kube-system", "--wait", "--set", values]).await;
    let plan = lab.run(&["plan", "-o", "json", "--detailed-exitcode"]).await.expect(2).json();
    let mut found = Vec::new();
    for step in plan["steps"].as_array().unwrap() {
        for field in step["fields"].as_array().unwrap() {
            let text = |name: &str| field[name].as_str().unwrap_or("-").to_owned();
            found.push(format!(
                "{} {} {} {}",
                step["id"].as_str().unwrap(),
                text("path"),
                text("before"),
                text("after")
            ));
        }
    }
    assert_eq!(found, ["helm.lbc values.nodeSelector.kubernetes.io/os - linux"]);
    lab.run(&["apply", "--yes"]).await.expect(0);
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let controller = lab.object("apps/v1", "Deployment", name).await;
    assert_eq!(controller["spec"]["template"]["spec"]["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
}

/// The first event lists all steps, every step ends exactly once, the run ends exactly once.
async fn events_are_complete(lab: &Lab) {
    lab.delete("/api/v1/namespaces/kube-system/serviceaccounts/aws-load-balancer-controller").await;
    let run = lab.run(&["apply", "--yes", "-o", "json"]).await.expect(0);
    let events: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(events[0]["type"], "run-started");
    assert_eq!(events[0]["version"], "1.0");
    assert_eq!(events.last().unwrap()["type"], "run-finished");
    assert_eq!((of("run-started").len(), of("run-finished").len()), (1, 1));
    let mut announced: Vec<_> = events[0]["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    let mut ended: Vec<_> = of("step-finished").iter().map(|event| event["step"].clone()).collect();
    announced.sort_by_key(Value::to_string);
    ended.sort_by_key(Value::to_string);
    assert_eq!(announced, ended);
    let outcome = |id: &str| of("step-finished").iter().find(|event| event["step"] == id).unwrap()["outcome"].clone();
    assert_eq!(outcome("k8s.service-account.lbc"), "changed");
    assert_eq!(outcome("proof.identity.lbc"), "proved");
    assert_eq!(outcome("iam.role.lbc"), "unchanged");
}

async fn tokens_and_kubeconfigs_open_the_cluster(lab: &Lab) {
    let credential = lab.run(&["token"]).await.expect(0).json();
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(credential["kind"], "ExecCredential");
    assert!(credential["status"]["token"].as_str().unwrap().starts_with("k8s-aws-v1."));
    let kubeconfig = lab.sandbox.plane.admin_kubeconfig().display().to_string();
    let plan = lab.run(&["plan", "--kubeconfig", &kubeconfig, "--detailed-exitcode"]).await;
    plan.expect(0);
    let other = lab.run(&["plan", "--kubeconfig", &kubeconfig, "--context", "nowhere"]).await.expect(64);
    assert!(other.stderr.contains("nowhere"), "{}", other.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_is_named_and_left_alone() {
    let lab = Lab::start().await;
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": "aws-load-balancer-controller",
            "labels": {"app.kubernetes.io/managed-by": "eksctl"},
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/eksctl-demo"},
        },
    });
    lab.create("/api/v1/namespaces/kube-system/serviceaccounts", &account).await;
    let chart = lab.charts().join("aws-ebs-csi-driver").display().to_string();
    lab.helm(&["install", "ebs", &chart, "-n", "kube-system"]).await;

    let plan = lab.run(&["plan", "-o", "json"]).await.expect(0).json();
    let step = |plan: &Value, id: &str| {
        plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).cloned().unwrap()
    };
    let found = step(&plan, "k8s.service-account.lbc");
    assert_eq!((found["action"].as_str(), found["owner"].as_str()), (Some("blocked"), Some("eksctl")));
    assert_eq!(found["mend"], "--adopt k8s.service-account.lbc");
    let found = step(&plan, "helm.ebs");
    assert_eq!(
        (found["action"].as_str(), found["owner"].as_str()),
        (Some("blocked"), Some("Helm release kube-system/ebs"))
    );
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(4);

    lab.forget();
    let run = lab.run(&["apply", "--yes"]).await.expect(4);
    assert!(run.stderr.contains("--adopt helm.ebs --adopt k8s.service-account.lbc"), "{}", run.stderr);
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
    assert_eq!(lab.helm_writes(), Vec::<String>::new());
    let untouched = lab.object("v1", "ServiceAccount", "aws-load-balancer-controller").await;
    assert_eq!(untouched["metadata"]["labels"]["app.kubernetes.io/managed-by"], "eksctl");

    // The service account is adopted; the other release is left to its owner.
    let adopt = ["apply", "--yes", "--adopt", "k8s.service-account.lbc", "--disable", "aws-ebs-csi-driver"];
    lab.run(&adopt).await.expect(0);
    let adopted = lab.object("v1", "ServiceAccount", "aws-load-balancer-controller").await;
    assert_eq!(adopted["metadata"]["annotations"]["eks-bootstrap.dev/adopted-from"], "eksctl");
    lab.run(&["plan", "--detailed-exitcode", "--disable", "aws-ebs-csi-driver"]).await.expect(0);

    // An object of the chart that someone else made is taken over only when that is asked for.
    lab.helm(&["uninstall", "ebs", "-n", "kube-system"]).await;
    let mut account = account;
    account["metadata"]["name"] = json!("ebs-csi-controller-sa");
    lab.create("/api/v1/namespaces/kube-system/serviceaccounts", &account).await;
    let run = lab.run(&["apply", "--yes"]).await.expect(4);
    assert!(run.stderr.contains("owned by eksctl: --adopt helm.ebs"), "{}", run.stderr);
    lab.run(&["apply", "--yes", "--adopt", "helm.ebs"]).await.expect(0);
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    let adopted = lab.object("v1", "ServiceAccount", "ebs-csi-controller-sa").await;
    let role = adopted["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].as_str().unwrap();
    assert!(role.contains("demo-aws-ebs-csi-driver-"), "{role}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_and_charts_that_are_not_there_are_known_before_anything_is_written() {
    let lab = Lab::start().await;
    let empty = lab.work.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let charts = empty.display().to_string();
    let run = lab.run(&["apply", "--yes", "--charts", &charts]).await.expect(1);
    assert!(run.stderr.contains("chart `aws-load-balancer-controller` 3.5.0 not found"), "{}", run.stderr);
    let without = [("HELM_BIN", ""), ("EKS_BOOTSTRAP_HELM", ""), ("PATH", charts.as_str())];
    let run = lab.run_with(&["apply", "--yes"], &without).await.expect(1);
    assert!(run.stderr.contains("helm not found"), "{}", run.stderr);
    let old = lab.work.path().join("old-helm");
    std::fs::write(&old, "#!/bin/sh\necho v3.13.0\n").unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = lab.run(&["apply", "--yes", "--helm", &old.display().to_string()]).await.expect(1);
    assert!(run.stderr.contains("is too old"), "{}", run.stderr);
    let version = lab.run(&["apply", "--yes", "--lbc-version", "9.9.9"]).await.expect(1);
    assert!(version.stderr.contains("it holds aws-load-balancer-controller 3.5.0"), "{}", version.stderr);
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_cannot_finish_says_why_and_a_rerun_goes_on() {
    let lab = Lab::start().await;
    let nodes = lab.reader().await.list("v1", "Node", "", "").await.unwrap();
    let cordon = async |on: bool| {
        for node in &nodes {
            let path = format!("/api/v1/nodes/{}", node["metadata"]["name"].as_str().unwrap());
            lab.patch(&path, &json!({"spec": {"unschedulable": on}})).await;
        }
    };
    cordon(true).await;
    let run = lab.run(&["apply", "--yes", "--timeout", "5s"]).await.expect(1);
    for part in [
        "failed  helm.ebs  after",
        "Unschedulable: 0/2 nodes are available",
        "hint: add or free nodes",
        "remains: helm:upgrade helm/kube-system/aws-ebs-csi-driver",
        "nothing rolled back; run the same command again to go on",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    cordon(false).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_finishes_although_the_run_is_interrupted() {
    let lab = Lab::start().await;
    let mut command = program(&["apply", "--yes"], lab.work.path());
    command.envs(lab.sandbox.environment()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    while lab.helm_writes().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let run = Run::from(output).expect(130);
    assert!(run.stderr.contains("cancelled"), "{}", run.stderr);
    let records = lab.reader().await.list("v1", "Secret", "kube-system", "owner=helm").await.unwrap();
    let states: Vec<_> = records.iter().map(|record| record["metadata"]["labels"]["status"].clone()).collect();
    assert!(states.iter().all(|state| state == "deployed"), "{states:?}");

    // SIGTERM is passed on to helm, and the summary says how it left its record.
    lab.forget();
    let child = lab.spawn(&["apply", "--yes"]);
    while !lab.helm_runs().iter().any(|run| run.starts_with("upgrade")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let began = std::time::Instant::now();
    signal(&child, rustix::process::Signal::TERM);
    let run = finish(child).await.expect(143);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for part in ["terminated: waiting for running calls", "may be half done: helm:upgrade", "was ended, "] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    assert!(["its record", "there is no record"].iter().any(|told| run.stderr.contains(told)), "{}", run.stderr);
    lab.run(&["apply", "--yes"]).await.expect(0);
    lab.stop().await;
}
