//! What a component's role may do: its policies and their meaning, what the installed version of the controller calls, the
//! permissions boundary, and what IAM itself says when it is asked. Before an installation: whether the account takes more of them.

mod attached;
mod document;
mod nodes;
mod room;
mod simulated;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::check::{Check, Finding, Scene, Severity, Stage};
use crate::checks::AFTER;
use crate::component::{Component, Permissions};
use crate::names;
use crate::policy::Document;

const VERSIONING: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html";

/// The checks.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "EKB-POL-001",
        title: "the component's policy is attached to its role",
        severity: Severity::Error,
        stages: AFTER,
        why: "a role without policies may do nothing",
        breaks: "the controller assumes its role, and every call is answered UnauthorizedOperation",
        mend: "apply attaches the policy",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html",
            "kubernetes-sigs/aws-ebs-csi-driver#1033, kubernetes-sigs/aws-ebs-csi-driver#963",
            "kubernetes-sigs/aws-ebs-csi-driver#2918 (V2 has another ARN than its page says)",
        ],
    },
    Check {
        id: "EKB-POL-002",
        title: "the policy in force says what it should",
        severity: Severity::Error,
        stages: AFTER,
        why: "only the default version of a policy counts, and somebody may have put another one in force",
        breaks: "single calls of the controller are refused, often only after days",
        mend: "apply puts a version with the right meaning in force",
        references: &[VERSIONING, "aws-controllers-k8s/iam-controller#21, openshift/rosa#821"],
    },
    Check {
        id: "EKB-POL-003",
        title: "the policy covers what the installed version of the controller calls",
        severity: Severity::Error,
        stages: AFTER,
        why: "newer versions call what older policies do not allow",
        breaks: "403 in the controller's log after an upgrade, and Ingresses without an address",
        mend: "apply brings the policy up to date",
        references: &[
            "kubernetes-sigs/aws-load-balancer-controller#3944, kubernetes-sigs/aws-load-balancer-controller#3960",
            "awslabs/cdk-eks-blueprints#1096, kubernetes/kops#17702, awsdocs/amazon-eks-user-guide#926",
        ],
    },
    Check {
        id: "EKB-POL-004",
        title: "IAM says that the role may do what the controller does",
        severity: Severity::Error,
        stages: AFTER,
        why: "boundaries and statements that deny count as well, and IAM knows them all",
        breaks: "calls are refused although the right policy is attached",
        mend: "take away what denies, or widen the boundary",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html",
            "eksctl-io/eksctl#2749, eksctl-io/eksctl#4764, eksctl-io/eksctl#6148",
        ],
    },
    Check {
        id: "EKB-POL-005",
        title: "the role has the permissions boundary of the configuration",
        severity: Severity::Error,
        stages: AFTER,
        why: "organisations demand a boundary on every role, and refuse changes to roles that lack it",
        breaks: "iam: calls on the role are denied by a policy of the organisation",
        mend: "apply sets the boundary",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
            "eksctl-io/eksctl#1221, eksctl-io/eksctl#3435, eksctl-io/eksctl#5564",
        ],
    },
    Check {
        id: "EKB-POL-006",
        title: "only one of AWS' policies for the component is attached",
        severity: Severity::Warning,
        stages: AFTER,
        why: "the older policy allows more than the newer one, and both together allow what the older one does",
        breaks: "nothing; the narrower policy gains nothing",
        mend: "detach the older one, once static volumes carry the newer one's tag",
        references: &[
            "https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEBSCSIDriverPolicyV2.html",
            "kubernetes-sigs/aws-ebs-csi-driver#2918, terraform-aws-modules/terraform-aws-eks#3691",
        ],
    },
    Check {
        id: "EKB-POL-007",
        title: "the component's policy is on no node role that was not to have it",
        severity: Severity::Warning,
        stages: AFTER,
        why: "what a node's role may do, every pod can do that reaches the node's metadata; the component has a role of its own",
        breaks: "nothing, until a pod creates, attaches or deletes volumes that are not its own",
        mend: "detach it, once no controller works with the node's role any more",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html",
            "kubernetes-sigs/aws-ebs-csi-driver#821, kubernetes-sigs/aws-ebs-csi-driver#517",
        ],
    },
    Check {
        id: "EKB-POL-008",
        title: "the account has room for the roles and policies of the components",
        severity: Severity::Warning,
        stages: &[Stage::Before],
        why: "an account takes 1,000 roles and 1,500 customer managed policies unless the quotas were raised",
        breaks: "CreateRole or CreatePolicy answers LimitExceeded in the middle of an apply",
        mend: "delete roles and policies that nobody uses, or have the quotas raised",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
            "https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html",
        ],
    },
];

const ATTACHED: &Check = &CHECKS[0];
const MEANING: &Check = &CHECKS[1];
const COVERS: &Check = &CHECKS[2];
const ALLOWS: &Check = &CHECKS[3];
const BOUNDARY: &Check = &CHECKS[4];
const ONE: &Check = &CHECKS[5];
const NODES: &Check = &CHECKS[6];
const ROOM: &Check = &CHECKS[7];

/// The role of a component and its policies.
struct Wanted {
    component: Component,
    /// What the configuration lets it do.
    permissions: Permissions,
    /// The document of its policy, where that is ours.
    document: Option<Document>,
    /// What it calls.
    needs: Option<Document>,
    /// The tag of the role that its policy compares with.
    role_tag: Option<(String, String)>,
    /// The flags that choose all this, for commands that mend.
    flags: String,
    /// The policy for its KMS keys.
    keys: Option<String>,
    /// What that is to say.
    key_document: Option<Document>,
    /// AWS' other policies for it, which have no place beside the one that was chosen.
    others: Vec<String>,
    role_arn: String,
    /// ARNs of the policies, one of which is to be attached.
    policies: Vec<String>,
    /// The boundary of the configuration.
    boundary: Option<String>,
    cluster_arn: String,
    partition: String,
}

impl Wanted {
    fn of(scene: &Scene<'_>, component: &Component) -> Wanted {
        let (config, facts) = (&scene.cx.config, &scene.cx.facts);
        Wanted {
            component: *component,
            permissions: component.grants(config),
            document: component.document(config, facts),
            needs: component.needed(config, facts),
            role_tag: component.role_tag(config, facts),
            flags: component.policy_flags(config),
            keys: component.wanted_key_policy_arn(config, facts),
            key_document: component.key_policy.map(|document| document(&component.configured(config).kms_keys)),
            others: if component.chooses_policy(config) {
                component.other_policy_arns(config, facts)
            } else {
                Vec::new()
            },
            role_arn: component.role_arn(config, facts),
            policies: component.policy_arns(config, facts),
            boundary: config.iam.permissions_boundary.clone(),
            cluster_arn: facts.arn.clone(),
            partition: facts.partition.clone(),
        }
    }

    fn role_name(&self) -> &str {
        names::last_part(&self.role_arn)
    }

    /// The steps that make the policy, where it is ours, and attach it.
    fn make_and_attach(&self) -> String {
        let role = self.role_tag.is_some().then_some("iam.role");
        let policy = self.permissions.is_ours().then_some("iam.policy");
        let steps: Vec<_> = [policy, role, Some("iam.attachment")].into_iter().flatten().collect();
        format!("{}{}", super::apply_only(&self.component, &steps), self.flags)
    }
}

/// Looks.
pub(super) fn run<'a>(scene: &'a Scene<'a>) -> BoxFuture<'a, Vec<Finding>> {
    async move {
        if scene.stage == Stage::Before {
            return vec![room::look(scene).await];
        }
        let components = super::components_with_role(scene);
        let each = components.iter().map(|component| of_component(scene, component));
        join_all(each).await.into_iter().flatten().collect()
    }
    .boxed()
}

async fn of_component(scene: &Scene<'_>, component: &Component) -> Vec<Finding> {
    let wanted = Wanted::of(scene, component);
    let (role, attached, document, keys, simulated, nodes) = tokio::join!(
        scene.cx.iam.role(wanted.role_name()),
        scene.cx.iam.attached_policies(wanted.role_name()),
        document::read(scene.cx, &wanted),
        document::of_keys(scene.cx, &wanted),
        simulated::ask(scene.cx, &wanted),
        nodes::look(scene.cx, component),
    );
    let mut findings = vec![attached::attached(&wanted, &attached), attached::boundary(&wanted, &role)];
    findings.extend(document::findings(&wanted, document.as_ref()));
    findings.push(simulated::allows(&wanted, simulated.as_ref(), &role, &attached));
    findings.extend(attached::only_one(&wanted, &attached));
    findings.extend(nodes);
    let findings = findings.into_iter().map(|finding| finding.about(component.short));
    findings.chain(keys.map(|finding| finding.about(format!("{}-kms", component.short)))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn wanted(component: &Component) -> Wanted {
        Wanted {
            component: *component,
            permissions: component.permissions,
            document: (component.needs)("aws"),
            needs: (component.needs)("aws"),
            role_tag: None,
            flags: String::new(),
            keys: None,
            key_document: None,
            others: Vec::new(),
            role_arn: "arn:aws:iam::111122223333:role/r".to_owned(),
            policies: vec!["arn:aws:iam::aws:policy/V2".to_owned(), "arn:aws:iam::aws:policy/V1".to_owned()],
            boundary: None,
            cluster_arn: "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned(),
            partition: "aws".to_owned(),
        }
    }
}
