//! The objects that a release was seen to have, for what has to be known when its record is gone or before it is there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::ReleaseStep;
use crate::object::annotation;
use crate::read::kube::ObjectRef;
use crate::read::release::Release;

/// Objects, collected over the plans of a run.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<BTreeSet<ObjectRef>>>);

impl Seen {
    /// All of them.
    pub(super) fn all(&self) -> Vec<ObjectRef> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, objects: impl Iterator<Item = ObjectRef>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(objects);
    }
}

impl ReleaseStep {
    pub(super) fn remember(&self, objects: impl Iterator<Item = ObjectRef>) {
        self.seen.add(objects);
    }

    /// Keeps what goes with the release: the record, which goes first, names objects as the user's values call them.
    pub(super) fn remember_recorded(&self, latest: &Release) {
        let pairs = latest.objects.iter().zip(&latest.documents);
        let goes = pairs.filter(|(_, document)| annotation(document, "helm.sh/resource-policy") != Some("keep"));
        self.seen.add(goes.map(|(object, _)| object.clone()));
    }

    /// Where what a removed release has left would be.
    pub(super) fn left_over(&self) -> Vec<ObjectRef> {
        let known: BTreeSet<_> = self.guarded_objects.iter().cloned().chain(self.seen.all()).collect();
        known.into_iter().collect()
    }
}
