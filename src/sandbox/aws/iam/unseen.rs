//! What IAM's own reads do not show yet: roles, policies, providers and attachments that were made a moment ago.
//!
//! "Changes that you make in IAM ... might not be immediately visible": IAM's user guide, "Changes that I make are not always immediately
//! visible". Writes know at once what is there, and reads show at once what is gone.

use jiff::Timestamp;

use super::policy::Policy;
use super::provider::Provider;
use super::role::Role;
use crate::sandbox::aws::clock::visible;
use crate::sandbox::aws::error::Result;
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::world::{CallContext, World};
use crate::sandbox::aws::xml::Xml;

/// Answers an IAM call; reads look at the account without what they do not show yet.
pub(in super::super) fn call(world: &mut World, cx: &CallContext, operation: &str, form: &Form) -> Result<Option<Xml>> {
    if world.read_lag.is_zero() || !(operation.starts_with("Get") || operation.starts_with("List")) {
        return super::call(world, cx, operation, form);
    }
    let unseen = Unseen::take(world, cx.now);
    let answer = super::call(world, cx, operation, form);
    unseen.give_back(world);
    answer
}

/// What was taken out of the account for the time of a read.
struct Unseen {
    roles: Vec<(String, Role)>,
    policies: Vec<(String, Policy)>,
    providers: Vec<(String, Provider)>,
    /// Role, policy, and since when.
    attachments: Vec<(String, String, Timestamp)>,
}

impl Unseen {
    fn take(world: &mut World, now: Timestamp) -> Self {
        let lag = world.read_lag;
        let fresh = |made: Timestamp| !visible(made, lag, now);
        let mut attachments = Vec::new();
        for (name, role) in &mut world.roles {
            let attached = role.attached.extract_if(.., |_, since| fresh(*since));
            attachments.extend(attached.map(|(policy, since)| (name.clone(), policy, since)));
        }
        Self {
            attachments,
            roles: world.roles.extract_if(.., |_, role| fresh(role.created)).collect(),
            policies: world.policies.extract_if(.., |_, policy| fresh(policy.created)).collect(),
            providers: world.providers.extract_if(.., |_, provider| fresh(provider.created)).collect(),
        }
    }

    fn give_back(self, world: &mut World) {
        world.roles.extend(self.roles);
        world.policies.extend(self.policies);
        world.providers.extend(self.providers);
        for (role, policy, since) in self.attachments {
            if let Some(role) = world.roles.get_mut(&role) {
                role.attached.insert(policy, since);
            }
        }
    }
}
