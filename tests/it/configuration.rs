//! `config`: the committed schema is the program's, the example can be used, and every value names its source.

use std::fs;

use eks_bootstrap::{component_file, config_schema};
use serde_json::Value;

use crate::support::{Run, program};

const COMPONENT_SCHEMA: &str = include_str!("../../templates/component.schema.json");
const SCHEMA: &str = include_str!("../../templates/config.schema.json");

#[test]
fn the_committed_schema_is_the_programs() {
    let expected = format!("{:#}\n", config_schema::schema());
    assert!(SCHEMA == expected, "run: cargo run -- config schema > templates/config.schema.json");
    let expected = format!("{:#}\n", component_file::schema());
    let mend = "run: cargo run -- config schema --component > templates/component.schema.json";
    assert!(COMPONENT_SCHEMA == expected, "{mend}");
}

#[test]
fn the_printed_example_is_a_configuration() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Run::from(program(arguments, home.path()).output().unwrap());
    let example = run(&["config", "init"]).expect(0).stdout;
    fs::write(home.path().join("demo.yaml"), example).unwrap();
    let view = run(&["config", "view", "-f", "demo.yaml"]).expect(0).stdout;
    let view: Value = serde_saphyr::from_str(&view).unwrap();
    assert_eq!(view["spec"]["cluster"]["name"], "demo");
    let printed = run(&["config", "schema"]).expect(0).stdout;
    // The text is long; the other test says how to mend it.
    assert!(printed == SCHEMA, "`config schema` does not print the committed schema");
}

#[test]
fn every_value_names_its_source() {
    let home = tempfile::tempdir().unwrap();
    let document = |name: &str, iam: &str| {
        format!(
            "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {{name: {name}}}\n  iam: {iam}\n"
        )
    };
    let base = [document("prod", "{path: /platform/, tags: {team: a}}"), document("test", "{}")].join("---\n");
    fs::write(home.path().join("base.yaml"), base).unwrap();
    fs::write(home.path().join("prod.yaml"), document("prod", "{namePrefix: p-, tags: {example.com/cost: b}}"))
        .unwrap();
    let mut command = program(
        &[
            "config",
            "view",
            "-f",
            "base.yaml",
            "-f",
            "prod.yaml",
            "-c",
            "prod",
            "--lbc-version",
            "3.4.0",
            "--tag",
            "own=x",
        ],
        home.path(),
    );
    command.env("EKS_BOOTSTRAP_REGION", "eu-west-1").env("EKS_BOOTSTRAP_IAM_PATH", "");
    command.env_remove("EKS_BOOTSTRAP_IAM_PATH");
    let view = Run::from(command.args(["--disable", "aws-ebs-csi-driver"]).output().unwrap()).expect(0).stdout;
    insta::assert_snapshot!("config_view", view);
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let report = |spec: &str| {
        let text = format!("apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec: {spec}\n");
        fs::write(home.path().join("demo.yaml"), text).unwrap();
        Run::from(program(&["config", "view", "-c", "demo", "-f", "demo.yaml"], home.path()).output().unwrap())
            .expect(64)
            .stderr
    };
    let unknown = report("{components: {awsLoadBalancerController: {replica: 2}}}");
    assert!(unknown.contains("unknown field `spec.components.awsLoadBalancerController.replica`"), "{unknown}");
    assert!(unknown.contains("did you mean `replicas`?"), "{unknown}");
    let kind = report("{components: {awsLoadBalancerController: {replicas: many}}}");
    assert!(kind.contains("spec.components.awsLoadBalancerController.replicas: invalid type"), "{kind}");
    let several = "{cluster: {name: a}}\n---\napiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec: {cluster: {name: b}}";
    let chosen = report(several);
    assert!(chosen.contains("does not describe cluster `demo`, only a, b"), "{chosen}");
}
