//! The contract of IAM: policy and trust documents.

use super::{document_of, statement};
use crate::contract::lab::{DOCUMENT, TRUST, said};
use crate::contract::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "document: no JSON",
            Account,
            |lab| said(lab.iam.create_policy().policy_name(&lab.name).policy_document("{").send().await),
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: no Effect",
            Account,
            |lab| {
                let document = statement(r#""Action":"s3:*","Resource":"*""#);
                said(lab.iam.create_policy().policy_name(&lab.name).policy_document(document).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: no Resource",
            Account,
            |lab| {
                let document = statement(r#""Effect":"Allow","Action":"s3:*""#);
                said(lab.iam.create_policy().policy_name(&lab.name).policy_document(document).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: an unknown Version",
            Account,
            |lab| {
                let document = DOCUMENT.replace("2012-10-17", "2013-01-01");
                said(lab.iam.create_policy().policy_name(&lab.name).policy_document(document).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: an action without its service",
            Account,
            |lab| {
                let document = statement(r#""Effect":"Allow","Action":"DescribeSubnets","Resource":"*""#);
                said(lab.iam.create_policy().policy_name(&lab.name).policy_document(document).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: a resource of another partition",
            Account,
            |lab| {
                let document =
                    statement(r#""Effect":"Allow","Action":"ec2:*","Resource":"arn:aws-cn:ec2:*:*:volume/*""#);
                said(lab.iam.create_policy().policy_name(&lab.name).policy_document(document).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: a Principal in a policy",
            Account,
            |lab| {
                let document = statement(r#""Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*""#);
                said(lab.iam.create_policy().policy_name(&lab.name).policy_document(document).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "document: 6,144 characters are enough for all",
            Account,
            |lab| {
                let whole = document_of(6144).replace("\"Statement\"", "  \n \"Statement\"");
                let full = said(
                    lab.iam.create_policy().policy_name(format!("{}-a", lab.name)).policy_document(whole).send().await,
                );
                let over = said(
                    lab.iam
                        .create_policy()
                        .policy_name(format!("{}-b", lab.name))
                        .policy_document(document_of(6145))
                        .send()
                        .await,
                );
                format!("{full}, {over}")
            },
            "ok, 409 LimitExceeded"
        ),
        case!(
            "trust: no Principal",
            Account,
            |lab| {
                let trust = statement(r#""Effect":"Allow","Action":"sts:AssumeRole""#);
                said(lab.iam.create_role().role_name(&lab.name).assume_role_policy_document(trust).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "trust: a Resource",
            Account,
            |lab| {
                let trust = TRUST.replace("\"Effect\"", "\"Resource\":\"*\",\"Effect\"");
                said(lab.iam.create_role().role_name(&lab.name).assume_role_policy_document(trust).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "trust: an action of another service",
            Account,
            |lab| {
                let trust = TRUST.replace("sts:AssumeRole", "s3:GetObject");
                said(lab.iam.create_role().role_name(&lab.name).assume_role_policy_document(trust).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "trust: a provider of another partition",
            Account,
            |lab| {
                let trust = statement(
                    r#""Effect":"Allow","Principal":{"Federated":"arn:aws-cn:iam::111122223333:oidc-provider/x"},"Action":"sts:AssumeRoleWithWebIdentity""#,
                );
                said(lab.iam.create_role().role_name(&lab.name).assume_role_policy_document(trust).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "trust: a role that is not there",
            Account,
            |lab| {
                let trust =
                    TRUST.replace(r#""Service":"ec2.amazonaws.com""#, r#""AWS":"arn:aws:iam::111122223333:role/none""#);
                said(lab.iam.create_role().role_name(&lab.name).assume_role_policy_document(trust).send().await)
            },
            "400 MalformedPolicyDocument"
        ),
        case!(
            "trust: more than 2,048 characters",
            Account,
            |lab| {
                let trust = TRUST.replace("\"Effect\"", &format!("\"Sid\":\"{}\",\"Effect\"", "x".repeat(2048)));
                said(lab.iam.create_role().role_name(&lab.name).assume_role_policy_document(trust).send().await)
            },
            "409 LimitExceeded"
        ),
    ]
}
