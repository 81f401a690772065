//! The programs that a sandbox is made of: at which version, how Go builds them, and where they are released with which digest.
//!
//! Data, and what follows from it; `binaries.rs` decides what comes from where. Kubernetes is the newest that EKS offers, so that
//! the simulated cluster is one that there could be (<https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html>).
//! The others are releases that compile against the libraries of that version.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use flate2::read::GzDecoder;
use semver::Version;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::build::FLAGS;
use super::download::{Failure, Released};
use crate::unpacking::Allowance;

pub(super) const GO_MOD: &str = include_str!("../../../templates/sandbox/control-plane/go.mod");
pub(super) const GO_SUM: &str = include_str!("../../../templates/sandbox/control-plane/go.sum");

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    /// The store of the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers of Kubernetes' own kinds.
    ControllerManager,
    /// Finds nodes for pods.
    Scheduler,
    /// Plays the nodes.
    Kwok,
    /// Installs charts.
    Helm,
}

/// What a control plane is made of.
pub(super) const CONTROL_PLANE: [Program; 5] =
    [Program::Etcd, Program::ApiServer, Program::ControllerManager, Program::Scheduler, Program::Kwok];

/// How a program is released.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// As it is.
    Plain,
    /// In an archive.
    Archive,
}

/// Everything about a program.
struct Pinned {
    program: Program,
    name: &'static str,
    version: &'static str,
    package: &'static str,
    /// What Go calls it.
    built_as: &'static str,
    /// Host and path of the released file, with `VERSION` and `ARCH` in it.
    release: &'static str,
    form: Form,
    /// SHA-256 of the file for Linux on x86-64 and on arm64. Those of Kubernetes stand in kops (`pkg/assets/assetdata`), those of etcd
    /// in kops and kubespray, those of helm in mise's and kops' tables; kwok's maker publishes none, and two packagers agree on them.
    digests: [&'static str; 2],
}

/// The version of Kubernetes; `go.mod` requires it.
const KUBERNETES: &str = "1.36.4";

const fn of_kubernetes(
    program: Program,
    name: &'static str,
    package: &'static str,
    release: &'static str,
    digests: [&'static str; 2],
) -> Pinned {
    Pinned { program, name, version: KUBERNETES, package, built_as: name, release, form: Form::Plain, digests }
}

const PINNED: [Pinned; 6] = [
    Pinned {
        program: Program::Etcd,
        name: "etcd",
        version: "3.6.8",
        package: "go.etcd.io/etcd/server/v3",
        built_as: "server",
        release: "github.com/etcd-io/etcd/releases/download/vVERSION/etcd-vVERSION-linux-ARCH.tar.gz",
        form: Form::Archive,
        digests: [
            "cf9cfe91a4856cb90eed9c99e6aee4b708db2c7888b88a6f116281f04b0ea693",
            "438f56a700d17ce761510a3e63e6fa5c1d587b2dd4d7a22c179c09a649366760",
        ],
    },
    of_kubernetes(
        Program::ApiServer,
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "dl.k8s.io/release/vVERSION/bin/linux/ARCH/kube-apiserver",
        [
            "90939ee07af61ac3701c665647f9ce27f2f988f5c7fff406aa5794fd3e6328a6",
            "5dd6f9f59cf75c936f5789d788d6fc39ce9a39d3d8e503d7cad43468c1d1f092",
        ],
    ),
    of_kubernetes(
        Program::ControllerManager,
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "dl.k8s.io/release/vVERSION/bin/linux/ARCH/kube-controller-manager",
        [
            "ddde92e0dd14e5a01c3b178b235a85c71d531f2f344eb519500c1032f0a0d234",
            "70f8cf4eca064585fd2add71f052c02a4ad9ad1378eb28c029d6e61574fe25dc",
        ],
    ),
    of_kubernetes(
        Program::Scheduler,
        "kube-scheduler",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "dl.k8s.io/release/vVERSION/bin/linux/ARCH/kube-scheduler",
        [
            "6ffbffcc6d57990b86a7ac4a547ad3e75b2c28cc901964f99bd13ffb304d2373",
            "97a1eafa7185944d5f39d48b0bc9ddbe6c2810efa6e880c4ff9c8d2878a9db35",
        ],
    ),
    Pinned {
        program: Program::Kwok,
        name: "kwok",
        version: "0.8.0",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        built_as: "kwok",
        release: "github.com/kubernetes-sigs/kwok/releases/download/vVERSION/kwok-linux-ARCH",
        form: Form::Plain,
        digests: [
            "f5a4385a2ae1b9dd7f8acae18e002a75c0ebba124ae9d7259aa8dadb50711f46",
            "628f7d277860f524a2a775c217adcc58828e7b59ab0933680315784f1b8b0e37",
        ],
    },
    Pinned {
        program: Program::Helm,
        name: "helm",
        version: "4.2.4",
        package: "helm.sh/helm/v4/cmd/helm",
        built_as: "helm",
        release: "get.helm.sh/helm-vVERSION-linux-ARCH.tar.gz",
        form: Form::Archive,
        digests: [
            "c306b46f719b0a4da32d0f78ee21bf90ce8d602f15b22ab753f0674d1670a7f3",
            "564de2191b881e9f71b5606b25345821ea1682f06ab90499d3ab22b530176da1",
        ],
    },
];

impl Program {
    fn pinned(self) -> &'static Pinned {
        PINNED.iter().find(|pinned| pinned.program == self).expect("each program has its row")
    }

    /// The name of its file.
    pub(super) fn name(self) -> &'static str {
        self.pinned().name
    }

    /// The version that is built and downloaded.
    pub(super) fn version(self) -> Version {
        Version::parse(self.pinned().version).expect("the table holds versions")
    }

    /// What Go builds.
    pub(super) fn package(self) -> &'static str {
        self.pinned().package
    }

    /// What Go calls the program that it builds.
    pub(super) fn built_as(self) -> &'static str {
        self.pinned().built_as
    }

    /// Its folder in the cache: the same for what is built and what is downloaded, another for whatever is pinned otherwise.
    pub(super) fn key(self) -> String {
        let Pinned { name, version, digests, .. } = self.pinned();
        let mut hash = Sha256::new();
        for part in [GO_MOD, GO_SUM, &FLAGS.join(" "), &linker_flags(), digests[0], digests[1]] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        format!("{name}-{version}-{}", hex::encode(&hash.finalize()[..6]))
    }

    /// The released file for this machine, at its maker's or on a mirror; none where it is not released for this machine.
    pub(super) fn released(self, mirror: Option<&Url>) -> Option<Released> {
        let Pinned { version, release, digests, .. } = self.pinned();
        let (arch, sha256) = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => ("amd64", digests[0]),
            ("linux", "aarch64") => ("arm64", digests[1]),
            _ => return None,
        };
        let release = release.replace("VERSION", version).replace("ARCH", arch);
        let url = match mirror {
            Some(mirror) => format!("{}/{release}", mirror.as_str().trim_end_matches('/')),
            None => format!("https://{release}"),
        };
        Some(Released { url: Url::parse(&url).ok()?, sha256 })
    }

    /// Makes the program out of its released file, which is the right one.
    pub(super) fn unpack(self, from: &Path, to: &Path) -> Result<(), Failure> {
        let unpacked = match self.pinned().form {
            Form::Plain => fs::copy(from, to).map(drop).and_then(|()| executable(to)),
            Form::Archive => self.extract(from, to),
        };
        unpacked.map_err(|error| Failure::File { path: to.display().to_string(), reason: error.to_string() })
    }

    fn extract(self, from: &Path, to: &Path) -> io::Result<()> {
        let allowance = Allowance::default();
        let packed = allowance.counting(GzDecoder::new(File::open(from)?));
        let mut archive = tar::Archive::new(packed);
        for entry in archive.entries()? {
            let mut entry = entry?;
            // In a folder that is named after the version or the machine.
            if entry.path()?.file_name().is_some_and(|name| name == self.name())
                && entry.header().entry_type().is_file()
            {
                let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(to)?;
                return io::copy(&mut entry, &mut file).map(drop);
            }
        }
        Err(io::Error::other(format!("the archive holds no {}", self.name())))
    }
}

/// Stamps the versions, which `go build` of dependencies would leave unset.
pub(super) fn linker_flags() -> String {
    let kubernetes = Program::ApiServer.version();
    let (kwok, helm) = (Program::Kwok.version(), Program::Helm.version());
    let variable = "-X k8s.io/component-base/version";
    format!(
        "-s -w {variable}.gitVersion=v{kubernetes} {variable}.gitMajor={} {variable}.gitMinor={} \
         -X sigs.k8s.io/kwok/pkg/consts.Version=v{kwok} -X helm.sh/helm/v4/internal/version.version=v{helm}",
        kubernetes.major, kubernetes.minor
    )
}

fn executable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Program; 6] = [
        Program::Etcd,
        Program::ApiServer,
        Program::ControllerManager,
        Program::Scheduler,
        Program::Kwok,
        Program::Helm,
    ];

    /// The version that go.mod requires of a module.
    fn required(module: &str) -> Option<&'static str> {
        let line = GO_MOD.lines().map(str::trim).find(|line| line.starts_with(&format!("{module} v")))?;
        line.split(' ').nth(1)
    }

    #[test]
    fn what_is_built_is_what_is_downloaded() {
        for program in ALL {
            let modules = GO_MOD.lines().filter_map(|line| line.trim().split_once(" v")).map(|(module, _)| module);
            let module = modules
                .filter(|module| program.package() == *module || program.package().starts_with(&format!("{module}/")))
                .max_by_key(|module| module.len())
                .unwrap();
            assert_eq!(required(module), Some(format!("v{}", program.version()).as_str()), "{program:?} {module}");
            assert!(GO_MOD.lines().any(|line| line.trim() == program.package()), "{program:?} is a tool of go.mod");
        }
    }

    #[test]
    fn the_readme_names_these_versions() {
        let readme = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
        let [etcd, kubernetes, kwok, helm] =
            [Program::Etcd, Program::ApiServer, Program::Kwok, Program::Helm].map(Program::version);
        let text =
            format!("(etcd {etcd}, Kubernetes {kubernetes}, kwok {kwok}, and helm {helm} where `PATH` has none)");
        assert!(readme.contains(&text), "{text}");
        assert!(readme.contains(&format!("URL/dl.k8s.io/release/v{kubernetes}/bin/")));
    }

    #[test]
    fn every_file_is_named_with_version_and_digest() {
        for program in ALL {
            let digests = program.pinned().digests;
            assert!(digests.iter().all(|it| it.len() == 64 && hex::decode(it).is_ok()), "{program:?}");
            assert_ne!(digests[0], digests[1], "{program:?}");
            let Some(file) = program.released(None) else { continue };
            assert!(file.url.as_str().contains(&format!("v{}", program.version())), "{}", file.url);
            let mirror = Url::parse("http://127.0.0.1:9/k8s/").unwrap();
            let copy = program.released(Some(&mirror)).unwrap();
            assert_eq!(copy.sha256, file.sha256);
            assert_eq!(copy.url.as_str().replace("http://127.0.0.1:9/k8s/", "https://"), file.url.as_str());
        }
    }

    #[test]
    fn programs_are_taken_out_of_archives() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, out) = (folder.path().join("a"), folder.path().join("helm"));
        let pack = |entries: &[(&str, &str)]| {
            let gzip = flate2::write::GzEncoder::new(File::create(&archive).unwrap(), flate2::Compression::fast());
            let mut tar = tar::Builder::new(gzip);
            for (name, text) in entries {
                let mut header = tar::Header::new_gnu();
                header.set_size(text.len() as u64);
                header.set_mode(0o644);
                tar.append_data(&mut header, name, text.as_bytes()).unwrap();
            }
            tar.into_inner().unwrap().finish().unwrap();
        };
        pack(&[("linux-amd64/README.md", "read"), ("linux-amd64/helm", "program")]);
        Program::Helm.unpack(&archive, &out).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "program");
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o755);
        fs::remove_file(&out).unwrap();
        pack(&[("linux-amd64/helmet", "no")]);
        let error = Program::Helm.unpack(&archive, &out).unwrap_err().to_string();
        assert!(error.contains("the archive holds no helm") && !out.exists(), "{error}");
    }
}
