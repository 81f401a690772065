//! What the Services are that the sandbox answers for, and with which certificate: asked of the API server, since users may call
//! them as they like.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::{Pod, Secret, Service},
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, api::ListParams};

use super::super::certificates::Pair;
use super::Egress;

/// How the names of the load balancer controller's webhooks end, whatever its Service is called.
const LBC_WEBHOOKS: &str = ".elbv2.k8s.aws";
/// The Secret with their certificate where the pods mount none.
const LBC_SECRET: &str = "aws-load-balancer-tls";
/// The API group of metrics-server, by which its Service is found.
const METRICS_GROUP: &str = "metrics.k8s.io";

/// Services by namespace and name: users may call them as they like.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) webhooks: BTreeSet<(String, String)>,
    pub(super) metrics: BTreeSet<(String, String)>,
}

impl Egress {
    /// The Services that the controller's webhooks and the metrics API are registered with.
    pub(super) async fn known_services(&self) -> Result<Known, String> {
        let everything = ListParams::default();
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let apis: Api<APIService> = Api::all(self.client.clone());
        let (mutating, validating, apis) =
            tokio::try_join!(mutating.list(&everything), validating.list(&everything), apis.list(&everything))
                .map_err(|error| format!("the sandbox cannot list webhooks and aggregated APIs: {error}"))?;
        let mutating = mutating.items.into_iter().flat_map(|it| it.webhooks.unwrap_or_default());
        let validating = validating.items.into_iter().flat_map(|it| it.webhooks.unwrap_or_default());
        let all = mutating.map(|hook| (hook.name, hook.client_config));
        let all = all.chain(validating.map(|hook| (hook.name, hook.client_config)));
        let ours = all.filter(|(name, _)| name.ends_with(LBC_WEBHOOKS));
        let webhooks = ours.filter_map(|(_, client)| client.service).map(|service| (service.namespace, service.name));
        let metrics = apis.items.into_iter().filter_map(|api| api.spec);
        let metrics = metrics.filter(|spec| spec.group.as_deref() == Some(METRICS_GROUP)).filter_map(|spec| {
            let service = spec.service?;
            Some((service.namespace?, service.name?))
        });
        Ok(Known { webhooks: webhooks.collect(), metrics: metrics.collect() })
    }

    /// The Secret that the pods behind the Service serve.
    pub(super) async fn webhook_secret(&self, namespace: &str, service: Option<&Service>) -> Result<String, String> {
        let labels = service.and_then(|service| service.spec.as_ref()?.selector.as_ref());
        let selector: Vec<_> = labels.into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = pods.list(&ListParams::default().labels(&selector.join(","))).await;
        let pods = pods.map_err(|error| format!("the sandbox cannot list pods: {error}"))?;
        let volumes = pods.items.into_iter().filter_map(|pod| pod.spec?.volumes).flatten();
        let mut names = volumes.filter_map(|volume| volume.secret?.secret_name);
        Ok(names.next().unwrap_or_else(|| LBC_SECRET.to_owned()))
    }

    pub(super) async fn webhook_certificate(&self, namespace: &str, name: &str) -> Result<Pair, String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = secrets.get(name).await.map_err(|error| {
            format!("pods of the load balancer controller have no certificate (Secret {namespace}/{name}): {error}")
        })?;
        let data = secret.data.unwrap_or_default();
        let part = |key: &str| {
            data.get(key)
                .and_then(|bytes| String::from_utf8(bytes.0.clone()).ok())
                .ok_or_else(|| format!("Secret {namespace}/{name} has no usable {key}"))
        };
        Ok(Pair { certificate: part("tls.crt")?, key: part("tls.key")? })
    }
}
