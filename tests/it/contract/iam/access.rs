//! The contract of IAM: what a caller's policy lets through, and why it refuses.

use eks_bootstrap::policy::Document;

use super::{EBS, statement};
use crate::contract::lab::{DOCUMENT, Lab, TRUST, element, said, tag};
use crate::contract::{Case, case};

/// From now on the caller may do only this.
fn only(lab: &Lab, body: &str) {
    let policy = Document::parse(&statement(body)).unwrap();
    lab.simulator().set_caller_policy(Some(policy));
}

/// The text of a refusal from the resource's name on.
async fn refusal(lab: &Lab, role: &str) -> String {
    let (_, _, body) = lab.form("iam", &[("Action", "GetRole"), ("Version", "2010-05-08"), ("RoleName", role)]).await;
    let text = element(&body, "Message");
    text.rsplit_once(":role/").map_or(text, |(_, rest)| rest).to_owned()
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "access: only what the policy allows, by action and resource",
            Simulator,
            |lab| {
                only(&lab, r#""Effect":"Allow","Action":"iam:Get*","Resource":"arn:aws:iam::111122223333:role/eks/*""#);
                let nodes = said(lab.iam.get_role().role_name("nodes").send().await);
                let other = said(lab.iam.get_role().role_name("reader").send().await);
                let caller = said(lab.sts.get_caller_identity().send().await);
                let cluster = said(lab.eks.describe_cluster().name("demo").send().await);
                let tags = said(lab.tagging.get_resources().send().await);
                format!("{nodes}, {other}, {caller}, {cluster}, {tags}")
            },
            "ok, 403 AccessDenied, ok, 403 AccessDeniedException, 400 AccessDeniedException"
        ),
        case!(
            "access: a refusal says whether something denies or nothing allows",
            Simulator,
            |lab| {
                only(&lab, r#""Effect":"Allow","Action":"eks:*","Resource":"*""#);
                let nothing = refusal(&lab, "reader").await;
                only(
                    &lab,
                    r#""Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"iam:*","Resource":"*""#,
                );
                format!("{nothing}; {}", refusal(&lab, "reader").await)
            },
            "reader because no identity-based policy allows the iam:GetRole action; \
             reader with an explicit deny in an identity-based policy"
        ),
        case!(
            "access: making something with tags needs the right to tag it",
            Simulator,
            |lab| {
                only(&lab, r#""Effect":"Allow","Action":["iam:CreateRole","iam:CreatePolicy"],"Resource":"*""#);
                let create = |name: &str| lab.iam.create_role().role_name(name).assume_role_policy_document(TRUST);
                let plain = said(create("a").send().await);
                let tagged = said(create("b").tags(tag("team", "x")).send().await);
                let policy = lab.iam.create_policy().policy_name("p").policy_document(DOCUMENT).tags(tag("a", "b"));
                let policy = said(policy.send().await);
                only(&lab, r#""Effect":"Allow","Action":["iam:CreateRole","iam:TagRole"],"Resource":"*""#);
                format!("{plain}, {tagged}, {policy}, {}", said(create("b").tags(tag("team", "x")).send().await))
            },
            "ok, 403 AccessDenied, 403 AccessDenied, ok"
        ),
        case!(
            "access: tags of the request and of the object, tag keys",
            Simulator,
            |lab| {
                only(
                    &lab,
                    r#""Effect":"Allow","Action":["iam:CreateRole","iam:TagRole"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"x"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}},{"Effect":"Allow","Action":"iam:DeleteRole","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"x"}}"#,
                );
                let create = |name: &str| lab.iam.create_role().role_name(name).assume_role_policy_document(TRUST);
                let right = said(create("a").tags(tag("team", "x")).send().await);
                let other = said(create("b").tags(tag("team", "y")).send().await);
                let more = said(create("b").tags(tag("team", "x")).tags(tag("cost", "1")).send().await);
                let own = said(lab.iam.delete_role().role_name("a").send().await);
                let foreign = said(lab.iam.delete_role().role_name("reader").send().await);
                format!("{right}, {other}, {more}, {own}, {foreign}")
            },
            "ok, 403 AccessDenied, 403 AccessDenied, ok, 403 AccessDenied"
        ),
        case!(
            "access: the boundary on making and attaching, the policy on attaching",
            Simulator,
            |lab| {
                let bound = lab.policy("bound").await;
                let body = r#""Effect":"Allow","Action":["iam:CreateRole","iam:AttachRolePolicy"],"Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"BOUND"}}},{"Effect":"Deny","Action":"iam:AttachRolePolicy","Resource":"*","Condition":{"ArnNotLike":{"iam:PolicyARN":"arn:aws:iam::aws:policy/service-role/*"}}"#;
                only(&lab, &body.replace("BOUND", &bound));
                let create = || lab.iam.create_role().role_name("a").assume_role_policy_document(TRUST);
                let bare = said(create().send().await);
                let bounded = said(create().permissions_boundary(&bound).send().await);
                let attach =
                    |role: &str, policy: &str| lab.iam.attach_role_policy().role_name(role).policy_arn(policy).send();
                let right = said(attach("a", EBS).await);
                let other = said(attach("a", &bound).await);
                let unbounded = said(attach("reader", EBS).await);
                format!("{bare}, {bounded}, {right}, {other}, {unbounded}")
            },
            "403 AccessDenied, ok, ok, 403 AccessDenied, 403 AccessDenied"
        ),
        case!(
            "access: handing a role to EKS",
            Simulator,
            |lab| {
                let arn = lab.role("pods").await;
                let create = || {
                    let create = lab.eks.create_pod_identity_association().cluster_name("demo");
                    create.namespace("n").service_account("s").role_arn(&arn).send()
                };
                only(&lab, r#""Effect":"Allow","Action":"eks:*","Resource":"*""#);
                lab.advance(10);
                let without = said(create().await);
                only(
                    &lab,
                    r#""Effect":"Allow","Action":"eks:*","Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"pods.eks.amazonaws.com"}}"#,
                );
                format!("{without}, {}", said(create().await))
            },
            "403 AccessDeniedException, ok"
        ),
        case!(
            "access: a condition that cannot be evaluated is refused loudly",
            Simulator,
            |lab| {
                only(
                    &lab,
                    r#""Effect":"Allow","Action":"iam:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}"#,
                );
                said(lab.iam.get_role().role_name("reader").send().await)
            },
            "501 NotImplemented"
        ),
    ]
}
