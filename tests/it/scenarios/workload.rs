//! Failure modes of what runs in the cluster: the load balancer controller and its webhook, CRDs, volumes, subnets, metrics.
//!
//! What of them cannot be planted here: the hop limit of instance metadata and the VPC endpoints themselves (the controllers' own words about
//! them are put into their pods' status instead, as a kubelet would).

use eks_bootstrap::policy::Document;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::{Seed, SeedInstance, SeedSecurityGroup, SeedSubnet};
use serde_json::{Value, json};

use crate::scenarios::commands::{GATEWAY_KINDS, gateway_crd};
use crate::scenarios::refusals::refusals;
use crate::scenarios::{Fault, Stage, path};
use crate::support::Lab;

const NEW_CERTIFICATE: &str = "kubectl delete secret aws-load-balancer-tls -n kube-system && eks-bootstrap apply --only \
                               helm.lbc && kubectl rollout restart deployment/aws-load-balancer-controller -n kube-system";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const SUBNET: &str = "arn:aws:ec2:eu-west-1:111122223333:subnet/";

/// A fault of which only one thing is said.
fn fault(mode: u8, check: &'static str, status: &'static str, says: &'static str, mend: &'static str) -> Fault {
    // Families that are about one component only do not name it each time.
    let about = ["EKB-HOOK", "EKB-CRD", "EKB-NET"].iter().any(|family| check.starts_with(family)).then_some("lbc");
    Fault { mode, check, about, status, says, mend }
}

/// The pods of a workload that are there to stay.
async fn pods(lab: &Lab, labels: &str) -> Vec<Value> {
    let pods = lab.reader().await.list("v1", "Pod", "kube-system", labels).await.unwrap();
    pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
}

/// Writes into the pods' status what a kubelet writes when a container has ended with `message` and is to be started again.
async fn crash(lab: &Lab, labels: &str, message: &str) {
    for pod in pods(lab, labels).await {
        let container = |container: &Value| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "ready": false, "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s restarting failed container"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": message}},
            })
        };
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let status = json!({"status": {
            "containerStatuses": containers.iter().map(container).collect::<Vec<_>>(),
            "conditions": [condition("PodScheduled", "True"), condition("Initialized", "True"),
                condition("ContainersReady", "False"), condition("Ready", "False")],
        }});
        let name = pod["metadata"]["name"].as_str().unwrap();
        lab.patch(&format!("{}/status", path("pod", Some("kube-system"), name)), &status).await;
    }
}

/// Waits until a Deployment runs what it says, and nothing else.
async fn rolled_out(lab: &Lab, name: &str) {
    let object = ObjectRef::new("apps/v1", "Deployment", "kube-system", name);
    lab.until(&object, |it| {
        let of = |pointer: &str| it.pointer(pointer).and_then(Value::as_i64);
        let want = of("/spec/replicas");
        of("/status/observedGeneration") == of("/metadata/generation")
            && ["/status/replicas", "/status/updatedReplicas", "/status/readyReplicas"].iter().all(|it| of(it) == want)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_balancer_controller_and_its_webhook() {
    let stage = Stage::start().await;
    certificates_of_the_webhook(&stage).await;
    a_webhook_without_pods(&stage).await;
    a_closed_port(&stage).await;
    metadata_and_endpoints(&stage).await;
    stage.begin_again().await;
    definitions(&stage).await;
    webhooks_left_behind(&stage).await;
    refusals(&stage).await;
    stage.stop().await;
}

/// 7: the bundle that the API server has is not that of the certificate.
async fn certificates_of_the_webhook(stage: &Stage) {
    let lab = &stage.lab;
    let configuration =
        lab.object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "aws-load-balancer-webhook");
    let mut webhooks = configuration.await["webhooks"].clone();
    for webhook in webhooks.as_array_mut().unwrap() {
        webhook["clientConfig"]["caBundle"] = json!(base64(include_str!("../../fixtures/unrelated-ca.pem")));
    }
    lab.patch(&format!("{MUTATING}/aws-load-balancer-webhook"), &json!({"webhooks": webhooks})).await;
    stage.finds(&fault(7, "EKB-HOOK-001", "failed", "unknown authority", NEW_CERTIFICATE)).await;
    stage.finds(&fault(7, "EKB-HOOK-007", "failed", "2 bundles", NEW_CERTIFICATE)).await;
    stage
        .is_found_and_mended(&fault(
            7,
            "EKB-HOOK-004",
            "failed",
            "the CA bundle of 6 webhooks does not sign the certificate",
            NEW_CERTIFICATE,
        ))
        .await;
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// 8: the webhook has no pods, so that no Service can be created.
async fn a_webhook_without_pods(stage: &Stage) {
    let mend = "kubectl scale deployment/aws-load-balancer-controller -n kube-system --replicas=2";
    let deployment = path("deployment", Some("kube-system"), "aws-load-balancer-controller");
    stage.lab.patch(&deployment, &json!({"spec": {"replicas": 0}})).await;
    let slices = |it: &Value| it.pointer("/status/replicas").and_then(Value::as_i64).unwrap_or(0) == 0;
    let object = ObjectRef::new("apps/v1", "Deployment", "kube-system", "aws-load-balancer-controller");
    stage.lab.until(&object, slices).await;
    stage.finds(&fault(8, "EKB-HOOK-001", "failed", "nobody answers the webhook", mend)).await;
    stage.finds(&fault(8, "EKB-LBC-002", "failed", "scaled to nothing", mend)).await;
    stage.is_found_and_mended(&fault(8, "EKB-HOOK-003", "failed", "no ready endpoint", mend)).await;
}

/// 9: the control plane does not reach the webhook's port, for a security group or a network policy.
async fn a_closed_port(stage: &Stage) {
    stage.lab.sandbox.plane.close_webhook_port(true);
    let mend = "aws ec2 authorize-security-group-ingress --group-id sg-0c1a5e7d9b3f24680 --protocol tcp --port 9443 \
                --source-group sg-0c1a5e7d9b3f24680 --region eu-west-1";
    stage.is_found_and_mended(&fault(9, "EKB-HOOK-002", "failed", "does not reach port 9443", mend)).await;

    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    });
    stage.lab.create("/apis/networking.k8s.io/v1/namespaces/kube-system/networkpolicies", &policy).await;
    let mend = "kubectl patch networkpolicy deny -n kube-system --type=json \
                -p='[{\"op\":\"add\",\"path\":\"/spec/ingress\",\"value\":[{\"ports\":[{\"port\":9443,\"protocol\":\"TCP\"}]}]}]'";
    stage.is_found_and_mended(&fault(9, "EKB-NET-004", "warning", "deny", mend)).await;
    stage.lab.delete("/apis/networking.k8s.io/v1/namespaces/kube-system/networkpolicies/deny").await;
    a_security_group_of_the_nodes(stage).await;
}

/// 9: a node group with a security group of its own, which admits the kubelet's port and nothing else.
async fn a_security_group_of_the_nodes(stage: &Stage) {
    let simulator = &stage.lab.sandbox.simulator;
    let group = json!({"id": "sg-0e00000000000000a", "ingress": [
        {"fromPort": 10250, "groups": ["sg-0c1a5e7d9b3f24680"]}, {"fromPort": 443, "ranges": ["0.0.0.0/0"]}]});
    let group: SeedSecurityGroup = serde_json::from_value(group).unwrap();
    let id = group.id.clone();
    simulator.put_security_group(group);
    let nodes = stage.lab.reader().await.list("v1", "Node", "", "").await.unwrap();
    let instance = nodes[0]["spec"]["providerID"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    simulator.put_instance(SeedInstance { id: instance, security_groups: vec![id], interfaces: Vec::new() });
    stage.lab.sandbox.plane.close_webhook_port(true);

    let mend = "aws ec2 authorize-security-group-ingress --group-id sg-0e00000000000000a --protocol tcp --port 9443 \
                --source-group sg-0c1a5e7d9b3f24680 --region eu-west-1";
    stage.finds(&fault(9, "EKB-HOOK-001", "failed", "does not reach port 9443", mend)).await;
    let before = stage.findings(&["--pre"]).await;
    let ports =
        before.iter().filter(|it| it["id"] == "EKB-NET-005").map(|it| (it["about"].as_str(), it["status"].as_str()));
    assert_eq!(ports.collect::<Vec<_>>(), [(Some("kubelet"), Some("ok")), (Some("lbc"), Some("failed"))]);

    let denied = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:DescribeInstances", "Resource": "*"}]});
    simulator.set_caller_policy(Some(Document::parse(&denied.to_string()).unwrap()));
    let found = stage.findings(&["--pre"]).await;
    let unread = found.iter().find(|it| it["id"] == "EKB-NET-005").unwrap();
    assert_eq!(unread["status"], "unknown", "{unread}");
    assert!(unread["mend"].as_str().unwrap().starts_with("allow ec2:DescribeInstances for the caller"), "{unread}");
    simulator.set_caller_policy(None);

    stage.is_found_and_mended(&fault(9, "EKB-NET-005", "failed", "on 1 of 2 nodes", mend)).await;
}

/// 10: the controller is not told where it is and asks metadata that does not answer. 20: an endpoint is missing.
async fn metadata_and_endpoints(stage: &Stage) {
    let lab = &stage.lab;
    let labels = "app.kubernetes.io/name=aws-load-balancer-controller";
    let chart = lab.charts().join("aws-load-balancer-controller").display().to_string();
    // As someone does who upgrades with the values of an old note.
    let values = "clusterName=demo,serviceAccount.create=false,serviceAccount.name=aws-load-balancer-controller,keepTLSSecret=true";
    let upgrade = ["upgrade", "aws-load-balancer-controller", &chart, "-n", "kube-system", "--wait", "--set", values];
    lab.helm(&upgrade).await;
    rolled_out(lab, "aws-load-balancer-controller").await;
    crash(lab, labels, "failed to get VPC ID: failed to fetch VPC ID from instance metadata").await;
    let mend = "eks-bootstrap apply --only helm.lbc";
    stage.finds(&fault(10, "EKB-HOOK-003", "failed", "no ready endpoint", mend)).await;
    stage.finds(&fault(10, "EKB-LBC-002", "failed", "asks the instance's metadata", mend)).await;
    stage.is_found_and_mended(&fault(10, "EKB-LBC-003", "failed", "no --aws-vpc-id", mend)).await;

    rolled_out(lab, "aws-load-balancer-controller").await;
    let said = "operation error STS: AssumeRoleWithWebIdentity, exceeded maximum number of attempts, 3, request send \
                failed, Post \"https://sts.eu-west-1.amazonaws.com/\": dial tcp 10.0.0.7:443: i/o timeout";
    crash(lab, labels, said).await;
    let mend = "aws ec2 create-vpc-endpoint --vpc-id vpc-0a1b2c3d4e5f60718 --vpc-endpoint-type Interface --service-name \
                com.amazonaws.eu-west-1.sts --subnet-ids subnet-0a000000000000001 subnet-0a000000000000002 \
                subnet-0a000000000000003";
    stage.is_found_and_mended(&fault(20, "EKB-LBC-002", "failed", "does not reach the endpoint of sts", mend)).await;
}

/// 12: CRDs of another version, and a part of an old Gateway API.
async fn definitions(stage: &Stage) {
    let lab = &stage.lab;
    let name = "targetgroupbindings.elbv2.k8s.aws";
    let mut versions =
        lab.object("apiextensions.k8s.io/v1", "CustomResourceDefinition", name).await["spec"]["versions"].clone();
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["old"] = json!({"type": "string"});
    lab.patch(&format!("{CRDS}/{name}"), &json!({"spec": {"versions": versions}})).await;
    let mend = "eks-bootstrap apply --only k8s.crds.lbc";
    stage.is_found_and_mended(&fault(12, "EKB-CRD-002", "failed", name, mend)).await;

    gateway_crd(lab, "Gateway", "v1.2.0").await;
    let mend = "kubectl apply --server-side -f \
                https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.0/standard-install.yaml";
    let partial = fault(12, "EKB-CRD-003", "warning", "incomplete: no gatewayclasses", mend);
    stage.is_found_and_mended(&Fault { about: None, ..partial }).await;
    for kind in GATEWAY_KINDS {
        let singular = kind.to_lowercase();
        let plural = if singular.ends_with('s') { format!("{singular}es") } else { format!("{singular}s") };
        lab.delete(&format!("{CRDS}/{plural}.gateway.networking.k8s.io")).await;
    }
}

/// 8: a half removed installation has left its webhook, which refuses the next one.
async fn webhooks_left_behind(stage: &Stage) {
    let lab = &stage.lab;
    let name = "aws-load-balancer-webhook";
    let found = lab.object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", name).await;
    stage.destroyed().await;
    let left = json!({
        "apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": {"name": name}, "webhooks": found["webhooks"],
    });
    lab.create(MUTATING, &left).await;
    let findings = stage.findings(&["--pre"]).await;
    let of = |findings: &[Value]| findings.iter().find(|it| it["id"] == "EKB-HOOK-008").unwrap().clone();
    let found = of(&findings);
    assert_eq!(
        (found["status"].as_str(), found["says"].as_str()),
        (Some("failed"), Some("6 webhooks ask a Service that does not exist"))
    );
    assert_eq!(found["mend"], "kubectl delete mutatingwebhookconfiguration aws-load-balancer-webhook");
    stage.mend(found["mend"].as_str().unwrap()).await;
    assert_eq!(of(&stage.findings(&["--pre"]).await)["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_subnets_classes_and_metrics() {
    let stage = Stage::start().await;
    classes(&stage).await;
    keys(&stage).await;
    a_driver_without_a_role(&stage).await;
    stage.begin_again().await;
    subnets(&stage).await;
    load_balancers_left_behind(&stage).await;
    metrics(&stage).await;
    stage.destroyed().await;
    stage.stop().await;
}

fn class(name: &str, provisioner: &str, default: bool, parameters: &Value) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": provisioner, "parameters": parameters,
        "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default.to_string()}},
    })
}

/// 24: no default class, then two of them, then one of the driver that was built into Kubernetes.
async fn classes(stage: &Stage) {
    let of = |check, says, mend| fault(24, check, "warning", says, mend);
    let gp3 = "eks-bootstrap apply --enable gp3-storage-class";
    stage.is_found_and_mended(&of("EKB-SC-001", "no storage class is the default", gp3)).await;
    stage.lab.create(CLASSES, &class("gp2", "kubernetes.io/aws-ebs", true, &json!({"type": "gp2"}))).await;
    let demote = "kubectl annotate storageclass gp3 storageclass.kubernetes.io/is-default-class=false --overwrite";
    stage.is_found_and_mended(&of("EKB-SC-001", "2 storage classes are the default; gp2 wins", demote)).await;
    stage.is_found_and_mended(&of("EKB-SC-002", "built into Kubernetes", gp3)).await;
    stage.lab.delete(&format!("{CLASSES}/gp2")).await;
}

/// 25: a class with a key of one's own, and a role that may not use it.
async fn keys(stage: &Stage) {
    let lab = &stage.lab;
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    lab.create(CLASSES, &class("secret", "ebs.csi.aws.com", false, &json!({"encrypted": "true", "kmsKeyId": key})))
        .await;
    let role = role(lab).await;
    let mend = format!(
        "aws iam put-role-policy --role-name {role} --policy-name kms-secret --policy-document \
         '{{\"Statement\":[{{\"Action\":[\"kms:CreateGrant\",\"kms:Decrypt\",\"kms:GenerateDataKeyWithoutPlaintext\"],\
         \"Effect\":\"Allow\",\"Resource\":[\"{key}\"]}}],\"Version\":\"2012-10-17\"}}'"
    );
    let fault = fault(25, "EKB-EBS-007", "warning", "no way to the key of class secret", mend.leak());
    stage.is_found_and_mended(&Fault { about: Some("secret"), ..fault }).await;
    lab.delete(&format!("{CLASSES}/secret")).await;
    lab.iam().await.delete_role_policy().role_name(role).policy_name("kms-secret").send().await.unwrap();
}

/// The name of the driver's role.
async fn role(lab: &Lab) -> String {
    let arn = role_arn(lab).await;
    arn.rsplit('/').next().unwrap().to_owned()
}

async fn role_arn(lab: &Lab) -> String {
    let account = lab.object("v1", "ServiceAccount", "ebs-csi-controller-sa").await;
    account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].as_str().unwrap().to_owned()
}

/// 14: the driver runs without its role, and with a role that may do nothing.
async fn a_driver_without_a_role(stage: &Stage) {
    let lab = &stage.lab;
    let arn = role_arn(lab).await;
    let account = path("serviceaccount", Some("kube-system"), "ebs-csi-controller-sa");
    lab.patch(&account, &json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": null}}})).await;
    stage.mend("kubectl rollout restart deployment/ebs-csi-controller -n kube-system").await;
    rolled_out(lab, "ebs-csi-controller").await;
    crash(lab, "app=ebs-csi-controller", "no EC2 IMDS role found, operation error ec2imds: GetMetadata, canceled")
        .await;
    let mend = format!(
        "kubectl annotate serviceaccount ebs-csi-controller-sa eks.amazonaws.com/role-arn={arn} -n kube-system --overwrite \
         && kubectl rollout restart deployment/ebs-csi-controller -n kube-system"
    );
    let no_role = fault(14, "EKB-EBS-002", "failed", "its pods have no role", mend.leak());
    stage.is_found_and_mended(&no_role).await;

    rolled_out(lab, "ebs-csi-controller").await;
    let role = role(lab).await;
    let policy = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";
    lab.iam().await.detach_role_policy().role_name(role).policy_arn(policy).send().await.unwrap();
    lab.create(CLASSES, &class("now", "ebs.csi.aws.com", false, &json!({"type": "gp3"}))).await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"storageClassName": "now", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    lab.create("/api/v1/namespaces/default/persistentvolumeclaims", &claim).await;
    let object = ObjectRef::new("v1", "PersistentVolumeClaim", "default", "data");
    lab.until(&object, |claim| !claim["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"].is_null())
        .await;
    until_complained(lab, "data").await;
    let mend = "eks-bootstrap apply --only iam.attachment.ebs";
    let waiting = fault(14, "EKB-EBS-005", "failed", "UnauthorizedOperation", mend);
    stage.is_found_and_mended(&waiting).await;
    let bound = lab.until(&object, |claim| claim["status"]["phase"] == "Bound").await;
    lab.delete("/api/v1/namespaces/default/persistentvolumeclaims/data").await;
    lab.gone(&object).await;
    lab.gone(&ObjectRef::new("v1", "PersistentVolume", "", bound["spec"]["volumeName"].as_str().unwrap())).await;
    lab.delete(&format!("{CLASSES}/now")).await;
}

/// Waits for a warning about a claim.
async fn until_complained(lab: &Lab, claim: &str) {
    let reader = lab.reader().await;
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let events = reader.list("v1", "Event", "default", "").await.unwrap();
        if events.iter().any(|event| event["type"] == "Warning" && event["involvedObject"]["name"] == claim) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{events:#?}");
    }
}

/// 19: subnets without the role tag.
async fn subnets(stage: &Stage) {
    let simulator = &stage.lab.sandbox.simulator;
    let public =
        |tags: &mut std::collections::BTreeMap<String, String>| tags.remove("kubernetes.io/role/elb").is_some();
    for (arn, mut tags) in simulator.tagged_resources().into_iter().filter(|(arn, _)| arn.starts_with(SUBNET)) {
        if public(&mut tags) {
            simulator.put_resource(&arn, &tags);
        }
    }
    let mend = "aws ec2 create-tags --resources subnet-0b000000000000001 subnet-0b000000000000002 subnet-0b000000000000003 \
                --tags Key=kubernetes.io/role/elb,Value=1";
    let untagged = fault(19, "EKB-NET-001", "warning", "find no subnets by tag", mend);
    stage.is_found_and_mended(&Fault { about: Some("internet-facing"), ..untagged }).await;

    // Tagged and found, and the controller takes none of them: too few addresses, then one zone only. Looking is all that a
    // command can do here; what mends it is another subnet.
    let builtin = Seed::builtin().subnets;
    let public = || builtin.iter().filter(|subnet| subnet.public).cloned();
    public().take(2).for_each(|subnet| simulator.put_subnet(SeedSubnet { free_addresses: 3, ..subnet }));
    let mend = "aws ec2 describe-network-interfaces --filters Name=subnet-id,Values=subnet-0b000000000000001";
    let full = fault(19, "EKB-NET-001", "warning", "are full: subnet-0b000000000000001 (3 free)", mend);
    stage.finds(&Fault { about: Some("internet-facing"), ..full }).await;
    public().for_each(|subnet| simulator.put_subnet(SeedSubnet { zone: "a".to_owned(), ..subnet }));
    let mend = "aws ec2 describe-subnets --filters Name=vpc-id,Values=vpc-0a1b2c3d4e5f60718";
    let narrow = fault(19, "EKB-NET-001", "warning", "elb in eu-west-1a (3 of 6 subnets)", mend);
    stage.finds(&Fault { about: Some("internet-facing"), ..narrow }).await;
    public().for_each(|subnet| simulator.put_subnet(subnet));
    stage.passes().await;

    for (arn, mut tags) in
        simulator.tagged_resources().into_iter().filter(|(arn, _)| arn.ends_with("0a000000000000001"))
    {
        tags.remove("kubernetes.io/cluster/demo");
        tags.insert("kubernetes.io/cluster/other".to_owned(), "shared".to_owned());
        simulator.put_resource(&arn, &tags);
    }
    let mend =
        "aws ec2 create-tags --resources subnet-0a000000000000001 --tags Key=kubernetes.io/cluster/demo,Value=shared";
    let foreign = fault(19, "EKB-NET-002", "warning", "subnet-0a000000000000001", mend);
    stage.is_found_and_mended(&Fault { about: None, ..foreign }).await;
}

/// 21: a load balancer without its Ingress; and destroy refuses while there is an Ingress.
async fn load_balancers_left_behind(stage: &Stage) {
    let lab = &stage.lab;
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/k8s-default-gone-0123456789/0123456789abcdef";
    let tags = [("elbv2.k8s.aws/cluster", "demo"), ("ingress.k8s.aws/stack", "default/gone")];
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    lab.sandbox.simulator.put_resource(arn, &tags);
    let mend = format!("aws elbv2 delete-load-balancer --load-balancer-arn {arn}");
    let orphan = fault(21, "EKB-LBC-007", "warning", "default/gone", mend.leak());
    stage.is_found_and_mended(&orphan).await;

    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"ingressClassName": "alb", "defaultBackend": {"service": {"name": "shop", "port": {"number": 80}}}},
    });
    lab.create(ingresses, &ingress).await;
    let refused = lab.run(&["destroy", "--confirm", "demo"]).await.expect(4);
    assert!(refused.stderr.contains("Ingress/default/shop"), "{}", refused.stderr);
    lab.delete(&format!("{ingresses}/shop")).await;
    lab.gone(&ObjectRef::new("networking.k8s.io/v1", "Ingress", "default", "shop")).await;
}

/// An autoscaler without metrics.
async fn metrics(stage: &Stage) {
    let scalers = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "shop"},
        "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}},
    });
    stage.lab.create(scalers, &scaler).await;
    let mend = "eks-bootstrap apply --enable metrics-server";
    let absent = fault(0, "EKB-MET-001", "failed", "1 autoscalers, and no metrics API", mend);
    stage.is_found_and_mended(&absent).await;
    stage.lab.delete(&format!("{scalers}/shop")).await;
}
