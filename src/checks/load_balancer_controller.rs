//! The AWS Load Balancer Controller itself: installed, running, told where it is, and alone in charge of its Ingress class.

mod orphans;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::{components, workload};
use crate::component::{Component, LOAD_BALANCER_CONTROLLER};
use crate::dependants::ALB_CONTROLLER;
use crate::error::Result;
use crate::object::{full_name, items, name, namespace, some_of, text};
use crate::read::kube::ObjectRef;
use crate::read::release::Release;

const INSTALLED: &[Stage] = &[Stage::Installed];

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-LBC-001",
        title: "the controller's release is deployed in the wanted version",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "Helm's record is the only thing that says which chart and which values are installed",
        breaks: "a release that is failed or pending refuses every later upgrade",
        mend: "apply the release's step; it frees releases that an interrupted helm left behind",
        references: &["helm/helm#13570", "helm/helm#12516", "aws/aws-cdk#19559"],
    },
    Check {
        id: "EKB-LBC-002",
        title: "the controller's Deployment has rolled out",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "without a running controller nobody makes load balancers and nobody answers its webhook",
        breaks: "Ingresses stay without an address, and Services cannot be created at all",
        mend: "mend what its pods say; the finding names the cause behind it",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#3604",
            "kubernetes-sigs/aws-load-balancer-controller#3937",
        ],
    },
    Check {
        id: "EKB-LBC-003",
        title: "the controller is told cluster, region and VPC",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "what it is not told it asks the instance's metadata, which hardened nodes do not let pods reach",
        breaks: "it crashes with \"failed to get VPC ID\" on nodes with a hop limit of 1, as on AL2023 and with Karpenter",
        mend: "apply the release's step, which always sets clusterName, region and vpcId",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#2231",
            "kubernetes-sigs/aws-load-balancer-controller#3955",
            "aws/karpenter-provider-aws#7200",
        ],
    },
    Check {
        id: "EKB-LBC-004",
        title: "the Ingress class exists, is the controller's, and its parameters exist",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "an Ingress is picked up by the controller that its class names",
        breaks: "Ingresses of the class are ignored, or refused because the class's parameters are missing",
        mend: "apply the release's step, which makes the class again",
        references: &["kubernetes-sigs/aws-load-balancer-controller#2698"],
    },
    Check {
        id: "EKB-LBC-005",
        title: "one controller claims the Ingress class",
        severity: Severity::Error,
        stages: INSTALLED,
        why: "two controllers make and delete each other's load balancers",
        breaks: "load balancers come and go; the old alb-ingress-controller does so for every Ingress without a class",
        mend: "remove the other controller",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#1591",
            "kubernetes-sigs/aws-load-balancer-controller#3583",
        ],
    },
    Check {
        id: "EKB-LBC-006",
        title: "it is known who takes new Services of type LoadBalancer",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "with its Service webhook on, the controller takes every new one; with it off, the cloud provider makes Classic ones",
        breaks: "surprise about which load balancer a Service gets",
        mend: "set enableServiceMutatorWebhook in the chart's values as it is wanted",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#3203",
            "kubernetes-sigs/aws-load-balancer-controller#3340",
        ],
    },
    Check {
        id: "EKB-LBC-007",
        title: "every load balancer of the cluster in AWS has its Ingress, Service or Gateway",
        severity: Severity::Warning,
        stages: INSTALLED,
        why: "a load balancer whose object went while the controller was away is deleted by nobody",
        breaks: "it costs money, and its security groups keep the VPC from being deleted",
        mend: "delete it, and the security groups that were made for it",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#1629",
            "kubernetes-sigs/aws-load-balancer-controller#2220",
        ],
    },
];

const RELEASE: &Check = &CHECKS[0];
const ROLLOUT: &Check = &CHECKS[1];
const ARGUMENTS: &Check = &CHECKS[2];
const CLASS: &Check = &CHECKS[3];
const CLAIM: &Check = &CHECKS[4];
const SERVICES: &Check = &CHECKS[5];
const ORPHANS: &Check = &CHECKS[6];

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let Some(component) = components(scene).into_iter().find(|it| it.short == LOAD_BALANCER_CONTROLLER.short)
        else {
            return CHECKS.iter().map(|check| check.skipped("the controller is not wanted here")).collect();
        };
        let component = &component;
        let unless_read =
            |check: &'static Check, found: Result<Finding>| found.unwrap_or_else(|error| check.unread(&error));
        let (release, mut findings, arguments, class, claim, services, orphans) = futures::join!(
            workload::release(RELEASE, scene, component),
            workload::rollouts(ROLLOUT, scene, component),
            arguments(scene, component),
            class(scene, component),
            claim(scene, component),
            services(scene, component),
            orphans::look(scene),
        );
        findings.push(release);
        findings.push(unless_read(ARGUMENTS, arguments));
        findings.push(unless_read(CLASS, class));
        findings.push(unless_read(CLAIM, claim));
        findings.push(unless_read(SERVICES, services));
        findings.push(unless_read(ORPHANS, orphans));
        findings
    }
    .boxed()
}

/// Flags of the container that has them: `--NAME=VALUE`.
fn flags(deployment: &Value) -> Vec<(&str, &str)> {
    let arguments = items(deployment, "/spec/template/spec/containers").flat_map(|container| items(container, "/args"));
    arguments.filter_map(|argument| argument.as_str()?.strip_prefix("--")?.split_once('=')).collect()
}

async fn arguments(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let Some(reference) = workload::workloads(component).into_iter().next() else {
        return Ok(ARGUMENTS.skipped("none"));
    };
    let Some(deployment) = scene.cx.kube.get(&reference).await? else {
        return Ok(ARGUMENTS.skipped(format!("needs {}", ROLLOUT.id)));
    };
    let facts = &scene.cx.facts;
    let wanted = [("cluster-name", &facts.cluster), ("aws-region", &facts.region), ("aws-vpc-id", &facts.vpc)];
    let wrong = wrong_flags(&flags(&deployment), &wanted);
    if wrong.is_empty() {
        return Ok(ARGUMENTS.passed(format!("cluster {}, region {}, VPC {}", facts.cluster, facts.region, facts.vpc)));
    }
    let release = workload::latest(scene, component).await?;
    let (observed, expected): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
    Ok(ARGUMENTS.failed(
        "the controller is not told where it is",
        observed.join(" "),
        expected.join(" "),
        values_mend(scene, component, release.as_ref()),
    ))
}

/// What is there and what should be, for each flag that is not as wanted.
fn wrong_flags(flags: &[(&str, &str)], wanted: &[(&str, &String)]) -> Vec<(String, String)> {
    let wrong = wanted.iter().filter_map(|(name, value)| {
        let found = flags.iter().find(|(flag, _)| flag == name).map(|(_, found)| *found);
        (found != Some(value.as_str())).then(|| {
            let observed = found.map_or(format!("no --{name}"), |found| format!("--{name}={found}"));
            (observed, format!("--{name}={value}"))
        })
    });
    wrong.collect()
}

/// Where the release's values are wrong, they are applied; where they are right, someone changed the objects by hand, and
/// rolling back to the present revision writes them again.
fn values_mend(scene: &Scene<'_>, component: &Component, release: Option<&Release>) -> String {
    let wanted = component.chart_values(&scene.cx.config, &scene.cx.facts);
    match release {
        Some(release) if release.our_cluster.is_none() => {
            format!("eks-bootstrap apply --adopt helm.{}", component.short)
        }
        Some(release) if release.values == wanted => {
            format!("helm rollback {} {} -n {}", component.name, release.revision, component.namespace)
        }
        _ => format!("eks-bootstrap apply --only helm.{}", component.short),
    }
}

async fn class(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let name = class_name(scene, component);
    let reference = ObjectRef::new("networking.k8s.io/v1", "IngressClass", "", &name);
    let apply = format!("eks-bootstrap apply --only helm.{}", component.short);
    let Some(class) = scene.cx.kube.get(&reference).await? else {
        if component.chart_values(&scene.cx.config, &scene.cx.facts)["createIngressClassResource"] == false {
            return Ok(CLASS.skipped("the chart creates no Ingress class (createIngressClassResource is false)"));
        }
        return Ok(CLASS.failed(
            format!("Ingress class {name} does not exist"),
            "absent",
            reference.to_string(),
            apply,
        ));
    };
    let controller = text(&class, "/spec/controller");
    if controller != ALB_CONTROLLER {
        let mend = format!("kubectl delete ingressclass {name} && {apply}");
        return Ok(CLASS.failed(
            format!("Ingress class {name} is another controller's"),
            controller,
            ALB_CONTROLLER,
            mend,
        ));
    }
    let kind = text(&class, "/spec/parameters/kind");
    if kind.is_empty() {
        return Ok(CLASS.passed(format!("Ingress class {name} of {ALB_CONTROLLER}")));
    }
    let version = format!("{}/v1beta1", text(&class, "/spec/parameters/apiGroup"));
    let parameters = ObjectRef {
        api_version: version,
        kind: kind.to_owned(),
        namespace: None,
        name: text(&class, "/spec/parameters/name").to_owned(),
    };
    if scene.cx.kube.get(&parameters).await?.is_some() {
        return Ok(CLASS.passed(format!("Ingress class {name} of {ALB_CONTROLLER}, with {parameters}")));
    }
    let says = format!("the parameters of Ingress class {name} do not exist");
    Ok(CLASS.failed(says, "absent", parameters.to_string(), apply))
}

/// The class that the controller is to work for.
pub(super) fn class_name(scene: &Scene<'_>, component: &Component) -> String {
    let values = component.chart_values(&scene.cx.config, &scene.cx.facts);
    values["ingressClass"].as_str().unwrap_or("alb").to_owned()
}

async fn claim(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let class = class_name(scene, component);
    let deployments = scene.cx.kube.list("apps/v1", "Deployment", "", "").await?;
    let claimants: Vec<_> = deployments.iter().filter(|deployment| claims(deployment, &class)).collect();
    let ours = workload::workloads(component);
    let others: Vec<_> = claimants
        .iter()
        .filter(|it| !ours.iter().any(|our| our.name == name(it) && our.namespace.as_deref() == Some(namespace(it))))
        .filter(|it| !workload::is_of_release(it, component))
        .collect();
    let Some(other) = others.first() else {
        return Ok(CLAIM.passed(format!("no other controller claims class {class}")));
    };
    let mend = workload::removal(other);
    let names: Vec<_> = others.iter().map(|deployment| full_name(deployment)).collect();
    let says = format!("another controller claims class {class}: {}", some_of(&names));
    Ok(CLAIM.failed(says, format!("{} more", others.len()), "one controller for a class", mend))
}

/// Whether a Deployment is a load balancer controller of AWS, by its image, that works for a class.
fn claims(deployment: &Value, class: &str) -> bool {
    let image = items(deployment, "/spec/template/spec/containers").any(|container| {
        let image = text(container, "/image");
        ["aws-load-balancer-controller", "aws-alb-ingress-controller", "alb-ingress-controller"]
            .iter()
            .any(|name| image.contains(name))
    });
    // Without the flag it is the class `alb`.
    let flags = flags(deployment);
    let of_flag = flags.iter().find(|(flag, _)| *flag == "ingress-class").map_or("alb", |(_, value)| value);
    image && of_flag == class
}

async fn services(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let configurations =
        scene.cx.kube.list("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "").await?;
    let service = component.webhook_service.unwrap_or_default();
    let on = configurations.iter().flat_map(|it| items(it, "/webhooks")).any(|webhook| {
        text(webhook, "/clientConfig/service/name") == service
            && items(webhook, "/rules")
                .flat_map(|rule| items(rule, "/resources"))
                .any(|resource| resource == "services")
    });
    Ok(SERVICES.passed(if on {
        "new Services of type LoadBalancer get a Network Load Balancer of this controller"
    } else {
        "only Services with loadBalancerClass service.k8s.aws/nlb are this controller's (enableServiceMutatorWebhook is off)"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(image: &str, arguments: &[&str]) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [{"image": image, "args": arguments}]}}}})
    }

    #[test]
    fn missing_and_wrong_flags_are_named() {
        let (cluster, region) = ("demo".to_owned(), "eu-west-1".to_owned());
        let wanted = [("cluster-name", &cluster), ("aws-region", &region)];
        let wrong = |arguments: &[&str]| wrong_flags(&flags(&deployment("x", arguments)), &wanted);
        assert!(wrong(&["--cluster-name=demo", "--aws-region=eu-west-1"]).is_empty());
        assert_eq!(
            wrong(&["--cluster-name=other", "--v"]),
            [
                ("--cluster-name=other".to_owned(), "--cluster-name=demo".to_owned()),
                ("no --aws-region".to_owned(), "--aws-region=eu-west-1".to_owned()),
            ]
        );
    }

    #[test]
    fn controllers_are_told_by_image_and_class() {
        let claims = |image: &str, arguments: &[&str]| claims(&deployment(image, arguments), "alb");
        assert!(claims("public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0", &["--ingress-class=alb"]));
        assert!(claims("docker.io/amazon/aws-alb-ingress-controller:v1.1.9", &[]));
        assert!(!claims("public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0", &["--ingress-class=internal"]));
        assert!(!claims("registry.k8s.io/ingress-nginx/controller", &["--ingress-class=alb"]));
    }
}
