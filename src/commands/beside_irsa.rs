//! Pod Identity associations of components that are to use IRSA.
//!
//! EKS' webhook looks for an association first and then leaves the service account's annotation without effect
//! (`buildPodPatchConfig` of aws/amazon-eks-pod-identity-webhook). So whatever a plan does for IRSA would be undone at the next
//! start of a pod, and half a move back would look like a whole one. Called by `assess.rs`.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use crate::component::{self, Component, ServiceAccountMaker};
use crate::config::Identity;
use crate::context::ReadContext;
use crate::error::Result;
use crate::names;
use crate::owner::{self, Owner};
use crate::plan::{Action, Assessment, Diagnostic, Goal, PlannedStep, StepId};
use crate::read::eks::AssociationDetail;

/// An association that takes the place of an annotation.
pub(super) struct Beside {
    component: Component,
    /// The step that installs it.
    installer: StepId,
    /// Its id.
    association: String,
    /// What EKS tells of it; none where the caller may not read that.
    detail: Option<AssociationDetail>,
}

/// Looks for them, unless a move or a removal is under way, which look at associations themselves.
///
/// # Errors
/// A read that failed.
pub(super) async fn of(cx: &ReadContext, goal: Goal) -> Result<Vec<Beside>> {
    let (config, facts) = (cx.config.as_ref(), cx.facts.as_ref());
    let wanted = component::wanted(config, facts);
    let annotated: Vec<_> = wanted
        .into_iter()
        .filter(|it| it.has_role() && it.identity(config) == Identity::Irsa && !config.migrating.contains(it.name))
        .collect();
    if goal == Goal::Absent || annotated.is_empty() {
        return Ok(Vec::new());
    }
    let namespaces: BTreeSet<_> = annotated.iter().map(|component| component.namespace).collect();
    let listed = namespaces.into_iter().map(|namespace| cx.eks.associations(&facts.cluster, namespace));
    let listed: Vec<_> = try_join_all(listed).await?.into_iter().flatten().collect();
    let mut all = Vec::new();
    for component in annotated {
        let has = |it: &&crate::read::eks::Association| {
            (it.namespace.as_str(), it.service_account.as_str()) == (component.namespace, component.service_account)
        };
        let Some(found) = listed.iter().find(has) else { continue };
        let detail = cx.eks.association(&facts.cluster, component.namespace, component.service_account).await;
        let detail = match detail {
            Err(error) if error.denied() => None,
            detail => detail?,
        };
        let installer = StepId::from(format!("{}.{}", component.installer(config), component.short));
        all.push(Beside { component, installer, association: found.id.clone(), detail });
    }
    Ok(all)
}

/// Blocks the steps that give the component's pods their role by an annotation. Somebody else's association with the same role
/// does no harm and is only told.
pub(super) fn block(cx: &ReadContext, steps: &mut [PlannedStep], beside: Result<Vec<Beside>>) -> Vec<Diagnostic> {
    let note = |message: String| Diagnostic { severity: "note", message };
    let beside = match beside {
        Ok(beside) => beside,
        Err(error) => return vec![note(format!("Pod Identity associations could not be looked at: {error}"))],
    };
    let mut told = Vec::new();
    for Beside { component, installer, association, detail } in beside {
        let short = component.short;
        let owner = match &detail {
            Some(AssociationDetail { addon_arn: Some(_), .. }) => Owner::EksAddon,
            Some(detail) => owner::of_tags(&detail.tags, &cx.facts.arn),
            None => owner::of_tags(&BTreeMap::default(), &cx.facts.arn),
        };
        let (role, same_role) = match &detail {
            Some(detail) => (
                format!("role {}", names::last_part(&detail.role_arn)),
                detail.role_arn == component.role_arn(&cx.config, &cx.facts),
            ),
            None => ("a role that may not be read (eks:DescribePodIdentityAssociation)".to_owned(), false),
        };
        let gets = format!(
            "pods of {}/{} get {role} by Pod Identity association {association} of {owner}, beside which an annotation has no \
             effect",
            component.namespace, component.service_account
        );
        if same_role && !owner.is_ours() {
            told.push(note(format!("{gets}; --identity {short}=pod-identity says so too")));
            continue;
        }
        let adopt = if owner.is_ours() { String::new() } else { format!(" --adopt eks.pod-identity.{short}") };
        let mend = format!("--identity {short}=pod-identity{adopt}");
        let reason =
            format!("{gets}; `eks-bootstrap migrate --to irsa --component {short}{adopt}` moves it back; to stay");
        let by_chart = component.service_account_maker == ServiceAccountMaker::Chart;
        let writes = [StepId::from(format!("iam.role.{short}")), StepId::from(format!("k8s.service-account.{short}"))];
        let writes = writes.into_iter().chain(by_chart.then_some(installer));
        for id in writes {
            let Some(step) = steps.iter_mut().find(|step| step.id == id) else { continue };
            if step.assessment.action != Action::Blocked {
                let blocked = Assessment::blocked(&step.id, owner.clone(), reason.clone());
                step.assessment = Assessment { mend: Some(mend.clone()), ..blocked };
            }
        }
    }
    told
}
