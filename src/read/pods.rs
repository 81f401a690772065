//! Running pods of a controller and the identity that they were given when they were admitted: what EKS' webhook put into
//! their environment. Pods keep that for their life, whatever becomes of annotation and association.

use serde_json::Value;

use crate::config::Identity;
use crate::error::Result;
use crate::read::kube::{KubeRead, ObjectRef};

/// Containers that EKS' webhook is told to leave alone.
const SKIPPED: &str = "eks.amazonaws.com/skip-containers";
/// By which the SDKs find the Pod Identity agent.
pub const CONTAINER_CREDENTIALS: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// By which the SDKs find the token that is exchanged for a role.
pub const WEB_IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// The role of that exchange.
pub const ROLE: &str = "AWS_ROLE_ARN";

/// The pods of a Deployment that have not ended and are not just being deleted; none where there is no such Deployment.
///
/// # Errors
/// A read that failed.
pub async fn running(kube: &KubeRead, namespace: &str, deployment: &str) -> Result<Option<Vec<Value>>> {
    let reference = ObjectRef::new("apps/v1", "Deployment", namespace, deployment);
    let Some(deployment) = kube.get(&reference).await? else { return Ok(None) };
    let labels = deployment.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selector: Vec<_> =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    let mut pods = kube.list("v1", "Pod", namespace, &selector.join(",")).await?;
    pods.retain(runs);
    Ok(Some(pods))
}

fn runs(pod: &Value) -> bool {
    let ended = matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
    !ended && pod.pointer("/metadata/deletionTimestamp").is_none()
}

/// What keeps a pod from using its role in this way, such as `no AWS_ROLE_ARN in container manager`.
pub fn trouble(pod: &Value, identity: Identity, role_arn: &str) -> Option<String> {
    let annotation = pod["metadata"]["annotations"][SKIPPED].as_str().unwrap_or_default();
    let skipped: Vec<_> = annotation.split(',').map(str::trim).collect();
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    for container in containers {
        let name = container["name"].as_str().unwrap_or_default();
        if skipped.contains(&name) {
            continue;
        }
        let (wanted, unwanted) = match identity {
            Identity::Irsa => ([ROLE, WEB_IDENTITY].as_slice(), [CONTAINER_CREDENTIALS].as_slice()),
            Identity::PodIdentity => ([CONTAINER_CREDENTIALS].as_slice(), [WEB_IDENTITY, ROLE].as_slice()),
        };
        if let Some(missing) = wanted.iter().find(|wanted| variable(container, wanted).is_none()) {
            return Some(format!("no {missing} in container {name}"));
        }
        if let Some(left) = unwanted.iter().find(|unwanted| variable(container, unwanted).is_some()) {
            return Some(format!("{left} in container {name}"));
        }
        let role = variable(container, ROLE);
        if let Some(role) = role.filter(|role| identity == Identity::Irsa && *role != role_arn) {
            return Some(format!("{ROLE}={role} in container {name}"));
        }
    }
    None
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables.into_iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_way_wants_its_own_variables_and_none_of_the_other() {
        let pod = |names: &[&str]| {
            let env: Vec<_> = names.iter().map(|name| json!({"name": name, "value": "arn:r"})).collect();
            json!({"spec": {"containers": [{"name": "manager", "env": env}]}})
        };
        let irsa = |names: &[&str]| trouble(&pod(names), Identity::Irsa, "arn:r");
        let pods = |names: &[&str]| trouble(&pod(names), Identity::PodIdentity, "arn:r");
        assert_eq!(irsa(&[ROLE, WEB_IDENTITY]), None);
        assert_eq!(irsa(&[]).as_deref(), Some("no AWS_ROLE_ARN in container manager"));
        let both = [ROLE, WEB_IDENTITY, CONTAINER_CREDENTIALS];
        assert_eq!(irsa(&both).as_deref(), Some("AWS_CONTAINER_CREDENTIALS_FULL_URI in container manager"));
        assert_eq!(pods(&both).as_deref(), Some("AWS_WEB_IDENTITY_TOKEN_FILE in container manager"));
        assert_eq!(pods(&[CONTAINER_CREDENTIALS]), None);
        assert_eq!(pods(&[ROLE]).as_deref(), Some("no AWS_CONTAINER_CREDENTIALS_FULL_URI in container manager"));
        let other = trouble(&pod(&[ROLE, WEB_IDENTITY]), Identity::Irsa, "arn:other");
        assert_eq!(other.as_deref(), Some("AWS_ROLE_ARN=arn:r in container manager"));
        let mut skipped = pod(&[]);
        skipped["metadata"]["annotations"] = json!({SKIPPED: "proxy, manager"});
        assert_eq!(trouble(&skipped, Identity::PodIdentity, ""), None);
    }
}
