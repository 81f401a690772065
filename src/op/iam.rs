//! Writes to IAM. One variant is one call of the IAM API.
//!
//! Deletes and detaches take "there is no such thing" for success: absent means done.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::error::BuildError;
use aws_sdk_iam::types::Tag;
use serde::Serialize;

use crate::error::{AwsError, Error, Result};
use crate::heard::Heard;
use crate::op::shell::{quote, tag_list as cli_tags, words as cli_words};

/// Tags, sorted.
pub type Tags = BTreeMap<String, String>;

/// One call of the IAM API that writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "call")]
#[expect(missing_docs, reason = "the fields are the parameters of the calls, under IAM's names")]
pub enum IamOp {
    /// Makes an OIDC provider; the thumbprint is left out, IAM checks issuers against its own trusted roots.
    CreateOpenIdConnectProvider { url: String, audience: String, tags: Tags },
    /// Adds an audience to an OIDC provider; idempotent.
    AddClientIdToOpenIdConnectProvider { arn: String, audience: String },
    /// Sets tags of an OIDC provider.
    TagOpenIdConnectProvider { arn: String, tags: Tags },
    /// Makes a managed policy.
    CreatePolicy { name: String, path: String, description: String, document: String, tags: Tags },
    /// Makes a new version of a managed policy and puts it in force.
    CreatePolicyVersion { arn: String, document: String },
    /// Puts an existing version of a managed policy in force.
    SetDefaultPolicyVersion { arn: String, version: String },
    /// Deletes a version that is not in force.
    DeletePolicyVersion { arn: String, version: String },
    /// Sets tags of a managed policy.
    TagPolicy { arn: String, tags: Tags },
    /// Makes a role.
    CreateRole {
        name: String,
        path: String,
        description: String,
        trust: String,
        permissions_boundary: Option<String>,
        tags: Tags,
    },
    /// Replaces a role's trust policy.
    UpdateAssumeRolePolicy { role: String, trust: String },
    /// Replaces a role's description. The longest session goes with it, since IAM sets it back to an hour where it is left out.
    UpdateRole { role: String, description: String, max_session_seconds: Option<i32> },
    /// Bounds a role.
    PutRolePermissionsBoundary { role: String, permissions_boundary: String },
    /// Sets tags of a role.
    TagRole { role: String, tags: Tags },
    /// Attaches a managed policy to a role; idempotent.
    AttachRolePolicy { role: String, policy: String },
    /// Detaches a managed policy from a role.
    DetachRolePolicy { role: String, policy: String },
    /// Deletes a role that nothing is attached to.
    DeleteRole { role: String },
    /// Takes tags off a role.
    UntagRole { role: String, keys: Vec<String> },
    /// Deletes a managed policy that is attached to nothing and has one version.
    DeletePolicy { arn: String },
    /// Takes tags off a managed policy.
    UntagPolicy { arn: String, keys: Vec<String> },
    /// Deletes an OIDC provider; roles that trust it do not hinder IAM.
    DeleteOpenIdConnectProvider { arn: String },
}

/// IAM, for writing.
#[derive(Clone, Debug)]
pub struct IamWrite {
    client: Client,
}

impl IamWrite {
    /// A writer over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> IamWrite {
        IamWrite {
            client: Client::from_conf(aws_sdk_iam::config::Builder::from(config).interceptor(Heard::of("iam")).build()),
        }
    }
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, BuildError>>()
        .map_err(|error| Error::config("tag", "", error.to_string(), "give every tag a key and a value"))
}

impl IamOp {
    /// The call as IAM policies name it.
    pub fn call(&self) -> &'static str {
        match self {
            IamOp::CreateOpenIdConnectProvider { .. } => "iam:CreateOpenIDConnectProvider",
            IamOp::AddClientIdToOpenIdConnectProvider { .. } => "iam:AddClientIDToOpenIDConnectProvider",
            IamOp::TagOpenIdConnectProvider { .. } => "iam:TagOpenIDConnectProvider",
            IamOp::CreatePolicy { .. } => "iam:CreatePolicy",
            IamOp::CreatePolicyVersion { .. } => "iam:CreatePolicyVersion",
            IamOp::SetDefaultPolicyVersion { .. } => "iam:SetDefaultPolicyVersion",
            IamOp::DeletePolicyVersion { .. } => "iam:DeletePolicyVersion",
            IamOp::TagPolicy { .. } => "iam:TagPolicy",
            IamOp::CreateRole { .. } => "iam:CreateRole",
            IamOp::UpdateAssumeRolePolicy { .. } => "iam:UpdateAssumeRolePolicy",
            IamOp::UpdateRole { .. } => "iam:UpdateRole",
            IamOp::PutRolePermissionsBoundary { .. } => "iam:PutRolePermissionsBoundary",
            IamOp::TagRole { .. } => "iam:TagRole",
            IamOp::AttachRolePolicy { .. } => "iam:AttachRolePolicy",
            IamOp::DetachRolePolicy { .. } => "iam:DetachRolePolicy",
            IamOp::DeleteRole { .. } => "iam:DeleteRole",
            IamOp::UntagRole { .. } => "iam:UntagRole",
            IamOp::DeletePolicy { .. } => "iam:DeletePolicy",
            IamOp::UntagPolicy { .. } => "iam:UntagPolicy",
            IamOp::DeleteOpenIdConnectProvider { .. } => "iam:DeleteOpenIDConnectProvider",
        }
    }

    /// The equivalent command of the aws CLI.
    pub fn command(&self) -> String {
        let words = match self {
            IamOp::CreateOpenIdConnectProvider { url, audience, tags } => format!(
                "create-open-id-connect-provider --url {} --client-id-list {} --tags {}",
                quote(url),
                quote(audience),
                cli_tags(tags)
            ),
            IamOp::AddClientIdToOpenIdConnectProvider { arn, audience } => format!(
                "add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {} --client-id {}",
                quote(arn),
                quote(audience)
            ),
            IamOp::TagOpenIdConnectProvider { arn, tags } => format!(
                "tag-open-id-connect-provider --open-id-connect-provider-arn {} --tags {}",
                quote(arn),
                cli_tags(tags)
            ),
            IamOp::CreatePolicy { name, path, description, document, tags } => format!(
                "create-policy --policy-name {} --path {} --description {} --policy-document {} --tags {}",
                quote(name),
                quote(path),
                quote(description),
                quote(document),
                cli_tags(tags)
            ),
            IamOp::CreatePolicyVersion { arn, document } => format!(
                "create-policy-version --policy-arn {} --set-as-default --policy-document {}",
                quote(arn),
                quote(document)
            ),
            IamOp::SetDefaultPolicyVersion { arn, version } => {
                format!("set-default-policy-version --policy-arn {} --version-id {}", quote(arn), quote(version))
            }
            IamOp::DeletePolicyVersion { arn, version } => {
                format!("delete-policy-version --policy-arn {} --version-id {}", quote(arn), quote(version))
            }
            IamOp::TagPolicy { arn, tags } => {
                format!("tag-policy --policy-arn {} --tags {}", quote(arn), cli_tags(tags))
            }
            IamOp::CreateRole { name, path, description, trust, permissions_boundary, tags } => format!(
                "create-role --role-name {} --path {} --description {} --assume-role-policy-document {}{} --tags {}",
                quote(name),
                quote(path),
                quote(description),
                quote(trust),
                permissions_boundary
                    .as_ref()
                    .map(|arn| format!(" --permissions-boundary {}", quote(arn)))
                    .unwrap_or_default(),
                cli_tags(tags)
            ),
            IamOp::UpdateAssumeRolePolicy { role, trust } => {
                format!("update-assume-role-policy --role-name {} --policy-document {}", quote(role), quote(trust))
            }
            IamOp::UpdateRole { role, description, max_session_seconds } => format!(
                "update-role --role-name {} --description {}{}",
                quote(role),
                quote(description),
                max_session_seconds.map(|seconds| format!(" --max-session-duration {seconds}")).unwrap_or_default()
            ),
            IamOp::PutRolePermissionsBoundary { role, permissions_boundary } => format!(
                "put-role-permissions-boundary --role-name {} --permissions-boundary {}",
                quote(role),
                quote(permissions_boundary)
            ),
            IamOp::TagRole { role, tags } => format!("tag-role --role-name {} --tags {}", quote(role), cli_tags(tags)),
            IamOp::AttachRolePolicy { role, policy } => {
                format!("attach-role-policy --role-name {} --policy-arn {}", quote(role), quote(policy))
            }
            IamOp::DetachRolePolicy { role, policy } => {
                format!("detach-role-policy --role-name {} --policy-arn {}", quote(role), quote(policy))
            }
            IamOp::DeleteRole { role } => format!("delete-role --role-name {}", quote(role)),
            IamOp::UntagRole { role, keys } => {
                format!("untag-role --role-name {} --tag-keys {}", quote(role), cli_words(keys))
            }
            IamOp::DeletePolicy { arn } => format!("delete-policy --policy-arn {}", quote(arn)),
            IamOp::UntagPolicy { arn, keys } => {
                format!("untag-policy --policy-arn {} --tag-keys {}", quote(arn), cli_words(keys))
            }
            IamOp::DeleteOpenIdConnectProvider { arn } => {
                format!("delete-open-id-connect-provider --open-id-connect-provider-arn {}", quote(arn))
            }
        };
        format!("aws iam {words}")
    }

    /// Performs the call.
    pub async fn run(&self, iam: &IamWrite) -> Result<()> {
        let client = &iam.client;
        // Every call has an answer type of its own; what is wanted of all is only whether it worked.
        macro_rules! send {
            ($request:expr) => {
                $request.send().await.map(drop).map_err(|error| AwsError::new(self.call(), &error))
            };
        }
        let outcome = match self {
            IamOp::CreateOpenIdConnectProvider { url, audience, tags } => send!(
                client
                    .create_open_id_connect_provider()
                    .url(url)
                    .client_id_list(audience)
                    .set_tags(Some(sdk_tags(tags)?))
            ),
            IamOp::AddClientIdToOpenIdConnectProvider { arn, audience } => send!(
                client
                    .add_client_id_to_open_id_connect_provider()
                    .open_id_connect_provider_arn(arn)
                    .client_id(audience)
            ),
            IamOp::TagOpenIdConnectProvider { arn, tags } => send!(
                client.tag_open_id_connect_provider().open_id_connect_provider_arn(arn).set_tags(Some(sdk_tags(tags)?))
            ),
            IamOp::CreatePolicy { name, path, description, document, tags } => send!(
                client
                    .create_policy()
                    .policy_name(name)
                    .path(path)
                    .description(description)
                    .policy_document(document)
                    .set_tags(Some(sdk_tags(tags)?))
            ),
            IamOp::CreatePolicyVersion { arn, document } => {
                send!(client.create_policy_version().policy_arn(arn).policy_document(document).set_as_default(true))
            }
            IamOp::SetDefaultPolicyVersion { arn, version } => {
                send!(client.set_default_policy_version().policy_arn(arn).version_id(version))
            }
            IamOp::DeletePolicyVersion { arn, version } => {
                absent_is_done(send!(client.delete_policy_version().policy_arn(arn).version_id(version)))
            }
            IamOp::TagPolicy { arn, tags } => {
                send!(client.tag_policy().policy_arn(arn).set_tags(Some(sdk_tags(tags)?)))
            }
            IamOp::CreateRole { name, path, description, trust, permissions_boundary, tags } => send!(
                client
                    .create_role()
                    .role_name(name)
                    .path(path)
                    .description(description)
                    .assume_role_policy_document(trust)
                    .set_permissions_boundary(permissions_boundary.clone())
                    .set_tags(Some(sdk_tags(tags)?))
            ),
            IamOp::UpdateAssumeRolePolicy { role, trust } => {
                send!(client.update_assume_role_policy().role_name(role).policy_document(trust))
            }
            IamOp::UpdateRole { role, description, max_session_seconds } => send!(
                client
                    .update_role()
                    .role_name(role)
                    .description(description)
                    .set_max_session_duration(*max_session_seconds)
            ),
            IamOp::PutRolePermissionsBoundary { role, permissions_boundary } => {
                send!(client.put_role_permissions_boundary().role_name(role).permissions_boundary(permissions_boundary))
            }
            IamOp::TagRole { role, tags } => send!(client.tag_role().role_name(role).set_tags(Some(sdk_tags(tags)?))),
            IamOp::AttachRolePolicy { role, policy } => {
                send!(client.attach_role_policy().role_name(role).policy_arn(policy))
            }
            IamOp::DetachRolePolicy { role, policy } => {
                absent_is_done(send!(client.detach_role_policy().role_name(role).policy_arn(policy)))
            }
            IamOp::DeleteRole { role } => absent_is_done(send!(client.delete_role().role_name(role))),
            IamOp::UntagRole { role, keys } => {
                absent_is_done(send!(client.untag_role().role_name(role).set_tag_keys(Some(keys.clone()))))
            }
            IamOp::DeletePolicy { arn } => absent_is_done(send!(client.delete_policy().policy_arn(arn))),
            IamOp::UntagPolicy { arn, keys } => {
                absent_is_done(send!(client.untag_policy().policy_arn(arn).set_tag_keys(Some(keys.clone()))))
            }
            IamOp::DeleteOpenIdConnectProvider { arn } => {
                absent_is_done(send!(client.delete_open_id_connect_provider().open_id_connect_provider_arn(arn)))
            }
        };
        outcome.map_err(Error::from)
    }
}

fn absent_is_done(outcome: Result<(), AwsError>) -> Result<(), AwsError> {
    match outcome {
        Err(error) if error.not_found() => Ok(()),
        other => other,
    }
}
