//! All steps of a run, made from the component catalogue. Read from top to bottom this is the order of an apply.

mod identity;
mod ids;
mod installation;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::component::{self, Component, Permissions, ServiceAccountMaker};
use crate::config::{Config, Identity};
use crate::context::Facts;
use crate::names;
use crate::op::iam::Tags;
use crate::owner::{self, tags};
use crate::plan::StepId;
use crate::steps::Step;
use crate::steps::api_service::ApiServiceStep;
use crate::steps::attachment::{AttachmentStep, Source};
use crate::steps::chart_crds::ChartCrdsStep;
use crate::steps::drain::{self, DrainStep};
use crate::steps::kube_object::KubeObjectStep;
use crate::steps::namespace::{self, NamespaceStep};
use crate::steps::node_role::NodeRoleStep;
use crate::steps::oidc_provider::OidcProviderStep;
use crate::steps::policy::PolicyStep;
use crate::steps::role::RoleStep;
use crate::steps::storage_class::{self, StorageClassStep};
use crate::steps::webhook::WebhookStep;

pub use ids::ids;

/// Annotation by which EKS' webhook knows the role of a service account.
/// <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>
pub const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// The kind of steps that make policies.
const KEY_POLICY: &str = "iam.policy";

/// The steps that `config` asks for on the cluster of `facts`.
pub fn all(config: &Config, facts: &Facts) -> Vec<Arc<dyn Step>> {
    let wanted = component::wanted(config, facts);
    let mut steps: Vec<Arc<dyn Step>> = Vec::new();
    let with_roles = wanted.iter().filter(|component| component.has_role());
    let builders: Vec<_> = with_roles.map(|component| Builder { component, config, facts }).collect();
    if builders.iter().any(Builder::looks_at_provider) {
        let roles = builders.iter().map(Builder::role).filter(|role| config.chooses(&role.id)).collect();
        steps.push(Arc::new(OidcProviderStep {
            roles,
            arn: facts.provider_arn(),
            issuer: facts.issuer.clone(),
            tags: our_tags(config, facts, None),
            cluster_arn: facts.arn.clone(),
        }));
    }
    if let Some(agent) = Builder::agent(&builders) {
        steps.push(Arc::new(agent));
    }
    for builder in &builders {
        builder.iam(&mut steps);
    }
    let places: BTreeSet<_> = wanted.iter().map(|it| it.namespace).filter(|place| namespace::is_made(place)).collect();
    for place in places {
        let inside = wanted.iter().filter(|component| component.namespace == place);
        steps.push(Arc::new(NamespaceStep {
            id: namespace::id(place),
            name: place.to_owned(),
            releases: inside.map(|component| component.name.to_owned()).collect(),
        }));
    }
    // A component whose webhook is asked about every Service comes after all others.
    let (last, first): (Vec<_>, Vec<_>) = wanted.iter().partition(|component| component.webhook_service.is_some());
    let releases: Vec<_> = first.iter().map(|first| step_id(Component::installer(first, config), first)).collect();
    for component in &first {
        Builder { component, config, facts }.workload(&[], &mut steps);
    }
    if config.gp3_storage_class.enabled == Some(true) {
        let driver = first.iter().find(|component| component.name == component::EBS_CSI_DRIVER.name);
        steps.push(Arc::new(StorageClassStep {
            needs: driver.map(|driver| step_id(driver.installer(config), driver)).into_iter().collect(),
            object: storage_class::object(&config.gp3_storage_class, facts),
            default: config.gp3_storage_class.default,
            adopt: config.adopt.contains(storage_class::ID.as_str()),
        }));
    }
    for component in &last {
        Builder { component, config, facts }.workload(&releases, &mut steps);
    }
    let controller = wanted.iter().find(|component| component.name == component::LOAD_BALANCER_CONTROLLER.name);
    if let Some(controller) = controller.filter(|_| config.removal.drain) {
        steps.push(Arc::new(DrainStep {
            needs: steps.iter().map(|step| step.id()).collect(),
            controller: *controller,
            first: OnceLock::new(),
        }));
    }
    steps
}

fn step_id(kind: &str, component: &Component) -> StepId {
    StepId::from(format!("{kind}.{}", component.short))
}

fn our_tags(config: &Config, facts: &Facts, component: Option<&Component>) -> Tags {
    let mut all = config.iam.tags.clone();
    all.insert(tags::MANAGED_BY.to_owned(), owner::OUR_NAME.to_owned());
    all.insert(tags::CLUSTER.to_owned(), facts.arn.clone());
    if let Some(component) = component {
        all.insert(tags::COMPONENT.to_owned(), component.name.to_owned());
    }
    all
}

struct Builder<'a> {
    component: &'a Component,
    config: &'a Config,
    facts: &'a Facts,
}

impl Builder<'_> {
    fn id(&self, kind: &str) -> StepId {
        step_id(kind, self.component)
    }

    fn adopts(&self, id: &StepId) -> bool {
        self.config.adopt.contains(id.as_str())
    }

    fn role_name(&self) -> String {
        let arn = self.component.role_arn(self.config, self.facts);
        names::last_part(&arn).to_owned()
    }

    /// Policy, role, attachment.
    fn iam(&self, steps: &mut Vec<Arc<dyn Step>>) {
        let Builder { component, config, facts } = self;
        let tags = our_tags(config, facts, Some(component));
        let mut attachment_needs = vec![self.id("iam.role")];
        let policy = |id: StepId, name: String, description: String, document| PolicyStep {
            adopt: self.adopts(&id),
            id,
            arn: names::iam_arn(&facts.partition, &facts.account, "policy", &config.iam.path, &name),
            name,
            path: config.iam.path.clone(),
            description,
            document,
            tags: tags.clone(),
            cluster_arn: facts.arn.clone(),
            role: self.role_name(),
        };
        // Partitions of which no document is known get no policy of ours.
        if let Some(document) = component.document(config, facts) {
            let id = self.id("iam.policy");
            attachment_needs.push(id.clone());
            let description = format!("What the {} of EKS cluster {} may do", component.title, facts.cluster);
            steps.push(Arc::new(policy(id, component.iam_name(config, facts), description, document)));
        }
        let keys = component.wanted_key_policy_arn(config, facts);
        if let Some(document) = component.key_policy.filter(|_| keys.is_some()) {
            let id = StepId::from(format!("{KEY_POLICY}.{}-kms", component.short));
            attachment_needs.push(id.clone());
            let description = format!("KMS keys of the {} of EKS cluster {}", component.title, facts.cluster);
            let document = document(&component.configured(config).kms_keys);
            steps.push(Arc::new(policy(id, component.key_policy_name(config, facts), description, document)));
        }
        steps.push(Arc::new(self.role()));
        steps.push(Arc::new(AttachmentStep {
            id: self.id("iam.attachment"),
            needs: attachment_needs,
            role: self.role_name(),
            policies: component.policy_arns(config, facts),
            also: component.more_policy_arns(config, facts),
            named: component.named_policy_arns(config, facts),
            others: component.other_policy_arns(config, facts),
            swaps: component.chooses_policy(config),
            possibly_ours: component.possible_policy_arns(config, facts),
            cluster_arn: facts.arn.clone(),
            source: match component.grants(config) {
                Permissions::AwsManaged(_) => Source::Aws,
                Permissions::Named | Permissions::Arn(_) => Source::Named(component.needed(config, facts)),
                Permissions::Document(_) | Permissions::Template(_) | Permissions::None => Source::Ours,
            },
        }));
        if component.offers_node_role {
            let nodes = &component.configured(config).nodes;
            steps.push(Arc::new(NodeRoleStep {
                id: self.id("iam.node-role"),
                needs: vec![self.id("iam.role")],
                cluster: facts.cluster.clone(),
                cluster_arn: facts.arn.clone(),
                short: component.short,
                wanted: nodes.attach,
                more: nodes.more.clone(),
                policies: component.policy_arns(config, facts),
                component_role: self.role_name(),
            }));
        }
        if self.identity() == Identity::PodIdentity || config.removing {
            steps.push(Arc::new(self.association()));
        }
    }

    fn role(&self) -> RoleStep {
        let Builder { component, config, facts } = self;
        let id = self.id("iam.role");
        let issuer = facts.issuer.clone();
        let tag = component.role_tag(config, facts);
        let mut tags = our_tags(config, facts, Some(component));
        tags.extend(tag.clone());
        let attached = [
            component.policy_arns(config, facts),
            component.more_policy_arns(config, facts),
            component.other_policy_arns(config, facts),
        ]
        .concat();
        RoleStep {
            adopt: self.adopts(&id),
            id,
            name: self.role_name(),
            arn: component.role_arn(config, facts),
            path: config.iam.path.clone(),
            description: format!("{} of EKS cluster {}", component.title, facts.cluster),
            permissions_boundary: config.iam.permissions_boundary.clone(),
            tags,
            required_tag: tag,
            statement: self.statement(),
            identity: self.identity(),
            pods: self.pod_identity_request(),
            migrating: self.migrates(),
            provider_arn: facts.provider_arn(),
            issuer,
            subject: component.subject(),
            cluster_arn: facts.arn.clone(),
            named_by_user: component.configured(config).role_arn.is_some(),
            attached_by_us: attached.into_iter().chain(component.key_policy_arn(config, facts)).collect(),
            documented: component.documented_role(),
            setting: component.setting("role-arn"),
        }
    }

    /// Service account, proof, CRDs, release, proof.
    fn workload(&self, after: &[StepId], steps: &mut Vec<Arc<dyn Step>>) {
        let Builder { component, config, facts } = self;
        let release = self.installer();
        let chart = config.chart(component);
        let mut release_needs = self.role_ready();
        let mut account_needs = self.role_ready();
        if namespace::is_made(component.namespace) {
            release_needs.push(namespace::id(component.namespace));
            account_needs.push(namespace::id(component.namespace));
        }
        if component.service_account_maker == ServiceAccountMaker::Us {
            let id = self.id("k8s.service-account");
            steps.push(Arc::new(KubeObjectStep {
                adopt: self.adopts(&id),
                id,
                needs: account_needs,
                object: self.service_account(),
                without: if self.identity() == Identity::PodIdentity { vec![ROLE_ANNOTATION] } else { Vec::new() },
                runs: Some(**component),
            }));
            steps.push(self.proof());
            release_needs.push(self.proof_id());
        }
        if component.has_crds {
            let id = self.id("k8s.crds");
            steps.push(Arc::new(ChartCrdsStep {
                adopt: self.adopts(&id),
                id,
                // Upgrades go in the order policy, CRDs, chart.
                needs: component.document(config, facts).map(|_| self.id("iam.policy")).into_iter().collect(),
                chart: chart.clone(),
                values: component.chart_values(config, facts),
                namespace: component.namespace.to_owned(),
                release: component.name.to_owned(),
                cluster_arn: facts.arn.clone(),
                purge: config.removal.purge_crds,
                drained: config.removal.drain && config.chooses(&drain::ID),
            }));
            release_needs.push(self.id("k8s.crds"));
        }
        let after: Vec<_> =
            after.iter().cloned().chain(component.offers_node_role.then(|| self.id("iam.node-role"))).collect();
        // A destroy leaves neither behind, whichever is configured.
        if component.configured(config).is_addon() || (component.offers_addon && config.removing) {
            steps.push(Arc::new(self.addon(release_needs.clone(), after.clone())));
        }
        if !component.configured(config).is_addon() || config.removing {
            steps.push(Arc::new(self.release(release_needs, after)));
        }
        if component.service_account_maker == ServiceAccountMaker::Chart && component.has_role() {
            steps.push(self.proof());
        }
        self.moved(steps);
        if let Some(api) = component.api_service {
            let (id, needs, name) = (self.id("proof"), vec![release.clone()], api.to_owned());
            steps.push(Arc::new(ApiServiceStep { id, needs, name }));
        }
        if component.webhook_service.is_some() {
            steps.push(Arc::new(WebhookStep {
                id: self.id("proof.webhook"),
                needs: vec![release],
                namespace: component.namespace.to_owned(),
                release: component.name.to_owned(),
            }));
        }
    }

    fn service_account(&self) -> Value {
        let Builder { component, config, facts } = self;
        let mut account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": component.service_account,
                "namespace": component.namespace,
                "labels": {
                    owner::MANAGED_BY_LABEL: owner::OUR_NAME,
                    "app.kubernetes.io/name": component.name,
                },
            },
        });
        if self.identity() == Identity::Irsa {
            account["metadata"]["annotations"] = json!({ ROLE_ANNOTATION: component.role_arn(config, facts) });
        }
        account
    }
}
