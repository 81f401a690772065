//! EKS, read only.

mod capacity;

use std::collections::BTreeSet;

use aws_sdk_eks::Client;
use aws_sdk_eks::types::{
    AccessConfigResponse, AddonHealth, AddonInfo, AddonIssue, AddonIssueCode, AuthenticationMode, Cluster,
};

use crate::error::{AwsError, Result};
use crate::heard::Heard;
use crate::op::iam::Tags;
use crate::read::pages::Pages;

pub use capacity::{FargateProfile, NodeGroup};

/// What an EKS add-on says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addon {
    /// Its ARN.
    pub arn: String,
    /// Its version, such as `v1.64.0-eksbuild.1`.
    pub version: String,
    /// Its status, such as `ACTIVE`.
    pub status: String,
    /// The role of its service account (IRSA).
    pub role_arn: Option<String>,
    /// Its configuration: JSON or YAML text.
    pub configuration: Option<String>,
    /// What EKS finds wrong with it: `CODE: message`.
    pub issues: Vec<String>,
    /// Its tags.
    pub tags: Tags,
}

/// A version of an add-on that fits the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonOffer {
    /// The version.
    pub version: String,
    /// Whether EKS installs it where none is named.
    pub default: bool,
}

fn issue(issue: &AddonIssue) -> String {
    let code = issue.code().map(AddonIssueCode::as_str).unwrap_or_default();
    format!("{code}: {}", issue.message().unwrap_or_default())
}

fn sdk_tags(tags: Option<&std::collections::HashMap<String, String>>) -> Tags {
    tags.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Everything of a Pod Identity association that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationDetail {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The role that the pods get.
    pub role_arn: String,
    /// Its tags.
    pub tags: Tags,
    /// The add-on that it belongs to and that alone can change it.
    pub addon_arn: Option<String>,
    /// Whether the session carries no tags, so that conditions on them refuse it.
    pub untagged_session: bool,
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

/// Whether a cluster knows access entries; with `CONFIG_MAP` EKS refuses them, and only the ConfigMap `aws-auth` maps callers
/// (<https://docs.aws.amazon.com/eks/latest/userguide/grant-k8s-access.html>).
pub fn takes_access_entries(cluster: &Cluster) -> bool {
    let mode = cluster.access_config().and_then(AccessConfigResponse::authentication_mode);
    mode.is_none_or(|mode| *mode != AuthenticationMode::ConfigMap)
}

/// EKS, read only.
#[derive(Clone, Debug)]
pub struct EksRead {
    client: Client,
}

impl EksRead {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> EksRead {
        EksRead {
            client: Client::from_conf(aws_sdk_eks::config::Builder::from(config).interceptor(Heard::of("eks")).build()),
        }
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
        let mut pages = Pages::of("eks:ListClusters");
        loop {
            let answer = self.client.list_clusters().set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListClusters", &error))?;
            names.extend(page.clusters().iter().cloned());
            token = pages.next(page.next_token)?;
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// ARNs of the roles of a cluster's node groups; a group that goes meanwhile has none.
    pub async fn node_roles(&self, cluster: &str) -> Result<BTreeSet<String>> {
        Ok(self.node_groups(cluster).await?.into_iter().filter_map(|group| group.role).collect())
    }

    /// The add-on with this name, where the cluster has it.
    pub async fn addon(&self, cluster: &str, name: &str) -> Result<Option<Addon>> {
        match self.client.describe_addon().cluster_name(cluster).addon_name(name).send().await {
            Ok(answer) => Ok(answer.addon.map(|addon| Addon {
                arn: addon.addon_arn().unwrap_or_default().to_owned(),
                configuration: addon.configuration_values().map(ToOwned::to_owned),
                version: addon.addon_version().unwrap_or_default().to_owned(),
                status: addon.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                role_arn: addon.service_account_role_arn().map(ToOwned::to_owned),
                issues: addon.health().map(AddonHealth::issues).unwrap_or_default().iter().map(issue).collect(),
                tags: sdk_tags(addon.tags()),
            })),
            Err(error) => match AwsError::new("eks:DescribeAddon", &error) {
                error if error.not_found() => Ok(None),
                error => Err(error.into()),
            },
        }
    }

    /// The versions of an add-on that fit a Kubernetes version, newest first.
    pub async fn addon_versions(&self, name: &str, kubernetes_version: &str) -> Result<Vec<String>> {
        let offers = self.addon_offers(name, kubernetes_version).await?;
        Ok(offers.into_iter().map(|offer| offer.version).collect())
    }

    /// The same, with which of them EKS installs where none is named.
    pub async fn addon_offers(&self, name: &str, kubernetes_version: &str) -> Result<Vec<AddonOffer>> {
        let (mut versions, mut token) = (Vec::new(), None);
        let mut pages = Pages::of("eks:DescribeAddonVersions");
        loop {
            let call = self.client.describe_addon_versions().addon_name(name).kubernetes_version(kubernetes_version);
            let answer = call.set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:DescribeAddonVersions", &error))?;
            let offered = page.addons().iter().flat_map(AddonInfo::addon_versions);
            versions.extend(offered.filter_map(|offer| {
                let default = offer.compatibilities().iter().any(|fit| {
                    fit.default_version() && fit.cluster_version().is_none_or(|version| version == kubernetes_version)
                });
                Some(AddonOffer { version: offer.addon_version()?.to_owned(), default })
            }));
            token = pages.next(page.next_token)?;
            if token.is_none() {
                break;
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse(numbers(&version.version)));
        Ok(versions)
    }

    /// The Pod Identity associations of a cluster, in all namespaces.
    pub async fn all_associations(&self, cluster: &str) -> Result<Vec<Association>> {
        self.associations_in(cluster, None).await
    }

    /// The association of one service account.
    pub async fn association(
        &self,
        cluster: &str,
        namespace: &str,
        service_account: &str,
    ) -> Result<Option<AssociationDetail>> {
        let found = self.associations(cluster, namespace).await?;
        let Some(found) = found.into_iter().find(|found| found.service_account == service_account) else {
            return Ok(None);
        };
        let call = self.client.describe_pod_identity_association().cluster_name(cluster).association_id(&found.id);
        match call.send().await {
            Ok(answer) => Ok(answer.association.map(|association| AssociationDetail {
                id: found.id,
                arn: association.association_arn().unwrap_or_default().to_owned(),
                role_arn: association.role_arn().unwrap_or_default().to_owned(),
                tags: sdk_tags(association.tags()),
                addon_arn: association.owner_arn().map(ToOwned::to_owned),
                untagged_session: association.disable_session_tags().unwrap_or(false),
            })),
            Err(error) => match AwsError::new("eks:DescribePodIdentityAssociation", &error) {
                error if error.not_found() => Ok(None),
                error => Err(error.into()),
            },
        }
    }

    /// The Pod Identity associations of a namespace.
    pub async fn associations(&self, cluster: &str, namespace: &str) -> Result<Vec<Association>> {
        self.associations_in(cluster, Some(namespace)).await
    }

    async fn associations_in(&self, cluster: &str, namespace: Option<&str>) -> Result<Vec<Association>> {
        let (mut associations, mut token) = (Vec::new(), None);
        let mut pages = Pages::of("eks:ListPodIdentityAssociations");
        loop {
            let call = self.client.list_pod_identity_associations().cluster_name(cluster);
            let answer = call.set_namespace(namespace.map(ToOwned::to_owned)).set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListPodIdentityAssociations", &error))?;
            associations.extend(page.associations().iter().map(|association| Association {
                id: association.association_id().unwrap_or_default().to_owned(),
                namespace: association.namespace().unwrap_or_default().to_owned(),
                service_account: association.service_account().unwrap_or_default().to_owned(),
            }));
            token = pages.next(page.next_token)?;
            if token.is_none() {
                return Ok(associations);
            }
        }
    }
}

/// The numbers in a version such as `v1.3.10-eksbuild.2`.
pub(crate) fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let mut versions = ["v1.3.9-eksbuild.3", "v1.3.10-eksbuild.2", "v1.3.10-eksbuild.10"];
        versions.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
        assert_eq!(versions, ["v1.3.10-eksbuild.10", "v1.3.10-eksbuild.2", "v1.3.9-eksbuild.3"]);
    }
}
