//! `token`: the cluster's bearer token as an exec credential, so that kubectl and helm need neither the AWS CLI nor a
//! plugin. Asks nobody: the token is signed here.

use crate::cli::{Global, Selection, Wanted};
use crate::config::Config;
use crate::connect;
use crate::error::Result;
use crate::exit_code;
use crate::names;
use crate::render::terminal::Terminal;
use crate::token::TokenSigner;

/// Runs the command.
///
/// # Errors
/// No cluster named, no region, no credentials.
pub async fn run(global: &Global, terminal: Terminal) -> Result<u8> {
    let config = Config::resolve(global, &Wanted::default(), &Selection::default())?;
    let aws = connect::aws_config(&config, None).await?;
    let credentials = connect::credentials(&aws).await?;
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let suffix = names::dns_suffix(names::partition_of_region(&region));
    let token = TokenSigner::new(credentials, &region, suffix, &config.cluster).token().await?;
    terminal.result(&format!("{}\n", token.exec_credential()));
    Ok(exit_code::DONE)
}
