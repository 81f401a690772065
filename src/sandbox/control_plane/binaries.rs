//! Finds the programs of the sandbox, in this order: `KUBEBUILDER_ASSETS`, `PATH` where the version fits, the cache, the released
//! files of their makers, and Go, which builds at once whatever is left.
//!
//! Called by `Sandbox::start` and by tests. That there is no way to the makers' servers is no error as long as Go can build; what
//! a server gives in place of a released file is refused and told. Nothing here compiles (`build.rs`), transfers (`download.rs`)
//! or starts a control plane.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use semver::Version;
use tokio::process::Command;
use url::Url;

use crate::authorities::Authorities;

use super::cache::{Cache, Kept, Making};
use super::download::{Client, Failure, Released};
use super::programs::{CONTROL_PLANE, Program};
use super::{ControlPlaneError, Progress, arguments, build};

/// A program that does not tell its version by then is none of those that are looked for.
const VERSION: Duration = Duration::from_secs(10);
/// Bytes come faster than anybody reads.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Where programs may come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Where they are kept, instead of the folder that the environment names.
    pub cache: Option<PathBuf>,
    /// A server with copies of the released files, each below the name of its maker's host.
    pub mirror: Option<Url>,
    /// Nothing comes from the network.
    pub offline: bool,
}

/// The programs of a sandbox.
#[derive(Debug, Clone)]
pub struct Programs {
    paths: BTreeMap<Program, PathBuf>,
    kubernetes: Version,
}

/// Told what takes long; callable from any thread.
pub(super) type Report<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Programs {
    /// Finds, downloads or builds the programs of a control plane, and helm where it is asked for. Takes minutes when there is
    /// nothing yet.
    ///
    /// # Errors
    /// `KUBEBUILDER_ASSETS` lacks something, there is no cache folder, or a program can be had from nowhere: why not, of every
    /// source that was tried.
    pub async fn find(sources: &Sources, helm: bool, report: Report<'_>) -> Result<Programs, ControlPlaneError> {
        let mut paths = BTreeMap::new();
        match assets() {
            Some(folder) => paths.extend(in_assets(&folder)?),
            None => paths.extend(in_path().await),
        }
        let mut wanted = CONTROL_PLANE.to_vec();
        wanted.extend(helm.then_some(Program::Helm));
        wanted.retain(|program| !paths.contains_key(program));
        paths.extend(kept(sources, &wanted, report).await?);
        let server = &paths[&Program::ApiServer];
        let told = version_of(server).await;
        let kubernetes = told.ok_or_else(|| ControlPlaneError::NoVersion { program: server.clone() })?;
        Ok(Programs { paths, kubernetes })
    }

    /// Finds, downloads or builds the sandbox's own helm.
    ///
    /// # Errors
    /// The same.
    pub async fn helm_alone(sources: &Sources, report: Report<'_>) -> Result<PathBuf, ControlPlaneError> {
        let found = kept(sources, &[Program::Helm], report).await?;
        Ok(found[&Program::Helm].clone())
    }

    /// What is kept for later starts.
    ///
    /// # Errors
    /// There is no cache folder, or it cannot be read.
    pub fn kept(sources: &Sources) -> Result<Kept, ControlPlaneError> {
        cache(sources)?.kept()
    }

    /// The version of the API server.
    pub fn kubernetes(&self) -> &Version {
        &self.kubernetes
    }

    /// The same as `MAJOR.MINOR`, as EKS gives it.
    pub fn kubernetes_minor(&self) -> String {
        arguments::minor(&self.kubernetes)
    }

    /// The helm that was asked for.
    pub fn helm(&self) -> Option<&Path> {
        self.paths.get(&Program::Helm).map(PathBuf::as_path)
    }

    /// For options of which nothing is started.
    #[cfg(test)]
    pub(super) fn none() -> Programs {
        Programs { paths: BTreeMap::new(), kubernetes: Program::ApiServer.version() }
    }

    pub(super) fn path(&self, program: Program) -> &Path {
        &self.paths[&program]
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn assets() -> Option<PathBuf> {
    variable("KUBEBUILDER_ASSETS")
}

/// The folder in which programs are kept.
///
/// # Errors
/// The environment names none.
pub(super) fn cache(sources: &Sources) -> Result<Cache, ControlPlaneError> {
    let folder = sources
        .cache
        .clone()
        .or_else(|| variable("EKS_BOOTSTRAP_CACHE"))
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("eks-bootstrap")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache").join("eks-bootstrap")));
    folder.map(Cache::new).ok_or(ControlPlaneError::NoCache)
}

/// What the folder of `KUBEBUILDER_ASSETS` holds: all of Kubernetes, and kwok where it is there.
fn in_assets(folder: &Path) -> Result<BTreeMap<Program, PathBuf>, ControlPlaneError> {
    let (found, missing): (Vec<_>, Vec<_>) =
        CONTROL_PLANE.into_iter().partition(|program| folder.join(program.name()).is_file());
    let missing: Vec<_> = missing.iter().filter(|program| **program != Program::Kwok).map(|it| it.name()).collect();
    if !missing.is_empty() {
        return Err(ControlPlaneError::Assets { directory: folder.to_owned(), missing: missing.join(", ") });
    }
    Ok(found.into_iter().map(|program| (program, folder.join(program.name()))).collect())
}

/// What of `PATH` has the minor version that is pinned.
async fn in_path() -> BTreeMap<Program, PathBuf> {
    let folders: Vec<_> = crate::config::search_path();
    let look = |program: Program| {
        let path = folders.iter().map(|folder| folder.join(program.name())).find(|path| path.is_file());
        async move {
            let path = path?;
            let (found, pinned) = (version_of(&path).await?, program.version());
            ((found.major, found.minor) == (pinned.major, pinned.minor)).then_some((program, path))
        }
    };
    futures::future::join_all(CONTROL_PLANE.map(look)).await.into_iter().flatten().collect()
}

/// What a program says of its version: the first word that is one, as in `Kubernetes v1.36.3`, `etcd Version: 3.6.8`.
async fn version_of(program: &Path) -> Option<Version> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(VERSION, command.output()).await.ok()?.ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

fn version_in(text: &str) -> Option<Version> {
    text.split_whitespace().take(10).find_map(|word| Version::parse(word.trim_start_matches('v')).ok())
}

/// Programs of the cache, after what it lacks was put there.
async fn kept(
    sources: &Sources,
    wanted: &[Program],
    report: Report<'_>,
) -> Result<BTreeMap<Program, PathBuf>, ControlPlaneError> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let cache = cache(sources)?;
    let lacking = || -> Vec<_> { wanted.iter().copied().filter(|program| !cache.holds(&program.key())).collect() };
    if !lacking().is_empty() {
        let making = cache.make(report).await?;
        // The one that held the lock may have made them.
        make(&making, &lacking(), sources, report).await?;
    }
    Ok(wanted.iter().map(|program| (*program, cache.folder(&program.key()).join(program.name()))).collect())
}

async fn make(
    making: &Making<'_>,
    lacking: &[Program],
    sources: &Sources,
    report: Report<'_>,
) -> Result<(), ControlPlaneError> {
    let mut left = lacking.to_vec();
    let mut failures = Vec::new();
    if !sources.offline {
        let mirror = sources.mirror.as_ref();
        let released = lacking.iter().filter_map(|program| Some((*program, program.released(mirror)?)));
        for (program, outcome) in downloaded(making, &released.collect::<Vec<_>>(), report).await? {
            match outcome {
                Ok(()) => {
                    making.keep(program.name(), &program.key())?;
                    left.retain(|other| *other != program);
                }
                Err(failure) => failures.push(failure),
            }
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    told(&failures, report);
    match build::build(&left, sources.offline, making.folder(), report).await {
        Ok(()) => left.iter().try_for_each(|program| making.keep(program.name(), &program.key())),
        Err(error) => Err(ControlPlaneError::Nowhere { failures: reasons(&failures), source: Box::new(error) }),
    }
}

/// Downloads files, all at once, and puts the programs in them into the folder of `making`.
async fn downloaded(
    making: &Making<'_>,
    released: &[(Program, Released)],
    report: Report<'_>,
) -> Result<Vec<(Program, Result<(), Failure>)>, ControlPlaneError> {
    if released.is_empty() {
        return Ok(Vec::new());
    }
    let authorities = Authorities::of_aws(None)
        .await
        .map_err(|source| ControlPlaneError::Authorities { source: Box::new(source) })?;
    let client = Client::new(authorities.as_ref());
    let bytes = Bytes::new(released.iter().map(|(program, _)| program.name()).collect(), report);
    let all = released.iter().enumerate().map(|(at, (program, file))| {
        let (client, bytes) = (&client, &bytes);
        let path = making.download(file.sha256);
        async move {
            let arrived = |done, total| bytes.arrived(at, done, total);
            let outcome = match client.get(file, &path, &arrived).await {
                Ok(()) => program.unpack(&path, &making.folder().join(program.name())),
                Err(failure) => Err(failure),
            };
            if outcome.is_ok() {
                let _ = std::fs::remove_file(&path);
            }
            (*program, outcome)
        }
    });
    Ok(futures::future::join_all(all).await)
}

/// Says why it is built though it could be downloaded; each reason once.
fn told(failures: &[Failure], report: Report<'_>) {
    if !failures.is_empty() {
        report(Progress::doing(format!("not downloaded: {}", reasons(failures))));
    }
}

fn reasons(failures: &[Failure]) -> String {
    let all: std::collections::BTreeSet<_> = failures.iter().map(ToString::to_string).collect();
    all.into_iter().collect::<Vec<_>>().join("; ")
}

/// How far downloads are, told together.
struct Bytes<'a> {
    what: Vec<&'static str>,
    state: Mutex<State>,
    began: Instant,
    report: Report<'a>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<usize, (u64, Option<u64>)>,
    told: Option<Instant>,
}

impl<'a> Bytes<'a> {
    fn new(what: Vec<&'static str>, report: Report<'a>) -> Bytes<'a> {
        Bytes { what, state: Mutex::default(), began: Instant::now(), report }
    }

    fn arrived(&self, file: usize, done: u64, total: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.files.insert(file, (done, total));
        if state.told.is_some_and(|told| told.elapsed() < REPORT_INTERVAL) {
            return;
        }
        state.told = Some(Instant::now());
        let done: u64 = state.files.values().map(|(done, _)| done).sum();
        // Until every answer has begun nobody knows the sum.
        let totals: Vec<_> = state.files.values().filter_map(|(_, total)| *total).collect();
        let total: Option<u64> = (totals.len() == self.what.len()).then(|| totals.iter().sum());
        drop(state);
        let mut progress = Progress::doing(format!("downloading {}", self.what.join(", ")));
        progress.elapsed = self.began.elapsed();
        progress.bytes = Some((done, total));
        (self.report)(progress);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn versions_are_read_as_each_program_tells_them() {
        let told = |text: &str| version_in(text).map(|version| version.to_string());
        assert_eq!(told("Kubernetes v1.36.4\n").as_deref(), Some("1.36.4"));
        assert_eq!(told("etcd Version: 3.6.8\nGit SHA: Not provided\n").as_deref(), Some("3.6.8"));
        assert_eq!(told("kwok version v0.8.0 go1.26.0 (linux/amd64)\n").as_deref(), Some("0.8.0"));
        assert_eq!(told("unknown flag: --version\n"), None);
    }

    #[test]
    fn an_incomplete_assets_folder_is_named_with_what_it_lacks() {
        let assets = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-scheduler"] {
            std::fs::write(assets.path().join(name), "").unwrap();
        }
        let error = in_assets(assets.path()).unwrap_err().to_string();
        assert!(error.ends_with("has no kube-apiserver, kube-controller-manager"), "{error}");
    }

    /// A server that gives one file.
    async fn server(file: &'static [u8]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", file.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(file).await.unwrap();
            }
        });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_right_is_kept_and_what_is_not_is_left_to_the_compiler() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let told = Mutex::new(Vec::new());
        let report = |progress: Progress| told.lock().unwrap().push(progress.to_string());
        let making = cache.make(&report).await.unwrap();
        let url = server(b"a program").await;
        // printf 'a program' | sha256sum
        let right = "d69ea8cda2433733c1ce02de65da8f48e6a3dbba6bb18876a2062908e54ef7cb";
        let wrong = "0000000000000000000000000000000000000000000000000000000000000000";
        let released = [
            (Program::Kwok, Released { url: url.clone(), sha256: right }),
            (Program::ApiServer, Released { url, sha256: wrong }),
        ];
        let outcomes = downloaded(&making, &released, &report).await.unwrap();
        assert!(matches!(&outcomes[0], (Program::Kwok, Ok(()))), "{outcomes:?}");
        assert!(matches!(&outcomes[1], (Program::ApiServer, Err(Failure::Digest { .. }))), "{outcomes:?}");
        making.keep("kwok", &Program::Kwok.key()).unwrap();
        assert!(!making.folder().join("kube-apiserver").exists());
        assert_eq!(std::fs::read_dir(folder.path().join("downloads")).unwrap().count(), 0, "nothing is left over");
        drop(making);
        let kwok = cache.folder(&Program::Kwok.key()).join("kwok");
        assert_eq!(std::fs::read(&kwok).unwrap(), b"a program");
        assert_eq!(kwok.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        let told = told.into_inner().unwrap();
        assert!(told.iter().any(|text| text.starts_with("downloading kwok, kube-apiserver, ")), "{told:?}");
    }
}
