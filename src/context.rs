//! What a run knows and whom it may ask: facts and clients.
//!
//! [`ReadContext`] holds clients that can only read: their types have no write methods, so a plan that writes does not
//! compile. [`WriteContext`] holds the writers and is made only by the commands that write.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::op::eks::EksWrite;
use crate::op::helm::HelmWrite;
use crate::op::iam::IamWrite;
use crate::op::kube::KubeWrite;
use crate::plan::Target;
use crate::read::accelerator::AcceleratorRead;
use crate::read::chart::ChartRead;
use crate::read::ec2::Ec2Read;
use crate::read::eks::EksRead;
use crate::read::elbv2::ElbRead;
use crate::read::iam::IamRead;
use crate::read::kube::KubeRead;
use crate::read::sts::{StsRead, short_caller};
use crate::read::tagging::TaggingRead;

/// What `DescribeCluster` says, and who asks.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub arn: String,
    /// `aws`, `aws-cn`, ...; from the cluster's ARN.
    pub partition: String,
    /// The account that holds the cluster.
    pub account: String,
    /// The region.
    pub region: String,
    /// Kubernetes, as `1.35`.
    pub kubernetes_version: String,
    /// The OIDC issuer with its scheme.
    pub issuer: String,
    /// The address of the API server.
    pub endpoint: String,
    /// Its certificate authority, PEM.
    pub ca_pem: String,
    /// The VPC.
    pub vpc: String,
    /// Ids of the subnets that the cluster was given.
    pub subnets: Vec<String>,
    /// The security group that EKS made for control plane and managed nodes; empty where there is none.
    pub security_group: String,
    /// The security groups that the control plane was given besides.
    pub security_groups: Vec<String>,
    /// The id of a local cluster on an Outpost, which its tokens name instead of the cluster; none for a cluster in the region.
    pub outpost_id: Option<String>,
    /// The API server can be reached from outside the VPC.
    pub endpoint_public: bool,
    /// EKS Auto Mode brings load balancing and block storage of its own.
    pub auto_mode: bool,
    /// Whether EKS takes access entries for it, which it does unless its authentication mode is `CONFIG_MAP`; none where that
    /// was not asked.
    pub access_entries: Option<bool>,
    /// The caller's ARN as STS gives it.
    pub caller_arn: String,
    /// Seconds by which AWS' clock is ahead of this machine's, where that is known.
    pub clock_skew: Option<i64>,
}

impl Facts {
    /// The ARN of the cluster's OIDC provider, whether it exists or not.
    pub fn provider_arn(&self) -> String {
        let host = crate::names::issuer_host(&self.issuer);
        format!("arn:{}:iam::{}:oidc-provider/{host}", self.partition, self.account)
    }

    /// The security groups of the control plane's network interfaces.
    /// <https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html>
    pub fn control_plane_groups(&self) -> BTreeSet<String> {
        let groups = self.security_groups.iter().chain([&self.security_group]);
        groups.filter(|id| !id.is_empty()).cloned().collect()
    }

    /// What a token for the API server names: the cluster, or the id of a local cluster on an Outpost.
    /// <https://docs.aws.amazon.com/cli/latest/reference/eks/get-token.html>
    pub fn token_subject(&self) -> &str {
        self.outpost_id.as_deref().unwrap_or(&self.cluster)
    }

    /// What is known of a cluster without asking: names follow from its ARN; of the rest there is something of the same form.
    pub fn offline(cluster: &str, region: &str, account: &str) -> Facts {
        let partition = crate::names::partition_of_region(region);
        Facts {
            cluster: cluster.to_owned(),
            arn: format!("arn:{partition}:eks:{region}:{account}:cluster/{cluster}"),
            partition: partition.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            kubernetes_version: String::new(),
            issuer: format!("https://oidc.eks.{region}.{}/id/*", crate::names::dns_suffix(partition)),
            endpoint: String::new(),
            ca_pem: String::new(),
            vpc: String::new(),
            subnets: Vec::new(),
            security_group: String::new(),
            security_groups: Vec::new(),
            outpost_id: None,
            endpoint_public: false,
            auto_mode: false,
            access_entries: None,
            caller_arn: String::new(),
            clock_skew: None,
        }
    }

    /// What policies that are limited to this cluster name.
    pub fn scope(&self) -> crate::policy::Scope<'_> {
        crate::policy::Scope {
            partition: &self.partition,
            region: &self.region,
            cluster: &self.cluster,
            vpc: &self.vpc,
        }
    }

    /// The head line of everything that is shown.
    pub fn target(&self) -> Target {
        Target {
            cluster: self.cluster.clone(),
            arn: self.arn.clone(),
            account: self.account.clone(),
            region: self.region.clone(),
            kubernetes_version: self.kubernetes_version.clone(),
            caller: short_caller(&self.caller_arn),
        }
    }
}

/// Facts and clients that can only read.
#[derive(Clone)]
pub struct ReadContext {
    /// What is known of the cluster.
    pub facts: Arc<Facts>,
    /// What the user wants.
    pub config: Arc<Config>,
    /// IAM.
    pub iam: IamRead,
    /// EC2.
    pub ec2: Ec2Read,
    /// EKS.
    pub eks: EksRead,
    /// Elastic Load Balancing.
    pub elb: ElbRead,
    /// Global Accelerator, where the partition has one and the cluster a way to it.
    pub accelerators: Option<AcceleratorRead>,
    /// STS.
    pub sts: StsRead,
    /// Kubernetes.
    pub kube: KubeRead,
    /// Tags of every service.
    pub tagging: TaggingRead,
    /// Charts, from a folder or a repository.
    pub charts: ChartRead,
    /// Whether writes may be tried as dry runs of the API server: who applies has the rights for them, who plans has not.
    pub dry_runs: bool,
}

/// The writers.
#[derive(Clone)]
pub struct WriteContext {
    /// IAM.
    pub iam: IamWrite,
    /// EKS.
    pub eks: EksWrite,
    /// Kubernetes.
    pub kube: KubeWrite,
    /// Helm.
    pub helm: HelmWrite,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Facts;

    /// The facts of a cluster that nobody asks.
    pub(crate) fn facts() -> Facts {
        Facts {
            cluster: "demo".to_owned(),
            arn: "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned(),
            partition: "aws".to_owned(),
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            kubernetes_version: "1.35".to_owned(),
            issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/0".to_owned(),
            endpoint: String::new(),
            ca_pem: String::new(),
            vpc: String::new(),
            subnets: Vec::new(),
            security_group: String::new(),
            security_groups: Vec::new(),
            outpost_id: None,
            endpoint_public: true,
            auto_mode: false,
            access_entries: Some(true),
            caller_arn: String::new(),
            clock_skew: None,
        }
    }
}
