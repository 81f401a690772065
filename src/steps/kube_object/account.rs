//! A service account whose pods would fail although it is there and names its role: called by `kube_object.rs`.

use serde_json::Value;

use super::KubeObjectStep;
use crate::context::ReadContext;
use crate::error::Result;
use crate::read::names;
use crate::service_account::{self, AUTOMOUNT, Harm};

impl KubeObjectStep {
    /// Whether the pods of an account that keeps its token from them ask for it themselves. Workloads are read only then.
    pub(super) async fn mounts(&self, cx: &ReadContext, observed: Option<&Value>) -> Result<bool> {
        let Some(account) = observed.filter(|account| account[AUTOMOUNT] == false) else { return Ok(false) };
        let mut workloads = Vec::new();
        if let Some(component) = &self.runs {
            // Where the release cannot be read, its chart's own names are the best guess; what is not found asks for nothing.
            let component = names::as_installed(&cx.kube, component).await.unwrap_or(*component);
            for workload in component.workloads() {
                workloads.extend(cx.kube.get(&workload).await?);
            }
        }
        Ok(service_account::mounted(account, &workloads))
    }

    pub(super) fn harms(&self, observed: &Value, mounts: bool) -> Vec<Harm> {
        if self.object["kind"] == "ServiceAccount" { service_account::harms(observed, mounts) } else { Vec::new() }
    }
}

/// Says in the wanted object that the token is mounted, where the account says that it is not.
pub(super) fn open(wanted: &mut Value, harms: &[Harm]) {
    if harms.iter().any(|harm| harm.annotation.is_none()) {
        wanted[AUTOMOUNT] = Value::Bool(true);
    }
}

/// What a difference means to the pods.
pub(super) fn explained(reason: String, harms: &[Harm]) -> String {
    match harms.first() {
        Some(harm) => format!("{reason}; {} is {}: {}", harm.path(), harm.value, harm.means),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, step};
    use super::*;
    use crate::op::Op;
    use crate::op::kube::KubeOp;
    use crate::plan::Action;
    use serde_json::json;

    fn closed(managed_by: &str) -> Value {
        let mut account = account(managed_by, "arn:right");
        account[AUTOMOUNT] = json!(false);
        account["imagePullSecrets"] = json!([{"name": "registry"}]);
        account
    }

    #[test]
    fn an_account_that_keeps_its_token_from_its_pods_is_a_difference() {
        let ours = step(false).diff(Some(&closed("eks-bootstrap")), false);
        assert_eq!(ours.action, Action::Update);
        let Op::Kube(KubeOp::Apply { object, force: true }) = &ours.changes[0].op else { panic!("{ours:?}") };
        assert_eq!((&object[AUTOMOUNT], &object["imagePullSecrets"]), (&json!(true), &Value::Null));
        let field = &ours.changes[0].fields[0];
        assert_eq!((field.path.as_str(), field.before.as_deref()), (AUTOMOUNT, Some("false")));

        let foreign = step(false).diff(Some(&closed("terraform")), false);
        assert_eq!(foreign.action, Action::Blocked);
        assert!(foreign.reason.contains("get no token for the API server"), "{}", foreign.reason);
        assert_eq!(foreign.mend.as_deref(), Some("--adopt k8s.service-account.lbc"));
        let adopted = step(true).diff(Some(&closed("terraform")), false);
        let Op::Kube(KubeOp::Apply { object, .. }) = &adopted.changes[0].op else { panic!("{adopted:?}") };
        assert_eq!(object[AUTOMOUNT], true);

        // Pods that ask for it themselves get it.
        assert_eq!(step(false).diff(Some(&closed("terraform")), true).action, Action::Keep);
        assert_eq!(step(false).diff(Some(&closed("eks-bootstrap")), true).action, Action::Keep);
    }

    #[test]
    fn annotations_that_break_the_token_go() {
        let with = |managed_by: &str| {
            let mut account = account(managed_by, "arn:right");
            account["metadata"]["annotations"]["eks.amazonaws.com/audience"] = json!("vault");
            account["metadata"]["annotations"]["eks.amazonaws.com/sts-regional-endpoints"] = json!("true");
            account
        };
        let ours = step(false).diff(Some(&with("eks-bootstrap")), false);
        let paths: Vec<_> = ours.changes.iter().flat_map(|change| &change.fields).map(|field| &field.path).collect();
        assert_eq!(paths, ["metadata.annotations.eks.amazonaws.com/audience"]);
        assert_eq!(ours.changes[0].op.call(), "k8s:patch ServiceAccount");
        let foreign = step(false).diff(Some(&with("terraform")), false);
        assert!(foreign.action == Action::Blocked && foreign.reason.contains("another audience"), "{foreign:?}");
    }
}
