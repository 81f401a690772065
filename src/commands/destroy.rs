//! `destroy`: removes what is ours in reverse order, after guards, and ends with a proof read from AWS.

use std::collections::BTreeSet;

use crate::behind;
use crate::cli::{DestroyArgs, Global, Output};
use crate::commands::assess::{self, Assessed};
use crate::commands::{connecting, execute};
use crate::component::{self, Component};
use crate::config::{Config, Removal};
use crate::context::ReadContext;
use crate::dependants;
use crate::dependants::in_aws::{self, Reach, Shown, Thing};
use crate::error::{Error, Result};
use crate::escape::line;
use crate::plan::{Action, Assessment, Diagnostic, Goal, Plan};
use crate::render::terminal::Terminal;
use crate::render::{events, plan_text};
use crate::steps::drain;
use crate::{exit_code, left_behind};

/// So many dependants are named; the rest is counted.
const SHOWN: usize = 20;

/// Runs the command.
///
/// # Errors
/// Whatever kept the run from beginning; failures of steps are told as they happen and in the exit code.
pub async fn run(global: &Global, args: &DestroyArgs, terminal: Terminal) -> Result<u8> {
    let removal = Removal { drain: args.drain, purge_crds: args.purge_crds };
    let config = Config::resolve(global, &args.wanted, &args.selection)?.for_removal(removal);
    if let Some(name) = args.confirm.as_ref().filter(|name| **name != config.cluster) {
        return Err(refused(
            format!("not confirmed: --confirm says `{name}`, the cluster is `{}`", config.cluster),
            format!("pass --confirm {}", config.cluster),
        ));
    }
    let connection = connecting::connect(config, terminal).await?;
    behind::require(&connection.read).await?;
    let mut assessed = assess::assess(&connection.read, Goal::Absent).await?;
    if let Err(refusal) = Box::pin(guards(&connection.read, &mut assessed, args)).await {
        terminal.note(&plan_text::of(&assessed.plan, terminal.err));
        return Err(refusal);
    }
    let json = global.output == Output::Json;
    let plan = &assessed.plan;
    if !json {
        if !plan.has_changes() {
            let counts = plan_text::totals(&plan.counts());
            terminal.result(&format!(
                "nothing to do: nothing is left to remove from {} ({counts})\n",
                line(&plan.target.cluster)
            ));
            let left = Box::pin(left_behind::read(&connection.read)).await;
            terminal.result(&events::left_behind(&left, terminal.out));
            return Ok(exit_code::DONE);
        }
        if !terminal.quiet {
            terminal.result(&plan_text::of(plan, terminal.out));
        }
    }
    let write = execute::writers(&connection).await?;
    write.helm.check(plan.helm_ops()).await?;
    if plan.has_changes() && args.confirm.is_none() {
        confirm(plan, terminal).await?;
    }
    terminal.written()?;
    let summary = execute::execute(connection.read, write, assessed, json, terminal).await?;
    Ok(summary.exit_code)
}

/// Everything that must be so before anything is removed.
async fn guards(cx: &ReadContext, assessed: &mut Assessed, args: &DestroyArgs) -> Result<()> {
    let removed = |plan: &Plan, component: &Component| {
        let suffix = format!(".{}", component.short);
        let steps = plan.steps.iter().filter(|step| step.id.as_str().ends_with(&suffix));
        steps.into_iter().any(|step| step.assessment.action.writes())
    };
    let balancing = removed(&assessed.plan, &component::LOAD_BALANCER_CONTROLLER);
    let drained = drained(&mut assessed.plan, balancing)?;
    assess::applicable(assessed)?;
    let unknown = assessed.plan.steps.iter().find(|step| step.assessment.action == Action::Unknown);
    if let Some(step) = unknown {
        return Err(refused(
            format!("{}: {}, and its record is gone; nothing was changed", step.id, step.assessment.reason),
            format!("delete what is left by hand, or install it again with `apply`, or pass --skip {}", step.id),
        ));
    }
    let driving = removed(&assessed.plan, &component::EBS_CSI_DRIVER);
    if !balancing && !driving {
        return Ok(());
    }
    // AWS' tags first, the cluster next: what has no object then had none before.
    let (shown, shown_volumes) = futures::join!(in_aws::load_balancers(cx, Reach::World), in_aws::volumes(cx));
    let (objects, volumes) =
        futures::try_join!(dependants::of_load_balancers(&cx.kube), dependants::volumes(&cx.kube))?;
    let (balancers, stranded_volumes) = futures::join!(
        alone(cx, shown, |things| in_aws::orphans(things, &objects)),
        alone(cx, shown_volumes, |things| in_aws::volumes_without_object(things, &volumes)),
    );
    assessed.plan.diagnostics.extend(balancers.into_iter().chain(stranded_volumes));
    // All that stands in the way is told at once.
    let (mut found, mut mends) = (Vec::new(), Vec::new());
    // The controller's own bindings go with what they were made for.
    let balancers: Vec<_> = objects.dependants.into_iter().filter(|dependant| !dependant.derived).collect();
    if balancing && !drained && !balancers.is_empty() {
        mends.push(
            "pass --drain to delete the load balancers' objects while the controller still runs, or do so by hand",
        );
        found.extend(balancers.iter().map(|dependant| dependant.object.to_string()));
    }
    let volumes: Vec<_> = volumes.into_iter().filter(|volume| volume.driven).collect();
    if driving && !args.leave_volumes && !volumes.is_empty() {
        mends.push(
            "delete the volumes' claims while the driver still runs, or pass --leave-volumes to keep them in AWS",
        );
        found.extend(volumes.into_iter().map(|volume| volume.shown));
    } else if driving {
        assessed.plan.diagnostics.extend(volumes.into_iter().map(|volume| Diagnostic {
            severity: "warning",
            message: format!("{} stays in AWS, and nothing here deletes it any more (--leave-volumes)", volume.shown),
        }));
    }
    if found.is_empty() { Ok(()) } else { Err(refused(in_the_way(found), mends.join("; "))) }
}

/// Whether the plan deletes the load balancers' objects first; where the controller stays, they stay too.
fn drained(plan: &mut Plan, balancing: bool) -> Result<bool> {
    let Some(step) = plan.steps.iter_mut().find(|step| step.id == drain::ID) else { return Ok(false) };
    if !balancing {
        step.assessment = Assessment::skip("the load balancers' controller stays, and so do they");
        return Ok(false);
    }
    let mend = step.assessment.mend.clone().unwrap_or_default();
    match step.assessment.action {
        Action::Blocked => Err(refused(format!("{}: {}; nothing was changed", step.id, step.assessment.reason), mend)),
        action => Ok(action.writes()),
    }
}

/// What is in AWS for the cluster and of no object in it; no controller will delete that.
async fn alone(
    cx: &ReadContext,
    shown: Result<Shown>,
    judge: impl Fn(&[Thing]) -> BTreeSet<String>,
) -> Vec<Diagnostic> {
    let warning = |message| Diagnostic { severity: "warning", message };
    let unread = |error: &Error| warning(format!("what no object explains in AWS is not known: {error}"));
    let found = match shown {
        Ok(shown) => shown.confirmed(cx).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => {
            let orphans = judge(&found.things).into_iter();
            let orphans =
                orphans.map(|arn| format!("{arn} is of no object in the cluster and stays: delete it in AWS"));
            let unconfirmed = found.unconfirmed.iter();
            let unconfirmed = unconfirmed.map(|thing| format!("{}: unconfirmed: {}", thing.arn, thing.reason));
            orphans.chain(unconfirmed).map(warning).chain(found.unread.iter().map(unread)).collect()
        }
        Err(error) => vec![unread(&error)],
    }
}

fn in_the_way(mut names: Vec<String>) -> String {
    let (count, more) = (names.len(), names.len().saturating_sub(SHOWN));
    names.truncate(SHOWN);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    let objects = if count == 1 { "1 object depends" } else { &format!("{count} objects depend") };
    format!("{objects} on the controllers that would be removed; nothing was changed\n  {}", names.join("\n  "))
}

async fn confirm(plan: &Plan, terminal: Terminal) -> Result<()> {
    let name = &plan.target.cluster;
    let mend = format!("pass --confirm {name}");
    if !terminal.interactive {
        let what = "not confirmed: nobody can be asked without a terminal, and --yes is not enough to destroy";
        return Err(refused(what.to_owned(), mend));
    }
    let question =
        format!("\n{}Remove all this from {}? Type the cluster's name to confirm: ", users_objects(plan), line(name));
    if terminal.ask(&question).await.as_deref() == Some(name.as_str()) {
        return Ok(());
    }
    Err(refused("not confirmed; nothing was changed".to_owned(), format!("type `{name}`, or {mend}")))
}

/// What users made and will lose.
fn users_objects(plan: &Plan) -> String {
    let drains = plan.steps.iter().filter(|step| step.id == drain::ID);
    let names: Vec<_> = drains.flat_map(|step| &step.assessment.changes).map(|change| &change.resource.0).collect();
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    let names: Vec<_> = names.into_iter().take(SHOWN).map(String::as_str).collect();
    format!("Their load balancers stop serving: {}{more}\n", line(&names.join(", ")))
}

fn refused(what: String, mend: String) -> Error {
    Error::Refused { what, mend }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_twenty_dependants_are_named() {
        let names = |count: usize| (1..=count).map(|number| format!("Ingress/n/{number}")).collect();
        assert_eq!(
            in_the_way(names(1)),
            "1 object depends on the controllers that would be removed; nothing was changed\n  Ingress/n/1"
        );
        let text = in_the_way(names(23));
        assert!(text.starts_with("23 objects depend on") && text.ends_with("Ingress/n/20\n  and 3 more"), "{text}");
    }
}
