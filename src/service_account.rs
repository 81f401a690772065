//! What in a service account makes its pods fail although the account is there and names the right role. Pure; asked by the
//! steps that look after accounts and by the checks.
//!
//! Pods run with the account's word unless their own says otherwise:
//! <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting>.
//! The annotations are those that EKS' webhook and the API server's admission read.

use serde_json::Value;

use crate::object::{annotation, name, text};
use crate::policy::AUDIENCE;
use crate::steps::catalogue::ROLE_ANNOTATION;

/// The field by which an account keeps the API server's token from its pods.
pub(crate) const AUTOMOUNT: &str = "automountServiceAccountToken";

/// The longest life that the API server accepts for a token in a pod.
/// <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/>
const LONGEST_LIFE: i64 = 1 << 32;

/// Something in an account that makes its pods fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Harm {
    /// The annotation; none for [`AUTOMOUNT`].
    pub(crate) annotation: Option<&'static str>,
    /// What stands there.
    pub(crate) value: String,
    /// What comes of it.
    pub(crate) means: &'static str,
}

impl Harm {
    /// Where it stands in the object.
    pub(crate) fn path(&self) -> String {
        self.annotation.map_or_else(|| AUTOMOUNT.to_owned(), |name| format!("metadata.annotations.{name}"))
    }
}

/// An annotation of others: its name, whether it only matters to pods with a role, whether a value harms, and how.
type Row = (&'static str, bool, fn(&str) -> bool, &'static str);

/// Values that the webhook ignores or corrects (a life below 600 s, one that is no number, any word for regional endpoints)
/// are not among them.
const ANNOTATIONS: [Row; 3] = [
    (
        "eks.amazonaws.com/audience",
        true,
        |audience| audience != AUDIENCE,
        "AWS refuses the pods' tokens, which are for another audience",
    ),
    (
        "eks.amazonaws.com/token-expiration",
        true,
        |seconds| seconds.trim().parse::<i64>().is_ok_and(|seconds| seconds > LONGEST_LIFE),
        "the API server refuses its pods, whose tokens would live too long",
    ),
    (
        "kubernetes.io/enforce-mountable-secrets",
        false,
        |enforced| enforced == "true",
        "the API server refuses its pods, which use Secrets that the account does not list",
    ),
];

/// Everything in an account that harms; `mounts` says that its pods ask for the token themselves.
pub(crate) fn harms(account: &Value, mounts: bool) -> Vec<Harm> {
    let mut harms = Vec::new();
    if account[AUTOMOUNT] == false && !mounts {
        let means = "its pods get no token for the API server";
        harms.push(Harm { annotation: None, value: "false".to_owned(), means });
    }
    let has_role = annotation(account, ROLE_ANNOTATION).is_some();
    for (name, of_role, harmful, means) in ANNOTATIONS {
        if let Some(value) = annotation(account, name).filter(|value| (has_role || !of_role) && harmful(value)) {
            harms.push(Harm { annotation: Some(name), value: value.to_owned(), means });
        }
    }
    harms
}

/// The name of the account that a workload's pods run as.
pub(crate) fn of_workload(workload: &Value) -> &str {
    match text(workload, "/spec/template/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
}

/// Whether the pods of all these workloads that run as the account ask for the token themselves.
pub(crate) fn mounted<'a>(account: &Value, workloads: impl IntoIterator<Item = &'a Value>) -> bool {
    let mut own = workloads
        .into_iter()
        .filter(|workload| of_workload(workload) == name(account))
        .map(|workload| {
            workload.pointer("/spec/template/spec/automountServiceAccountToken") == Some(&Value::Bool(true))
        })
        .peekable();
    own.peek().is_some() && own.all(|mounts| mounts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn account(annotations: &Value) -> Value {
        let mut account = json!({"metadata": {"name": "a", "annotations": annotations}});
        account["metadata"]["annotations"][ROLE_ANNOTATION] = json!("arn:r");
        account
    }

    #[test]
    fn what_harms_is_told_from_what_does_not() {
        let cases = [
            ("eks.amazonaws.com/audience", "sts.amazonaws.com", false),
            ("eks.amazonaws.com/audience", "vault", true),
            ("eks.amazonaws.com/token-expiration", "86400", false),
            ("eks.amazonaws.com/token-expiration", "10", false),
            ("eks.amazonaws.com/token-expiration", "a day", false),
            ("eks.amazonaws.com/token-expiration", "99999999999", true),
            ("eks.amazonaws.com/sts-regional-endpoints", "true", false),
            ("eks.amazonaws.com/sts-regional-endpoints", "false", false),
            ("kubernetes.io/enforce-mountable-secrets", "true", true),
            ("kubernetes.io/enforce-mountable-secrets", "false", false),
        ];
        for (name, value, harmful) in cases {
            let found = harms(&account(&json!({name: value})), false);
            assert_eq!(found.len(), usize::from(harmful), "{name}={value}: {found:?}");
            assert!(found.iter().all(|harm| harm.path() == format!("metadata.annotations.{name}")));
        }
        // Without a role the webhook leaves the pods alone.
        let bare = json!({"metadata": {"name": "a", "annotations": {"eks.amazonaws.com/audience": "vault"}}});
        assert_eq!(harms(&bare, false), []);
    }

    #[test]
    fn pods_may_ask_for_the_token_that_their_account_keeps_from_them() {
        let workload = |account: &str, mounts: Option<bool>| {
            let mut spec = json!({"serviceAccountName": account});
            if let Some(mounts) = mounts {
                spec[AUTOMOUNT] = json!(mounts);
            }
            json!({"spec": {"template": {"spec": spec}}})
        };
        let mut closed = account(&json!({}));
        closed[AUTOMOUNT] = json!(false);
        let harmed = |workloads: &[Value]| !harms(&closed, mounted(&closed, workloads)).is_empty();
        assert!(harmed(&[]));
        assert!(harmed(&[workload("a", None)]));
        assert!(harmed(&[workload("a", Some(false))]));
        assert!(!harmed(&[workload("a", Some(true))]));
        assert!(harmed(&[workload("a", Some(true)), workload("a", None)]));
        assert!(!harmed(&[workload("a", Some(true)), workload("b", None)]));
        assert!(harmed(&[workload("b", Some(true))]));
        closed[AUTOMOUNT] = json!(true);
        assert_eq!(harms(&closed, false), []);
    }
}
