//! What the plan has to say of versions: outside of what was tried, and a policy that stays older than the controller.

use super::warning;
use crate::component::{self, Component};
use crate::context::ReadContext;
use crate::error::Result;
use crate::names::last_part;
use crate::owner;
use crate::plan::{Diagnostic, StepId};
use crate::versions;

/// Versions outside of what was tried.
pub(super) fn tried(cx: &ReadContext) -> Vec<Diagnostic> {
    let wanted = component::wanted(&cx.config, &cx.facts);
    let charts = wanted.iter().filter(|component| !component.configured(&cx.config).is_addon());
    let charts = charts.filter(|component| cx.config.chooses(&id("helm", component)));
    let told = charts.filter_map(|it| versions::of_chart(it, &it.configured(&cx.config).version));
    told.chain(versions::of_kubernetes(&wanted, &cx.facts.kubernetes_version)).map(warning).collect()
}

/// Policies that this run leaves as they are and that lack what the wanted chart's software calls.
pub(super) async fn policies(cx: &ReadContext) -> Result<Vec<Diagnostic>> {
    let mut all = Vec::new();
    for component in component::wanted(&cx.config, &cx.facts) {
        all.extend(policy(cx, &component).await?);
    }
    Ok(all)
}

async fn policy(cx: &ReadContext, component: &Component) -> Result<Option<Diagnostic>> {
    let chart = &component.configured(&cx.config).version;
    let newest = component.document(&cx.config, &cx.facts);
    let (Some(newest), Some(app)) = (newest, versions::app_of(component, chart)) else {
        return Ok(None);
    };
    let step = id("iam.policy", component);
    // Without the chart nothing calls more than before.
    if !cx.config.chooses(&id("helm", component)) {
        return Ok(None);
    }
    let arn = component.policy_arn(&cx.config, &cx.facts);
    let Some(found) = cx.iam.policy(&arn).await? else { return Ok(None) };
    let ours = owner::of_tags(&found.tags, &cx.facts.arn).is_ours() || cx.config.adopt.contains(step.as_str());
    if cx.config.chooses(&step) && ours {
        return Ok(None);
    }
    let Some(held) = cx.iam.policy_document(&arn, &found.default_version).await? else { return Ok(None) };
    let missing = versions::missing(component, app, &newest, &held);
    Ok((!missing.is_empty()).then(|| {
        warning(format!(
            "the policy {} stays as it is and is older than {} {}.{}: it lacks {}",
            last_part(&arn),
            component.title,
            app.0,
            app.1,
            missing.join(", ")
        ))
    }))
}

fn id(kind: &str, component: &Component) -> StepId {
    StepId::from(format!("{kind}.{}", component.short))
}
