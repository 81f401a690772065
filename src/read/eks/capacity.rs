//! What brings nodes into a cluster, as EKS knows it: managed node groups and Fargate profiles.

use std::collections::BTreeMap;

use aws_sdk_eks::types::{FargateProfileSelector, NodegroupScalingConfig};

use super::EksRead;
use crate::error::{AwsError, Result};
use crate::read::pages::Pages;

/// A managed node group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeGroup {
    /// Its name.
    pub name: String,
    /// The role of its nodes.
    pub role: Option<String>,
    /// How many nodes it is to have.
    pub desired: i32,
    /// How many it may have.
    pub most: i32,
}

/// A Fargate profile: which pods get a Fargate node of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FargateProfile {
    /// Its name.
    pub name: String,
    /// Namespaces, each with the labels that its pods must have; both may have wildcards.
    pub selectors: Vec<(String, BTreeMap<String, String>)>,
}

impl EksRead {
    /// The managed node groups of a cluster; one that goes meanwhile is left out.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn node_groups(&self, cluster: &str) -> Result<Vec<NodeGroup>> {
        let (mut names, mut token) = (Vec::new(), None);
        let mut pages = Pages::of("eks:ListNodegroups");
        loop {
            let answer = self.client.list_nodegroups().cluster_name(cluster).set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListNodegroups", &error))?;
            names.extend(page.nodegroups().iter().cloned());
            token = pages.next(page.next_token)?;
            if token.is_none() {
                break;
            }
        }
        let mut groups = Vec::new();
        for name in names {
            match self.client.describe_nodegroup().cluster_name(cluster).nodegroup_name(&name).send().await {
                Ok(answer) => groups.extend(answer.nodegroup.map(|group| {
                    let scaling = group.scaling_config();
                    let desired = scaling.and_then(NodegroupScalingConfig::desired_size).unwrap_or_default();
                    let most = scaling.and_then(NodegroupScalingConfig::max_size).unwrap_or_default();
                    NodeGroup { name, role: group.node_role, desired, most }
                })),
                Err(error) => match AwsError::new("eks:DescribeNodegroup", &error) {
                    error if error.not_found() => {}
                    error => return Err(error.into()),
                },
            }
        }
        Ok(groups)
    }

    /// The Fargate profiles of a cluster; one that goes meanwhile is left out.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn fargate_profiles(&self, cluster: &str) -> Result<Vec<FargateProfile>> {
        let (mut names, mut token) = (Vec::new(), None);
        let mut pages = Pages::of("eks:ListFargateProfiles");
        loop {
            let answer = self.client.list_fargate_profiles().cluster_name(cluster).set_next_token(token).send().await;
            let page = answer.map_err(|error| AwsError::new("eks:ListFargateProfiles", &error))?;
            names.extend(page.fargate_profile_names().iter().cloned());
            token = pages.next(page.next_token)?;
            if token.is_none() {
                break;
            }
        }
        let mut profiles = Vec::new();
        for name in names {
            let call = self.client.describe_fargate_profile().cluster_name(cluster).fargate_profile_name(&name);
            match call.send().await {
                Ok(answer) => profiles.extend(answer.fargate_profile.map(|profile| {
                    let selectors = profile.selectors().iter().map(selector).collect();
                    FargateProfile { name, selectors }
                })),
                Err(error) => match AwsError::new("eks:DescribeFargateProfile", &error) {
                    error if error.not_found() => {}
                    error => return Err(error.into()),
                },
            }
        }
        Ok(profiles)
    }
}

fn selector(selector: &FargateProfileSelector) -> (String, BTreeMap<String, String>) {
    let labels = selector.labels().into_iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    (selector.namespace().unwrap_or_default().to_owned(), labels)
}
