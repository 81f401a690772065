//! `permissions`: the least IAM policy for plan, apply or destroy under this configuration. Asks AWS at most who the caller
//! is, to learn the account; the policy can be printed before anything is allowed.

use crate::cli::{Global, PermissionsArgs};
use crate::config::{Config, Removal};
use crate::connect;
use crate::context::Facts;
use crate::error::Result;
use crate::exit_code;
use crate::names;
use crate::permissions::{self, Purpose};
use crate::read::sts::StsRead;
use crate::render::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// No cluster named, no region, or no account and no credentials to ask for it.
pub async fn run(global: &Global, args: &PermissionsArgs, terminal: Terminal) -> Result<u8> {
    let mut config = Config::resolve(global, &args.wanted, &args.selection)?;
    if args.purpose == Purpose::Destroy {
        config = config.for_removal(Removal::default());
    }
    let aws = connect::aws_config(&config, None).await?;
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let account = if let Some(account) = &config.account {
        account.clone()
    } else {
        connect::credentials(&aws).await?;
        StsRead::new(&aws).caller().await?.account
    };
    let facts = facts(&config, &region, &account);
    let policy = permissions::policy(args.purpose, &config, &facts);
    terminal.result(&format!("{}\n", policy.to_pretty_json()));
    Ok(exit_code::DONE)
}

/// What is known of a cluster without asking for it: names follow from its ARN; the id in its issuer does not.
fn facts(config: &Config, region: &str, account: &str) -> Facts {
    let partition = names::partition_of_region(region);
    Facts {
        cluster: config.cluster.clone(),
        arn: format!("arn:{partition}:eks:{region}:{account}:cluster/{}", config.cluster),
        partition: partition.to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
        kubernetes_version: String::new(),
        issuer: format!("https://oidc.eks.{region}.{}/id/*", names::dns_suffix(partition)),
        endpoint: String::new(),
        ca_pem: String::new(),
        vpc: String::new(),
        endpoint_public: false,
        auto_mode: false,
        caller_arn: String::new(),
    }
}
