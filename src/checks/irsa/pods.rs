//! What running pods were really given when they were admitted.

use serde_json::Value;

use super::{CARRIES, Identity, REGION, RUNS_AS};
use crate::check::{Check, Finding};
use crate::component::Component;
use crate::context::ReadContext;
use crate::error::Result;
use crate::object::{items, text};
use crate::policy::AUDIENCE;
use crate::read::kube::ObjectRef;

/// Containers that EKS' webhook is told to leave alone.
const SKIPPED: &str = "eks.amazonaws.com/skip-containers";

/// The controller's Deployment and its running pods.
pub(super) struct Workload {
    deployment: Value,
    pods: Vec<Value>,
}

/// Reads them; none where the Deployment does not exist.
pub(super) async fn read(cx: &ReadContext, component: &Component) -> Result<Option<Workload>> {
    let Some(name) = component.deployment() else { return Ok(None) };
    let reference = ObjectRef::new("apps/v1", "Deployment", component.namespace, name);
    let Some(deployment) = cx.kube.get(&reference).await? else { return Ok(None) };
    let labels = deployment.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selector: Vec<_> =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    let mut pods = cx.kube.list("v1", "Pod", component.namespace, &selector.join(",")).await?;
    pods.retain(runs);
    Ok(Some(Workload { deployment, pods }))
}

fn runs(pod: &Value) -> bool {
    let ended = matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
    !ended && pod.pointer("/metadata/deletionTimestamp").is_none()
}

/// The workload, or what a check without one says.
fn workload<'a>(check: &'static Check, workload: &'a Result<Option<Workload>>) -> Result<&'a Workload, Box<Finding>> {
    match workload {
        Ok(Some(workload)) => Ok(workload),
        Ok(None) => Err(Box::new(check.skipped("the Deployment does not exist"))),
        Err(error) => Err(Box::new(check.unread(error))),
    }
}

pub(super) fn carry(identity: &Identity, found: &Result<Option<Workload>>) -> Finding {
    let pods = match workload(CARRIES, found) {
        Ok(workload) => &workload.pods,
        Err(finding) => return *finding,
    };
    if pods.is_empty() {
        return CARRIES.skipped("no pods run");
    }
    let troubled: Vec<_> = pods.iter().filter_map(|pod| Some((pod, trouble(pod, &identity.role_arn)?))).collect();
    let Some((pod, (observed, expected))) = troubled.first() else {
        return CARRIES.passed(format!("{} running pods carry the role", pods.len()));
    };
    CARRIES.failed(
        format!("{} of {} running pods do not carry their role", troubled.len(), pods.len()),
        format!("pod {}: {observed}", text(pod, "/metadata/name")),
        expected.clone(),
        format!("kubectl rollout restart deployment/{} -n {}", deployment(identity), identity.component.namespace),
    )
}

/// What a pod lacks, and what it should have.
fn trouble(pod: &Value, role_arn: &str) -> Option<(String, String)> {
    let annotation = pod["metadata"]["annotations"][SKIPPED].as_str().unwrap_or_default();
    let skipped: Vec<_> = annotation.split(',').map(str::trim).collect();
    for container in items(pod, "/spec/containers") {
        let name = text(container, "/name");
        if skipped.contains(&name) {
            continue;
        }
        match variable(container, "AWS_ROLE_ARN") {
            Some(arn) if arn == role_arn => {}
            Some(arn) => {
                return Some((format!("AWS_ROLE_ARN={arn} in container {name}"), format!("AWS_ROLE_ARN={role_arn}")));
            }
            None => {
                return Some((format!("no AWS_ROLE_ARN in container {name}"), format!("AWS_ROLE_ARN={role_arn}")));
            }
        }
        if variable(container, "AWS_WEB_IDENTITY_TOKEN_FILE").is_none() {
            let observed = format!("no AWS_WEB_IDENTITY_TOKEN_FILE in container {name}");
            return Some((observed, "the path of the token".to_owned()));
        }
    }
    let audiences: Vec<_> = items(pod, "/spec/volumes")
        .flat_map(|volume| items(volume, "/projected/sources"))
        .filter_map(|source| source.pointer("/serviceAccountToken/audience").and_then(Value::as_str))
        .collect();
    if audiences.contains(&AUDIENCE) {
        return None;
    }
    let observed = if audiences.is_empty() { "no token volume".to_owned() } else { audiences.join(", ") };
    Some((observed, format!("a token volume with the audience {AUDIENCE}")))
}

pub(super) fn run_as(identity: &Identity, found: &Result<Option<Workload>>) -> Finding {
    let template = match workload(RUNS_AS, found) {
        Ok(workload) => &workload.deployment,
        Err(finding) => return *finding,
    };
    let wanted = identity.component.service_account;
    let observed = template.pointer("/spec/template/spec/serviceAccountName").and_then(Value::as_str);
    let observed = observed.filter(|name| !name.is_empty()).unwrap_or("default");
    if observed == wanted {
        return RUNS_AS.passed(format!("the controller runs as {wanted}"));
    }
    RUNS_AS.failed(
        "the controller runs as another service account",
        observed,
        wanted,
        format!(
            "kubectl set serviceaccount deployment/{} {wanted} -n {}",
            deployment(identity),
            identity.component.namespace
        ),
    )
}

pub(super) fn region(identity: &Identity, found: &Result<Option<Workload>>) -> Finding {
    let pods = match workload(REGION, found) {
        Ok(workload) => &workload.pods,
        Err(finding) => return *finding,
    };
    let regions = pods.iter().flat_map(|pod| items(pod, "/spec/containers")).filter_map(|container| {
        let region = variable(container, "AWS_REGION")?;
        (region != identity.region).then(|| format!("AWS_REGION={region} in container {}", text(container, "/name")))
    });
    match regions.into_iter().next() {
        _ if pods.is_empty() => REGION.skipped("no pods run"),
        None => REGION.passed(format!("no running pod names a region but {}", identity.region)),
        Some(observed) => REGION.failed(
            "running pods ask AWS in another region",
            observed,
            format!("AWS_REGION={}", identity.region),
            format!(
                "kubectl set env deployment/{} -n {} AWS_REGION={}",
                deployment(identity),
                identity.component.namespace,
                identity.region
            ),
        ),
    }
}

fn deployment(identity: &Identity) -> &'static str {
    identity.component.deployment().unwrap_or_default()
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    items(container, "/env").find(|variable| variable["name"] == name)?["value"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;
    use crate::checks::irsa::tests::identity;
    use serde_json::json;

    const ROLE: &str = "arn:aws:iam::111122223333:role/r";

    fn pod(env: &Value, audience: &str) -> Value {
        let volume = json!({"projected": {"sources": [{"serviceAccountToken": {"audience": audience}}]}});
        json!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "main", "env": env}, {"name": "proxy"}],
            "volumes": [volume],
        }})
    }

    fn admitted(mut pod: Value) -> Value {
        pod["metadata"]["annotations"] = json!({SKIPPED: "other, proxy"});
        pod
    }

    #[test]
    fn what_a_pod_lacks_is_named() {
        let env =
            json!([{"name": "AWS_ROLE_ARN", "value": ROLE}, {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "f"}]);
        let observed = |pod: &Value| trouble(pod, ROLE).map(|(observed, _)| observed);
        assert_eq!(observed(&admitted(pod(&env, AUDIENCE))), None);
        assert_eq!(observed(&pod(&env, AUDIENCE)).as_deref(), Some("no AWS_ROLE_ARN in container proxy"));
        assert_eq!(observed(&admitted(pod(&env, "x"))).as_deref(), Some("x"));
        let only = json!([{"name": "AWS_ROLE_ARN", "value": ROLE}]);
        let lacks = observed(&admitted(pod(&only, AUDIENCE)));
        assert_eq!(lacks.as_deref(), Some("no AWS_WEB_IDENTITY_TOKEN_FILE in container main"));
        let other = json!([{"name": "AWS_ROLE_ARN", "value": "arn:old"}]);
        let differs = observed(&admitted(pod(&other, AUDIENCE)));
        assert_eq!(differs.as_deref(), Some("AWS_ROLE_ARN=arn:old in container main"));
    }

    #[test]
    fn another_account_and_another_region_are_found() {
        let deployment = json!({"spec": {"template": {"spec": {"serviceAccountName": ""}}}});
        let env = json!([{"name": "AWS_REGION", "value": "us-east-1"}]);
        let found = Ok(Some(Workload { deployment, pods: vec![pod(&env, AUDIENCE)] }));
        let finding = run_as(&identity(), &found);
        assert_eq!(finding.severity(), Some(Severity::Error));
        assert_eq!(region(&identity(), &found).severity(), Some(Severity::Warning));
        let ended = json!({"status": {"phase": "Failed"}});
        assert!(!runs(&ended) && runs(&json!({"status": {"phase": "Pending"}})));
    }
}
