use std::time::Duration;

use super::*;

/// A plugin that is a script, with more of its `exec` section.
fn plugin(script: &str, more: &Value) -> ExecPlugin {
    let mut config = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script],
        "interactiveMode": "Never",
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ExecPlugin::new(serde_json::from_value(config).unwrap(), Path::new("/")).unwrap()
}

/// The script that gives this status.
fn gives(status: &str) -> String {
    format!(r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{status}}}'"#)
}

async fn credential(plugin: &ExecPlugin) -> Result<Credential> {
    tokio::time::timeout(Duration::from_secs(20), plugin.credential()).await.expect("it hangs")
}

async fn refused(script: &str) -> String {
    match credential(&plugin(script, &json!({}))).await {
        Ok(_) => panic!("{script} is taken"),
        Err(error) => {
            assert_eq!(error.exit_code(), crate::exit_code::NO_PERMISSION);
            crate::report::of(&error)
        }
    }
}

#[tokio::test]
async fn a_plugin_gets_its_variables_and_is_told_the_cluster_and_that_it_may_not_ask() {
    let script = format!(
        r#"[ "$MINE" = here ] || exit 4; case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) ;; *) exit 5;; esac
        case "$KUBERNETES_EXEC_INFO" in *'"server":"https://x"'*) ;; *) exit 6;; esac; {}"#,
        gives(r#"{"token":"t"}"#)
    );
    let more = json!({"env": [{"name": "MINE", "value": "here"}], "provideClusterInfo": true});
    let mut with = plugin(&script, &more);
    let inner = std::sync::Arc::get_mut(&mut with.plugin).unwrap();
    inner.config.cluster = Some(serde_json::from_value(json!({"server": "https://x"})).unwrap());
    assert_eq!(credential(&with).await.unwrap().token.as_deref(), Some("t"));
}

#[tokio::test]
async fn a_plugin_runs_once_until_its_token_ends_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let script = format!("echo x >> {}; {}", count.display(), gives(r#"{"token":"t"}"#));
    let plugin = plugin(&script, &json!({}));
    let runs = || std::fs::read_to_string(&count).unwrap().lines().count();
    futures::future::join_all((0..8).map(|_| credential(&plugin))).await;
    assert_eq!(runs(), 1);
    plugin.forget();
    credential(&plugin).await.unwrap();
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn what_a_plugin_says_on_standard_error_is_shown_and_what_it_gives_never_is() {
    let text = refused("echo secret-token; printf 'a\\n\\033[2Jthe session has expired\\n' >&2; exit 2").await;
    assert!(text.contains("`/bin/sh` gave no credentials"), "{text}");
    assert!(text.contains("exit status: 2: a / [2Jthe session has expired"), "{text}");
    for script in ["echo secret-token", r#"echo '{"kind":"secret-token","apiVersion":"a"}'"#] {
        let text = refused(script).await;
        assert!(text.contains("no ExecCredential") && !text.contains("secret-token"), "{text}");
    }
    for (status, reason) in [
        ("{}", "neither a token nor a client certificate"),
        (r#"{"clientCertificateData":"secret-token"}"#, "without its key"),
        (r#"{"token":"secret-token","expirationTimestamp":"soon"}"#, "not a time"),
    ] {
        let text = refused(&gives(status)).await;
        assert!(text.contains(reason) && !text.contains("secret-token"), "{text}");
    }
    let text = refused(r#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1"}'"#).await;
    assert!(text.contains("says that it speaks client.authentication.k8s.io/v1"), "{text}");
}

#[tokio::test]
async fn certificates_and_ends_are_read() {
    let gave =
        gives(r#"{"clientCertificateData":"c","clientKeyData":"k","expirationTimestamp":"2099-01-01T00:00:00Z"}"#);
    assert!(
        credential(&plugin(&gave, &json!({}))).await.unwrap().certificate == Some(("c".to_owned(), "k".to_owned()))
    );
    let text = "apiVersion: v1\nkind: ExecCredential\nstatus: {token: t, expirationTimestamp: 1970-01-01T00:01:00Z}";
    let (_, ends) = read(text.as_bytes(), None).unwrap();
    assert_eq!(ends, Some(SystemTime::UNIX_EPOCH + Duration::from_mins(1)));
}

#[test]
fn plugins_that_cannot_be_run_here_are_refused_at_once() {
    let of = |config: Value| ExecPlugin::new(serde_json::from_value(config).unwrap(), Path::new("/home/me/.kube"));
    assert!(of(json!({})).is_err());
    let relative = of(json!({"command": "bin/sign-in", "interactiveMode": "Never"})).unwrap();
    assert_eq!(relative.plugin.command, Path::new("/home/me/.kube/bin/sign-in"));
    assert_eq!(of(json!({"command": "aws", "interactiveMode": "Never"})).unwrap().plugin.command, Path::new("aws"));
}

#[tokio::test]
async fn a_program_that_is_not_there_says_how_to_get_it() {
    let config =
        json!({"command": "/nowhere/sign-in", "installHint": "brew install sign-in", "interactiveMode": "Never"});
    let plugin = ExecPlugin::new(serde_json::from_value(config).unwrap(), Path::new("/")).unwrap();
    let error = credential(&plugin).await.err().unwrap();
    assert!(crate::report::of(&error).contains("hint: brew install sign-in"));
}
