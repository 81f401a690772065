//! Custom resource definitions: those of the charts, served and as the installed chart has them, and the Gateway API's, which
//! the load balancer controller uses and no chart brings.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use semver::Version;
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::{components, workload};
use crate::component::{Component, LOAD_BALANCER_CONTROLLER};
use crate::error::Result;
use crate::object::{annotation, name, some_of, text};
use crate::read::kube::ObjectRef;
use crate::steps::chart_crds::{crd_diff, established};

const INSTALLED: &[Stage] = &[Stage::Installed];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-CRD-001",
        title: "the chart's CRDs exist and are served",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "the controller watches their kinds and crashes where one is missing",
        breaks: "no matches for kind, and a controller in a crash loop",
        mend: "apply the CRDs' step",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#2551",
            "kubernetes-sigs/aws-load-balancer-controller#4303",
        ],
    },
    Check {
        id: "EKB-CRD-002",
        title: "the CRDs are those of the installed chart",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "helm installs CRDs once and never upgrades them",
        breaks: "unknown field, or fields that are silently dropped",
        mend: "apply the CRDs' step, which applies those of the wanted chart",
        references: &["kubernetes-sigs/aws-load-balancer-controller#4555", "aws/eks-charts#374", "aws/eks-charts#1317"],
    },
    Check {
        id: "EKB-CRD-003",
        title: "the Gateway API's CRDs are complete and as new as the controller expects",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "the controller turns its Gateway support off, or parts of it, where kinds are missing",
        breaks: "Gateways without an address, and crash loops of some versions",
        mend: "apply the standard channel of the release that the controller is built for",
        references: &[
            "https://github.com/kubernetes-sigs/aws-load-balancer-controller/releases/tag/v3.5.0",
            "kubernetes-sigs/aws-load-balancer-controller#4684",
            "kubernetes-sigs/aws-load-balancer-controller#4712",
        ],
    },
];

const SERVED: &Check = &CHECKS[0];
const CURRENT: &Check = &CHECKS[1];
const GATEWAY: &Check = &CHECKS[2];

/// From which version of the controller's chart on which release of the Gateway API is wanted (release notes).
static GATEWAY_RELEASES: [(Version, &str); 2] = [(Version::new(3, 5, 0), "1.6.0"), (Version::new(3, 0, 0), "1.5.0")];
const GATEWAY_GROUP: &str = ".gateway.networking.k8s.io";
const BUNDLE: &str = "gateway.networking.k8s.io/bundle-version";
/// What load balancers of both layers are made from.
const GATEWAY_KINDS: [&str; 5] = ["gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let mut findings = Vec::new();
        for component in components(scene).into_iter().filter(|component| component.has_crds) {
            let found = match of_chart(scene, &component).await {
                Ok(found) => found,
                Err(error) => vec![SERVED.unread(&error), CURRENT.unread(&error)],
            };
            findings.extend(found.into_iter().map(|finding| finding.about(component.short)));
        }
        findings.push(gateway_api(scene).await.unwrap_or_else(|error| GATEWAY.unread(&error)));
        findings
    }
    .boxed()
}

async fn of_chart(scene: &Scene<'_>, component: &Component) -> Result<Vec<Finding>> {
    let release = workload::latest(scene, component).await?;
    let Some(release) = release.filter(|release| !release.crds.is_empty()) else {
        let reason = "no release says which CRDs there should be";
        return Ok(vec![SERVED.skipped(reason), CURRENT.skipped(reason)]);
    };
    let references: Vec<_> = release.crds.iter().map(ObjectRef::of).collect();
    let found = try_join_all(references.iter().map(|reference| scene.cx.kube.get(reference))).await?;
    Ok(judge(&release.crds, &found, &release.chart_version, component))
}

fn judge(wanted: &[Value], found: &[Option<Value>], version: &str, component: &Component) -> Vec<Finding> {
    let mend = format!("eks-bootstrap apply --only k8s.crds.{}", component.short);
    let (mut unserved, mut differing) = (Vec::new(), Vec::new());
    for (wanted, found) in wanted.iter().zip(found) {
        match found {
            None => unserved.push(name(wanted)),
            Some(found) => {
                if !established(found) {
                    unserved.push(name(wanted));
                }
                if let Some(field) = crd_diff(wanted, found).first() {
                    differing.push(format!("{} ({})", name(wanted), field.path));
                }
            }
        }
    }
    let total = wanted.len();
    let served = if unserved.is_empty() {
        SERVED.passed(format!("{total} CRDs of chart {version} are served"))
    } else {
        let says = format!("{} of {total} CRDs are not served", unserved.len());
        SERVED.failed(says, some_of(&unserved), "all Established", &mend)
    };
    let current = if differing.is_empty() {
        CURRENT.passed(format!("{total} CRDs are those of chart {version}"))
    } else {
        let says = format!("{} of {total} CRDs are not those of chart {version}", differing.len());
        CURRENT.failed(says, some_of(&differing), format!("as in chart {version}"), mend)
    };
    vec![served, current]
}

async fn gateway_api(scene: &Scene<'_>) -> Result<Finding> {
    let kube = &scene.cx.kube;
    let Some(component) = components(scene).into_iter().find(|it| it.short == LOAD_BALANCER_CONTROLLER.short) else {
        return Ok(GATEWAY.skipped("the controller is not wanted here"));
    };
    let crds = kube.list("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "").await?;
    let crds: Vec<_> = crds.iter().filter(|crd| name(crd).ends_with(GATEWAY_GROUP)).collect();
    if crds.is_empty() {
        return Ok(GATEWAY.skipped("the Gateway API is not installed; the controller leaves it alone"));
    }
    let installed = workload::latest(scene, &component).await?.map(|release| release.chart_version);
    let version = installed.unwrap_or_else(|| component.configured(&scene.cx.config).version.clone());
    Ok(judge_gateway(&crds, &version))
}

fn parse(version: &str) -> Option<Version> {
    Version::parse(version.trim_start_matches('v')).ok()
}

fn judge_gateway(crds: &[&Value], controller: &str) -> Finding {
    let version = parse(controller);
    let wanted = GATEWAY_RELEASES.iter().find(|(from, _)| version.as_ref().is_some_and(|version| version >= from));
    let Some((_, wanted)) = wanted else {
        return GATEWAY
            .skipped(format!("it is not known which Gateway API version {controller} of the controller expects"));
    };
    let present: BTreeSet<_> = crds.iter().map(|crd| text(crd, "/spec/names/plural")).collect();
    let missing: Vec<_> = GATEWAY_KINDS.into_iter().filter(|kind| !present.contains(kind)).collect();
    let bundles: BTreeSet<_> = crds.iter().map(|crd| annotation(crd, BUNDLE).unwrap_or("none")).collect();
    let old = bundles.iter().any(|bundle| parse(bundle).is_none_or(|bundle| Some(bundle) < parse(wanted)));
    let shown = bundles.iter().copied().collect::<Vec<_>>().join(", ");
    if missing.is_empty() && !old {
        return GATEWAY.passed(format!("Gateway API {shown}, the controller expects v{wanted}"));
    }
    let says = if missing.is_empty() {
        format!("the Gateway API's CRDs are older than what version {controller} of the controller expects")
    } else {
        format!("the Gateway API's CRDs are incomplete: no {}", some_of(&missing))
    };
    let url = "https://github.com/kubernetes-sigs/gateway-api/releases/download";
    let mend = format!("kubectl apply --server-side -f {url}/v{wanted}/standard-install.yaml");
    GATEWAY.failed(says, format!("bundle {shown}"), format!("bundle v{wanted}"), mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crd(version: &str, kind: &str) -> Value {
        json!({
            "metadata": {"name": "widgets.example.com"},
            "spec": {"versions": [{"name": version, "schema": {"openAPIV3Schema": {"type": kind}}}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        })
    }

    #[test]
    fn missing_and_differing_crds_are_told_apart() {
        let wanted = [crd("v1", "object")];
        let severities = |found: Option<Value>| {
            let findings = judge(&wanted, &[found], "1", &LOAD_BALANCER_CONTROLLER);
            (findings[0].severity().is_some(), findings[1].severity().is_some())
        };
        assert_eq!(severities(Some(crd("v1", "object"))), (false, false));
        assert_eq!(severities(Some(crd("v1", "string"))), (false, true));
        assert_eq!(severities(None), (true, false));
    }

    #[test]
    fn bundles_of_the_gateway_api_are_compared() {
        let bundle = |version: &str, kinds: &[&str]| {
            let crds: Vec<_> = kinds
                .iter()
                .map(
                    |kind| json!({"metadata": {"annotations": {BUNDLE: version}}, "spec": {"names": {"plural": kind}}}),
                )
                .collect();
            judge_gateway(&crds.iter().collect::<Vec<_>>(), "3.5.0")
        };
        assert_eq!(bundle("v1.6.0", &GATEWAY_KINDS).severity(), None);
        assert_eq!(bundle("v1.6.1", &GATEWAY_KINDS).severity(), None);
        assert!(bundle("v1.5.0", &GATEWAY_KINDS).says.contains("older"));
        assert!(bundle("v1.6.0", &["gateways"]).says.contains("incomplete: no gatewayclasses"));
        assert_eq!(judge_gateway(&[], "2.4.0").severity(), None, "not known");
    }
}
