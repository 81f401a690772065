//! Signature Version 4 as the receiving side sees it: who signed, for which service, and whether the signature is right.
//!
//! Written apart from the signer of the SDK on purpose, so that the two check each other.

use aws_lc_rs::hmac;
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// Characters that SigV4 leaves as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a request says about its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) access_key_id: String,
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) signed_headers: Vec<String>,
    pub(super) amz_date: String,
    pub(super) session_token: Option<String>,
    value: String,
    /// Whether it stands in the query string (a presigned URL) rather than in headers.
    presigned: bool,
}

impl Signature {
    /// Reads the signature of a request; `None` if it is not signed.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        if let Some(authorization) = header("authorization") {
            let fields = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
            let field = |name: &str| {
                fields
                    .split(',')
                    .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
            };
            return Self::assemble(
                &field("Credential")?,
                &field("SignedHeaders")?,
                field("Signature")?,
                header("x-amz-date")?,
                header("x-amz-security-token"),
                false,
            );
        }
        let query = query_pairs(request.uri().query().unwrap_or_default());
        let field = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if field("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return None;
        }
        Self::assemble(
            &field("X-Amz-Credential")?,
            &field("X-Amz-SignedHeaders")?,
            field("X-Amz-Signature")?,
            field("X-Amz-Date")?,
            field("X-Amz-Security-Token"),
            true,
        )
    }

    fn assemble(
        credential: &str,
        signed_headers: &str,
        value: String,
        amz_date: String,
        session_token: Option<String>,
        presigned: bool,
    ) -> Option<Self> {
        let mut scope = credential.split('/').map(str::to_owned);
        let (access_key_id, date, region, service) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        if scope.next().as_deref() != Some("aws4_request") || scope.next().is_some() {
            return None;
        }
        let signed_headers = signed_headers.split(';').map(str::to_owned).collect();
        Some(Self { access_key_id, date, region, service, signed_headers, amz_date, session_token, value, presigned })
    }

    /// Says whether the signature was made over this request with this secret.
    pub(super) fn matches(&self, request: &Request<impl AsRef<[u8]>>, secret: &str) -> bool {
        let Some(canonical) = self.canonical_request(request) else { return false };
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.amz_date, hex::encode(Sha256::digest(canonical)));
        let mut key = keyed(format!("AWS4{secret}").as_bytes(), &self.date);
        for part in [self.region.as_str(), &self.service, "aws4_request"] {
            key = keyed(key.as_ref(), part);
        }
        hex::encode(keyed(key.as_ref(), &to_sign)) == self.value
    }

    fn canonical_request(&self, request: &Request<impl AsRef<[u8]>>) -> Option<String> {
        let uri = request.uri();
        let mut query: Vec<_> = query_pairs(uri.query().unwrap_or_default())
            .into_iter()
            .filter(|(key, _)| !(self.presigned && key == "X-Amz-Signature"))
            .map(|(key, value)| (encode(&key), encode(&value)))
            .collect();
        query.sort();
        let query: Vec<_> = query.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let path = match uri.path() {
            "" => "/".to_owned(),
            path => path.split('/').map(encode).collect::<Vec<_>>().join("/"),
        };
        let mut headers = String::new();
        for name in &self.signed_headers {
            let values: Vec<_> = request
                .headers()
                .get_all(name)
                .iter()
                .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
                .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            let value = match (values.is_empty(), name.as_str()) {
                (false, _) => values.join(","),
                // The in-process connector gets whole addresses and no `Host`.
                (true, "host") => uri.authority()?.to_string(),
                (true, _) => return None,
            };
            headers.extend([name.as_str(), ":", &value, "\n"]);
        }
        let payload = hex::encode(Sha256::digest(request.body()));
        let signed = self.signed_headers.join(";");
        Some(format!("{}\n{path}\n{}\n{headers}\n{signed}\n{payload}", request.method(), query.join("&")))
    }
}

/// Splits a query string and decodes its parts; a plus sign is a plus sign.
pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn keyed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}
