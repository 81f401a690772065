//! Whose credentials a run uses: everything that the AWS SDKs know, each against the simulated AWS, which says who called. And
//! the guard: whoever comes with another account's credentials changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use eks_bootstrap::sandbox::aws::{Seed, SeedCredential};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Aws, Run, of_aws};

const ISSUER: &str = "https://oidc.example.com/id/CI";
/// The keys of the environment are taken away, so that only the way under test is left.
const WITHOUT_KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
/// Temporary credentials, as the endpoints of containers, instances and SSO hand them out.
const SESSION: [&str; 3] = ["ASIASANDBOX000000002", "sandbox/not-a-secret/for-the-simulator-2", "a-session-token"];
const EXPIRES: &str = "2099-01-01T00:00:00Z";

/// A role that administrators and the jobs of a CI system may assume, and a session of a role of its own.
fn world(seed: &mut Seed) {
    let more = format!(
        "account: \"111122223333\"\nregion: eu-west-1\n\
         oidcProviders:\n- {{url: \"{ISSUER}\", clientIds: [sts.amazonaws.com]}}\n\
         roles:\n- name: ci\n  attached: [\"arn:aws:iam::aws:policy/AdministratorAccess\"]\n  trust:\n    Version: \"2012-10-17\"\n    Statement:\n    \
         - {{Effect: Allow, Principal: {{AWS: \"arn:aws:iam::111122223333:root\"}}, Action: \"sts:AssumeRole\"}}\n    \
         - Effect: Allow\n      Principal: {{Federated: \"arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/CI\"}}\n      \
         Action: \"sts:AssumeRoleWithWebIdentity\"\n      \
         Condition: {{StringEquals: {{\"oidc.example.com/id/CI:sub\": \"repo:shop\"}}}}\n"
    );
    let more: Seed = serde_saphyr::from_str(&more).unwrap();
    seed.roles.extend(more.roles);
    seed.oidc_providers.extend(more.oidc_providers);
    let [id, secret, token] = SESSION.map(ToOwned::to_owned);
    seed.credentials.push(SeedCredential {
        access_key_id: id,
        secret_access_key: secret,
        session_token: Some(token),
        expires: Some(EXPIRES.to_owned()),
        caller: Some("arn:aws:sts::111122223333:assumed-role/machine/session".to_owned()),
        deny: Vec::new(),
    });
}

/// Plans the steps of AWS, and returns who asked EKS for the cluster; the plan says it too.
async fn caller(aws: &Aws, flags: &[&str], variables: &[(&str, &str)]) -> String {
    aws.simulator.clear_calls();
    let command = [&of_aws(&["plan", "-c", "demo"])[..], flags].concat();
    let run = aws.run(&command, variables).await.expect(0);
    let calls = aws.simulator.calls();
    let callers: Vec<_> =
        calls.iter().filter(|call| call.service != "sts").map(|call| call.caller.clone().unwrap()).collect();
    assert!(callers.len() > 3 && callers.iter().all(|caller| *caller == callers[0]), "{callers:?}");
    let name = callers[0].split('/').nth(1).unwrap();
    assert!(run.stdout.lines().next().unwrap().contains(&format!("role/{name}")), "{}", run.stdout);
    callers[0].clone()
}

/// Puts a file where the program runs, and returns its path.
fn file(aws: &Aws, name: &str, text: &str) -> PathBuf {
    let path = aws.file(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// What was asked of an endpoint: the request line and the headers, in lower case.
type Asked = Arc<Mutex<Vec<String>>>;

/// An endpoint on loopback that answers by method and path; what it does not know is a 404.
async fn endpoint(answers: &[(&'static str, String)]) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers: BTreeMap<_, _> = answers.iter().cloned().collect();
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut head, mut more) = (Vec::new(), [0; 1024]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut more).await {
                    Ok(count) if count > 0 => head.extend_from_slice(&more[..count]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let request = head.lines().next().unwrap_or_default();
            let asked = request.rsplit_once(' ').map_or(request, |(asked, _)| asked);
            let (status, body) = match answers.get(asked) {
                Some(body) => ("200 OK", body.as_str()),
                None => ("404 Not Found", ""),
            };
            log.lock().unwrap().push(head.to_lowercase());
            // The metadata service says for how long its token is good.
            let answer = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            // A client that goes away shows in what it says.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

fn session() -> Value {
    let [id, secret, token] = SESSION;
    json!({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id, "SecretAccessKey": secret, "Token": token,
        "Expiration": EXPIRES, "LastUpdated": "2026-01-01T00:00:00Z"})
}

const MACHINE: &str = "arn:aws:sts::111122223333:assumed-role/machine/session";

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_for_every_call() {
    let aws = Aws::start(world).await;
    let role = "arn:aws:iam::111122223333:role/ci";
    let expected = "arn:aws:sts::111122223333:assumed-role/ci/eks-bootstrap";
    assert_eq!(caller(&aws, &["--assume-role", role], &[]).await, expected);
    assert_eq!(caller(&aws, &[], &[("EKS_BOOTSTRAP_ASSUME_ROLE", role)]).await, expected);
    // On top of whatever else gives credentials.
    let keys = format!(
        "[ops]\naws_access_key_id={}\naws_secret_access_key={}\naws_session_token={}\n",
        SESSION[0], SESSION[1], SESSION[2]
    );
    let keys = file(&aws, "keys", &keys);
    let both = [("AWS_SHARED_CREDENTIALS_FILE", keys.to_str().unwrap()), WITHOUT_KEYS[0], WITHOUT_KEYS[1]];
    assert_eq!(caller(&aws, &["--profile", "ops", "--assume-role", role], &both).await, expected);
    let assumed = aws.simulator.calls().into_iter().find(|call| call.operation == "AssumeRole").unwrap();
    assert_eq!(assumed.caller.as_deref(), Some(MACHINE));
    let assumed = aws.simulator.calls().into_iter().filter(|call| call.operation == "AssumeRole").count();
    assert_eq!(assumed, 1, "one session serves every client");

    // A role that does not let the caller in: one clear error, and nothing is written.
    let closed = ["apply", "--yes", "-c", "demo", "--assume-role", "arn:aws:iam::111122223333:role/demo-nodes-system"];
    let run = aws.run(&closed, &[]).await.expect(77);
    assert!(run.stderr.contains("sts:AssumeRole") && run.stderr.contains("demo-nodes-system"), "{}", run.stderr);
    assert_eq!(aws.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_of_the_shared_files_are_used() {
    let aws = Aws::start(world).await;
    let [id, secret, token] = SESSION;
    let process = json!({"Version": 1, "AccessKeyId": id, "SecretAccessKey": secret, "SessionToken": token,
        "Expiration": EXPIRES});
    let process = file(&aws, "process.json", &process.to_string());
    let credentials =
        format!("[ops]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\naws_session_token = {token}\n");
    let config = format!(
        "[profile ops]\nregion = eu-west-1\n\
         [profile deploy]\nregion = eu-west-1\nrole_arn = arn:aws:iam::111122223333:role/ci\nsource_profile = ops\nrole_session_name = me\n\
         [profile process]\nregion = eu-west-1\ncredential_process = cat {}\n",
        process.display()
    );
    // Where they are by default, under HOME.
    file(&aws, ".aws/credentials", &credentials);
    let config = file(&aws, ".aws/config", &config);
    // The profile's region is taken where none is given.
    let unset = [WITHOUT_KEYS[0], WITHOUT_KEYS[1], ("AWS_REGION", "")];
    let assumed = "arn:aws:sts::111122223333:assumed-role/ci/me";
    for (profile, expected) in [("ops", MACHINE), ("deploy", assumed), ("process", MACHINE)] {
        assert_eq!(caller(&aws, &["--profile", profile], &unset).await, expected, "{profile}");
        let by_variable = [&unset[..], &[("EKS_BOOTSTRAP_PROFILE", profile)]].concat();
        assert_eq!(caller(&aws, &[], &by_variable).await, expected, "{profile}");
    }
    // And where AWS' own variables say that they are, by its own variable for the profile.
    let elsewhere = aws.file("elsewhere");
    std::fs::rename(config, &elsewhere).unwrap();
    let variables = [("AWS_CONFIG_FILE", elsewhere.to_str().unwrap()), ("AWS_PROFILE", "deploy")];
    assert_eq!(caller(&aws, &[], &[&unset[..], &variables].concat()).await, assumed);

    // A profile that was named wins over keys of the environment; where only AWS' variable names it, these win, as in every SDK.
    let file = ("AWS_CONFIG_FILE", elsewhere.to_str().unwrap());
    assert_eq!(caller(&aws, &["--profile", "ops"], &[file]).await, MACHINE);
    assert_eq!(caller(&aws, &["--profile", "deploy"], &[file]).await, assumed);
    assert_eq!(caller(&aws, &[], &[file, ("EKS_BOOTSTRAP_PROFILE", "ops")]).await, MACHINE);
    let keys = aws.simulator.access_key().access_key_id;
    assert_ne!(caller(&aws, &[], &[file, ("AWS_PROFILE", "ops")]).await, MACHINE, "{keys} are the environment's");

    // One that does not exist is refused, keys or not, before anything is asked.
    aws.simulator.clear_calls();
    for variables in [&WITHOUT_KEYS[..], &[]] {
        let named = |run: &Run, field: &str| {
            assert!(run.stderr.contains(&format!("`opps` for {field}")), "{}", run.stderr);
            assert!(run.stderr.contains("did you mean `ops`?"), "{}", run.stderr);
        };
        named(&aws.run(&["plan", "-c", "demo", "--profile", "opps"], variables).await.expect(64), "--profile");
        let by_variable = [variables, &[("AWS_PROFILE", "opps")]].concat();
        named(&aws.run(&["apply", "--yes", "-c", "demo"], &by_variable).await.expect(64), "AWS_PROFILE");
    }
    // A file that was named and is not there is part of the answer.
    let gone = [("AWS_CONFIG_FILE", "/nowhere/config"), ("AWS_REGION", "")];
    for flags in [&["plan", "-c", "demo", "--profile", "deploy"][..], &["plan", "-c", "demo"]] {
        let run = aws.run(flags, &gone).await.expect(64);
        assert!(run.stderr.contains("AWS_CONFIG_FILE names /nowhere/config, which does not exist"), "{}", run.stderr);
    }
    assert!(aws.simulator.calls().is_empty(), "{:?}", aws.simulator.calls());
    // A mark before the first line, as Notepad writes it.
    std::fs::write(&elsewhere, "\u{feff}[profile ops]\r\nregion = eu-west-1\r\n").unwrap();
    assert_eq!(caller(&aws, &["--profile", "ops"], &[file]).await, MACHINE);
}

/// A signed token of the issuer for a subject, after STS has been told the issuer's keys.
fn token(aws: &Aws, subject: &str) -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "x": x, "y": y}]});
    aws.simulator.set_issuer_keys(ISSUER, keys);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let ends = jiff::Timestamp::now().as_second() + 3600;
    let claims = json!({"iss": ISSUER, "sub": subject, "aud": ["sts.amazonaws.com"], "exp": ends});
    let body = format!("{}.{}", part(json!({"alg": "ES256", "kid": "k1"})), part(claims));
    let signature = pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap();
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_is_exchanged() {
    let aws = Aws::start(world).await;
    let run = async |subject: &str| {
        let path = file(&aws, "token", &token(&aws, subject));
        let path = path.to_str().unwrap().to_owned();
        let variables = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", path.as_str()),
            ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci"),
            ("AWS_ROLE_SESSION_NAME", "job-7"),
            WITHOUT_KEYS[0],
            WITHOUT_KEYS[1],
        ];
        if subject == "repo:shop" {
            assert_eq!(caller(&aws, &[], &variables).await, "arn:aws:sts::111122223333:assumed-role/ci/job-7");
        }
        aws.run(&of_aws(&["plan", "-c", "demo"]), &variables).await
    };
    run("repo:shop").await.expect(0);
    let other = run("repo:other").await.expect(77);
    assert!(other.stderr.contains("sts:AssumeRoleWithWebIdentity"), "{}", other.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_gets_its_credentials() {
    let aws = Aws::start(world).await;
    let (url, asked) = endpoint(&[("GET /v1/credentials", session().to_string())]).await;
    let url = format!("{url}/v1/credentials");
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()), WITHOUT_KEYS[0], WITHOUT_KEYS[1]];
    assert_eq!(caller(&aws, &[], &variables).await, MACHINE);
    // As EKS Pod Identity does it: with a token in a file.
    let authorization = file(&aws, "authorization", "the-pods-token");
    let authorization = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", authorization.to_str().unwrap());
    assert_eq!(caller(&aws, &[], &[&variables[..], &[authorization]].concat()).await, MACHINE);
    let asked = asked.lock().unwrap();
    assert!(asked.last().unwrap().contains("authorization: the-pods-token"), "{asked:?}");
    assert_eq!(asked.len(), 2, "once in each run: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_gets_its_credentials_and_its_region() {
    let aws = Aws::start(world).await;
    let (url, asked) = endpoint(&[
        ("PUT /latest/api/token", "metadata-token".to_owned()),
        ("GET /latest/meta-data/iam/security-credentials/", "machine".to_owned()),
        ("GET /latest/meta-data/iam/security-credentials/machine", session().to_string()),
        ("GET /latest/meta-data/placement/region", "eu-west-1".to_owned()),
    ])
    .await;
    let variables = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_REGION", ""),
        WITHOUT_KEYS[0],
        WITHOUT_KEYS[1],
    ];
    assert_eq!(caller(&aws, &[], &variables).await, MACHINE);
    let asked = asked.lock().unwrap();
    let reads: Vec<_> = asked.iter().filter(|asked| asked.starts_with("get")).collect();
    assert!(!reads.is_empty() && reads.iter().all(|asked| asked.contains("x-aws-ec2-metadata-token: metadata-token")));
    let keys = reads.iter().filter(|asked| asked.contains("/security-credentials/machine "));
    assert_eq!(keys.count(), 1, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_sso_is_used() {
    let aws = Aws::start(world).await;
    let [id, secret, token] = SESSION;
    let ends = EXPIRES.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let answer = json!({"roleCredentials": {"accessKeyId": id, "secretAccessKey": secret, "sessionToken": token,
        "expiration": ends}});
    let asked = "GET /federation/credentials?role_name=Deployer&account_id=111122223333";
    let (url, log) = endpoint(&[(asked, answer.to_string())]).await;
    let config = "[profile sso]\nregion = eu-west-1\nsso_session = work\nsso_account_id = 111122223333\nsso_role_name = Deployer\n\
                  [sso-session work]\nsso_region = eu-west-1\nsso_start_url = https://d-1234567890.awsapps.com/start\n\
                  sso_registration_scopes = sso:account:access\n";
    file(&aws, ".aws/config", config);
    // `aws sso login` leaves the token under the SHA-1 of the session's name.
    let name = "e274eeff768c6396088ec6eb091f4bf4d47ab1e0";
    let cached = json!({"accessToken": "the-login", "expiresAt": EXPIRES, "region": "eu-west-1",
        "startUrl": "https://d-1234567890.awsapps.com/start"});
    file(&aws, &format!(".aws/sso/cache/{name}.json"), &cached.to_string());
    let variables = [("AWS_ENDPOINT_URL_SSO", url.as_str()), WITHOUT_KEYS[0], WITHOUT_KEYS[1]];
    assert_eq!(caller(&aws, &["--profile", "sso"], &variables).await, MACHINE);
    let log = log.lock().unwrap();
    assert!(log.len() == 1 && log[0].contains("x-amz-sso_bearer_token: the-login"), "{log:?}");
}

/// A key of a device in the form that `aws login` keeps it in: SEC 1 as PEM (RFC 5915).
fn sign_in_key() -> String {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let number = AsBigEndian::<EcPrivateKeyBin<'_>>::as_be_bytes(&key.private_key()).unwrap();
    let curve = [0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0xa1, 0x44, 3, 0x42, 0];
    let der = [&[0x30, 0x77, 2, 1, 1, 4, 0x20], number.as_ref(), &curve, key.public_key().as_ref()].concat();
    let lines = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned() + "\n")
        .collect::<String>();
    format!("-----BEGIN EC PRIVATE KEY-----\n{lines}-----END EC PRIVATE KEY-----\n")
}

/// A session as `aws login` leaves it, under the SHA-256 of what `login_session` names.
fn console_session(aws: &Aws, ends: &str) {
    let [id, secret, token] = SESSION;
    file(
        aws,
        ".aws/config",
        "[profile console]\nregion = eu-west-1\nlogin_session = arn:aws:iam::111122223333:user/jane\n",
    );
    let session = json!({
        "accessToken": {"accessKeyId": id, "secretAccessKey": secret, "sessionToken": token, "accountId": "111122223333",
            "expiresAt": ends},
        "tokenType": "aws_sigv4", "refreshToken": "the-refresh", "clientId": "arn:aws:signin:::devtools/same-device",
        "idToken": "the-id", "dpopKey": sign_in_key(),
    });
    let name = "b1abda7fa13f8cc94a6e2fab6084b3c9f8ebc6100820b2ab67cbdfadc642d402";
    file(aws, &format!(".aws/login/cache/{name}.json"), &session.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_aws_login_is_used_renewed_and_named_when_it_is_over() {
    let aws = Aws::start(world).await;
    console_session(&aws, EXPIRES);
    let console = ["--profile", "console"];
    assert_eq!(caller(&aws, &console, &WITHOUT_KEYS).await, MACHINE);
    // One that has ended is renewed, with a proof that its key is there.
    console_session(&aws, "2020-01-01T00:00:00Z");
    let [id, secret, token] = SESSION;
    let answer = json!({
        "accessToken": {"accessKeyId": id, "secretAccessKey": secret, "sessionToken": token},
        "expiresIn": 900, "refreshToken": "the-next", "tokenType": "aws_sigv4",
    });
    let (url, log) = endpoint(&[("POST /v1/token", answer.to_string())]).await;
    let variables = [("AWS_ENDPOINT_URL_SIGNIN", url.as_str()), WITHOUT_KEYS[0], WITHOUT_KEYS[1]];
    assert_eq!(caller(&aws, &console, &variables).await, MACHINE);
    assert!(log.lock().unwrap().iter().any(|request| request.contains("dpop: ")), "{log:?}");
    // Nobody renews it.
    console_session(&aws, "2020-01-01T00:00:00Z");
    let (url, _) = endpoint(&[]).await;
    let variables = [("AWS_ENDPOINT_URL_SIGNIN", url.as_str()), WITHOUT_KEYS[0], WITHOUT_KEYS[1]];
    let run = aws.run(&of_aws(&[&["plan", "-c", "demo"], &console[..]].concat()), &variables).await.expect(77);
    assert!(
        run.stderr.contains("the session of `aws login` of AWS profile `console` cannot be used"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("`aws login --profile console`"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_than_the_guards_is_refused() {
    let aws = Aws::start(world).await;
    let file_of = |account: &str| {
        format!(
            "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {{name: demo, account: \"{account}\"}}\n"
        )
    };
    file(&aws, "guard.yaml", &file_of("444455556666"));
    let refused = |run: Run| {
        let run = run.expect(4);
        for named in ["111122223333", "444455556666"] {
            assert!(run.stderr.contains(named), "{}", run.stderr);
        }
    };
    for command in [
        &["plan"][..],
        &["apply", "--yes"],
        &["destroy", "--confirm", "demo"],
        &["migrate", "--to", "pod-identity", "--yes"],
    ] {
        refused(aws.run(&[command, &["-f", "guard.yaml"]].concat(), &[]).await);
        let flag = ["-c", "demo", "--account", "444455556666"];
        refused(aws.run(&[command, &flag].concat(), &[]).await);
        refused(aws.run(&[command, &["-c", "demo"]].concat(), &[("EKS_BOOTSTRAP_ACCOUNT", "444455556666")]).await);
        // The role that is assumed counts, not whose keys these are.
        let role = ["--assume-role", "arn:aws:iam::111122223333:role/ci"];
        refused(aws.run(&[command, &["-f", "guard.yaml"], &role].concat(), &[]).await);
    }
    // `verify` says it as one of its checks.
    let run = aws.run(&["verify", "-f", "guard.yaml"], &[]).await.expect(3);
    assert!(run.stdout.contains("EKB-CRED-002") && run.stdout.contains("444455556666"), "{}", run.stdout);
    assert_eq!(aws.writes(), Vec::<String>::new());
    let asked: Vec<_> = aws.simulator.calls().into_iter().filter(|call| call.service == "iam").collect();
    assert!(asked.is_empty(), "{asked:?}");
    file(&aws, "guard.yaml", &file_of("111122223333"));
    aws.run(&of_aws(&["plan", "-f", "guard.yaml"]), &[]).await.expect(0);
}
