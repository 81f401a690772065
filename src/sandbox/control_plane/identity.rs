//! The pod identity webhook that EKS runs on every cluster: it gives pods the web identity token of their role.
//!
//! A pod whose service account is annotated with `eks.amazonaws.com/role-arn` gets a projected token volume and the
//! environment variables by which the AWS SDKs find it; one whose service account has a Pod Identity association gets
//! those of the agent. Pure: the webhook server looks both up and sends what [`patch`] returns. Behaviour as documented by aws/amazon-eks-pod-identity-webhook; Windows paths are left out.

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

    /// What a pod gets: the token that is exchanged for the role, and where it is.
    pub(super) fn injection(&self, region: &str) -> Injection {
        let mut variables = Vec::new();
        if self.regional_sts {
            variables.push(("AWS_STS_REGIONAL_ENDPOINTS", "regional".to_owned()));
        }
        variables.push(("AWS_DEFAULT_REGION", region.to_owned()));
        variables.push(("AWS_REGION", region.to_owned()));
        variables.push(("AWS_ROLE_ARN", self.role_arn.clone()));
        variables.push(("AWS_WEB_IDENTITY_TOKEN_FILE", format!("{MOUNT}/token")));
        let (audience, expiration) = (self.audience.clone(), self.expiration);
        Injection { variables, volume: VOLUME, mount: MOUNT, path: "token", audience, expiration }
    }
}

/// What a pod gets for one way to its role.
#[derive(Debug, Clone)]
pub(super) struct Injection {
    variables: Vec<(&'static str, String)>,
    volume: &'static str,
    mount: &'static str,
    path: &'static str,
    audience: String,
    expiration: u64,
}

/// What a pod gets by a Pod Identity association: where the agent of its node answers, and the token that it is shown.
pub(super) fn association(region: &str) -> Injection {
    let path = "eks-pod-identity-token";
    let mount = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
    Injection {
        variables: vec![
            ("AWS_STS_REGIONAL_ENDPOINTS", "regional".to_owned()),
            ("AWS_DEFAULT_REGION", region.to_owned()),
            ("AWS_REGION", region.to_owned()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials".to_owned()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", format!("{mount}/{path}")),
        ],
        volume: path,
        mount,
        path,
        audience: "pods.eks.amazonaws.com".to_owned(),
        expiration: DEFAULT_EXPIRATION,
    }
}

/// The JSON patch that gives `pod` its identity; empty if it has everything already.
pub(super) fn patch(pod: &Value, injections: &[Injection]) -> Vec<Value> {
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
            let all = injections.iter().flat_map(|injection| &injection.variables);
            let mut variables: Vec<Value> = Vec::new();
            for (name, value) in all.filter(|(name, _)| !has(&container["env"], "name", name)) {
                if variables.iter().all(|variable| variable["name"] != *name) {
                    variables.push(json!({"name": name, "value": value}));
                }
            }
            append(&mut patch, &parent, "env", &container["env"], variables);
            let mounts = injections.iter().filter(|one| !has(&container["volumeMounts"], "mountPath", one.mount));
            let mounts =
                mounts.map(|one| json!({"name": one.volume, "mountPath": one.mount, "readOnly": true})).collect();
            append(&mut patch, &parent, "volumeMounts", &container["volumeMounts"], mounts);
        }
    }
    let volumes = injections.iter().filter(|one| !has(&pod["spec"]["volumes"], "name", one.volume)).map(|one| {
        let token = json!({"serviceAccountToken": {
            "audience": one.audience, "expirationSeconds": one.expiration, "path": one.path,
        }});
        json!({"name": one.volume, "projected": {"sources": [token]}})
    });
    append(&mut patch, "/spec", "volumes", &pod["spec"]["volumes"], volumes.collect());
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
        let patch = patch(&pod, &[identity(&[("role-arn", ROLE)]).unwrap().injection("eu-west-1")]);
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
        let patch = patch(&pod, &[identity(&[("role-arn", ROLE)]).unwrap().injection("eu-west-1")]);
        assert!(patch.iter().all(|change| change["value"]["name"] != "AWS_REGION"));
        assert!(patch.iter().all(|change| change["path"].as_str().unwrap().ends_with("/-")), "{patch:?}");
        assert_eq!(patch.len(), 6, "four variables, a mount and a volume");
    }

    #[test]
    fn a_second_pass_changes_nothing() {
        let identity = identity(&[("role-arn", ROLE)]).unwrap();
        let injection = identity.injection("eu-west-1");
        let env: Vec<_> =
            injection.variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let pod = json!({"spec": {
            "containers": [{"name": "a", "env": env, "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT}]}],
            "volumes": [{"name": VOLUME}],
        }});
        assert!(patch(&pod, &[injection]).is_empty());
    }

    #[test]
    fn named_containers_can_opt_out() {
        let pod = json!({
            "metadata": {"annotations": {"eks.amazonaws.com/skip-containers": "proxy, other"}},
            "spec": {"containers": [{"name": "proxy"}, {"name": "main"}]},
        });
        let patch = patch(&pod, &[identity(&[("role-arn", ROLE)]).unwrap().injection("eu-west-1")]);
        assert!(patch.iter().all(|change| !change["path"].as_str().unwrap().starts_with("/spec/containers/0/")));
        assert!(patch.iter().any(|change| change["path"] == "/spec/containers/1/env"));
    }

    #[test]
    fn a_pod_with_both_ways_gets_both_and_shared_variables_once() {
        let pod = json!({"spec": {"containers": [{"name": "a"}]}});
        let both = [identity(&[("role-arn", ROLE)]).unwrap().injection("eu-west-1"), association("eu-west-1")];
        let patch = patch(&pod, &both);
        let names: Vec<_> =
            patch[0]["value"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names.iter().filter(|name| **name == "AWS_REGION").count(), 1);
        assert!(names.contains(&"AWS_ROLE_ARN") && names.contains(&"AWS_CONTAINER_CREDENTIALS_FULL_URI"));
        assert_eq!(patch[1]["value"].as_array().unwrap().len(), 2, "mounts");
        assert_eq!(
            patch[2]["value"][1]["projected"]["sources"][0]["serviceAccountToken"]["audience"],
            "pods.eks.amazonaws.com"
        );
    }
}
