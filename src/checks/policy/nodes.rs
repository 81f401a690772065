//! The component's policy on the roles of nodes, where every pod can use it: only where that was asked for.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::NODES;
use crate::check::Finding;
use crate::component::Component;
use crate::context::ReadContext;
use crate::error::Result;
use crate::names::last_part;
use crate::plan::{Action, Goal};
use crate::steps;

/// Only for a component whose policy nodes may get.
pub(super) async fn look(cx: &ReadContext, component: &Component) -> Option<Finding> {
    if !component.offers_node_role {
        return None;
    }
    if component.configured(&cx.config).nodes.attach {
        return Some(NODES.passed("it was asked for (--attach-node-role)"));
    }
    Some(found(cx, component).await.unwrap_or_else(|error| NODES.unread(&error)))
}

async fn found(cx: &ReadContext, component: &Component) -> Result<Finding> {
    let roles: BTreeSet<_> =
        cx.eks.node_roles(&cx.facts.cluster).await?.iter().map(|arn| last_part(arn).to_owned()).collect();
    let attached = try_join_all(roles.iter().map(|role| cx.iam.attached_policies(role))).await?;
    let known =
        [component.policy_arns(&cx.config, &cx.facts), component.other_policy_arns(&cx.config, &cx.facts)].concat();
    let held: Vec<_> = roles
        .iter()
        .zip(attached)
        .filter_map(|(role, attached)| {
            let attached = attached.unwrap_or_default();
            Some((role, known.iter().find(|arn| attached.contains(*arn))?))
        })
        .collect();
    let Some((role, policy)) = held.first() else {
        return Ok(NODES.passed(format!("on none of the {} roles of the node groups", roles.len())));
    };
    // What an apply of ours attached, an apply takes off again.
    let id = format!("iam.node-role.{}", component.short);
    let ours = match steps::find(cx, &id) {
        Some(step) => step.plan(cx, Goal::Present).await?.action == Action::Delete,
        None => false,
    };
    let mend = if ours {
        super::super::apply_only(component, &["iam.node-role"])
    } else {
        format!("aws iam detach-role-policy --role-name {role} --policy-arn {policy}")
    };
    let observed: Vec<_> = held.iter().map(|(role, policy)| format!("{} on {role}", last_part(policy))).collect();
    Ok(NODES.failed(
        "every pod on these nodes can do what the component may",
        observed.join(", "),
        "on the component's own role only",
        mend,
    ))
}
