//! The contract of IAM.

mod access;
mod attachment;
mod document;
mod policy;
mod provider;
mod role;
mod simulate;

use percent_encoding::percent_decode_str;

use super::Case;

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
    let mut cases = provider::cases();
    cases.extend(policy::cases());
    cases.extend(document::cases());
    cases.extend(role::cases());
    cases.extend(attachment::cases());
    cases.extend(access::cases());
    cases.extend(simulate::cases());
    cases
}
