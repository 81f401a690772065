//! Drift of what a chart's objects hold: somebody edits them, Helm's record stays as it is. One row at a time with helm 4, all
//! at once with helm 3, and on original charts (`originals.rs`).

use std::collections::BTreeMap;

use crate::support::HelmMajor;
use eks_bootstrap::content;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::drift::{Drift, all_is_mended, mend};
use crate::support::{Lab, helm};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const LBC: &str = "aws-load-balancer-controller";

/// Drift -> the steps that write, each with its calls.
pub(crate) const DRIFTS: [Drift; 20] = [
    ("foreign image in the driver's controller", &[("helm.ebs", &["helm:upgrade"])]),
    ("rule removed from a ClusterRole", &[("helm.lbc", &["helm:upgrade"])]),
    ("rule added to a ClusterRole", &[("helm.ebs", &["helm:upgrade"])]),
    ("subject added to a binding", &[("helm.ebs", &["helm:upgrade"])]),
    ("controller scaled to nothing", &[("helm.lbc", &["helm:upgrade"])]),
    ("argument of the controller changed", &[("helm.lbc", &["helm:upgrade"])]),
    ("webhook that lets everything pass", &[("helm.lbc", &["helm:upgrade"])]),
    ("another authority in a webhook", &[("helm.lbc", &["helm:upgrade"])]),
    ("label of the chart deleted", &[("helm.lbc", &["helm:upgrade"])]),
    ("Helm's own label deleted", &[("helm.ebs", &["helm:upgrade"])]),
    ("container added to the controller", &[("helm.lbc", &["k8s:patch Deployment"])]),
    ("init container added on the nodes", &[("helm.ebs", &["k8s:patch DaemonSet"])]),
    ("port of the webhook's Service moved", &[("helm.lbc", &["k8s:patch Service"])]),
    ("variable set by hand over its source", &[("helm.ebs", &["k8s:patch Deployment"])]),
    ("certificate of the webhook replaced", &[("helm.lbc", &["k8s:patch Secret"])]),
    ("node selector narrowed", &[("helm.ebs", &["k8s:patch DaemonSet"])]),
    ("CSIDriver edited", &[("helm.ebs", &["helm:upgrade"])]),
    ("disruption budget turned round", &[("helm.ebs", &["k8s:patch PodDisruptionBudget"])]),
    ("toleration removed on the nodes", &[("helm.ebs", &["helm:upgrade"])]),
    ("IngressClass relabelled", &[("helm.lbc", &["helm:upgrade"])]),
];

/// Changes an object as somebody with another tool does.
async fn edit(lab: &Lab, (api_version, kind, name): (&str, &str, &str), change: impl FnOnce(&mut Value)) {
    let before = lab.object(api_version, kind, name).await;
    let mut after = before.clone();
    change(&mut after);
    // The first operation holds the version, which a controller may have moved on meanwhile.
    let operations = json!(content::patch(&before, &after)[1..]);
    let path = lab.path(&ObjectRef::of(&before)).await;
    lab.patch_json(&path, &operations).await;
}

fn entry<'a>(list: &'a mut Value, name: &str) -> &'a mut Value {
    list.as_array_mut().unwrap().iter_mut().find(|entry| entry["name"] == name).unwrap()
}

fn push(list: &mut Value, entry: Value) {
    match list {
        Value::Array(entries) => entries.push(entry),
        absent => *absent = json!([entry]),
    }
}

/// Makes the change; returns what the plan has to name.
pub(crate) async fn break_by(lab: &Lab, drift: &str) -> String {
    let controller = ("apps/v1", "Deployment", "ebs-csi-controller");
    let balancer = ("apps/v1", "Deployment", LBC);
    let nodes = ("apps/v1", "DaemonSet", "ebs-csi-node");
    let webhooks = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "aws-load-balancer-webhook");
    let pods = "spec.template.spec";
    let role = |name: &'static str| (RBAC, "ClusterRole", name);
    let (object, path) = match drift {
        "foreign image in the driver's controller" => {
            edit(lab, controller, |it| {
                entry(&mut it["spec"]["template"]["spec"]["containers"], "ebs-plugin")["image"] =
                    json!("evil.example.com/x:1");
            })
            .await;
            ("Deployment/kube-system/ebs-csi-controller", format!("{pods}.containers[ebs-plugin].image"))
        }
        "rule removed from a ClusterRole" => {
            let edited = role("aws-load-balancer-controller-role");
            edit(lab, edited, |it| drop(it["rules"].as_array_mut().unwrap().remove(2))).await;
            ("ClusterRole/aws-load-balancer-controller-role", "rules[2]".to_owned())
        }
        "rule added to a ClusterRole" => {
            let more = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
            let edited = role("ebs-external-attacher-role");
            edit(lab, edited, |it| it["rules"].as_array_mut().unwrap().insert(0, more)).await;
            ("ClusterRole/ebs-external-attacher-role", "rules[0]".to_owned())
        }
        "subject added to a binding" => {
            let subject = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "everybody"});
            edit(lab, (RBAC, "ClusterRoleBinding", "ebs-csi-attacher-binding"), |it| {
                push(&mut it["subjects"], subject);
            })
            .await;
            ("ClusterRoleBinding/ebs-csi-attacher-binding", "subjects[1]".to_owned())
        }
        "controller scaled to nothing" => {
            edit(lab, balancer, |it| it["spec"]["replicas"] = json!(0)).await;
            ("Deployment/kube-system/aws-load-balancer-controller", "spec.replicas".to_owned())
        }
        "argument of the controller changed" => {
            edit(lab, balancer, |it| {
                it["spec"]["template"]["spec"]["containers"][0]["args"][0] = json!("--cluster-name=another");
            })
            .await;
            ("Deployment/kube-system/aws-load-balancer-controller", format!("{pods}.containers[{LBC}].args[0]"))
        }
        "webhook that lets everything pass" => {
            edit(lab, webhooks, |it| {
                entry(&mut it["webhooks"], "mtargetgroupbinding.elbv2.k8s.aws")["failurePolicy"] = json!("Ignore");
            })
            .await;
            (
                "MutatingWebhookConfiguration/aws-load-balancer-webhook",
                "webhooks[mtargetgroupbinding.elbv2.k8s.aws].failurePolicy".to_owned(),
            )
        }
        "another authority in a webhook" => {
            edit(lab, webhooks, |it| {
                let webhook = entry(&mut it["webhooks"], "mtargetgroupbinding.elbv2.k8s.aws");
                webhook["clientConfig"]["caBundle"] = json!(other_authority());
            })
            .await;
            (
                "MutatingWebhookConfiguration/aws-load-balancer-webhook",
                "webhooks[mtargetgroupbinding.elbv2.k8s.aws].clientConfig.caBundle".to_owned(),
            )
        }
        "label of the chart deleted" => {
            edit(lab, (RBAC, "ClusterRoleBinding", "aws-load-balancer-controller-rolebinding"), |it| {
                it["metadata"]["labels"].as_object_mut().unwrap().remove("helm.sh/chart");
            })
            .await;
            ("ClusterRoleBinding/aws-load-balancer-controller-rolebinding", "metadata.labels.helm.sh/chart".to_owned())
        }
        "Helm's own label deleted" => {
            edit(lab, ("v1", "ServiceAccount", "ebs-csi-node-sa"), |it| {
                it["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by");
            })
            .await;
            ("ServiceAccount/kube-system/ebs-csi-node-sa", "metadata.labels.app.kubernetes.io/managed-by".to_owned())
        }
        "container added to the controller" => {
            edit(lab, balancer, |it| {
                push(
                    &mut it["spec"]["template"]["spec"]["containers"],
                    json!({"name": "miner", "image": "example.com/m"}),
                );
            })
            .await;
            ("Deployment/kube-system/aws-load-balancer-controller", format!("{pods}.containers[miner]"))
        }
        "init container added on the nodes" => {
            edit(lab, nodes, |it| {
                let added = json!({"name": "first", "image": "example.com/m"});
                push(&mut it["spec"]["template"]["spec"]["initContainers"], added);
            })
            .await;
            ("DaemonSet/kube-system/ebs-csi-node", format!("{pods}.initContainers[first]"))
        }
        "port of the webhook's Service moved" => {
            edit(lab, ("v1", "Service", "aws-load-balancer-webhook-service"), |it| {
                it["spec"]["ports"][0]["port"] = json!(8443);
            })
            .await;
            ("Service/kube-system/aws-load-balancer-webhook-service", "spec.ports[443/TCP]".to_owned())
        }
        "variable set by hand over its source" => {
            edit(lab, controller, |it| {
                let container = entry(&mut it["spec"]["template"]["spec"]["containers"], "ebs-plugin");
                *entry(&mut container["env"], "CSI_NODE_NAME") = json!({"name": "CSI_NODE_NAME", "value": "by-hand"});
            })
            .await;
            (
                "Deployment/kube-system/ebs-csi-controller",
                format!("{pods}.containers[ebs-plugin].env[CSI_NODE_NAME].value"),
            )
        }
        "certificate of the webhook replaced" => {
            edit(lab, ("v1", "Secret", "aws-load-balancer-tls"), |it| it["data"]["ca.crt"] = json!(other_authority()))
                .await;
            ("Secret/kube-system/aws-load-balancer-tls", "data.ca.crt".to_owned())
        }
        "node selector narrowed" => {
            edit(lab, nodes, |it| it["spec"]["template"]["spec"]["nodeSelector"]["nowhere"] = json!("true")).await;
            ("DaemonSet/kube-system/ebs-csi-node", format!("{pods}.nodeSelector.nowhere"))
        }
        "CSIDriver edited" => {
            edit(lab, ("storage.k8s.io/v1", "CSIDriver", "ebs.csi.aws.com"), |it| {
                it["spec"]["podInfoOnMount"] = json!(true);
            })
            .await;
            ("CSIDriver/ebs.csi.aws.com", "spec.podInfoOnMount".to_owned())
        }
        "disruption budget turned round" => {
            edit(lab, ("policy/v1", "PodDisruptionBudget", "ebs-csi-controller"), |it| {
                it["spec"].as_object_mut().unwrap().remove("maxUnavailable");
                it["spec"]["minAvailable"] = json!(2);
            })
            .await;
            ("PodDisruptionBudget/kube-system/ebs-csi-controller", "spec.minAvailable".to_owned())
        }
        "toleration removed on the nodes" => {
            edit(lab, nodes, |it| it["spec"]["template"]["spec"]["tolerations"] = json!([])).await;
            ("DaemonSet/kube-system/ebs-csi-node", format!("{pods}.tolerations"))
        }
        "IngressClass relabelled" => {
            edit(lab, ("networking.k8s.io/v1", "IngressClass", "alb"), |it| {
                it["metadata"]["labels"]["app.kubernetes.io/name"] = json!("mine");
            })
            .await;
            ("IngressClass/alb", "metadata.labels.app.kubernetes.io/name".to_owned())
        }
        other => panic!("no such drift: {other}"),
    };
    format!("{object} {path}")
}

/// An authority that signs nothing here, as bytes of JSON.
fn other_authority() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(include_str!("../fixtures/unrelated-ca.pem"))
}

pub(crate) async fn plan(lab: &Lab, wanted: &[&str]) -> Value {
    lab.run(&[&["plan", "-o", "json"], wanted].concat()).await.expect(0).json()
}

/// What a plan names, by path.
pub(crate) fn fields(plan: &Value) -> BTreeMap<String, Value> {
    let steps = plan["steps"].as_array().unwrap().iter();
    let fields = steps.flat_map(|step| step["fields"].as_array().unwrap().clone());
    fields.map(|field| (field["path"].as_str().unwrap().to_owned(), field)).collect()
}

/// Breaks, plans and mends, for every row.
pub(crate) async fn mend_each(lab: &Lab, wanted: &[&str]) {
    for (drift, expected) in &DRIFTS {
        let path = break_by(lab, drift).await;
        let found = fields(&mend(lab, drift, expected, wanted).await);
        assert!(found.contains_key(&path), "{drift}: {path} is not in {found:#?}");
    }
    all_is_mended(lab, wanted).await;
}

/// The same with all rows broken at once.
pub(crate) async fn mend_together(lab: &Lab, wanted: &[&str]) {
    let mut paths = Vec::new();
    for (drift, _) in &DRIFTS {
        paths.push(break_by(lab, drift).await);
    }
    let found = fields(&plan(lab, wanted).await);
    for path in &paths {
        assert!(found.contains_key(path), "{path} is not in {found:#?}");
    }
    lab.run(&[&["apply", "--yes"], wanted].concat()).await.expect(0);
    all_is_mended(lab, wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edit_of_an_object_is_found_and_mended_with_helm_4() {
    let lab = Lab::start().await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    // What is installed is compared with its record: neither helm nor a chart is at hand.
    let nothing = [("HELM_BIN", "/nowhere/helm"), ("EKS_BOOTSTRAP_CHARTS", "")];
    lab.run_with(&["plan", "--detailed-exitcode"], &nothing).await.expect(0);
    mend_each(&lab, &[]).await;
    nothing_stays_ours(&lab).await;
    lab.stop().await;
}

/// Fields that were restored are not kept under our name, where they would outlive a chart that drops them.
async fn nothing_stays_ours(lab: &Lab) {
    for (api_version, kind, name) in [
        ("apps/v1", "Deployment", LBC),
        ("apps/v1", "DaemonSet", "ebs-csi-node"),
        ("v1", "Secret", "aws-load-balancer-tls"),
    ] {
        let owners = lab.object(api_version, kind, name).await["metadata"]["managedFields"].clone();
        let ours = |owner: &&Value| owner["manager"] == "eks-bootstrap" && owner["operation"] == "Update";
        assert!(!owners.as_array().unwrap().iter().any(|owner| ours(&owner)), "{kind}/{name}: {owners:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_edits_at_once_are_found_and_mended_with_helm_3() {
    let lab = Lab::with(Seed::builtin(), helm(HelmMajor::Three)).await;
    lab.run(&["apply", "--yes"]).await.expect(0);
    mend_together(&lab, &[]).await;
    lab.stop().await;
}
