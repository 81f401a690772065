//! The contract of STS and of credentials.

use aws_credential_types::Credentials;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::lab::{Lab, TRUST, element, said, tell};
use super::{Case, case};

const ISSUER: &str = "https://oidc.example.com/id/DEMO";
const WEB: &str = "arn:aws:iam::111122223333:role/web";

fn key(id: &str, secret: &str) -> Credentials {
    Credentials::new(id, secret, None, None, "contract")
}

fn signed(pair: &EcdsaKeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "k1"})), part(claims));
    let signature = pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap();
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Sets the issuer's keys, changes the usual claims and calls STS with the token.
async fn web_identity(lab: &Lab, change: impl FnOnce(&mut Value, &mut bool)) -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(32);
    let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)}]});
    lab.simulator().set_issuer_keys(ISSUER, keys);
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": ISSUER,
        "sub": "system:serviceaccount:kube-system:controller",
        "aud": ["sts.amazonaws.com"],
        "exp": now + 3600,
    });
    let mut forged = false;
    change(&mut claims, &mut forged);
    let signer = if forged { EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() } else { pair };
    let call = lab.sts.assume_role_with_web_identity().role_arn(WEB).role_session_name("pod");
    tell(call.web_identity_token(signed(&signer, &claims)).send().await, |it| it.assumed_role_user.unwrap().arn)
}

async fn assume(lab: &Lab, role: &str) -> Result<aws_sdk_sts::operation::assume_role::AssumeRoleOutput, String> {
    let arn = format!("arn:aws:iam::111122223333:role/{role}");
    let result = lab.sts.assume_role().role_arn(arn).role_session_name("s1").send().await;
    match result {
        Ok(output) => Ok(output),
        Err(error) => Err(said::<(), _>(Err(error))),
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = callers();
    cases.extend(sessions());
    cases
}

fn callers() -> Vec<Case> {
    vec![
        case!(
            "caller: a session is named without the path of its role",
            Simulator,
            |lab| {
                tell(lab.sts.get_caller_identity().send().await, |it| {
                    format!("{} {}", it.account.unwrap(), it.arn.unwrap())
                })
            },
            "111122223333 arn:aws:sts::111122223333:assumed-role/platform-admin/sandbox"
        ),
        case!(
            "caller: an unknown access key, query",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIAUNKNOWN000000001", "x"), "eu-west-1");
                said(aws_sdk_sts::Client::new(&config).get_caller_identity().send().await)
            },
            "403 InvalidClientTokenId"
        ),
        case!(
            "caller: an unknown access key, JSON",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIAUNKNOWN000000001", "x"), "eu-west-1");
                said(aws_sdk_eks::Client::new(&config).list_clusters().send().await)
            },
            "403 UnrecognizedClientException"
        ),
        case!(
            "caller: a wrong secret",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIACONTRACT00000001", "wrong"), "eu-west-1");
                said(aws_sdk_sts::Client::new(&config).get_caller_identity().send().await)
            },
            "403 SignatureDoesNotMatch"
        ),
        case!(
            "caller: expired credentials, query",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIACONTRACTEXPIRED1", "secret-2"), "eu-west-1");
                said(aws_sdk_iam::Client::new(&config).list_roles().send().await)
            },
            "403 ExpiredToken"
        ),
        case!(
            "caller: expired credentials, JSON",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIACONTRACTEXPIRED1", "secret-2"), "eu-west-1");
                said(aws_sdk_eks::Client::new(&config).list_clusters().send().await)
            },
            "403 ExpiredTokenException"
        ),
        case!(
            "caller: a denied IAM action names user, action and resource",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIACONTRACTDENIED01", "secret-3"), "eu-west-1");
                let denied = aws_sdk_iam::Client::new(&config)
                    .create_role()
                    .role_name("r")
                    .assume_role_policy_document(TRUST)
                    .send()
                    .await;
                denied
                    .unwrap_err()
                    .into_service_error()
                    .meta()
                    .message()
                    .unwrap()
                    .split(" because ")
                    .next()
                    .unwrap()
                    .to_owned()
            },
            "User: arn:aws:iam::111122223333:user/intern is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::111122223333:role/r"
        ),
        case!(
            "caller: denied in each protocol, identity excepted",
            Simulator,
            |lab| {
                let config = lab.seen_by(&key("AKIACONTRACTDENIED01", "secret-3"), "eu-west-1");
                let iam = said(
                    aws_sdk_iam::Client::new(&config)
                        .create_role()
                        .role_name("r")
                        .assume_role_policy_document(TRUST)
                        .send()
                        .await,
                );
                let eks = said(aws_sdk_eks::Client::new(&config).describe_cluster().name("demo").send().await);
                let tag = said(aws_sdk_resourcegroupstagging::Client::new(&config).get_resources().send().await);
                let form = [("Action", "DescribeSubnets"), ("Version", "2016-11-15")];
                let (status, _, body) = lab.form_by(&key("AKIACONTRACTDENIED01", "secret-3"), "ec2", &form).await;
                let ec2 = format!("{status} {}", element(&body, "Code"));
                let sts = said(aws_sdk_sts::Client::new(&config).get_caller_identity().send().await);
                format!("{iam}, {eks}, {tag}, {ec2}, {sts}")
            },
            "403 AccessDenied, 403 AccessDeniedException, 400 AccessDeniedException, 403 UnauthorizedOperation, ok"
        ),
        case!(
            "caller: unsigned",
            Account,
            |lab| {
                let (status, _, body) =
                    lab.form("", &[("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]).await;
                format!("{status} {}", element(&body, "Code"))
            },
            "403 MissingAuthenticationToken"
        ),
    ]
}

fn sessions() -> Vec<Case> {
    vec![
        case!(
            "session: a role that trusts the account",
            Simulator,
            |lab| assume(&lab, "reader").await.map_or_else(|error| error, |it| it.assumed_role_user.unwrap().arn),
            "arn:aws:sts::111122223333:assumed-role/reader/s1"
        ),
        case!(
            "session: a role that trusts somebody else",
            Simulator,
            |lab| assume(&lab, "web").await.map_or_else(|error| error, |_| "ok".to_owned()),
            "403 AccessDenied"
        ),
        case!(
            "session: a role that is not there",
            Simulator,
            |lab| assume(&lab, "none").await.map_or_else(|error| error, |_| "ok".to_owned()),
            "403 AccessDenied"
        ),
        case!(
            "session: chained sessions end after an hour",
            Simulator,
            |lab| {
                let call =
                    lab.sts.assume_role().role_arn("arn:aws:iam::111122223333:role/reader").role_session_name("s1");
                said(call.duration_seconds(7200).send().await)
            },
            "400 ValidationError"
        ),
        case!(
            "session: may do what its policies allow, until it ends",
            Simulator,
            |lab| {
                let given = assume(&lab, "reader").await.unwrap().credentials.unwrap();
                let key = Credentials::new(
                    given.access_key_id,
                    given.secret_access_key,
                    Some(given.session_token),
                    None,
                    "contract",
                );
                let iam = aws_sdk_iam::Client::new(&lab.seen_by(&key, "eu-west-1"));
                let read = said(iam.get_role().role_name("reader").send().await);
                let write = said(iam.delete_role().role_name("reader").send().await);
                lab.advance(3601);
                format!("{read}, {write}, {}", said(iam.get_role().role_name("reader").send().await))
            },
            "ok, 403 AccessDenied, 403 ExpiredToken"
        ),
        case!(
            "lag: a new role cannot be assumed at once",
            Simulator,
            |lab| {
                let trust = TRUST.replace(r#""Service":"ec2.amazonaws.com""#, r#""AWS":"111122223333""#);
                lab.iam.create_role().role_name("new").assume_role_policy_document(trust).send().await.unwrap();
                let seen = said(lab.iam.get_role().role_name("new").send().await);
                let early = assume(&lab, "new").await.map_or_else(|error| error, |_| "ok".to_owned());
                lab.advance(10);
                format!(
                    "{seen}, {early}, {}",
                    assume(&lab, "new").await.map_or_else(|error| error, |_| "ok".to_owned())
                )
            },
            "ok, 403 AccessDenied, ok"
        ),
        case!(
            "lag: changed trust counts later",
            Simulator,
            |lab| {
                lab.iam.update_assume_role_policy().role_name("reader").policy_document(TRUST).send().await.unwrap();
                let early = assume(&lab, "reader").await.map_or_else(|error| error, |_| "ok".to_owned());
                lab.advance(10);
                format!("{early}, {}", assume(&lab, "reader").await.map_or_else(|error| error, |_| "ok".to_owned()))
            },
            "ok, 403 AccessDenied"
        ),
        case!(
            "web identity: the right token",
            Simulator,
            |lab| web_identity(&lab, |_, _| {}).await,
            "arn:aws:sts::111122223333:assumed-role/web/pod"
        ),
        case!(
            "web identity: another service account",
            Simulator,
            |lab| {
                web_identity(&lab, |claims, _| claims["sub"] = json!("system:serviceaccount:default:controller")).await
            },
            "403 AccessDenied"
        ),
        case!(
            "web identity: another audience",
            Simulator,
            |lab| web_identity(&lab, |claims, _| claims["aud"] = json!(["kubernetes"])).await,
            "400 InvalidIdentityToken"
        ),
        case!(
            "web identity: an issuer without a provider",
            Simulator,
            |lab| web_identity(&lab, |claims, _| claims["iss"] = json!("https://oidc.example.com/id/OTHER")).await,
            "400 InvalidIdentityToken"
        ),
        case!(
            "web identity: a forged signature",
            Simulator,
            |lab| web_identity(&lab, |_, forged| *forged = true).await,
            "400 InvalidIdentityToken"
        ),
        case!(
            "web identity: an expired token",
            Simulator,
            |lab| web_identity(&lab, |claims, _| claims["exp"] = json!(1_700_000_000)).await,
            "400 ExpiredTokenException"
        ),
        case!(
            "web identity: no token at all",
            Simulator,
            |lab| {
                let call = lab.sts.assume_role_with_web_identity().role_arn(WEB).role_session_name("pod");
                said(call.web_identity_token("nonsense").send().await)
            },
            "400 InvalidIdentityToken"
        ),
        case!(
            "web identity: the provider deleted",
            Simulator,
            |lab| {
                let arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/DEMO";
                lab.iam.delete_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await.unwrap();
                web_identity(&lab, |_, _| {}).await
            },
            "400 InvalidIdentityToken"
        ),
    ]
}
