//! The project's IAM documents against the release's own, grant by grant.
//!
//! The fixture holds a digest of the release's grants per partition, so that a plain clone proves the same as one that has
//! the release's documents beside it; where those are there, they are compared as well and the missing grants are listed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use eks_bootstrap::policy::{
    Document, Effect, Grant, Kind, MANAGED_POLICY_LIMIT, PARTITIONS, action_counts, diff,
    load_balancer_controller_policy, same_meaning,
};
use sha2::{Digest, Sha256};

const FIXTURE: &str = include_str!("../fixtures/load-balancer-controller-grants.txt");

fn ours(partition: &str) -> Document {
    load_balancer_controller_policy(partition).expect(partition)
}

/// The release's document, where it lies beside the project.
fn theirs(partition: &str) -> Option<Document> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/iam/aws-load-balancer-controller");
    folder.is_dir().then(|| {
        let path = folder.join(format!("v3.5.0.{partition}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Document::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}

/// The expected number of grants and their digest.
fn expected(partition: &str) -> (usize, String) {
    let line = FIXTURE.lines().find(|line| line.split(' ').next() == Some(partition)).expect(partition);
    let fields: Vec<&str> = line.split(' ').collect();
    (fields[1].parse().expect("a number"), fields[2].to_owned())
}

fn digest(grants: &BTreeSet<Grant>) -> String {
    let line = |Grant { effect, action, resource, condition, .. }: &Grant| {
        format!("{effect} {action} {resource} {condition}\n")
    };
    let lines: BTreeSet<String> = grants.iter().map(line).collect();
    hex::encode(Sha256::digest(lines.into_iter().collect::<String>()))
}

fn actions(grants: &BTreeSet<Grant>) -> BTreeSet<&str> {
    grants.iter().map(|grant| grant.action.as_str()).collect()
}

#[test]
fn every_partition_grants_what_the_release_asks_for() {
    for partition in PARTITIONS {
        let grants = ours(partition).grants();
        if let Some(theirs) = theirs(partition) {
            let differences = diff(&ours(partition), &theirs).iter().fold(String::new(), |mut text, difference| {
                writeln!(text, "{difference}").expect("writes to a string");
                text
            });
            assert_eq!(grants, theirs.grants(), "{partition}\n{differences}");
            assert!(same_meaning(&ours(partition), &theirs), "{partition}\n{differences}");
        }
        assert_eq!((grants.len(), digest(&grants)), expected(partition), "{partition}");
        let isolated = partition.starts_with("aws-iso");
        assert_eq!(actions(&grants).len(), if isolated { 75 } else { 80 }, "{partition}");
    }
}

#[test]
fn taking_any_single_grant_away_is_noticed() {
    for partition in PARTITIONS {
        let document = ours(partition);
        for (index, statement) in document.statements.iter().enumerate() {
            for action in statement.action.iter().flatten() {
                let mut reduced = document.clone();
                let left = reduced.statements[index].action.as_mut().expect("has actions");
                left.retain(|name| name != action);
                if left.is_empty() {
                    reduced.statements.remove(index);
                }
                assert_ne!(digest(&reduced.grants()), expected(partition).1, "{partition} without {action}");
                assert!(!same_meaning(&document, &reduced), "{partition} without {action}");
                assert_eq!(
                    action_counts(&reduced, &document).to_string(),
                    "+1 action, -0",
                    "{partition} without {action}"
                );
                let shown = diff(&reduced, &document);
                assert!(
                    shown.len() == 1 && shown[0].to_string().contains(action),
                    "{partition} without {action}: {shown:?}"
                );
            }
            for resource in statement.resource.iter().flatten() {
                let mut other = document.clone();
                for name in other.statements[index].resource.iter_mut().flatten().filter(|name| *name == resource) {
                    name.push('x');
                }
                assert_ne!(digest(&other.grants()), expected(partition).1, "{partition} {resource}");
            }
            let mut unconditional = document.clone();
            unconditional.statements[index].condition.clear();
            if !statement.condition.is_empty() {
                assert_ne!(digest(&unconditional.grants()), expected(partition).1, "{partition} statement {index}");
            }
            let mut denying = document.clone();
            denying.statements[index].effect = Effect::Deny;
            assert_ne!(digest(&denying.grants()), expected(partition).1, "{partition} statement {index}");
        }
    }
}

#[test]
fn iam_takes_every_document() {
    for partition in PARTITIONS {
        let document = ours(partition);
        assert_eq!(document.validate(Kind::Permissions), Ok(()), "{partition}");
        assert!(document.minified_len() <= MANAGED_POLICY_LIMIT, "{partition}: {}", document.minified_len());
        assert!(document.statements.iter().all(|statement| statement.sid.is_some()), "{partition}");
    }
}

#[test]
fn service_names_are_the_same_in_every_partition() {
    for partition in PARTITIONS {
        let linked = ours(partition).grants().into_iter().find(|grant| grant.action == "iam:createservicelinkedrole");
        let condition = linked.expect(partition).condition;
        assert_eq!(
            condition, r#"{"StringEquals":{"iam:awsservicename":["elasticloadbalancing.amazonaws.com"]}}"#,
            "{partition}"
        );
    }
}
