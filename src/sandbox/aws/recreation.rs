//! A cluster that is deleted and made again under its name. Its ARN stays the same; the issuer is another one, and what EKS
//! kept in the cluster is gone. IAM learns nothing of it: roles and OIDC providers stay behind.

use super::Simulator;

impl Simulator {
    /// Deletes a cluster of the seed's region and makes it again at once. Returns its new issuer; none where there is no such cluster.
    pub fn recreate_cluster(&self, cluster: &str) -> Option<String> {
        let now = self.0.clock.now();
        let mut state = self.state();
        let world = &mut state.world;
        let id = world.unique_hex(32).to_ascii_uppercase();
        let found = world.clusters.get_mut(&(world.region.clone(), cluster.to_owned()))?;
        let gone = found.recreate(now, &id);
        let issuer = found.issuer.clone();
        for arn in gone {
            world.tag_index.record(&arn, now, None);
        }
        Some(issuer)
    }
}
