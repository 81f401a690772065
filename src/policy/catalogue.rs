//! The permissions that the components need, written by this project and compiled in.
//!
//! One document per component and partition family in `policies/`; only the ARN prefix differs within a family. They grant
//! what the release's own documents grant, which `tests/it/policies.rs` proves grant by grant.

use std::collections::BTreeMap;

use super::{Condition, Document, Effect, Statement};

/// The partitions that this program knows.
pub const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];

const EBS_NEEDS: &str = include_str!("../../policies/aws-ebs-csi-driver-needs.json");
const PUBLIC: &str = include_str!("../../policies/aws-load-balancer-controller.json");
const ISOLATED: &str = include_str!("../../policies/aws-load-balancer-controller-isolated.json");

const BINDINGS: &str = include_str!("../../policies/aws-load-balancer-controller-bindings.json");

/// The tag by which the controller knows what it made for a cluster, on requests and on objects.
const CLUSTER_TAGS: [&str; 2] = ["aws:RequestTag/elbv2.k8s.aws/cluster", "aws:ResourceTag/elbv2.k8s.aws/cluster"];

const CHANGES_GROUPS: [&str; 2] = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"];

/// What a policy that is limited to one cluster names.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The partition.
    pub partition: &'a str,
    /// The region.
    pub region: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The VPC's id.
    pub vpc: &'a str,
}

/// The permissions of the AWS Load Balancer Controller 2.13 to 3.5, or nothing for an unknown partition.
pub fn load_balancer_controller_policy(partition: &str) -> Option<Document> {
    let text = match partition {
        "aws" | "aws-cn" | "aws-us-gov" | "aws-eusc" => PUBLIC,
        // These regions lack trust stores, listener attributes and capacity reservations; IAM there need not know the actions.
        "aws-iso" | "aws-iso-b" | "aws-iso-e" | "aws-iso-f" => ISOLATED,
        _ => return None,
    };
    let text = text.replace("${partition}", partition);
    Some(Document::parse(&text).expect("a test parses the document of every partition"))
}

/// The same, limited to what carries this cluster's tag, and to security groups of its VPC, as the controller's installation
/// guide recommends. Listeners and rules stay as they are: older ones need not carry the tag.
pub fn load_balancer_controller_scoped(scope: &Scope<'_>) -> Option<Document> {
    let mut document = load_balancer_controller_policy(scope.partition)?;
    for statement in &mut document.statements {
        // Changing the groups of the cluster is part of changing those of its VPC, which a statement below allows.
        if statement.condition.contains_key("Null") {
            statement
                .action
                .iter_mut()
                .for_each(|actions| actions.retain(|action| !CHANGES_GROUPS.contains(&action.as_str())));
        }
        name_cluster(&mut statement.condition, scope.cluster);
    }
    let opens = |statement: &Statement| statement.condition.is_empty() && has(statement, "ec2:CreateSecurityGroup");
    let place = document.statements.iter().position(opens).expect("a test reads the document of every partition");
    let open = document.statements.remove(place);
    let (create, change): (Vec<_>, Vec<_>) =
        open.action.iter().flatten().cloned().partition(|action| action == "ec2:CreateSecurityGroup");
    let create = |sid: &str, resource: String, condition| Statement {
        sid: Some(sid.to_owned()),
        action: Some(create.clone()),
        resource: Some(vec![resource]),
        condition,
        ..open.clone()
    };
    let arn = |rest: String| format!("arn:{}:ec2:{}:*:{rest}", scope.partition, scope.region);
    let tagged = equals("StringEquals", CLUSTER_TAGS[0], scope.cluster);
    // The owner of a shared VPC is another account, so the account is left open.
    let in_vpc = equals("ArnLike", "ec2:Vpc", &arn(format!("vpc/{}", scope.vpc)));
    let limited = [
        Statement { action: Some(change), condition: in_vpc, ..open.clone() },
        create("CreateSecurityGroupsOfCluster", "*".to_owned(), tagged),
        create("CreateSecurityGroupsInVpc", arn(format!("vpc/{}", scope.vpc)), Condition::new()),
    ];
    document.statements.splice(place..place, limited);
    // IAM counts every character, and a cluster's name may have a hundred.
    document.statements = joined(document.statements);
    Some(document)
}

/// What a controller needs that only binds targets to target groups which others make: no load balancers, no tags.
pub fn target_group_bindings(scope: &Scope<'_>) -> Option<Document> {
    let text = PARTITIONS.contains(&scope.partition).then(|| BINDINGS.replace("${partition}", scope.partition))?;
    let text = text.replace("${region}", scope.region).replace("${vpc}", scope.vpc);
    Some(Document::parse(&text).expect("a test parses the document of every partition"))
}

/// Statements on the same resources under the same condition become one.
fn joined(statements: Vec<Statement>) -> Vec<Statement> {
    let mut joined: Vec<Statement> = Vec::new();
    for statement in statements {
        let same = joined.iter_mut().find(|earlier| {
            (earlier.effect, &earlier.resource, &earlier.condition)
                == (statement.effect, &statement.resource, &statement.condition)
        });
        match same {
            Some(earlier) => earlier.action.get_or_insert_default().extend(statement.action.unwrap_or_default()),
            None => joined.push(statement),
        }
    }
    joined
}

fn has(statement: &Statement, action: &str) -> bool {
    statement.action.iter().flatten().any(|name| name == action)
}

fn equals(operator: &str, key: &str, value: &str) -> Condition {
    Condition::from([(operator.to_owned(), BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]))])
}

/// A cluster's tag must be this cluster's, where it only had to be there.
fn name_cluster(condition: &mut Condition, cluster: &str) {
    let Some(there) = condition.get_mut("Null") else { return };
    let named: Vec<_> =
        CLUSTER_TAGS.into_iter().filter(|key| there.get(*key).is_some_and(|it| it == &["false"])).collect();
    there.retain(|key, _| !named.contains(&key.as_str()));
    if there.is_empty() {
        condition.remove("Null");
    }
    let equal = condition.entry("StringEquals".to_owned()).or_default();
    equal.extend(named.into_iter().map(|key| (key.to_owned(), vec![cluster.to_owned()])));
    if equal.is_empty() {
        condition.remove("StringEquals");
    }
}

/// What encrypting volumes with keys of one's own takes beside EC2 (the EBS CSI driver's installation guide), on these keys only.
/// A grant may be given to AWS services alone, which is what attaching an encrypted volume does.
pub fn key_policy(keys: &[String]) -> Document {
    let statement = |sid: &str, actions: &[&str], condition| Statement {
        sid: Some(sid.to_owned()),
        effect: Effect::Allow,
        principal: None,
        not_principal: None,
        action: Some(actions.iter().map(|action| (*action).to_owned()).collect()),
        not_action: None,
        resource: Some(keys.to_vec()),
        not_resource: None,
        condition,
        other: BTreeMap::new(),
    };
    let for_aws = equals("Bool", "kms:GrantIsForAWSResource", "true");
    Document {
        version: Some("2012-10-17".to_owned()),
        id: None,
        statements: vec![
            statement("GrantKeysToServices", &["kms:CreateGrant"], for_aws),
            statement("UseKeys", &["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"], Condition::new()),
        ],
        other: BTreeMap::new(),
    }
}

/// What the EBS CSI driver calls to make, attach and delete volumes, whichever of AWS' policies allows it.
pub fn ebs_csi_driver_needs(partition: &str) -> Option<Document> {
    let text = PARTITIONS.contains(&partition).then(|| EBS_NEEDS.replace("${partition}", partition))?;
    Some(Document::parse(&text).expect("a test parses the document of every partition"))
}

/// The same with the tag that the policy for a single cluster asks for.
pub fn ebs_csi_driver_scoped_needs(scope: &Scope<'_>) -> Option<Document> {
    let mut document = ebs_csi_driver_needs(scope.partition)?;
    for keys in document.statements.iter_mut().flat_map(|statement| statement.condition.values_mut()) {
        for prefix in ["aws:RequestTag", "ec2:ResourceTag"] {
            if keys.remove(&format!("{prefix}/ebs.csi.aws.com/cluster")).is_some() {
                keys.insert(format!("{prefix}/ebs.csi.aws.com/cluster-name"), vec![scope.cluster.to_owned()]);
            }
        }
    }
    Some(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Kind, lacking};

    #[test]
    fn limited_documents_fit_and_limit() {
        let cluster = "c".repeat(100);
        for partition in PARTITIONS {
            let scope = Scope { partition, region: "us-gov-west-1", cluster: &cluster, vpc: "vpc-0123456789abcdef0" };
            let full = load_balancer_controller_policy(partition).unwrap();
            let scoped = load_balancer_controller_scoped(&scope).unwrap();
            let bindings = target_group_bindings(&scope).unwrap();
            for document in [&scoped, &bindings] {
                assert_eq!(document.validate(Kind::Permissions), Ok(()), "{partition}: {}", document.minified_len());
            }
            assert_eq!(lacking(&scoped, &full), [""; 0], "{partition}");
            assert_eq!(lacking(&full, &bindings), [""; 0], "{partition}");
            let text = scoped.to_json();
            assert!(!text.contains(r#"Tag/elbv2.k8s.aws/cluster":"false"#), "{text}");
            for statement in &scoped.statements {
                let open = statement.condition.is_empty() && has(statement, "ec2:AuthorizeSecurityGroupIngress");
                assert!(!open, "{partition}: {statement:?}");
                assert!(!statement.condition.values().any(BTreeMap::is_empty), "{statement:?}");
            }
            assert!(text.contains(&format!("arn:{partition}:ec2:us-gov-west-1:*:vpc/vpc-0123456789abcdef0")));
        }
        let nowhere = Scope { partition: "nowhere", region: "", cluster: "", vpc: "" };
        assert!(load_balancer_controller_scoped(&nowhere).is_none() && target_group_bindings(&nowhere).is_none());
    }

    #[test]
    fn keys_are_named_and_granted_to_services_only() {
        let document = key_policy(&["arn:k".to_owned()]);
        assert_eq!(document.validate(Kind::Permissions), Ok(()));
        assert!(document.statements.iter().all(|statement| statement.resource == Some(vec!["arn:k".to_owned()])));
        assert!(document.to_json().contains(r#""Bool":{"kms:GrantIsForAWSResource":"true"}"#));
    }

    #[test]
    fn every_partition_has_its_documents() {
        for partition in PARTITIONS {
            assert!(load_balancer_controller_policy(partition).is_some() && ebs_csi_driver_needs(partition).is_some());
        }
        assert!(ebs_csi_driver_needs("nowhere").is_none());
    }
}
