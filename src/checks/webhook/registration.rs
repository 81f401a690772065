//! What is registered for a component's webhook: the configurations, their Service and its endpoints.

use serde_json::Value;

use crate::check::{Finding, Scene};
use crate::checks::webhook::{ENDPOINTS, LEFT};
use crate::checks::workload;
use crate::component::Component;
use crate::error::Result;
use crate::object::{items, name, text};
use crate::read::kube::ObjectRef;

pub(super) const GROUP: &str = "admissionregistration.k8s.io/v1";
pub(super) const KINDS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// One webhook of a configuration.
pub(super) struct Webhook {
    /// Its name, such as `mservice.elbv2.k8s.aws`.
    pub(super) name: String,
    /// Its CA bundle, base64 of PEM.
    pub(super) bundle: String,
    /// Plural names of what it is asked about.
    pub(super) resources: Vec<String>,
}

/// What is registered.
pub(super) struct Registration {
    /// Kind and name of the configurations.
    configurations: Vec<(&'static str, String)>,
    /// Their webhooks.
    pub(super) webhooks: Vec<Webhook>,
    /// Whether the Service exists.
    service: bool,
    /// Ready endpoints, and all.
    ready: usize,
    known: usize,
    /// Whether the component's release exists.
    released: bool,
    /// The component's Deployment.
    deployment: Option<Value>,
    /// The command that brings endpoints up, where there are none.
    pub(super) endpoints_mend: String,
}

impl Registration {
    /// Reads it.
    ///
    /// # Errors
    /// A read that failed.
    pub(super) async fn read(scene: &Scene<'_>, component: &Component) -> Result<Registration> {
        let kube = &scene.cx.kube;
        let service = component.webhook_service.unwrap_or_default();
        let reference = ObjectRef::new("v1", "Service", component.namespace, service);
        let workloads = workload::workloads(component);
        let deployment = async {
            match workloads.first() {
                Some(reference) => kube.get(reference).await,
                None => Ok(None),
            }
        };
        let label = format!("kubernetes.io/service-name={service}");
        let (mutating, validating, found, slices, release, deployment) = futures::try_join!(
            kube.list(GROUP, KINDS[0], "", ""),
            kube.list(GROUP, KINDS[1], "", ""),
            kube.get(&reference),
            kube.list("discovery.k8s.io/v1", "EndpointSlice", component.namespace, &label),
            workload::latest(scene, component),
            deployment,
        )?;
        let of_service = |webhook: &Value| {
            text(webhook, "/clientConfig/service/name") == service
                && text(webhook, "/clientConfig/service/namespace") == component.namespace
        };
        let (mut configurations, mut webhooks) = (Vec::new(), Vec::new());
        for (kind, all) in KINDS.iter().zip([&mutating, &validating]) {
            for configuration in all {
                let found: Vec<_> =
                    items(configuration, "/webhooks").filter(|hook| of_service(hook)).map(webhook).collect();
                if !found.is_empty() {
                    configurations.push((*kind, name(configuration).to_owned()));
                    webhooks.extend(found);
                }
            }
        }
        let endpoints: Vec<_> = slices.iter().flat_map(|slice| items(slice, "/endpoints")).collect();
        let is_ready = |endpoint: &&&Value| endpoint.pointer("/conditions/ready") == Some(&Value::Bool(true));
        let ready = endpoints.iter().filter(is_ready).count();
        // Pods that are up behind a Service without endpoints: the Service or its selector is what is wrong.
        let apply = || format!("eks-bootstrap apply --only helm.{}", component.short);
        let endpoints_mend = if found.is_some() && ready == 0 {
            Box::pin(workload::mend(ENDPOINTS, scene, component)).await.unwrap_or_else(apply)
        } else {
            apply()
        };
        Ok(Registration {
            configurations,
            webhooks,
            service: found.is_some(),
            ready,
            known: endpoints.len(),
            released: release.is_some(),
            deployment,
            endpoints_mend,
        })
    }

    /// Whether a webhook is asked about a resource.
    pub(super) fn asks_about(&self, resource: &str) -> bool {
        self.webhooks.iter().any(|webhook| webhook.resources.iter().any(|asked| asked == resource))
    }

    /// The finding about webhooks without a Service.
    pub(super) fn left_behind(&self, component: &Component) -> Finding {
        if self.webhooks.is_empty() {
            return LEFT.passed("no webhook is left behind");
        }
        let service = component.webhook_service.unwrap_or_default();
        if self.service {
            return LEFT.passed(format!("{} webhooks, and their Service exists", self.webhooks.len()));
        }
        let mend =
            if self.released { format!("eks-bootstrap apply --only helm.{}", component.short) } else { self.delete() };
        LEFT.failed(
            format!("{} webhooks ask a Service that does not exist", self.webhooks.len()),
            format!("no Service {}/{service}", component.namespace),
            "the Service, or no webhook",
            mend,
        )
    }

    fn delete(&self) -> String {
        let each =
            self.configurations.iter().map(|(kind, name)| format!("kubectl delete {} {name}", kind.to_lowercase()));
        each.collect::<Vec<_>>().join(" && ")
    }

    /// The finding about endpoints.
    pub(super) fn endpoints(&self, component: &Component) -> Finding {
        let service = component.webhook_service.unwrap_or_default();
        if self.ready > 0 {
            return ENDPOINTS.passed(format!("ready endpoints behind {service}: {}", self.ready));
        }
        ENDPOINTS.failed(
            format!("no ready endpoint behind {service}"),
            format!("0 of {} ready", self.known),
            "at least one",
            &self.endpoints_mend,
        )
    }

    /// The Secret with the certificate that the pods serve.
    pub(super) fn secret(&self) -> Option<&str> {
        let deployment = self.deployment.as_ref()?;
        let volumes = items(deployment, "/spec/template/spec/volumes");
        let secrets: Vec<_> = volumes.filter(|volume| volume.get("secret").is_some()).collect();
        let cert = secrets.iter().find(|volume| text(volume, "/name") == "cert").or(secrets.first())?;
        Some(text(cert, "/secret/secretName")).filter(|name| !name.is_empty())
    }
}

fn webhook(webhook: &Value) -> Webhook {
    let resources = items(webhook, "/rules").flat_map(|rule| items(rule, "/resources"));
    Webhook {
        name: text(webhook, "/name").to_owned(),
        bundle: text(webhook, "/clientConfig/caBundle").to_owned(),
        resources: resources.filter_map(|resource| resource.as_str().map(ToOwned::to_owned)).collect(),
    }
}
