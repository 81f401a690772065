//! A helm that dies, with the program or without it, at several moments of an install and an upgrade: the next apply frees the
//! release at once, and never while helm lives or where another host may be at work.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::HelmMajor;
use eks_bootstrap::helm_writer::WRITER_LABEL;
use eks_bootstrap::sandbox::aws::Seed;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Lab, finish, helm, signal};

const LBC: &str = "aws-load-balancer-controller";
const EBS: &str = "aws-ebs-csi-driver";

/// How long a slow machine may need until helm does something.
const LONG: Duration = Duration::from_mins(2);

/// A lab whose nodes can be closed, so that helm waits for pods.
struct Scene {
    lab: Lab,
    nodes: Vec<String>,
}

impl Scene {
    async fn start(major: HelmMajor) -> Scene {
        let lab = Lab::with(Seed::builtin(), helm(major)).await;
        lab.run(&["apply", "--yes"]).await.expect(0);
        let nodes = lab.reader().await.list("v1", "Node", "", "").await.unwrap();
        let nodes = nodes.iter().map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        Scene { lab, nodes }
    }

    async fn cordon(&self, on: bool) {
        for node in &self.nodes {
            self.lab.patch(&format!("/api/v1/nodes/{node}"), &json!({"spec": {"unschedulable": on}})).await;
        }
    }

    /// The newest record of a release.
    async fn record(&self, release: &str) -> Option<Value> {
        let selector = format!("owner=helm,name={release}");
        let records = self.lab.reader().await.list("v1", "Secret", "kube-system", &selector).await.unwrap();
        let number =
            |record: &Value| -> u64 { record["metadata"]["labels"]["version"].as_str().unwrap().parse().unwrap() };
        records.into_iter().max_by_key(number)
    }

    async fn is(&self, release: &str, status: &str) -> bool {
        self.record(release).await.is_some_and(|record| record["metadata"]["labels"]["status"] == status)
    }

    async fn pods_wait(&self) -> bool {
        let pods = self.lab.reader().await.list("v1", "Pod", "kube-system", "").await.unwrap();
        pods.iter()
            .any(|pod| pod["status"]["phase"] == "Pending" && pod["metadata"]["name"].to_string().contains("ebs-csi"))
    }

    /// An apply that helm cannot finish, since no pod is scheduled, at the moment that `when` describes.
    #[expect(clippy::zombie_processes, reason = "it is returned, and the caller waits for it")]
    async fn begin(&self, when: &str) -> Child {
        self.cordon(true).await;
        self.lab.forget();
        let mut child = self.lab.spawn(&["apply", "--yes", "--timeout", "10m"]);
        let begun = Instant::now();
        loop {
            let here = match when {
                "helm begins" => !self.lab.helm_writes().is_empty(),
                "install is recorded" => self.is(EBS, "pending-install").await,
                "pods wait" => self.is(EBS, "pending-install").await && self.pods_wait().await,
                "upgrade is recorded" => self.is(LBC, "pending-upgrade").await,
                other => panic!("no such moment: {other}"),
            };
            if here {
                return child;
            }
            if begun.elapsed() > LONG {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("never: {when}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The next apply is done, and waits for nobody.
    async fn goes_on(&self, runs: &[&str]) {
        self.cordon(false).await;
        self.lab.forget();
        let begun = Instant::now();
        self.lab.run(&["apply", "--yes"]).await.expect(0);
        assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
        let verbs: Vec<_> =
            self.lab.helm_writes().iter().map(|run| run.split(' ').next().unwrap().to_owned()).collect();
        assert!(runs.is_empty() || verbs == runs, "{verbs:?}");
        self.lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    }
}

/// The processes of helm that a run started, once there are any: a program that has just been started shows no words for a moment.
async fn helms(run: &Child) -> Vec<i32> {
    let begun = Instant::now();
    loop {
        let found = helms_now(run);
        if !found.is_empty() {
            return found;
        }
        assert!(begun.elapsed() < LONG, "no helm of {} is found", run.id());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn helms_now(run: &Child) -> Vec<i32> {
    let mark = format!("{WRITER_LABEL}=");
    let found = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).ok()?).into_owned();
        let label = line.split_once(&mark)?.1;
        label.split('.').nth(1).is_some_and(|of| of == run.id().to_string()).then_some(pid)
    });
    found.collect()
}

fn kill(pids: &[i32]) {
    for pid in pids {
        // One that has ended by itself is as dead.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(*pid).unwrap(), Signal::KILL);
    }
}

/// Kills a run, then its helm.
async fn kill_both(run: Child) {
    let found = helms(&run).await;
    signal(&run, Signal::KILL);
    kill(&found);
    finish(run).await;
}

async fn a_dead_helm_is_freed_at_once(major: HelmMajor) {
    let scene = Scene::start(major).await;
    let lab = &scene.lab;
    for when in ["helm begins", "install is recorded", "pods wait"] {
        lab.helm(&["uninstall", EBS, "-n", "kube-system"]).await;
        kill_both(scene.begin(when).await).await;
        let runs: &[&str] = if when == "helm begins" { &[] } else { &["uninstall", "upgrade"] };
        scene.goes_on(runs).await;
    }

    // Helm alone dies: the run says of what, and what remains.
    lab.helm(&["uninstall", EBS, "-n", "kube-system"]).await;
    let run = scene.begin("install is recorded").await;
    kill(&helms(&run).await);
    let run = finish(run).await.expect(1);
    for part in [
        "it was killed by signal 9 (SIGKILL)",
        "remains: helm:uninstall helm/kube-system/aws-ebs-csi-driver, helm:upgrade helm/kube-system/aws-ebs-csi-driver",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    scene.goes_on(&["uninstall", "upgrade"]).await;

    // The run alone dies in an upgrade, and its helm goes on.
    let chart = lab.charts().join(LBC).display().to_string();
    let by_hand =
        ["upgrade", LBC, &chart, "-n", "kube-system", "--reuse-values", "--set", "enableShield=false", "--wait"];
    lab.helm(&by_hand).await;
    let mut run = scene.begin("upgrade is recorded").await;
    run.kill().unwrap();
    run.wait().unwrap();
    let living = helms(&run).await;
    let refused = lab.run(&["apply", "--yes"]).await.expect(4);
    let process = format!("(process {})", living[0]);
    assert!(refused.stdout.contains(&process) || refused.stderr.contains(&process), "{refused:?}");
    kill(&living);
    another_host_waits(&scene).await;
    // Back to what was there by hand, then to what is wanted.
    scene.goes_on(&["rollback", "upgrade"]).await;

    // A label that helm carried over to a revision of somebody else says nothing of that one.
    lab.helm(&by_hand).await;
    let carried = scene.record(LBC).await.unwrap();
    let revision = carried["metadata"]["labels"]["version"].as_str().unwrap();
    let writer = carried["metadata"]["labels"][WRITER_LABEL].as_str().unwrap_or_default();
    assert!(writer.rsplit('.').next() != Some(revision), "{writer} in revision {revision}");
    scene.lab.stop().await;
}

/// A record of another host waits until it is old, whatever its clock says.
async fn another_host_waits(scene: &Scene) {
    let record = scene.record(LBC).await.unwrap();
    let path = format!("/api/v1/namespaces/kube-system/secrets/{}", record["metadata"]["name"].as_str().unwrap());
    let writer = record["metadata"]["labels"][WRITER_LABEL].as_str().unwrap();
    let other = format!("{}.{}", "0".repeat(16), writer.split_once('.').unwrap().1);
    let label = |value: &str| json!({"metadata": {"labels": {WRITER_LABEL: value}}});
    scene.lab.patch(&path, &label(&other)).await;
    let refused = scene.lab.run(&["apply", "--yes"]).await.expect(4);
    assert!(refused.stderr.contains("another helm has left it pending-upgrade"), "{}", refused.stderr);
    scene.lab.patch(&path, &label(writer)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_helm_4_is_freed_at_once() {
    a_dead_helm_is_freed_at_once(HelmMajor::Four).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_helm_3_is_freed_at_once() {
    a_dead_helm_is_freed_at_once(HelmMajor::Three).await;
}
