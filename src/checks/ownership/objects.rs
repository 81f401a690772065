//! Whom the single objects of a component belong to.

use serde_json::Value;

use super::{Installation, MARKED};
use crate::check::Finding;
use crate::component::ServiceAccountMaker;
use crate::owner::{self, MANAGED_BY_LABEL, Owner};
use crate::read::kube::ObjectRef;
use crate::read::other_manager::OtherManager;
use crate::steps::catalogue::ROLE_ANNOTATION;

pub(super) fn marked(installation: &Installation) -> Finding {
    let objects = match &installation.objects {
        Ok(objects) => objects,
        Err(error) => return MARKED.unread(error),
    };
    let (accounts, others): (Vec<_>, Vec<_>) = objects.iter().partition(|object| is_our_account(installation, object));
    if let Some(finding) = accounts.first().and_then(|account| of_account(installation, account)) {
        return finding;
    }
    if installation.has_addon() {
        return MARKED.skipped("an EKS add-on looks after them");
    }
    match installation.release() {
        None => without_release(installation, &others),
        Some(_) => of_release(installation, &others),
    }
}

/// The service account that we make, not the chart.
fn is_our_account(installation: &Installation, object: &Value) -> bool {
    installation.component.service_account_maker == ServiceAccountMaker::Us && object["kind"] == "ServiceAccount"
}

/// Nothing where the account is ours, or another tool's and fit to be used as it is.
fn of_account(installation: &Installation, account: &Value) -> Option<Finding> {
    let owner = owner::of_object(account);
    let role = account["metadata"]["annotations"][ROLE_ANNOTATION].as_str();
    if owner.is_ours() || role == Some(&installation.role_arn) {
        return None;
    }
    let short = installation.component.short;
    Some(MARKED.failed(
        format!("the service account belongs to {owner} and does not fit"),
        format!("{}, role {}", ObjectRef::of(account), role.unwrap_or("none")),
        format!("ours, or with role {}", installation.role_arn),
        format!("eks-bootstrap apply --only k8s.service-account.{short} --adopt k8s.service-account.{short}"),
    ))
}

fn without_release(installation: &Installation, objects: &[&Value]) -> Finding {
    let Some(first) = objects.first() else { return MARKED.passed("none of its objects exists yet") };
    let owner = owner::of_object(first);
    let by = match (installation.others.as_slice(), owner::helm_release(first)) {
        ([], Some(release)) if release == installation.release_name() => {
            format!("Helm release {release}, whose record is gone")
        }
        ([], _) => owner.to_string(),
        (others, _) => others.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
    };
    let more = if objects.len() > 1 { format!(" and {} more", objects.len() - 1) } else { String::new() };
    let short = installation.component.short;
    let mend = match &owner {
        // Its manager would put them back.
        Owner::EksAddon if installation.by_eks => {
            super::super::apply_only(&installation.component, &[installation.installer])
        }
        Owner::EksAddon => format!("eks-bootstrap apply --disable {}", installation.component.name),
        // Whoever applies them again and again has to stop first.
        _ if installation.others.iter().any(OtherManager::reconciles) => {
            format!("eks-bootstrap apply --disable {}", installation.component.name)
        }
        _ => format!("eks-bootstrap apply --adopt {}.{short}", installation.installer),
    };
    MARKED.failed(
        format!("its objects exist without its release, owned by {by}"),
        format!("{}{more}", ObjectRef::of(first)),
        format!("none, or objects of release {}", installation.release_name()),
        mend,
    )
}

fn of_release(installation: &Installation, objects: &[&Value]) -> Finding {
    let release = installation.release_name();
    // The manager's label counts as well: helm refuses objects that lack it.
    let fits = |object: &&&Value| {
        owner::helm_release(object).as_ref() == Some(&release)
            && object["metadata"]["labels"][MANAGED_BY_LABEL] == "Helm"
    };
    let Some(first) = objects.iter().find(|object| !fits(object)) else {
        let second = installation.others.iter().find(|other| other.has_record() || other.reconciles());
        if let Some(other) = second {
            let says = if other.has_record() { "its release has two records" } else { "two managers keep its objects" };
            return MARKED.failed(
                says,
                format!("release {release}, and {other}"),
                "one manager",
                if other.reconciles() { other.stop() } else { other.forget() },
            );
        }
        return MARKED.passed(format!("they belong to release {release}"));
    };
    let reference = ObjectRef::of(first);
    let label = first["metadata"]["labels"][MANAGED_BY_LABEL].as_str().unwrap_or("nothing");
    let place = reference.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    let target = format!("{} {}", reference.kind.to_lowercase(), reference.name);
    MARKED.failed(
        format!("{} of the release belongs to {}", reference.kind, owner::of_object(first)),
        format!("{reference}: {MANAGED_BY_LABEL}={label}"),
        format!("{MANAGED_BY_LABEL}=Helm, release {release}"),
        format!(
            "kubectl label {target}{place} {MANAGED_BY_LABEL}=Helm --overwrite && kubectl annotate {target}{place} \
             meta.helm.sh/release-name={} meta.helm.sh/release-namespace={} --overwrite",
            installation.component.name, installation.component.namespace
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{installation, release};
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::component::{EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};
    use serde_json::json;

    fn object(kind: &str, managed_by: &str, release: Option<&str>) -> Value {
        let annotations = release.map_or(
            json!({}),
            |release| json!({"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "kube-system"}),
        );
        json!({"apiVersion": "v1", "kind": kind, "metadata": {
            "name": "n", "labels": {MANAGED_BY_LABEL: managed_by}, "annotations": annotations}})
    }

    #[test]
    fn objects_of_a_release_carry_its_marks() {
        let found = |object: Value| {
            marked(&Installation {
                history: Ok(vec![release("deployed", true)]),
                objects: Ok(vec![object]),
                ..installation(&EBS_CSI_DRIVER)
            })
        };
        assert_eq!(found(object("CSIDriver", "Helm", Some("aws-ebs-csi-driver"))).verdict, Verdict::Passed);
        for other in [object("CSIDriver", "EKS", Some("aws-ebs-csi-driver")), object("CSIDriver", "Helm", Some("x"))] {
            let finding = found(other);
            let Verdict::Failed { mend, .. } = &finding.verdict else { panic!("{finding:?}") };
            assert!(mend.starts_with("kubectl label csidriver n app.kubernetes.io/managed-by=Helm"), "{mend}");
        }
    }

    #[test]
    fn what_is_in_the_way_is_adopted_unless_an_addon_keeps_it() {
        let mend =
            |object: Value| match marked(&Installation { objects: Ok(vec![object]), ..installation(&EBS_CSI_DRIVER) })
                .verdict
            {
                Verdict::Failed { mend, .. } => mend,
                other => panic!("{other:?}"),
            };
        assert_eq!(mend(object("ServiceAccount", "eksctl", None)), "eks-bootstrap apply --adopt helm.ebs");
        assert_eq!(mend(object("CSIDriver", "EKS", None)), "eks-bootstrap apply --disable aws-ebs-csi-driver");
    }

    #[test]
    fn a_second_record_of_the_release_is_named() {
        let other = |stopped: bool| {
            let labels = json!({"helm.toolkit.fluxcd.io/name": "ebs", "helm.toolkit.fluxcd.io/namespace": "flux-system",
                MANAGED_BY_LABEL: "Helm"});
            let mut object = object("CSIDriver", "Helm", Some("aws-ebs-csi-driver"));
            object["metadata"]["labels"] = labels;
            let other = OtherManager::example(&object, "aws-ebs-csi-driver 2.64.0, deployed", stopped);
            (object, other)
        };
        let found = |history: Vec<crate::read::release::Release>, stopped: bool| {
            let (object, other) = other(stopped);
            let with = Installation { history: Ok(history), ..installation(&EBS_CSI_DRIVER) };
            marked(&Installation { objects: Ok(vec![object]), others: vec![other], ..with })
        };
        let two = found(vec![release("deployed", true)], false);
        let Verdict::Failed { observed, mend, .. } = &two.verdict else { panic!("{two:?}") };
        assert_eq!(two.says, "its release has two records");
        assert!(
            observed.contains("kube-system/aws-ebs-csi-driver, and Flux (HelmRelease flux-system/ebs)"),
            "{observed}"
        );
        assert_eq!(mend, "flux suspend helmrelease ebs -n flux-system");
        let stopped = found(vec![release("deployed", true)], true);
        let Verdict::Failed { mend, .. } = &stopped.verdict else { panic!("{stopped:?}") };
        assert_eq!(mend, "kubectl delete secret -n flux-system -l owner=helm,name=aws-ebs-csi-driver");
        // Before it is adopted: the user's own release is never to be uninstalled.
        let alone = found(vec![], false);
        let Verdict::Failed { mend, .. } = &alone.verdict else { panic!("{alone:?}") };
        assert_eq!(mend, "eks-bootstrap apply --disable aws-ebs-csi-driver");
        assert!(alone.says.contains("Flux (HelmRelease flux-system/ebs)"), "{}", alone.says);
    }

    #[test]
    fn an_account_of_another_tool_is_used_where_it_fits() {
        let found = |role: &str| {
            let mut account = object("ServiceAccount", "eksctl", None);
            account["metadata"]["annotations"] = json!({ROLE_ANNOTATION: role});
            marked(&Installation { objects: Ok(vec![account]), ..installation(&LOAD_BALANCER_CONTROLLER) })
        };
        assert_eq!(found("arn:aws:iam::111122223333:role/r").severity(), None);
        let clash = found("arn:aws:iam::111122223333:role/eksctl");
        assert_eq!(clash.severity(), Some(Severity::Error));
        assert!(clash.says.contains("eksctl"), "{}", clash.says);
    }
}
