//! EKS, read only.

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

/// A Pod Identity association: a role for a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Its id, such as `a-0123456789abcdef0`.
    pub id: String,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
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

    /// The Pod Identity associations of a namespace.
    pub async fn associations(&self, cluster: &str, namespace: &str) -> Result<Vec<Association>> {
        let (mut associations, mut token) = (Vec::new(), None);
        loop {
            let call = self.client.list_pod_identity_associations().cluster_name(cluster).namespace(namespace);
            let answer = call.set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListPodIdentityAssociations", &error))?;
            associations.extend(page.associations().iter().map(|association| Association {
                id: association.association_id().unwrap_or_default().to_owned(),
                namespace: association.namespace().unwrap_or_default().to_owned(),
                service_account: association.service_account().unwrap_or_default().to_owned(),
            }));
            token = page.next_token;
            if token.is_none() {
                return Ok(associations);
            }
        }
    }
}
