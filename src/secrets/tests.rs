use super::*;
use serde_json::json;

/// What is planted; a number where the form asks for one.
const PLANTED: &str = "hunter2";
const NUMBER: u64 = 739_114;

fn pem(kind: &str) -> String {
    format!("-----BEGIN {kind}-----\n{PLANTED}\n-----END {kind}-----\n")
}

/// Secrets, each in another form.
fn planted() -> Vec<(&'static str, Value)> {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2";
    vec![
        ("camel case", json!({"dbPassword": PLANTED})),
        ("snake case", json!({"db_password": PLANTED})),
        ("kebab case", json!({"db-password": PLANTED})),
        ("capitals", json!({"DB_PASSWORD": PLANTED})),
        ("one long word", json!({"adminpassword": PLANTED})),
        ("a number at the end", json!({"password2": PLANTED})),
        ("a short word", json!({"smtp_pass": PLANTED})),
        ("passphrase", json!({"signing": {"passphrase": PLANTED}})),
        ("in the middle of a path", json!({"auth": {"credentials": {"user": {"value": PLANTED}}}})),
        ("a map below", json!({"secrets": {"db": {"a": {"b": PLANTED}}}})),
        ("a list below", json!({"tokens": ["x", PLANTED]})),
        ("maps in a list below", json!({"credentials": [{"name": "a", "value": PLANTED}]})),
        ("a number", json!({"password": NUMBER})),
        ("a number below", json!({"credentials": {"pin": [NUMBER]}})),
        ("an env list", json!({"env": [{"name": "A", "value": "b"}, {"name": "DB_PASSWORD", "value": PLANTED}]})),
        ("an env list that begins with the value", json!({"extraEnv": [{"value": PLANTED, "name": "GITHUB_TOKEN"}]})),
        ("an env list with a number", json!({"env": [{"name": "API_KEY", "value": NUMBER}]})),
        ("an env map", json!({"env": {"AWS_SECRET_ACCESS_KEY": PLANTED}})),
        ("parameters", json!({"parameters": [{"key": "clientSecret", "value": PLANTED}]})),
        ("an API key", json!({"apiKey": PLANTED})),
        ("an API key in kebab case", json!({"datadog": {"api-key": PLANTED}})),
        ("an access key", json!({"aws": {"accessKeyId": PLANTED}})),
        ("a private key by name", json!({"privateKey": PLANTED})),
        ("an encryption key", json!({"encryption_key": PLANTED})),
        ("the chart's own key", json!({"webhookTLS": {"key": PLANTED}})),
        ("a key beside a certificate", json!({"tls": [{"crt": "c", "key": PLANTED}]})),
        ("a key of a Secret", json!({"files": {"tls.key": PLANTED}})),
        ("a connection string", json!({"connectionString": PLANTED})),
        ("a docker configuration", json!({"registry": {"dockerconfigjson": PLANTED}})),
        ("below a reference", json!({"existingSecret": {"password": PLANTED}})),
        ("an argument", json!({"extraArgs": ["--a=b", format!("--webhook-token={PLANTED}")]})),
        ("a configuration in YAML", json!({"config": format!("user: x\npassword: {PLANTED}\n")})),
        ("a configuration in JSON", json!({"config": format!("{{\"client_secret\": \"{PLANTED}\"}}")})),
        ("an INI file", json!({"ini": format!("[default]\naws_secret_access_key = {PLANTED}")})),
        ("a connection text", json!({"database": format!("Server=a;Password={PLANTED};Port=1")})),
        ("an address with a password", json!({"url": format!("postgres://user:{PLANTED}@db/x")})),
        ("an address with a signature", json!({"url": format!("https://a/b?X-Amz-Signature={PLANTED}")})),
        ("a proxy", json!({"proxy": {"http_proxy": format!("http://u:{PLANTED}@proxy:3128")}})),
        ("a PEM", json!({"certificate": pem("RSA PRIVATE KEY")})),
        ("a PEM in base64", json!({"data": base64(&pem("PRIVATE KEY"))})),
        ("a bearer token", json!({"headers": {"X-Auth": format!("Bearer abcdefghijklmnop{PLANTED}")}})),
        ("basic authentication", json!({"header": format!("Basic {}", base64(&format!("user:{PLANTED}")))})),
        ("a web token", json!({"text": token})),
        ("an access key with its secret", json!({"note": format!("AKIAIOSFODNN7EXAMPLE {PLANTED}")})),
        ("a token with a prefix", json!({"note": format!("ghp_0123456789abcdefghij{PLANTED}")})),
        ("a chat's address", json!({"webhook": format!("https://hooks.slack.com/services/T0/B0/{PLANTED}xxxxxxx")})),
    ]
}

/// What would be read by somebody who knows the forms.
fn betrays(text: &str) -> bool {
    use base64::Engine as _;
    let decode = |word: &str| base64::engine::general_purpose::STANDARD.decode(word).unwrap_or_default();
    let words = text.split(|c: char| c.is_whitespace() || "\"\\,[]{}".contains(c));
    text.contains(PLANTED)
        || text.contains(&NUMBER.to_string())
        || words.map(decode).any(|bytes| String::from_utf8_lossy(&bytes).contains(PLANTED))
}

#[test]
fn no_planted_secret_is_shown() {
    let all = planted();
    assert!(all.len() >= 30, "{}", all.len());
    for (form, values) in all {
        assert!(betrays(&values.to_string()), "{form}: nothing is planted");
        let text = Place::default().masked(&values).to_string();
        assert!(!betrays(&text) && text.contains(HIDDEN), "{form}: {text}");
        let (kept, paths) = without(&values);
        assert!(!betrays(&kept.to_string()) && paths.len() == 1, "{form}: {kept} {paths:?}");
        let scrubbed = Scrub::of(&values).text(&values.to_string());
        assert!(!betrays(&scrubbed), "{form}: {scrubbed}");
    }
}

/// What refers to a secret or sounds like one, and has to be shown for a plan to say anything.
fn innocent() -> Vec<Value> {
    vec![
        json!({"secretName": "webhook-tls"}),
        json!({"existingSecret": "db", "existingSecretPasswordKey": "password"}),
        json!({"imagePullSecrets": ["regcred"]}),
        json!({"imagePullSecrets": [{"name": "regcred"}]}),
        json!({"secrets": [{"name": "mounted"}]}),
        json!({"automountServiceAccountToken": false, "keepTLSSecret": true, "password": null}),
        json!({"tokenExpirationSeconds": 3600, "tokenAudience": "sts.amazonaws.com"}),
        json!({"serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 86400, "path": "token"}}),
        json!({"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]}),
        json!({"env": [{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/token"}]}),
        json!({"env": {"AWS_REGION": "eu-west-1", "PWD": "/work"}}),
        json!({"extraVolumes": [{"name": "c", "secret": {"secretName": "cert", "defaultMode": 420}}]}),
        json!({"volumes": [{"name": "c", "projected": {"sources": [{"secret": {"name": "a"}}]}}]}),
        json!({"sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "keyRotation": "enabled"}),
        json!({"tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}]}),
        json!({"topologySpreadConstraints": [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1}]}),
        json!({"webhookTLS": {"caCert": pem("CERTIFICATE"), "cert": null, "key": null}}),
        json!({"password": "", "tokens": [], "credentials": {}}),
        json!({"external-secrets": {"replicas": 2, "image": {"tag": "v1"}}}),
        json!({"credential_source": "Environment", "passwordSource": "vault"}),
        json!({"secretsManager": {"region": "eu-west-1"}, "secretProviderClass": "aws"}),
        json!({"image": {"repository": "registry.example/team/token-service:v1.2", "tag": "v3"}}),
        json!({"arn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-abc", "maxTokens": 100}),
        json!({"args": ["--service-account-signing-key-file=/etc/k", "--cluster-name=demo", "--v=2"]}),
        json!({"metadata": {"annotations": {"eks.amazonaws.com/token-expiration": "86400"}}}),
        json!({"metadata": {"annotations": {"secret.reloader.stakater.com/reload": "webhook-tls"}}}),
        json!({"url": "https://example.com:8443/path?x=1", "time": "10:20:30", "issuer": "https://a/id/AB"}),
    ]
}

#[test]
fn what_only_sounds_like_a_secret_is_shown() {
    let all = innocent();
    assert!(all.len() >= 15);
    for values in all {
        assert_eq!(Place::default().masked(&values), values);
        assert_eq!(without(&values), (values, Vec::new()));
    }
}

#[test]
fn paths_of_differences_are_judged_alike() {
    let hides = |path: &str| Place::of_path(path).hides(&json!("x"));
    for path in [
        "spec.template.spec.containers[a].env[DB_PASSWORD].value",
        "data.db-password",
        "data.credentials.json.token",
        "stringData.tls.key",
        "metadata.annotations.example.com/api-token",
    ] {
        assert!(hides(path), "{path}");
    }
    for path in [
        "spec.template.spec.volumes[secret].secret.secretName",
        "spec.template.spec.volumes[cert].secret.defaultMode",
        "spec.template.spec.volumes[t].projected.sources[0].serviceAccountToken.path",
        "spec.template.spec.volumes[t].projected.sources[0].secret.name",
        "spec.template.spec.containers[a].env[DB_PASSWORD].valueFrom.secretKeyRef.name",
        "spec.template.spec.containers[a].env[AWS_REGION].value",
        "spec.template.spec.containers[token-refresher].image",
        "spec.tokenRequests[0].audience",
        "rules[0].resources[0]",
        "metadata.annotations.secret.reloader.stakater.com/reload",
        "metadata.labels.app.kubernetes.io/name",
    ] {
        assert!(!hides(path), "{path}");
    }
}

#[test]
fn what_is_taken_out_is_named_up_to_its_list() {
    let values = json!({"a": 1, "db": {"password": "x", "host": "h"}, "env": [{"name": "A_TOKEN", "value": "y"}]});
    let (kept, paths) = without(&values);
    assert_eq!(kept, json!({"a": 1, "db": {"host": "h"}}));
    assert_eq!(paths, ["db.password", "env"]);
}
