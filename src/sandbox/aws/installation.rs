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

    /// What is to be in the cluster for an add-on; none where it is not ACTIVE or DEGRADED.
    pub fn installation(&self, cluster: &str, addon: &str) -> Option<Installation> {
        let now = self.0.clock.now();
        let state = self.state();
        let found = state.world.clusters.values().find(|found| found.name == cluster)?;
        let status = found.addon_status(addon, now)?;
        matches!(status, "ACTIVE" | "DEGRADED" | "UPDATING").then(|| found.installation(addon)).flatten()
    }
}

impl World {
    /// How the creation or update of an add-on ends.
    pub(super) fn outcome_of(&mut self, addon: &str) -> Outcome {
        self.addon_outcomes.remove(addon).unwrap_or_else(|| ("ACTIVE".to_owned(), Vec::new()))
    }
}
