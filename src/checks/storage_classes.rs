//! Storage classes: one default, and a driver behind it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::dependants::EBS_DRIVER;
use crate::error::Result;
use crate::object::{annotation, name, some_of, text};

const INSTALLED: &[Stage] = &[Stage::Installed];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-SC-001",
        title: "one storage class is the default",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "claims that name no class get the default one; new clusters have none since Kubernetes 1.30 on EKS",
        breaks: "claims of charts stay Pending for ever; with several defaults the newest class wins",
        mend: "make the class gp3 and the default, or take the default from all classes but one",
        references: &["aws/containers-roadmap#1330", "aws/containers-roadmap#1935", "2i2c-org/infrastructure#4768"],
    },
    Check {
        id: "EKB-SC-002",
        title: "the default class does not belong to the driver that was built into Kubernetes",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "kubernetes.io/aws-ebs was taken out; its classes work only by being handed to the CSI driver",
        breaks: "gp2 volumes with the old parameters, and none at all without the CSI driver",
        mend: "make the class gp3 and the default",
        references: &["aws/containers-roadmap#81", "https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html"],
    },
    Check {
        id: "EKB-SC-003",
        title: "a driver makes volumes of the default class",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "a class names its driver; without that driver nobody makes the volume",
        breaks: "waiting for a volume to be created by an external provisioner, for ever",
        mend: "make the class gp3 and the default, or install the class's driver",
        references: &["aws/containers-roadmap#2550", "sassoftware/viya4-iac-aws#303"],
    },
];

const DEFAULT: &Check = &CHECKS[0];
const BUILT_IN: &Check = &CHECKS[1];
const DRIVER: &Check = &CHECKS[2];

/// The driver that was part of Kubernetes.
const IN_TREE: &str = "kubernetes.io/aws-ebs";
/// The driver of EKS Auto Mode, which runs outside the cluster and has no CSIDriver object of its own everywhere.
const AUTO_MODE: &str = "ebs.csi.eks.amazonaws.com";
const ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const GP3: &str = "eks-bootstrap apply --enable gp3-storage-class";

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move { look(scene).await.unwrap_or_else(|error| CHECKS.iter().map(|check| check.unread(&error)).collect()) }
        .boxed()
}

async fn look(scene: &Scene<'_>) -> Result<Vec<Finding>> {
    let kube = &scene.cx.kube;
    let (classes, drivers) = futures::try_join!(
        kube.list("storage.k8s.io/v1", "StorageClass", "", ""),
        kube.list("storage.k8s.io/v1", "CSIDriver", "", ""),
    )?;
    Ok(judge(&classes, &drivers, scene.cx.facts.auto_mode))
}

/// The annotation that makes a class the default.
fn default_by(class: &Value) -> Option<&'static str> {
    ANNOTATIONS.into_iter().find(|key| annotation(class, key) == Some("true"))
}

fn judge(classes: &[Value], drivers: &[Value], auto_mode: bool) -> Vec<Finding> {
    let mut defaults: Vec<_> = classes.iter().filter(|class| default_by(class).is_some()).collect();
    // Among several the API server takes the newest, then the first by name.
    defaults.sort_by(|one, other| {
        let age = |class: &Value| text(class, "/metadata/creationTimestamp").to_owned();
        age(other).cmp(&age(one)).then_with(|| name(one).cmp(name(other)))
    });
    let Some(winner) = defaults.first() else {
        let names: Vec<_> = classes.iter().map(name).collect();
        let observed =
            if names.is_empty() { "no storage class".to_owned() } else { format!("only {}", some_of(&names)) };
        let none = DEFAULT.failed("no storage class is the default", observed, "one default class", GP3);
        let reason = format!("needs {}", DEFAULT.id);
        return vec![none, BUILT_IN.skipped(reason.clone()), DRIVER.skipped(reason)];
    };
    vec![one_default(&defaults), built_in(winner), driver(winner, drivers, auto_mode)]
}

/// `defaults` begins with the one that wins.
fn one_default(defaults: &[&Value]) -> Finding {
    let (winner, others) = (name(defaults[0]), &defaults[1..]);
    if others.is_empty() {
        return DEFAULT.passed(format!("{winner} is the default"));
    }
    let names: Vec<_> = defaults.iter().map(|class| name(class)).collect();
    let demote = others.iter().map(|class| {
        let key = default_by(class).unwrap_or(ANNOTATIONS[0]);
        format!("kubectl annotate storageclass {} {key}=false --overwrite", name(class))
    });
    DEFAULT.failed(
        format!("{} storage classes are the default; {winner} wins, being the newest", defaults.len()),
        names.join(", "),
        format!("{winner} only"),
        demote.collect::<Vec<_>>().join(" && "),
    )
}

fn built_in(winner: &Value) -> Finding {
    if text(winner, "/provisioner") == IN_TREE {
        let says = format!("the default class {} belongs to the driver that was built into Kubernetes", name(winner));
        return BUILT_IN.failed(says, IN_TREE, EBS_DRIVER, GP3);
    }
    BUILT_IN.passed(format!("{} belongs to {}", name(winner), text(winner, "/provisioner")))
}

fn driver(winner: &Value, drivers: &[Value], auto_mode: bool) -> Finding {
    let provisioner = text(winner, "/provisioner");
    let wanted = if provisioner == IN_TREE { EBS_DRIVER } else { provisioner };
    let there = drivers.iter().any(|driver| name(driver) == wanted) || (wanted == AUTO_MODE && auto_mode);
    if there {
        return DRIVER.passed(format!("{wanted} makes the volumes of {}", name(winner)));
    }
    let says = format!("nobody makes volumes of the default class {}", name(winner));
    let mend = if wanted == EBS_DRIVER { "eks-bootstrap apply --only helm.ebs" } else { GP3 };
    let expected = format!("driver {wanted} in the cluster");
    let names: Vec<_> = drivers.iter().map(name).collect();
    let observed = if names.is_empty() { "no driver".to_owned() } else { format!("only {}", some_of(&names)) };
    DRIVER.failed(says, observed, expected, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use serde_json::json;

    fn class(name: &str, provisioner: &str, created: &str, default: bool) -> Value {
        json!({"metadata": {"name": name, "creationTimestamp": created,
            "annotations": {ANNOTATIONS[0]: default.to_string()}}, "provisioner": provisioner})
    }

    fn mends(classes: &[Value], auto_mode: bool) -> Vec<String> {
        let drivers = [json!({"metadata": {"name": EBS_DRIVER}})];
        let mend = |finding: Finding| match finding.verdict {
            Verdict::Failed { mend, .. } => mend,
            Verdict::Skipped { .. } => "skipped".to_owned(),
            _ => String::new(),
        };
        judge(classes, &drivers, auto_mode).into_iter().map(mend).collect()
    }

    #[test]
    fn one_default_with_its_driver_is_right() {
        assert_eq!(
            mends(&[class("gp3", EBS_DRIVER, "2", true), class("gp2", IN_TREE, "1", false)], false),
            ["", "", ""]
        );
        assert_eq!(mends(&[class("auto", AUTO_MODE, "2", true)], true), ["", "", ""]);
    }

    #[test]
    fn none_and_several_defaults_are_mended_differently() {
        assert_eq!(mends(&[], false), [GP3, "skipped", "skipped"]);
        let two = [class("gp3", EBS_DRIVER, "2", true), class("gp2", IN_TREE, "1", true)];
        assert_eq!(
            mends(&two, false),
            [&format!("kubectl annotate storageclass gp2 {}=false --overwrite", ANNOTATIONS[0]), "", ""]
        );
    }

    #[test]
    fn a_default_without_a_driver_is_named() {
        assert_eq!(mends(&[class("gp2", IN_TREE, "1", true)], false), ["", GP3, ""]);
        assert_eq!(mends(&[class("auto", AUTO_MODE, "1", true)], false), ["", "", GP3]);
    }
}
