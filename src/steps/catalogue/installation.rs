//! Who installs a component, as a step: a Helm release, or an EKS add-on of the same.

use super::{Builder, our_tags};
use crate::component::ServiceAccountMaker;
use crate::config::Identity;
use crate::config_file::ManagedBy;
use crate::op::helm::ReleaseSpec;
use crate::plan::StepId;
use crate::read::kube::ObjectRef;
use crate::steps::addon::AddonStep;
use crate::steps::release::{ReleaseStep, Seen};

impl Builder<'_> {
    /// The role that its service account has to name; none where pods get it in another way.
    fn annotated_role(&self) -> Option<String> {
        let annotated = self.component.has_role() && self.identity() == Identity::Irsa;
        annotated.then(|| self.component.role_arn(self.config, self.facts))
    }

    pub(super) fn release(&self, needs: Vec<StepId>, after: Vec<StepId>) -> ReleaseStep {
        let Builder { component, config, facts } = self;
        let id = self.id("helm");
        let values = component.chart_values(config, facts);
        ReleaseStep {
            images: component.image_repositories(&values),
            adopt: self.adopts(&id),
            id,
            needs,
            after,
            release: ReleaseSpec {
                name: component.name.to_owned(),
                namespace: component.namespace.to_owned(),
                chart: config.chart(component),
                values,
                timeout_seconds: config.timeout_seconds,
                cluster_arn: facts.arn.clone(),
                take_ownership: false,
            },
            role_arn: self.annotated_role(),
            account: (component.service_account_maker == ServiceAccountMaker::Chart)
                .then(|| ObjectRef::new("v1", "ServiceAccount", component.namespace, component.service_account)),
            component: component.name.to_owned(),
            guarded_objects: component.addresses(),
            addon: component.addon.map(ToOwned::to_owned),
            addon_flag: component.offers_addon.then_some(component.flag),
            ignore_drift: component.configured(config).ignore_drift.clone(),
            insists: component.configured(config).managed_by == Some(ManagedBy::Helm),
            trusted: component.has_role().then(|| component.service_account.to_owned()),
            recreate: config.recreate.clone(),
            seen: Seen::default(),
        }
    }

    pub(super) fn addon(&self, needs: Vec<StepId>, after: Vec<StepId>) -> AddonStep {
        let Builder { component, config, facts } = self;
        let id = self.id("eks.addon");
        AddonStep {
            adopt: self.adopts(&id),
            id,
            needs,
            after,
            cluster: facts.cluster.clone(),
            cluster_arn: facts.arn.clone(),
            kubernetes_version: facts.kubernetes_version.clone(),
            name: component.addon.unwrap_or(component.name).to_owned(),
            version: component.configured(config).addon_version.clone(),
            role_arn: self.annotated_role(),
            configuration: component.addon_configuration(config),
            tags: our_tags(config, facts, Some(component)),
            release: (component.namespace.to_owned(), component.name.to_owned()),
            flag: component.flag,
            objects: component.addresses(),
        }
    }
}
