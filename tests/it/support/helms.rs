//! The two helms that the tests run: the oldest that works, and the newest. Users bring their own, so it is tests that need both;
//! they are built from the Go module proxy into the sandbox's cache folder, once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eks_bootstrap::sandbox::control_plane::BUILD_FLAGS;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HelmMajor {
    /// The newest.
    Four,
    /// The oldest that works.
    Three,
}

impl HelmMajor {
    fn pinned(self) -> (&'static str, &'static str) {
        match self {
            HelmMajor::Four => ("v4.3.2", "helm.sh/helm/v4"),
            HelmMajor::Three => ("v3.14.4", "helm.sh/helm/v3"),
        }
    }
}

/// Where it is; builds it first where it is not.
pub(crate) fn helm(major: HelmMajor) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("EKS_BOOTSTRAP_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("eks-bootstrap")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/eks-bootstrap")))
        .expect("HOME is set");
    let (version, module) = major.pinned();
    let complete = cache.join(format!("helm-{version}-inlined"));
    let helm = complete.join("helm");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join(format!("helm-{version}.lock"))).unwrap();
    lock.lock().unwrap();
    if !helm.is_file() {
        let unfinished = tempfile::tempdir_in(&cache).unwrap();
        install(version, module, unfinished.path());
        fs::rename(unfinished.path(), &complete).unwrap();
        let _ = unfinished.keep();
    }
    helm
}

fn install(version: &str, module: &str, folder: &Path) {
    eprintln!("building helm {version}");
    // `go install` leaves the version unset.
    let status = Command::new("go")
        .arg("install")
        // As the sandbox's programs are built, so that what both need is compiled once.
        .args(BUILD_FLAGS)
        .arg("-ldflags")
        .arg(format!("-s -w -X {module}/internal/version.version={version}"))
        .arg(format!("{module}/cmd/helm@{version}"))
        .envs([("GOWORK", "off"), ("CGO_ENABLED", "0"), ("GOGC", "off")])
        .env("GOBIN", folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .expect("go is in PATH");
    assert!(status.success(), "go install of helm {version}: {status}");
}
