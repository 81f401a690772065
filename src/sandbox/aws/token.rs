//! EKS bearer tokens as the token webhook of a cluster reads them: a presigned GetCallerIdentity that names the cluster.
//!
//! Used by the sandbox's control plane. The signature is verified over the header `x-k8s-aws-id` too, so a token for one cluster does not
//! open another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jiff::{SignedDuration, Timestamp};

use super::auth::Principal;
use super::sigv4::{Signature, query_pairs};
use super::world::World;

/// A token is good for this long after it was signed.
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// How far ahead a client's clock may be.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Returns whose token it is; `fronts` are further hosts that stand for STS.
pub(super) fn authenticate(
    world: &World,
    now: Timestamp,
    fronts: &[String],
    token: &str,
    cluster: &str,
) -> Result<Principal, String> {
    let encoded = token.strip_prefix("k8s-aws-v1.").ok_or("the token does not begin with `k8s-aws-v1.`")?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| "the token is not base64url")?;
    let address = String::from_utf8(decoded).map_err(|_| "the token is no address")?;
    let request: Request<Vec<u8>> = Request::get(&address)
        .header("x-k8s-aws-id", cluster)
        .body(Vec::new())
        .map_err(|error| format!("the token is no address: {error}"))?;
    let authority = request.uri().authority().ok_or("the token's address has no host")?.to_string();
    let signature = Signature::of(&request).ok_or("the token's address is not signed")?;
    let suffix = world.partition.suffix;
    let hosts = [format!("sts.{}.{suffix}", signature.region), format!("sts.{suffix}")];
    let host = authority.strip_suffix(":443").unwrap_or(&authority);
    let is_sts = request.uri().scheme_str() == Some("https") && hosts.iter().any(|known| known == host);
    if !is_sts && !fronts.contains(&authority) {
        return Err(format!("`{authority}` is not a host of STS"));
    }
    if signature.service != "sts" {
        return Err(format!("the token is signed for `{}`, not for STS", signature.service));
    }
    let query = query_pairs(request.uri().query().unwrap_or_default());
    let field =
        |name: &str| query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    if field("Action") != Some("GetCallerIdentity") {
        return Err("the token does not ask for GetCallerIdentity".to_owned());
    }
    if !signature.signed_headers.iter().any(|header| header == "x-k8s-aws-id") {
        return Err("the token does not sign `x-k8s-aws-id`".to_owned());
    }
    match field("X-Amz-Expires").map(str::parse::<u64>) {
        Some(Ok(seconds)) if seconds <= 900 => {}
        _ => return Err("`X-Amz-Expires` is missing or more than 900 seconds".to_owned()),
    }
    let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &signature.amz_date)
        .ok()
        .and_then(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|moment| moment.timestamp())
        .ok_or("`X-Amz-Date` is no time")?;
    let age = now.duration_since(signed);
    if age > LIFETIME || age < -SKEW {
        return Err(format!("the token was signed at {signed}, it is {now} now"));
    }
    let credential = world.credentials.get(&signature.access_key_id).ok_or("the access key is unknown")?;
    if credential.session_token != signature.session_token {
        return Err("the session token is not that of the access key".to_owned());
    }
    if credential.expires.is_some_and(|expires| expires <= now) {
        return Err("the credentials have expired".to_owned());
    }
    if !signature.matches(&request, &credential.secret) {
        return Err(format!("the signature does not match (is the token for the cluster `{cluster}`?)"));
    }
    Ok(credential.principal.clone())
}
