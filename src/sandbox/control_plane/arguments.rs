//! The command lines of the control plane's processes.
//!
//! Pure, so that it can be read in one place what the sandbox sets differently from a production cluster and why. Relative
//! paths are those of the temporary folder, in which all processes run.

use std::path::PathBuf;

use semver::Version;

use super::{
    ControlPlaneError, Options,
    certificates::{Files, SERVICE_RANGE},
    objects,
};

/// So many minor versions back an API server can behave as
/// (<https://kubernetes.io/docs/reference/using-api/deprecation-policy/>, `--emulated-version`).
const BACK: u64 = 3;
/// The first whose API server knows all of these arguments.
const OLDEST: u64 = 32;
/// etcd makes a socket of this name in its folder; the number is only there because etcd asks for a port.
pub(super) const ETCD_SOCKET: &str = "etcd:1";
const ETCD_PEER_SOCKET: &str = "peer:1";

/// `MAJOR.MINOR` of a version, as EKS gives it.
pub(super) fn minor(version: &Version) -> String {
    format!("{}.{}", version.major, version.minor)
}

/// Checks the wanted version against that of the binaries, `own`; `None` if it is the same.
pub(super) fn emulated_version(wanted: Option<&str>, own: &Version) -> Result<Option<String>, ControlPlaneError> {
    let oldest = own.minor.saturating_sub(BACK).max(OLDEST);
    let unknown = |wanted: &str| {
        let supported = format!("{}.{oldest} to {}", own.major, minor(own));
        ControlPlaneError::Version { wanted: wanted.to_owned(), supported }
    };
    if own.minor < OLDEST {
        return Err(ControlPlaneError::TooOld { found: own.to_string(), oldest: format!("1.{OLDEST}") });
    }
    let Some(wanted) = wanted.filter(|wanted| *wanted != minor(own)) else { return Ok(None) };
    let known = (oldest..own.minor).any(|back| wanted == format!("{}.{back}", own.major));
    if known { Ok(Some(wanted.to_owned())) } else { Err(unknown(wanted)) }
}

/// What nodes of that version say about themselves.
pub(super) fn kubelet_version(emulated: Option<&str>, own: &Version) -> String {
    emulated.map_or_else(|| format!("v{own}"), |version| format!("v{version}.0"))
}

fn arguments<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}

/// etcd without a port and without waiting for the disk.
pub(super) fn etcd() -> Vec<String> {
    let (client, peer) = (format!("unix://{ETCD_SOCKET}"), format!("unix://{ETCD_PEER_SOCKET}"));
    let mut list = arguments(["--name=sandbox", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn"]);
    list.extend([
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=sandbox={peer}"),
    ]);
    list
}

/// The apiserver, as close to that of EKS as one process on loopback can be.
pub(super) fn apiserver(options: &Options, emulated: Option<&str>, files: &Files, port: u16) -> Vec<String> {
    let issuer = &options.issuer;
    let mut list = arguments([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        // The Service `kubernetes` is there, without an endpoint that pods could dial.
        "--endpoint-reconciler-type=none",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        // As on EKS: the apiserver dials a ready pod, and says so when a Service has none.
        "--enable-aggregator-routing=true",
        // One user on one machine: queues only add waiting.
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        "--authentication-token-webhook-config-file=token-webhook.json",
        "--authentication-token-webhook-version=v1",
        "--authentication-token-webhook-cache-ttl=5s",
        "--egress-selector-config-file=egress.json",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--v=1",
    ]);
    list.extend([
        format!("--secure-port={port}"),
        format!("--etcd-servers=unix://{ETCD_SOCKET}"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--service-account-issuer={issuer}"),
        format!("--service-account-jwks-uri={issuer}/keys"),
        format!("--api-audiences={issuer},https://kubernetes.default.svc"),
    ]);
    for (flag, file) in [
        ("client-ca-file", &files.cluster_ca),
        ("tls-cert-file", &files.apiserver),
        ("tls-private-key-file", &files.apiserver_key),
        ("service-account-signing-key-file", &files.service_account_key),
        ("service-account-key-file", &files.service_account_public),
        ("requestheader-client-ca-file", &files.front_proxy_ca),
        ("proxy-client-cert-file", &files.front_proxy),
        ("proxy-client-key-file", &files.front_proxy_key),
    ] {
        list.push(format!("--{flag}={}", file.display()));
    }
    extended(list, emulated)
}

fn extended(mut list: Vec<String>, emulated: Option<&str>) -> Vec<String> {
    list.extend(emulated.map(|version| format!("--emulated-version={version}")));
    list
}

/// The controller manager: all its default controllers, each with credentials of its own as in production.
pub(super) fn controller_manager(cluster: &str, emulated: Option<&str>, files: &Files) -> Vec<String> {
    let mut manager = arguments([
        "--kubeconfig=controller-manager.kubeconfig",
        "--authentication-kubeconfig=controller-manager.kubeconfig",
        "--authorization-kubeconfig=controller-manager.kubeconfig",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
        // Autoscalers look every 15 s and leave young pods out of account; usage is made up here, so nothing has to settle.
        "--horizontal-pod-autoscaler-sync-period=2s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
    ]);
    manager.extend([
        format!("--cluster-name={cluster}"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--root-ca-file={}", files.cluster_ca.display()),
        format!("--service-account-private-key-file={}", files.service_account_key.display()),
        format!("--cluster-signing-cert-file={}", files.cluster_ca.display()),
        format!("--cluster-signing-key-file={}", files.cluster_ca_key.display()),
    ]);
    extended(manager, emulated)
}

/// The scheduler.
pub(super) fn scheduler(emulated: Option<&str>) -> Vec<String> {
    let list = arguments([
        "--kubeconfig=scheduler.kubeconfig",
        "--authentication-kubeconfig=scheduler.kubeconfig",
        "--authorization-kubeconfig=scheduler.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]);
    extended(list, emulated)
}

/// kwok, for the nodes that carry its annotation.
pub(super) fn kwok(stages: &[PathBuf]) -> Vec<String> {
    let mut kwok =
        arguments(["--kubeconfig=kwok.kubeconfig", "--node-lease-duration-seconds=40", "--node-ip=127.0.0.1"]);
    kwok.push(format!("--cidr={}", objects::POD_RANGE));
    let (annotation, value) = objects::KWOK_ANNOTATION;
    kwok.push(format!("--manage-nodes-with-annotation-selector={annotation}={value}"));
    kwok.extend(stages.iter().map(|stage| format!("--config={}", stage.display())));
    kwok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_the_binaries_can_play_are_taken() {
        let own = Version::new(1, 36, 3);
        assert_eq!(emulated_version(None, &own).unwrap(), None);
        assert_eq!(emulated_version(Some("1.36"), &own).unwrap(), None);
        assert_eq!(emulated_version(Some("1.33"), &own).unwrap().as_deref(), Some("1.33"));
        for wanted in ["1.29", "1.32", "1.37", "1.3", "x"] {
            let error = emulated_version(Some(wanted), &own).unwrap_err().to_string();
            assert_eq!(error, format!("the control plane of the sandbox can be Kubernetes 1.33 to 1.36, not {wanted}"));
        }
        let error = emulated_version(Some("1.32"), &Version::new(1, 31, 4)).unwrap_err().to_string();
        assert!(error.contains("1.31.4") && error.contains("1.32"), "{error}");
    }

    #[test]
    fn emulation_reaches_the_processes_that_know_it() {
        let own = Version::new(1, 36, 3);
        assert!(scheduler(Some("1.33")).contains(&"--emulated-version=1.33".to_owned()));
        assert!(!scheduler(None).iter().any(|argument| argument.contains("emulated")));
        assert_eq!(kubelet_version(Some("1.33"), &own), "v1.33.0");
        assert_eq!(kubelet_version(None, &own), "v1.36.3");
    }

    #[test]
    fn each_stage_is_a_configuration_of_kwok() {
        let list = kwok(&["/stages/a.yaml".into(), "/stages/b.yaml".into()]);
        assert!(list.ends_with(&["--config=/stages/a.yaml".into(), "--config=/stages/b.yaml".into()]), "{list:?}");
    }
}
