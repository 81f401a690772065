//! `destroy --drain` and `--purge-crds`: load balancers end before their controller, with the cause while they do not, from any
//! half-way point; CRDs end only when nothing of their kinds is left. The optional components and the default class too.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::HelmMajor;
use eks_bootstrap::policy::Document;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use super::objects;
use crate::components::{create_gp2, default_classes};
use crate::permissions;
use crate::support::{Lab, helm, program};

const EVERYTHING: [&str; 6] = ["apply", "--yes", "--enable", "metrics-server", "--enable", "gp3-storage-class"];
const DRAIN: [&str; 4] = ["destroy", "--confirm", "demo", "--drain"];
const BINDINGS: &str = "/apis/elbv2.k8s.aws/v1beta1/namespaces/default/targetgroupbindings";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn ingress() -> ObjectRef {
    ObjectRef::new("networking.k8s.io/v1", "Ingress", "default", "shop")
}

fn has_address(object: &Value) -> bool {
    object.pointer("/status/loadBalancer/ingress/0").is_some()
}

/// An Ingress and a Service with a load balancer each, and a binding that a user made.
async fn make_shop(lab: &Lab) {
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, more: Value| {
        let mut service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service
    };
    if lab.reader().await.get(&ObjectRef::new("v1", "Service", "default", "shop")).await.unwrap().is_none() {
        lab.create(services, &service("shop", json!({}))).await;
    }
    let balanced = json!({"type": "LoadBalancer", "loadBalancerClass": "service.k8s.aws/nlb"});
    lab.create(services, &service("api", balanced)).await;
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let spec = json!({"ingressClassName": "alb", "defaultBackend": backend});
    lab.create(INGRESSES, &json!({"metadata": {"name": "shop"}, "spec": spec})).await;
    let group = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/mine/0123456789abcdef";
    let spec = json!({"serviceRef": {"name": "shop", "port": 80}, "targetGroupARN": group, "targetType": "ip"});
    let binding = json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
        "metadata": {"name": "mine"}, "spec": spec});
    lab.create(BINDINGS, &binding).await;
    lab.until(&ingress(), has_address).await;
    lab.until(&ObjectRef::new("v1", "Service", "default", "api"), has_address).await;
    assert_eq!(balancers(lab).len(), 2);
    let binding = ObjectRef::new("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "default", "mine");
    lab.until(&binding, |binding| binding.pointer("/metadata/finalizers/0").is_some()).await;
}

fn balancers(lab: &Lab) -> Vec<String> {
    let all = lab.sandbox.simulator.tagged_resources();
    all.into_keys().filter(|arn| arn.contains(":loadbalancer/")).collect()
}

/// Everything of the load balancer controller's tag.
fn in_aws(lab: &Lab) -> Vec<String> {
    let all = lab.sandbox.simulator.tagged_resources();
    all.into_iter().filter(|(_, tags)| tags.contains_key("elbv2.k8s.aws/cluster")).map(|(arn, _)| arn).collect()
}

/// The names of the cluster's CRDs.
async fn definitions(lab: &Lab) -> Vec<String> {
    let all = lab.reader().await.list("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "").await.unwrap();
    all.iter().map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Runs the program and interrupts it once it has written something; gives its exit code and all that it said.
///
/// One signal only: a second one kills a helm that is at work, and a release that is left `uninstalling` blocks for minutes.
async fn interrupted(lab: &Lab, arguments: &[&str]) -> (i32, String) {
    let said = lab.work.path().join("interrupted.stderr");
    let mut command = program(&[arguments, &["-o", "json"]].concat(), lab.work.path());
    command.envs(lab.sandbox.environment()).stdout(Stdio::piped()).stderr(std::fs::File::create(&said).unwrap());
    let mut child = command.spawn().unwrap();
    tokio::task::spawn_blocking(move || {
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let mut events = String::new();
        let mut told = false;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["type"] == "op-finished" && !std::mem::replace(&mut told, true) {
                rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            }
            events += &(line + "\n");
        }
        let code = child.wait().unwrap().code().unwrap();
        (code, events + &std::fs::read_to_string(said).unwrap())
    })
    .await
    .unwrap()
}

async fn from_every_half_way_point(major: HelmMajor) {
    let lab = Lab::with(Seed::builtin(), helm(major)).await;
    create_gp2(&lab, true).await;
    let (world, kinds) = (lab.sandbox.simulator.snapshot(), definitions(&lab).await);
    lab.run(&EVERYTHING).await.expect(0);
    assert_eq!(default_classes(&lab).await, ["gp3"]);
    make_shop(&lab).await;

    // Interrupted after its first write, and begun again, until there is nothing left to interrupt.
    let purge = [&DRAIN[..], &["--purge-crds"]].concat();
    let mut rounds = 0;
    loop {
        rounds += 1;
        match interrupted(&lab, &purge).await {
            (130, said) => assert!(rounds < 40, "it never ends: {said}"),
            (0, _) => break,
            (code, said) => panic!("round {rounds} ended with {code}: {said}"),
        }
    }
    assert!(rounds > 5, "only {rounds} rounds");
    let run = lab.run(&purge).await.expect(0);
    assert!(run.stdout.starts_with("nothing to do") && run.stdout.contains("left in AWS: nothing"), "{}", run.stdout);
    assert_eq!(lab.sandbox.simulator.snapshot(), world);
    assert_eq!((in_aws(&lab), objects(&lab).await), (Vec::new(), Vec::new()));
    assert_eq!(definitions(&lab).await, kinds);
    assert_eq!(default_classes(&lab).await, ["gp2"]);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_goes_on_from_every_half_way_point_with_helm_4() {
    from_every_half_way_point(HelmMajor::Four).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_goes_on_from_every_half_way_point_with_helm_3() {
    from_every_half_way_point(HelmMajor::Three).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn load_balancers_end_before_their_controller() {
    let lab = Lab::start().await;
    let world = lab.sandbox.simulator.snapshot();
    make_gateway(&lab).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    make_shop(&lab).await;
    lab.forget();

    // Without --drain it is refused, with everything that stands in the way.
    let refused = lab.run(&["destroy", "--confirm", "demo"]).await.expect(4);
    for part in [
        "Ingress/default/shop",
        "Service/default/api",
        "Gateway/default/edge",
        "TargetGroupBinding/default/mine",
        "pass --drain",
    ] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    assert!(!refused.stderr.contains("Gateway/default/mesh"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("4 objects depend"),
        "the controller's own bindings are left out: {}",
        refused.stderr
    );
    let refused = lab.run(&[&DRAIN[..], &["--skip", "drain.load-balancers"]].concat()).await.expect(4);
    assert!(refused.stderr.contains("Ingress/default/shop"), "{}", refused.stderr);
    // What will be deleted is shown before the confirmation.
    let shown = lab.run(&["destroy", "--drain"]).await.expect(4);
    assert!(shown.stderr.contains("not confirmed"), "{}", shown.stderr);
    for part in
        ["4 objects deleted, with 9 things in AWS", "k8s:delete Ingress", "- loadbalancer/app/k8s-default-shop-"]
    {
        assert!(shown.stdout.contains(part), "{part} is not in {}", shown.stdout);
    }

    a_controller_that_may_not_delete_is_the_cause(&lab).await;
    a_controller_that_is_gone_is_asked_for(&lab).await;

    let run = lab.run(&DRAIN).await.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
    let lines: Vec<_> = run.stderr.lines().filter(|line| line.starts_with('[')).collect();
    assert!(lines[0].contains("drain.load-balancers"), "{}", run.stderr);
    assert_eq!(lab.sandbox.simulator.snapshot(), world);
    assert_eq!(in_aws(&lab), Vec::<String>::new());
    // What is not the controller's is left alone.
    let gateways = lab.reader().await.list("gateway.networking.k8s.io/v1", "Gateway", "", "").await.unwrap();
    assert_eq!(gateways.len(), 1);

    crds_go_only_when_nothing_of_their_kinds_is_left(&lab).await;
    lab.stop().await;
}

/// The kinds of the Gateway API, as far as they matter here: one Gateway of the controller and one of another.
async fn make_gateway(lab: &Lab) {
    for (kind, plural, scope) in [("GatewayClass", "gatewayclasses", "Cluster"), ("Gateway", "gateways", "Namespaced")]
    {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let name = format!("{plural}.gateway.networking.k8s.io");
        let approved = json!({"api-approved.kubernetes.io": "unapproved, a test's"});
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name, "annotations": approved}, "spec": {
                "group": "gateway.networking.k8s.io", "scope": scope,
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
        lab.create(DEFINITIONS, &definition).await;
    }
    let root = "/apis/gateway.networking.k8s.io/v1";
    let version = "gateway.networking.k8s.io/v1";
    for (name, controller) in [("edge", "gateway.k8s.aws/alb"), ("mesh", "istio.io/gateway-controller")] {
        let class = json!({"apiVersion": version, "kind": "GatewayClass", "metadata": {"name": name},
            "spec": {"controllerName": controller}});
        create_once_served(lab, &format!("{root}/gatewayclasses"), &class).await;
        let gateway = json!({"apiVersion": version, "kind": "Gateway", "metadata": {"name": name, "namespace": "default"},
            "spec": {"gatewayClassName": name}});
        create_once_served(lab, &format!("{root}/namespaces/default/gateways"), &gateway).await;
    }
}

/// A kind is served a little after its CRD is made.
async fn create_once_served(lab: &Lab, path: &str, object: &Value) {
    let reader = lab.reader().await;
    for _ in 0..1200 {
        if reader.dry_run_create(object).await.is_ok() {
            return lab.create(path, object).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} is never served");
}

/// A denied call shows while it waits and in the end; everything else stays as it was.
async fn a_controller_that_may_not_delete_is_the_cause(lab: &Lab) {
    let iam = lab.iam().await;
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    let arn = policies.policies()[0].arn().unwrap().to_owned();
    let wanted = policies.policies()[0].default_version_id().unwrap().to_owned();
    let document =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}"#;
    let call = iam.create_policy_version().policy_arn(&arn).policy_document(document).set_as_default(true);
    let other = call.send().await.unwrap().policy_version().unwrap().version_id().unwrap().to_owned();
    let failed = lab.run(&[&DRAIN[..], &["--timeout", "10s"]].concat()).await.expect(1);
    for part in [
        "failed  drain.load-balancers",
        "FailedDeployModel: AccessDenied",
        "hint: fix what is reported",
        "remains: k8s:delete Ingress",
        "AWS still shows",
    ] {
        assert!(failed.stderr.contains(part), "{part} is not in {}", failed.stderr);
    }
    assert!(!failed.stderr.contains("proof.webhook.lbc"), "it had nothing to do: {}", failed.stderr);
    assert!(lab.helm_runs().is_empty(), "{:?}", lab.helm_runs());
    iam.set_default_policy_version().policy_arn(&arn).version_id(&wanted).send().await.unwrap();
    iam.delete_policy_version().policy_arn(&arn).version_id(other).send().await.unwrap();
}

/// Nobody but the controller takes the finalizers off.
async fn a_controller_that_is_gone_is_asked_for(lab: &Lab) {
    // Deleted now, the Ingress would end by itself, since its controller may work again.
    lab.gone(&ingress()).await;
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let spec = json!({"ingressClassName": "alb", "defaultBackend": backend});
    lab.create(INGRESSES, &json!({"metadata": {"name": "shop"}, "spec": spec})).await;
    lab.until(&ingress(), has_address).await;
    lab.helm(&["uninstall", "aws-load-balancer-controller", "-n", "kube-system", "--wait"]).await;
    let refused = lab.run(&DRAIN).await.expect(4);
    for part in ["its controller is gone", "install the controller again with `apply`"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    lab.run(&["apply", "--yes"]).await.expect(0);
}

async fn crds_go_only_when_nothing_of_their_kinds_is_left(lab: &Lab) {
    lab.run(&["apply", "--yes"]).await.expect(0);
    let parameters = "/apis/elbv2.k8s.aws/v1beta1/ingressclassparams";
    let mine =
        json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "IngressClassParams", "metadata": {"name": "mine"}});
    lab.create(parameters, &mine).await;
    lab.forget();
    let refused = lab.run(&["destroy", "--confirm", "demo", "--purge-crds"]).await.expect(4);
    assert!(refused.stderr.contains("IngressClassParams/mine"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("IngressClassParams/alb"), "the chart's own: {}", refused.stderr);
    assert!(lab.aws_writes().is_empty() && lab.helm_runs().is_empty());
    lab.delete(&format!("{parameters}/mine")).await;
    let ours = |names: &[String]| names.iter().filter(|name| name.ends_with("k8s.aws")).count();
    assert_eq!(ours(&definitions(lab).await), 7);
    let run = lab.run(&["destroy", "--confirm", "demo", "--purge-crds"]).await.expect(0);
    let place = |step: &str| run.stderr.find(step).unwrap();
    assert!(place("helm.lbc") < place("k8s.crds.lbc"), "{}", run.stderr);
    assert_eq!(ours(&definitions(lab).await), 0);
}

const BALANCERS: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer";
const ACCELERATORS: &str = "arn:aws:globalaccelerator::111122223333:accelerator";

/// Puts something of the controller's into AWS by hand.
fn put(lab: &Lab, arn: &str, stack: (&str, &str), region: &str) {
    let tags = [("elbv2.k8s.aws/cluster", "demo"), ("elbv2.k8s.aws/cluster-region", region), stack];
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    lab.sandbox.simulator.put_resource(arn, &tags);
}

/// An Ingress whose group stands in the parameters of its class only.
async fn make_group(lab: &Lab) -> ObjectRef {
    let parameters = json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "IngressClassParams",
        "metadata": {"name": "shared"}, "spec": {"group": {"name": "edge"}}});
    lab.create("/apis/elbv2.k8s.aws/v1beta1/ingressclassparams", &parameters).await;
    let class = json!({"metadata": {"name": "shared"}, "spec": {"controller": "ingress.k8s.aws/alb", "parameters": {
        "apiGroup": "elbv2.k8s.aws", "kind": "IngressClassParams", "name": "shared"}}});
    lab.create("/apis/networking.k8s.io/v1/ingressclasses", &class).await;
    lab.create(
        "/api/v1/namespaces/default/services",
        &json!({"metadata": {"name": "shop"}, "spec": {"ports": [{"port": 80}]}}),
    )
    .await;
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let spec = json!({"ingressClassName": "shared", "defaultBackend": backend});
    lab.create(INGRESSES, &json!({"metadata": {"name": "grouped"}, "spec": spec})).await;
    let ingress = ObjectRef::new("networking.k8s.io/v1", "Ingress", "default", "grouped");
    lab.until(&ingress, has_address).await;
    ingress
}

/// An accelerator, for which the controller needs a feature gate and more rights than its usual policy gives.
async fn make_accelerator(lab: &Lab) {
    let chart = lab.charts().join("aws-load-balancer-controller").display().to_string();
    let gate = "controllerConfig.featureGates.GlobalAcceleratorController=true";
    let name = "aws-load-balancer-controller";
    lab.helm(&["upgrade", name, &chart, "-n", "kube-system", "--reuse-values", "--set", gate, "--wait"]).await;
    let iam = lab.iam().await;
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
        "Action": ["ec2:*", "elasticloadbalancing:*", "globalaccelerator:*"]}]});
    let call = iam.create_policy_version().policy_arn(policies.policies()[0].arn().unwrap());
    call.policy_document(document.to_string()).set_as_default(true).send().await.unwrap();
    let path = "/apis/aga.k8s.aws/v1beta1/namespaces/default/globalaccelerators";
    let object = json!({"apiVersion": "aga.k8s.aws/v1beta1", "kind": "GlobalAccelerator", "metadata": {"name": "fast"},
        "spec": {"listeners": []}});
    lab.create(path, &object).await;
    let object = ObjectRef::new("aga.k8s.aws/v1beta1", "GlobalAccelerator", "default", "fast");
    lab.until(&object, |object| object.pointer("/status/acceleratorARN").is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_its_service_confirms_is_waited_for_listed_or_proposed_for_deletion() {
    let lab = Lab::start().await;
    make_gateway(&lab).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    make_group(&lab).await;
    make_accelerator(&lab).await;
    let simulator = &lab.sandbox.simulator;
    let gone = ("ingress.k8s.aws/stack", "default/gone");
    let (ghost, lost) =
        (format!("{BALANCERS}/app/k8s-ghost/0123456789abcdef"), format!("{BALANCERS}/app/k8s-lost/0123456789abcdef"));
    put(&lab, &ghost, gone, "eu-west-1");
    simulator.remove_resource(&ghost);
    put(&lab, &lost, gone, "eu-west-1");
    // One whose object is gone, and one of a cluster of the same name elsewhere.
    let (forgotten, foreign) = (format!("{ACCELERATORS}/forgotten"), format!("{ACCELERATORS}/foreign"));
    put(&lab, &forgotten, ("aga.k8s.aws/stack", "default/gone"), "eu-west-1");
    put(&lab, &foreign, ("aga.k8s.aws/stack", "default/fast"), "us-east-2");

    let refused = lab.run(&["destroy", "--confirm", "demo"]).await.expect(4);
    for part in ["Ingress/default/grouped", "GlobalAccelerator/default/fast"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    let shown = lab.run(&["destroy", "--drain"]).await.expect(4);
    let alone: Vec<_> = shown.stdout.lines().filter_map(|line| line.split_once(" is of no object")).collect();
    let alone: Vec<_> = alone.iter().map(|(arn, _)| arn.rsplit(' ').next().unwrap()).collect();
    assert_eq!(alone, [lost.as_str(), forgotten.as_str()], "{}", shown.stdout);
    for part in ["- accelerator/", "- loadbalancer/app/k8s-edge-"] {
        assert!(shown.stdout.contains(part), "{part} is not in {}", shown.stdout);
    }

    // Without the right to confirm nothing is proposed for deletion, and the right is named.
    let denied = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": ["elasticloadbalancing:*", "globalaccelerator:*"], "Resource": "*"}]});
    simulator.set_caller_policy(Some(Document::parse(&denied.to_string()).unwrap()));
    let shown = lab.run(&["destroy", "--drain"]).await.expect(4);
    assert!(!shown.stdout.contains("is of no object"), "{}", shown.stdout);
    for (arn, right) in
        [(&lost, "elasticloadbalancing:DescribeLoadBalancers"), (&forgotten, "globalaccelerator:DescribeAccelerator")]
    {
        let expected = format!("{arn}: unconfirmed: needs the permission {right}");
        assert!(shown.stdout.contains(&expected), "{expected} is not in {}", shown.stdout);
    }
    let checked = lab.run(&["verify", "-o", "json"]).await;
    let checked = checked.json();
    let orphans =
        checked["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "EKB-LBC-007").unwrap();
    assert_eq!(orphans["status"], "unknown", "{orphans:#}");
    simulator.set_caller_policy(None);

    // With what is printed all of it can be asked.
    let printed = permissions::of(&lab, "destroy").await;
    simulator.set_caller_policy(Some(printed));
    let run = lab.run(&DRAIN).await.expect(0);
    assert!(!run.stderr.contains("unconfirmed") && !run.stdout.contains("unconfirmed"), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(&format!("left in AWS:\n  {lost}\n  {forgotten}\n")), "{}", run.stderr);
    assert!(!run.stderr.contains(&ghost) && !run.stderr.contains(&foreign), "{}", run.stderr);
    assert_eq!(in_aws(&lab), [lost, foreign, forgotten]);
    lab.stop().await;
}
