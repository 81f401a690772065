//! Writes to EKS: add-ons, Pod Identity associations, tags. One variant is one call of the EKS API.
//!
//! Deletes take "there is no such thing" for success: absent means done. The SDK gives every create and update a request
//! token of its own, so that a call whose answer was lost is not done twice.

mod configuration;

use aws_sdk_eks::Client;
use aws_sdk_eks::types::ResolveConflicts;
use serde::Serialize;
use serde_json::Value;

use crate::error::{AwsError, Error, Result};
use crate::heard::Heard;
use crate::op::iam::Tags;
use crate::op::shell::{Supply, quote, tag_map as cli_tags, words};

/// One call of the EKS API that writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "call")]
#[expect(missing_docs, reason = "the fields are the parameters of the calls, under EKS' names")]
pub enum EksOp {
    /// Makes an add-on.
    CreateAddon {
        cluster: String,
        addon: String,
        version: String,
        service_account_role_arn: Option<String>,
        /// JSON or YAML text.
        configuration_values: Option<String>,
        /// `NONE` or `OVERWRITE`; nothing leaves it to EKS.
        resolve_conflicts: Option<String>,
        tags: Tags,
    },
    /// Changes an add-on. EKS takes a role that is left out for the wish to have none.
    UpdateAddon {
        cluster: String,
        addon: String,
        version: Option<String>,
        service_account_role_arn: Option<String>,
        configuration_values: Option<String>,
        /// `NONE`, `OVERWRITE` or `PRESERVE`; nothing leaves it to EKS.
        resolve_conflicts: Option<String>,
    },
    /// Deletes an add-on; with `preserve` its objects stay in the cluster.
    DeleteAddon { cluster: String, addon: String, preserve: bool },
    /// Gives the pods of a service account a role.
    CreatePodIdentityAssociation {
        cluster: String,
        namespace: String,
        service_account: String,
        role_arn: String,
        tags: Tags,
    },
    /// Gives the pods of an association's service account another role, with the session tags that our trust asks for.
    UpdatePodIdentityAssociation { cluster: String, association_id: String, role_arn: String },
    /// Takes the role from the pods of a service account.
    DeletePodIdentityAssociation { cluster: String, association_id: String },
    /// Sets tags of an object of EKS.
    TagResource { arn: String, tags: Tags },
    /// Takes tags off an object of EKS.
    UntagResource { arn: String, keys: Vec<String> },
}

/// EKS, for writing.
#[derive(Clone, Debug)]
pub struct EksWrite {
    client: Client,
}

impl EksWrite {
    /// A writer over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> EksWrite {
        EksWrite {
            client: Client::from_conf(aws_sdk_eks::config::Builder::from(config).interceptor(Heard::of("eks")).build()),
        }
    }
}

fn sdk_tags(tags: &Tags) -> std::collections::HashMap<String, String> {
    tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// ` --name value` for every value that is there.
fn cli_options(options: &[(&str, Option<&String>)]) -> String {
    let given = options.iter().filter_map(|(name, value)| Some(format!(" --{name} {}", quote((*value)?))));
    given.collect()
}

impl EksOp {
    /// The call as IAM policies name it.
    pub fn call(&self) -> &'static str {
        match self {
            EksOp::CreateAddon { .. } => "eks:CreateAddon",
            EksOp::UpdateAddon { .. } => "eks:UpdateAddon",
            EksOp::DeleteAddon { .. } => "eks:DeleteAddon",
            EksOp::CreatePodIdentityAssociation { .. } => "eks:CreatePodIdentityAssociation",
            EksOp::UpdatePodIdentityAssociation { .. } => "eks:UpdatePodIdentityAssociation",
            EksOp::DeletePodIdentityAssociation { .. } => "eks:DeletePodIdentityAssociation",
            EksOp::TagResource { .. } => "eks:TagResource",
            EksOp::UntagResource { .. } => "eks:UntagResource",
        }
    }

    /// The equivalent command of the aws CLI.
    pub fn command(&self) -> String {
        let command = match self {
            EksOp::CreateAddon {
                cluster,
                addon,
                version,
                service_account_role_arn,
                configuration_values,
                resolve_conflicts,
                tags,
            } => format!(
                "create-addon --cluster-name {} --addon-name {} --addon-version {}{}{}{} --tags {}",
                quote(cluster),
                quote(addon),
                quote(version),
                cli_options(&[("service-account-role-arn", service_account_role_arn.as_ref())]),
                configuration::option(addon, configuration_values.as_deref()),
                cli_options(&[("resolve-conflicts", resolve_conflicts.as_ref())]),
                cli_tags(tags)
            ),
            EksOp::UpdateAddon {
                cluster,
                addon,
                version,
                service_account_role_arn,
                configuration_values,
                resolve_conflicts,
            } => format!(
                "update-addon --cluster-name {} --addon-name {}{}{}{}",
                quote(cluster),
                quote(addon),
                cli_options(&[
                    ("addon-version", version.as_ref()),
                    ("service-account-role-arn", service_account_role_arn.as_ref()),
                ]),
                configuration::option(addon, configuration_values.as_deref()),
                cli_options(&[("resolve-conflicts", resolve_conflicts.as_ref())])
            ),
            EksOp::DeleteAddon { cluster, addon, preserve } => format!(
                "delete-addon --cluster-name {} --addon-name {}{}",
                quote(cluster),
                quote(addon),
                if *preserve { " --preserve" } else { "" }
            ),
            EksOp::CreatePodIdentityAssociation { cluster, namespace, service_account, role_arn, tags } => format!(
                "create-pod-identity-association --cluster-name {} --namespace {} --service-account {} --role-arn {} \
                 --tags {}",
                quote(cluster),
                quote(namespace),
                quote(service_account),
                quote(role_arn),
                cli_tags(tags)
            ),
            EksOp::UpdatePodIdentityAssociation { cluster, association_id, role_arn } => format!(
                "update-pod-identity-association --cluster-name {} --association-id {} --role-arn {} \
                 --no-disable-session-tags",
                quote(cluster),
                quote(association_id),
                quote(role_arn)
            ),
            EksOp::DeletePodIdentityAssociation { cluster, association_id } => format!(
                "delete-pod-identity-association --cluster-name {} --association-id {}",
                quote(cluster),
                quote(association_id)
            ),
            EksOp::TagResource { arn, tags } => {
                format!("tag-resource --resource-arn {} --tags {}", quote(arn), cli_tags(tags))
            }
            EksOp::UntagResource { arn, keys } => {
                format!("untag-resource --resource-arn {} --tag-keys {}", quote(arn), words(keys))
            }
        };
        format!("aws eks {command}")
    }

    /// The configuration that an add-on is given.
    fn configured(&self) -> Option<(&str, &str)> {
        match self {
            EksOp::CreateAddon { addon, configuration_values, .. }
            | EksOp::UpdateAddon { addon, configuration_values, .. } => {
                Some((addon.as_str(), configuration_values.as_deref()?))
            }
            _ => None,
        }
    }

    /// The same as a document.
    pub(super) fn configuration(&self) -> Option<Value> {
        configuration::parsed(self.configured()?.1)
    }

    /// What the command needs besides.
    pub(super) fn supply(&self) -> Option<Supply> {
        self.configured().and_then(|(addon, text)| configuration::supply(addon, text))
    }

    /// Performs the call.
    ///
    /// # Errors
    /// What EKS said.
    pub async fn run(&self, eks: &EksWrite) -> Result<()> {
        let client = &eks.client;
        // Every call has an answer type of its own; what is wanted of all is only whether it worked.
        macro_rules! send {
            ($request:expr) => {
                $request.send().await.map(drop).map_err(|error| AwsError::new(self.call(), &error))
            };
        }
        let conflicts = |choice: &Option<String>| choice.as_deref().map(ResolveConflicts::from);
        let outcome = match self {
            EksOp::CreateAddon {
                cluster,
                addon,
                version,
                service_account_role_arn,
                configuration_values,
                resolve_conflicts,
                tags,
            } => send!(
                client
                    .create_addon()
                    .cluster_name(cluster)
                    .addon_name(addon)
                    .addon_version(version)
                    .set_service_account_role_arn(service_account_role_arn.clone())
                    .set_configuration_values(configuration_values.clone())
                    .set_resolve_conflicts(conflicts(resolve_conflicts))
                    .set_tags(Some(sdk_tags(tags)))
            ),
            EksOp::UpdateAddon {
                cluster,
                addon,
                version,
                service_account_role_arn,
                configuration_values,
                resolve_conflicts,
            } => send!(
                client
                    .update_addon()
                    .cluster_name(cluster)
                    .addon_name(addon)
                    .set_addon_version(version.clone())
                    .set_service_account_role_arn(service_account_role_arn.clone())
                    .set_configuration_values(configuration_values.clone())
                    .set_resolve_conflicts(conflicts(resolve_conflicts))
            ),
            EksOp::DeleteAddon { cluster, addon, preserve } => {
                absent_is_done(send!(client.delete_addon().cluster_name(cluster).addon_name(addon).preserve(*preserve)))
            }
            EksOp::CreatePodIdentityAssociation { cluster, namespace, service_account, role_arn, tags } => send!(
                client
                    .create_pod_identity_association()
                    .cluster_name(cluster)
                    .namespace(namespace)
                    .service_account(service_account)
                    .role_arn(role_arn)
                    .set_tags(Some(sdk_tags(tags)))
            ),
            EksOp::UpdatePodIdentityAssociation { cluster, association_id, role_arn } => send!(
                client
                    .update_pod_identity_association()
                    .cluster_name(cluster)
                    .association_id(association_id)
                    .role_arn(role_arn)
                    .disable_session_tags(false)
            ),
            EksOp::DeletePodIdentityAssociation { cluster, association_id } => absent_is_done(send!(
                client.delete_pod_identity_association().cluster_name(cluster).association_id(association_id)
            )),
            EksOp::TagResource { arn, tags } => {
                send!(client.tag_resource().resource_arn(arn).set_tags(Some(sdk_tags(tags))))
            }
            EksOp::UntagResource { arn, keys } => {
                absent_is_done(send!(client.untag_resource().resource_arn(arn).set_tag_keys(Some(keys.clone()))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_can_be_typed() {
        let tags = Tags::from([("a".to_owned(), "b c".to_owned()), ("d".to_owned(), "e".to_owned())]);
        let op = EksOp::CreatePodIdentityAssociation {
            cluster: "demo".to_owned(),
            namespace: "kube-system".to_owned(),
            service_account: "x".to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/x".to_owned(),
            tags: tags.clone(),
        };
        assert_eq!(
            op.command(),
            "aws eks create-pod-identity-association --cluster-name demo --namespace kube-system --service-account x \
             --role-arn arn:aws:iam::111122223333:role/x --tags 'a=b c,d=e'"
        );
        let op = EksOp::CreateAddon {
            cluster: "demo".to_owned(),
            addon: "y".to_owned(),
            version: "v1".to_owned(),
            service_account_role_arn: None,
            configuration_values: Some(r#"{"z": 1}"#.to_owned()),
            resolve_conflicts: Some("OVERWRITE".to_owned()),
            tags,
        };
        assert_eq!(
            op.command(),
            r#"aws eks create-addon --cluster-name demo --addon-name y --addon-version v1 --configuration-values '{"z": 1}' --resolve-conflicts OVERWRITE --tags 'a=b c,d=e'"#
        );
        assert_eq!(op.call(), "eks:CreateAddon");
        assert_eq!(op.supply(), None);
    }
}
