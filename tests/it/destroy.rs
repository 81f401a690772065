//! What `destroy` removes, what it leaves alone, and what it refuses: the world after it is the world before `apply`.

mod drain;

use crate::support::HelmMajor;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{At, Effect, Fault, Seed, SeedResource};
use serde_json::{Value, json};

use crate::permissions;
use crate::support::{Lab, helm, of_aws};

const LBC: &str = "aws-load-balancer-controller";
const ACCOUNTS: &str = "/api/v1/namespaces/kube-system/serviceaccounts";
const CONFIRMED: [&str; 3] = ["destroy", "--confirm", "demo"];

/// Everything in the cluster that an apply makes, but for the CRDs.
async fn objects(lab: &Lab) -> Vec<String> {
    let reader = lab.reader().await;
    let mut names = Vec::new();
    for (api_version, kind, name) in [
        ("v1", "ServiceAccount", LBC),
        ("v1", "ServiceAccount", "ebs-csi-controller-sa"),
        ("v1", "Service", "aws-load-balancer-webhook-service"),
        ("apps/v1", "Deployment", LBC),
        ("apps/v1", "Deployment", "ebs-csi-controller"),
        ("apps/v1", "DaemonSet", "ebs-csi-node"),
        ("networking.k8s.io/v1", "IngressClass", "alb"),
        ("storage.k8s.io/v1", "CSIDriver", "ebs.csi.aws.com"),
        ("storage.k8s.io/v1", "StorageClass", "gp3"),
        ("apps/v1", "Deployment", "metrics-server"),
        ("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io"),
    ] {
        let reference = ObjectRef::new(api_version, kind, "kube-system", name);
        if reader.get(&reference).await.unwrap().is_some() {
            names.push(reference.to_string());
        }
    }
    for record in reader.list("v1", "Secret", "kube-system", "owner=helm").await.unwrap() {
        names.push(ObjectRef::of(&record).name);
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn after_destroy_the_world_is_the_one_before_apply() {
    let lab = Lab::start().await;
    let before = lab.sandbox.simulator.snapshot();
    lab.run(&["apply", "--yes"]).await.expect(0);
    assert!(objects(&lab).await.len() >= 10);
    lab.forget();

    // Nothing is removed without the cluster's name.
    for arguments in [&["destroy"][..], &["destroy", "--yes"], &["destroy", "--confirm", "prod"]] {
        let refused = lab.run(arguments).await.expect(4);
        assert!(refused.stderr.contains("not confirmed"), "{}", refused.stderr);
    }
    guards_refuse(&lab).await;
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (Vec::new(), Vec::new()));

    let allowed = permissions::of(&lab, "destroy").await;
    let run = lab.run(&CONFIRMED).await.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
    assert_eq!(lab.sandbox.simulator.snapshot(), before);
    // The least policy covers it; what this run did not need is for adopted objects, policies of several versions, load balancers and volumes, and what
    // an earlier configuration with Pod Identity may have left.
    let used = permissions::covered(&allowed, &lab.sandbox.simulator.calls());
    let unused: Vec<_> = permissions::actions(&allowed).difference(&used).cloned().collect();
    let rarer = [
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeVolumes",
        "eks:DeleteAddon",
        "eks:DeletePodIdentityAssociation",
        "eks:DescribePodIdentityAssociation",
        "eks:ListClusters",
        "eks:UntagResource",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTargetGroups",
        "globalaccelerator:DescribeAccelerator",
        "iam:DeletePolicyVersion",
        "iam:UntagPolicy",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
    ];
    assert_eq!(unused, rarer);
    assert_eq!(objects(&lab).await, Vec::<String>::new());
    lab.object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "targetgroupbindings.elbv2.k8s.aws").await;

    lab.forget();
    let again = lab.run(&CONFIRMED).await.expect(0);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);
    assert!(again.stdout.contains("left in AWS: nothing"), "{}", again.stdout);
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (Vec::new(), Vec::new()));

    half_way_states_end_in_the_same_world(&lab, &before).await;
    adopted_objects_are_given_back(&lab).await;
    lab.stop().await;
}

/// Load balancers and volumes that only the controllers can delete stop everything, before the first write.
async fn guards_refuse(lab: &Lab) {
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let ingress = |name: &str, class: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
               "spec": {"ingressClassName": class, "defaultBackend": backend}})
    };
    lab.create(ingresses, &ingress("shop", "alb")).await;
    lab.create(ingresses, &ingress("other", "nginx")).await;
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "data"}, "spec": {
        "capacity": {"storage": "4Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-0123456789abcdef0"}}});
    lab.create("/api/v1/persistentvolumes", &volume).await;

    let refused = lab.run(&CONFIRMED).await.expect(4);
    assert!(refused.stderr.contains("Ingress/default/shop"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("Ingress/default/other"), "{}", refused.stderr);
    let expected = "PersistentVolume/data (vol-0123456789abcdef0, 4Gi, Retain)";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let refused = lab.run(&["destroy", "--confirm", "demo", "--leave-volumes"]).await.expect(4);
    assert!(refused.stderr.contains("error: 1 object depends on"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("warning: {expected} stays in AWS")), "{}", refused.stderr);
    lab.delete(&format!("{ingresses}/shop")).await;
    lab.delete(&format!("{ingresses}/other")).await;
    // The controller takes its finalizer off first.
    lab.gone(&ObjectRef::new("networking.k8s.io/v1", "Ingress", "default", "shop")).await;
    // With the volume left, only the confirmation is missing.
    let refused = lab.run(&["destroy", "--leave-volumes"]).await.expect(4);
    assert!(refused.stderr.contains("not confirmed"), "{}", refused.stderr);
    lab.delete("/api/v1/persistentvolumes/data").await;
    lab.gone(&ObjectRef {
        api_version: "v1".to_owned(),
        kind: "PersistentVolume".to_owned(),
        namespace: None,
        name: "data".to_owned(),
    })
    .await;
}

/// Whatever someone has removed by hand already, destroy removes the rest.
async fn half_way_states_end_in_the_same_world(lab: &Lab, before: &Value) {
    lab.run(&["apply", "--yes"]).await.expect(0);
    lab.helm(&["uninstall", LBC, "-n", "kube-system", "--wait"]).await;
    lab.delete(&format!("{ACCOUNTS}/{LBC}")).await;
    // A first destroy that fails half-way: the role's deletion is denied once, the driver's part goes on.
    let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "no".to_owned() };
    lab.sandbox.simulator.inject(Fault::once(At::Operation { name: "DeletePolicy".to_owned(), nth: 1 }, denied));
    let failed = lab.run(&CONFIRMED).await.expect(77);
    assert!(failed.stderr.contains("remains: iam:DeletePolicy"), "{}", failed.stderr);
    assert!(failed.stderr.contains(":policy/demo-aws-load-balancer-controller-"), "{}", failed.stderr);
    lab.run(&CONFIRMED).await.expect(0);
    assert_eq!(lab.sandbox.simulator.snapshot(), *before);
    assert_eq!(objects(lab).await, Vec::<String>::new());
}

/// A service account that belonged to someone else stays, without our marks.
async fn adopted_objects_are_given_back(lab: &Lab) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": LBC, "labels": {"app.kubernetes.io/managed-by": "eksctl"}}});
    lab.create(ACCOUNTS, &account).await;
    lab.run(&["apply", "--yes", "--adopt", "k8s.service-account.lbc"]).await.expect(0);
    let events = lab.run(&["destroy", "--confirm", "demo", "-o", "json"]).await.expect(0);
    let events: Vec<Value> = events.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"run-started"));
    assert_eq!(kinds[kinds.len() - 2..], ["left-behind", "run-finished"]);
    assert_eq!(events[events.len() - 2]["arns"], json!([]));
    let account = lab.object("v1", "ServiceAccount", LBC).await;
    assert_eq!(account["metadata"]["labels"].get("app.kubernetes.io/managed-by"), None, "{account:#}");
    assert_eq!(account["metadata"]["annotations"].get("eks-bootstrap.dev/adopted-from"), None, "{account:#}");
    assert_eq!(objects(lab).await, [format!("ServiceAccount/kube-system/{LBC}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_or_need_stays() {
    let mut seed = Seed::builtin();
    let balancer = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/k8s-shop/0123456789abcdef";
    let tags = [("elbv2.k8s.aws/cluster".to_owned(), "demo".to_owned())].into();
    seed.resources.push(SeedResource { arn: balancer.to_owned(), tags });
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let iam = lab.iam().await;
    let (apply, destroy) = (of_aws(&["apply", "--yes"]), of_aws(&CONFIRMED));
    let issuer = lab.sandbox.simulator.cluster_issuer("demo").unwrap();
    let provider = format!("arn:aws:iam::111122223333:oidc-provider/{}", issuer.trim_start_matches("https://"));
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": provider}}]});
    let call = iam.create_role().role_name("external-dns").assume_role_policy_document(trust.to_string());
    call.send().await.unwrap();
    let before = lab.sandbox.simulator.snapshot();

    lab.run(&apply).await.expect(0);
    lab.forget();
    let run = lab.run(&destroy).await.expect(0);
    assert!(run.stdout.contains("kept: role external-dns trusts it"), "{}", run.stdout);
    let alone = format!("warning: {balancer} is of no object in the cluster and stays");
    assert!(run.stdout.contains(&alone), "{}", run.stdout);
    assert!(run.stderr.contains(&format!("left in AWS:\n  {balancer}\n  {provider}\n")), "{}", run.stderr);
    assert_eq!(lab.aws_writes().len(), 5, "two detachments, two roles, one policy: {:?}", lab.aws_writes());

    // Once nobody else trusts the provider it goes too.
    iam.delete_role().role_name("external-dns").send().await.unwrap();
    lab.run(&destroy).await.expect(0);
    iam.create_role().role_name("external-dns").assume_role_policy_document(trust.to_string()).send().await.unwrap();
    assert_eq!(without_times(lab.sandbox.simulator.snapshot()), without_times(before));

    things_put_on_ours_block(&lab, &iam).await;
    lab.stop().await;
}

/// When and with which ids things were made differs for what was made anew.
fn without_times(mut world: Value) -> Value {
    strip(&mut world);
    world
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "created" | "id"));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// An inline policy of someone on our role, or our policy on someone's role, is not swept away.
async fn things_put_on_ours_block(lab: &Lab, iam: &aws_sdk_iam::Client) {
    lab.run(&of_aws(&["apply", "--yes"])).await.expect(0);
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles.roles().iter().map(aws_sdk_iam::types::Role::role_name).find(|name| name.contains(LBC)).unwrap();
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    iam.put_role_policy().role_name(role).policy_name("mine").policy_document(document).send().await.unwrap();
    let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    let policy = policies.policies()[0].arn().unwrap();
    iam.attach_role_policy().role_name("external-dns").policy_arn(policy).send().await.unwrap();
    lab.forget();
    let refused = lab.run(&of_aws(&CONFIRMED)).await.expect(4);
    for part in ["inline policy mine", "role/external-dns", "--skip iam.policy.lbc --skip iam.role.lbc"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert_eq!(lab.aws_writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_write_leads_to_the_same_world_in_the_end() {
    let lab = Lab::start().await;
    let before = lab.sandbox.simulator.snapshot();
    let (apply, destroy) = (of_aws(&["apply", "--yes"]), of_aws(&CONFIRMED));
    let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message: "no".to_owned() };
    // Two detachments, two roles, policy, provider.
    for number in 1..=6 {
        for effect in [denied.clone(), Effect::Drop, Effect::LoseAnswer] {
            lab.run(&apply).await.expect(0);
            lab.forget();
            lab.sandbox.simulator.inject(Fault::once(At::Write(number), effect.clone()));
            let first = lab.run(&destroy).await;
            let fatal = effect == denied;
            assert_eq!(first.code, if fatal { 77 } else { 0 }, "write {number}, {effect:?}: {}", first.stderr);
            if fatal {
                assert!(first.stderr.contains("remains: iam:"), "{}", first.stderr);
                lab.run(&destroy).await.expect(0);
            }
            assert_eq!(lab.sandbox.simulator.snapshot(), before, "write {number}, {effect:?}");
        }
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_release_stays_installed() {
    let lab = Lab::start().await;
    let name = "aws-ebs-csi-driver";
    let chart = lab.charts().join(name).display().to_string();
    lab.helm(&["install", name, &chart, "-n", "kube-system", "--set", "controller.region=eu-west-1"]).await;
    lab.run(&["apply", "--yes"]).await.expect(4);
    lab.run(&["apply", "--yes", "--adopt", "helm.ebs"]).await.expect(0);
    // A later revision by hand still knows that it was adopted.
    lab.helm(&["upgrade", name, &chart, "-n", "kube-system", "--reuse-values", "--wait"]).await;
    let run = lab.run(&CONFIRMED).await.expect(0);
    assert!(run.stdout.contains("adopted, so given back: stays installed"), "{}", run.stdout);
    lab.object("apps/v1", "Deployment", "ebs-csi-controller").await;
    let ours = "owner=helm,name=aws-ebs-csi-driver,version=3,eks-bootstrap.dev/cluster";
    assert_eq!(lab.reader().await.list("v1", "Secret", "kube-system", ours).await.unwrap(), Vec::<Value>::new());
    let again = lab.run(&CONFIRMED).await.expect(0);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);
    lab.stop().await;
}
