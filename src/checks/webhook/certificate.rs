//! The webhook's certificates: whether the bundles that the API server has sign what the pods serve, for the right name, and
//! for how long. Reads one Secret, without its key being looked at.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::check::{Finding, Scene};
use crate::checks::webhook::registration::Registration;
use crate::checks::webhook::{EXPIRY, NAMES, SAME, SIGNED, new_certificate};
use crate::component::Component;
use crate::read::kube::ObjectRef;

const DAY: i64 = 24 * 60 * 60;
/// From when on an end is a warning.
const SOON: i64 = 30 * DAY;

/// A certificate, DER.
type Der = CertificateDer<'static>;

/// The findings.
pub(super) async fn look(scene: &Scene<'_>, component: &Component, registration: &Registration) -> Vec<Finding> {
    let same = same(component, registration);
    let Some(secret) = registration.secret() else {
        let reason = "the pods take their certificate from no Secret";
        return vec![same, SIGNED.skipped(reason), NAMES.skipped(reason), EXPIRY.skipped(reason)];
    };
    let mend = new_certificate(secret, component);
    let reference = ObjectRef::new("v1", "Secret", component.namespace, secret);
    let found = match scene.cx.kube.get(&reference).await {
        Ok(found) => found,
        Err(error) => return vec![same, SIGNED.unread(&error), NAMES.unread(&error), EXPIRY.unread(&error)],
    };
    let Some(found) = found else {
        let mend = format!("eks-bootstrap apply --only helm.{}", component.short);
        let missing = SIGNED.failed("the certificate's Secret does not exist", "absent", reference.to_string(), mend);
        let needs = format!("needs {}", SIGNED.id);
        return vec![same, missing, NAMES.skipped(needs.clone()), EXPIRY.skipped(needs)];
    };
    let chain = match served(&found) {
        Ok(chain) => chain,
        Err(reason) => {
            let broken = SIGNED.failed(format!("{reference} is not usable"), reason, "certificates in tls.crt", mend);
            let needs = format!("needs {}", SIGNED.id);
            return vec![same, broken, NAMES.skipped(needs.clone()), EXPIRY.skipped(needs)];
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let name = format!("{}.{}.svc", component.webhook_service.unwrap_or_default(), component.namespace);
    vec![same, signed(registration, &chain, &mend), named(&chain[0], &name, &mend), expires(&chain, now, &mend)]
}

/// What is served: the chain of `tls.crt`, never empty.
fn served(secret: &Value) -> Result<Vec<Der>, String> {
    let text = secret["data"]["tls.crt"].as_str().ok_or("it has no tls.crt")?;
    certificates(text)
}

/// The certificates in base64 of PEM; at least one.
fn certificates(base64: &str) -> Result<Vec<Der>, String> {
    let pem = STANDARD.decode(base64).map_err(|_| "it is not base64".to_owned())?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| format!("it is not PEM: {error}"))?;
    for one in &all {
        parse(one)?;
    }
    if all.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(all) }
}

fn parse(der: &Der) -> Result<X509Certificate<'_>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("no certificate: {error}"))
}

/// Whether one of `bundle` signs the first of `chain`, be it through the others of it.
fn signs(bundle: &[Der], chain: &[Der]) -> Result<(), String> {
    let mut current = parse(&chain[0])?;
    let roots = bundle.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut rest = chain[1..].iter();
    loop {
        let issued_by = |authority: &X509Certificate<'_>| {
            current.issuer() == authority.subject() && current.verify_signature(Some(authority.public_key())).is_ok()
        };
        if bundle.contains(&chain[0]) || roots.iter().any(issued_by) {
            return Ok(());
        }
        let next = rest.next().map(parse).transpose()?;
        match next {
            Some(next) if issued_by(&next) => current = next,
            _ => return Err(format!("issued by {}, which the bundle does not hold", current.issuer())),
        }
    }
}

fn signed(registration: &Registration, chain: &[Der], mend: &str) -> Finding {
    let bundles: BTreeSet<_> = registration.webhooks.iter().map(|webhook| webhook.bundle.as_str()).collect();
    for bundle in &bundles {
        let problem = certificates(bundle).and_then(|authorities| signs(&authorities, chain)).err();
        if let Some(problem) = problem {
            let of: Vec<_> = registration.webhooks.iter().filter(|it| it.bundle == *bundle).collect();
            let name = of.first().map(|webhook| webhook.name.as_str()).unwrap_or_default();
            let says = format!("the CA bundle of {} webhooks does not sign the certificate", of.len());
            return SIGNED.failed(says, format!("{name}: {problem}"), "the authority of the certificate", mend);
        }
    }
    SIGNED.passed(format!("the CA bundle signs the certificate, in {} webhooks", registration.webhooks.len()))
}

fn same(component: &Component, registration: &Registration) -> Finding {
    let bundles: BTreeSet<_> = registration.webhooks.iter().map(|webhook| webhook.bundle.as_str()).collect();
    if bundles.len() == 1 {
        return SAME.passed(format!("one CA bundle in {} webhooks", registration.webhooks.len()));
    }
    let secret = registration.secret().unwrap_or("aws-load-balancer-tls");
    SAME.failed(
        "webhooks of the controller have different CA bundles",
        format!("{} bundles in {} webhooks", bundles.len(), registration.webhooks.len()),
        "one",
        new_certificate(secret, component),
    )
}

fn names(der: &Der) -> Vec<String> {
    let Ok(certificate) = parse(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// Whether a certificate's name, which may begin with `*.`, is a wanted one.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest)),
        None => pattern.eq_ignore_ascii_case(name),
    }
}

fn named(leaf: &Der, name: &str, mend: &str) -> Finding {
    let names = names(leaf);
    if names.iter().any(|pattern| covers(pattern, name)) {
        return NAMES.passed(format!("the certificate is for {name}"));
    }
    let observed = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
    NAMES.failed("the certificate is for another name", observed, name, mend)
}

/// The first end in a chain, in seconds since 1970.
fn end(chain: &[Der]) -> Option<i64> {
    chain.iter().filter_map(|der| parse(der).ok()).map(|it| it.validity().not_after.timestamp()).min()
}

fn expires(chain: &[Der], now: i64, mend: &str) -> Finding {
    let Some(end) = end(chain) else { return EXPIRY.skipped("the certificate does not say") };
    let date = jiff::Timestamp::from_second(end).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let left = end - now;
    if left < 0 {
        return EXPIRY.failed("the certificate has expired", format!("ended {date}"), "an end in the future", mend);
    }
    if left < SOON {
        let says = format!("the certificate ends in {} days", left / DAY);
        return EXPIRY.failed(says, format!("ends {date}"), "30 days or more", mend).as_warning();
    }
    EXPIRY.passed(format!("the certificate is valid until {date}"))
}

#[cfg(test)]
mod tests;
