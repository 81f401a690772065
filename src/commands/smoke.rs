//! `smoke print`: the manifests of the smoke workload, for people to start from. Asks nobody.

use crate::cli::{Global, Output, SmokeArgs, SmokeCommand, SmokePrintArgs};
use crate::error::{Error, Result};
use crate::exit_code;
use crate::render::terminal::Terminal;
use crate::smoke::{self, Part, Values};

/// Runs the command.
///
/// # Errors
/// A value that Kubernetes would not take, or an output form that there is not.
pub fn run(global: &Global, args: SmokeArgs, terminal: Terminal) -> Result<u8> {
    let SmokeCommand::Print(args) = args.command;
    if global.output != Output::Text {
        return Err(Error::Usage {
            message: "smoke print has one output form: YAML".to_owned(),
            mend: "leave --output out".to_owned(),
        });
    }
    terminal.result(&text(args)?);
    Ok(exit_code::DONE)
}

fn text(args: SmokePrintArgs) -> Result<String> {
    let with_class = args.with_storage_class;
    let values = Values {
        namespace: args.namespace,
        image: args.image,
        scheme: args.scheme,
        ingress_class: args.ingress_class,
        storage_class: args.storage_class,
    };
    let manifests = smoke::manifests(&values, |part| with_class || part != Part::StorageClass)?;
    let texts: Vec<_> = manifests.into_iter().map(|(_, text)| text).collect();
    Ok(texts.join("---\n"))
}
