//! The sandbox's stand-ins for controllers: addresses and volumes appear only where the real controllers would make them,
//! and what they made goes as it would go.

use std::collections::BTreeMap;

use eks_bootstrap::read::kube::ObjectRef;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::Lab;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces";
const LBC: &str = "aws-load-balancer-controller";
const SHOP: &str = "shop";

fn ingress(name: &str) -> ObjectRef {
    ObjectRef::new("networking.k8s.io/v1", "Ingress", SHOP, name)
}

fn of_kind(api_version: &str, kind: &str, name: &str) -> ObjectRef {
    ObjectRef { namespace: None, ..ObjectRef::new(api_version, kind, "", name) }
}

async fn make_shop(lab: &Lab) {
    let labels = json!({"app": SHOP});
    let pod =
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "example/web"}]}});
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": SHOP}})).await;
    lab.create(
        &format!("{DEPLOYMENTS}/{SHOP}/deployments"),
        &json!({"metadata": {"name": SHOP}, "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}}),
    )
    .await;
    let service = |name: &str, more: Value| {
        let mut service = json!({"metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 80}]}});
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service
    };
    let services = format!("/api/v1/namespaces/{SHOP}/services");
    lab.create(&services, &service(SHOP, json!({}))).await;
    let balanced = json!({"type": "LoadBalancer", "loadBalancerClass": "service.k8s.aws/nlb"});
    lab.create(&services, &service("direct", balanced)).await;
}

async fn make_ingress(lab: &Lab, name: &str) {
    let backend = json!({"service": {"name": SHOP, "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let spec = json!({"ingressClassName": "alb", "rules": [{"http": {"paths": [path]}}]});
    lab.create(
        &format!("/apis/networking.k8s.io/v1/namespaces/{SHOP}/ingresses"),
        &json!({"metadata": {"name": name}, "spec": spec}),
    )
    .await;
}

fn port_of(object: &Value) -> Option<u16> {
    let port = object.pointer("/status/loadBalancer/ingress/0/ports/0/port")?;
    port.as_u64().and_then(|port| u16::try_from(port).ok())
}

/// The answer of a simulated load balancer, head and body.
async fn get(port: u16) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn scale(lab: &Lab, namespace: &str, name: &str, replicas: u32) {
    let path = format!("{DEPLOYMENTS}/{namespace}/deployments/{name}");
    lab.patch(&path, &json!({"spec": {"replicas": replicas}})).await;
    let reference = ObjectRef::new("apps/v1", "Deployment", namespace, name);
    lab.until(&reference, |found| {
        let ready = found["status"]["readyReplicas"].as_u64().unwrap_or(0);
        ready == u64::from(replicas) && found["status"]["observedGeneration"] == found["metadata"]["generation"]
    })
    .await;
}

fn tagged(lab: &Lab, key: &str) -> BTreeMap<String, String> {
    let resources = lab.sandbox.simulator.tagged_resources().into_iter();
    resources.filter_map(|(arn, tags)| Some((arn, tags.get(key)?.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_come_and_go_as_the_controller_would_have_them() {
    let lab = Lab::start().await;
    let before = lab.sandbox.simulator.tagged_resources();
    lab.run(&["apply", "--yes"]).await.expect(0);
    let installed = lab.sandbox.simulator.tagged_resources();
    make_shop(&lab).await;
    make_ingress(&lab, SHOP).await;

    let found = lab.until(&ingress(SHOP), |found| port_of(found).is_some()).await;
    assert_eq!(found["metadata"]["finalizers"], json!(["ingress.k8s.aws/resources"]));
    let note = found["metadata"]["annotations"]["sandbox.eks-bootstrap.dev/simulated"].as_str().unwrap();
    assert!(note.contains("simulated by the eks-bootstrap sandbox"), "{note}");
    let direct = ObjectRef::new("v1", "Service", SHOP, "direct");
    let direct_found = lab.until(&direct, |found| port_of(found).is_some()).await;
    assert_eq!(direct_found["metadata"]["finalizers"], json!(["service.k8s.aws/resources"]));

    let mut kinds: Vec<_> = tagged(&lab, "ingress.k8s.aws/resource").into_values().collect();
    kinds.sort();
    assert_eq!(kinds, ["80", "LoadBalancer", "ManagedLBSecurityGroup", "shop/shop-shop:80"]);
    assert_eq!(tagged(&lab, "service.k8s.aws/stack").len(), 4);
    assert!(tagged(&lab, "elbv2.k8s.aws/cluster").values().all(|cluster| cluster == "demo"));
    let bindings = lab.reader().await.list("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", SHOP, "").await.unwrap();
    assert_eq!(bindings.len(), 2);

    let port = port_of(&found).unwrap();
    let deployment = ObjectRef::new("apps/v1", "Deployment", SHOP, SHOP);
    lab.until(&deployment, |found| found["status"]["readyReplicas"] == 2).await;
    let mut answer = get(port).await;
    // Endpoints follow the pods' readiness a moment later.
    for _ in 0..600 {
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        answer = get(port).await;
    }
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("simulated"), "{answer}");
    assert!(get(port_of(&direct_found).unwrap()).await.starts_with("HTTP/1.1 200"));
    scale(&lab, SHOP, SHOP, 0).await;
    for _ in 0..600 {
        answer = get(port).await;
        if answer.starts_with("HTTP/1.1 503") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");

    // Without the controller nobody takes the finalizer off.
    scale(&lab, "kube-system", LBC, 0).await;
    lab.delete(&format!("/apis/networking.k8s.io/v1/namespaces/{SHOP}/ingresses/{SHOP}")).await;
    let hanging = lab.until(&ingress(SHOP), |found| found["metadata"]["deletionTimestamp"].is_string()).await;
    assert_eq!(hanging["metadata"]["finalizers"], json!(["ingress.k8s.aws/resources"]));
    assert_eq!(tagged(&lab, "ingress.k8s.aws/resource").len(), 4);
    scale(&lab, "kube-system", LBC, 2).await;
    lab.gone(&ingress(SHOP)).await;
    lab.delete(&format!("/api/v1/namespaces/{SHOP}/services/direct")).await;
    lab.gone(&direct).await;
    assert_eq!(lab.sandbox.simulator.tagged_resources(), installed);
    assert_eq!(tagged(&lab, "elbv2.k8s.aws/cluster").len(), 0);
    assert!(installed.len() > before.len());

    what_its_role_may_not_do_is_an_event(&lab).await;
    lab.stop().await;
}

/// With the policy detached, the event carries AWS's words; once it is back, the address comes.
async fn what_its_role_may_not_do_is_an_event(lab: &Lab) {
    let iam = lab.iam().await;
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles.roles().iter().map(aws_sdk_iam::types::Role::role_name).find(|name| name.contains(LBC)).unwrap();
    let attached = iam.list_attached_role_policies().role_name(role).send().await.unwrap();
    let policy = attached.attached_policies()[0].policy_arn().unwrap();
    iam.detach_role_policy().role_name(role).policy_arn(policy).send().await.unwrap();
    make_ingress(lab, "denied").await;
    let message = event(lab, "FailedDeployModel").await;
    for part in ["CreateLoadBalancer", "StatusCode: 403", "AccessDenied", "elasticloadbalancing:CreateLoadBalancer"] {
        assert!(message.contains(part), "{message}");
    }
    let denied = lab.reader().await.get(&ingress("denied")).await.unwrap().unwrap();
    assert_eq!(port_of(&denied), None);
    iam.attach_role_policy().role_name(role).policy_arn(policy).send().await.unwrap();
    lab.until(&ingress("denied"), |found| port_of(found).is_some()).await;
}

/// Waits for an event of a reason in the shop's namespace and returns its message.
async fn event(lab: &Lab, reason: &str) -> String {
    let reader = lab.reader().await;
    for _ in 0..1200 {
        let events = reader.list("v1", "Event", SHOP, "").await.unwrap();
        if let Some(event) = events.iter().find(|event| event["reason"] == reason) {
            return event["message"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no event {reason}")
}

fn class(name: &str, policy: &str, mode: &str) -> Value {
    json!({"metadata": {"name": name}, "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"},
           "reclaimPolicy": policy, "volumeBindingMode": mode})
}

fn claim(name: &str, class: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
           "resources": {"requests": {"storage": "4Gi"}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_come_and_go_as_the_driver_would_have_them() {
    let lab = Lab::start().await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    let installed = lab.sandbox.simulator.tagged_resources();
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    lab.create(classes, &class("late", "Delete", "WaitForFirstConsumer")).await;
    lab.create(classes, &class("kept", "Retain", "Immediate")).await;
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": SHOP}})).await;
    let labels = json!({"app": "db"});
    let container =
        json!({"name": "db", "image": "example/db", "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let set = json!({"metadata": {"name": "db"}, "spec": {
        "replicas": 1, "serviceName": "db", "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        "volumeClaimTemplates": [claim("data", "late")]}});
    lab.create(&format!("{DEPLOYMENTS}/{SHOP}/statefulsets"), &set).await;
    let claims = format!("/api/v1/namespaces/{SHOP}/persistentvolumeclaims");
    lab.create(&claims, &claim("archive", "kept")).await;

    let of = |name: &str| ObjectRef::new("v1", "PersistentVolumeClaim", SHOP, name);
    let bound = |found: &Value| found["status"]["phase"] == "Bound";
    let data = lab.until(&of("data-db-0"), bound).await;
    let archive = lab.until(&of("archive"), bound).await;
    let volume = |claim: &Value| of_kind("v1", "PersistentVolume", claim["spec"]["volumeName"].as_str().unwrap());
    let (data, archive) = (volume(&data), volume(&archive));
    let found = lab.until(&data, bound).await;
    assert!(found["spec"]["csi"]["volumeHandle"].as_str().unwrap().starts_with("vol-0"), "{found:#}");
    assert_eq!(found["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"], "ebs.csi.aws.com");
    let finalizers = found["metadata"]["finalizers"].as_array().unwrap();
    assert!(finalizers.contains(&json!("external-provisioner.volume.kubernetes.io/finalizer")), "{finalizers:?}");
    assert_eq!(tagged(&lab, "CSIVolumeName").len(), 2);
    lab.until(&ObjectRef::new("apps/v1", "StatefulSet", SHOP, "db"), |found| found["status"]["readyReplicas"] == 1)
        .await;

    lab.delete(&format!("{DEPLOYMENTS}/{SHOP}/statefulsets/db")).await;
    lab.delete(&format!("{claims}/data-db-0")).await;
    lab.delete(&format!("{claims}/archive")).await;
    lab.gone(&data).await;
    lab.until(&archive, |found| found["status"]["phase"] == "Released").await;
    lab.delete(&format!("/api/v1/persistentvolumes/{}", archive.name)).await;
    lab.gone(&archive).await;
    // What is to be retained stays in AWS.
    let left: Vec<_> = tagged(&lab, "CSIVolumeName").into_values().collect();
    assert_eq!(left, [archive.name]);
    assert_eq!(lab.sandbox.simulator.tagged_resources().len(), installed.len() + 1);

    let iam = lab.iam().await;
    let issuer = lab.sandbox.simulator.cluster_issuer("demo").unwrap();
    let provider = format!("arn:aws:iam::111122223333:oidc-provider/{}", issuer.trim_start_matches("https://"));
    iam.delete_open_id_connect_provider().open_id_connect_provider_arn(&provider).send().await.unwrap();
    lab.create(&claims, &claim("orphan", "kept")).await;
    let message = event(&lab, "ProvisioningFailed").await;
    for part in ["StorageClass \"kept\"", "AssumeRoleWithWebIdentity", "InvalidIdentityToken"] {
        assert!(message.contains(part), "{message}");
    }
    lab.stop().await;
}
