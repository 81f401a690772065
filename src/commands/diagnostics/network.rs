//! What the plan has to say of the network before load balancers are wanted: the subnets that they look for by tag, with the
//! command that mends each finding, and whether pods have addresses of the VPC. The same judgement as in `verify`.

use super::warning;
use crate::check::{Finding, Verdict};
use crate::checks;
use crate::component::LOAD_BALANCER_CONTROLLER;
use crate::context::ReadContext;
use crate::error::Result;
use crate::plan::{Diagnostic, StepId};

/// Whether anything looks for subnets at all.
fn wanted(cx: &ReadContext) -> bool {
    let step = StepId::from(format!("helm.{}", LOAD_BALANCER_CONTROLLER.short));
    LOAD_BALANCER_CONTROLLER.wanted(&cx.config, &cx.facts) && cx.config.chooses(&step)
}

/// Subnets by their role tags and tags of other clusters.
pub(super) async fn subnets(cx: &ReadContext) -> Result<Vec<Diagnostic>> {
    if !wanted(cx) {
        return Ok(Vec::new());
    }
    Ok(checks::network::subnet_findings(cx).await?.iter().filter_map(|finding| told("subnets", finding)).collect())
}

/// The pod network.
pub(super) async fn plugin(cx: &ReadContext) -> Result<Vec<Diagnostic>> {
    if !wanted(cx) {
        return Ok(Vec::new());
    }
    Ok(told("VPC CNI", &checks::network::plugin_finding(cx).await?).into_iter().collect())
}

fn told(what: &str, finding: &Finding) -> Option<Diagnostic> {
    let Verdict::Failed { observed, mend, .. } = &finding.verdict else { return None };
    Some(warning(format!("{what}: {} ({observed}); mend: {mend}", finding.says)))
}
