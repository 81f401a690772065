//! In place of the AWS Load Balancer Controller: Ingresses of its class, Services of its class, TargetGroupBindings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::{Call, Cluster, Controller, is_going, text};
use super::front::Front;
use super::stack::{self, BINDING_FINALIZER, Stack, StackId};
use crate::error::{Error, Result};
use crate::sandbox::aws::Tags;

pub(super) const DEPLOYMENT: &str = "aws-load-balancer-controller";
const BINDING: (&str, &str) = ("elbv2.k8s.aws/v1beta1", "TargetGroupBinding");

/// The simulated load balancers.
pub(super) struct LoadBalancers {
    cluster: Arc<Cluster>,
    fronts: BTreeMap<StackId, Front>,
}

impl LoadBalancers {
    pub(super) fn new(cluster: Arc<Cluster>) -> LoadBalancers {
        LoadBalancers { cluster, fronts: BTreeMap::new() }
    }

    /// Brings everything to where the controller would bring it now; does nothing while there is no controller.
    pub(super) async fn reconcile(&mut self) -> Result<()> {
        let cluster = Arc::clone(&self.cluster);
        if cluster.controller(DEPLOYMENT).await?.is_none() {
            return Ok(());
        }
        let (classes, parameters, ingresses, services, bindings) = futures::try_join!(
            cluster.list("networking.k8s.io/v1", "IngressClass"),
            cluster.list("elbv2.k8s.aws/v1beta1", "IngressClassParams"),
            cluster.list("networking.k8s.io/v1", "Ingress"),
            cluster.list("v1", "Service"),
            cluster.list(BINDING.0, BINDING.1),
        )?;
        // Asked again: nothing is done for a controller that had gone before the objects became what was read.
        let Some(controller) = cluster.controller(DEPLOYMENT).await? else { return Ok(()) };
        let existing: BTreeSet<_> = services
            .iter()
            .map(|service| (text(service, "/metadata/namespace"), text(service, "/metadata/name")))
            .collect();
        let mut failed = None;
        let classes = stack::classes(&classes, &parameters);
        let stacks = stack::stacks(&classes, &ingresses, &services);
        let last = stacks.values().all(|stack| stack.members.is_empty());
        for (id, stack) in stacks {
            // One stack that cannot be finished now must not hold up the others.
            if let Err(error) = self.stack(&controller, &id, &stack, &existing, &bindings, last).await {
                failed = Some(error);
            }
        }
        for binding in &bindings {
            let done = if is_going(binding) {
                cluster.finalizers(binding, |names| names.retain(|name| name != BINDING_FINALIZER)).await
            } else {
                cluster.finalizers(binding, |names| add(names, BINDING_FINALIZER)).await
            };
            failed = failed.or(done.err());
        }
        failed.map_or(Ok(()), Err)
    }

    async fn stack(
        &mut self,
        controller: &Controller,
        id: &StackId,
        stack: &Stack,
        existing: &BTreeSet<(&str, &str)>,
        bindings: &[Value],
        last: bool,
    ) -> Result<()> {
        let finalizer = stack::finalizer(id);
        for member in &stack.members {
            self.cluster.finalizers(member, |names| add(names, &finalizer)).await?;
        }
        let deployed = if stack.members.is_empty() {
            self.remove(controller, id, stack, bindings, last).await?
        } else {
            self.deploy(controller, id, stack, existing, bindings).await?
        };
        if deployed {
            for leaving in &stack.leaving {
                self.cluster.finalizers(leaving, |names| names.retain(|name| *name != finalizer)).await?;
            }
        }
        Ok(())
    }

    /// Makes the load balancer and shows its address; false if the controller could not.
    async fn deploy(
        &mut self,
        controller: &Controller,
        id: &StackId,
        stack: &Stack,
        existing: &BTreeSet<(&str, &str)>,
        bindings: &[Value],
    ) -> Result<bool> {
        let cluster = Arc::clone(&self.cluster);
        let targets = stack.targets();
        if let Some(missing) = targets.iter().find(|target| !existing.contains(&(target.0.as_str(), target.1.as_str())))
        {
            let note = format!("Failed build model due to ingress: {}: Service \"{}\" not found", id.1, missing.1);
            self.warn(stack, controller, "FailedBuildModel", &note).await?;
            return Ok(false);
        }
        let present = cluster.simulator.tagged_resources();
        let wanted = stack::resources(&cluster.place, id, stack);
        if wanted.iter().any(|(arn, tags)| present.get(arn) != Some(tags)) {
            if !self.may(controller, id, stack, "CreateLoadBalancer", &Tags::new()).await? {
                return Ok(false);
            }
            let shared = stack::shared_group(&cluster.place);
            for (arn, tags) in wanted.iter().chain([(&shared.0, &shared.1)]) {
                cluster.simulator.put_resource(arn, tags);
            }
        }
        for (arn, tags) in &present {
            if stack::belongs(&cluster.place, id, tags) && !wanted.contains_key(arn) {
                cluster.simulator.remove_resource(arn);
            }
        }
        for binding in targets.iter().map(|target| stack::binding(&cluster.place, id, target)) {
            let same = |other: &&Value| {
                ["namespace", "name"].iter().all(|field| other["metadata"][field] == binding["metadata"][field])
            };
            if !bindings.iter().any(|other| same(&other)) {
                cluster.create(&binding).await?;
            }
        }
        if !self.fronts.contains_key(id) {
            let front = Front::start(Arc::clone(&cluster), id.clone()).await;
            let front = front.map_err(|source| Error::io("listen for a simulated load balancer", source))?;
            self.fronts.insert(id.clone(), front);
        }
        let address = json!([{
            "ip": "127.0.0.1", "ports": [{"port": self.fronts[id].port(), "protocol": "TCP"}],
        }]);
        for member in &stack.members {
            let shown = &member["status"]["loadBalancer"]["ingress"][0];
            if shown["ip"] != address[0]["ip"] || shown["ports"] != address[0]["ports"] {
                cluster.merge(member, "/status", &json!({"status": {"loadBalancer": {"ingress": address}}})).await?;
            }
        }
        Ok(true)
    }

    /// Takes a load balancer away that nobody wants any more, and with the `last` one what all share; false if the controller could not.
    async fn remove(
        &mut self,
        controller: &Controller,
        id: &StackId,
        stack: &Stack,
        bindings: &[Value],
        last: bool,
    ) -> Result<bool> {
        let cluster = Arc::clone(&self.cluster);
        let present = cluster.simulator.tagged_resources();
        let own: Vec<_> = present.iter().filter(|(_, tags)| stack::belongs(&cluster.place, id, tags)).collect();
        if let Some((_, tags)) = own.first()
            && !self.may(controller, id, stack, "DeleteLoadBalancer", tags).await?
        {
            return Ok(false);
        }
        let labels = stack::binding_labels(id);
        let labelled =
            |binding: &&Value| labels.iter().all(|(name, value)| binding["metadata"]["labels"][name] == value.as_str());
        for binding in bindings.iter().filter(labelled).filter(|binding| !is_going(binding)) {
            cluster.delete(binding).await?;
        }
        for (arn, _) in own {
            cluster.simulator.remove_resource(arn);
        }
        self.fronts.remove(id);
        if last {
            cluster.simulator.remove_resource(&stack::shared_group(&cluster.place).0);
        }
        Ok(true)
    }

    async fn may(
        &self,
        controller: &Controller,
        id: &StackId,
        stack: &Stack,
        operation: &str,
        resource_tags: &Tags,
    ) -> Result<bool> {
        let (arn, tags) = stack::load_balancer(&self.cluster.place, id);
        let call = Call {
            service: "Elastic Load Balancing v2",
            prefix: "elasticloadbalancing",
            operation,
            resource: &arn,
            request_tags: &tags,
            resource_tags,
        };
        let Err(refusal) = self.cluster.may(controller, &call) else { return Ok(true) };
        self.warn(stack, controller, "FailedDeployModel", &format!("Failed deploy model due to {refusal}")).await?;
        Ok(false)
    }

    async fn warn(&self, stack: &Stack, controller: &Controller, reason: &str, note: &str) -> Result<()> {
        for object in stack.members.iter().chain(&stack.leaving) {
            self.cluster.warn(object, controller, reason, note).await?;
        }
        Ok(())
    }
}

fn add(names: &mut Vec<String>, finalizer: &str) {
    if !names.iter().any(|name| name == finalizer) {
        names.push(finalizer.to_owned());
    }
}
