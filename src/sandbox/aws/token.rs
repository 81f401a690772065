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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
    use aws_sigv4::sign::v4;

    use super::*;
    use crate::sandbox::aws::{Clock, ManualClock, Seed, Simulator};

    const STS: &str = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";

    fn token(secret: &str, address: &str, cluster: &str, expires: u64, at: Timestamp) -> String {
        let identity = Credentials::new("AKIASANDBOX000000001", secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("sts")
            .time(at.into())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = [("x-k8s-aws-id", cluster)].into_iter();
        let signable = SignableRequest::new("GET", address, headers, SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = Request::get(address).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()))
    }

    #[test]
    fn a_local_cluster_on_an_outpost_wants_its_id() {
        let id = "0f2d3c4b-5a69-4788-9b0a-1c2d3e4f5a6b";
        let mut seed = Seed::builtin();
        seed.clusters[0].outpost_id = Some(id.to_owned());
        let simulator = Simulator::new(seed).unwrap();
        let secret = simulator.access_key().secret_access_key;
        let signed_for = |subject: &str| token(&secret, STS, subject, 60, Timestamp::now());
        simulator.authenticate_eks_token(&signed_for(id), "demo").unwrap();
        let error = simulator.authenticate_eks_token(&signed_for("demo"), "demo").unwrap_err();
        assert!(error.contains("does not match"), "{error}");
    }

    #[test]
    fn a_token_opens_its_cluster_and_nothing_else() {
        let clock = ManualClock::starting_at("2026-08-01T12:00:00Z".parse().unwrap());
        let simulator = Simulator::with_clock(Seed::builtin(), Clock::Manual(clock.clone())).unwrap();
        let now = Clock::Manual(clock.clone()).now();
        let secret = simulator.access_key().secret_access_key;
        let good = token(&secret, STS, "demo", 60, now);

        let principal = simulator.authenticate_eks_token(&good, "demo").unwrap();
        assert_eq!(principal.arn, "arn:aws:sts::111122223333:assumed-role/platform-admin/sandbox");

        let elsewhere = STS.replace("sts.eu-west-1", "evil.eu-west-1");
        let asks_other = STS.replace("GetCallerIdentity", "GetSessionToken");
        let refused = [
            (good.clone(), "other", "does not match"),
            (token("wrong", STS, "demo", 60, now), "demo", "does not match"),
            (token(&secret, &elsewhere, "demo", 60, now), "demo", "not a host of STS"),
            (token(&secret, &asks_other, "demo", 60, now), "demo", "GetCallerIdentity"),
            (token(&secret, STS, "demo", 901, now), "demo", "900"),
            ("k8s-aws-v1.!".to_owned(), "demo", "base64url"),
            ("abc".to_owned(), "demo", "does not begin"),
        ];
        for (token, cluster, expected) in refused {
            let error = simulator.authenticate_eks_token(&token, cluster).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }

        clock.advance(Duration::from_mins(16));
        assert!(simulator.authenticate_eks_token(&good, "demo").unwrap_err().contains("was signed at"));
    }
}
