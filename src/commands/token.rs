//! `token`: the cluster's bearer token as an exec credential, so that kubectl and helm need neither the AWS CLI nor a
//! plugin. Asks nobody: the token is signed here.

use crate::cli::{Global, Selection, TokenArgs, Wanted};
use crate::config::Config;
use crate::connect;
use crate::error::{Error, Result};
use crate::exit_code;
use crate::names;
use crate::render::terminal::Terminal;
use crate::token::TokenSigner;

/// Runs the command.
///
/// # Errors
/// No cluster named, no region, no credentials; an id that no cluster has.
pub async fn run(global: &Global, args: &TokenArgs, terminal: Terminal) -> Result<u8> {
    let config = Config::resolve(global, &Wanted::default(), &Selection::default())?;
    let subject = match &args.cluster_id {
        Some(id) => checked(id)?,
        None => &config.cluster,
    };
    let aws = connect::aws_config(&config, None).await?;
    let credentials = connect::credentials(&aws).await?;
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let suffix = names::dns_suffix(names::partition_of_region(&region));
    let token = TokenSigner::new(credentials, &region, suffix, subject).token().await?;
    terminal.result(&format!("{}\n", token.exec_credential()));
    Ok(exit_code::DONE)
}

/// EKS gives local clusters UUIDs.
fn checked(id: &str) -> Result<&str> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(id);
    }
    let mend = "copy `id` from the answer of `aws eks describe-cluster`, or leave it out for a cluster in the region";
    Err(Error::config("--cluster-id", id, "not the id of a local cluster", mend))
}
