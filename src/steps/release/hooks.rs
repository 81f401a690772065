//! What the hooks of a release made or will make and helm leaves behind; called by `release.rs` for `Goal::Absent`.

use std::collections::BTreeSet;

use super::partly;
use crate::error::{Denied, Result};
use crate::object::text;
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::release::Release;

/// The objects to delete once the release is uninstalled, and what may not be read of them. An object of that name that no
/// hook made is somebody else's; one that the chart says to keep stays.
pub(super) async fn left(kube: &KubeRead, history: &[Release]) -> Result<(Vec<ObjectRef>, Vec<Denied>)> {
    let all = history.iter().flat_map(|release| &release.hooks);
    let named: BTreeSet<_> = all.clone().map(|hook| hook.object.clone()).collect();
    // Those of a removal do not exist yet.
    let comes = |object: &ObjectRef| all.clone().any(|hook| hook.object == *object && hook.stays_after_removal);
    let (found, denied) = partly::each(kube, &named.into_iter().collect::<Vec<_>>()).await?;
    let goes = found.into_iter().filter(|(object, live)| match live {
        Some(live) => {
            let annotation = |name: &str| text(live, &format!("/metadata/annotations/helm.sh~1{name}"));
            !annotation("hook").is_empty() && annotation("resource-policy") != "keep"
        }
        None => comes(object),
    });
    Ok((goes.map(|(object, _)| object).collect(), denied))
}
