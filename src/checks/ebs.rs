//! The EBS CSI driver: installed, running, registered on the nodes, and making volumes.

mod addon;
mod claims;
mod keys;
mod nodes;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::{self, components, workload};
use crate::component::{Component, EBS_CSI_DRIVER};
use crate::dependants::EBS_DRIVER;
use crate::error::Result;
use crate::read::kube::ObjectRef;

const INSTALLED: &[Stage] = &[Stage::Installed];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-EBS-001",
        title: "the driver's release is deployed in the wanted version",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "Helm's record (or the EKS add-on) is the only thing that says what is installed",
        breaks: "a release that is failed or pending refuses every later upgrade",
        mend: "apply the release's step; it frees releases that an interrupted helm left behind",
        references: &["helm/helm#13570", "helm/helm#12516"],
    },
    Check {
        id: "EKB-EBS-002",
        title: "the driver's controller and node plugin have rolled out",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "the controller makes and attaches volumes, the plugin on each node mounts them",
        breaks: "claims stay Pending; pods with volumes stay in ContainerCreating",
        mend: "mend what its pods say; the finding names the cause behind it",
        references: &[
            "kubernetes-sigs/aws-ebs-csi-driver#1033",
            "kubernetes-sigs/aws-ebs-csi-driver#2262",
            "kubernetes-sigs/aws-ebs-csi-driver#2619",
        ],
    },
    Check {
        id: "EKB-EBS-003",
        title: "the CSIDriver object ebs.csi.aws.com exists",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "Kubernetes reads from it how volumes of the driver are attached",
        breaks: "volumes are mounted without being attached, or not at all",
        mend: "apply the release's step, which makes it again",
        references: &["https://kubernetes-csi.github.io/docs/csi-driver-object.html"],
    },
    Check {
        id: "EKB-EBS-004",
        title: "the driver is registered on every node that its plugin runs on",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "the kubelet mounts with drivers that have registered; the scheduler counts volumes by them",
        breaks: "driver name ebs.csi.aws.com not found in the list of registered CSI drivers",
        mend: "restart the node plugin",
        references: &[
            "https://kubernetes-csi.github.io/docs/csi-node-object.html",
            "kubernetes-sigs/aws-ebs-csi-driver#2031",
        ],
    },
    Check {
        id: "EKB-EBS-005",
        title: "no claim waits for a volume of the driver",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "a claim that waits although a pod wants it says that the driver cannot make volumes, whatever its pods say",
        breaks: "pods stay Pending",
        mend: "the claim's event names the cause; for a lack of permission, the role's policy",
        references: &[
            "kubernetes-sigs/aws-ebs-csi-driver#1342",
            "kubernetes-sigs/aws-ebs-csi-driver#1449",
            "kubernetes-sigs/aws-ebs-csi-driver#963",
        ],
    },
    Check {
        id: "EKB-EBS-006",
        title: "no volume of the driver has failed",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "a volume that could not be deleted, or has lost its claim, stays in AWS",
        breaks: "it costs money; its data is reachable by nobody",
        mend: "look at it, then delete or reuse it",
        references: &["https://kubernetes.io/docs/concepts/storage/persistent-volumes/"],
    },
    Check {
        id: "EKB-EBS-007",
        title: "the driver may use the keys of its storage classes",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "no policy of AWS for the driver includes KMS, so a class with a key of one's own needs it added",
        breaks: "volumes appear and vanish at once: InvalidVolume.NotFound",
        mend: "allow the role to use the key, or name the role in the key's policy (which is not read here)",
        references: &[
            "kubernetes-sigs/aws-ebs-csi-driver#935",
            "kubernetes-sigs/aws-ebs-csi-driver#1140",
            "kubernetes/kubernetes#62171",
        ],
    },
    Check {
        id: "EKB-EBS-008",
        title: "the driver's EKS add-on is active, healthy and as it is wanted",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "EKS reports what it finds wrong with an add-on in its status and health, and nowhere in the cluster",
        breaks: "CREATE_FAILED or DEGRADED: no volumes, or a version, role or configuration that nobody asked for",
        mend: "apply updates the add-on; fields of other managers are overwritten only with --adopt",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/managing-add-ons.html",
            "kubernetes-sigs/aws-ebs-csi-driver#1449, hashicorp/terraform-provider-aws#20440",
        ],
    },
];

const RELEASE: &Check = &CHECKS[0];
const ROLLOUT: &Check = &CHECKS[1];
const DRIVER: &Check = &CHECKS[2];
const REGISTERED: &Check = &CHECKS[3];
const CLAIMS: &Check = &CHECKS[4];
const VOLUMES: &Check = &CHECKS[5];
const KEYS: &Check = &CHECKS[6];
const ADDON: &Check = &CHECKS[7];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let Some(component) = components(scene).into_iter().find(|it| it.short == EBS_CSI_DRIVER.short) else {
            return CHECKS.iter().map(|check| check.skipped("the driver is not wanted here")).collect();
        };
        let component = &component;
        let unless_read =
            |check: &'static Check, found: Result<Finding>| found.unwrap_or_else(|error| check.unread(&error));
        let (release, mut findings, driver, registered, storage, keys, addon) = futures::join!(
            workload::release(RELEASE, scene, component),
            workload::rollouts(ROLLOUT, scene, component),
            driver(scene, component),
            nodes::registered(scene, component),
            claims::look(scene, component),
            keys::look(scene, component),
            addon::look(scene, component),
        );
        findings.push(release);
        findings.push(unless_read(DRIVER, driver));
        findings.push(unless_read(REGISTERED, registered));
        findings.push(unless_read(ADDON, addon));
        findings.extend(storage.unwrap_or_else(|error| vec![CLAIMS.unread(&error), VOLUMES.unread(&error)]));
        findings.extend(keys.unwrap_or_else(|error| vec![KEYS.unread(&error)]));
        findings
    }
    .boxed()
}

async fn driver(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let reference = ObjectRef::new("storage.k8s.io/v1", "CSIDriver", "", EBS_DRIVER);
    if scene.cx.kube.get(&reference).await?.is_some() {
        return Ok(DRIVER.passed(format!("{reference} exists")));
    }
    let mend = checks::apply_installer(&scene.cx.config, component);
    Ok(DRIVER.failed(format!("{reference} does not exist"), "absent", reference.to_string(), mend))
}
