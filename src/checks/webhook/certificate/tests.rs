//! Certificates as charts make them, and as they go wrong.
#![cfg(feature = "sandbox")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;
use crate::check::{Severity, Verdict};

const NAME: &str = "aws-load-balancer-webhook-service.kube-system.svc";
const NOW: i64 = 1_767_225_600; // 2026-01-01

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, last_year: i32) -> Der {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.not_after = date_time_ymd(last_year, 1, 15);
    parameters.signed_by(&KeyPair::generate().unwrap(), authority).unwrap().der().clone()
}

#[test]
fn an_authority_of_the_same_name_is_not_the_same_authority() {
    let (ours, other) = (authority("ca"), authority("ca"));
    let chain = [leaf(&ours, NAME, 2036)];
    assert_eq!(signs(&[ours.der().clone()], &chain), Ok(()));
    assert_eq!(signs(&[other.der().clone(), ours.der().clone()], &chain), Ok(()));
    assert!(signs(&[other.der().clone()], &chain).unwrap_err().contains("does not hold"));
    assert_eq!(signs(&chain, &chain), Ok(()), "a certificate that is its own authority");
}

#[test]
fn a_chain_leads_to_the_bundle() {
    let root = authority("root");
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "between");
    let between = CertifiedIssuer::signed_by(parameters, KeyPair::generate().unwrap(), &root).unwrap();
    let leaf = leaf(&between, NAME, 2036);
    assert_eq!(signs(&[root.der().clone()], &[leaf.clone(), between.der().clone()]), Ok(()));
    assert!(signs(&[root.der().clone()], &[leaf]).is_err());
}

#[test]
fn names_and_ends_are_judged() {
    let ours = authority("ca");
    assert_eq!(named(&leaf(&ours, NAME, 2036), NAME, "m").verdict, Verdict::Passed);
    assert_eq!(named(&leaf(&ours, "other.svc", 2036), NAME, "m").severity(), Some(Severity::Error));
    assert!(covers("*.kube-system.svc", NAME) && !covers("*.svc", NAME));
    let severity = |year: i32| expires(&[leaf(&ours, NAME, year)], NOW, "m").severity();
    assert_eq!(severity(2025), Some(Severity::Error));
    assert_eq!(severity(2026), Some(Severity::Warning));
    assert_eq!(severity(2036), None);
}

#[test]
fn what_is_no_certificate_is_said() {
    assert_eq!(certificates("!").unwrap_err(), "it is not base64");
    assert_eq!(certificates("").unwrap_err(), "it holds no certificate");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode("x"));
    assert!(certificates(&STANDARD.encode(pem)).unwrap_err().starts_with("no certificate"));
}
