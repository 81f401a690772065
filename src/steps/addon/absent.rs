//! What is left to do until an add-on of ours is gone, or given back; called by `addon.rs` for `Goal::Absent`. Pure.

use crate::op::eks::EksOp;
use crate::owner::Owner;
use crate::plan::{Assessment, FieldDiff};
use crate::read::eks::Addon;
use crate::steps::addon::AddonStep;
use crate::steps::addon::state::told;
use crate::steps::our_tag_keys;

impl AddonStep {
    pub(super) fn absent_diff(&self, addon: Option<&Addon>) -> Assessment {
        let Some(addon) = addon else { return Assessment::keep("absent") };
        let owner = self.owner(addon);
        match owner {
            Owner::Ours { adopted: false } if addon.status == "DELETING" => {
                Assessment::unknown(told(addon)).owned_by(owner)
            }
            Owner::Ours { adopted: false } => {
                let fields = vec![FieldDiff::new("version", addon.version.clone(), None)];
                let (cluster, addon) = (self.cluster.clone(), self.name.clone());
                let op = EksOp::DeleteAddon { cluster, addon, preserve: false };
                Assessment::delete("ours, deleted with its objects", vec![self.change(fields, op)]).owned_by(owner)
            }
            Owner::Ours { adopted: true } => {
                let keys = our_tag_keys(&addon.tags);
                let fields = keys
                    .iter()
                    .map(|key| FieldDiff::new(format!("tags.{key}"), addon.tags.get(key).cloned(), None::<String>));
                let change = self.change(fields.collect(), EksOp::UntagResource { arn: addon.arn.clone(), keys });
                Assessment::update("adopted, so given back: stays installed, our tags go", vec![change]).owned_by(owner)
            }
            owner => Assessment::skip("installed by someone else, left as it is").owned_by(owner),
        }
    }
}
