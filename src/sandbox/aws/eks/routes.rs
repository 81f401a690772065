//! EKS's REST routes. All operations are named, also those that are not simulated, so that a refusal can say what was asked for.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::sandbox::aws::error::{ApiError, Result};

/// Method, path and operation; a part in braces is a parameter.
const ROUTES: &str = "
POST /clusters/{name}/access-entries/{principalArn}/access-policies AssociateAccessPolicy
POST /clusters/{name}/encryption-config/associate AssociateEncryptionConfig
POST /clusters/{name}/identity-provider-configs/associate AssociateIdentityProviderConfig
POST /clusters/{name}/access-entries CreateAccessEntry
POST /clusters/{name}/addons CreateAddon
POST /clusters CreateCluster
POST /clusters/{name}/fargate-profiles CreateFargateProfile
POST /clusters/{name}/node-groups CreateNodegroup
POST /clusters/{name}/pod-identity-associations CreatePodIdentityAssociation
DELETE /clusters/{name}/access-entries/{principalArn} DeleteAccessEntry
DELETE /clusters/{name}/addons/{addonName} DeleteAddon
DELETE /clusters/{name} DeleteCluster
DELETE /clusters/{name}/fargate-profiles/{fargateProfileName} DeleteFargateProfile
DELETE /clusters/{name}/node-groups/{nodegroupName} DeleteNodegroup
DELETE /clusters/{name}/pod-identity-associations/{associationId} DeletePodIdentityAssociation
GET /clusters/{name}/access-entries/{principalArn} DescribeAccessEntry
GET /clusters/{name}/addons/{addonName} DescribeAddon
GET /addons/configuration-schemas DescribeAddonConfiguration
GET /addons/supported-versions DescribeAddonVersions
GET /clusters/{name} DescribeCluster
GET /cluster-versions DescribeClusterVersions
GET /clusters/{name}/fargate-profiles/{fargateProfileName} DescribeFargateProfile
POST /clusters/{name}/identity-provider-configs/describe DescribeIdentityProviderConfig
GET /clusters/{name}/insights/{id} DescribeInsight
GET /clusters/{name}/node-groups/{nodegroupName} DescribeNodegroup
GET /clusters/{name}/pod-identity-associations/{associationId} DescribePodIdentityAssociation
GET /clusters/{name}/updates/{updateId} DescribeUpdate
DELETE /clusters/{name}/access-entries/{principalArn}/access-policies/{policyArn} DisassociateAccessPolicy
POST /clusters/{name}/identity-provider-configs/disassociate DisassociateIdentityProviderConfig
GET /clusters/{name}/access-entries ListAccessEntries
GET /access-policies ListAccessPolicies
GET /clusters/{name}/addons ListAddons
GET /clusters/{name}/access-entries/{principalArn}/access-policies ListAssociatedAccessPolicies
GET /clusters ListClusters
GET /clusters/{name}/fargate-profiles ListFargateProfiles
GET /clusters/{name}/identity-provider-configs ListIdentityProviderConfigs
POST /clusters/{name}/insights ListInsights
GET /clusters/{name}/node-groups ListNodegroups
GET /clusters/{name}/pod-identity-associations ListPodIdentityAssociations
GET /tags/{resourceArn} ListTagsForResource
GET /clusters/{name}/updates ListUpdates
POST /tags/{resourceArn} TagResource
DELETE /tags/{resourceArn} UntagResource
POST /clusters/{name}/access-entries/{principalArn} UpdateAccessEntry
POST /clusters/{name}/addons/{addonName}/update UpdateAddon
POST /clusters/{name}/update-config UpdateClusterConfig
POST /clusters/{name}/updates UpdateClusterVersion
POST /clusters/{name}/node-groups/{nodegroupName}/update-config UpdateNodegroupConfig
POST /clusters/{name}/node-groups/{nodegroupName}/update-version UpdateNodegroupVersion
POST /clusters/{name}/pod-identity-associations/{associationId} UpdatePodIdentityAssociation
";

/// Finds the operation of a request and the parameters in its path.
pub(in super::super) fn route(method: &str, path: &str) -> Result<(&'static str, Map<String, Value>)> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    for line in ROUTES.lines() {
        let mut words = line.split(' ');
        let (Some(verb), Some(template), Some(operation)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if verb == method
            && let Some(found) = bind(template, &parts)
        {
            return Ok((operation, found));
        }
    }
    Err(ApiError::not_implemented(&format!("eks {method} {path}")))
}

fn bind(template: &str, parts: &[&str]) -> Option<Map<String, Value>> {
    let pattern: Vec<_> = template.trim_matches('/').split('/').collect();
    if pattern.len() != parts.len() {
        return None;
    }
    let mut found = Map::new();
    for (expected, part) in pattern.iter().zip(parts) {
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                let value = percent_decode_str(part).decode_utf8_lossy().into_owned();
                found.insert(name.to_owned(), Value::from(value));
            }
            None if expected == part => {}
            None => return None,
        }
    }
    Some(found)
}
