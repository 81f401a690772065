//! Why pods of a controller do not run, read from what they and the kubelet say, with the command that mends it. Called by
//! the families that look at workloads. Judging is pure; nothing here asks the cluster.
//!
//! Controllers of AWS say one thing and mean another: without a role in their environment the SDK falls back on the
//! instance's metadata, so "no EC2 IMDS role found" is as a rule a missing role and not missing metadata
//! (kubernetes-sigs/aws-load-balancer-controller#3604, kubernetes-sigs/aws-ebs-csi-driver#2262).

use serde_json::Value;

use crate::component::{Component, Permissions};
use crate::context::ReadContext;
use crate::object::{items, name, text};
use crate::steps::catalogue::ROLE_ANNOTATION;

/// What keeps pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// The pods have no role, so their SDK asks the instance's metadata.
    NoRole,
    /// The instance's metadata does not answer, and is asked although the pods have a role.
    NoMetadata,
    /// The role cannot be assumed.
    NotAssumable,
    /// The role may not make a call.
    NotAllowed,
    /// An endpoint of AWS does not answer: service, as in `sts`.
    NoEndpoint(String),
    /// The image cannot be pulled.
    Image,
    /// No node takes the pod.
    Unschedulable,
    /// Something else.
    Other,
}

/// What pods and their events say, one text.
pub(super) fn words(pods: &[Value], events: &[Value]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for pod in pods {
        let statuses = items(pod, "/status/initContainerStatuses").chain(items(pod, "/status/containerStatuses"));
        for status in statuses {
            for pointer in [
                "/lastState/terminated/message",
                "/state/terminated/message",
                "/state/waiting/message",
                "/state/waiting/reason",
            ] {
                words.push(text(status, pointer));
            }
        }
        let waits = items(pod, "/status/conditions").filter(|condition| condition["status"] == "False");
        words.extend(waits.flat_map(|condition| [text(condition, "/reason"), text(condition, "/message")]));
    }
    let of_pods = events.iter().filter(|event| {
        event["type"] == "Warning" && pods.iter().any(|pod| text(event, "/involvedObject/name") == name(pod))
    });
    words.extend(of_pods.map(|event| text(event, "/message")));
    words.retain(|word| !word.is_empty());
    words.dedup();
    words.join("\n")
}

/// Whether every pod got credentials of a role of its own, by IRSA or by Pod Identity.
pub(super) fn have_role(pods: &[Value]) -> bool {
    pods.iter().all(|pod| {
        items(pod, "/spec/containers")
            .flat_map(|container| items(container, "/env"))
            .any(|variable| matches!(text(variable, "/name"), "AWS_ROLE_ARN" | "AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    })
}

/// The cause in `words`.
pub(super) fn classify(words: &str, have_role: bool) -> Cause {
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if says(&["failed to get VPC ID", "IMDS", "ec2imds", "EC2MetadataError", "169.254.169.254", "ec2metadata"]) {
        return if have_role { Cause::NoMetadata } else { Cause::NoRole };
    }
    if says(&["i/o timeout", "context deadline exceeded", "no such host", "connection refused"])
        && let Some(service) = endpoint(words)
    {
        return Cause::NoEndpoint(service);
    }
    if says(&["AssumeRoleWithWebIdentity", "InvalidIdentityToken", "WebIdentityErr"]) {
        return Cause::NotAssumable;
    }
    if says(&[
        "UnauthorizedOperation",
        "AccessDenied",
        "is not authorized to perform",
        "verify network connection and IAM",
    ]) {
        return if have_role { Cause::NotAllowed } else { Cause::NoRole };
    }
    if says(&["ImagePullBackOff", "ErrImagePull", "InvalidImageName"]) {
        return Cause::Image;
    }
    if says(&["Unschedulable", "nodes are available"]) {
        return Cause::Unschedulable;
    }
    Cause::Other
}

/// The service whose endpoint a text names, as `sts` in `https://sts.eu-west-1.amazonaws.com/`.
fn endpoint(words: &str) -> Option<String> {
    let hosts = words.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-')));
    hosts
        .filter(|host| host.contains(".amazonaws.com") || host.contains(".amazonaws.eu"))
        .find_map(|host| host.split('.').next().filter(|service| !service.is_empty()).map(ToOwned::to_owned))
}

impl Cause {
    /// What it means, in a few words.
    pub(super) fn meaning(&self) -> String {
        match self {
            Cause::NoRole => "its pods have no role, so they ask the instance's metadata".to_owned(),
            Cause::NoMetadata => "it asks the instance's metadata, which does not answer".to_owned(),
            Cause::NotAssumable => "its role cannot be assumed".to_owned(),
            Cause::NotAllowed => "its role may not make a call that it needs".to_owned(),
            Cause::NoEndpoint(service) => format!("it does not reach the endpoint of {service}"),
            Cause::Image => "its image cannot be pulled".to_owned(),
            Cause::Unschedulable => "no node takes its pods".to_owned(),
            Cause::Other => "its pods are not ready".to_owned(),
        }
    }

    /// The command that mends it. `workload` is `deployment/NAME`, `pods` the selector of its pods, `account` the service
    /// account as it is, `subnets` where endpoints can be put.
    pub(super) fn mend(&self, cx: &ReadContext, component: &Component, seen: &Seen<'_>) -> String {
        let Component { short, namespace, service_account, .. } = component;
        let restart = format!("kubectl rollout restart {} -n {namespace}", seen.workload);
        match self {
            Cause::NoRole => {
                let arn = component.role_arn(&cx.config, &cx.facts);
                let annotated = seen
                    .account
                    .is_some_and(|account| crate::object::annotation(account, ROLE_ANNOTATION) == Some(arn.as_str()));
                if annotated {
                    return restart;
                }
                let annotate = format!(
                    "kubectl annotate serviceaccount {service_account} {ROLE_ANNOTATION}={arn} -n {namespace} --overwrite"
                );
                format!("{annotate} && {restart}")
            }
            Cause::NoMetadata => format!("eks-bootstrap apply --only helm.{short}"),
            Cause::NotAssumable => format!("eks-bootstrap apply --only iam.oidc-provider --only iam.role.{short}"),
            Cause::NotAllowed => {
                let policy = match component.grants(&cx.config) {
                    Permissions::Document(_) | Permissions::Template(_) => format!("--only iam.policy.{short} "),
                    _ => String::new(),
                };
                format!("eks-bootstrap apply {policy}--only iam.attachment.{short}")
            }
            Cause::NoEndpoint(service) => {
                let (vpc, region) = (&cx.facts.vpc, &cx.facts.region);
                let subnets = if seen.subnets.is_empty() {
                    String::new()
                } else {
                    format!(" --subnet-ids {}", seen.subnets.join(" "))
                };
                format!(
                    "aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Interface --service-name \
                     com.amazonaws.{region}.{service}{subnets}"
                )
            }
            Cause::Image | Cause::Unschedulable | Cause::Other => {
                format!("kubectl describe pods -n {namespace} -l {}", seen.pods)
            }
        }
    }
}

/// What a mend has to know beside the cause.
pub(super) struct Seen<'a> {
    /// `deployment/NAME`.
    pub(super) workload: &'a str,
    /// The label selector of its pods.
    pub(super) pods: &'a str,
    /// The service account, where it exists.
    pub(super) account: Option<&'a Value>,
    /// Private subnets of the cluster.
    pub(super) subnets: &'a [String],
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_of_controllers_are_understood() {
        let table = [
            ("failed to get VPC ID: failed to fetch VPC ID from instance metadata", true, Cause::NoMetadata),
            ("failed to get VPC ID: failed to fetch VPC ID from instance metadata", false, Cause::NoRole),
            ("no EC2 IMDS role found, operation error ec2imds: GetMetadata, canceled", false, Cause::NoRole),
            (
                "Failed health check (verify network connection and IAM credentials): dry-run EC2 API call failed: \
                 api error UnauthorizedOperation: not authorized to perform: ec2:DescribeAvailabilityZones",
                true,
                Cause::NotAllowed,
            ),
            (
                "Failed health check (verify network connection and IAM credentials): operation error STS: \
                 AssumeRoleWithWebIdentity, api error AccessDenied",
                true,
                Cause::NotAssumable,
            ),
            (
                "operation error STS: AssumeRoleWithWebIdentity, exceeded maximum number of attempts, 3, https response \
                 error, Post \"https://sts.eu-west-1.amazonaws.com/\": dial tcp 1.2.3.4:443: i/o timeout",
                true,
                Cause::NoEndpoint("sts".to_owned()),
            ),
            ("ImagePullBackOff\nBack-off pulling image", true, Cause::Image),
            ("Unschedulable\n0/2 nodes are available", true, Cause::Unschedulable),
            ("panic", true, Cause::Other),
        ];
        for (words, have_role, cause) in table {
            assert_eq!(classify(words, have_role), cause, "{words}");
        }
    }

    #[test]
    fn words_come_from_containers_conditions_and_events() {
        let pod = json!({"metadata": {"name": "a-1"}, "status": {
            "containerStatuses": [{"lastState": {"terminated": {"message": "x"}}, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            "conditions": [{"type": "Ready", "status": "True", "message": "no"}, {"status": "False", "message": "y"}]}});
        let event = |kind: &str, name: &str, message: &str| json!({"type": kind, "involvedObject": {"name": name}, "message": message});
        let events = [event("Warning", "a-1", "z"), event("Normal", "a-1", "no"), event("Warning", "b", "no")];
        assert_eq!(words(&[pod], &events), "x\nCrashLoopBackOff\ny\nz");
    }

    #[test]
    fn a_role_is_seen_in_the_environment() {
        let pod = |name: &str| json!({"spec": {"containers": [{"env": [{"name": name}]}, {}]}});
        assert!(have_role(&[pod("AWS_ROLE_ARN"), pod("AWS_CONTAINER_CREDENTIALS_FULL_URI")]));
        assert!(!have_role(&[pod("AWS_ROLE_ARN"), pod("AWS_REGION")]));
    }
}
