//! `permissions`: the least IAM policy for a command under this configuration, or the rights that it needs in the cluster.
//! Asks AWS at most who the caller is and how the cluster maps callers, and the cluster only for kinds of foreign CRDs in charts of your own; both can be printed
//! before anything is allowed.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;

use crate::cli::{Global, Output, PermissionsArgs};
use crate::commands::{connecting, images};
use crate::component::{self, Component};
use crate::config::{Config, Removal};
use crate::connect;
use crate::context::Facts;
use crate::error::{Error, Result};
use crate::escape::line;
use crate::exit_code;
use crate::permissions;
use crate::permissions::cluster::{self, Kind, Told};
use crate::permissions::entry::{self, Principal};
use crate::read::chart::ChartRead;
use crate::read::contents;
use crate::read::eks::{self, EksRead};
use crate::read::iam::IamRead;
use crate::read::sts::{Caller, StsRead};
use crate::render::rights;
use crate::render::terminal::Terminal;
use crate::steps::namespace;

/// Runs the command.
///
/// # Errors
/// No cluster named, no region, or no account and no credentials to ask for it.
pub async fn run(global: &Global, args: &PermissionsArgs, terminal: Terminal) -> Result<u8> {
    if let Some(flag) = [(&args.group, "--group"), (&args.principal, "--principal")]
        .into_iter()
        .find_map(|(value, flag)| (value.is_some() && !args.kubernetes).then_some(flag))
    {
        return Err(Error::Usage {
            message: format!("{flag} is about rights in the cluster"),
            mend: "add --kubernetes, or leave it out".to_owned(),
        });
    }
    let mut config = Config::resolve(global, &args.wanted, &args.selection)?;
    if args.purpose == permissions::Purpose::Destroy {
        config = config.for_removal(Removal::default());
    }
    let aws = aws(&config, args.kubernetes).await?;
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let caller = async || -> Result<Caller> {
        connect::credentials(&aws).await?;
        StsRead::new(&aws).caller().await
    };
    let known = if config.account.is_some() { None } else { Some(caller().await?) };
    let account = config.account.clone().or_else(|| known.as_ref().map(|caller| caller.account.clone()));
    let account = account.unwrap_or_default();
    let mut facts = Facts::offline(&config.cluster, &region, &account);
    if !args.kubernetes {
        let policy = permissions::policy(args.purpose, &config, &facts);
        terminal.result(&format!("{}\n", policy.to_pretty_json()));
        return Ok(exit_code::DONE);
    }
    let group = args.group.as_deref().unwrap_or(entry::GROUP);
    entry::check_group(group)?;
    if let Some(arn) = &args.principal {
        entry::check_principal(arn)?;
    }
    let principal = match (&args.principal, &config.assume_role) {
        (Some(arn), _) | (None, Some(arn)) => Principal::Arn(arn.clone()),
        (None, None) => {
            // Whoever has no credentials here prints this for someone else.
            let caller = if let Some(caller) = known { Some(caller) } else { caller().await.ok() };
            let ours = caller.filter(|caller| caller.account == facts.account);
            ours.map_or(Principal::Unknown, |caller| Principal::of_caller(&caller.arn))
        }
    };
    let principal = mapped(&aws, principal, &mut facts).await;
    let charts = ChartRead::new(connect::helm(&config).await?);
    let charts = contents::rendered(&charts, &config, &images::facts(&config)).await?;
    let told = asked(&config, contents::unknown(&charts), terminal).await;
    let charts: Vec<_> = charts.iter().map(|chart| chart.contents(&told)).collect();
    let rights = cluster::rights(args.purpose, &config, &facts, group, &charts);
    let unknown: Vec<_> = rights.unknown.iter().map(|(version, kind)| format!("{kind} ({version})")).collect();
    if global.output == Output::Json {
        let text = serde_json::to_string_pretty(&rights::list(&rights)).unwrap_or_default();
        terminal.result(&format!("{text}\n"));
        if !unknown.is_empty() {
            terminal.message(&format!("warning: {}\n", line(&nameless(&unknown))));
        }
        return Ok(exit_code::DONE);
    }
    let mut head = vec![
        format!(
            "What `eks-bootstrap {}` needs in cluster {}, for the group {group}.",
            args.purpose.word(),
            facts.cluster
        ),
        "An administrator applies it (kubectl apply -f -) and maps the caller to the group once:".to_owned(),
    ];
    head.extend(entry::lines(&principal, &facts, group).into_iter().map(|line| format!("  {line}")));
    for place in rights.namespaced.keys().filter(|place| namespace::is_made(place)) {
        head.push(format!("Rights in a namespace are given where it exists: kubectl create namespace {place}"));
    }
    let changed = component::wanted(&config, &facts)
        .into_iter()
        .filter(|it| !it.is_custom() && it.configured(&config).values.as_object().is_some_and(|all| !all.is_empty()));
    let known = |component: &Component| charts.iter().any(|contents| contents.is_of(component));
    head.push(if changed.clone().next().is_some() && changed.clone().all(|component| known(&component)) {
        "Kinds and names are those of the charts with your values.".to_owned()
    } else {
        "Kinds and names are those of the charts' defaults: what values of yours add needs rights of its own."
            .to_owned()
    });
    if !unknown.is_empty() {
        head.push(nameless(&unknown));
    }
    if matches!(args.purpose, permissions::Purpose::Apply | permissions::Purpose::Migrate) {
        head.push(
            "Helm 3 creates roles without telling RBAC their names: with it, take resourceNames off `escalate`."
                .to_owned(),
        );
    }
    terminal.result(&rights::yaml(&rights, &head));
    Ok(exit_code::DONE)
}

/// Clients: whoever names the account needs no credentials, and is asked for the code of an MFA device only where the cluster is looked at.
async fn aws(config: &Config, kubernetes: bool) -> Result<SdkConfig> {
    if config.account.is_some() && !kubernetes {
        return connect::without_credentials(config).await;
    }
    match Box::pin(connect::aws_config(config, None)).await {
        Err(Error::Credentials { .. }) if config.account.is_some() => connect::without_credentials(config).await,
        other => other,
    }
}

/// How long the cluster is asked for kinds: where it does not answer, the rest is printed all the same.
const ASKED: Duration = Duration::from_secs(20);

/// What the cluster says of kinds that are neither Kubernetes' own nor of the charts. Nothing where there are none, or where it
/// cannot be asked yet: the rights are printed for someone who has none.
async fn asked(config: &Config, kinds: BTreeSet<Kind>, terminal: Terminal) -> Told {
    if kinds.is_empty() {
        return Told::new();
    }
    let asking = async {
        let connection = connecting::connect(config.clone(), terminal).await.ok()?;
        Some(contents::told(&connection.read.kube, kinds).await)
    };
    tokio::time::timeout(ASKED, asking).await.ok().flatten().unwrap_or_default()
}

/// The principal with the path of its role, and whether the cluster takes access entries, as far as the caller may read that.
async fn mapped(aws: &SdkConfig, principal: Principal, facts: &mut Facts) -> Principal {
    let (iam, eks) = (IamRead::new(aws), EksRead::new(aws));
    let role = async {
        let Principal::Session { arn } = &principal else { return None };
        let (_, name) = arn.split_once(":role/")?;
        iam.role(name).await.ok()?.map(|role| role.arn)
    };
    let asking = async { futures::join!(role, eks.cluster(&facts.cluster)) };
    let Ok((role, cluster)) = tokio::time::timeout(ASKED, Box::pin(asking)).await else { return principal };
    facts.access_entries = cluster.ok().flatten().as_ref().map(eks::takes_access_entries);
    role.map_or(principal, Principal::Arn)
}

/// Says which kinds have no rule.
fn nameless(kinds: &[String]) -> String {
    format!(
        "Not granted, since neither the charts nor the cluster say how RBAC calls them: {}. Install their CRDs, then print this \
         again with access to the cluster.",
        kinds.join(", ")
    )
}
