//! The contract of IAM: what `SimulatePrincipalPolicy` says.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PermissionsBoundaryDecisionDetail};

use super::{EBS, statement};
use crate::contract::lab::{Lab, said, tell};
use crate::contract::{Case, case};

const V2: &str = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";
const VOLUME: &str = "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1";

/// A role with one inline policy.
async fn role_with(lab: &Lab, body: &str) -> String {
    let arn = lab.role(&lab.name).await;
    let put = lab.iam.put_role_policy().role_name(&lab.name).policy_name("p").policy_document(statement(body));
    put.send().await.unwrap();
    arn
}

fn entry(key: &str, value: &str) -> ContextEntry {
    let of = ContextKeyTypeEnum::String;
    ContextEntry::builder().context_key_name(key).context_key_values(value).context_key_type(of).build()
}

/// The last part of an ARN; IAM names a whole result by a template.
fn shown(resource: &str) -> &str {
    if resource.contains("${") { "template" } else { resource.rsplit(':').next().unwrap() }
}

fn beside(matched: usize, missing: &[String], boundary: Option<&PermissionsBoundaryDecisionDetail>) -> String {
    let boundary = boundary.map(|it| format!(" boundary={}", it.allowed_by_permissions_boundary())).unwrap_or_default();
    let missing = if missing.is_empty() { String::new() } else { format!(" missing={}", missing.join(",")) };
    format!("{matched}{missing}{boundary}")
}

fn line(result: &EvaluationResult) -> String {
    let parts = result.resource_specific_results().iter().map(|part| {
        let detail = part.permissions_boundary_decision_detail();
        let beside = beside(part.matched_statements().len(), part.missing_context_values(), detail);
        format!(" [{} {} {beside}]", shown(part.eval_resource_name()), part.eval_resource_decision())
    });
    let detail = result.permissions_boundary_decision_detail();
    let beside = beside(result.matched_statements().len(), result.missing_context_values(), detail);
    let name = shown(result.eval_resource_name().unwrap_or("none"));
    let parts = parts.collect::<String>();
    format!("{} {name} {} {beside}{parts}", result.eval_action_name(), result.eval_decision())
}

/// Action, resource, decision and whatever else was answered, one result a line.
async fn simulate(lab: &Lab, role: &str, actions: &[&str], resources: &[&str], context: Vec<ContextEntry>) -> String {
    let list = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    let ask = lab
        .iam
        .simulate_principal_policy()
        .policy_source_arn(role)
        .set_action_names(Some(list(actions)))
        .set_resource_arns(Some(list(resources)).filter(|arns| !arns.is_empty()))
        .set_context_entries(Some(context).filter(|entries| !entries.is_empty()));
    tell(ask.send().await, |answer| answer.evaluation_results().iter().map(line).collect::<Vec<_>>().join("; "))
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "simulate: allowed, implicitly denied and explicitly denied",
            Account,
            |lab| {
                let body = r#""Effect":"Allow","Action":"s3:Get*","Resource":"*"},{"Effect":"Deny","Action":"s3:Delete*","Resource":"*""#;
                let role = role_with(&lab, body).await;
                simulate(&lab, &role, &["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], &[], vec![]).await
            },
            "s3:GetObject template allowed 1; s3:PutObject template implicitDeny 0; s3:DeleteObject template explicitDeny 1"
        ),
        case!(
            "simulate: one result an action, with a part a resource and the worst of them",
            Account,
            |lab| {
                let body = r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a/*""#;
                let role = role_with(&lab, body).await;
                simulate(&lab, &role, &["s3:GetObject"], &["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"], vec![]).await
            },
            "s3:GetObject template implicitDeny 0 [a/x allowed 1] [b/x implicitDeny 0]"
        ),
        case!(
            "simulate: a condition with and without its context key",
            Account,
            |lab| {
                let body = r#""Effect":"Allow","Action":"ec2:CreateVolume","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"a"}}"#;
                let role = role_with(&lab, body).await;
                let with = simulate(&lab, &role, &["ec2:CreateVolume"], &[], vec![entry("aws:requesttag/team", "a")]);
                let other = simulate(&lab, &role, &["ec2:CreateVolume"], &[], vec![entry("aws:RequestTag/team", "b")]);
                let without = simulate(&lab, &role, &["ec2:CreateVolume"], &[], vec![]);
                format!("{}; {}; {}", with.await, other.await, without.await)
            },
            "ec2:CreateVolume template allowed 1; ec2:CreateVolume template implicitDeny 0; \
             ec2:CreateVolume template implicitDeny 0 missing=aws:RequestTag/team"
        ),
        case!(
            "simulate: a boundary takes away, and says so",
            Account,
            |lab| {
                let role = role_with(&lab, r#""Effect":"Allow","Action":"*","Resource":"*""#).await;
                let bound = lab.policy(&format!("{}-bound", lab.name)).await;
                let put = lab.iam.put_role_permissions_boundary().role_name(&lab.name).permissions_boundary(bound);
                put.send().await.unwrap();
                let looks = simulate(&lab, &role, &["ec2:DescribeVolumes"], &[], vec![]).await;
                format!("{looks}; {}", simulate(&lab, &role, &["s3:GetObject"], &["arn:aws:s3:::a/x"], vec![]).await)
            },
            "ec2:DescribeVolumes * allowed 2 boundary=true; \
             s3:GetObject template implicitDeny 0 boundary=false [a/x implicitDeny 0 boundary=false]"
        ),
        case!(
            "simulate: actions of which IAM wants different things are refused together",
            Account,
            |lab| {
                let role = lab.role(&lab.name).await;
                simulate(&lab, &role, &["iam:PassRole", "sts:AssumeRole"], &[], vec![]).await
            },
            "400 InvalidInput"
        ),
        case!(
            "simulate: an action that knows no resources is answered for all",
            Simulator,
            |lab| {
                let role = role_with(&lab, r#""Effect":"Allow","Action":"ec2:*","Resource":"*""#).await;
                simulate(&lab, &role, &["ec2:DescribeVolumes"], &[VOLUME], vec![]).await
            },
            "ec2:DescribeVolumes * allowed 1"
        ),
        case!(
            "simulate: the managed policies of the EBS CSI driver",
            Account,
            |lab| {
                let role = lab.role(&lab.name).await;
                let tagged = || vec![entry("aws:RequestTag/ebs.csi.aws.com/cluster", "true")];
                let owned = || vec![entry("ec2:ResourceTag/ebs.csi.aws.com/cluster", "true")];
                let mut told = Vec::new();
                for policy in [V2, EBS] {
                    lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(policy).send().await.unwrap();
                    told.push(simulate(&lab, &role, &["ec2:DescribeVolumes"], &[], vec![]).await);
                    told.push(simulate(&lab, &role, &["ec2:CreateVolume"], &[VOLUME], tagged()).await);
                    told.push(simulate(&lab, &role, &["ec2:AttachVolume"], &[VOLUME], owned()).await);
                    told.push(simulate(&lab, &role, &["ec2:AttachVolume"], &[VOLUME], tagged()).await);
                    lab.iam.detach_role_policy().role_name(&lab.name).policy_arn(policy).send().await.unwrap();
                }
                told.iter().map(|line| line.split(' ').nth(2).unwrap().to_owned() + " ").collect::<String>()
            },
            "allowed allowed allowed implicitDeny allowed allowed allowed allowed "
        ),
        case!(
            "simulate: a role that is not there",
            Account,
            |lab| {
                let arn = format!("arn:aws:iam::111122223333:role/{}", lab.name);
                let ask = lab.iam.simulate_principal_policy().policy_source_arn(arn).action_names("s3:GetObject");
                said(ask.send().await)
            },
            "404 NoSuchEntity"
        ),
        case!(
            "simulate: what is no ARN, and what is no action",
            Account,
            |lab| {
                let role = lab.role(&lab.name).await;
                let ask = |arn: &str, action: &str| {
                    lab.iam.simulate_principal_policy().policy_source_arn(arn).action_names(action).send()
                };
                let told = [ask(&lab.name.repeat(3), "s3:GetObject").await, ask(&role, "s3:*").await];
                told.map(said).join(", ")
            },
            "400 InvalidInput, 400 InvalidInput"
        ),
        case!(
            "simulate: pages",
            Account,
            |lab| {
                let role = role_with(&lab, r#""Effect":"Allow","Action":"s3:*","Resource":"*""#).await;
                let ask = || {
                    let ask = lab.iam.simulate_principal_policy().policy_source_arn(&role).max_items(2);
                    ask.set_action_names(Some(["s3:A", "s3:B", "s3:C"].map(str::to_owned).to_vec()))
                };
                let first = ask().send().await.unwrap();
                let second = ask().set_marker(first.marker.clone()).send().await.unwrap();
                let names = |results: &[aws_sdk_iam::types::EvaluationResult]| {
                    results.iter().map(|result| result.eval_action_name().to_owned()).collect::<Vec<_>>().join(",")
                };
                let more = (first.is_truncated(), second.is_truncated());
                format!("{} {} {more:?}", names(first.evaluation_results()), names(second.evaluation_results()))
            },
            "s3:A,s3:B s3:C (true, false)"
        ),
        case!(
            "simulate: a policy whose document is not carried is refused loudly",
            Simulator,
            |lab| {
                let role = lab.role(&lab.name).await;
                let attach = lab.iam.attach_role_policy().role_name(&lab.name);
                attach.policy_arn("arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy").send().await.unwrap();
                simulate(&lab, &role, &["ec2:DescribeInstances"], &[], vec![]).await
            },
            "501 NotImplemented"
        ),
    ]
}
