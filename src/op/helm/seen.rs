//! What is to be seen in the cluster that explains why helm failed, where helm itself cannot know it.

use crate::error::{Kind, Refusal, Seen};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::{held, rollout};

/// Looks. Helm that waited in vain is explained by the pods of `objects`, and a namespace that goes by what holds it; a
/// refusal of another kind explains itself, and pods beside it would only mislead.
pub(super) async fn of(kube: &KubeRead, message: &str, namespace: &str, objects: &[ObjectRef]) -> Option<Seen> {
    match Refusal::of_text(message).map(|refusal| refusal.kind) {
        Some(Kind::NamespaceTerminating) => {
            let reference = ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", namespace) };
            let found = kube.get(&reference).await.ok()??;
            held::parting(kube, &found).await.map(Seen)
        }
        Some(kind) if !kind.is_a_wait() => None,
        _ => rollout::of(kube, objects).await.ok()?.cause.map(Seen),
    }
}
