//! The contract of IAM.

use percent_encoding::percent_decode_str;

use super::lab::{DOCUMENT, OTHER_DOCUMENT, TRUST, element, said, tag, tell};
use super::{Case, case};

const EBS: &str = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";

fn decoded(text: Option<&str>) -> String {
    percent_decode_str(text.unwrap_or_default()).decode_utf8_lossy().into_owned()
}

fn statement(body: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{body}}}]}}"#)
}

/// A document with this many characters that count.
fn document_of(length: usize) -> String {
    let frame = statement(r#""Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::""#);
    let filler = "x".repeat(length - frame.len());
    frame.replace(":::", &format!(":::{filler}"))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = providers();
    cases.extend(policies());
    cases.extend(documents());
    cases.extend(roles());
    cases.extend(attachments());
    cases
}

fn providers() -> Vec<Case> {
    vec![
        case!(
            "provider: made without a thumbprint",
            Account,
            |lab| {
                let arn = lab.provider(&format!("https://oidc.example.com/{}", lab.name)).await;
                let got = lab.iam.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await;
                tell(got, |it| {
                    format!(
                        "{} {:?} {}",
                        it.url.unwrap().starts_with("oidc.example.com/"),
                        it.client_id_list.unwrap(),
                        it.thumbprint_list.unwrap()[0].len()
                    )
                })
            },
            r#"true ["sts.amazonaws.com"] 40"#
        ),
        case!(
            "provider: http is refused",
            Account,
            |lab| said(lab.iam.create_open_id_connect_provider().url("http://oidc.example.com/a").send().await),
            "400 InvalidInput"
        ),
        case!(
            "provider: a query in the address is refused",
            Account,
            |lab| {
                said(lab.iam.create_open_id_connect_provider().url("https://oidc.example.com/a?b=c").send().await)
            },
            "400 InvalidInput"
        ),
        case!(
            "provider: a duplicate is refused",
            Account,
            |lab| {
                let url = format!("https://oidc.example.com/{}", lab.name);
                lab.provider(&url).await;
                said(lab.iam.create_open_id_connect_provider().url(url).send().await)
            },
            "409 EntityAlreadyExists"
        ),
        case!(
            "provider: one that is not there",
            Account,
            |lab| {
                let arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/none";
                said(lab.iam.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await)
            },
            "404 NoSuchEntity"
        ),
        case!(
            "provider: the hundred-and-first is refused",
            Simulator,
            |lab| {
                let mut last = String::new();
                for number in 0..100 {
                    last = said(
                        lab.iam
                            .create_open_id_connect_provider()
                            .url(format!("https://oidc.example.com/n{number}"))
                            .send()
                            .await,
                    );
                }
                last
            },
            "409 LimitExceeded"
        ),
        case!(
            "provider: adding a client id twice is no error",
            Account,
            |lab| {
                let arn = lab.provider(&format!("https://oidc.example.com/{}", lab.name)).await;
                let add = || {
                    lab.iam
                        .add_client_id_to_open_id_connect_provider()
                        .open_id_connect_provider_arn(&arn)
                        .client_id("b")
                };
                let (first, second) = (said(add().send().await), said(add().send().await));
                let got = lab.iam.get_open_id_connect_provider().open_id_connect_provider_arn(&arn).send().await;
                format!("{first} {second} {}", tell(got, |it| it.client_id_list.unwrap().len().to_string()))
            },
            "ok ok 2"
        ),
        case!(
            "provider: a client id is removed",
            Account,
            |lab| {
                let arn = lab.provider(&format!("https://oidc.example.com/{}", lab.name)).await;
                said(
                    lab.iam
                        .remove_client_id_from_open_id_connect_provider()
                        .open_id_connect_provider_arn(&arn)
                        .client_id("sts.amazonaws.com")
                        .send()
                        .await,
                );
                let got = lab.iam.get_open_id_connect_provider().open_id_connect_provider_arn(&arn).send().await;
                tell(got, |it| it.client_id_list().len().to_string())
            },
            "0"
        ),
        case!(
            "provider: tags come and go",
            Account,
            |lab| {
                let arn = lab.provider(&format!("https://oidc.example.com/{}", lab.name)).await;
                said(
                    lab.iam
                        .tag_open_id_connect_provider()
                        .open_id_connect_provider_arn(&arn)
                        .tags(tag("a", "1"))
                        .tags(tag("b", "2"))
                        .send()
                        .await,
                );
                said(
                    lab.iam
                        .untag_open_id_connect_provider()
                        .open_id_connect_provider_arn(&arn)
                        .tag_keys("a")
                        .send()
                        .await,
                );
                let tags = lab.iam.list_open_id_connect_provider_tags().open_id_connect_provider_arn(&arn).send().await;
                tell(tags, |it| it.tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect())
            },
            "b=2"
        ),
        case!(
            "provider: deleting twice is no error",
            Account,
            |lab| {
                let arn = lab.provider(&format!("https://oidc.example.com/{}", lab.name)).await;
                let delete = || lab.iam.delete_open_id_connect_provider().open_id_connect_provider_arn(&arn);
                format!("{} {}", said(delete().send().await), said(delete().send().await))
            },
            "ok ok"
        ),
        case!(
            "provider: the list holds it",
            Account,
            |lab| {
                let arn = lab.provider(&format!("https://oidc.example.com/{}", lab.name)).await;
                let list = lab.iam.list_open_id_connect_providers().send().await;
                tell(list, |it| {
                    it.open_id_connect_provider_list().iter().any(|it| it.arn.as_ref() == Some(&arn)).to_string()
                })
            },
            "true"
        ),
    ]
}

fn policies() -> Vec<Case> {
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
            "409 LimitExceeded"
        ),
    ]
}

fn documents() -> Vec<Case> {
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

fn roles() -> Vec<Case> {
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
            "role: UpdateRole leaves out what is not said",
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
                tell(lab.iam.get_role().role_name(&lab.name).send().await, |it| {
                    let it = it.role.unwrap();
                    format!("{} {}", it.description.unwrap(), it.max_session_duration.unwrap())
                })
            },
            "old 7200"
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

fn attachments() -> Vec<Case> {
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
