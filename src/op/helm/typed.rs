//! An upgrade as a command that a person could type. Pure; used by `op/helm.rs` for `plan -o commands`.

use crate::escape::line;
use crate::op::helm::{ReleaseSpec, chart_words, labels};
use crate::op::shell::{Supply, quote, required, variable};
use crate::secrets;

/// How variables of the script begin that name files with the secrets among a release's values.
const SECRETS: &str = "SECRETS";

/// The command. What is secret among the values is read from a file of the user's: later values win.
pub(super) fn upgrade(release: &ReleaseSpec) -> String {
    let (first, chart) = chart_words::of(&release.chart);
    let (values, hidden) = secrets::without(&release.values);
    let file = format!(" --values {}", required(&variable(SECRETS, &release.name)));
    format!(
        "{first}printf %s {} | helm upgrade --install {} {chart} --namespace {} --skip-crds --wait --timeout {}s --labels {} \
         --values -{}",
        quote(&line(&values.to_string())),
        quote(&release.name),
        quote(&release.namespace),
        release.timeout_seconds,
        quote(&labels(release)),
        if hidden.is_empty() { "" } else { &file }
    )
}

/// What the command needs besides.
pub(super) fn supply(release: &ReleaseSpec) -> Option<Supply> {
    let (_, hidden) = secrets::without(&release.values);
    (!hidden.is_empty()).then(|| Supply {
        variable: variable(SECRETS, &release.name),
        what: format!("a YAML file with the values {}", hidden.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use crate::op::helm::{HelmOp, ReleaseSpec};
    use crate::read::chart::{ChartRef, ChartSource};
    use serde_json::{Value, json};

    fn upgrade(values: Value) -> HelmOp {
        let release = ReleaseSpec {
            name: "x".to_owned(),
            namespace: "kube-system".to_owned(),
            chart: ChartRef {
                name: "x".to_owned(),
                version: "1.0.0".to_owned(),
                source: ChartSource::Repository("https://example.com/charts".to_owned()),
                digest: None,
            },
            values,
            timeout_seconds: 600,
            cluster_arn: "arn".to_owned(),
            take_ownership: false,
        };
        HelmOp::Upgrade { release: Box::new(release) }
    }

    #[test]
    fn a_run_can_be_typed() {
        let op = upgrade(json!({"clusterName": "demo"}));
        let command = op.command();
        assert!(
            command.contains("helm upgrade --install x x --repo https://example.com/charts --version 1.0.0"),
            "{command}"
        );
        assert!(command.starts_with(r#"printf %s '{"clusterName":"demo"}' |"#), "{command}");
        assert!(command.ends_with(" --values -") && op.supply().is_none(), "{command}");
    }

    #[test]
    fn secrets_come_from_a_file_of_the_users() {
        let values =
            json!({"clusterName": "demo", "db": {"password": "hunter2", "$(touch PWNED)": {"token": "hunter2"}}});
        let op = upgrade(values);
        let (command, supply) = (op.command(), op.supply().unwrap());
        assert!(command.starts_with(r#"printf %s '{"clusterName":"demo","db":{"$(touch PWNED)":{}}}' |"#), "{command}");
        assert!(command.ends_with(r#" --values - --values "${SECRETS_X:?names no file}""#), "{command}");
        assert!(supply.what.contains("db.password") && supply.variable == "SECRETS_X", "{supply:?}");
        assert!(!command.contains("hunter2") && !supply.what.contains("hunter2"));
    }
}
