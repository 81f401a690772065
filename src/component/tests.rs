//! Ids and names are unique; what runs on Linux only is kept off Windows nodes.

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command};

#[test]
fn ids_and_names_are_unique() {
    for (place, component) in BUILT_IN.iter().enumerate() {
        assert!(BUILT_IN[..place].iter().all(|other| other.short != component.short && other.name != component.name));
    }
    assert!(BUILT_IN.iter().all(|component| component.name != GP3_STORAGE_CLASS && !component.is_custom()));
}

#[test]
fn what_runs_on_linux_only_asks_for_linux_and_the_user_may_ask_for_more() {
    let cli = Cli::try_parse_from(["eks-bootstrap", "plan", "--cluster", "demo"]).unwrap();
    let Command::Plan(plan) = &cli.command else { panic!("it is a plan") };
    let mut config = Config::resolve(&cli.global, &plan.wanted, &plan.selection).unwrap();
    let facts = crate::context::tests::facts();
    // The driver's chart sets it itself, and has pods for Windows nodes besides.
    for component in [LOAD_BALANCER_CONTROLLER, METRICS_SERVER] {
        let selector = component.chart_values(&config, &facts)["nodeSelector"].clone();
        assert_eq!(selector, json!({"kubernetes.io/os": "linux"}), "{}", component.name);
    }
    config.load_balancer_controller.values = json!({"nodeSelector": {"role": "system"}});
    let selector = LOAD_BALANCER_CONTROLLER.chart_values(&config, &facts)["nodeSelector"].clone();
    assert_eq!(selector, json!({"kubernetes.io/os": "linux", "role": "system"}));
    config.load_balancer_controller.values = json!({"nodeSelector": {"kubernetes.io/os": "bottlerocket"}});
    let selector = LOAD_BALANCER_CONTROLLER.chart_values(&config, &facts)["nodeSelector"].clone();
    assert_eq!(selector, json!({"kubernetes.io/os": "bottlerocket"}), "the user's value wins");
}
