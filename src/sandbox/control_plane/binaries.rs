//! Finds the programs of the control plane: `KUBEBUILDER_ASSETS`, else the cache, else built once by Go.
//!
//! Called by the start sequence, and by whoever needs a helm that is not installed ([`ensure_helm`]). Each product is a
//! folder of the cache, named after a hash of everything that goes into it; it appears by a rename when it is complete,
//! under a file lock, so that two sandboxes started at once neither build twice nor see half a product. Nothing here
//! compiles (`build.rs` does) or starts anything.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{ControlPlaneError, Progress, build};

/// The Kubernetes version whose binaries are built; `go.mod` requires it.
pub(super) const KUBERNETES: &str = "v1.35.4";
/// The first release of kwok that compiles against Kubernetes 1.35.
const KWOK: &str = "v0.8.0";

/// A helm that can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelmMajor {
    /// The newest; the sandbox uses it where there is none.
    Four,
    /// The oldest that works, for tests that prove both ends.
    Three,
}

impl HelmMajor {
    /// The pinned version, its module, and the oldest Go that compiles it.
    const fn pinned(self) -> (&'static str, &'static str, (u32, u32)) {
        match self {
            Self::Four => ("v4.3.2", "helm.sh/helm/v4", (1, 26)),
            Self::Three => ("v3.14.4", "helm.sh/helm/v3", (1, 21)),
        }
    }
}

const GO_MOD: &str = include_str!("../../../templates/sandbox/control-plane/go.mod");
const GO_SUM: &str = include_str!("../../../templates/sandbox/control-plane/go.sum");
/// Stages of our own, for a kwok that came without those of its module.
const STAGES: [(&str, &str); 2] = [
    ("node.yaml", include_str!("../../../templates/sandbox/control-plane/stages/node.yaml")),
    ("pod.yaml", include_str!("../../../templates/sandbox/control-plane/stages/pod.yaml")),
];

/// What the environment says about where binaries are.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    assets: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl Environment {
    /// Reads the variables; an empty one counts as absent.
    pub(super) fn read(cache: Option<&Path>) -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = cache
            .map(Path::to_owned)
            .or_else(|| variable("EKS_BOOTSTRAP_CACHE"))
            .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("eks-bootstrap")))
            .or_else(|| variable("HOME").map(|folder| folder.join(".cache").join("eks-bootstrap")));
        Self { assets: variable("KUBEBUILDER_ASSETS"), cache }
    }

    fn cache(&self) -> Result<&Path, ControlPlaneError> {
        self.cache.as_deref().ok_or(ControlPlaneError::NoCache)
    }
}

/// The programs of a control plane and the behaviour of its simulated kubelet.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) etcd: PathBuf,
    pub(super) apiserver: PathBuf,
    pub(super) controller_manager: PathBuf,
    pub(super) scheduler: PathBuf,
    pub(super) kwok: PathBuf,
    /// kwok's stages; empty means those of our own, see [`write_stages`].
    pub(super) stages: Vec<PathBuf>,
}

/// Reports progress; callable from the thread that reads the compiler's output.
pub(super) type Report<'a> = &'a (dyn Fn(Progress) + Send + Sync);

const NAMES: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Finds or builds all programs. Blocks, for minutes when there is nothing in the cache.
pub(super) fn find(environment: &Environment, report: Report<'_>) -> Result<Binaries, ControlPlaneError> {
    let (folder, assets_kwok) = match &environment.assets {
        Some(assets) => {
            let missing: Vec<_> = NAMES.into_iter().filter(|name| !assets.join(name).is_file()).collect();
            if !missing.is_empty() {
                return Err(ControlPlaneError::Assets { directory: assets.clone(), missing: missing.join(", ") });
            }
            (assets.clone(), Some(assets.join("kwok")).filter(|kwok| kwok.is_file()))
        }
        None => (ensure_kubernetes(environment.cache()?, report)?, None),
    };
    let (kwok, stages) = if let Some(kwok) = assets_kwok {
        (kwok, yaml_files(&folder.join("stages")))
    } else {
        let product = ensure_kwok(environment.cache()?, report)?;
        (product.join("kwok"), yaml_files(&product.join("stages")))
    };
    let [etcd, apiserver, controller_manager, scheduler] = NAMES.map(|name| folder.join(name));
    Ok(Binaries { etcd, apiserver, controller_manager, scheduler, kwok, stages })
}

/// Finds or builds helm. Blocks, for about two minutes when it is not in the cache.
///
/// # Errors
/// When there is no cache folder, no Go, or the build fails.
pub fn ensure_helm(
    major: HelmMajor,
    cache: Option<&Path>,
    report: &(dyn Fn(Progress) + Send + Sync),
) -> Result<PathBuf, ControlPlaneError> {
    let environment = Environment::read(cache);
    let (version, module, oldest_go) = major.pinned();
    let product = product(environment.cache()?, &format!("helm-{version}"), report, |folder| {
        let install = build::Install {
            package: &format!("{module}/cmd/helm@{version}"),
            what: "helm",
            linker_flags: &format!("-s -w -X {module}/internal/version.version={version}"),
            expectation: "once, about two minutes on two cores",
            oldest_go,
        };
        build::install(&install, folder, report)
    })?;
    Ok(product.join("helm"))
}

fn ensure_kubernetes(cache: &Path, report: Report<'_>) -> Result<PathBuf, ControlPlaneError> {
    let flags = build::linker_flags(KUBERNETES);
    let key = key([GO_MOD, GO_SUM, &flags]);
    product(cache, &format!("control-plane-{key}"), report, |folder| {
        build::kubernetes(GO_MOD, GO_SUM, &flags, folder, report)
    })
}

fn ensure_kwok(cache: &Path, report: Report<'_>) -> Result<PathBuf, ControlPlaneError> {
    product(cache, &format!("kwok-{KWOK}"), report, |folder| {
        let install = build::Install {
            package: &format!("sigs.k8s.io/kwok/cmd/kwok@{KWOK}"),
            what: "kwok",
            linker_flags: "-s -w",
            expectation: "once, about two minutes on two cores",
            oldest_go: (1, 26),
        };
        build::install(&install, folder, report)?;
        build::copy_kwok_stages(KWOK, &folder.join("stages"))
    })
}

fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Returns the folder `cache/name`, made by `make` in a folder beside it when it is not there yet.
fn product(
    cache: &Path,
    name: &str,
    report: Report<'_>,
    make: impl FnOnce(&Path) -> Result<(), ControlPlaneError>,
) -> Result<PathBuf, ControlPlaneError> {
    let complete = cache.join(name);
    if complete.is_dir() {
        return Ok(complete);
    }
    fs::create_dir_all(cache).map_err(ControlPlaneError::file("create", cache))?;
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(ControlPlaneError::file("create", &lock_path))?;
    if lock.try_lock().is_err() {
        report(Progress {
            doing: format!("waiting for another process that builds {name}"),
            elapsed: std::time::Duration::ZERO,
            expectation: None,
            done: 0,
        });
        lock.lock().map_err(ControlPlaneError::file("lock", &lock_path))?;
    }
    // The one that held the lock may have made it.
    if complete.is_dir() {
        return Ok(complete);
    }
    let prefix = format!("{name}.unfinished.");
    remove_leftovers(cache, &prefix);
    let unfinished = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(cache)
        .map_err(ControlPlaneError::file("create a folder in", cache))?;
    make(unfinished.path())?;
    fs::rename(unfinished.path(), &complete).map_err(ControlPlaneError::file("create", &complete))?;
    let _ = unfinished.keep();
    Ok(complete)
}

/// Removes what a build that was killed left behind; only called under the lock, so that none is in use.
fn remove_leftovers(cache: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// Writes the stages of our own into a folder, for a kwok that came without any.
pub(super) fn write_stages(folder: &Path) -> Result<Vec<PathBuf>, ControlPlaneError> {
    fs::create_dir_all(folder).map_err(ControlPlaneError::file("create", folder))?;
    STAGES
        .into_iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(ControlPlaneError::file("write", &path))?;
            Ok(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn quiet(_: Progress) {}

    #[test]
    fn the_module_pins_the_version_that_is_reported() {
        let requirement = format!("k8s.io/kubernetes {KUBERNETES}");
        assert!(GO_MOD.lines().any(|line| line.trim().trim_end_matches(" // indirect") == requirement));
    }

    #[test]
    fn an_incomplete_assets_folder_is_named_with_what_it_lacks() {
        let assets = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-scheduler"] {
            fs::write(assets.path().join(name), "").unwrap();
        }
        let environment = Environment { assets: Some(assets.path().to_owned()), cache: None };
        let error = find(&environment, &quiet).unwrap_err().to_string();
        assert!(error.ends_with("has no kube-apiserver, kube-controller-manager"), "{error}");
    }

    #[test]
    fn a_product_is_made_once_even_by_two_at_a_time() {
        let cache = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let folder = product(cache.path(), "thing", &quiet, |folder| {
                        made.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        fs::write(folder.join("binary"), "x").map_err(ControlPlaneError::file("write", folder))
                    })
                    .unwrap();
                    assert!(folder.join("binary").is_file());
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        let left: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the product and its lock only: {left:?}");
    }

    #[test]
    fn a_failed_product_leaves_nothing_that_looks_complete() {
        let cache = tempfile::tempdir().unwrap();
        let failed = product(cache.path(), "thing", &quiet, |_| Err(ControlPlaneError::NoCache));
        assert!(failed.is_err());
        assert!(!cache.path().join("thing").exists());
        assert!(product(cache.path(), "thing", &quiet, |_| Ok(())).unwrap().is_dir());
    }

    #[test]
    fn the_key_changes_with_every_part() {
        assert_ne!(key(["a", "b"]), key(["ab", ""]));
        assert_ne!(key(["a", "b"]), key(["a", "c"]));
        assert_eq!(key(["a", "b"]), key(["a", "b"]));
    }
}
