//! EKS, read only.

use std::collections::BTreeSet;

use aws_sdk_eks::Client;
use aws_sdk_eks::types::Cluster;

use crate::error::{AwsError, Result};

/// What an EKS add-on says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    /// Its version, such as `v1.64.0-eksbuild.1`.
    pub version: String,
    /// Its status, such as `ACTIVE`.
    pub status: String,
    /// The role of its service account (IRSA).
    pub role_arn: Option<String>,
}

/// EKS, read only.
#[derive(Clone, Debug)]
pub struct EksRead {
    client: Client,
}

impl EksRead {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> EksRead {
        EksRead { client: Client::new(config) }
    }

    /// The cluster with this name.
    pub async fn cluster(&self, name: &str) -> Result<Option<Cluster>> {
        match self.client.describe_cluster().name(name).send().await {
            Ok(answer) => Ok(answer.cluster),
            Err(error) => match AwsError::new("eks:DescribeCluster", &error) {
                error if error.not_found() => Ok(None),
                error => Err(error.into()),
            },
        }
    }

    /// The names of all clusters of the region.
    pub async fn clusters(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let answer = self.client.list_clusters().set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListClusters", &error))?;
            names.extend(page.clusters().iter().cloned());
            token = page.next_token;
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// ARNs of the roles of a cluster's node groups; a group that goes meanwhile has none.
    pub async fn node_roles(&self, cluster: &str) -> Result<BTreeSet<String>> {
        let (mut groups, mut token) = (Vec::new(), None);
        loop {
            let answer = self.client.list_nodegroups().cluster_name(cluster).set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListNodegroups", &error))?;
            groups.extend(page.nodegroups().iter().cloned());
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        let mut roles = BTreeSet::new();
        for group in groups {
            match self.client.describe_nodegroup().cluster_name(cluster).nodegroup_name(group).send().await {
                Ok(answer) => roles.extend(answer.nodegroup.and_then(|group| group.node_role)),
                Err(error) => match AwsError::new("eks:DescribeNodegroup", &error) {
                    error if error.not_found() => {}
                    error => return Err(error.into()),
                },
            }
        }
        Ok(roles)
    }

    /// The add-on with this name, where the cluster has it.
    pub async fn addon(&self, cluster: &str, name: &str) -> Result<Option<Addon>> {
        match self.client.describe_addon().cluster_name(cluster).addon_name(name).send().await {
            Ok(answer) => Ok(answer.addon.map(|addon| Addon {
                version: addon.addon_version().unwrap_or_default().to_owned(),
                status: addon.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                role_arn: addon.service_account_role_arn().map(ToOwned::to_owned),
            })),
            Err(error) => match AwsError::new("eks:DescribeAddon", &error) {
                error if error.not_found() => Ok(None),
                error => Err(error.into()),
            },
        }
    }
}
