//! Who else keeps the objects of a release as they want them: a Helm release of another name or with its record in another
//! namespace, Flux, Argo CD. Flux keeps the record of a HelmRelease in that resource's namespace, not in the release's own
//! (<https://fluxcd.io/flux/components/helm/helmreleases/#storage-namespace>), where helm and we would look for it.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::owner::{self, Owner};
use crate::read::kube::{KubeRead, ObjectRef};
use crate::read::release;

/// Versions of Flux's HelmRelease, newest first.
const HELM_RELEASE: [&str; 2] = ["helm.toolkit.fluxcd.io/v2", "helm.toolkit.fluxcd.io/v2beta2"];

/// Somebody else who manages objects of a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherManager {
    /// Flux's resource as kind, namespace and name, where it is Flux.
    flux: Option<(String, String, String)>,
    /// Argo CD's application, where it is that.
    application: Option<String>,
    /// Namespace and name of the Helm release.
    pub record: Option<(String, String)>,
    /// What is known of that record.
    pub seen: Record,
    /// Whether it is known to have stopped: suspended, or gone.
    pub stopped: bool,
}

/// What is known of a release's record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// It is there: chart and status.
    There(String),
    /// There is none.
    Absent,
    /// It cannot be read.
    Unread,
}

impl OtherManager {
    /// Whether it changes back whatever somebody else changes.
    pub fn reconciles(&self) -> bool {
        (self.flux.is_some() || self.application.is_some()) && !self.stopped
    }

    /// The command, or the thing to do, after which it leaves the objects alone.
    pub fn stop(&self) -> String {
        match (&self.flux, &self.application, &self.record) {
            (Some((kind, namespace, name)), ..) => {
                format!("flux suspend {} {name} -n {namespace}", kind.to_lowercase())
            }
            (None, Some(application), _) => format!("remove the chart from Argo CD application {application}"),
            (None, None, Some((namespace, name))) => {
                format!("kubectl delete secret -n {namespace} -l owner=helm,name={name}")
            }
            (None, None, None) => "remove it there".to_owned(),
        }
    }

    /// What is to be said where its objects are taken over.
    pub fn warning(&self) -> String {
        match &self.record {
            Some((namespace, name)) if self.seen != Record::Absent => {
                let of = if self.flux.is_some() { " of Flux's" } else { "" };
                format!("a second record{of} stays, {namespace}/{name}: {}", self.forget())
            }
            _ => format!("{self} managed them: {}", self.stop()),
        }
    }

    /// The command that takes its record of the release away and leaves the objects; once it has stopped.
    pub fn forget(&self) -> String {
        match &self.record {
            Some((namespace, name)) => format!("kubectl delete secret -n {namespace} -l owner=helm,name={name}"),
            None => self.stop(),
        }
    }

    /// Whether a second record of the release is there.
    pub fn has_record(&self) -> bool {
        matches!(self.seen, Record::There(_))
    }
}

impl fmt::Display for OtherManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manager = match (&self.flux, &self.application) {
            (Some((kind, namespace, name)), _) => Some(format!("Flux ({kind} {namespace}/{name})")),
            (None, Some(application)) => Some(format!("Argo CD (application {application})")),
            (None, None) => None,
        };
        let record = self.record.as_ref().map(|(namespace, name)| match &self.seen {
            Record::There(what) => format!("Helm release {name}, recorded in namespace {namespace} ({what})"),
            Record::Absent => format!("Helm release {name}, of which namespace {namespace} holds no record"),
            Record::Unread => format!("Helm release {name}, whose record in namespace {namespace} cannot be read"),
        });
        match (manager, record) {
            (Some(manager), Some(record)) => write!(f, "{manager}: {record}"),
            (Some(manager), None) => f.write_str(&manager),
            (None, Some(record)) => f.write_str(&record),
            (None, None) => f.write_str("someone else"),
        }
    }
}

#[cfg(test)]
impl OtherManager {
    /// Who the marks of an object name, with what its record would be.
    pub(crate) fn example(object: &Value, record: &str, stopped: bool) -> OtherManager {
        let other = named(("kube-system", "aws-ebs-csi-driver"), std::slice::from_ref(object)).into_iter().next();
        OtherManager { seen: Record::There(record.to_owned()), stopped, ..other.unwrap() }
    }
}

/// Everybody else whose marks the objects of release `own` (namespace and name) carry. What cannot be read is said to be so: a caller
/// who may not look into another namespace still gets the rest.
pub async fn of(kube: &KubeRead, own: (&str, &str), objects: &[Value]) -> Vec<OtherManager> {
    let mut all = Vec::new();
    for mut other in named(own, objects) {
        if let Some((kind, namespace, name)) = other.flux.clone()
            && kind == "HelmRelease"
        {
            let resource = helm_release(kube, &namespace, &name).await;
            other.stopped = match &resource {
                Ok(None) => true,
                Ok(Some(resource)) => resource["spec"]["suspend"] == true,
                Err(()) => false,
            };
            let storage =
                resource.ok().flatten().and_then(|it| it["spec"]["storageNamespace"].as_str().map(str::to_owned));
            if let (Some(storage), Some(record)) = (storage, other.record.as_mut()) {
                record.0 = storage;
            }
        }
        // Where the record is ours, there is no second one.
        other.record = other.record.filter(|(namespace, name)| (namespace.as_str(), name.as_str()) != own);
        if let Some((namespace, name)) = &other.record {
            other.seen = match release::history(kube, namespace, name).await {
                Ok(history) => history.first().map_or(Record::Absent, |latest| {
                    Record::There(format!("{} {}, {}", latest.chart, latest.chart_version, latest.status))
                }),
                Err(_) => Record::Unread,
            };
        }
        all.push(other);
    }
    all
}

async fn helm_release(kube: &KubeRead, namespace: &str, name: &str) -> Result<Option<Value>, ()> {
    for version in HELM_RELEASE {
        let reference = ObjectRef {
            api_version: version.to_owned(),
            kind: "HelmRelease".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        };
        if let Some(found) = kube.get(&reference).await.map_err(|_| ())? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Who the marks name, with the place in which the record then is.
fn named(own: (&str, &str), objects: &[Value]) -> BTreeSet<OtherManager> {
    let mut all = BTreeSet::new();
    for object in objects {
        let marked = owner::helm_release(object);
        let marked = marked.as_deref().and_then(|release| release.split_once('/'));
        let nobody = OtherManager { flux: None, application: None, record: None, seen: Record::Absent, stopped: false };
        let text = |(namespace, name): (&str, &str)| (namespace.to_owned(), name.to_owned());
        match owner::of_object(object) {
            Owner::Flux { .. } => {
                let Some((kind, namespace, name)) = owner::flux_resource(object) else { continue };
                let record = (kind == "HelmRelease")
                    .then(|| (namespace.clone(), marked.map_or(own.1, |(_, release)| release).to_owned()));
                all.insert(OtherManager { flux: Some((kind.to_owned(), namespace, name)), record, ..nobody });
            }
            Owner::ArgoCd { application } => {
                all.insert(OtherManager { application: Some(application), ..nobody });
            }
            Owner::Helm { .. } if marked.is_some_and(|marked| marked != own) => {
                all.insert(OtherManager { record: marked.map(text), ..nobody });
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OWN: (&str, &str) = ("kube-system", "ebs");

    fn object(labels: &Value, release: Option<(&str, &str)>) -> Value {
        let annotations = release.map_or(
            json!({}),
            |(namespace, name)| json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}),
        );
        json!({"metadata": {"name": "x", "labels": labels, "annotations": annotations}})
    }

    #[test]
    fn the_record_of_a_helm_release_of_flux_is_in_its_own_namespace() {
        let flux = json!({"helm.toolkit.fluxcd.io/name": "ebs", "helm.toolkit.fluxcd.io/namespace": "flux-system"});
        let all = named(OWN, &[object(&flux, Some(OWN)), object(&flux, Some(OWN)), object(&json!({}), Some(OWN))]);
        assert_eq!(all.len(), 1);
        let mut other = all.into_iter().next().unwrap();
        assert_eq!(other.record, Some(("flux-system".to_owned(), "ebs".to_owned())));
        assert!(other.reconciles());
        other.seen = Record::There("aws-ebs-csi-driver 2.64.0, deployed".to_owned());
        assert_eq!(
            other.to_string(),
            "Flux (HelmRelease flux-system/ebs): Helm release ebs, recorded in namespace flux-system \
             (aws-ebs-csi-driver 2.64.0, deployed)"
        );
        assert_eq!(other.stop(), "flux suspend helmrelease ebs -n flux-system");
        other.stopped = true;
        assert!(!other.reconciles());
        assert_eq!(
            other.warning(),
            "a second record of Flux's stays, flux-system/ebs: kubectl delete secret -n flux-system -l owner=helm,name=ebs"
        );
    }

    #[test]
    fn other_releases_and_argo_cd_are_named_and_our_own_marks_are_nobody_else() {
        let argo = json!({"argocd.argoproj.io/instance": "platform"});
        let all =
            named(OWN, &[object(&argo, None), object(&json!({}), Some(("ingress", "lb"))), object(&json!({}), None)]);
        let texts: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        let expected =
            ["Argo CD (application platform)", "Helm release lb, of which namespace ingress holds no record"];
        assert_eq!(texts, expected.map(ToOwned::to_owned).into());
        assert_eq!(named(OWN, &[object(&json!({"app.kubernetes.io/managed-by": "Helm"}), Some(OWN))]), BTreeSet::new());
    }
}
