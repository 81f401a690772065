//! Tagged things of services that are not simulated (load balancers, volumes): put there and taken away by the sandbox's
//! stand-ins for controllers, and seen by everyone through the tagging API.
//!
//! Not an EC2 or ELB: nothing but the ARN and the tags exists.

use std::collections::BTreeMap;

use super::Simulator;
use super::seed::Tags;

impl Simulator {
    /// Adds a tagged resource, or replaces its tags.
    pub fn put_resource(&self, arn: &str, tags: &Tags) {
        let now = self.0.clock.now();
        self.state().world.tag_index.record(arn, now, Some(tags));
    }

    /// Takes a tagged resource away; one that is not there is no error.
    pub fn remove_resource(&self, arn: &str) {
        let now = self.0.clock.now();
        let mut state = self.state();
        if state.world.tag_index.present(arn).is_some() {
            state.world.tag_index.record(arn, now, None);
        }
    }

    /// Returns everything that has tags now, by ARN, without the tagging API's delay.
    pub fn tagged_resources(&self) -> BTreeMap<String, Tags> {
        self.state().world.tag_index.all()
    }
}
