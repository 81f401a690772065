//! Chart values that the rest of a run depends on: the service account that a role trusts, and the cluster that a controller works
//! for. A user's value that says otherwise is refused before the first write, since apply would succeed and the pods would not
//! work. Names of other objects (`fullnameOverride`, `nameOverride`, `ingressClass`) are free: they are read from the manifest.

use serde_json::Value;

use crate::component::{self, Component, EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER};
use crate::config::Config;
use crate::context::Facts;
use crate::error::{Error, Result};

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// The service account that is bound to the component's role.
    Account,
    /// False: the account is created by a step of its own.
    NoAccount,
    Cluster,
    Region,
    Vpc,
}

const LBC: &str = LOAD_BALANCER_CONTROLLER.name;
const EBS: &str = EBS_CSI_DRIVER.name;

/// Component, path of the value, what it must be.
const RESERVED: [(&str, &str, Must); 8] = [
    (LBC, "serviceAccount.name", Must::Account),
    (LBC, "serviceAccount.create", Must::NoAccount),
    (LBC, "clusterName", Must::Cluster),
    (LBC, "region", Must::Region),
    (LBC, "vpcId", Must::Vpc),
    (EBS, "controller.serviceAccount.name", Must::Account),
    (EBS, "controller.k8sTagClusterId", Must::Cluster),
    (EBS, "controller.region", Must::Region),
];

/// Checks what can be checked without asking AWS.
///
/// # Errors
/// The first value that contradicts what is bound to the role.
pub(super) fn check(config: &Config) -> Result<()> {
    each(config, |component, must| match must {
        Must::Account => Some(Value::from(component.service_account)),
        Must::NoAccount => Some(Value::Bool(false)),
        Must::Cluster | Must::Region | Must::Vpc => None,
    })
}

/// Checks the values that name the cluster against the cluster itself.
///
/// # Errors
/// The first value that names another cluster, region or VPC.
pub fn check_cluster(config: &Config, facts: &Facts) -> Result<()> {
    each(config, |_, must| {
        let fact = match must {
            Must::Cluster => &facts.cluster,
            Must::Region => &facts.region,
            Must::Vpc => &facts.vpc,
            Must::Account | Must::NoAccount => return None,
        };
        (!fact.is_empty()).then(|| Value::from(fact.as_str()))
    })
}

fn each(config: &Config, expected: impl Fn(&Component, Must) -> Option<Value>) -> Result<()> {
    for component in component::BUILT_IN {
        let configured = component.configured(config);
        if configured.enabled == Some(false) {
            continue;
        }
        for (_, path, must) in RESERVED.iter().filter(|(name, ..)| *name == component.name) {
            let given = path.split('.').try_fold(&configured.values, |values, name| values.get(name));
            let (Some(given), Some(expected)) = (given, expected(&component, *must)) else { continue };
            // Without a cluster's region or VPC the controller asks the instance metadata; that is the user's to decide.
            let unset = matches!(must, Must::Region | Must::Vpc) && (given.is_null() || given == "");
            if *given != expected && !unset {
                return Err(refusal(&component, path, *must, given, &expected));
            }
        }
    }
    Ok(())
}

fn refusal(component: &Component, path: &str, must: Must, given: &Value, expected: &Value) -> Error {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let expected = plain(expected);
    let (reason, mend) = match must {
        Must::Account => (
            format!("the component's role trusts service account {expected} only"),
            format!("remove the value, or set it to {expected}"),
        ),
        Must::NoAccount => (
            "eks-bootstrap creates the service account, and an object has one manager".to_owned(),
            "remove the value".to_owned(),
        ),
        Must::Cluster | Must::Region | Must::Vpc => {
            (format!("the cluster's is {expected}"), "remove the value: it is set to the cluster's own".to_owned())
        }
    };
    Error::config(format!("values.{path} of {}", component.name), plain(given), reason, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::context::tests::facts;
    use clap::Parser as _;
    use serde_json::json;

    fn config() -> Config {
        let cli = Cli::try_parse_from(["eks-bootstrap", "plan", "--cluster", "demo"]).unwrap();
        let Command::Plan(plan) = &cli.command else { panic!("it is a plan") };
        Config::resolve(&cli.global, &plan.wanted, &plan.selection).unwrap()
    }

    fn refused(result: Result<()>) -> Option<String> {
        let error = result.err()?;
        assert_eq!(error.exit_code(), crate::exit_code::USAGE);
        Some(error.to_string())
    }

    #[test]
    fn another_account_and_another_cluster_are_refused() {
        let with = |lbc: Value, ebs: Value| {
            let mut config = config();
            config.load_balancer_controller.values = lbc;
            config.ebs_csi_driver.values = ebs;
            refused(check(&config)).or_else(|| refused(check_cluster(&config, &facts())))
        };
        for (lbc, ebs, said) in [
            (
                json!({"serviceAccount": {"name": "my-lbc"}}),
                json!({}),
                "`my-lbc` for values.serviceAccount.name of aws-load",
            ),
            (json!({"serviceAccount": {"create": true}}), json!({}), "`true` for values.serviceAccount.create of"),
            (
                json!({"clusterName": "staging"}),
                json!({}),
                "`staging` for values.clusterName of aws-load-balancer-controller",
            ),
            (json!({"clusterName": null}), json!({}), "`null` for values.clusterName"),
            (json!({"region": "us-east-1"}), json!({}), "the cluster's is eu-west-1"),
            (
                json!({}),
                json!({"controller": {"serviceAccount": {"name": "x"}}}),
                "values.controller.serviceAccount.name",
            ),
            (
                json!({}),
                json!({"controller": {"k8sTagClusterId": "x"}}),
                "values.controller.k8sTagClusterId of aws-ebs",
            ),
        ] {
            let text = with(lbc.clone(), ebs.clone()).unwrap_or_else(|| panic!("{lbc} {ebs} is accepted"));
            assert!(text.contains(said), "{text}");
        }
        let right = json!({
            "serviceAccount": {"name": "aws-load-balancer-controller", "create": false, "imagePullSecrets": []},
            "clusterName": "demo", "region": null, "vpcId": "", "fullnameOverride": "alb", "ingressClass": "public",
        });
        assert_eq!(with(right, json!({"controller": {"region": "eu-west-1"}})), None);
    }

    #[test]
    fn the_table_names_values_that_are_set_by_the_program() {
        for (name, path, _) in RESERVED {
            let component = component::BUILT_IN.into_iter().find(|component| component.name == name).unwrap();
            let values: Value = serde_saphyr::from_str(component.values).unwrap();
            let found = path.split('.').try_fold(&values, |values, name| values.get(name));
            assert!(found.is_some(), "{name}: {path}");
        }
    }
}
