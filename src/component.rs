//! The catalogue of components, as data: those that are built in, and those of the user's files. Steps are made from these entries;
//! none has a code path of its own.

mod choice;
mod definition;
mod installed;
mod naming;
pub(crate) mod places;
mod values;

use crate::config::{ChartComponent, Config, Identity};
use crate::context::Facts;
use crate::error::Result;
use crate::policy::{self, Document};
use crate::validate;

pub use choice::{Choice, Permissions, V2_TAG, VolumeTag};
pub use definition::{Definition, ImageOf, Maker, ObjectOf, PolicyText};
pub use values::{ROLE as ROLE_PLACE, merge};

/// Who makes a component's service account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAccountMaker {
    /// We do, by server-side apply; the chart is told not to.
    Us,
    /// The chart does, with the role annotation in its values.
    Chart,
}

/// One component that is installed from a chart.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// What a user turns on; also the release's name.
    pub name: &'static str,
    /// The last part of its step ids.
    pub short: &'static str,
    /// The first part of its flags, as in `--lbc-version`; empty for one of a file, which has none.
    pub flag: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What the configuration says about it.
    pub settings: for<'a> fn(&'a Config, &'static str) -> &'a ChartComponent,
    /// Whether it is on where nothing is said; EKS Auto Mode brings such a component itself.
    pub by_default: bool,
    /// The chart's name.
    pub chart: &'static str,
    /// The chart repository.
    pub repository: &'static str,
    /// The chart's version.
    pub version: &'static str,
    /// Where it is installed.
    pub namespace: &'static str,
    /// The service account of its controller.
    pub service_account: &'static str,
    /// Who makes that.
    pub service_account_maker: ServiceAccountMaker,
    /// What its role may do, unless the configuration chooses otherwise.
    pub permissions: Permissions,
    /// ARNs of policies that exist and are attached beside it, with places to fill.
    pub more_policies: &'static [&'static str],
    /// What the configuration may choose instead.
    pub choices: &'static [Choice],
    /// The policy for the KMS keys that it uses; none where it uses none.
    pub key_policy: Option<fn(keys: &[String]) -> Document>,
    /// What it calls, as a document that would just allow it; none for partitions of which that is not known.
    pub needs: fn(partition: &str) -> Option<Document>,
    /// Actions that a version of the software calls and older ones do not, by major and minor version.
    pub actions_since: &'static [((u64, u64), &'static [&'static str])],
    /// The oldest Kubernetes that the software supports.
    pub oldest_kubernetes: (u64, u64),
    /// Names (`app.kubernetes.io/name`) of software that does the same and must not run beside it.
    pub predecessors: &'static [&'static str],
    /// The images that its chart can run.
    pub images: &'static [Image],
    /// Values for clusters without a way to the internet, a YAML document.
    pub isolated_values: &'static str,
    /// Values that are always set, a YAML document with `${...}` places.
    pub values: &'static str,
    /// The path of the value that says how many replicas its controller has.
    pub replicas_value: &'static [&'static str],
    /// Whether its chart has CRDs.
    pub has_crds: bool,
    /// The Service behind its admission webhooks; such a component is installed after all others.
    pub webhook_service: Option<&'static str>,
    /// The aggregated API that it serves; it works once that is available.
    pub api_service: Option<&'static str>,
    /// Names by which its objects are recognised when someone else installed it: API version, kind, name.
    pub objects: &'static [(&'static str, &'static str, &'static str)],
    /// The EKS add-on that installs the same.
    pub addon: Option<&'static str>,
    /// Whether the user may have EKS install it.
    pub offers_addon: bool,
    /// Whether its (AWS managed) policy may be put on the nodes' roles.
    pub offers_node_role: bool,
    /// Role name that AWS's documentation uses; empty without a role.
    pub documented_role: &'static str,
}

/// One image of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The path of the value that names its repository.
    pub value: &'static str,
    /// What the chart has there.
    pub repository: &'static str,
}

/// The AWS Load Balancer Controller.
pub const LOAD_BALANCER_CONTROLLER: Component = Component {
    name: "aws-load-balancer-controller",
    short: "lbc",
    flag: "lbc",
    title: "AWS Load Balancer Controller",
    settings: |config, _| &config.load_balancer_controller,
    by_default: true,
    chart: "aws-load-balancer-controller",
    repository: "https://aws.github.io/eks-charts",
    version: "3.5.0",
    namespace: "kube-system",
    service_account: "aws-load-balancer-controller",
    service_account_maker: ServiceAccountMaker::Us,
    permissions: choice::FULL,
    more_policies: &[],
    choices: choice::OF_LOAD_BALANCER_CONTROLLER,
    key_policy: None,
    needs: policy::load_balancer_controller_policy,
    // From the policy documents of its releases, compared one by one; nothing was added from 2.13 to 3.5.
    actions_since: &[
        ((2, 7), &["elasticloadbalancing:DescribeTrustStores"]),
        ((2, 9), &["elasticloadbalancing:DescribeListenerAttributes", "elasticloadbalancing:ModifyListenerAttributes"]),
        ((2, 10), &["ec2:GetSecurityGroupsForVpc"]),
        (
            (2, 11),
            &["elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:ModifyCapacityReservation"],
        ),
        (
            (2, 12),
            &["ec2:DescribeIpamPools", "elasticloadbalancing:ModifyIpPools", "elasticloadbalancing:SetRulePriorities"],
        ),
        ((2, 13), &["ec2:DescribeRouteTables"]),
    ],
    oldest_kubernetes: (1, 22),
    predecessors: &["alb-ingress-controller"],
    images: &[Image { value: "image.repository", repository: "public.ecr.aws/eks/aws-load-balancer-controller" }],
    // Their endpoints are in no VPC, and without them the controller does not become ready.
    isolated_values: "{enableShield: false, enableWaf: false, enableWafv2: false}",
    values: include_str!("../templates/values/aws-load-balancer-controller.yaml"),
    replicas_value: &["replicaCount"],
    has_crds: true,
    webhook_service: Some("aws-load-balancer-webhook-service"),
    api_service: None,
    objects: &[
        ("apps/v1", "Deployment", "aws-load-balancer-controller"),
        ("v1", "Service", "aws-load-balancer-webhook-service"),
        ("networking.k8s.io/v1", "IngressClass", "alb"),
    ],
    addon: None,
    offers_addon: false,
    offers_node_role: false,
    documented_role: "AmazonEKSLoadBalancerControllerRole",
};

/// The EBS CSI driver.
pub const EBS_CSI_DRIVER: Component = Component {
    name: "aws-ebs-csi-driver",
    short: "ebs",
    flag: "ebs",
    title: "Amazon EBS CSI driver",
    settings: |config, _| &config.ebs_csi_driver,
    by_default: true,
    chart: "aws-ebs-csi-driver",
    repository: "https://kubernetes-sigs.github.io/aws-ebs-csi-driver",
    version: "2.64.0",
    namespace: "kube-system",
    service_account: "ebs-csi-controller-sa",
    service_account_maker: ServiceAccountMaker::Chart,
    needs: policy::ebs_csi_driver_needs,
    actions_since: &[],
    oldest_kubernetes: (1, 17),
    predecessors: &[],
    permissions: Permissions::AwsManaged(&[choice::EBS_V2, choice::EBS_V1]),
    more_policies: &[],
    choices: choice::OF_EBS_CSI_DRIVER,
    key_policy: Some(policy::key_policy),
    images: &[
        Image { value: "image.repository", repository: "public.ecr.aws/ebs-csi-driver/aws-ebs-csi-driver" },
        Image {
            value: "sidecars.provisioner.image.repository",
            repository: "public.ecr.aws/csi-components/csi-provisioner",
        },
        Image { value: "sidecars.attacher.image.repository", repository: "public.ecr.aws/csi-components/csi-attacher" },
        Image {
            value: "sidecars.snapshotter.image.repository",
            repository: "public.ecr.aws/csi-components/csi-snapshotter",
        },
        Image {
            value: "sidecars.livenessProbe.image.repository",
            repository: "public.ecr.aws/csi-components/livenessprobe",
        },
        Image { value: "sidecars.resizer.image.repository", repository: "public.ecr.aws/csi-components/csi-resizer" },
        Image {
            value: "sidecars.nodeDriverRegistrar.image.repository",
            repository: "public.ecr.aws/csi-components/csi-node-driver-registrar",
        },
        Image {
            value: "sidecars.volumemodifier.image.repository",
            repository: "public.ecr.aws/ebs-csi-driver/volume-modifier-for-k8s",
        },
    ],
    isolated_values: "{}",
    values: include_str!("../templates/values/aws-ebs-csi-driver.yaml"),
    replicas_value: &["controller", "replicaCount"],
    has_crds: false,
    webhook_service: None,
    api_service: None,
    objects: &[
        ("v1", "ServiceAccount", "ebs-csi-controller-sa"),
        ("apps/v1", "Deployment", "ebs-csi-controller"),
        ("apps/v1", "DaemonSet", "ebs-csi-node"),
        ("storage.k8s.io/v1", "CSIDriver", "ebs.csi.aws.com"),
    ],
    addon: Some("aws-ebs-csi-driver"),
    offers_addon: true,
    offers_node_role: true,
    documented_role: "AmazonEKS_EBS_CSI_DriverRole",
};

/// metrics-server, which serves the numbers that autoscalers and `kubectl top` read.
pub const METRICS_SERVER: Component = Component {
    name: "metrics-server",
    short: "metrics",
    flag: "metrics-server",
    title: "metrics-server",
    settings: |config, _| &config.metrics_server,
    by_default: false,
    chart: "metrics-server",
    repository: "https://kubernetes-sigs.github.io/metrics-server/",
    version: "3.13.1",
    namespace: "kube-system",
    service_account: "metrics-server",
    service_account_maker: ServiceAccountMaker::Chart,
    permissions: Permissions::None,
    more_policies: &[],
    choices: &[],
    key_policy: None,
    needs: |_| None,
    actions_since: &[],
    oldest_kubernetes: (1, 19),
    predecessors: &[],
    images: &[
        Image { value: "image.repository", repository: "registry.k8s.io/metrics-server/metrics-server" },
        Image { value: "addonResizer.image.repository", repository: "registry.k8s.io/autoscaling/addon-resizer" },
    ],
    isolated_values: "{}",
    values: include_str!("../templates/values/metrics-server.yaml"),
    replicas_value: &["replicas"],
    has_crds: false,
    webhook_service: None,
    api_service: Some("v1beta1.metrics.k8s.io"),
    objects: &[
        ("apps/v1", "Deployment", "metrics-server"),
        ("v1", "Service", "metrics-server"),
        ("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io"),
    ],
    addon: Some("metrics-server"),
    offers_addon: false,
    offers_node_role: false,
    documented_role: "",
};

/// The newest Kubernetes with which the components' versions were tried.
pub const NEWEST_KUBERNETES_TRIED: (u64, u64) = (1, 36);

/// The built-in components that are installed from a chart, in the order in which they are shown.
pub const BUILT_IN: [Component; 3] = [LOAD_BALANCER_CONTROLLER, EBS_CSI_DRIVER, METRICS_SERVER];

/// The name of the component that is a StorageClass.
pub const GP3_STORAGE_CLASS: &str = "gp3-storage-class";

/// All components that are installed from a chart: the built-in ones, then those of the user's files.
pub fn all(config: &Config) -> Vec<Component> {
    let custom = config.custom.iter().map(|custom| custom.definition.component(&custom.name));
    BUILT_IN.into_iter().chain(custom).collect()
}

/// Those of them that are wanted on a cluster.
pub fn wanted(config: &Config, facts: &Facts) -> Vec<Component> {
    all(config).into_iter().filter(|component| component.wanted(config, facts)).collect()
}

/// The component of this name, long or short, among those with a role.
///
/// # Errors
/// There is none; the error names `field` and those that exist.
pub fn with_role(field: &str, name: &str, all: &[Component]) -> Result<Component> {
    let known: Vec<_> = all.iter().filter(|component| component.has_role()).collect();
    let found = known.iter().find(|component| component.name == name || component.short == name);
    if let Some(component) = found {
        return Ok(**component);
    }
    let names = known.iter().flat_map(|component| [component.short, component.name]);
    Err(validate::one_of(field, name, names).expect_err("it is none of them"))
}

impl Component {
    /// What the configuration says about this component.
    pub fn configured<'a>(&self, config: &'a Config) -> &'a ChartComponent {
        (self.settings)(config, self.name)
    }

    /// Whether it is wanted: what the user says, else not on Auto Mode, which brings load balancing and block storage.
    pub fn wanted(&self, config: &Config, facts: &Facts) -> bool {
        self.configured(config).enabled.unwrap_or(self.by_default && (self.is_custom() || !facts.auto_mode))
    }

    /// Whether it acts in AWS, for which it has a role.
    pub fn has_role(&self) -> bool {
        !matches!(self.permissions, Permissions::None)
    }

    /// The subject of its service account's tokens.
    pub fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }

    /// How its pods get their role: what is said of it, else what is said of all.
    pub fn identity(&self, config: &Config) -> Identity {
        self.configured(config).identity.unwrap_or(config.identity)
    }
}

/// A name of words with hyphens as the configuration file writes it: `target-group` becomes `targetGroup`.
pub fn camel_case(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, rest) = part.split_at(part.len().min(1));
        name + &head.to_uppercase() + rest
    })
}

#[cfg(test)]
mod tests;
