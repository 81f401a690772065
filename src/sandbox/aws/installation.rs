//! What others have to know of an add-on: the stand-in that installs its objects, and tests that let it fail.

use super::Simulator;
use super::seed_cluster::SeedIssue;
use super::world::World;

/// How an add-on's next creation or update ends: its status and what EKS finds wrong with it.
pub(super) type Outcome = (String, Vec<SeedIssue>);

/// What of an add-on decides about its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The role of its service account.
    pub role_arn: Option<String>,
    /// Its configuration: JSON or YAML text.
    pub configuration: Option<String>,
    /// Its version.
    pub version: String,
    /// When it was last updated: every update makes its objects again.
    pub modified: jiff::Timestamp,
    /// What happens where others own fields that it sets: the request's `resolveConflicts`.
    pub on_conflict: OnConflict,
}

/// What EKS does with a field that it sets and that another field manager owns with another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// `NONE`, and what holds where nothing is said: nothing is changed, and the creation or update fails.
    Fail,
    /// `OVERWRITE`: the field becomes EKS'.
    Overwrite,
    /// `PRESERVE`: the field stays. The stand-in leaves the whole object that has such a field as it is.
    Preserve,
}

/// What is to become of the objects of an add-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddonObjects {
    /// They are to be in the cluster.
    Wanted(Installation),
    /// Nothing changes them: the creation or update has failed, or the add-on was deleted with `preserve`.
    AsTheyAre,
    /// They go, where there are any.
    Gone,
}

impl Simulator {
    /// Lets the next creation or update of an add-on end in another status than ACTIVE.
    pub fn addon_ends(&self, addon: &str, status: &str, issues: Vec<SeedIssue>) {
        self.state().world.addon_outcomes.insert(addon.to_owned(), (status.to_owned(), issues));
    }

    /// Sets the health of an add-on that exists.
    pub fn set_addon_health(&self, cluster: &str, addon: &str, status: &str, issues: &[SeedIssue]) {
        let mut state = self.state();
        for found in state.world.clusters.values_mut().filter(|found| found.name == cluster) {
            found.set_addon_health(addon, status, issues);
        }
    }

    /// What is to become of an add-on's objects.
    pub fn addon_objects(&self, cluster: &str, addon: &str) -> AddonObjects {
        let now = self.0.clock.now();
        let state = self.state();
        let found = state.world.clusters.values().find(|found| found.name == cluster);
        found.map_or(AddonObjects::AsTheyAre, |found| found.addon_objects(addon, now))
    }

    /// An add-on's creation or update has failed, since others own fields that it sets.
    pub fn addon_conflicted(&self, cluster: &str, addon: &str, message: &str) {
        let mut state = self.state();
        for found in state.world.clusters.values_mut().filter(|found| found.name == cluster) {
            found.addon_conflicted(addon, message);
        }
    }
}

impl World {
    /// How the creation or update of an add-on ends.
    pub(super) fn outcome_of(&mut self, addon: &str) -> Outcome {
        self.addon_outcomes.remove(addon).unwrap_or_else(|| ("ACTIVE".to_owned(), Vec::new()))
    }
}
