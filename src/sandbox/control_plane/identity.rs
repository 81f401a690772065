//! The pod identity webhook that EKS runs on every cluster: it gives pods the web identity token of their role.
//!
//! A pod whose service account is annotated with `eks.amazonaws.com/role-arn` gets a projected token volume and the
//! environment variables by which the AWS SDKs find it. Pure: the webhook server looks the service account up and sends
//! what [`patch`] returns. Behaviour as documented by aws/amazon-eks-pod-identity-webhook; Windows paths are left out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

const ANNOTATION: &str = "eks.amazonaws.com/";
const VOLUME: &str = "aws-iam-token";
const MOUNT: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
const DEFAULT_EXPIRATION: u64 = 86_400;
/// The apiserver refuses projected tokens that live shorter.
const LEAST_EXPIRATION: u64 = 600;

/// What the annotations of a service account ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    role_arn: String,
    audience: String,
    expiration: u64,
    regional_sts: bool,
}

impl Identity {
    /// Reads the annotations; `None` if there is no role.
    pub(super) fn from_annotations(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let value = |name: &str| annotations.get(&format!("{ANNOTATION}{name}")).filter(|value| !value.is_empty());
        Some(Self {
            role_arn: value("role-arn")?.clone(),
            audience: value("audience").cloned().unwrap_or_else(|| "sts.amazonaws.com".into()),
            expiration: value("token-expiration")
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or(DEFAULT_EXPIRATION)
                .max(LEAST_EXPIRATION),
            regional_sts: value("sts-regional-endpoints").is_none_or(|regional| regional != "false"),
        })
    }

    fn variables(&self, region: &str) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        if self.regional_sts {
            variables.push(("AWS_STS_REGIONAL_ENDPOINTS", "regional".to_owned()));
        }
        variables.push(("AWS_DEFAULT_REGION", region.to_owned()));
        variables.push(("AWS_REGION", region.to_owned()));
        variables.push(("AWS_ROLE_ARN", self.role_arn.clone()));
        variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", format!("{MOUNT}/token")));
        variables
    }
}

/// The JSON patch that gives `pod` its identity; empty if it has everything already.
pub(super) fn patch(pod: &Value, identity: &Identity, region: &str) -> Vec<Value> {
    let skipped: Vec<&str> = pod["metadata"]["annotations"][format!("{ANNOTATION}skip-containers")]
        .as_str()
        .map(|names| names.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let mut patch = Vec::new();
    for kind in ["containers", "initContainers"] {
        for (index, container) in pod["spec"][kind].as_array().into_iter().flatten().enumerate() {
            if container["name"].as_str().is_some_and(|name| skipped.contains(&name)) {
                continue;
            }
            let parent = format!("/spec/{kind}/{index}");
            let variables: Vec<_> = identity
                .variables(region)
                .into_iter()
                .filter(|(name, _)| !has(&container["env"], "name", name))
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            append(&mut patch, &parent, "env", &container["env"], variables);
            if !has(&container["volumeMounts"], "mountPath", MOUNT) {
                let mount = json!({"name": VOLUME, "mountPath": MOUNT, "readOnly": true});
                append(&mut patch, &parent, "volumeMounts", &container["volumeMounts"], vec![mount]);
            }
        }
    }
    if !has(&pod["spec"]["volumes"], "name", VOLUME) {
        let token = json!({"serviceAccountToken": {
            "audience": identity.audience, "expirationSeconds": identity.expiration, "path": "token",
        }});
        let volume = json!({"name": VOLUME, "projected": {"sources": [token]}});
        append(&mut patch, "/spec", "volumes", &pod["spec"]["volumes"], vec![volume]);
    }
    patch
}

/// Adds elements to a list that may not be there yet: a JSON patch cannot append to nothing.
fn append(patch: &mut Vec<Value>, parent: &str, field: &str, existing: &Value, elements: Vec<Value>) {
    if elements.is_empty() {
        return;
    }
    if existing.is_array() {
        for element in elements {
            patch.push(json!({"op": "add", "path": format!("{parent}/{field}/-"), "value": element}));
        }
    } else {
        patch.push(json!({"op": "add", "path": format!("{parent}/{field}"), "value": elements}));
    }
}

fn has(list: &Value, field: &str, value: &str) -> bool {
    list.as_array().into_iter().flatten().any(|element| element[field] == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(annotations: &[(&str, &str)]) -> Option<Identity> {
        let annotations =
            annotations.iter().map(|(name, value)| (format!("{ANNOTATION}{name}"), (*value).to_owned())).collect();
        Identity::from_annotations(&annotations)
    }

    const ROLE: &str = "arn:aws:iam::111122223333:role/lbc";

    #[test]
    fn a_service_account_without_a_role_is_left_alone() {
        assert_eq!(identity(&[]), None);
        assert_eq!(identity(&[("audience", "x")]), None);
        assert_eq!(identity(&[("role-arn", "")]), None);
    }

    #[test]
    fn annotations_override_the_defaults() {
        let plain = identity(&[("role-arn", ROLE)]).unwrap();
        assert_eq!(
            (plain.audience.as_str(), plain.expiration, plain.regional_sts),
            ("sts.amazonaws.com", 86_400, true)
        );
        let other = identity(&[
            ("role-arn", ROLE),
            ("audience", "mine"),
            ("token-expiration", "60"),
            ("sts-regional-endpoints", "false"),
        ])
        .unwrap();
        assert_eq!((other.audience.as_str(), other.expiration, other.regional_sts), ("mine", 600, false));
    }

    #[test]
    fn a_bare_pod_gets_variables_mount_and_volume() {
        let pod = json!({"spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "b"}]}});
        let patch = patch(&pod, &identity(&[("role-arn", ROLE)]).unwrap(), "eu-west-1");
        let paths: Vec<_> = patch.iter().map(|change| change["path"].as_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "/spec/containers/0/env",
                "/spec/containers/0/volumeMounts",
                "/spec/initContainers/0/env",
                "/spec/initContainers/0/volumeMounts",
                "/spec/volumes"
            ]
        );
        assert!(has(&patch[0]["value"], "value", ROLE));
        assert!(has(&patch[0]["value"], "value", "eu-west-1"));
        assert_eq!(
            patch[4]["value"][0]["projected"]["sources"][0]["serviceAccountToken"]["audience"],
            "sts.amazonaws.com"
        );
    }

    #[test]
    fn what_the_pod_sets_itself_is_kept() {
        let pod = json!({"spec": {
            "containers": [{
                "name": "a",
                "env": [{"name": "AWS_REGION", "value": "us-east-1"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data"}],
        }});
        let patch = patch(&pod, &identity(&[("role-arn", ROLE)]).unwrap(), "eu-west-1");
        assert!(patch.iter().all(|change| change["value"]["name"] != "AWS_REGION"));
        assert!(patch.iter().all(|change| change["path"].as_str().unwrap().ends_with("/-")), "{patch:?}");
        assert_eq!(patch.len(), 6, "four variables, a mount and a volume");
    }

    #[test]
    fn a_second_pass_changes_nothing() {
        let identity = identity(&[("role-arn", ROLE)]).unwrap();
        let env: Vec<_> = identity
            .variables("eu-west-1")
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let pod = json!({"spec": {
            "containers": [{"name": "a", "env": env, "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT}]}],
            "volumes": [{"name": VOLUME}],
        }});
        assert!(patch(&pod, &identity, "eu-west-1").is_empty());
    }

    #[test]
    fn named_containers_can_opt_out() {
        let pod = json!({
            "metadata": {"annotations": {"eks.amazonaws.com/skip-containers": "proxy, other"}},
            "spec": {"containers": [{"name": "proxy"}, {"name": "main"}]},
        });
        let patch = patch(&pod, &identity(&[("role-arn", ROLE)]).unwrap(), "eu-west-1");
        assert!(patch.iter().all(|change| !change["path"].as_str().unwrap().starts_with("/spec/containers/0/")));
        assert!(patch.iter().any(|change| change["path"] == "/spec/containers/1/env"));
    }
}
