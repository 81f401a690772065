//! The sandbox's stand-in charts, rendered by a real helm: which objects they make, and what they refuse.
//!
//! Object names are the originals', since users and the steps look for them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::HelmMajor;
use serde_json::{Value, json};

const NAMESPACE: &str = "kube-system";

fn template(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(path)
}

fn chart_folder(chart: &str) -> PathBuf {
    template("sandbox/charts").join(chart)
}

/// Runs helm with folders of its own, so that the user's are neither read nor written.
fn helm(arguments: &[&str]) -> Output {
    let helm = crate::support::helm(HelmMajor::Four);
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(&helm);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home.path().join(name));
    }
    command.args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", helm.display()))
}

fn render(chart: &str, values: &Value, more: &[&str]) -> Result<Vec<Value>, String> {
    let text = template_of(chart, values, more)?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Ok(documents.into_iter().filter(|document| !document.is_null()).flat_map(opened).collect())
}

fn template_of(chart: &str, values: &Value, more: &[&str]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), values.to_string()).expect("values are written");
    let (folder, values) = (chart_folder(chart), file.path().to_path_buf());
    let mut arguments = vec!["template", chart, folder.to_str().expect("UTF-8 path"), "--namespace", NAMESPACE];
    arguments.extend(["--kube-version", "1.35.0", "--values", values.to_str().expect("UTF-8 path")]);
    arguments.extend(more);
    let output = helm(&arguments);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).expect("helm prints UTF-8"))
}

/// A list stands for its items, as helm sees it.
fn opened(document: Value) -> Vec<Value> {
    document["items"].as_array().cloned().unwrap_or_else(|| vec![document])
}

/// Whether `helm test` alone makes it.
fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"].is_string()
}

/// The values that eks-bootstrap always sets, with the placeholders replaced.
fn our_values(chart: &str) -> Value {
    let path = template("values").join(format!("{chart}.yaml"));
    let Ok(text) = std::fs::read_to_string(&path) else { return json!({}) };
    let text = text
        .replace("${cluster}", "prod")
        .replace("${region}", "eu-west-1")
        .replace("${vpc}", "vpc-1")
        .replace("${role_arn}", "arn:aws:iam::111122223333:role/ebs");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rendered(chart: &str) -> Vec<Value> {
    render(chart, &our_values(chart), &[]).unwrap_or_else(|error| panic!("{chart}: {error}"))
}

fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind}/{name}"))
}

fn names(objects: &[Value]) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    objects.iter().map(|object| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))).collect()
}

fn arguments(objects: &[Value], kind: &str, name: &str) -> Vec<String> {
    let arguments = &object(objects, kind, name)["spec"]["template"]["spec"]["containers"][0]["args"];
    arguments.as_array().expect("arguments").iter().map(|text| text.as_str().expect("a string").to_owned()).collect()
}

const CHARTS: [(&str, &str, &str, &[&str]); 3] = [
    (
        "aws-load-balancer-controller",
        "3.5.0",
        "v3.5.0",
        &[
            "ClusterRole/aws-load-balancer-controller-role",
            "ClusterRoleBinding/aws-load-balancer-controller-rolebinding",
            "Deployment/aws-load-balancer-controller",
            "IngressClass/alb",
            "IngressClassParams/alb",
            "MutatingWebhookConfiguration/aws-load-balancer-webhook",
            "Role/aws-load-balancer-controller-leader-election-role",
            "RoleBinding/aws-load-balancer-controller-leader-election-rolebinding",
            "Secret/aws-load-balancer-tls",
            "Service/aws-load-balancer-webhook-service",
            "ValidatingWebhookConfiguration/aws-load-balancer-webhook",
        ],
    ),
    (
        "aws-ebs-csi-driver",
        "2.64.0",
        "1.64.0",
        &[
            "CSIDriver/ebs.csi.aws.com",
            "ClusterRole/ebs-csi-node-role",
            "ClusterRole/ebs-external-attacher-role",
            "ClusterRole/ebs-external-provisioner-role",
            "ClusterRole/ebs-external-resizer-role",
            "ClusterRole/ebs-external-snapshotter-role",
            "ClusterRoleBinding/ebs-csi-attacher-binding",
            "ClusterRoleBinding/ebs-csi-node-getter-binding",
            "ClusterRoleBinding/ebs-csi-provisioner-binding",
            "ClusterRoleBinding/ebs-csi-resizer-binding",
            "ClusterRoleBinding/ebs-csi-snapshotter-binding",
            "DaemonSet/ebs-csi-node",
            "DaemonSet/ebs-csi-node-windows",
            "Deployment/ebs-csi-controller",
            "PodDisruptionBudget/ebs-csi-controller",
            "Role/ebs-csi-leases-role",
            "RoleBinding/ebs-csi-leases-rolebinding",
            "ServiceAccount/ebs-csi-controller-sa",
            "ServiceAccount/ebs-csi-node-sa",
        ],
    ),
    (
        "metrics-server",
        "3.13.1",
        "0.8.1",
        &[
            "APIService/v1beta1.metrics.k8s.io",
            "ClusterRole/system:metrics-server",
            "ClusterRole/system:metrics-server-aggregated-reader",
            "ClusterRoleBinding/metrics-server:system:auth-delegator",
            "ClusterRoleBinding/system:metrics-server",
            "Deployment/metrics-server",
            "RoleBinding/metrics-server-auth-reader",
            "Service/metrics-server",
            "ServiceAccount/metrics-server",
        ],
    ),
];

#[test]
fn charts_make_the_objects_of_the_originals() {
    for (chart, version, app, expected) in CHARTS {
        let objects: Vec<_> = rendered(chart).into_iter().filter(|object| !is_hook(object)).collect();
        assert_eq!(names(&objects), expected.iter().map(ToString::to_string).collect(), "{chart}");
        for object in &objects {
            let (labels, name) = (&object["metadata"]["labels"], &object["metadata"]["name"]);
            assert_eq!(labels["helm.sh/chart"], format!("{chart}-{version}"), "{chart} {name}");
            assert_eq!(labels["app.kubernetes.io/version"], app, "{chart} {name}");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{chart} {name}");
        }
        let text = std::fs::read_to_string(chart_folder(chart).join("Chart.yaml")).expect("Chart.yaml");
        let about: Value = serde_saphyr::from_str(&text).expect("Chart.yaml parses");
        assert_eq!(
            (&about["name"], &about["version"], &about["appVersion"]),
            (&json!(chart), &json!(version), &json!(app))
        );
        assert!(about["description"].as_str().expect("a description").starts_with("Stand-in for the"), "{chart}");
    }
}

/// What decides whether a program that reads manifests can read the originals': lists, hooks, and one kind twice.
#[test]
fn charts_have_the_structure_of_the_originals() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/rendered");
    for (chart, version, _, _) in CHARTS {
        let objects = rendered(chart);
        let hooks = objects.iter().filter(|object| is_hook(object)).count();
        assert_eq!(hooks, if chart == "aws-ebs-csi-driver" { 5 } else { 0 }, "{chart}");
        let ours = template_of(chart, &our_values(chart), &[]).expect("renders");
        assert_eq!(ours.contains("\nkind: List\n"), chart == "aws-load-balancer-controller", "{chart}");
        // A plain clone has the numbers above only.
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{chart}-{version}.yaml"))) else { continue };
        let theirs: Vec<Value> = serde_saphyr::from_multiple(&text).expect("rendered originals parse");
        let ours: Vec<Value> = serde_saphyr::from_multiple(&ours).expect("rendered stand-ins parse");
        let documents = |all: &[Value]| names(&all.iter().filter(|one| !one.is_null()).cloned().collect::<Vec<_>>());
        assert_eq!(documents(&ours), documents(&theirs), "{chart}");
    }
}

#[test]
fn versions_are_those_of_the_originals() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/charts");
    for (chart, version, app, _) in CHARTS {
        // A plain clone has the table above only.
        let Ok(text) = std::fs::read_to_string(folder.join(chart).join("Chart.yaml")) else { continue };
        let original: Value = serde_saphyr::from_str(&text).expect("Chart.yaml parses");
        assert_eq!((&original["version"], &original["appVersion"]), (&json!(version), &json!(app)), "{chart}");
    }
}

#[test]
fn every_value_of_the_stand_ins_exists_in_the_originals() {
    fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        if let Value::Object(fields) = value {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                keys(field, &path, found);
                found.insert(path);
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/charts");
    for (chart, ..) in CHARTS {
        let read = |path: PathBuf| -> Option<BTreeSet<String>> {
            let text = std::fs::read_to_string(path).ok()?;
            let mut found = BTreeSet::new();
            keys(&serde_saphyr::from_str(&text).expect("values parse"), "", &mut found);
            Some(found)
        };
        let ours = read(chart_folder(chart).join("values.yaml")).expect("values of the stand-in");
        assert!(ours.len() > 40, "{chart}: {}", ours.len());
        let Some(theirs) = read(folder.join(chart).join("values.yaml")) else { continue };
        // Named in the original's schema only.
        let schema_only = BTreeSet::from([".image.containerRegistry".to_owned()]);
        // Where the original's default is an empty map, what may stand in it is not listed.
        let listed = |key: &String| {
            let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
            parent.is_empty() || theirs.iter().any(|other| other.starts_with(&format!("{parent}.")))
        };
        let made_up: Vec<&String> =
            ours.difference(&theirs).filter(|key| !schema_only.contains(*key) && listed(key)).collect();
        assert!(made_up.is_empty(), "{chart}: {made_up:?}");
    }
}

#[test]
fn charts_pass_lint() {
    for (chart, ..) in CHARTS {
        let folder = chart_folder(chart);
        let output = helm(&["lint", "--strict", folder.to_str().expect("UTF-8 path"), "--set", "clusterName=prod"]);
        // The driver's schema refuses the other chart's value, so it is linted with its own defaults.
        let output = if chart == "aws-ebs-csi-driver" {
            assert!(!output.status.success(), "the strict schema must refuse `clusterName`");
            helm(&["lint", "--strict", folder.to_str().expect("UTF-8 path")])
        } else {
            output
        };
        assert!(output.status.success(), "{chart}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn our_values_reach_the_pods() {
    let objects = rendered("aws-load-balancer-controller");
    let name = "aws-load-balancer-controller";
    let arguments_given = arguments(&objects, "Deployment", name);
    for argument in ["--cluster-name=prod", "--aws-region=eu-west-1", "--aws-vpc-id=vpc-1", "--ingress-class=alb"] {
        assert!(arguments_given.contains(&argument.to_owned()), "{argument} in {arguments_given:?}");
    }
    let pod = &object(&objects, "Deployment", name)["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], name);
    assert_eq!(pod["containers"][0]["image"], "public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0");

    let objects = rendered("aws-ebs-csi-driver");
    let account = object(&objects, "ServiceAccount", "ebs-csi-controller-sa");
    assert_eq!(account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"], "arn:aws:iam::111122223333:role/ebs");
    let container = &object(&objects, "Deployment", "ebs-csi-controller")["spec"]["template"]["spec"]["containers"][0];
    let region = container["env"].as_array().expect("environment").iter().find(|entry| entry["name"] == "AWS_REGION");
    assert_eq!(region.expect("a region")["value"], "eu-west-1");
    assert_eq!(container["image"], "public.ecr.aws/ebs-csi-driver/aws-ebs-csi-driver:v1.64.0");
}

#[test]
fn values_that_the_originals_refuse_are_refused() {
    let error = render("aws-load-balancer-controller", &json!({}), &[]).expect_err("no cluster name");
    assert!(error.contains("clusterName is required"), "{error}");
    for (values, word) in [
        (json!({"controler": {}}), "controler"),
        (json!({"controller": {"regoin": "eu-west-1"}}), "regoin"),
        (json!({"controller": {"serviceAccount": {"annotation": {}}}}), "annotation"),
        (json!({"controller": {"replicaCount": "two"}}), "replicaCount"),
    ] {
        let error = render("aws-ebs-csi-driver", &values, &[]).expect_err("refused by the schema");
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn webhooks_are_those_of_the_original_and_trust_the_secret() {
    let objects = rendered("aws-load-balancer-controller");
    let expected = [
        ("Mutating", "mpod.elbv2.k8s.aws", "/mutate-v1-pod", "Ignore"),
        (
            "Mutating",
            "alb-target-control.namespace.elbv2.k8s.aws",
            "/mutate-alb-target-control-namespace-v1-pod",
            "Fail",
        ),
        ("Mutating", "alb-target-control.object.elbv2.k8s.aws", "/mutate-alb-target-control-object-v1-pod", "Fail"),
        ("Mutating", "quicid.elbv2.k8s.aws", "/mutate-v1-pod-server-id", "Fail"),
        ("Mutating", "mservice.elbv2.k8s.aws", "/mutate-v1-service", "Fail"),
        ("Mutating", "mtargetgroupbinding.elbv2.k8s.aws", "/mutate-elbv2-k8s-aws-v1beta1-targetgroupbinding", "Fail"),
        (
            "Validating",
            "vingressclassparams.elbv2.k8s.aws",
            "/validate-elbv2-k8s-aws-v1beta1-ingressclassparams",
            "Fail",
        ),
        (
            "Validating",
            "vtargetgroupbinding.elbv2.k8s.aws",
            "/validate-elbv2-k8s-aws-v1beta1-targetgroupbinding",
            "Fail",
        ),
        ("Validating", "vingress.elbv2.k8s.aws", "/validate-networking-v1-ingress", "Fail"),
    ];
    let secret = object(&objects, "Secret", "aws-load-balancer-tls");
    let mut found = BTreeSet::new();
    for kind in ["Mutating", "Validating"] {
        let configuration = object(&objects, &format!("{kind}WebhookConfiguration"), "aws-load-balancer-webhook");
        for webhook in configuration["webhooks"].as_array().expect("webhooks") {
            let client = &webhook["clientConfig"];
            assert_eq!(client["caBundle"], secret["data"]["ca.crt"], "{}", webhook["name"]);
            assert_eq!(client["service"]["name"], "aws-load-balancer-webhook-service", "{}", webhook["name"]);
            assert_eq!(client["service"]["namespace"], NAMESPACE, "{}", webhook["name"]);
            let text = |value: &Value| value.as_str().expect("a string").to_owned();
            found.insert((
                kind,
                text(&webhook["name"]),
                text(&client["service"]["path"]),
                text(&webhook["failurePolicy"]),
            ));
        }
    }
    let owned = |(kind, name, path, policy): (&'static str, &str, &str, &str)| {
        (kind, name.to_owned(), path.to_owned(), policy.to_owned())
    };
    assert_eq!(found, expected.into_iter().map(owned).collect());

    let mut values = our_values("aws-load-balancer-controller");
    values["enableServiceMutatorWebhook"] = json!(false);
    let objects = render("aws-load-balancer-controller", &values, &[]).expect("renders");
    assert!(
        !object(&objects, "MutatingWebhookConfiguration", "aws-load-balancer-webhook").to_string().contains("mservice")
    );
}

#[test]
fn crds_are_the_seven_kinds_of_the_original() {
    let values = our_values("aws-load-balancer-controller");
    let objects = render("aws-load-balancer-controller", &values, &["--include-crds"]).expect("renders");
    let expected = [
        ("albtargetcontrolconfigs.elbv2.k8s.aws", "ALBTargetControlConfig", "Namespaced", "v1beta1"),
        ("globalaccelerators.aga.k8s.aws", "GlobalAccelerator", "Namespaced", "v1beta1"),
        ("ingressclassparams.elbv2.k8s.aws", "IngressClassParams", "Cluster", "v1beta1"),
        ("listenerruleconfigurations.gateway.k8s.aws", "ListenerRuleConfiguration", "Namespaced", "v1"),
        ("loadbalancerconfigurations.gateway.k8s.aws", "LoadBalancerConfiguration", "Namespaced", "v1"),
        ("targetgroupbindings.elbv2.k8s.aws", "TargetGroupBinding", "Namespaced", "v1beta1"),
        ("targetgroupconfigurations.gateway.k8s.aws", "TargetGroupConfiguration", "Namespaced", "v1"),
    ];
    let crds: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "CustomResourceDefinition").collect();
    assert_eq!(crds.len(), expected.len());
    for (name, kind, scope, storage) in expected {
        let crd = object(&objects, "CustomResourceDefinition", name);
        let stored: Vec<&Value> = crd["spec"]["versions"]
            .as_array()
            .expect("versions")
            .iter()
            .filter(|version| version["storage"] == true)
            .collect();
        assert_eq!((&crd["spec"]["names"]["kind"], &crd["spec"]["scope"]), (&json!(kind), &json!(scope)), "{name}");
        assert_eq!(stored.iter().map(|version| &version["name"]).collect::<Vec<_>>(), [&json!(storage)], "{name}");
    }
}
