//! Versions: the order of an upgrade, choices outside of what was tried, a policy that is older than the controller; and what
//! the plan says of the network that load balancers need.

use std::fs;

use crate::support::HelmMajor;
use aws_sdk_iam::types::PolicyScopeType;
use eks_bootstrap::policy::Document;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::drift::copy;
use crate::support::{Lab, helm};

const LBC: &str = "aws-load-balancer-controller";

fn told(plan: &Value) -> Vec<String> {
    let diagnostics = plan["diagnostics"].as_array().unwrap().iter();
    diagnostics.map(|diagnostic| diagnostic["message"].as_str().unwrap().to_owned()).collect()
}

/// Everything that ends before a step begins.
fn before(plan: &Value, id: &str) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["id"] == id).unwrap();
    let direct = step["needs"].as_array().unwrap().iter().map(|need| need.as_str().unwrap().to_owned());
    direct.flat_map(|need| [before(plan, &need), vec![need]].concat()).collect()
}

/// The charts with another version of the load balancer controller's.
fn charts(lab: &Lab, version: &str) -> String {
    let folder = lab.work.path().join(version);
    copy(&lab.charts(), &folder);
    let file = folder.join(LBC).join("Chart.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("version: 3.5.0", &format!("version: {version}"));
    fs::write(file, text).unwrap();
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_have_an_order_and_an_older_policy_is_seen() {
    let lab = Lab::start().await;
    let plan = lab.run(&["plan", "-o", "json"]).await.expect(0).json();
    assert!(told(&plan).iter().all(|text| !text.contains("tried") && !text.contains("policy")), "{plan:#}");
    let crds = before(&plan, "k8s.crds.lbc");
    assert!(crds.contains(&"iam.policy.lbc".to_owned()), "{crds:?}");
    let chart = before(&plan, "helm.lbc");
    for first in ["iam.policy.lbc", "iam.attachment.lbc", "k8s.crds.lbc"] {
        assert!(chart.contains(&first.to_owned()), "{first}: {chart:?}");
    }

    lab.run(&["apply", "--yes"]).await.expect(0);
    // Another version warns and works, up and down, and takes nothing away from the policy.
    for version in ["3.6.0", "1.4.0"] {
        let folder = charts(&lab, version);
        let other = ["--lbc-version", version, "--charts", &folder];
        let plan = lab.run(&[&["plan", "-o", "json"][..], &other].concat()).await.expect(0).json();
        let told = told(&plan);
        assert!(told.iter().any(|text| text.contains(&format!("chart {version} of {LBC} was not tried"))), "{told:?}");
        let policy = plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == "iam.policy.lbc").unwrap();
        assert_eq!(policy["action"], "keep");
    }

    // A policy of the times of 2.4, which this run is told to leave alone.
    let iam = lab.iam().await;
    let policies = iam.list_policies().scope(PolicyScopeType::Local).send().await.unwrap();
    let arn = policies.policies()[0].arn().unwrap().to_owned();
    let mut old: Document = eks_bootstrap::policy::load_balancer_controller_policy("aws").unwrap();
    let since: Vec<_> =
        eks_bootstrap::component::LOAD_BALANCER_CONTROLLER.actions_since.iter().flat_map(|(_, new)| *new).collect();
    for statement in &mut old.statements {
        statement.action.iter_mut().for_each(|actions| actions.retain(|action| !since.contains(&&action.as_str())));
    }
    let make = iam.create_policy_version().policy_arn(&arn).policy_document(old.to_json()).set_as_default(true);
    make.send().await.unwrap();
    let older = async |more: &[&str]| {
        told(&lab.run(&[&["plan", "-o", "json", "--skip", "iam.policy.lbc"], more].concat()).await.expect(0).json())
            .into_iter()
            .find(|text| text.contains("stays as it is and is older"))
    };
    let text = older(&[]).await.unwrap();
    assert!(text.contains("older than AWS Load Balancer Controller 3.5: it lacks "), "{text}");
    for action in since {
        assert!(text.contains(action), "{action}: {text}");
    }
    let folder = charts(&lab, "1.4.1");
    assert_eq!(older(&["--lbc-version", "1.4.1", "--charts", &folder]).await, None, "2.4 calls none of them");
    // Where the run brings it up to date there is nothing to say.
    let plan = lab.run(&["plan", "-o", "json"]).await.expect(0).json();
    assert!(told(&plan).iter().all(|text| !text.contains("is older")), "{plan:#}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_looks_at_subnets_and_the_pod_network() {
    let mut seed = Seed::builtin();
    for resource in seed.resources.iter_mut().filter(|resource| resource.arn.contains(":subnet/subnet-0b")) {
        resource.tags.remove("kubernetes.io/role/elb");
    }
    // The private ones have their tags and all lie in one zone.
    for subnet in seed.subnets.iter_mut().filter(|subnet| subnet.id.starts_with("subnet-0a")) {
        subnet.zone = "a".to_owned();
    }
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let text = told(&lab.run(&["plan", "-o", "json"]).await.expect(0).json()).join("\n");
    let mend = "aws ec2 create-tags --resources subnet-0b000000000000001 subnet-0b000000000000002 subnet-0b000000000000003 \
                --tags Key=kubernetes.io/role/elb,Value=1";
    assert!(text.contains("subnets: internet-facing load balancers find no subnets by tag"), "{text}");
    assert!(text.contains(mend), "{text}");
    let zones = "internal load balancers find no subnets by tag in two zones (kubernetes.io/role/internal-elb in eu-west-1a \
                 (3 of 6 subnets)); mend: aws ec2 describe-subnets --filters Name=vpc-id,Values=vpc-0a1b2c3d4e5f60718";
    assert!(text.contains(zones), "{text}");
    assert!(!text.contains("VPC CNI"), "{text}");
    // Pods that cannot start on any node: the plugin's DaemonSet names an image that nobody has.
    lab.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node").await;
    let text = told(&lab.run(&["plan", "-o", "json"]).await.expect(0).json()).join("\n");
    assert!(text.contains("VPC CNI: no network plugin is known here"), "{text}");
    // What may not be read is told, and stops nothing.
    let deny = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:DescribeRouteTables", "Resource": "*"}]});
    lab.sandbox.simulator.set_caller_policy(Some(Document::parse(&deny.to_string()).unwrap()));
    let text = told(&lab.run(&["plan", "-o", "json"]).await.expect(0).json()).join("\n");
    assert!(text.contains("subnets could not be looked at"), "{text}");
    lab.stop().await;
}
