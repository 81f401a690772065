//! The names that an installation gave to a component's objects, read from its manifest. Values such as `fullnameOverride`,
//! `nameOverride` or `ingressClass` change them, so the names of the table are only what a chart says where nobody says otherwise.
//! Pure.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::Component;
use crate::object::{items, name, text};
use crate::read::kube::ObjectRef;

impl Component {
    /// Where its objects are.
    pub fn addresses(&self) -> Vec<ObjectRef> {
        let objects = self.objects.iter();
        objects.map(|(version, kind, name)| ObjectRef::new(version, kind, self.namespace, name)).collect()
    }

    /// Where its Deployments and DaemonSets are.
    pub fn workloads(&self) -> Vec<ObjectRef> {
        let mut objects = self.addresses();
        objects.retain(|object| matches!(object.kind.as_str(), "Deployment" | "DaemonSet"));
        objects
    }

    /// The same component with the names of `documents`, what a release's manifest sets. Each object of the table that is not in
    /// it stands for the one of its kind that is.
    #[must_use]
    pub fn as_installed(&self, documents: &[Value]) -> Component {
        let objects: Vec<_> = self
            .objects
            .iter()
            .map(|(version, kind, name)| (*version, *kind, self.installed_name(documents, version, kind, name)))
            .collect();
        if objects == self.objects && self.has_role() {
            return Component { webhook_service: self.installed_service(documents), ..*self };
        }
        let mut component = Component { webhook_service: self.installed_service(documents), ..*self };
        component.objects = kept(objects);
        // A role trusts an account by its name, which is therefore fixed; others may be called as they like.
        if !self.has_role()
            && let Some(account) = component.deployment().and_then(|name| account_of(documents, name))
        {
            component.service_account = keep(account);
        }
        component
    }

    fn installed_name(&self, documents: &[Value], version: &str, kind: &str, known: &'static str) -> &'static str {
        let group = |version: &str| version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        let alike: Vec<_> = documents
            .iter()
            .filter(|it| text(it, "/kind") == kind && group(text(it, "/apiVersion")) == group(version))
            .collect();
        if alike.iter().any(|document| name(document) == known) {
            return known;
        }
        if kind == "Service" && self.webhook_service == Some(known) {
            return self.installed_service(documents).unwrap_or(known);
        }
        // Those that the table knows by other names are not this one.
        let other = |name: &str| self.objects.iter().any(|(_, it, other)| *it == kind && *other == name);
        let free: Vec<_> = alike.into_iter().filter(|document| !other(name(document))).collect();
        let runs_as =
            |document: &&&Value| text(document, "/spec/template/spec/serviceAccountName") == self.service_account;
        match (free.iter().find(runs_as), free.as_slice()) {
            (Some(own), _) | (None, [own]) => keep(name(own)),
            (None, _) => known,
        }
    }

    /// The Service that the manifest's webhooks ask.
    fn installed_service(&self, documents: &[Value]) -> Option<&'static str> {
        let known = self.webhook_service?;
        let webhooks = documents.iter().filter(|document| text(document, "/kind").ends_with("WebhookConfiguration"));
        let services = webhooks.flat_map(|it| items(it, "/webhooks"));
        let mut names = services.map(|webhook| text(webhook, "/clientConfig/service/name")).filter(|it| !it.is_empty());
        Some(names.next().map_or(known, keep))
    }
}

fn account_of<'a>(documents: &'a [Value], deployment: &str) -> Option<&'a str> {
    let found = documents.iter().find(|it| text(it, "/kind") == "Deployment" && name(it) == deployment)?;
    Some(text(found, "/spec/template/spec/serviceAccountName")).filter(|name| !name.is_empty())
}

type Objects = &'static [(&'static str, &'static str, &'static str)];

/// Names and lists that were met; a component is plain data that is copied freely, and a run meets a handful of them.
static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
static LISTS: Mutex<BTreeSet<Objects>> = Mutex::new(BTreeSet::new());

fn keep(name: &str) -> &'static str {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

fn kept(objects: Vec<(&'static str, &'static str, &'static str)>) -> Objects {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.get(objects.as_slice()) {
        return known;
    }
    let kept: Objects = Box::leak(objects.into_boxed_slice());
    lists.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER, METRICS_SERVER};
    use serde_json::json;

    fn document(version: &str, kind: &str, name: &str) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}})
    }

    fn deployment(name: &str, account: &str) -> Value {
        let mut it = document("apps/v1", "Deployment", name);
        it["spec"] = json!({"template": {"spec": {"serviceAccountName": account}}});
        it
    }

    #[test]
    fn renamed_objects_are_found_by_kind_account_and_webhook() {
        let mut webhooks = document("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "x-webhook");
        webhooks["webhooks"] = json!([{"clientConfig": {"service": {"name": "x-webhook-service"}}}]);
        let documents = [
            deployment("side", "default"),
            deployment("alb", "aws-load-balancer-controller"),
            document("v1", "Service", "alb-metrics"),
            document("v1", "Service", "x-webhook-service"),
            webhooks,
            document("networking.k8s.io/v1", "IngressClass", "public"),
        ];
        let found = LOAD_BALANCER_CONTROLLER.as_installed(&documents);
        assert_eq!(found.deployment(), Some("alb"));
        assert_eq!(found.webhook_service, Some("x-webhook-service"));
        assert_eq!(
            found.objects[1..],
            [("v1", "Service", "x-webhook-service"), ("networking.k8s.io/v1", "IngressClass", "public"),]
        );
        // The role trusts this account, whatever the chart is told.
        assert_eq!(found.service_account, "aws-load-balancer-controller");
        assert!(std::ptr::eq(found.objects, LOAD_BALANCER_CONTROLLER.as_installed(&documents).objects), "kept once");
    }

    #[test]
    fn names_of_the_table_stay_where_nothing_else_fits() {
        let plain = EBS_CSI_DRIVER.as_installed(&[]);
        assert_eq!(plain.objects, EBS_CSI_DRIVER.objects);
        // A second DaemonSet of the chart is not the first under another name.
        let documents = [
            document("apps/v1", "DaemonSet", "ebs-csi-node"),
            document("apps/v1", "DaemonSet", "ebs-csi-node-windows"),
            deployment("a", "x"),
            deployment("b", "y"),
        ];
        assert_eq!(EBS_CSI_DRIVER.as_installed(&documents).objects, EBS_CSI_DRIVER.objects);
    }

    #[test]
    fn an_account_without_a_role_may_have_any_name() {
        let found = METRICS_SERVER.as_installed(&[deployment("ms", "ms"), document("v1", "Service", "ms")]);
        assert_eq!((found.deployment(), found.service_account), (Some("ms"), "ms"));
        assert_eq!(found.objects[1], ("v1", "Service", "ms"));
    }
}
