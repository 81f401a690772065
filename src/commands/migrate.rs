//! `migrate`: moves components between IRSA and EKS Pod Identity, one after the other, each shown and confirmed.
//!
//! There is nothing of its own in it: a move is an apply of the component's steps with the other way wanted, and steps that
//! take the former way away once the running pods are proved to use the new one. So it can be interrupted and run again.

use crate::cli::{Global, MigrateArgs, Output, Selection};
use crate::commands::{apply, connecting};
use crate::component::{self, Component};
use crate::config::{Config, Identity};
use crate::error::{Error, Result};
use crate::exit_code;
use crate::render::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// Whatever kept a move from beginning; failures of steps are told as they happen and in the exit code.
pub async fn run(global: &Global, args: &MigrateArgs, terminal: Terminal) -> Result<u8> {
    let selection = Selection { adopt: args.adopt.clone(), ..Selection::default() };
    let config = Config::resolve(global, &args.wanted, &selection)?;
    let known = component::all(&config);
    let named = args.component.iter().map(|name| component::with_role("--component", name, &known));
    let named: Vec<_> = named.collect::<Result<_>>()?;
    let off = named.iter().find(|component| component.configured(&config).enabled == Some(false));
    if let Some(component) = off {
        return Err(Error::config("--component", component.name, "it is turned off", "turn it on, or leave it out"));
    }
    let json = global.output == Output::Json;
    let all = known.iter().copied().filter(Component::has_role);
    for component in all.filter(|component| named.is_empty() || named.iter().any(|named| named.name == component.name))
    {
        let connection = connecting::connect(config.clone().for_migration(&component, args.to), terminal).await?;
        if !component.wanted(&config, &connection.read.facts) {
            continue;
        }
        if !json && !terminal.quiet {
            terminal.result(&format!("{} moves to {}\n", component.title, title(args.to)));
        }
        let code = Box::pin(apply::carry_out(connection, None, args.yes, json, terminal)).await?;
        if code != exit_code::DONE {
            return Ok(code);
        }
        if component.identity(&config) != args.to {
            terminal.message(&what_to_write(&component, args.to));
        }
    }
    Ok(exit_code::DONE)
}

fn title(identity: Identity) -> &'static str {
    match identity {
        Identity::Irsa => "IAM roles for service accounts (IRSA)",
        Identity::PodIdentity => "EKS Pod Identity",
    }
}

/// The configuration has to say it too, since the next apply goes by that.
fn what_to_write(component: &Component, identity: Identity) -> String {
    let value = serde_json::to_value(identity).unwrap_or_default();
    let field = component.field();
    let place = if component.is_custom() { format!("{field}[of {}]", component.name) } else { field };
    format!(
        "now write it down: in the configuration file `spec.components.{place}.identity: {}`, or pass --identity {}={}\n",
        value.as_str().unwrap_or_default(),
        component.short,
        identity.word(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::EBS_CSI_DRIVER;

    #[test]
    fn the_line_for_the_file_is_told() {
        let text = what_to_write(&EBS_CSI_DRIVER, Identity::PodIdentity);
        assert!(text.contains("`spec.components.awsEbsCsiDriver.identity: podIdentity`"), "{text}");
        assert!(text.contains("--identity ebs=pod-identity"), "{text}");
    }
}
