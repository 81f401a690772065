//! Bad values: each gives one clear error that names the field, the value and the mend, before anything is asked. Nothing
//! answers for AWS here, so a run that asked would fail in another way.

use std::fs;

use crate::support::{Run, program};

/// Arguments after `plan -c demo -r eu-west-1`, and what the error has to name: the field, the value, the mend.
const FLAGS: &[(&[&str], [&str; 3])] = &[
    (&["--cluster", "arn:aws:eks:eu-west-1:111122223333:cluster/x"], ["--cluster", "cluster/x", "not its ARN"]),
    (&["--cluster=-demo"], ["--cluster", "-demo", "the cluster's name"]),
    (&["--cluster", ""], ["--cluster", "``", "the cluster's name"]),
    (&["--region", "eu-west-1a"], ["--region", "eu-west-1a", "no zone letter"]),
    (&["--region", "Ireland"], ["--region", "Ireland", "eu-west-1"]),
    (&["--region", "eu_west_1"], ["--region", "eu_west_1", "eu-west-1"]),
    (&["--account", "1234"], ["--account", "1234", "12 digits"]),
    (&["--account", "1111-2222-3333"], ["--account", "1111-2222-3333", "12 digits"]),
    (&["--assume-role", "admin"], ["--assume-role", "admin", ":role/NAME"]),
    (&["--assume-role", "arn:aws:iam::111122223333:user/me"], ["--assume-role", "user/me", ":role/NAME"]),
    (&["--assume-role", "arn:aws:sts::111122223333:assumed-role/a/b"], ["--assume-role", "assumed-role", ":role/NAME"]),
    (&["--endpoint-url", "localhost:4566"], ["--endpoint-url", "localhost:4566", "http://"]),
    (&["--endpoint-url", "ftp://x"], ["--endpoint-url", "ftp://x", "http://"]),
    (&["--kubeconfig", "nowhere"], ["--kubeconfig", "nowhere", "file"]),
    (&["--context", "kind"], ["--context", "kubeconfig", "--kubeconfig"]),
    (&["--helm", "nowhere"], ["--helm", "nowhere", "file"]),
    (&["--charts", "nowhere"], ["--charts", "nowhere", "folder"]),
    (&["--timeout", "soon"], ["--timeout", "soon", "10m"]),
    (&["--timeout", "0s"], ["--timeout", "0s", "10m"]),
    (&["--timeout", "48h"], ["--timeout", "48h", "24h"]),
    (&["--timeout=-5m"], ["--timeout", "-5m", "10m"]),
    (&["--iam-path", "platform"], ["--iam-path", "platform", "/platform/"]),
    (&["--iam-path", "/platform"], ["--iam-path", "/platform", "/platform/"]),
    (&["--iam-path", "//a/"], ["--iam-path", "//a/", "`/`"]),
    (&["--iam-path", "/a b/"], ["--iam-path", "/a b/", "`/`"]),
    (&["--name-prefix", "a b"], ["--name-prefix", "a b", "letters"]),
    (&["--name-prefix", "averyveryverylongprefix-"], ["--name-prefix", "averyvery", "at most 20"]),
    (&["--name-prefix", "team/"], ["--name-prefix", "team/", "letters"]),
    (&["--permissions-boundary", "boundary"], ["--permissions-boundary", "boundary", ":policy/NAME"]),
    (&["--permissions-boundary", "arn:aws:iam::1:policy/x"], ["--permissions-boundary", "::1:", ":policy/NAME"]),
    (&["--permissions-boundary", "arn:aws:iam::111122223333:role/x"], ["--permissions-boundary", "role/x", ":policy/"]),
    (&["--tag", "team"], ["--tag", "team", "KEY=VALUE"]),
    (&["--tag", "=x"], ["--tag", "=x", "1 to 128"]),
    (&["--tag", "aws:x=y"], ["--tag", "aws:x=y", "AWS's own"]),
    (&["--tag", "eks-bootstrap/cluster=y"], ["--tag", "eks-bootstrap/cluster=y", "our own"]),
    (&["--tag", "a=b;c"], ["--tag", "a=b;c", "allowed"]),
    (&["--tag", "EKS-Bootstrap/Cluster=y"], ["--tag", "EKS-Bootstrap/Cluster=y", "our own"]),
    (&["--tag", "Team=a", "--tag", "team=b"], ["--tag", "`Team` and `team`", "one of the two"]),
    (
        &["--ebs-policy", "cluster-scoped", "--tag", "EKS-Cluster-Name=x"],
        ["--tag", "`eks-cluster-name` and `EKS-Cluster-Name`", "one of the two"],
    ),
    (&["--lbc-version", "v3.5.0"], ["--lbc-version", "v3.5.0", "no `v`"]),
    (&["--lbc-version", "3.5"], ["--lbc-version", "3.5", "3.5.0"]),
    (&["--lbc-version", "latest"], ["--lbc-version", "latest", "3.5.0"]),
    (&["--ebs-managed-by", "terraform"], ["--ebs-managed-by", "terraform", "eks-addon"]),
    (&["--ebs-addon-version", "v1.64.0-eksbuild.1"], ["--ebs-addon-version", "v1.64.0", "--ebs-managed-by eks-addon"]),
    (
        &["--ebs-managed-by", "eks-addon", "--ebs-addon-version", "1.64.0"],
        ["--ebs-addon-version", "1.64.0", "v1.64.0-eksbuild.1"],
    ),
    (&["--node-role", "nodes"], ["--node-role", "nodes", "--attach-node-role"]),
    (
        &["--attach-node-role", "--node-role", "arn:aws:iam::111122223333:instance-profile/nodes"],
        ["--node-role", "instance-profile/nodes", "name or its ARN"],
    ),
    (&["--attach-node-role", "--node-role", "a b"], ["--node-role", "a b", "name or its ARN"]),
    (&["--ebs-version", "~2.64.0"], ["--ebs-version", "~2.64.0", "no range"]),
    (&["--metrics-server-version", "x"], ["--metrics-server-version", "`x`", "exact"]),
    (&["--lbc-role-arn", "AmazonEKSLoadBalancerControllerRole"], ["--lbc-role-arn", "AmazonEKS", ":role/NAME"]),
    (&["--lbc-role-arn", "arn:aws:iam::111122223333:role/"], ["--lbc-role-arn", ":role/", ":role/NAME"]),
    (&["--ebs-role-arn", "arn:aws:iam::111122223333:policy/x"], ["--ebs-role-arn", "policy/x", ":role/NAME"]),
    (&["--ebs-role-arn", "arn:aws:s3:::bucket"], ["--ebs-role-arn", "bucket", ":role/NAME"]),
    (&["--lbc-policy", "scope"], ["--lbc-policy", "scope", "target-group-binding-only"]),
    (&["--ebs-policy", "v3"], ["--ebs-policy", "v3", "cluster-scoped"]),
    (&["--lbc-policy-arn", "MyPolicy"], ["--lbc-policy-arn", "MyPolicy", ":policy/NAME"]),
    (&["--ebs-policy-arn", "arn:aws:iam::111122223333:role/x"], ["--ebs-policy-arn", "role/x", ":policy/NAME"]),
    (
        &["--lbc-policy", "scoped", "--lbc-policy-arn", "arn:aws:iam::111122223333:policy/x"],
        ["--lbc-policy and --lbc-policy-arn", "scoped", "leave one"],
    ),
    (&["--kms-key", "alias/ebs"], ["--kms-key", "alias/ebs", "ARN"]),
    (&["--kms-key", "1234abcd-12ab-34cd-56ef-1234567890ab"], ["--kms-key", "1234abcd", "ARN of the key itself"]),
    (
        &["--kms-key", "arn:aws:kms:eu-west-1:111122223333:alias/ebs"],
        ["--kms-key", "alias/ebs", "ARN of the key itself"],
    ),
    (&["--ignore-drift", "spec.replicas"], ["--ignore-drift", "spec.replicas", "as the plan prints it"]),
    (&["--ignore-drift", "deployment/x spec"], ["--ignore-drift", "deployment/x spec", "such as Deployment"]),
    (&["--enable", "ebs"], ["--enable", "ebs", "aws-ebs-csi-driver"]),
    (&["--enable", "metrics"], ["--enable", "metrics", "metrics-server"]),
    (&["--disable", "lbc"], ["--disable", "lbc", "aws-load-balancer-controller"]),
    (
        &["--enable", "metrics-server", "--disable", "metrics-server"],
        ["--enable and --disable", "metrics-server", "leave one"],
    ),
    (&["--adopt", "iam.role"], ["--adopt", "iam.role", "iam.role.lbc"]),
    (&["--only", "helm.lcb"], ["--only", "helm.lcb", "did you mean `helm.lbc`"]),
    (&["--skip", "everything"], ["--skip", "everything", "iam.oidc-provider"]),
    (&["-o", "yaml"], ["yaml", "--output", "json"]),
    (&["-o", "junit"], ["output form", "junit", "json"]),
    (&["--color", "sometimes"], ["sometimes", "--color", "always"]),
    (&["--replicas", "3"], ["--replicas", "unexpected", "--help"]),
];

/// What stands under `spec`, and what the error has to name.
const FILES: &[(&str, [&str; 3])] = &[
    ("{cluster: {name: demo, acount: x}}", ["spec.cluster.acount", "unknown field", "did you mean `account`"]),
    ("{iam: {prefix: x}}", ["spec.iam.prefix", "unknown field", "namePrefix"]),
    (
        "{components: {loadBalancer: {}}}",
        ["spec.components.loadBalancer", "unknown field", "awsLoadBalancerController"],
    ),
    (
        "{components: {awsEbsCsiDriver: {enable: true}}}",
        ["spec.components.awsEbsCsiDriver.enable", "unknown field", "did you mean `enabled`"],
    ),
    (
        "{components: {metricsServer: {roleArn: x}}}",
        ["spec.components.metricsServer.roleArn", "unknown field", "version"],
    ),
    ("{cluster: {account: 111122223333}}", ["spec.cluster.account", "is a number in YAML", "quote it"]),
    ("{components: {awsEbsCsiDriver: {enabled: maybe}}}", ["awsEbsCsiDriver.enabled", "maybe", "boolean"]),
    ("{components: {awsEbsCsiDriver: {replicas: -1}}}", ["awsEbsCsiDriver.replicas", "-1", "u32"]),
    ("{components: {awsEbsCsiDriver: {replicas: 0}}}", ["replicas of aws-ebs-csi-driver", "`0`", "1 to 20"]),
    ("{components: {awsEbsCsiDriver: {replicas: 100}}}", ["replicas of aws-ebs-csi-driver", "`100`", "1 to 20"]),
    ("{components: {awsEbsCsiDriver: {values: [1]}}}", ["values of aws-ebs-csi-driver", "[1]", "key: value"]),
    (
        "{components: {awsLoadBalancerController: {kmsKeys: [a]}}}",
        ["spec.components.awsLoadBalancerController.kmsKeys", "unknown field", "policyArn"],
    ),
    (
        "{components: {awsLoadBalancerController: {policy: target}}}",
        ["--lbc-policy", "`target`", "targetGroupBindingOnly"],
    ),
    ("{components: {awsEbsCsiDriver: {policy: cluster}}}", ["--ebs-policy", "`cluster`", "clusterScoped"]),
    ("{components: {awsEbsCsiDriver: {kmsKeys: a}}}", ["kmsKeys", "invalid type", "sequence"]),
    ("{components: {awsEbsCsiDriver: {kmsKeys: [mine]}}}", ["--kms-key", "mine", "ARN"]),
    ("{components: {gp3StorageClass: {kmsKeyId: my-key}}}", ["kms", "my-key", "key"]),
    (
        "{components: {metricsServer: {ignoreDrift: ['Deployment/a/b /spec']}}}",
        ["--ignore-drift", "Deployment/a/b /spec", "as the plan prints it"],
    ),
    ("{components: {awsEbsCsiDriver: {ignoreDrift: x}}}", ["ignoreDrift", "invalid type", "sequence"]),
    ("{iam: {tags: [a]}}", ["spec.iam.tags", "invalid type", "map"]),
    ("{iam: {tags: {Team: a, team: b}}}", ["--tag", "`Team` and `team`", "one of the two"]),
    ("{iam: {path: platform}}", ["--iam-path", "platform", "/platform/"]),
    ("{cluster: {region: Ireland}}", ["--region", "Ireland", "eu-west-1"]),
    ("[]", ["spec", "a list", "name: value"]),
    ("{cluster: [demo]}", ["spec.cluster", "a list", "name: value"]),
];

/// What is wrong with the refusal; nothing where it is as it should be.
fn refused(arguments: &[&str], home: &tempfile::TempDir, named: &[&str; 3]) -> Option<String> {
    let run = Run::from(program(arguments, home.path()).output().unwrap());
    let missing: Vec<_> = named.iter().filter(|name| !run.stderr.contains(**name)).collect();
    // One error, not a list of consequences.
    let errors = run.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let good = run.code == 64 && run.stdout.is_empty() && missing.is_empty() && errors == 1;
    (!good).then(|| format!("{arguments:?}: code {}, missing {missing:?}: {}\n", run.code, run.stderr))
}

#[test]
fn each_flag_is_checked_before_anything_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (flags, named) in FLAGS {
        let mut arguments = vec!["plan"];
        for given in [["-c", "demo"], ["-r", "eu-west-1"]] {
            let long = if given[0] == "-c" { "--cluster" } else { "--region" };
            if !flags.iter().any(|flag| flag.starts_with(long)) {
                arguments.extend(given);
            }
        }
        arguments.extend(*flags);
        wrong.extend(refused(&arguments, &home, named));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_field_of_the_file_is_checked_before_anything_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (spec, named) in FILES {
        let text = format!("apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec: {spec}\n");
        fs::write(home.path().join("demo.yaml"), text).unwrap();
        let mut arguments = vec!["plan", "-f", "demo.yaml", "-c", "demo"];
        if !spec.contains("region") {
            arguments.extend(["-r", "eu-west-1"]);
        }
        wrong.extend(refused(&arguments, &home, named));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_are_none() {
    let home = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (text, named) in [
        ("apiVersion: v1\nkind: ConfigMap\n", ["demo.yaml", "ConfigMap", "ClusterBootstrap"]),
        ("apiVersion: [\n", ["demo.yaml", "cannot use", "config init"]),
        ("kind: ClusterBootstrap\n", ["demo.yaml", "apiVersion", "config init"]),
        ("", ["demo.yaml", "empty", "config init"]),
    ] {
        fs::write(home.path().join("demo.yaml"), text).unwrap();
        wrong.extend(refused(&["plan", "-f", "demo.yaml", "-c", "demo", "-r", "eu-west-1"], &home, &named));
    }
    let named = ["nowhere.yaml", "No such file", "config init"];
    wrong.extend(refused(&["plan", "-f", "nowhere.yaml", "-c", "demo"], &home, &named));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
