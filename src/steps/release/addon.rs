//! A release whose objects an EKS add-on already looks after. Pure; called by `release.rs`.

use super::ReleaseStep;
use crate::owner::{self, Owner};
use crate::plan::Assessment;
use crate::read::eks::Addon;

impl ReleaseStep {
    /// An add-on is another manager of the same objects: used where its role is right, never installed over.
    pub(super) fn beside_addon(&self, addon: &Addon) -> Assessment {
        let what = format!("installed as an EKS add-on {}", addon.version);
        let owner = owner::of_tags(&addon.tags, &self.release.cluster_arn);
        if let Some(flag) = self.addon_flag.filter(|_| self.insists || owner.is_ours()) {
            return self.managed_by_eks(&what, flag, owner);
        }
        if self.role_arn.is_none() || addon.role_arn == self.role_arn {
            return Assessment::keep(format!("{what}, used as it is")).owned_by(Owner::EksAddon);
        }
        let (reason, mend) = match &addon.role_arn {
            Some(arn) => (format!("{what} with role {arn}"), format!("--ebs-role-arn {arn}")),
            None => (format!("{what} without a role"), format!("--disable {}", self.component)),
        };
        Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, Owner::EksAddon, reason) }
    }

    /// Moving from one manager to the other is the user's to do, since in between nobody makes volumes.
    fn managed_by_eks(&self, what: &str, flag: &str, owner: Owner) -> Assessment {
        let cluster = self.release.cluster_arn.rsplit('/').next().unwrap_or_default();
        let (name, short) = (&self.component, self.id.as_str().rsplit('.').next().unwrap_or_default());
        let first = if owner.is_ours() {
            format!("eks-bootstrap destroy --cluster {cluster} --{flag}-managed-by eks-addon --only eks.addon.{short}")
        } else {
            format!("aws eks delete-addon --cluster-name {cluster} --addon-name {name}")
        };
        let reason = format!(
            "{what}, and one set of objects has one manager; to move, run `{first}` (with --leave-volumes where there are \
             volumes), then this again: meanwhile none is made or attached, mounted ones stay mounted; to stay"
        );
        let owner = if owner.is_ours() { owner } else { Owner::EksAddon };
        let mend = format!("--{flag}-managed-by eks-addon");
        Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) }
    }
}
