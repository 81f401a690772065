//! What whoever runs a command needs under a configuration, and nothing more: an IAM policy, and rights in the cluster.
//!
//! `permissions` prints it before anything is allowed. What is needed stands in tables: `grants.rs` for AWS, `cluster.rs` for
//! Kubernetes. A new call is a word in one of them. Pure; tests run the program under what is printed, and show that each
//! statement is needed.

pub mod cluster;
pub mod entry;
mod grants;

use std::collections::BTreeMap;

use crate::component::{self, Component, Permissions};
use crate::config::{Config, Identity};
use crate::context::Facts;
use crate::names;
use crate::owner::{self, tags};
use crate::policy::{Condition, Document, Effect, PODS_SERVICE, Statement};
use crate::steps::pod_identity_agent;
use grants::{GRANTS, Grant, On, Only, When};

/// What the policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// Only to look
    Plan,
    /// To look and to make
    Apply,
    /// To look, and to prove that it works
    Verify,
    /// To look and to remove
    Destroy,
    /// To move what is installed between IRSA and EKS Pod Identity, in either direction
    Migrate,
}

impl Purpose {
    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Purpose::Plan => "plan",
            Purpose::Apply => "apply",
            Purpose::Verify => "verify",
            Purpose::Destroy => "destroy",
            Purpose::Migrate => "migrate",
        }
    }
}

/// The IAM policy of one purpose.
pub fn policy(purpose: Purpose, config: &Config, facts: &Facts) -> Document {
    let scope = Scope { config, facts, purpose };
    let wanted = component::wanted(config, facts);
    let with_role: Vec<_> = wanted.iter().copied().filter(Component::has_role).collect();
    let mut statements = Vec::new();
    for grant in GRANTS.iter().filter(|grant| grant.purposes.contains(&purpose)) {
        let wanted = if grant.on == On::Addon { &wanted } else { &with_role };
        if grant.on.of_component() {
            statements.extend(scope.of(grant, wanted, purpose));
        } else if !scope.concerns(grant, wanted, purpose) {
            // Nobody is of the kind that it is for.
        } else if !wanted.is_empty() || purpose == Purpose::Destroy || matches!(grant.on, On::Cluster | On::Everything)
        {
            let resources = scope.global(grant.on, wanted, purpose);
            if !resources.is_empty() {
                statements.push(statement(grant, grant.sid.to_owned(), resources, scope.condition(grant.only, None)));
            }
        }
    }
    let statements = joined(statements);
    Document { version: Some("2012-10-17".to_owned()), id: None, statements, other: BTreeMap::new() }
}

/// Rows of one name share a statement where objects and condition are the same; else they get names of their own.
fn joined(statements: Vec<Statement>) -> Vec<Statement> {
    let mut joined: Vec<Statement> = Vec::new();
    for mut statement in statements {
        let same = joined.iter_mut().find(|earlier| {
            earlier.sid == statement.sid
                && earlier.resource == statement.resource
                && earlier.condition == statement.condition
        });
        if let Some(earlier) = same {
            earlier.action.get_or_insert_default().extend(statement.action.unwrap_or_default());
            continue;
        }
        let named = joined.iter().filter(|earlier| earlier.sid == statement.sid).count();
        if let Some(sid) = statement.sid.as_mut().filter(|_| named > 0) {
            *sid = format!("{sid}{}", named + 1);
        }
        joined.push(statement);
    }
    joined
}

fn statement(grant: &Grant, sid: String, resources: Vec<String>, condition: Condition) -> Statement {
    Statement {
        sid: Some(sid),
        effect: Effect::Allow,
        principal: None,
        not_principal: None,
        action: Some(grant.actions.iter().map(|action| (*action).to_owned()).collect()),
        not_action: None,
        resource: Some(resources),
        not_resource: None,
        condition,
        other: BTreeMap::new(),
    }
}

/// Fills the tables' words with what the configuration and the cluster say.
struct Scope<'a> {
    config: &'a Config,
    facts: &'a Facts,
    purpose: Purpose,
}

impl Scope<'_> {
    /// One statement for all components under the same condition, since IAM counts every character.
    fn of(&self, grant: &Grant, wanted: &[Component], purpose: Purpose) -> Vec<Statement> {
        let mut groups: Vec<(Condition, String, Vec<String>)> = Vec::new();
        for component in wanted.iter().filter(|component| self.applies(grant.when, component)) {
            let condition = self.condition(grant.only, Some(component));
            let resources = self.resources(grant, component, purpose);
            let before: Vec<_> = groups.iter().flat_map(|group| group.2.clone()).collect();
            match groups.iter_mut().find(|group| group.0 == condition) {
                Some((_, names, all)) => {
                    names.push_str(&capital(component.short));
                    all.extend(resources.into_iter().filter(|arn| !before.contains(arn)));
                }
                None => groups.push((condition, capital(component.short), resources)),
            }
        }
        let several = groups.len() > 1;
        let sid = |names: &str| if several { format!("{}{names}", grant.sid) } else { grant.sid.to_owned() };
        groups
            .into_iter()
            .map(|(condition, names, resources)| statement(grant, sid(&names), resources, condition))
            .collect()
    }

    /// Whether a statement about no component is needed: about providers only where one is used, and so on.
    fn concerns(&self, grant: &Grant, wanted: &[Component], purpose: Purpose) -> bool {
        match (grant.on, grant.when) {
            (On::Provider | On::Providers, _) => self.provider(wanted, purpose).is_some(),
            (_, When::PodIdentity) => wanted.iter().any(|component| self.applies(When::PodIdentity, component)),
            _ => true,
        }
    }

    /// The provider's ARN where it may be made or removed.
    fn provider(&self, wanted: &[Component], purpose: Purpose) -> Option<String> {
        let used = wanted.iter().any(|component| component.identity(self.config) == Identity::Irsa);
        (used || matches!(purpose, Purpose::Destroy | Purpose::Migrate) || wanted.is_empty())
            .then(|| self.facts.provider_arn())
    }

    fn applies(&self, when: When, component: &Component) -> bool {
        let named = component.configured(self.config).role_arn.is_some();
        let grants = component.grants(self.config);
        match when {
            When::Always => true,
            When::OwnRole => !named,
            When::NamedRole => named,
            When::BoundRole => !named && self.config.iam.permissions_boundary.is_some(),
            When::OwnPolicy => !component.made_policy_arns(self.config, self.facts).is_empty(),
            When::AwsPolicy => matches!(grants, Permissions::AwsManaged(_)),
            When::NamedPolicy => {
                matches!(grants, Permissions::Named | Permissions::Arn(_)) || !component.more_policies.is_empty()
            }
            When::Swaps => component.chooses_policy(self.config),
            When::Keys => component.key_policy.is_some(),
            When::Addon => component.addon.is_some(),
            When::ByEks => component.offers_addon && component.configured(self.config).is_addon(),
            When::OnNodeRoles => component.offers_node_role && component.configured(self.config).nodes.attach,
            // A move knows both ways, whichever the configuration says.
            When::PodIdentity => {
                self.purpose == Purpose::Migrate || component.identity(self.config) == Identity::PodIdentity
            }
        }
    }

    fn resources(&self, grant: &Grant, component: &Component, purpose: Purpose) -> Vec<String> {
        let Scope { config, facts, .. } = self;
        let role = component.role_arn(config, facts);
        match grant.on {
            On::Role => vec![role],
            On::RoleOrNone => {
                let absent = self.absent_role(component).filter(|_| component.configured(config).role_arn.is_none());
                [role].into_iter().chain(absent).collect()
            }
            On::Roles => {
                let documented = component.documented_role();
                let documented =
                    documented.map(|role| names::iam_arn(&facts.partition, &facts.account, "role", "/", role));
                // It is only looked for where a role of ours would be made.
                let named = component.configured(config).role_arn.is_some();
                let looked_for = !named && purpose != Purpose::Destroy;
                let absent = self.absent_role(component).filter(|_| !named);
                [role].into_iter().chain(absent).chain(documented.filter(|_| looked_for)).collect()
            }
            On::Policies if grant.when == When::OwnPolicy => component.made_policy_arns(config, facts),
            On::Policies if grant.when == When::NamedPolicy => component.named_policy_arns(config, facts),
            On::Policies => component.policy_arns(config, facts),
            On::OtherPolicies => component.possible_policy_arns(config, facts),
            On::Addon => vec![facts.arn.clone(), self.in_cluster("addon", component.addon.unwrap_or_default())],
            On::InCluster => vec![facts.arn.clone()],
            On::Associations => vec![self.in_cluster("podidentityassociation", "")],
            On::EksTagged => [vec![facts.arn.clone()], self.eks_objects()].concat(),
            On::EksObjects => self.eks_objects(),
            On::Offers => vec!["*".to_owned()],
            On::NodeRoles => vec![format!("arn:{}:iam::{}:role/*", facts.partition, facts.account)],
            On::NodeGroups | On::FargateProfiles => {
                let Facts { partition, region, account, cluster, .. } = facts;
                let kind = if grant.on == On::NodeGroups { "nodegroup" } else { "fargateprofile" };
                vec![facts.arn.clone(), format!("arn:{partition}:eks:{region}:{account}:{kind}/{cluster}/*/*")]
            }
            _ => Vec::new(),
        }
    }

    /// The name of a role that does not exist yet has no path: IAM looks for a right on it without one.
    fn absent_role(&self, component: &Component) -> Option<String> {
        let Scope { config, facts, .. } = self;
        let name = component.iam_name(config, facts);
        (config.iam.path != "/").then(|| names::iam_arn(&facts.partition, &facts.account, "role", "/", &name))
    }

    /// What EKS Pod Identity makes in the cluster.
    fn eks_objects(&self) -> Vec<String> {
        vec![self.in_cluster("podidentityassociation", ""), self.in_cluster("addon", pod_identity_agent::NAME)]
    }

    /// Objects of EKS in the cluster; of one name, or of any.
    fn in_cluster(&self, kind: &str, name: &str) -> String {
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        format!("{}{name}/*", self.facts.arn.replacen(":cluster/", &format!(":{kind}/"), 1))
    }

    fn global(&self, on: On, wanted: &[Component], purpose: Purpose) -> Vec<String> {
        let Scope { config, facts, .. } = self;
        match on {
            On::Cluster => vec![facts.arn.clone()],
            On::Everything => vec!["*".to_owned()],
            On::Provider => vec![facts.provider_arn()],
            On::Providers => vec![self.every_provider()],
            On::ProviderAndPolicies | On::Made => {
                let made = wanted.iter().flat_map(|component| {
                    let own_role = on == On::Made && self.applies(When::OwnRole, component);
                    let role = own_role.then(|| component.role_arn(config, facts));
                    role.into_iter().chain(component.made_policy_arns(config, facts))
                });
                let provider = self.provider(wanted, purpose);
                // Former issuers have providers too, and only what carries our tag is removed.
                let removes = on == On::Made && purpose == Purpose::Destroy;
                let provider = provider.map(|arn| if removes { self.every_provider() } else { arn });
                provider.into_iter().chain(made).collect()
            }
            // What an earlier run may have made and this configuration does not speak of: all our names end alike.
            On::LeftRoles => vec![self.left_behind("role")],
            On::LeftPolicies => vec![self.left_behind("policy")],
            _ => Vec::new(),
        }
    }

    fn every_provider(&self) -> String {
        format!("arn:{}:iam::{}:oidc-provider/*", self.facts.partition, self.facts.account)
    }

    fn left_behind(&self, kind: &str) -> String {
        let Facts { partition, account, arn, .. } = self.facts;
        format!("arn:{partition}:iam::{account}:{kind}/*-{}", names::cluster_hash(arn))
    }

    /// The policies that may be attached to a component's role, and those that may have been.
    fn policies(&self, component: &Component, only: Only) -> Vec<String> {
        let Scope { config, facts, .. } = self;
        let wanted = component.policy_arns(config, facts).into_iter().chain(component.more_policy_arns(config, facts));
        let detaches = only == Only::ThesePolicies && component.chooses_policy(config);
        let others = if detaches { component.other_policy_arns(config, facts) } else { Vec::new() };
        wanted.chain(others).collect()
    }

    fn condition(&self, only: Only, component: Option<&Component>) -> Condition {
        let mut condition = Condition::new();
        let mut test = |operator: &str, key: String, values: Vec<String>| {
            condition.entry(operator.to_owned()).or_default().insert(key, values);
        };
        let own_role = component.is_some_and(|component| component.configured(self.config).role_arn.is_none());
        let boundary = self.config.iam.permissions_boundary.clone().filter(|_| own_role);
        let ours = vec![owner::OUR_NAME.to_owned()];
        match only {
            Only::Always | Only::Boundary => {}
            Only::TheseTags | Only::TheseTagsAndBoundary => {
                test("StringEquals", format!("aws:RequestTag/{}", tags::MANAGED_BY), ours);
                test("StringEquals", format!("aws:RequestTag/{}", tags::CLUSTER), vec![self.facts.arn.clone()]);
            }
            Only::TheseTagKeys => {
                let own = format!("{}/*", owner::OUR_NAME);
                let all = component::all(self.config);
                let asked = all.iter().filter_map(|component| component.role_tag(self.config, self.facts));
                let keys = [own].into_iter().chain(self.config.iam.tags.keys().cloned()).chain(asked.map(|tag| tag.0));
                let keys = keys.collect();
                test("ForAllValues:StringLike", "aws:TagKeys".to_owned(), keys);
            }
            Only::OurTagKeys => {
                let keys = vec![format!("{}/*", owner::OUR_NAME)];
                test("ForAllValues:StringLike", "aws:TagKeys".to_owned(), keys);
            }
            Only::ToPods => test("StringEquals", "iam:PassedToService".to_owned(), vec![PODS_SERVICE.to_owned()]),
            Only::Ours => test("StringEquals", format!("aws:ResourceTag/{}", tags::MANAGED_BY), ours),
            Only::ThesePolicies | Only::ThesePoliciesAndBoundary => {
                let policies = component.map(|component| self.policies(component, only)).unwrap_or_default();
                test("ArnEquals", "iam:PolicyARN".to_owned(), policies);
            }
        }
        let bounded = matches!(only, Only::TheseTagsAndBoundary | Only::ThesePoliciesAndBoundary | Only::Boundary);
        if let Some(boundary) = boundary.filter(|_| bounded) {
            test("StringEquals", "iam:PermissionsBoundary".to_owned(), vec![boundary]);
        }
        condition
    }
}

fn capital(short: &str) -> String {
    let mut letters = short.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
