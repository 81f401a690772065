//! Whether the accounts of a component's pods leave them their tokens: the API server's own and the one for AWS.

use futures::future::try_join_all;
use serde_json::Value;

use super::{Identity, TOKEN, account};
use crate::check::Finding;
use crate::checks::workload;
use crate::component::{Component, ServiceAccountMaker};
use crate::context::ReadContext;
use crate::error::Result;
use crate::object::name;
use crate::read::kube::ObjectRef;
use crate::service_account;

/// The workloads of a component and the accounts that they name, as far as they exist.
pub(super) struct Accounts {
    workloads: Vec<Value>,
    accounts: Vec<Value>,
}

/// Reads them.
pub(super) async fn read(cx: &ReadContext, component: &Component) -> Result<Accounts> {
    let workloads = workload::workloads(component);
    let workloads = try_join_all(workloads.iter().map(|workload| cx.kube.get(workload))).await?;
    let workloads: Vec<_> = workloads.into_iter().flatten().collect();
    let mut names: Vec<_> = workloads.iter().map(service_account::of_workload).collect();
    names.sort_unstable();
    names.dedup();
    let addresses = names.into_iter().map(|name| ObjectRef::new("v1", "ServiceAccount", component.namespace, name));
    let accounts = try_join_all(addresses.map(|account| async move { cx.kube.get(&account).await })).await?;
    let accounts = accounts.into_iter().flatten().collect();
    Ok(Accounts { workloads, accounts })
}

pub(super) fn finding(identity: &Identity, found: &Result<Accounts>) -> Finding {
    let found = match found {
        Ok(found) => found,
        Err(error) => return TOKEN.unread(error),
    };
    if found.accounts.is_empty() {
        return TOKEN.skipped("no workload with an account exists");
    }
    let harmed = found.accounts.iter().find_map(|account| {
        let mounts = service_account::mounted(account, &found.workloads);
        Some((account, service_account::harms(account, mounts).into_iter().next()?))
    });
    let Some((account, harm)) = harmed else {
        let names: Vec<_> = found.accounts.iter().map(name).collect();
        return TOKEN.passed(format!("{} leaves its pods their tokens", names.join(", ")));
    };
    let path = harm.path();
    let expected = harm.annotation.map_or_else(|| format!("{path}: true, or none"), |_| format!("no {path}"));
    TOKEN.failed(
        format!("service account {}: {}", name(account), harm.means),
        format!("{path}: {}", harm.value),
        expected,
        mend(identity, account),
    )
}

fn mend(identity: &Identity, account: &Value) -> String {
    let by_us = identity.component.service_account_maker == ServiceAccountMaker::Us;
    if by_us && name(account) == identity.component.service_account {
        return account::apply(identity, account);
    }
    identity.apply(&[identity.installer])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::checks::irsa::tests::identity;
    use serde_json::json;

    #[test]
    fn a_closed_account_is_named_with_what_its_pods_miss() {
        let found = |account: &Value, pods: &Value| {
            let workloads = vec![json!({"spec": {"template": {"spec": pods}}})];
            finding(&identity(), &Ok(Accounts { workloads, accounts: vec![account.clone()] }))
        };
        let named = identity().component.service_account;
        let pods = json!({"serviceAccountName": named});
        let mut account = json!({"metadata": {"name": named}});
        assert_eq!(found(&account, &pods).verdict, Verdict::Passed);
        account["automountServiceAccountToken"] = json!(false);
        let closed = found(&account, &pods);
        assert_eq!(closed.severity(), Some(Severity::Error));
        let Verdict::Failed { observed, mend, .. } = &closed.verdict else { panic!("{closed:?}") };
        assert_eq!(observed, "automountServiceAccountToken: false");
        assert_eq!(mend, "eks-bootstrap apply --only k8s.service-account.lbc --adopt k8s.service-account.lbc");
        let open = json!({"serviceAccountName": named, "automountServiceAccountToken": true});
        assert_eq!(found(&account, &open).verdict, Verdict::Passed);
        assert!(matches!(
            finding(&identity(), &Ok(Accounts { workloads: vec![], accounts: vec![] })).verdict,
            Verdict::Skipped { .. }
        ));
    }
}
