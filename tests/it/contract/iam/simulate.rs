//! The contract of IAM: what `SimulatePrincipalPolicy` says.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PermissionsBoundaryDecisionDetail};

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
    tell(ask.send().await, |answer| {
        let lines = answer.evaluation_results().iter().map(|result| {
            let resource = result.eval_resource_name().unwrap_or("none").rsplit(':').next().unwrap();
            let boundary = result
                .permissions_boundary_decision_detail()
                .map(PermissionsBoundaryDecisionDetail::allowed_by_permissions_boundary);
            let boundary = boundary.map(|within| format!(" boundary={within}")).unwrap_or_default();
            let missing = result.missing_context_values().join(",");
            let missing = if missing.is_empty() { missing } else { format!(" missing={missing}") };
            let matched = result.matched_statements().len();
            format!("{} {resource} {} {matched}{missing}{boundary}", result.eval_action_name(), result.eval_decision())
        });
        lines.collect::<Vec<_>>().join("; ")
    })
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "simulate: allowed, implicitly denied and explicitly denied",
            Account,
            |lab| {
                let body = r#""Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:Delete*","Resource":"*""#;
                let role = role_with(&lab, body).await;
                simulate(&lab, &role, &["s3:GetObject", "ec2:RunInstances", "s3:DeleteObject"], &[], vec![]).await
            },
            "s3:GetObject * allowed 1; ec2:RunInstances * implicitDeny 0; s3:DeleteObject * explicitDeny 1"
        ),
        case!(
            "simulate: every action on every resource",
            Account,
            |lab| {
                let body = r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a/*""#;
                let role = role_with(&lab, body).await;
                simulate(&lab, &role, &["s3:GetObject"], &["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"], vec![]).await
            },
            "s3:GetObject a/x allowed 1; s3:GetObject b/x implicitDeny 0"
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
            "ec2:CreateVolume * allowed 1; ec2:CreateVolume * implicitDeny 0; \
             ec2:CreateVolume * implicitDeny 0 missing=aws:RequestTag/team"
        ),
        case!(
            "simulate: a boundary takes away, and says so",
            Account,
            |lab| {
                let role = role_with(&lab, r#""Effect":"Allow","Action":"*","Resource":"*""#).await;
                let bound = lab.policy(&format!("{}-bound", lab.name)).await;
                let put = lab.iam.put_role_permissions_boundary().role_name(&lab.name).permissions_boundary(bound);
                put.send().await.unwrap();
                simulate(&lab, &role, &["ec2:DescribeVolumes", "s3:GetObject"], &[], vec![]).await
            },
            "ec2:DescribeVolumes * allowed 2 boundary=true; s3:GetObject * implicitDeny 0 boundary=false"
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
