//! `smoke print`: the manifests of the smoke workload, for people to start from. Asks nobody.

use serde_json::{Value, json};

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
    let manifests = manifests(args)?;
    terminal.result(&match global.output {
        Output::Text => manifests.join("---\n"),
        Output::Json => list(&manifests)?,
        Output::Commands | Output::Short | Output::Junit => {
            return Err(Error::Usage {
                message: "smoke print prints YAML, or one JSON list".to_owned(),
                mend: "leave --output out, or pass -o json".to_owned(),
            });
        }
    });
    Ok(exit_code::DONE)
}

/// The manifests as one object, without their comments.
fn list(manifests: &[String]) -> Result<String> {
    let unreadable =
        |source: serde_saphyr::Error| Error::io("read a template", std::io::Error::other(source.to_string()));
    let read = |text: &String| serde_saphyr::from_str::<Value>(text).map_err(unreadable);
    let items = manifests.iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": items})))
}

fn manifests(args: SmokePrintArgs) -> Result<Vec<String>> {
    let with_class = args.with_storage_class;
    let values = Values {
        namespace: args.namespace,
        image: args.image,
        scheme: args.scheme,
        ingress_class: args.ingress_class,
        storage_class: args.storage_class,
    };
    let manifests = smoke::manifests(&values, |part| with_class || part != Part::StorageClass)?;
    Ok(manifests.into_iter().map(|(_, text)| text).collect())
}
