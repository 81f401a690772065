//! One manager for a component, and one installation of it.

use serde_json::Value;

use super::{Installation, NAME_LABEL, ONCE, ONE_MANAGER};
use crate::check::Finding;
use crate::checks::workload;
use crate::error::Result;
use crate::owner;

pub(super) fn one(installation: &Installation) -> Finding {
    let component = &installation.component;
    let Some(name) = component.addon else { return ONE_MANAGER.passed("no EKS add-on installs it") };
    let addon = match &installation.addon {
        Ok(Some(addon)) => addon,
        Ok(None) => return ONE_MANAGER.passed(format!("the add-on {name} is not installed")),
        Err(error) => return ONE_MANAGER.unread(error),
    };
    if let Err(error) = &installation.history {
        return ONE_MANAGER.unread(error);
    }
    match installation.release() {
        Some(release) if installation.by_eks => ONE_MANAGER.failed(
            "an EKS add-on and a helm release both install it",
            format!("release {} ({}) beside add-on {name}", installation.release_name(), release.status),
            format!("only add-on {} ({})", addon.version, addon.status),
            leave_to_one(installation, name),
        ),
        Some(release) => ONE_MANAGER.failed(
            "an EKS add-on and a helm release both install it",
            format!("add-on {} ({}) and release {}", addon.version, addon.status, installation.release_name()),
            format!("only release {} ({} {})", installation.release_name(), release.chart, release.chart_version),
            format!("aws eks delete-addon --cluster-name {} --addon-name {name} --preserve", installation.cluster),
        ),
        None if addon.role_arn == installation.addon_role => {
            ONE_MANAGER.passed(format!("installed as an EKS add-on {}, used as it is", addon.version))
        }
        None => ONE_MANAGER.failed(
            "an EKS add-on installs it, with another role",
            addon.role_arn.clone().unwrap_or_else(|| "no role".to_owned()),
            installation.addon_role.clone().unwrap_or_else(|| "no role: its pods use EKS Pod Identity".to_owned()),
            match (&addon.role_arn, &installation.addon_role) {
                _ if installation.by_eks => super::super::apply_only(component, &[installation.installer]),
                (Some(_), None) => format!("eks-bootstrap apply --only eks.addon.{}", component.short),
                (Some(arn), Some(_)) => format!("eks-bootstrap apply --{}-role-arn {arn}", component.short),
                (None, _) => format!("eks-bootstrap apply --disable {}", component.name),
            },
        ),
    }
}

/// A release of ours goes with its objects, and EKS makes them again. One of somebody else stays: the add-on goes without its
/// objects, which are the release's then.
fn leave_to_one(installation: &Installation, addon: &str) -> String {
    let component = &installation.component;
    let apply = super::super::apply_only(component, &[installation.installer]);
    if !installation.is_ours() {
        return format!(
            "aws eks delete-addon --cluster-name {} --addon-name {addon} --preserve && eks-bootstrap apply \
             --{}-managed-by helm --adopt helm.{}",
            installation.cluster, component.flag, component.short
        );
    }
    let destroy = format!("eks-bootstrap destroy --cluster {} --only helm.{}", installation.cluster, component.short);
    format!("{destroy} && {apply}")
}

pub(super) fn once(installation: &Installation, deployments: &Result<Vec<Value>>) -> Finding {
    let deployments = match deployments {
        Ok(deployments) => deployments,
        Err(error) => return ONCE.unread(error),
    };
    let component = &installation.component;
    let text = |object: &Value, pointer: &str| -> String {
        object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let other = deployments.iter().find(|deployment| {
        let label = deployment["metadata"]["labels"][NAME_LABEL].as_str().unwrap_or_default();
        let (namespace, name) = (text(deployment, "/metadata/namespace"), text(deployment, "/metadata/name"));
        let named = namespace == component.namespace && Some(name.as_str()) == component.deployment();
        let ours = named || workload::is_of_release(deployment, component);
        (label == component.name && !ours) || component.predecessors.contains(&label)
    });
    let Some(other) = other else { return ONCE.passed("nothing else in the cluster does the same") };
    let (namespace, name) = (text(other, "/metadata/namespace"), text(other, "/metadata/name"));
    let owner = owner::of_object(other);
    let label = other["metadata"]["labels"][NAME_LABEL].as_str().unwrap_or_default();
    let says = if label == component.name { "it is installed twice" } else { "its predecessor still runs" };
    ONCE.failed(
        says,
        format!("Deployment/{namespace}/{name}, owned by {owner}"),
        format!("only release {}", installation.release_name()),
        workload::removal(other),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{installation, release};
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::component::{EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};
    use crate::read::eks::Addon;
    use serde_json::json;

    #[test]
    fn an_addon_is_fine_alone_and_with_the_right_role() {
        let addon = |role: Option<&str>| {
            Ok(Some(Addon {
                version: "v1".to_owned(),
                status: "ACTIVE".to_owned(),
                role_arn: role.map(ToOwned::to_owned),
                ..Addon::default()
            }))
        };
        let mut alone = installation(&EBS_CSI_DRIVER);
        assert_eq!(one(&alone).verdict, Verdict::Passed);
        alone.addon = addon(Some("arn:aws:iam::111122223333:role/r"));
        assert_eq!(one(&alone).verdict, Verdict::Passed);
        alone.addon = addon(Some("arn:other"));
        assert_eq!(one(&alone).severity(), Some(Severity::Error));
        // With EKS Pod Identity no role is named, and one that is would have no effect beside the association.
        let by_association = Installation { addon_role: None, ..installation(&EBS_CSI_DRIVER) };
        assert_eq!(one(&Installation { addon: addon(None), ..by_association }).verdict, Verdict::Passed);
        let by_association = Installation { addon_role: None, ..installation(&EBS_CSI_DRIVER) };
        let stale = one(&Installation { addon: addon(Some("arn:other")), ..by_association });
        let Verdict::Failed { mend, .. } = stale.verdict else { panic!("{stale:?}") };
        assert_eq!(mend, "eks-bootstrap apply --only eks.addon.ebs");
        alone.history = Ok(vec![release("deployed", true)]);
        let both = one(&alone);
        let Verdict::Failed { mend, .. } = both.verdict else { panic!("{both:?}") };
        assert_eq!(mend, "aws eks delete-addon --cluster-name demo --addon-name aws-ebs-csi-driver --preserve");
        let theirs =
            Installation { addon: addon(None), by_eks: true, installer: "eks.addon", ..installation(&EBS_CSI_DRIVER) };
        let theirs = one(&Installation { history: Ok(vec![release("deployed", false)]), ..theirs });
        let Verdict::Failed { mend, .. } = theirs.verdict else { panic!("{theirs:?}") };
        assert_eq!(
            mend,
            "aws eks delete-addon --cluster-name demo --addon-name aws-ebs-csi-driver --preserve && eks-bootstrap apply \
             --ebs-managed-by helm --adopt helm.ebs"
        );
        let wanted = one(&Installation { by_eks: true, installer: "eks.addon", ..alone });
        let Verdict::Failed { mend, .. } = wanted.verdict else { panic!("{wanted:?}") };
        let release = "eks-bootstrap destroy --cluster demo --only helm.ebs";
        assert_eq!(mend, format!("{release} && eks-bootstrap apply --only eks.addon.ebs"));
    }

    #[test]
    fn a_second_installation_is_known_by_its_label() {
        let deployment = |namespace: &str, name: &str, label: &str, annotations: &Value| json!({"metadata": {"namespace": namespace, "name": name, "labels": {NAME_LABEL: label}, "annotations": annotations}});
        let component = LOAD_BALANCER_CONTROLLER;
        let own = deployment("kube-system", component.name, component.name, &json!({}));
        let found = |others: Vec<Value>| once(&installation(&component), &Ok([vec![own.clone()], others].concat()));
        assert_eq!(found(vec![]).verdict, Verdict::Passed);
        let marks = json!({"meta.helm.sh/release-name": "lb", "meta.helm.sh/release-namespace": "ingress"});
        let second = found(vec![deployment("ingress", "lb", component.name, &marks)]);
        let Verdict::Failed { mend, .. } = &second.verdict else { panic!("{second:?}") };
        assert_eq!(mend, "helm uninstall lb -n ingress");
        // The same installation under another name is not a second one.
        let marks =
            json!({"meta.helm.sh/release-name": component.name, "meta.helm.sh/release-namespace": "kube-system"});
        let renamed =
            once(&installation(&component), &Ok(vec![deployment("kube-system", "alb", component.name, &marks)]));
        assert_eq!(renamed.verdict, Verdict::Passed);
        let old = found(vec![deployment("kube-system", "alb", "alb-ingress-controller", &json!({}))]);
        assert_eq!(old.says, "its predecessor still runs");
    }
}
