//! The cluster's bearer token: a presigned `GetCallerIdentity` that EKS checks, signed here without asking anybody.
//!
//! The form is that of aws-iam-authenticator (<https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization>):
//! `k8s-aws-v1.` and the unpadded base64url of the URL, with the cluster's name (of a local cluster on an Outpost: its id) signed in the
//! header `x-k8s-aws-id`. EKS
//! takes such a token for fifteen minutes; it is signed anew in time, so that long runs outlive it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::clock::Skew;
use crate::error::{Error, Result};
use crate::heard;
use crate::mfa;

/// EKS takes a token for 15 minutes from its signature; one minute is left for clocks that differ.
const LIFETIME: Duration = Duration::from_mins(14);
/// A token is signed anew when less than this is left, so that a request never starts with one about to end.
const RENEW_BEFORE: Duration = Duration::from_mins(3);
/// What `X-Amz-Expires` says; EKS looks at the date instead, the AWS CLI writes the same.
const EXPIRES: Duration = Duration::from_mins(1);

/// A token that can be shown to the API server until it expires.
#[derive(Clone)]
pub struct BearerToken {
    secret: String,
    /// When it ends, by this machine's clock, which kubectl and helm go by.
    pub expires_at: SystemTime,
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl BearerToken {
    /// The token itself; never to be logged.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// The token as kubectl and helm take it from an exec plugin.
    /// <https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>
    pub fn exec_credential(&self) -> String {
        let expires = jiff::Timestamp::try_from(self.expires_at).unwrap_or(jiff::Timestamp::MAX);
        let second = jiff::Timestamp::from_second(expires.as_second()).unwrap_or(expires);
        json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"expirationTimestamp": second.to_string(), "token": self.secret},
        })
        .to_string()
    }
}

/// Signs tokens for one cluster.
#[derive(Clone, Debug)]
pub struct TokenSigner {
    credentials: SharedCredentialsProvider,
    region: String,
    host: String,
    cluster: String,
    /// AWS' clock: EKS judges a token by the date with which it is signed.
    clock: Skew,
    current: Arc<Mutex<Option<Current>>>,
}

/// The last token, with the credentials that signed it and its end by AWS' clock.
#[derive(Debug)]
struct Current {
    signer: Credentials,
    ends: SystemTime,
    token: BearerToken,
}

impl TokenSigner {
    /// A signer for `cluster` (its name, or the id of a local one) by AWS' clock, as far as its answers have told it; `suffix` is the partition's host suffix.
    pub fn new(credentials: SharedCredentialsProvider, region: &str, suffix: &str, cluster: &str) -> TokenSigner {
        TokenSigner {
            credentials,
            region: region.to_owned(),
            host: format!("sts.{region}.{suffix}"),
            cluster: cluster.to_owned(),
            clock: heard::clock(),
            current: Arc::default(),
        }
    }

    /// A token with some minutes left.
    ///
    /// # Errors
    /// No credentials.
    pub async fn token(&self) -> Result<BearerToken> {
        self.token_at(SystemTime::now()).await
    }

    /// The credentials in use, to be handed to a child that works for at most `limit`; none where they end before, since the child
    /// then does better to load and renew its own. Those that nobody can be asked for again are handed over whenever they end.
    ///
    /// # Errors
    /// No credentials.
    pub(crate) async fn handed_over(&self, limit: Duration) -> Result<Option<Credentials>> {
        self.lasting(limit, mfa::asked()).await
    }

    async fn lasting(&self, limit: Duration, only_here: bool) -> Result<Option<Credentials>> {
        let credentials = self.credentials().await?;
        let end = self.clock.there(SystemTime::now()) + limit;
        let outlive = credentials.expiry().is_none_or(|expiry| expiry > end);
        Ok((outlive || only_here).then_some(credentials))
    }

    /// `credentials.rs` keeps and renews them.
    async fn credentials(&self) -> Result<Credentials> {
        let loaded = self.credentials.provide_credentials().await;
        loaded.map_err(|source| Error::Credentials { source: source.into() })
    }

    /// `local` is what this machine's clock shows.
    async fn token_at(&self, local: SystemTime) -> Result<BearerToken> {
        // Asked first, and with no lock: they may take a while.
        let credentials = self.credentials().await?;
        let now = self.clock.there(local);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Current { signer, ends, token }) = current.as_ref()
            && *signer == credentials
            && (*ends > now + RENEW_BEFORE || credentials.expiry() == Some(*ends))
        {
            return Ok(token.clone());
        }
        let secret = presign(&credentials, &self.region, &self.host, &self.cluster, now)
            .map_err(|source| Error::Credentials { source })?;
        // A token is worth nothing once the credentials that signed it have ended.
        let ends = credentials.expiry().map_or(now + LIFETIME, |expiry| expiry.min(now + LIFETIME));
        let token = BearerToken { secret, expires_at: self.clock.here(ends) };
        *current = Some(Current { signer: credentials, ends, token: token.clone() });
        Ok(token)
    }
}

fn presign(
    credentials: &Credentials,
    region: &str,
    host: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, crate::error::Cause> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let headers = [("host", host), ("x-k8s-aws-id", cluster)];
    let request = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    let mut request = http::Request::builder().uri(url).body(())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_form_that_eks_checks() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session".to_owned()), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let token = presign(&credentials, "eu-west-1", "sts.eu-west-1.amazonaws.com", "demo", now).unwrap();
        let encoded = token.strip_prefix("k8s-aws-v1.").unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        let url = url::Url::parse(&url).unwrap();
        assert_eq!(url.host_str(), Some("sts.eu-west-1.amazonaws.com"));
        let query: std::collections::BTreeMap<_, _> = url.query_pairs().collect();
        assert_eq!(query["Action"], "GetCallerIdentity");
        assert_eq!(query["X-Amz-Expires"], "60");
        assert_eq!(query["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
        assert_eq!(query["X-Amz-Security-Token"], "session");
        assert!(query["X-Amz-Credential"].starts_with("AKIDEXAMPLE/20270115/eu-west-1/sts"));
        assert_eq!(query["X-Amz-Signature"].len(), 64);
        assert!(!url.as_str().contains("secret"));
    }

    #[test]
    fn another_cluster_gives_another_signature() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let of = |cluster| presign(&credentials, "eu-west-1", "h", cluster, now).unwrap();
        assert_ne!(of("a"), of("b"));
    }

    #[tokio::test]
    async fn a_long_run_gets_a_new_token_in_time() {
        let credentials = SharedCredentialsProvider::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"));
        let signer = TokenSigner::new(credentials, "eu-west-1", "amazonaws.com", "demo");
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let at = async |minutes| signer.token_at(start + Duration::from_mins(minutes)).await.unwrap();
        let first = at(0).await;
        assert_eq!(at(10).await.expose(), first.expose());
        let next = at(12).await;
        assert_ne!(next.expose(), first.expose());
        assert_eq!(next.expires_at, start + Duration::from_mins(12) + LIFETIME);
    }

    #[tokio::test]
    async fn a_machine_whose_clock_is_wrong_signs_by_that_of_aws() {
        let local = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let minutes = Duration::from_mins;
        for (skew, date) in [(1200, "20270115T082000Z"), (-1200, "20270115T074000Z")] {
            let there = Skew::starting_at(Some(skew)).there(local);
            // Five minutes are left to the credentials by AWS' clock, which says when they end.
            let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, Some(there + minutes(5)), "test");
            let signer = TokenSigner {
                clock: Skew::starting_at(Some(skew)),
                ..TokenSigner::new(SharedCredentialsProvider::new(credentials), "eu-west-1", "amazonaws.com", "demo")
            };
            let token = signer.token_at(local).await.unwrap();
            let encoded = token.expose().strip_prefix("k8s-aws-v1.").unwrap();
            let url = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
            assert!(url.contains(&format!("X-Amz-Date={date}")), "{url}");
            assert_eq!(token.expires_at, local + minutes(5));
            assert_eq!(signer.token_at(local + minutes(4)).await.unwrap().expose(), token.expose());
        }
    }

    #[tokio::test]
    async fn a_token_ends_with_its_credentials() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("s".to_owned()), Some(end), "test");
        let signer =
            TokenSigner::new(SharedCredentialsProvider::new(credentials), "eu-west-1", "amazonaws.com", "demo");
        let token = signer.token_at(end - Duration::from_mins(5)).await.unwrap();
        assert_eq!(token.expires_at, end);
    }

    #[tokio::test]
    async fn credentials_are_handed_to_children_that_they_outlive() {
        let handed = async |left: Option<Duration>, only_here: bool| {
            let credentials = Credentials::new("A", "s", None, left.map(|left| SystemTime::now() + left), "test");
            let provider = SharedCredentialsProvider::new(credentials);
            let signer =
                TokenSigner { clock: Skew::new(), ..TokenSigner::new(provider, "eu-west-1", "amazonaws.com", "demo") };
            signer.lasting(Duration::from_mins(10), only_here).await.unwrap().is_some()
        };
        let (hour, minutes) = (Some(Duration::from_hours(1)), Some(Duration::from_mins(2)));
        assert!(handed(None, false).await && handed(hour, false).await);
        assert!(!handed(minutes, false).await && handed(minutes, true).await);
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let token = BearerToken { secret: "k8s-aws-v1.x".to_owned(), expires_at: SystemTime::UNIX_EPOCH };
        assert!(!format!("{token:?}").contains("k8s-aws"));
        assert!(token.exec_credential().contains("\"expirationTimestamp\":\"1970-01-01T00:00:00Z\""));
    }
}
