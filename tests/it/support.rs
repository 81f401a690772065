//! A laboratory for the black-box tests: a sandbox, the built program, and a helm that is counted.

mod helms;
mod planes;
mod times;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eks_bootstrap::kube_client::KubeTarget;
use eks_bootstrap::read::kube::{KubeRead, ObjectRef};
use eks_bootstrap::sandbox::aws::{Front, Seed, Simulator};
use eks_bootstrap::sandbox::control_plane::{ControlPlane, Sources};
use eks_bootstrap::sandbox::{Options, Sandbox};
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) use helms::{HelmMajor, helm};

/// The built program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_eks-bootstrap");

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Fails the test unless the exit code is `code`.
    pub(crate) fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The result as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A certificate authority that signs nothing here.
const CA: &str = include_str!("../fixtures/unrelated-ca.pem");

/// A simulated AWS without a control plane.
pub(crate) struct Aws {
    pub(crate) simulator: Simulator,
    front: Front,
    home: tempfile::TempDir,
    pid: Mutex<Option<u32>>,
}

impl Aws {
    /// The built-in world with one change, and a cluster whose API server nobody answers for.
    pub(crate) async fn start(change: impl FnOnce(&mut Seed)) -> Aws {
        let mut seed = Seed::builtin();
        change(&mut seed);
        let seed = prompt(seed);
        let simulator = Simulator::new(seed).unwrap();
        // Nothing listens on the discard port of loopback: the endpoint of a cluster that cannot be reached.
        simulator.set_cluster_endpoint("demo", "https://127.0.0.1:9", CA);
        let front = simulator.serve(TcpListener::bind("127.0.0.1:0").await.unwrap()).await;
        Aws { simulator, front, home: tempfile::tempdir().unwrap(), pid: Mutex::default() }
    }

    /// Runs the program against it, with variables changed; an empty value takes one away.
    pub(crate) async fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.command(arguments, variables);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        *self.pid.lock().unwrap() = Some(child.id());
        finish(child).await
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = program(arguments, self.home.path());
        let credential = &Seed::builtin().credentials[0];
        command
            .env("AWS_ENDPOINT_URL", self.front.url())
            .env("AWS_ACCESS_KEY_ID", &credential.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credential.secret_access_key)
            .env("AWS_REGION", "eu-west-1");
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        command
    }

    /// Where the simulated AWS answers.
    pub(crate) fn url(&self) -> String {
        self.front.url()
    }

    /// What its own paths want to be shown.
    pub(crate) fn token(&self) -> &str {
        self.front.token()
    }

    /// A file in the folder in which the program runs.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Sends SIGINT to the program that was started last, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.send(rustix::process::Signal::INT);
    }

    /// Sends it a signal.
    pub(crate) fn send(&self, signal: rustix::process::Signal) {
        let pid = self.pid.lock().unwrap().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Calls that wrote, since the last clearing.
    pub(crate) fn writes(&self) -> Vec<String> {
        writes(&self.simulator)
    }
}

/// The world without the lags that the built-in one has: most tests change something by the API of AWS and look at once what becomes of
/// it. Lags that a test sets itself stay.
fn prompt(mut seed: Seed) -> Seed {
    let builtin = Seed::builtin();
    let off = |lag: &mut u64, default: u64| {
        if *lag == default {
            *lag = 0;
        }
    };
    off(&mut seed.read_lag_seconds, builtin.read_lag_seconds);
    off(&mut seed.consistency_seconds, builtin.consistency_seconds);
    off(&mut seed.tagging_lag_seconds, builtin.tagging_lag_seconds);
    seed
}

fn writes(simulator: &Simulator) -> Vec<String> {
    let calls = simulator.calls();
    calls.iter().filter(|call| call.write).map(|call| format!("{}:{}", call.service, call.operation)).collect()
}

/// A sandbox with the program in it.
pub(crate) struct Lab {
    pub(crate) sandbox: Sandbox,
    helm_log: PathBuf,
    /// Charts in place of the stand-ins.
    charts: Option<PathBuf>,
    pub(crate) work: tempfile::TempDir,
}

impl Lab {
    /// The built-in world and helm 4.
    pub(crate) async fn start() -> Lab {
        Lab::with(Seed::builtin(), helm(HelmMajor::Four)).await
    }

    /// The built-in world as users have it, which is as slow to show changes as AWS.
    pub(crate) async fn lagging() -> Lab {
        Lab::of(Seed::builtin(), helm(HelmMajor::Four)).await
    }

    /// Another world or another helm.
    pub(crate) async fn with(seed: Seed, helm: PathBuf) -> Lab {
        Lab::of(prompt(seed), helm).await
    }

    async fn of(seed: Seed, helm: PathBuf) -> Lab {
        times::note();
        let work = tempfile::tempdir().unwrap();
        let helm_log = work.path().join("helm.log");
        let counted = work.path().join("helm");
        let script = format!(
            "#!/bin/sh\nexport GOGC=400\necho \"$@\" >> '{}'\nexec '{}' \"$@\"\n",
            helm_log.display(),
            helm.display()
        );
        fs::write(&counted, script).unwrap();
        fs::set_permissions(&counted, fs::Permissions::from_mode(0o755)).unwrap();
        let sandbox = Sandbox::start(Options {
            seed,
            latency: Duration::ZERO,
            program: PathBuf::from(PROGRAM),
            helm: Some(counted),
            sources: Sources::default(),
            plane: planes::lend,
            stand_in_charts: true,
            existing: None,
            progress: Arc::new(|progress| eprintln!("{progress}")),
        })
        .await
        .unwrap();
        Lab { sandbox, helm_log, charts: None, work }
    }

    /// The same with other charts than the stand-ins.
    pub(crate) fn of_charts(self, folder: &Path) -> Lab {
        Lab { charts: Some(folder.to_owned()), ..self }
    }

    /// The variables with which programs run inside.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.sandbox.environment();
        if let Some(charts) = &self.charts {
            variables.retain(|(name, _)| *name != "EKS_BOOTSTRAP_CHARTS");
            variables.push(("EKS_BOOTSTRAP_CHARTS", charts.display().to_string()));
        }
        variables
    }

    /// Runs the program as a user of the sandbox would.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[]).await
    }

    /// The same with variables changed; an empty value takes one away.
    pub(crate) async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = program(arguments, self.work.path());
        command.envs(self.environment());
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        let begun = Instant::now();
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        // With `--nocapture` this shows what a slow test waits for.
        eprintln!("{:5.1} s {}", begun.elapsed().as_secs_f64(), arguments.join(" "));
        output.into()
    }

    /// Starts the program and leaves it running; [`finish`] waits for it.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        let mut command = program(arguments, self.work.path());
        command.envs(self.environment()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// IAM of the simulated AWS, for changing the world with another tool.
    pub(crate) async fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.aws_config().await)
    }

    /// EKS of the simulated AWS, for the same.
    pub(crate) async fn eks(&self) -> aws_sdk_eks::Client {
        aws_sdk_eks::Client::new(&self.aws_config().await)
    }

    async fn aws_config(&self) -> aws_config::SdkConfig {
        let key = self.sandbox.simulator.access_key();
        aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region("eu-west-1")
            .http_client(self.sandbox.simulator.http_client())
            .credentials_provider(aws_credential_types::Credentials::new(
                key.access_key_id,
                key.secret_access_key,
                None,
                None,
                "test",
            ))
            .load()
            .await
    }

    /// AWS calls since the last [`Lab::forget`] that wrote.
    pub(crate) fn aws_writes(&self) -> Vec<String> {
        writes(&self.sandbox.simulator)
    }

    /// Runs of helm since the last [`Lab::forget`], without those that only ask for its version.
    pub(crate) fn helm_runs(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.helm_log).unwrap_or_default();
        log.lines().filter(|line| !line.starts_with("version")).map(ToOwned::to_owned).collect()
    }

    /// Those that write: a chart is rendered without the cluster, while it is planned.
    pub(crate) fn helm_writes(&self) -> Vec<String> {
        self.helm_runs().into_iter().filter(|run| !run.starts_with("template")).collect()
    }

    /// Starts counting anew.
    pub(crate) fn forget(&self) {
        self.sandbox.simulator.clear_calls();
        let _ = fs::remove_file(&self.helm_log);
    }

    fn target(&self) -> KubeTarget {
        KubeTarget::Local(self.sandbox.plane.admin_kubeconfig().to_path_buf())
    }

    /// Reads the cluster as its administrator.
    pub(crate) async fn reader(&self) -> KubeRead {
        KubeRead::connect(&self.target()).await.unwrap()
    }

    /// Reads one object that must exist.
    pub(crate) async fn object(&self, api_version: &str, kind: &str, name: &str) -> Value {
        let reference = ObjectRef::new(api_version, kind, "kube-system", name);
        self.reader().await.get(&reference).await.unwrap().unwrap_or_else(|| panic!("{reference} does not exist"))
    }

    /// Changes fields of the object at a path of the API, as the administrator with another tool.
    pub(crate) async fn patch(&self, path: &str, fields: &Value) {
        let request = http::Request::patch(format!("{path}?fieldManager=by-hand"))
            .header("content-type", "application/merge-patch+json");
        self.request(request.body(fields.to_string().into_bytes()).unwrap()).await;
    }

    /// The same with a JSON patch.
    pub(crate) async fn patch_json(&self, path: &str, operations: &Value) {
        let request = http::Request::patch(path).header("content-type", "application/json-patch+json");
        self.request(request.body(operations.to_string().into_bytes()).unwrap()).await;
    }

    /// Applies an object at its path of the API, as the administrator with another tool.
    pub(crate) async fn apply(&self, path: &str, object: &Value) {
        let request = http::Request::patch(format!("{path}?fieldManager=by-hand&force=true"))
            .header("content-type", "application/apply-patch+yaml");
        self.request(request.body(object.to_string().into_bytes()).unwrap()).await;
    }

    /// Deletes the object at a path of the API, as the administrator.
    pub(crate) async fn delete(&self, path: &str) {
        self.request(http::Request::delete(path).body(Vec::new()).unwrap()).await;
    }

    /// Creates an object in the collection at a path of the API, as the administrator.
    pub(crate) async fn create(&self, path: &str, object: &Value) {
        let request = http::Request::post(path).header("content-type", "application/json");
        self.request(request.body(object.to_string().into_bytes()).unwrap()).await;
    }

    /// Waits until an object is as wanted, for as long as a slow machine may need, and returns it.
    pub(crate) async fn until(&self, object: &ObjectRef, wanted: impl Fn(&Value) -> bool) -> Value {
        let reader = self.reader().await;
        let mut last = None;
        for _ in 0..1200 {
            last = reader.get(object).await.unwrap();
            if last.as_ref().is_some_and(&wanted) {
                return last.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{object} did not become as wanted: {last:#?}")
    }

    /// Waits until an object is gone.
    pub(crate) async fn gone(&self, object: &ObjectRef) {
        let reader = self.reader().await;
        let mut last = None;
        for _ in 0..1200 {
            last = reader.get(object).await.unwrap();
            if last.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{object} stays: {last:#?}")
    }

    /// What the API server answers at a path.
    pub(crate) async fn raw(&self, path: &str) -> Value {
        self.request(http::Request::get(path).body(Vec::new()).unwrap()).await
    }

    /// The path of an object in the API.
    pub(crate) async fn path(&self, object: &ObjectRef) -> String {
        let root = if object.api_version.contains('/') { "apis" } else { "api" };
        let root = format!("/{root}/{}", object.api_version);
        let resources = self.raw(&root).await["resources"].as_array().unwrap().clone();
        let is =
            |resource: &&Value| resource["kind"] == *object.kind && !resource["name"].as_str().unwrap().contains('/');
        let plural = resources.iter().find(is).unwrap()["name"].as_str().unwrap().to_owned();
        match &object.namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}/{}", object.name),
            None => format!("{root}/{plural}/{}", object.name),
        }
    }

    async fn request(&self, request: http::Request<Vec<u8>>) -> Value {
        administrator(&self.sandbox.plane).await.request::<Value>(request).await.unwrap()
    }

    /// Runs helm as the administrator.
    pub(crate) async fn helm(&self, arguments: &[&str]) {
        let variables: std::collections::BTreeMap<_, _> = self.environment().into_iter().collect();
        let mut command = Command::new(&variables["HELM_BIN"]);
        command.args(arguments).envs(&variables).env("KUBECONFIG", self.sandbox.plane.admin_kubeconfig());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The folder with the charts.
    pub(crate) fn charts(&self) -> PathBuf {
        let variables: std::collections::BTreeMap<_, _> = self.environment().into_iter().collect();
        PathBuf::from(&variables["EKS_BOOTSTRAP_CHARTS"])
    }

    /// Ends the sandbox; its control plane serves another.
    pub(crate) async fn stop(self) {
        planes::give_back(self.sandbox.into_plane().await.unwrap());
        times::note();
    }
}

/// A client of a control plane with its administrator's credentials.
async fn administrator(plane: &ControlPlane) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(plane.admin_kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Sends a signal to a program that was started.
pub(crate) fn signal(child: &std::process::Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits for a program that was started.
pub(crate) async fn finish(child: std::process::Child) -> Run {
    tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap().into()
}

/// A command on the steps of AWS only, for where no cluster is, or is to be changed.
pub(crate) fn of_aws(command: &[&'static str]) -> Vec<&'static str> {
    let steps = [
        "iam.oidc-provider",
        "iam.policy.lbc",
        "iam.role.lbc",
        "iam.attachment.lbc",
        "iam.role.ebs",
        "iam.attachment.ebs",
    ];
    command.iter().copied().chain(steps.into_iter().flat_map(|step| ["--only", step])).collect()
}

/// The program with an empty environment but for PATH and a home that holds nothing.
pub(crate) fn program(arguments: &[&str], home: &Path) -> Command {
    times::note();
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(home);
    command
}

/// What is built once is kept in the cache of whoever runs the tests.
pub(crate) fn keep_cache(command: &mut Command) {
    for name in
        ["HOME", "XDG_CACHE_HOME", "EKS_BOOTSTRAP_CACHE", "KUBEBUILDER_ASSETS", "GOPATH", "GOMODCACHE", "GOCACHE"]
    {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}
