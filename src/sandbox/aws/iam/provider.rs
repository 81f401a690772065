//! IAM OIDC providers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::{add_tags, remove_tags, write_tags};
use super::{page_of_tags, time};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::seed::{SeedProvider, Tags};
use crate::sandbox::aws::world::{CallContext, World, digest, tags_json};
use crate::sandbox::aws::xml::Xml;

/// Most providers of an account.
const PROVIDER_LIMIT: usize = 100;
/// Most client ids of a provider.
const CLIENT_LIMIT: usize = 100;

/// An IAM OIDC provider.
#[derive(Debug, Clone)]
pub(in super::super) struct Provider {
    pub(in super::super) arn: String,
    /// The issuer without `https://`, as IAM returns it.
    pub(in super::super) issuer: String,
    pub(in super::super) client_ids: BTreeSet<String>,
    pub(in super::super) thumbprints: Vec<String>,
    pub(in super::super) tags: Tags,
    pub(in super::super) created: Timestamp,
}

impl Provider {
    pub(in super::super) fn planted(world: &World, seed: &SeedProvider, born: Timestamp) -> Self {
        let issuer = seed.url.trim_start_matches("https://").to_owned();
        Self {
            arn: world.iam_arn(&format!("oidc-provider/{issuer}")),
            client_ids: seed.client_ids.iter().cloned().collect(),
            thumbprints: thumbprints(seed.thumbprints.clone(), &issuer),
            issuer,
            tags: seed.tags.clone(),
            created: born,
        }
    }

    pub(in super::super) fn snapshot(&self) -> Value {
        json!({
            "clientIds": self.client_ids,
            "thumbprints": self.thumbprints,
            "tags": tags_json(&self.tags),
        })
    }
}

/// IAM fetches the thumbprint itself if none is given; here it is derived from the issuer.
fn thumbprints(given: Vec<String>, issuer: &str) -> Vec<String> {
    if given.is_empty() { vec![digest(issuer, 40)] } else { given }
}

pub(super) fn create(world: &mut World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let url = form.required("Url")?;
    if url.len() > 255 {
        return Err(ApiError::constraint(url, "url", "have length less than or equal to 255"));
    }
    let valid = url::Url::parse(url).is_ok_and(|parsed| {
        parsed.scheme() == "https" && parsed.query().is_none() && parsed.port().is_none() && parsed.fragment().is_none()
    });
    let issuer = match url.strip_prefix("https://") {
        Some(issuer) if valid => issuer.trim_end_matches('/').to_owned(),
        _ => return Err(ApiError::invalid_input("Invalid Open ID Connect Provider URL")),
    };
    let client_ids: BTreeSet<String> = form.list("ClientIDList").into_iter().collect();
    for client_id in &client_ids {
        check_client_id(client_id)?;
    }
    if client_ids.len() > CLIENT_LIMIT {
        return Err(ApiError::limit_exceeded("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"));
    }
    let given = form.list("ThumbprintList");
    if given.len() > 5 {
        return Err(ApiError::invalid_input("Thumbprint list must contain fewer than 5 entries."));
    }
    if let Some(bad) = given.iter().find(|it| it.len() != 40 || !it.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(ApiError::constraint(bad, "thumbprintList", "have length equal to 40"));
    }
    let tags = add_tags(&Tags::new(), &form.tags())?;
    let arn = world.iam_arn(&format!("oidc-provider/{issuer}"));
    if world.providers.contains_key(&arn) {
        return Err(ApiError::already_exists(format!("Provider with url https://{issuer} already exists.")));
    }
    if world.providers.len() >= PROVIDER_LIMIT {
        return Err(ApiError::limit_exceeded("Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100"));
    }
    let provider = Provider {
        arn: arn.clone(),
        client_ids,
        thumbprints: thumbprints(given, &issuer),
        issuer,
        tags,
        created: cx.now,
    };
    world.tag_index.record(&arn, cx.now, Some(&provider.tags));
    let answer = Xml::build(|xml| {
        xml.text("OpenIDConnectProviderArn", &arn);
        write_tags(xml, &provider.tags);
    });
    world.providers.insert(arn, provider);
    Ok(answer)
}

fn check_client_id(client_id: &str) -> Result<()> {
    if client_id.is_empty() || client_id.chars().count() > 255 {
        return Err(ApiError::constraint(client_id, "clientID", "have length between 1 and 255"));
    }
    Ok(())
}

fn find<'a>(world: &'a mut World, form: &Form) -> Result<&'a mut Provider> {
    let arn = form.required("OpenIDConnectProviderArn")?;
    if !arn.starts_with("arn:") || !arn.contains(":oidc-provider/") {
        return Err(ApiError::invalid_input(format!("Invalid ARN: {arn}")));
    }
    world
        .providers
        .get_mut(arn)
        .ok_or_else(|| ApiError::no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}")))
}

pub(super) fn get(world: &mut World, form: &Form) -> Result<Xml> {
    let provider = find(world, form)?;
    Ok(Xml::build(|xml| {
        xml.text("Url", &provider.issuer);
        xml.strings("ClientIDList", &provider.client_ids);
        xml.strings("ThumbprintList", &provider.thumbprints);
        xml.text("CreateDate", time(provider.created));
        write_tags(xml, &provider.tags);
    }))
}

/// The one list of IAM that has no pages.
pub(super) fn list(world: &World) -> Xml {
    Xml::build(|xml| {
        xml.members("OpenIDConnectProviderList", world.providers.keys(), |xml, arn| xml.text("Arn", arn));
    })
}

pub(super) fn add_client(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let client_id = form.required("ClientID")?;
    check_client_id(client_id)?;
    let provider = find(world, form)?;
    if provider.client_ids.len() >= CLIENT_LIMIT && !provider.client_ids.contains(client_id) {
        return Err(ApiError::limit_exceeded("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"));
    }
    provider.client_ids.insert(client_id.to_owned());
    Ok(None)
}

pub(super) fn remove_client(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let client_id = form.required("ClientID")?;
    find(world, form)?.client_ids.remove(client_id);
    Ok(None)
}

pub(super) fn tag(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let provider = find(world, form)?;
    provider.tags = add_tags(&provider.tags, &form.tags())?;
    let (arn, tags) = (provider.arn.clone(), provider.tags.clone());
    world.tag_index.record(&arn, cx.now, Some(&tags));
    Ok(None)
}

pub(super) fn untag(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    let provider = find(world, form)?;
    provider.tags = remove_tags(&provider.tags, &form.list("TagKeys"));
    let (arn, tags) = (provider.arn.clone(), provider.tags.clone());
    world.tag_index.record(&arn, cx.now, Some(&tags));
    Ok(None)
}

pub(super) fn list_tags(world: &mut World, form: &Form) -> Result<Xml> {
    let tags = find(world, form)?.tags.clone();
    page_of_tags(world, form, tags)
}

/// Deleting a provider that is not there is no error, as IAM documents.
pub(super) fn delete(world: &mut World, cx: &CallContext, form: &Form) -> Result<Option<Xml>> {
    match find(world, form).map(|provider| provider.arn.clone()) {
        Ok(arn) => {
            world.providers.remove(&arn);
            world.tag_index.record(&arn, cx.now, None);
            Ok(None)
        }
        Err(error) if error.code == "NoSuchEntity" => Ok(None),
        Err(error) => Err(error),
    }
}
