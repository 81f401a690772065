//! A namespace for components that are not installed in one that every cluster has. One that somebody made is used as it is;
//! one of ours goes with the last component in it, and only when nothing of anybody else is in it, since Kubernetes deletes a
//! namespace with everything inside.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::context::ReadContext;
use crate::error::Result;
use crate::object::{items, text};
use crate::op::Op;
use crate::op::kube::KubeOp;
use crate::owner::{self, Owner};
use crate::plan::{Action, Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::held::{self, parting_alone};
use crate::read::kube::ObjectRef;
use crate::read::release;
use crate::steps::{Step, settled};

/// How many objects of others are named.
const SHOWN: usize = 3;

/// Namespaces of every cluster. <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>
const EVERYWHERE: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Kinds that Kubernetes and its controllers keep for others, and that nobody misses.
const BOOKKEEPING: [&str; 5] = ["ControllerRevision", "Endpoints", "EndpointSlice", "Event", "Lease"];

/// Whether there has to be a step for a namespace.
pub fn is_made(namespace: &str) -> bool {
    !EVERYWHERE.contains(&namespace)
}

/// The id of that step; components that share a namespace share it.
pub fn id(namespace: &str) -> StepId {
    StepId::from(format!("k8s.namespace.{namespace}"))
}

/// One namespace.
#[derive(Debug, Clone)]
pub struct NamespaceStep {
    /// The step.
    pub id: StepId,
    /// Its name.
    pub name: String,
    /// The releases of ours in it.
    pub releases: Vec<String>,
}

impl NamespaceStep {
    fn reference(&self) -> ObjectRef {
        ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", &self.name) }
    }

    fn change(&self, fields: Vec<FieldDiff>, op: KubeOp) -> Vec<Change> {
        vec![Change { resource: self.resource(), fields, op: Op::Kube(op) }]
    }

    fn present(&self, observed: Option<&Value>) -> Assessment {
        if let Some(observed) = observed {
            return Assessment::keep("exists").owned_by(owner::of_object(observed));
        }
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, "labels": {owner::MANAGED_BY_LABEL: owner::OUR_NAME}},
        });
        let fields = vec![FieldDiff::new("metadata.name", None, self.name.clone())];
        Assessment::create(
            format!("for {}", self.releases.join(", ")),
            self.change(fields, KubeOp::Apply { object, force: false }),
        )
    }

    /// What hooks of our releases made here, which carries no mark of its release and is deleted after it.
    async fn hooked(&self, cx: &ReadContext) -> Result<BTreeSet<(String, String)>> {
        let histories = self.releases.iter().map(|release| release::history(&cx.kube, &self.name, release));
        let hooks = try_join_all(histories).await?.into_iter().flatten().flat_map(|release| release.hooks);
        let here = hooks.map(|hook| hook.object).filter(|object| object.namespace.as_deref() == Some(&self.name));
        Ok(here.map(|object| (object.kind, object.name)).collect())
    }

    fn absent(&self, observed: &Value, contents: &[Value]) -> Assessment {
        let owner = owner::of_object(observed);
        if owner != (Owner::Ours { adopted: false }) {
            return Assessment::skip(format!("belongs to {owner}, left as it is")).owned_by(owner);
        }
        let others: Vec<_> = contents.iter().filter(|object| !self.goes_along(object)).collect();
        if !others.is_empty() {
            let names: Vec<_> = others.iter().take(SHOWN).map(|object| name(object)).collect();
            let more = others.len().saturating_sub(SHOWN);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            return Assessment::skip(format!("stays, since it holds what is not ours: {}{more}", names.join(", ")))
                .owned_by(owner);
        }
        let fields = vec![FieldDiff::new("metadata.name", self.name.clone(), None)];
        Assessment::delete("ours, deleted", self.change(fields, KubeOp::Delete { object: self.reference() }))
            .owned_by(owner)
    }

    /// Whether an object is ours, or of our releases, or somebody's bookkeeping.
    fn goes_along(&self, object: &Value) -> bool {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        let of_release = |release: &str| self.releases.iter().any(|ours| ours == release);
        let record = text(object, "/type") == "helm.sh/release.v1" && of_release(text(object, "/metadata/labels/name"));
        BOOKKEEPING.contains(&kind)
            || matches!((kind, name), ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt"))
            || record
            || of_release(text(object, "/metadata/annotations/meta.helm.sh~1release-name"))
            || owner::of_object(object).is_ours()
            || items(object, "/metadata/ownerReferences").next().is_some()
            || parting_alone(object).is_some()
    }
}

fn name(object: &Value) -> String {
    format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"))
}

#[async_trait]
impl Step for NamespaceStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        Vec::new()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(self.reference().to_string())
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        if goal == Goal::Present {
            let observed = settled(cx, &self.reference()).await?;
            return Ok(match &observed {
                Some(observed) => held::parting(&cx.kube, observed).await.map(Assessment::unknown),
                None => None,
            }
            .unwrap_or_else(|| self.present(observed.as_ref())));
        }
        let Some(observed) = cx.kube.get(&self.reference()).await? else { return Ok(Assessment::keep("absent")) };
        if owner::of_object(&observed) != (Owner::Ours { adopted: false }) {
            return Ok(self.absent(&observed, &[]));
        }
        let (mut contents, hooked) = futures::try_join!(cx.kube.contents(&self.name), self.hooked(cx))?;
        contents.retain(|object| {
            let address = (text(object, "/kind").to_owned(), text(object, "/metadata/name").to_owned());
            text(object, "/metadata/annotations/helm.sh~1hook").is_empty() || !hooked.contains(&address)
        });
        let assessment = self.absent(&observed, &contents);
        Ok(match held::parting(&cx.kube, &observed).await {
            Some(reason) if assessment.action == Action::Delete => Assessment { reason, ..assessment },
            _ => assessment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> NamespaceStep {
        NamespaceStep { id: id("dns"), name: "dns".to_owned(), releases: vec!["dns".to_owned()] }
    }

    fn namespace(owner: &str) -> Value {
        json!({"kind": "Namespace", "metadata": {"name": "dns", "labels": {"app.kubernetes.io/managed-by": owner}}})
    }

    #[test]
    fn one_that_exists_is_used_and_one_that_does_not_is_made() {
        assert_eq!(step().present(Some(&namespace("eksctl"))).action, Action::Keep);
        let made = step().present(None);
        assert_eq!((made.action, made.changes.len()), (Action::Create, 1));
    }

    #[test]
    fn nothing_of_others_is_deleted_with_it() {
        assert_eq!(step().absent(&namespace("eksctl"), &[]).action, Action::Skip);
        let object = |kind: &str, name: &str, metadata: Value| {
            let mut object = json!({"kind": kind, "metadata": metadata});
            object["metadata"]["name"] = json!(name);
            object
        };
        let release = |name: &str| json!({"annotations": {"meta.helm.sh/release-name": name}});
        let mut along = vec![
            object("ServiceAccount", "default", json!({})),
            object("ConfigMap", "kube-root-ca.crt", json!({})),
            object("Lease", "leader", json!({})),
            object("Deployment", "dns", release("dns")),
            object("Pod", "dns-1", json!({"ownerReferences": [{"name": "dns"}]})),
            object("ServiceAccount", "dns", json!({"labels": {"app.kubernetes.io/managed-by": "eks-bootstrap"}})),
        ];
        assert_eq!(step().absent(&namespace("eks-bootstrap"), &along).action, Action::Delete);
        along.push(object("Deployment", "mine", release("another")));
        along.push(object("ConfigMap", "mine", json!({})));
        let stays = step().absent(&namespace("eks-bootstrap"), &along);
        assert_eq!(stays.action, Action::Skip);
        assert!(stays.reason.ends_with("Deployment mine, ConfigMap mine"), "{}", stays.reason);
    }
}
