//! A component that EKS installs as an add-on instead of a chart: version, role and configuration.
//!
//! The objects of an add-on have one manager. A Helm release of the same component is therefore never installed over, nor
//! taken away: the step is blocked and says in which order to move. Without a version the one that EKS has as default is
//! installed, and a newer one is left alone. What fields of others are in the way is overwritten only with `--adopt`.
//! <https://docs.aws.amazon.com/eks/latest/userguide/managing-add-ons.html>

mod absent;
mod state;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde_json::Value;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::op::Op;
use crate::op::eks::EksOp;
use crate::op::iam::Tags;
use crate::owner::{self, Owner, tags};
use crate::plan::{Action, Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::read::eks::{Addon, AddonOffer, numbers};
use crate::read::kube::ObjectRef;
use crate::read::release::{self, Release};
use crate::read::rollout;
use crate::steps::addon::state::{conflicts, sound, told};
use crate::steps::policy::adopted_from;
use crate::steps::release::value_differences;
use crate::steps::{Step, tag_diff};

/// One add-on.
#[derive(Debug, Clone)]
pub struct AddonStep {
    /// The step.
    pub id: StepId,
    /// The steps that it needs.
    pub needs: Vec<StepId>,
    /// The steps that only go first.
    pub after: Vec<StepId>,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// Its Kubernetes, as `1.35`.
    pub kubernetes_version: String,
    /// The add-on's name.
    pub name: String,
    /// Its version; none leaves it to EKS.
    pub version: Option<String>,
    /// The role of its service account; none where pods get it in another way.
    pub role_arn: Option<String>,
    /// Its configuration.
    pub configuration: Value,
    /// Our tags and the user's.
    pub tags: Tags,
    /// Namespace and name of the Helm release that installs the same.
    pub release: (String, String),
    /// The first part of the component's flags.
    pub flag: &'static str,
    /// Its objects, by which another installation is recognised.
    pub objects: Vec<ObjectRef>,
    /// Whether what someone else installed may be taken over.
    pub adopt: bool,
}

#[derive(Debug, Default)]
struct Observed {
    addon: Option<Addon>,
    /// The newest record of a Helm release of the same.
    release: Option<Release>,
    /// Its objects that exist although the add-on does not, with their owners.
    foreign: Vec<(ObjectRef, Owner)>,
    offers: Vec<AddonOffer>,
    /// Its objects that are not there although it is.
    absent: Vec<ObjectRef>,
    /// What the add-on's workloads lack.
    lacking: Option<String>,
}

impl AddonStep {
    async fn observe(&self, cx: &ReadContext) -> Result<Observed> {
        let (addon, history, offers) = futures::try_join!(
            cx.eks.addon(&self.cluster, &self.name),
            release::history(&cx.kube, &self.release.0, &self.release.1),
            cx.eks.addon_offers(&self.name, &self.kubernetes_version),
        )?;
        let found = try_join_all(self.objects.iter().map(|object| cx.kube.get(object))).await?;
        let (mut foreign, mut absent) = (Vec::new(), Vec::new());
        for (object, found) in self.objects.iter().cloned().zip(found) {
            match (&addon, found) {
                (None, Some(found)) => foreign.push((object, owner::of_object(&found))),
                (Some(_), None) => absent.push(object),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        let mut lacking = None;
        if addon.as_ref().is_some_and(|addon| addon.status == "ACTIVE") {
            let rollout = rollout::of(&cx.kube, &self.objects).await?;
            lacking = (!rollout.ready).then_some(rollout.text);
        }
        Ok(Observed { addon, release: history.into_iter().next(), foreign, offers, absent, lacking })
    }

    fn owner(&self, addon: &Addon) -> Owner {
        match owner::of_tags(&addon.tags, &self.cluster_arn) {
            Owner::Unmarked => Owner::EksAddon,
            owner => owner,
        }
    }

    /// The version that is wanted, `present` being there.
    fn wanted_version(&self, offers: &[AddonOffer], present: Option<&str>) -> Result<String> {
        let refused = |what: String| Error::Refused {
            what,
            mend: format!(
                "give --{}-addon-version one of: {}",
                self.flag,
                offers.iter().map(|offer| offer.version.as_str()).collect::<Vec<_>>().join(", ")
            ),
        };
        let offered = |version: &str| offers.iter().any(|offer| offer.version == version);
        if let Some(version) = &self.version {
            if offered(version) {
                return Ok(version.clone());
            }
            let fit = format!("EKS does not offer {} {version} for Kubernetes {}", self.name, self.kubernetes_version);
            return Err(refused(fit));
        }
        let Some(default) = offers.iter().find(|offer| offer.default).or_else(|| offers.first()) else {
            return Err(Error::Refused {
                what: format!("EKS offers no version of {} for Kubernetes {}", self.name, self.kubernetes_version),
                mend: format!("install the chart instead: --{}-managed-by helm", self.flag),
            });
        };
        let newer = present.filter(|version| offered(version) && numbers(version) >= numbers(&default.version));
        Ok(newer.unwrap_or(&default.version).to_owned())
    }

    fn diff(&self, observed: &Observed) -> Result<Assessment> {
        if let Some(release) = &observed.release {
            return Ok(self.beside_release(release));
        }
        let present = observed.addon.as_ref().map(|addon| addon.version.as_str());
        let version = self.wanted_version(&observed.offers, present)?;
        match &observed.addon {
            None => Ok(self.install(&version, &observed.foreign)),
            Some(addon) => {
                let assessment = self.converge(&version, addon, &observed.absent);
                // EKS looks at the pods now and then; what they lack now is to be seen, and waited for after a change.
                let lacking = observed.lacking.as_ref().filter(|_| assessment.action == Action::Keep);
                Ok(match lacking {
                    Some(text) => Assessment {
                        action: Action::Unknown,
                        reason: format!("{}, but {text}", assessment.reason),
                        ..assessment
                    },
                    None => assessment,
                })
            }
        }
    }

    fn beside_release(&self, release: &Release) -> Assessment {
        let (namespace, name) = &self.release;
        let ours = release.our_cluster.is_some();
        let first = if ours {
            format!("eks-bootstrap destroy --cluster {} --only {}", self.cluster, self.helm_step())
        } else {
            format!("helm uninstall {name} --namespace {namespace}")
        };
        let reason = format!(
            "installed by Helm (release {namespace}/{name}), and one set of objects has one manager; to move, run `{first}` \
             (with --leave-volumes where there are volumes), then this again: meanwhile none is made or attached, mounted ones \
             stay mounted; to stay"
        );
        let owner = Owner::Helm { release: format!("{namespace}/{name}") };
        let mend = format!("--{}-managed-by helm", self.flag);
        Assessment { mend: Some(mend), ..Assessment::blocked(&self.id, owner, reason) }
    }

    fn helm_step(&self) -> String {
        format!("helm.{}", self.id.as_str().rsplit('.').next().unwrap_or_default())
    }

    fn install(&self, version: &str, foreign: &[(ObjectRef, Owner)]) -> Assessment {
        // What an add-on left behind (it was deleted with `preserve`) is EKS' own.
        let foreign: Vec<_> = foreign.iter().filter(|(_, owner)| *owner != Owner::EksAddon).collect();
        if let Some((object, owner)) = foreign.first().filter(|_| !self.adopt) {
            let more = if foreign.len() > 1 { format!(" and {} more", foreign.len() - 1) } else { String::new() };
            let reason = format!("{object}{more} exists without the add-on, owned by {owner}");
            return Assessment::blocked(&self.id, owner.clone(), reason);
        }
        let mut fields = vec![FieldDiff::new("version", None, version.to_owned())];
        fields.extend(self.role_arn.clone().map(|arn| FieldDiff::new("serviceAccountRoleArn", None, arn)));
        fields.extend(value_differences("configuration", &Value::Null, &self.configuration));
        let empty = self.configuration.as_object().is_none_or(serde_json::Map::is_empty);
        let mut wanted = self.tags.clone();
        if let Some((_, owner)) = foreign.first() {
            wanted.insert(tags::ADOPTED_FROM.to_owned(), adopted_from(owner));
        }
        let op = EksOp::CreateAddon {
            cluster: self.cluster.clone(),
            addon: self.name.clone(),
            version: version.to_owned(),
            service_account_role_arn: self.role_arn.clone(),
            configuration_values: (!empty).then(|| self.configuration.to_string()),
            resolve_conflicts: Some(self.conflicts()),
            tags: wanted,
        };
        Assessment::create(format!("add-on {version}"), vec![self.change(fields, op)])
    }

    fn converge(&self, version: &str, addon: &Addon, absent: &[ObjectRef]) -> Assessment {
        let owner = self.owner(addon);
        let mut fields = self.fields(version, addon);
        let told = told(addon);
        if matches!(addon.status.as_str(), "CREATING" | "UPDATING" | "DELETING") {
            return Assessment::unknown(told).owned_by(owner);
        }
        if !owner.is_ours() && !self.adopt {
            let Some(first) = fields.first() else {
                return sound(addon, &format!("{told}, used as it is")).owned_by(owner);
            };
            let reason = format!("{told}, installed by someone else, and {} differs", first.path);
            return Assessment::blocked(&self.id, owner, reason);
        }
        let (mut changes, mut reasons) = (Vec::new(), Vec::new());
        // EKS makes an add-on's objects again only when the add-on is updated.
        fields.extend(
            absent.iter().map(|object| FieldDiff::new(object.to_string(), "absent".to_owned(), "there".to_owned())),
        );
        let taken = self.adopt && conflicts(addon);
        if !fields.is_empty() || addon.status.ends_with("_FAILED") || taken {
            // What EKS says comes first: it is the cause of what differs, or the only thing that is wrong.
            if addon.status != "ACTIVE" || fields.is_empty() {
                reasons.push(told.clone());
            }
            match fields.first() {
                Some(first) if fields.len() == 1 => reasons.push(format!("{} differs", first.path)),
                Some(first) => reasons.push(format!("{} and {} more differ", first.path, fields.len() - 1)),
                None => {}
            }
            let fields = if fields.is_empty() {
                vec![FieldDiff::new("status", addon.status.clone(), "ACTIVE".to_owned())]
            } else {
                fields
            };
            let op = EksOp::UpdateAddon {
                cluster: self.cluster.clone(),
                addon: self.name.clone(),
                version: Some(version.to_owned()),
                service_account_role_arn: self.role_arn.clone(),
                configuration_values: Some(self.configuration.to_string()),
                resolve_conflicts: Some(self.conflicts()),
            };
            changes.push(self.change(fields, op));
        }
        let mut wanted = self.tags.clone();
        if !owner.is_ours() {
            wanted.insert(tags::ADOPTED_FROM.to_owned(), adopted_from(&owner));
            reasons.push(format!("adopted from {owner}"));
        }
        if let Some((missing, fields)) = tag_diff(&wanted, &addon.tags) {
            changes.push(self.change(fields, EksOp::TagResource { arn: addon.arn.clone(), tags: missing }));
            reasons.push("tags differ".to_owned());
        }
        let assessment =
            if changes.is_empty() { sound(addon, &told) } else { Assessment::update(reasons.join(", "), changes) };
        assessment.owned_by(owner)
    }

    /// Version, role and configuration, each by its meaning.
    fn fields(&self, version: &str, addon: &Addon) -> Vec<FieldDiff> {
        let mut fields = Vec::new();
        if addon.version != version {
            fields.push(FieldDiff::new("version", addon.version.clone(), version.to_owned()));
        }
        if addon.role_arn != self.role_arn {
            fields.push(FieldDiff::new("serviceAccountRoleArn", addon.role_arn.clone(), self.role_arn.clone()));
        }
        let text = addon.configuration.as_deref().unwrap_or_default();
        // EKS takes JSON and YAML; what is neither differs from everything.
        let present = if text.trim().is_empty() {
            Value::Null
        } else {
            serde_saphyr::from_str(text).unwrap_or_else(|_| Value::from(text))
        };
        fields.extend(value_differences("configuration", &present, &self.configuration));
        fields
    }

    fn conflicts(&self) -> String {
        (if self.adopt { "OVERWRITE" } else { "NONE" }).to_owned()
    }

    fn change(&self, fields: Vec<FieldDiff>, op: EksOp) -> Change {
        Change { resource: self.resource(), fields, op: Op::Eks(op) }
    }
}

#[async_trait]
impl Step for AddonStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn after(&self) -> Vec<StepId> {
        self.after.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId(format!("eks/{}/addon/{}", self.cluster, self.name))
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        match goal {
            Goal::Present => self.diff(&self.observe(cx).await?),
            Goal::Absent => Ok(self.absent_diff(cx.eks.addon(&self.cluster, &self.name).await?.as_ref())),
        }
    }

    async fn hopeless(&self, cx: &ReadContext) -> Option<Error> {
        let addon = cx.eks.addon(&self.cluster, &self.name).await.ok()??;
        let mend = if conflicts(&addon) {
            format!("--adopt {} overwrites the fields of others", self.id)
        } else {
            "mend that, and run the same command again".to_owned()
        };
        addon
            .status
            .ends_with("_FAILED")
            .then(|| Error::Refused { what: format!("{}: {}", self.name, told(&addon)), mend })
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        let addon = cx.eks.addon(&self.cluster, &self.name).await.ok()?;
        let rollout = rollout::of(&cx.kube, &self.objects).await.ok()?;
        Some([addon.map(|addon| told(&addon)), Some(rollout.text)].into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}
