//! What each step and each check is for: what it looks after, why, what breaks without it, how to mend it, and where to read
//! on. Data; the command prints it, and tests make sure that none is without. Checks carry theirs themselves (`checks/`).

use crate::checks;

/// What there is to say about a kind of step, or a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The beginning of the ids of such steps, or the check's id.
    pub step: &'static str,
    /// What it looks after.
    pub what: &'static str,
    /// Why that is needed.
    pub why: &'static str,
    /// What users see without it.
    pub breaks: &'static str,
    /// What to do.
    pub mend: &'static str,
    /// Where to read on: documentation, and threads of users who met it.
    pub references: &'static [&'static str],
}

/// All kinds of steps.
pub const ALL: [Explanation; 20] = [
    Explanation {
        step: "iam.oidc-provider",
        what: "the IAM OIDC provider of the cluster's issuer, with the audience sts.amazonaws.com",
        why: "IAM exchanges a service account's token for a role only if the account knows the token's issuer",
        breaks: "AssumeRoleWithWebIdentity answers InvalidIdentityToken, and controllers fall back to the node's role",
        mend: "apply adds the provider or the audience; a provider that someone else made is used as it is, and ours for former \
               issuers of a cluster that was made again under its name goes",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html",
            "kubernetes-sigs/aws-load-balancer-controller#3410 (wrong audience)",
        ],
    },
    Explanation {
        step: "iam.policy",
        what: "the customer managed policy with what the controller may do (--lbc-policy) or with the driver's KMS keys (--kms-key), compared by meaning",
        why: "a newer controller calls what an older policy does not allow",
        breaks: "403 in the controller's log after an upgrade, and Ingresses without an address",
        mend: "apply makes a new version and puts it in force; at five versions the oldest one not in force goes",
        references: &[
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html",
            "kubernetes/kops#17702, awsdocs/amazon-eks-user-guide#926",
        ],
    },
    Explanation {
        step: "iam.role",
        what: "the role of the controller's service account: trust, description, tags, permissions boundary",
        why: "its trust policy decides whose tokens are exchanged for it; one wrong word keeps everyone out",
        breaks: "AccessDenied for AssumeRoleWithWebIdentity although everything looks installed",
        mend: "the plan names the clause that is wrong; apply corrects our statement and leaves those of others",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html",
            "kubernetes-sigs/aws-load-balancer-controller#1935, aws/eks-charts#507",
        ],
    },
    Explanation {
        step: "iam.attachment",
        what: "the component's policies attached to its role, of AWS', ours, or named by you; those of others are left alone",
        why: "a role without its policy can be assumed and may do nothing",
        breaks: "UnauthorizedOperation: no load balancers, PersistentVolumeClaims that stay Pending",
        mend: "apply attaches it; for the EBS CSI driver the newer AWS managed policy where the partition has it, or the one of --ebs-policy in place of another",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html",
            "kubernetes-sigs/aws-ebs-csi-driver#2918 (the newer policy's ARN)",
        ],
    },
    Explanation {
        step: "iam.node-role",
        what: "the EBS CSI driver's policy on the nodes' roles, only with --attach-node-role; a tag remembers what is ours",
        why: "some clusters let the driver work with its node's role; AWS advises against it, the driver has a role of its own",
        breaks: "nothing without it; with it every pod that reaches the nodes' metadata can create and delete volumes",
        mend: "leave --attach-node-role out and apply: what we attached is detached, what others attached stays",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html",
            "kubernetes-sigs/aws-ebs-csi-driver#821 (where the controller gets its credentials), #517 (nodes need none)",
        ],
    },
    Explanation {
        step: "k8s.namespace",
        what: "the namespace of a component of yours, where it is none of those that every cluster has",
        why: "a service account and a release need it before they can be made",
        breaks: "namespaces \"...\" not found, for everything that is installed there",
        mend: "apply makes it; destroy deletes it where we made it and nothing of anybody else is in it",
        references: &[
            "https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/",
            "https://helm.sh/docs/faq/changes_since_helm2/",
        ],
    },
    Explanation {
        step: "k8s.service-account",
        what: "the controller's service account with the annotation that names its role",
        why: "EKS puts the role and a token into pods by this annotation, when they are created",
        breaks: "pods without AWS_ROLE_ARN, which then ask the instance metadata service and fail there",
        mend: "apply sets it; one that eksctl or a chart made is blocked until you pass --adopt with the step's id",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html",
            "kubernetes-sigs/aws-load-balancer-controller#2055 (two owners)",
        ],
    },
    Explanation {
        step: "proof.identity",
        what: "a proof, not an object: a token of the service account is exchanged for the role",
        why: "IAM shows a new role to STS only after seconds, and a pod that starts before that fails",
        breaks: "nothing by itself; without it the chart would start pods that cannot get their role yet",
        mend: "the error names what is wrong: InvalidIdentityToken is the provider, AccessDenied the role's trust",
        references: &[
            "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html",
            "hashicorp/terraform-provider-aws#6566 (eventual consistency)",
        ],
    },
    Explanation {
        step: "k8s.crds",
        what: "the chart's custom resource definitions, by server-side apply, before the release",
        why: "helm installs CRDs once and never upgrades them",
        breaks: "`no matches for kind`, unknown fields, and controllers that crash after an upgrade",
        mend: "apply brings them up to the chart's version; destroy keeps them, since objects hang on them, unless --purge-crds",
        references: &[
            "https://helm.sh/docs/chart_best_practices/custom_resource_definitions/",
            "kubernetes-sigs/aws-load-balancer-controller#4555, aws/eks-charts#1317",
        ],
    },
    Explanation {
        step: "helm",
        what: "the component's Helm release: status, chart version, values, and every object of its manifest",
        why: "the release is the controller; an equal name alone says nothing about any of this",
        breaks: "no load balancers, or no volumes; a release left pending by an interrupted helm refuses every later run",
        mend: "apply installs, upgrades, or frees it by rollback or uninstall; a release of someone else needs --adopt",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/lbc-helm.html",
            "helm/helm#12516 (pending releases), kubernetes-sigs/aws-ebs-csi-driver#1616 (two managers)",
        ],
    },
    Explanation {
        step: "eks.addon",
        what: "the EKS add-on that installs the component instead of a chart: version, role, configuration, health",
        why: "EKS then updates and mends the objects itself; it and Helm cannot both manage them",
        breaks: "CREATE_FAILED with ConfigurationConflict where another manager was first; no volumes until it is ACTIVE",
        mend: "apply makes or updates it; --adopt overwrites fields of others; from Helm move in the order that the plan says",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html",
            "hashicorp/terraform-provider-aws#20440 (conflicts), NVIDIA/aicr#71 (Helm over an add-on)",
        ],
    },
    Explanation {
        step: "proof.webhook",
        what: "a proof, not an object: the admission webhook answers for a Service that is created as a dry run",
        why: "the controller's webhook is asked about every new Service and fails closed",
        breaks: "`no endpoints available for service aws-load-balancer-webhook-service` in every later installation",
        mend: "look at the controller's pods, and whether the control plane reaches port 9443 of the nodes",
        references: &[
            "https://kubernetes-sigs.github.io/aws-load-balancer-controller/",
            "kubernetes-sigs/aws-load-balancer-controller#4140, #2460",
        ],
    },
    Explanation {
        step: "proof.metrics",
        what: "a proof, not an object: the API server has asked metrics-server and calls its API available",
        why: "pods may be ready while the control plane does not reach their port",
        breaks: "HorizontalPodAutoscalers that show `<unknown>` and never scale, and `kubectl top` without numbers",
        mend: "let the cluster's security group reach the nodes on port 10250, or set hostNetwork in the chart's values",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/metrics-server.html",
            "kubernetes-sigs/metrics-server#1010, terraform-aws-modules/terraform-aws-eks#1809",
        ],
    },
    Explanation {
        step: "k8s.storage-class.gp3",
        what: "the StorageClass gp3: encrypted volumes of type gp3, made in the zone of their pod, and the default class",
        why: "new clusters have no default class, and the older gp2 class is not encrypted and not of the EBS CSI driver",
        breaks: "PersistentVolumeClaims that name no class stay Pending",
        mend: "apply makes it and moves the default to it in one go; destroy gives the default back to the class that had it",
        references: &[
            "https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass",
            "aws/containers-roadmap#1330, 2i2c-org/infrastructure#4768",
        ],
    },
    Explanation {
        step: "drain.load-balancers",
        what: "with destroy --drain: the Ingresses, Services, bindings, Gateways and accelerators of the load balancer controller are deleted",
        why: "only the running controller deletes their load balancers in AWS and takes their finalizers off",
        breaks: "load balancers, target groups and security groups that stay and cost money, and namespaces that never go",
        mend: "look at the cause that is shown while it waits, mostly a permission of the controller; then run it again",
        references: &[
            "https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/installation/",
            "kubernetes-sigs/aws-load-balancer-controller#1629, #2220",
        ],
    },
    Explanation {
        step: "eks.pod-identity-agent",
        what: "the EKS add-on eks-pod-identity-agent, whose DaemonSet gives pods the credentials of their association",
        why: "with Pod Identity the SDKs in the pods ask the agent of their own node, not STS",
        breaks: "time-outs of 169.254.170.23, and controllers without permissions",
        mend: "apply makes the add-on; one that runs already is used. There is no agent on Fargate and Windows: use irsa there",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html",
            "aws/eks-pod-identity-agent#52, aws/eks-pod-identity-agent#153",
        ],
    },
    Explanation {
        step: "eks.pod-identity",
        what: "the Pod Identity association of the controller's service account with its role",
        why: "it takes the place of IRSA's annotation and OIDC provider; it is made before the pods, which need it when they are admitted",
        breaks: "pods without credentials, or with those of another role",
        mend: "apply makes or corrects it; one of someone else with another role needs --adopt",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html",
            "aws/containers-roadmap#2507, terraform-aws-modules/terraform-aws-eks-pod-identity#8",
        ],
    },
    Explanation {
        step: "proof.admission",
        what: "a proof, not an object: a pod that is created as a dry run comes back with the identity that it is to have",
        why: "associations reach EKS' webhook seconds after they are made, and pods that are admitted earlier never get one",
        breaks: "everything in AWS looks right, and the controller has no permissions until someone restarts it",
        mend: "wait; if it lasts, look whether the webhook pod-identity-webhook and the association are there",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html",
            "aws/amazon-eks-pod-identity-webhook#210, aws/containers-roadmap#2400",
        ],
    },
    Explanation {
        step: "proof.pods",
        what: "the running pods of the controller carry the variables of the wanted way, and none of the other",
        why: "what a pod was given when it was admitted stays for its life, and the SDKs take a web identity before the agent",
        breaks: "a move between IRSA and Pod Identity that looks finished and is not, in silence",
        mend: "apply takes a stale annotation off and replaces the pods that are wrong; others are left alone",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-minimum-sdk.html",
            "camunda/camunda-docs#9263, aws/amazon-eks-pod-identity-webhook#210",
        ],
    },
    Explanation {
        step: "iam.trust",
        what: "our trust statement for the way that is no longer used: it goes once the running pods use the other one",
        why: "a trust that nobody needs is a way in; before that, pods that still use it would lose their permissions",
        breaks: "nothing at once; after a move back and forth, a role that trusts more than it says",
        mend: "apply or migrate takes it out; statements of others stay",
        references: &[
            "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html",
            "aws-ia/terraform-aws-eks-blueprints-addon#44",
        ],
    },
];

/// Everything that can be explained: the ids of all steps, then of all checks.
pub fn codes() -> Vec<String> {
    crate::steps::ids(&crate::component::BUILT_IN)
        .into_iter()
        .chain(checks::all().map(|check| check.id.to_owned()))
        .collect()
}

/// The explanation of a step or a check.
pub fn of(code: &str) -> Option<Explanation> {
    let step = ALL.iter().find(|explanation| {
        code.strip_prefix(explanation.step).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    step.copied().or_else(|| {
        checks::of(code).map(|check| Explanation {
            step: check.id,
            what: check.title,
            why: check.why,
            breaks: check.breaks,
            mend: check.mend,
            references: check.references,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{BUILT_IN, Component};

    #[test]
    fn every_step_is_explained_and_nothing_else() {
        // A component of a file brings a step that no built-in one has.
        let custom = Component { name: "mine", short: "mine", namespace: "mine", ..BUILT_IN[0] };
        let ids = crate::steps::ids(&[&BUILT_IN[..], &[custom]].concat());
        for id in &ids {
            assert!(of(id).is_some(), "{id} is not explained");
        }
        for explanation in &ALL {
            let used = ids.iter().any(|id| of(id) == Some(*explanation));
            assert!(used, "{} explains no step", explanation.step);
            assert!(explanation.references.len() >= 2, "{} leads nowhere", explanation.step);
        }
        assert_eq!(of("iam.roles"), None);
    }
}
