//! The printed policies under enforcement: the simulator evaluates them as the caller's own. Every run gets along with what
//! is printed, and without any one statement of it some run fails on a call of that statement.

use std::collections::BTreeMap;

use aws_sdk_iam::Client as Iam;
use aws_sdk_iam::types::{PolicyScopeType, Tag};
use eks_bootstrap::policy::{Document, Statement};
use eks_bootstrap::sandbox::aws::{Seed, SeedPolicy, Simulator};
use serde_json::json;

use crate::support::{Aws, Run, of_aws};

const BOUNDARY: [&str; 2] = ["--permissions-boundary", "arn:aws:iam::111122223333:policy/bound"];

/// A world in which roles have to be bounded.
fn bounded(seed: &mut Seed) {
    seed.policies.push(SeedPolicy {
        name: "bound".to_owned(),
        path: "/".to_owned(),
        description: None,
        documents: vec![
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}),
        ],
        tags: BTreeMap::new(),
    });
}

pub(crate) fn iam(simulator: &Simulator) -> Iam {
    let key = simulator.access_key();
    let credentials =
        aws_credential_types::Credentials::new(key.access_key_id, key.secret_access_key, None, None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-1"))
        .http_client(simulator.http_client())
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .build();
    Iam::new(&config)
}

/// A command on the AWS steps under the boundary.
fn command(words: &[&'static str]) -> Vec<&'static str> {
    of_aws(words).into_iter().chain(BOUNDARY).collect()
}

/// Breaks everything that `apply` can mend in AWS, each thing in a way that needs another call.
async fn drift(simulator: &Simulator) {
    let iam = iam(simulator);
    let providers = iam.list_open_id_connect_providers().send().await.unwrap();
    let provider = providers.open_id_connect_provider_list()[0].arn().unwrap();
    let audience = iam.remove_client_id_from_open_id_connect_provider().open_id_connect_provider_arn(provider);
    audience.client_id("sts.amazonaws.com").send().await.unwrap();
    let untag = iam.untag_open_id_connect_provider().open_id_connect_provider_arn(provider);
    untag.tag_keys("eks-bootstrap/cluster").send().await.unwrap();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    let former = iam.create_open_id_connect_provider().url("https://oidc.eks.eu-west-1.amazonaws.com/id/FORMER");
    let former = former.tags(tag("eks-bootstrap/managed-by", "eks-bootstrap"));
    let cluster = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";
    former.tags(tag("eks-bootstrap/cluster", cluster)).send().await.unwrap();
    let roles = iam.list_roles().send().await.unwrap();
    for role in roles.roles().iter().filter(|role| role.role_name().starts_with("demo-aws-")) {
        let name = role.role_name();
        let trust = percent_encoding::percent_decode_str(role.assume_role_policy_document().unwrap());
        let trust = trust.decode_utf8().unwrap().replace("kube-system:", "other:");
        iam.update_assume_role_policy().role_name(name).policy_document(trust).send().await.unwrap();
        iam.update_role().role_name(name).description("mine").send().await.unwrap();
        iam.untag_role().role_name(name).tag_keys("eks-bootstrap/component").send().await.unwrap();
        iam.delete_role_permissions_boundary().role_name(name).send().await.unwrap();
        let attached = iam.list_attached_role_policies().role_name(name).send().await.unwrap();
        for policy in attached.attached_policies() {
            let arn = policy.policy_arn().unwrap();
            iam.detach_role_policy().role_name(name).policy_arn(arn).send().await.unwrap();
        }
    }
    let policies = iam.list_policies().scope(PolicyScopeType::Local).send().await.unwrap();
    let policies = policies.policies().iter().filter_map(|policy| policy.arn());
    for arn in policies.filter(|arn| arn.contains("load-balancer")) {
        iam.untag_policy().policy_arn(arn).tag_keys("eks-bootstrap/component").send().await.unwrap();
        other_versions(&iam, arn).await;
    }
}

/// Five versions, none of which says what is wanted.
async fn other_versions(iam: &Iam, arn: &str) {
    let other = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}});
    let make = async || {
        let version = iam.create_policy_version().policy_arn(arn).policy_document(other.to_string());
        version.set_as_default(true).send().await.unwrap();
    };
    make().await;
    iam.delete_policy_version().policy_arn(arn).version_id("v1").send().await.unwrap();
    for _ in 0..4 {
        make().await;
    }
}

/// What the world is like before a run.
#[derive(Debug, Clone, Copy)]
enum Before {
    Fresh,
    Drifted,
}

/// A run of an AWS of its own, with only what the policy allows.
async fn under(policy: &Document, before: Before, words: &[&'static str]) -> Run {
    let aws = Aws::start(bounded).await;
    if let Before::Drifted = before {
        aws.run(&command(&["apply", "--yes", "-c", "demo"]), &[]).await.expect(0);
        drift(&aws.simulator).await;
    }
    aws.simulator.set_caller_policy(Some(policy.clone()));
    aws.run(&command(words), &[]).await
}

/// The cluster has another name than the one asked for: the message names it.
async fn misspelled(policy: &Document) -> bool {
    let aws = Aws::start(|seed| "demo-2".clone_into(&mut seed.clusters[0].name)).await;
    aws.simulator.set_caller_policy(Some(policy.clone()));
    let run = aws.run(&["plan", "-c", "demo"], &[]).await;
    assert_ne!(run.code, 0);
    run.stderr.contains("demo-2")
}

async fn printed(purpose: &str) -> Document {
    let aws = Aws::start(|_| {}).await;
    let arguments = [&["permissions", "-c", "demo", "--for", purpose][..], &BOUNDARY].concat();
    let printed = aws.run(&arguments, &[]).await.expect(0).stdout;
    Document::parse(&printed).unwrap()
}

pub(crate) fn without(policy: &Document, place: usize) -> (Document, Statement) {
    let mut less = policy.clone();
    let removed = less.statements.remove(place);
    (less, removed)
}

/// Whether a run stumbled over a call that the statement would have allowed.
pub(crate) fn stumbled(run: &Run, removed: &Statement) -> bool {
    let told = format!("{}{}", run.stdout, run.stderr);
    removed.action.iter().flatten().any(|action| told.contains(action.as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_needs_every_statement_of_its_policy_and_no_other() {
    let policy = printed("apply").await;
    let apply = ["apply", "--yes", "-c", "demo"];
    for before in [Before::Fresh, Before::Drifted] {
        under(&policy, before, &apply).await.expect(0);
    }
    assert!(misspelled(&policy).await);
    for place in 0..policy.statements.len() {
        let (less, removed) = without(&policy, place);
        let failed = async |before| {
            let run = under(&less, before, &apply).await;
            run.code != 0 && stumbled(&run, &removed)
        };
        let sid = removed.sid.as_deref().unwrap();
        let needed = match sid {
            // A courtesy: the run fails in any case, and without this it does not say which clusters there are.
            "FindCluster" | "ReadNetwork" => !misspelled(&less).await,
            // What asks for add-ons asks the API server too: see the runs with a control plane.
            // What nobody may look at is told, and stops nothing: see the tests of the plan's network.
            "ReadAddon" => true,
            _ => failed(Before::Fresh).await || failed(Before::Drifted).await,
        };
        assert!(needed, "apply gets along without {}", removed_text(&removed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_needs_every_statement_of_its_policy_and_no_other() {
    let policy = printed("plan").await;
    for before in [Before::Fresh, Before::Drifted] {
        under(&policy, before, &["plan", "-c", "demo"]).await.expect(0);
    }
    for place in 0..policy.statements.len() {
        let (less, removed) = without(&policy, place);
        let needed = match removed.sid.as_deref().unwrap() {
            "FindCluster" | "ReadNetwork" => !misspelled(&less).await,
            "ReadAddon" => true,
            _ => {
                let run = under(&less, Before::Drifted, &["plan", "-c", "demo"]).await;
                run.code == 77 && stumbled(&run, &removed)
            }
        };
        assert!(needed, "plan gets along without {}", removed_text(&removed));
    }
}

pub(crate) fn removed_text(removed: &Statement) -> String {
    format!("{:?}: {:?}", removed.sid, removed.action)
}
