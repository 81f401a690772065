//! The contract of IAM: OIDC providers.

use crate::contract::lab::{said, tag, tell};
use crate::contract::{Case, case};

pub(super) fn cases() -> Vec<Case> {
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
