//! The configuration of an add-on in a command that a person could type: one that holds secrets is read from a file. Pure.

use serde_json::Value;

use crate::op::shell::{Supply, quote, required, variable};
use crate::secrets::Place;

/// How variables of the script begin that name files with configurations of add-ons.
const CONFIGURATION: &str = "CONFIGURATION";

/// The option of the aws CLI; nothing where nothing is configured.
pub(super) fn option(addon: &str, text: Option<&str>) -> String {
    match text {
        None => String::new(),
        Some(text) if holds_secrets(text) => {
            format!(" --configuration-values file://{}", required(&variable(CONFIGURATION, addon)))
        }
        Some(text) => format!(" --configuration-values {}", quote(text)),
    }
}

/// What the command needs besides.
pub(super) fn supply(addon: &str, text: &str) -> Option<Supply> {
    holds_secrets(text).then(|| Supply {
        variable: variable(CONFIGURATION, addon),
        what: "a file with the add-on's configuration, which holds secrets".to_owned(),
    })
}

/// The configuration as EKS reads it: JSON or YAML.
pub(super) fn parsed(text: &str) -> Option<Value> {
    serde_saphyr::from_str(text).ok()
}

/// What cannot be read may hold anything.
fn holds_secrets(text: &str) -> bool {
    parsed(text).is_none_or(|values| Place::default().hides(&values))
}

#[cfg(test)]
mod tests {
    use crate::op::eks::EksOp;

    #[test]
    fn secrets_of_a_configuration_are_read_from_a_file() {
        let op = EksOp::UpdateAddon {
            cluster: "demo".to_owned(),
            addon: "aws-y".to_owned(),
            version: None,
            service_account_role_arn: None,
            configuration_values: Some(r#"{"env": [{"name": "A_TOKEN", "value": "hunter2"}]}"#.to_owned()),
            resolve_conflicts: None,
        };
        let (command, supply) = (op.command(), op.supply().unwrap());
        assert!(
            command.ends_with(" --configuration-values file://\"${CONFIGURATION_AWS_Y:?names no file}\""),
            "{command}"
        );
        assert_eq!(supply.variable, "CONFIGURATION_AWS_Y");
        assert!(!command.contains("hunter2") && !supply.what.contains("hunter2"));
    }
}
