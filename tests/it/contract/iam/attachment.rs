//! The contract of IAM: attachments, inline policies and the wire format.

use super::{EBS, decoded, document_of};
use crate::contract::lab::{DOCUMENT, element, said, tell};
use crate::contract::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "attachment: twice is no error, and it is listed once",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                for _ in 0..2 {
                    lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(EBS).send().await.unwrap();
                }
                let list = lab.iam.list_attached_role_policies().role_name(&lab.name).send().await;
                tell(list, |it| it.attached_policies().iter().map(|it| it.policy_name().unwrap().to_owned()).collect())
            },
            "AmazonEBSCSIDriverPolicy"
        ),
        case!(
            "attachment: a policy that is not there",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                let attach = lab.iam.attach_role_policy().role_name(&lab.name);
                said(attach.policy_arn("arn:aws:iam::111122223333:policy/none").send().await)
            },
            "404 NoSuchEntity"
        ),
        case!(
            "attachment: a policy of another partition",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                let attach = lab.iam.attach_role_policy().role_name(&lab.name);
                said(attach.policy_arn("arn:aws-cn:iam::aws:policy/AmazonEKSWorkerNodePolicy").send().await)
            },
            "400 InvalidInput"
        ),
        case!(
            "attachment: the eleventh is refused",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                let mut last = String::new();
                for number in 0..11 {
                    let arn = lab.policy(&format!("{}-{number}", lab.name)).await;
                    last = said(lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(arn).send().await);
                }
                last
            },
            "409 LimitExceeded"
        ),
        case!(
            "attachment: detaching twice",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(EBS).send().await.unwrap();
                let detach = || lab.iam.detach_role_policy().role_name(&lab.name).policy_arn(EBS);
                format!("{}, {}", said(detach().send().await), said(detach().send().await))
            },
            "ok, 404 NoSuchEntity"
        ),
        case!(
            "inline: put, listed, read URL-encoded, deleted",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                lab.iam
                    .put_role_policy()
                    .role_name(&lab.name)
                    .policy_name("p")
                    .policy_document(DOCUMENT)
                    .send()
                    .await
                    .unwrap();
                let names =
                    tell(lab.iam.list_role_policies().role_name(&lab.name).send().await, |it| it.policy_names.concat());
                let got = lab.iam.get_role_policy().role_name(&lab.name).policy_name("p").send().await;
                let same = tell(got, |it| (decoded(Some(&it.policy_document)) == DOCUMENT).to_string());
                let delete = || lab.iam.delete_role_policy().role_name(&lab.name).policy_name("p");
                format!("{names} {same} {}, {}", said(delete().send().await), said(delete().send().await))
            },
            "p true ok, 404 NoSuchEntity"
        ),
        case!(
            "inline: more than 10,240 characters",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                let put = lab
                    .iam
                    .put_role_policy()
                    .role_name(&lab.name)
                    .policy_name("p")
                    .policy_document(document_of(10_241));
                said(put.send().await)
            },
            "409 LimitExceeded"
        ),
        case!(
            "wire: an error is XML with a request id, also in the header",
            Account,
            |lab| {
                let (status, headers, body) =
                    lab.form("iam", &[("Action", "GetRole"), ("Version", "2010-05-08"), ("RoleName", "none")]).await;
                let id = element(&body, "RequestId");
                let header = headers.get("x-amzn-requestid").is_some_and(|value| value.as_bytes() == id.as_bytes());
                format!("{status} {} {} {header}", element(&body, "Type"), element(&body, "Code"))
            },
            "404 Sender NoSuchEntity true"
        ),
        case!(
            "wire: a parameter that is missing",
            Account,
            |lab| {
                let (status, _, body) = lab.form("iam", &[("Action", "GetRole"), ("Version", "2010-05-08")]).await;
                format!("{status} {}", element(&body, "Code"))
            },
            "400 ValidationError"
        ),
        case!(
            "wire: an operation that is not simulated says its name",
            Simulator,
            |lab| {
                let (status, _, body) = lab.form("iam", &[("Action", "CreateUser"), ("UserName", "u")]).await;
                format!("{status} {}", element(&body, "Message"))
            },
            "501 iam:CreateUser is not simulated"
        ),
    ]
}
