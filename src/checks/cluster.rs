//! The cluster itself: known to EKS, usable, its API server answering the caller, with nodes for the controllers' pods.

mod certificate;
mod nodes;
mod quotas;
mod supply;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::behind::{self, Behind};
use crate::check::{ANSWERS, Check, Finding, Scene, Severity, Stage};
use crate::checks::ALWAYS;
use crate::component::{Component, NEWEST_KUBERNETES_TRIED};
use crate::context::{Facts, ReadContext};
use crate::error::Error;
use crate::hint;

use nodes::Tolerance;

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-CLUS-001",
        title: "EKS knows the cluster",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "its issuer, VPC, endpoint and certificate authority are read from EKS",
        breaks: "nothing can be looked at",
        mend: "check --cluster, --region and --profile",
        references: &["https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeCluster.html"],
    },
    Check {
        id: "EKB-CLUS-002",
        title: "the cluster is ACTIVE",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "a cluster that is being made, deleted or has failed cannot take installations",
        breaks: "calls to its API server fail or hang",
        mend: "wait until it is ACTIVE, or mend what its health says",
        references: &["https://docs.aws.amazon.com/eks/latest/APIReference/API_Cluster.html"],
    },
    Check {
        id: ANSWERS,
        title: "the API server answers and knows the caller",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "a caller needs a way to the endpoint and an access entry, or one in aws-auth; IAM permissions alone give neither",
        breaks: "401 Unauthorized, or no answer from a private endpoint",
        mend: "map the caller's role (`eks-bootstrap permissions --kubernetes` prints how), or run inside the VPC where the \
               endpoint is private",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html"],
    },
    Check {
        id: "EKB-CLUS-004",
        title: "nodes are ready for the controllers' pods",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "the controllers are ordinary pods; without a node that takes them they stay Pending",
        breaks: "helm waits until its time is over, and leaves a release in failed or pending",
        mend: "add nodes, scale a node group up, fix those that are not ready, or tolerate their taints in the components' values",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html",
            "aws/aws-cdk#22005",
            "terraform-aws-modules/terraform-aws-eks#3067",
        ],
    },
    Check {
        id: "EKB-CLUS-005",
        title: "the components support the cluster's Kubernetes",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "charts name the oldest Kubernetes that they work with, and newer ones are untried",
        breaks: "helm refuses the chart, or objects have API versions that the cluster does not serve",
        mend: "upgrade the cluster, or choose older chart versions",
        references: &[
            "https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/installation/",
            "https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html",
        ],
    },
    Check {
        id: "EKB-CLUS-006",
        title: "EKS Auto Mode does not bring the same components",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "Auto Mode has load balancing and block storage built in, under other class and driver names",
        breaks: "two controllers for one purpose, and volumes that do not move from one driver to the other",
        mend: "leave the components out, or keep their classes apart from Auto Mode's",
        references: &["https://docs.aws.amazon.com/eks/latest/userguide/automode.html", "aws/containers-roadmap#2550"],
    },
    Check {
        id: "EKB-CLUS-007",
        title: "the API server's endpoint can be reached from here",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "an endpoint that is private only answers inside the VPC and where its network is extended to",
        breaks: "time-outs after ten seconds, from here and from pipelines outside the VPC",
        mend: "run inside the VPC, or pass a kubeconfig with a proxy or tunnel",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html",
            "kubernetes-sigs/aws-load-balancer-controller#1734",
        ],
    },
    Check {
        id: "EKB-CLUS-008",
        title: "the kubeconfig leads to the cluster",
        severity: Severity::Error,
        stages: ALWAYS,
        why: "AWS is asked about --cluster and Kubernetes by --kubeconfig, and both have to mean one cluster",
        breaks: "what is made for one cluster would be installed into another; apply and destroy refuse",
        mend: "name the cluster's own kubeconfig or context",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/create-kubeconfig.html",
            "helm/helm#5651",
            "adobe/ops-cli#84",
        ],
    },
    Check {
        id: "EKB-CLUS-009",
        title: "the API server's certificate is verified",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "insecure-skip-tls-verify in a kubeconfig accepts whoever answers as the API server",
        breaks: "whoever is in between reads the caller's token and every Secret, and changes what is written",
        mend: "give the cluster entry its certificate authority, and tls-server-name where a tunnel has another name",
        references: &["https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#Cluster"],
    },
    Check {
        id: "EKB-CLUS-010",
        title: "Fargate can run what its profiles select",
        severity: Severity::Warning,
        stages: ALWAYS,
        why: "on Fargate there are no DaemonSets, no Pod Identity agent and no instances behind load balancers",
        breaks: "pods with EBS volumes stay Pending, controllers get no credentials, load balancers have no healthy targets",
        mend: "add EC2 nodes for them, use IRSA, and target type ip",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/fargate.html",
            "https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html",
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html",
        ],
    },
    Check {
        id: "EKB-CLUS-011",
        title: "resource quotas admit the components' pods",
        severity: Severity::Error,
        stages: &[Stage::Before],
        why: "a quota refuses pods beyond its number, and those that do not say how much they take of what it limits",
        breaks: "Deployments without pods: exceeded quota, or failed quota: must specify limits.cpu",
        mend: "raise the quota, set `resources` in the components' values, or give the namespace a LimitRange with defaults",
        references: &["https://kubernetes.io/docs/concepts/policy/resource-quotas/"],
    },
];

const KNOWN: &Check = &CHECKS[0];
const ACTIVE: &Check = &CHECKS[1];
const REACHED: &Check = &CHECKS[2];
const NODES: &Check = &CHECKS[3];
const VERSION: &Check = &CHECKS[4];
const AUTO_MODE: &Check = &CHECKS[5];
const ENDPOINT: &Check = &CHECKS[6];
const KUBECONFIG: &Check = &CHECKS[7];
const CERTIFICATE: &Check = &CHECKS[8];
const FARGATE: &Check = &CHECKS[9];
const QUOTAS: &Check = &CHECKS[10];

/// Looks: that there is a scene at all means that EKS knows the cluster and that it can be worked on.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        let facts = &scene.cx.facts;
        let mut findings = vec![
            KNOWN.passed(format!("{} in {}, Kubernetes {}", facts.cluster, facts.region, facts.kubernetes_version)),
            ACTIVE.passed("the cluster is ACTIVE"),
        ];
        let components = super::components(scene);
        let answer = scene.cx.kube.list("v1", "Node", "", "").await;
        let reached = !matches!(answer, Err(Error::ApiServerUnreachable { .. }));
        match answer {
            Ok(nodes) => {
                findings.push(REACHED.passed(answers(facts)));
                findings.extend(of_nodes(scene, nodes, &components).await);
            }
            // Forbidden is an answer to someone whom the API server knows.
            Err(error) if error.denied() && !is_unauthorized(&error) => {
                findings.push(REACHED.passed(answers(facts)));
                findings.push(NODES.unread(&error));
            }
            Err(error) => {
                findings.push(REACHED.failed(
                    "the API server does not answer the caller",
                    crate::error::chain_of(&error).join(": "),
                    "an answer",
                    hint::of(&error).unwrap_or_default(),
                ));
                findings.push(NODES.skipped(format!("needs {ANSWERS}")));
            }
        }
        findings.push(supported(&components, &facts.kubernetes_version));
        findings.push(auto_mode(&components, facts.auto_mode));
        // A kubeconfig of the user's leads elsewhere.
        let private = !facts.endpoint_public && scene.cx.config.kubeconfig.is_none();
        findings.push(endpoint(private, reached));
        findings.push(kubeconfig(scene.cx).await);
        findings.push(certificate::verified(scene.cx));
        findings
    }
    .boxed()
}

/// Fargate makes a node for one pod, which takes no other; so what could bring nodes is asked where those on EC2 do not do.
async fn of_nodes(scene: &Scene<'_>, nodes: Vec<Value>, components: &[Component]) -> Vec<Finding> {
    let (config, facts) = (&scene.cx.config, &scene.cx.facts);
    let (fargate, others): (Vec<_>, Vec<_>) = nodes.into_iter().partition(supply::is_fargate);
    let tolerances: Vec<_> = components.iter().map(|it| Tolerance::of(it, config, facts)).collect();
    let found = nodes::ready(&others, &tolerances);
    let mut findings = if scene.stage == Stage::Before {
        Box::pin(quotas::look(scene, components, others.len())).await
    } else {
        Vec::new()
    };
    if found.severity() != Some(Severity::Error) {
        findings.extend([found, FARGATE.passed("EC2 nodes take the pods")]);
        return findings;
    }
    let supply = Box::pin(supply::read(scene, fargate.len())).await;
    findings.push(supply.judge(found, others.len(), components, facts));
    findings.extend(supply.on_fargate(components, config, facts));
    findings
}

/// Who cannot do enough there has to know where rights come from.
fn answers(facts: &Facts) -> &'static str {
    if facts.access_entries == Some(false) {
        "the API server answers the caller, whom the ConfigMap aws-auth maps (authentication mode CONFIG_MAP)"
    } else {
        "the API server answers the caller"
    }
}

fn is_unauthorized(error: &Error) -> bool {
    matches!(error, Error::Kube(error) if error.status == Some(401))
}

fn supported(components: &[Component], kubernetes: &str) -> Finding {
    let number = kubernetes.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let Some(version): Option<(u64, u64)> = number else {
        return VERSION.skipped(format!("`{kubernetes}` is no version"));
    };
    let shown = |(major, minor): (u64, u64)| format!("{major}.{minor}");
    let oldest = components.iter().max_by_key(|component| component.oldest_kubernetes);
    if let Some(component) = oldest.filter(|component| version < component.oldest_kubernetes) {
        return VERSION.failed(
            format!("{} {} does not support this Kubernetes", component.name, component.version),
            kubernetes,
            format!("{} or newer", shown(component.oldest_kubernetes)),
            "upgrade the cluster, or choose an older chart with its version flag",
        );
    }
    if version > NEWEST_KUBERNETES_TRIED {
        return VERSION
            .failed(
                "this Kubernetes is newer than what the charts were tried with",
                kubernetes,
                format!("{} or older", shown(NEWEST_KUBERNETES_TRIED)),
                "upgrade eks-bootstrap, or choose newer charts with their version flags",
            )
            .as_warning();
    }
    VERSION.passed(format!("the charts support Kubernetes {kubernetes}"))
}

fn auto_mode(components: &[Component], on: bool) -> Finding {
    let names: Vec<_> = components.iter().map(|component| component.name).collect();
    match (on, names.as_slice()) {
        (false, _) => AUTO_MODE.passed("Auto Mode is off"),
        (true, []) => {
            AUTO_MODE.skipped("Auto Mode brings load balancing and block storage, nothing is to be installed")
        }
        (true, names) => AUTO_MODE.failed(
            "Auto Mode brings its own load balancing and block storage",
            format!("{} beside Auto Mode", names.join(" and ")),
            "one of both",
            format!("eks-bootstrap destroy --enable {}", names.join(" --enable ")),
        ),
    }
}

fn endpoint(private: bool, reached: bool) -> Finding {
    match (private, reached) {
        (false, _) => ENDPOINT.passed("the endpoint is public"),
        (true, true) => ENDPOINT.passed("the endpoint is private, and answers here"),
        (true, false) => ENDPOINT.failed(
            "the endpoint is private and does not answer here",
            "no answer",
            "a way into the VPC",
            "run the same command inside the VPC, or with --kubeconfig FILE and a proxy or tunnel in it",
        ),
    }
}

async fn kubeconfig(cx: &ReadContext) -> Finding {
    let behind = match behind::look(cx).await {
        Ok(Some(behind)) => behind,
        Ok(None) => return KUBECONFIG.skipped("no kubeconfig is used"),
        Err(error) => return KUBECONFIG.unread(&error),
    };
    match (&behind, behind::said(&behind, cx)) {
        (Behind::TheCluster(proof), _) => KUBECONFIG.passed(*proof),
        (_, said) => {
            let (what, mend) = said.unwrap_or_default();
            let expected = format!("the cluster {}", cx.facts.arn);
            KUBECONFIG.failed("the kubeconfig is not known to lead to the cluster", what, expected, mend)
        }
    }
}

/// The finding for an error before anything could be asked.
pub(super) fn of_connection(error: &Error) -> Option<Finding> {
    let says = crate::error::chain_of(error).join(": ");
    let mend = hint::of(error).unwrap_or_default();
    match error {
        Error::ClusterNotFound { .. } => Some(KNOWN.failed(says, "no such cluster", "a cluster of that name", mend)),
        Error::ClusterNotActive { status, .. } => Some(ACTIVE.failed(says, status, "ACTIVE", mend)),
        Error::Aws(inner) if inner.operation == "eks:DescribeCluster" => {
            Some(KNOWN.failed("the cluster cannot be described", says, "an answer of eks:DescribeCluster", mend))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_is_neither_too_old_nor_untried() {
        use crate::component::BUILT_IN;
        let severity = |version: &str| supported(&BUILT_IN, version).severity();
        assert_eq!(severity("1.21"), Some(Severity::Error));
        assert_eq!(severity("1.22"), None);
        assert_eq!(severity("1.35"), None);
        assert_eq!(severity("1.99"), Some(Severity::Warning));
        assert_eq!(severity("?"), None);
    }

    #[test]
    fn auto_mode_and_private_endpoints_are_said() {
        use crate::component::BUILT_IN;
        assert_eq!(auto_mode(&BUILT_IN, true).severity(), Some(Severity::Warning));
        assert_eq!(auto_mode(&[], true).severity(), None);
        assert_eq!(endpoint(true, false).severity(), Some(Severity::Warning));
        assert_eq!(endpoint(true, true).severity(), None);
    }
}
