//! The contract of IAM: roles.

use super::{EBS, decoded};
use crate::contract::lab::{DOCUMENT, TRUST, said, tag, tell};
use crate::contract::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "role: description, boundary, path and UTF-8 tags are shown",
            Account,
            |lab| {
                let boundary = lab.policy(&lab.name).await;
                let create = lab
                    .iam
                    .create_role()
                    .role_name(&lab.name)
                    .path("/p/")
                    .description("d")
                    .permissions_boundary(&boundary);
                create.tags(tag("Straße", "münchen")).assume_role_policy_document(TRUST).send().await.unwrap();
                tell(lab.iam.get_role().role_name(&lab.name).send().await, |it| {
                    let it = it.role.unwrap();
                    let bound = it.permissions_boundary.unwrap().permissions_boundary_arn.unwrap() == boundary;
                    format!("{} {} {bound} {}", it.path, it.description.unwrap(), it.tags.unwrap()[0].value)
                })
            },
            "/p/ d true münchen"
        ),
        case!(
            "role: the trust document comes URL-encoded",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                tell(lab.iam.get_role().role_name(&lab.name).send().await, |it| {
                    let document = it.role.unwrap().assume_role_policy_document.unwrap();
                    format!("{} {}", document.starts_with("%7B"), decoded(Some(&document)) == TRUST)
                })
            },
            "true true"
        ),
        case!(
            "role: a duplicate is refused, also under another path",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                said(
                    lab.iam
                        .create_role()
                        .role_name(&lab.name)
                        .path("/x/")
                        .assume_role_policy_document(TRUST)
                        .send()
                        .await,
                )
            },
            "409 EntityAlreadyExists"
        ),
        case!(
            "role: 65 characters are too many",
            Account,
            |lab| {
                said(lab.iam.create_role().role_name("r".repeat(65)).assume_role_policy_document(TRUST).send().await)
            },
            "400 ValidationError"
        ),
        case!(
            "role: a slash in a name is refused",
            Account,
            |lab| said(lab.iam.create_role().role_name("a/b").assume_role_policy_document(TRUST).send().await),
            "400 ValidationError"
        ),
        case!(
            "role: a description beyond Latin-1 is refused",
            Account,
            |lab| {
                said(
                    lab.iam
                        .create_role()
                        .role_name(&lab.name)
                        .description("日本")
                        .assume_role_policy_document(TRUST)
                        .send()
                        .await,
                )
            },
            "400 ValidationError"
        ),
        case!(
            "role: a boundary that is not there",
            Account,
            |lab| {
                let create = lab
                    .iam
                    .create_role()
                    .role_name(&lab.name)
                    .permissions_boundary("arn:aws:iam::111122223333:policy/none");
                said(create.assume_role_policy_document(TRUST).send().await)
            },
            "404 NoSuchEntity"
        ),
        case!(
            "role: a tag key with a forbidden character",
            Account,
            |lab| {
                said(
                    lab.iam
                        .create_role()
                        .role_name(&lab.name)
                        .tags(tag("a!", "b"))
                        .assume_role_policy_document(TRUST)
                        .send()
                        .await,
                )
            },
            "400 ValidationError"
        ),
        case!(
            "role: a tag of AWS",
            Account,
            |lab| {
                said(
                    lab.iam
                        .create_role()
                        .role_name(&lab.name)
                        .tags(tag("aws:x", "b"))
                        .assume_role_policy_document(TRUST)
                        .send()
                        .await,
                )
            },
            "400 InvalidInput"
        ),
        case!(
            "role: one that is not there",
            Account,
            |lab| said(lab.iam.get_role().role_name("none").send().await),
            "404 NoSuchEntity"
        ),
        case!(
            "role: trust is replaced",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                let trust = TRUST.replace("ec2", "lambda");
                lab.iam.update_assume_role_policy().role_name(&lab.name).policy_document(&trust).send().await.unwrap();
                let got = lab.iam.get_role().role_name(&lab.name).send().await;
                tell(got, |it| (decoded(it.role.unwrap().assume_role_policy_document.as_deref()) == trust).to_string())
            },
            "true"
        ),
        case!(
            "role: UpdateRole keeps the description, and sets the session back to an hour",
            Account,
            |lab| {
                lab.iam
                    .create_role()
                    .role_name(&lab.name)
                    .description("old")
                    .assume_role_policy_document(TRUST)
                    .send()
                    .await
                    .unwrap();
                lab.iam.update_role().role_name(&lab.name).max_session_duration(7200).send().await.unwrap();
                let told = async || {
                    tell(lab.iam.get_role().role_name(&lab.name).send().await, |it| {
                        let it = it.role.unwrap();
                        format!("{} {}", it.description.unwrap(), it.max_session_duration.unwrap())
                    })
                };
                let kept = told().await;
                lab.iam.update_role().role_name(&lab.name).description("new").send().await.unwrap();
                format!("{kept}, {}", told().await)
            },
            "old 7200, new 3600"
        ),
        case!(
            "role: the boundary goes, but not twice",
            Account,
            |lab| {
                let boundary = lab.policy(&lab.name).await;
                lab.iam
                    .create_role()
                    .role_name(&lab.name)
                    .permissions_boundary(&boundary)
                    .assume_role_policy_document(TRUST)
                    .send()
                    .await
                    .unwrap();
                let delete = || lab.iam.delete_role_permissions_boundary().role_name(&lab.name);
                format!("{}, {}", said(delete().send().await), said(delete().send().await))
            },
            "ok, 404 NoSuchEntity"
        ),
        case!(
            "role: tags come, change and go",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                lab.iam.tag_role().role_name(&lab.name).tags(tag("a", "1")).tags(tag("b", "1")).send().await.unwrap();
                lab.iam.tag_role().role_name(&lab.name).tags(tag("b", "2")).send().await.unwrap();
                lab.iam.untag_role().role_name(&lab.name).tag_keys("a").send().await.unwrap();
                let tags = lab.iam.list_role_tags().role_name(&lab.name).send().await;
                tell(tags, |it| it.tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect())
            },
            "b=2"
        ),
        case!(
            "role: lists leave out tags and have pages",
            Account,
            |lab| {
                for number in 0..3 {
                    let create = lab
                        .iam
                        .create_role()
                        .role_name(format!("{}-{number}", lab.name))
                        .path(format!("/{}/", lab.name));
                    create.tags(tag("a", "1")).assume_role_policy_document(TRUST).send().await.unwrap();
                }
                let page = lab.iam.list_roles().path_prefix(format!("/{}/", lab.name)).max_items(2).send().await;
                tell(page, |it| format!("{} {} {}", it.roles.len(), it.is_truncated, it.roles[0].tags().len()))
            },
            "2 true 0"
        ),
        case!(
            "role: with an attachment it cannot be deleted",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(EBS).send().await.unwrap();
                said(lab.iam.delete_role().role_name(&lab.name).send().await)
            },
            "409 DeleteConflict"
        ),
        case!(
            "role: with an inline policy it cannot be deleted",
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
                said(lab.iam.delete_role().role_name(&lab.name).send().await)
            },
            "409 DeleteConflict"
        ),
        case!(
            "role: in an instance profile it cannot be deleted",
            Simulator,
            |lab| {
                let profiles = lab.iam.list_instance_profiles_for_role().role_name("nodes").send().await;
                let name = tell(profiles, |it| it.instance_profiles[0].instance_profile_name.clone());
                let policy = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
                lab.iam.detach_role_policy().role_name("nodes").policy_arn(policy).send().await.unwrap();
                format!("{name}, {}", said(lab.iam.delete_role().role_name("nodes").send().await))
            },
            "nodes-profile, 409 DeleteConflict"
        ),
        case!(
            "role: deleted it is gone",
            Account,
            |lab| {
                lab.role(&lab.name).await;
                let delete = || lab.iam.delete_role().role_name(&lab.name);
                format!("{}, {}", said(delete().send().await), said(delete().send().await))
            },
            "ok, 404 NoSuchEntity"
        ),
    ]
}
