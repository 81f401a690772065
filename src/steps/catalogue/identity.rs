//! How the pods of a component get their role, as steps: by IRSA, by EKS Pod Identity, or on the way from one to the other.
//!
//! ```text
//! IRSA          role -> attachment -> annotated account -> exchange proved -> release
//! Pod Identity  role -> attachment -> association -> bare account -> admission proved -> release -> pods -> former trust
//! back to IRSA  ... exchange proved, release -> association goes -> admission proved -> pods -> former trust
//! ```
//!
//! The accounts that charts make come with the release, so there the proofs come after it. Whichever way is left keeps its
//! trust statement until the running pods are proved to use the other one.

use std::sync::Arc;

use super::{Builder, our_tags};
use crate::component::ServiceAccountMaker;
use crate::config::Identity;
use crate::plan::StepId;
use crate::policy::{self, PodIdentityRequest, Statement};
use crate::steps::Step;
use crate::steps::admission::AdmissionStep;
use crate::steps::association::AssociationStep;
use crate::steps::former_trust::FormerTrustStep;
use crate::steps::identity::IdentityStep;
use crate::steps::pod_identity_agent::{self, PodIdentityAgentStep};
use crate::steps::pods::PodsStep;

impl Builder<'_> {
    /// The step that installs the component.
    pub(super) fn installer(&self) -> StepId {
        self.id(self.component.installer(self.config))
    }

    pub(super) fn identity(&self) -> Identity {
        self.component.identity(self.config)
    }

    /// Whether the component leaves its way for the other one.
    pub(super) fn migrates(&self) -> bool {
        self.config.migrating.contains(self.component.name)
    }

    /// Whether a run has to look at the association: to have it, to take it away, or to leave nothing behind.
    pub(super) fn looks_at_association(&self) -> bool {
        self.identity() == Identity::PodIdentity || self.migrates() || self.config.removing
    }

    /// Whether a run has to look at the provider.
    pub(super) fn looks_at_provider(&self) -> bool {
        self.identity() == Identity::Irsa || self.config.removing
    }

    pub(super) fn pod_identity_request(&self) -> PodIdentityRequest {
        PodIdentityRequest {
            cluster_arn: self.facts.arn.clone(),
            namespace: self.component.namespace.to_owned(),
            service_account: self.component.service_account.to_owned(),
        }
    }

    /// Our trust statement.
    pub(super) fn statement(&self) -> Statement {
        let (component, facts) = (self.component, self.facts);
        match self.identity() {
            Identity::Irsa => policy::irsa_statement(
                &facts.provider_arn(),
                &facts.issuer,
                component.namespace,
                component.service_account,
            ),
            Identity::PodIdentity => self.pod_identity_request().statement(),
        }
    }

    /// The steps after which the pods may have their role.
    pub(super) fn role_ready(&self) -> Vec<StepId> {
        let association = self.identity() == Identity::PodIdentity || self.config.removing;
        let steps = [(self.component.has_role(), "iam.attachment"), (association, "eks.pod-identity")];
        let steps = steps.into_iter().filter(|(there, _)| *there && self.component.has_role());
        steps.map(|(_, kind)| self.id(kind)).collect()
    }

    pub(super) fn association(&self) -> AssociationStep {
        let (component, config, facts) = (self.component, self.config, self.facts);
        let id = self.id("eks.pod-identity");
        let back = self.identity() == Identity::Irsa && !config.removing;
        let needs = if back {
            vec![self.id("proof.identity"), self.installer()]
        } else {
            vec![self.id("iam.attachment"), pod_identity_agent::ID]
        };
        AssociationStep {
            adopt: self.adopts(&id),
            id,
            needs,
            cluster: facts.cluster.clone(),
            cluster_arn: facts.arn.clone(),
            namespace: component.namespace.to_owned(),
            service_account: component.service_account.to_owned(),
            role_arn: component.role_arn(config, facts),
            tags: our_tags(config, facts, Some(component)),
            wanted: !back,
        }
    }

    /// The proof that the service account gets its role; pods are made, or replaced, after it.
    pub(super) fn proof(&self) -> Arc<dyn Step> {
        let (component, config, facts) = (self.component, self.config, self.facts);
        let with = match component.service_account_maker {
            ServiceAccountMaker::Us => self.id("k8s.service-account"),
            ServiceAccountMaker::Chart => self.installer(),
        };
        let needs = [self.role_ready(), vec![with]].concat();
        if self.identity() == Identity::PodIdentity {
            return Arc::new(self.admission(needs));
        }
        Arc::new(IdentityStep {
            id: self.id("proof.identity"),
            needs,
            namespace: component.namespace.to_owned(),
            service_account: component.service_account.to_owned(),
            role_arn: component.role_arn(config, facts),
        })
    }

    /// The id of that proof.
    pub(super) fn proof_id(&self) -> StepId {
        self.id(if self.identity() == Identity::PodIdentity { "proof.admission" } else { "proof.identity" })
    }

    fn admission(&self, needs: Vec<StepId>) -> AdmissionStep {
        AdmissionStep {
            id: self.id("proof.admission"),
            needs,
            namespace: self.component.namespace.to_owned(),
            service_account: self.component.service_account.to_owned(),
            identity: self.identity(),
            role_arn: self.component.role_arn(self.config, self.facts),
        }
    }

    /// What comes after the release: the running pods, and the end of the other way.
    pub(super) fn moved(&self, steps: &mut Vec<Arc<dyn Step>>) {
        let component = self.component;
        let pods = self.identity() == Identity::PodIdentity || self.migrates();
        if !pods || !component.has_role() || component.deployment().is_none() {
            return;
        }
        if self.identity() == Identity::Irsa {
            if !self.config.removing {
                steps.push(Arc::new(self.association()));
            }
            steps.push(Arc::new(self.admission(vec![self.id("eks.pod-identity")])));
        }
        let bare =
            self.identity() == Identity::PodIdentity && component.service_account_maker == ServiceAccountMaker::Chart;
        steps.push(Arc::new(PodsStep {
            id: self.id("proof.pods"),
            needs: vec![self.installer(), self.id("proof.admission")],
            component: *component,
            bare_account: bare.then(|| component.service_account.to_owned()),
            identity: self.identity(),
            role_arn: component.role_arn(self.config, self.facts),
            found: Arc::default(),
        }));
        steps.push(Arc::new(FormerTrustStep {
            id: self.id("iam.trust"),
            needs: vec![self.id("iam.role"), self.id("proof.pods")],
            role: self.role(),
        }));
    }

    /// The agent for all of these components.
    pub(super) fn agent(builders: &[Builder<'_>]) -> Option<PodIdentityAgentStep> {
        let using: Vec<_> = builders
            .iter()
            .filter(|builder| {
                builder.looks_at_association() && !(builder.migrates() && builder.identity() == Identity::Irsa)
            })
            .collect();
        let (config, facts) = using.first().map(|builder| (builder.config, builder.facts))?;
        Some(PodIdentityAgentStep {
            cluster: facts.cluster.clone(),
            cluster_arn: facts.arn.clone(),
            kubernetes_version: facts.kubernetes_version.clone(),
            auto_mode: facts.auto_mode,
            tags: our_tags(config, facts, None),
            associations: using.iter().map(|builder| builder.association()).collect(),
        })
    }
}
