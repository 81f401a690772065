//! The contract of IAM: managed policies.

use super::{EBS, decoded};
use crate::contract::lab::{DOCUMENT, OTHER_DOCUMENT, said, tag, tell};
use crate::contract::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "policy: path, description and tags are shown",
            Account,
            |lab| {
                let made = lab
                    .iam
                    .create_policy()
                    .policy_name(&lab.name)
                    .path("/a/b/")
                    .description("d")
                    .policy_document(DOCUMENT)
                    .tags(tag("k", "Grüße"))
                    .send()
                    .await;
                let arn = made.unwrap().policy.unwrap().arn.unwrap();
                let got = lab.iam.get_policy().policy_arn(&arn).send().await;
                tell(got, |it| {
                    let it = it.policy.unwrap();
                    format!(
                        "{} {} {} {} {}",
                        arn.contains(":policy/a/b/"),
                        it.path.unwrap(),
                        it.description.unwrap(),
                        it.default_version_id.unwrap(),
                        it.tags.unwrap()[0].value
                    )
                })
            },
            "true /a/b/ d v1 Grüße"
        ),
        case!(
            "policy: the same name under another path is refused",
            Account,
            |lab| {
                lab.policy(&lab.name).await;
                said(
                    lab.iam
                        .create_policy()
                        .policy_name(&lab.name)
                        .path("/other/")
                        .policy_document(DOCUMENT)
                        .send()
                        .await,
                )
            },
            "409 EntityAlreadyExists"
        ),
        case!(
            "policy: a name with a space is refused",
            Account,
            |lab| said(lab.iam.create_policy().policy_name("a b").policy_document(DOCUMENT).send().await),
            "400 ValidationError"
        ),
        case!(
            "policy: a path without slashes is refused",
            Account,
            |lab| {
                said(lab.iam.create_policy().policy_name(&lab.name).path("a").policy_document(DOCUMENT).send().await)
            },
            "400 ValidationError"
        ),
        case!(
            "policy: one that is not there",
            Account,
            |lab| said(lab.iam.get_policy().policy_arn("arn:aws:iam::111122223333:policy/none").send().await),
            "404 NoSuchEntity"
        ),
        case!(
            "policy: an ARN that is none",
            Account,
            |lab| said(lab.iam.get_policy().policy_arn("arn:aws:s3:::bucket/policy").send().await),
            "400 InvalidInput"
        ),
        case!(
            "policy: AWS's own is found",
            Account,
            |lab| {
                tell(lab.iam.get_policy().policy_arn(EBS).send().await, |it| it.policy.unwrap().policy_name.unwrap())
            },
            "AmazonEBSCSIDriverPolicy"
        ),
        case!(
            "policy: the newer EBS policy has no path",
            Simulator,
            |lab| {
                let with = lab
                    .iam
                    .get_policy()
                    .policy_arn("arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicyV2")
                    .send()
                    .await;
                let without =
                    lab.iam.get_policy().policy_arn("arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2").send().await;
                format!("{} {}", said(with), said(without))
            },
            "404 NoSuchEntity ok"
        ),
        case!(
            "policy: AWS's own cannot be changed",
            Account,
            |lab| said(lab.iam.create_policy_version().policy_arn(EBS).policy_document(DOCUMENT).send().await),
            "403 AccessDenied"
        ),
        case!(
            "policy: AWS's own cannot be deleted",
            Account,
            |lab| said(lab.iam.delete_policy().policy_arn(EBS).send().await),
            "403 AccessDenied"
        ),
        case!(
            "policy: the document comes URL-encoded",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                let got = lab.iam.get_policy_version().policy_arn(arn).version_id("v1").send().await;
                tell(got, |it| {
                    let document = it.policy_version.unwrap().document.unwrap();
                    format!("{} {}", document.starts_with("%7B"), decoded(Some(&document)) == DOCUMENT)
                })
            },
            "true true"
        ),
        case!(
            "policy: versions are listed newest first",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                for _ in 0..2 {
                    lab.iam
                        .create_policy_version()
                        .policy_arn(&arn)
                        .policy_document(OTHER_DOCUMENT)
                        .set_as_default(true)
                        .send()
                        .await
                        .unwrap();
                }
                let list = lab.iam.list_policy_versions().policy_arn(arn).send().await;
                tell(list, |it| {
                    it.versions()
                        .iter()
                        .map(|it| {
                            format!("{}{} ", it.version_id().unwrap(), if it.is_default_version { "*" } else { "" })
                        })
                        .collect()
                })
            },
            "v3* v2 v1 "
        ),
        case!(
            "policy: a sixth version is refused",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                let mut last = String::new();
                for _ in 0..5 {
                    last = said(
                        lab.iam.create_policy_version().policy_arn(&arn).policy_document(OTHER_DOCUMENT).send().await,
                    );
                }
                last
            },
            "409 LimitExceeded"
        ),
        case!(
            "policy: numbers of versions are not used again",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                let create = || lab.iam.create_policy_version().policy_arn(&arn).policy_document(OTHER_DOCUMENT);
                create().send().await.unwrap();
                lab.iam.delete_policy_version().policy_arn(&arn).version_id("v2").send().await.unwrap();
                tell(create().send().await, |it| it.policy_version.unwrap().version_id.unwrap())
            },
            "v3"
        ),
        case!(
            "policy: the default version can be moved back",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                lab.iam
                    .create_policy_version()
                    .policy_arn(&arn)
                    .policy_document(OTHER_DOCUMENT)
                    .set_as_default(true)
                    .send()
                    .await
                    .unwrap();
                lab.iam.set_default_policy_version().policy_arn(&arn).version_id("v1").send().await.unwrap();
                tell(lab.iam.get_policy().policy_arn(&arn).send().await, |it| {
                    it.policy.unwrap().default_version_id.unwrap()
                })
            },
            "v1"
        ),
        case!(
            "policy: a version that is not there",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                said(lab.iam.set_default_policy_version().policy_arn(&arn).version_id("v9").send().await)
            },
            "404 NoSuchEntity"
        ),
        case!(
            "policy: the default version cannot be deleted",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                said(lab.iam.delete_policy_version().policy_arn(arn).version_id("v1").send().await)
            },
            "409 DeleteConflict"
        ),
        case!(
            "policy: with other versions it cannot be deleted",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                lab.iam.create_policy_version().policy_arn(&arn).policy_document(OTHER_DOCUMENT).send().await.unwrap();
                said(lab.iam.delete_policy().policy_arn(arn).send().await)
            },
            "409 DeleteConflict"
        ),
        case!(
            "policy: attached it cannot be deleted",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                lab.role(&lab.name).await;
                lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(&arn).send().await.unwrap();
                said(lab.iam.delete_policy().policy_arn(arn).send().await)
            },
            "409 DeleteConflict"
        ),
        case!(
            "policy: as a boundary it cannot be deleted",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                lab.role(&lab.name).await;
                lab.iam
                    .put_role_permissions_boundary()
                    .role_name(&lab.name)
                    .permissions_boundary(&arn)
                    .send()
                    .await
                    .unwrap();
                said(lab.iam.delete_policy().policy_arn(arn).send().await)
            },
            "409 DeleteConflict"
        ),
        case!(
            "policy: it says how often it is attached, and to whom",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                lab.role(&lab.name).await;
                lab.iam.attach_role_policy().role_name(&lab.name).policy_arn(&arn).send().await.unwrap();
                let count = tell(lab.iam.get_policy().policy_arn(&arn).send().await, |it| {
                    it.policy.unwrap().attachment_count.unwrap().to_string()
                });
                let entities = lab.iam.list_entities_for_policy().policy_arn(&arn).send().await;
                tell(entities, |it| format!("{count} {}", it.policy_roles()[0].role_name() == Some(&lab.name)))
            },
            "1 true"
        ),
        case!(
            "policy: the list has pages and a scope",
            Account,
            |lab| {
                for number in 0..3 {
                    let name = format!("{}-{number}", lab.name);
                    let create = lab.iam.create_policy().policy_name(name).path(format!("/{}/", lab.name));
                    create.policy_document(DOCUMENT).send().await.unwrap();
                }
                let (mut marker, mut pages) = (None, Vec::new());
                loop {
                    let list = lab.iam.list_policies().scope("Local".into()).path_prefix(format!("/{}/", lab.name));
                    let page = list.max_items(2).set_marker(marker).send().await.unwrap();
                    pages.push(page.policies().len());
                    marker = page.marker.filter(|_| page.is_truncated);
                    if marker.is_none() {
                        break format!("{pages:?}");
                    }
                }
            },
            "[2, 1]"
        ),
        case!(
            "policy: a marker that is none is refused",
            Simulator,
            |lab| said(lab.iam.list_policies().marker("nonsense").send().await),
            "400 ValidationError"
        ),
        case!(
            "policy: tag keys differ regardless of case",
            Account,
            |lab| {
                let create = lab.iam.create_policy().policy_name(&lab.name).policy_document(DOCUMENT);
                said(create.tags(tag("Team", "a")).tags(tag("team", "b")).send().await)
            },
            "400 InvalidInput"
        ),
        case!(
            "policy: fifty-one tags are refused",
            Account,
            |lab| {
                let mut create = lab.iam.create_policy().policy_name(&lab.name).policy_document(DOCUMENT);
                for number in 0..51 {
                    create = create.tags(tag(&format!("k{number}"), "v"));
                }
                said(create.send().await)
            },
            "400 ValidationError"
        ),
        case!(
            "policy: tags that come to more than fifty are refused",
            Account,
            |lab| {
                let arn = lab.policy(&lab.name).await;
                let add = |prefix: &str| {
                    let tags = (0..26).map(|number| tag(&format!("{prefix}{number}"), "v")).collect();
                    lab.iam.tag_policy().policy_arn(&arn).set_tags(Some(tags))
                };
                format!("{}, {}", said(add("a").send().await), said(add("b").send().await))
            },
            "ok, 409 LimitExceeded"
        ),
    ]
}
