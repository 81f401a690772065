//! What answers nothing, too slowly or nonsense: each command ends within its limit and five seconds, and names who it was.
//!
//! The limits are shortened by a variable that only tests know (`config::haste`), so that the table takes seconds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use eks_bootstrap::sandbox::aws::Seed;
use futures::stream::StreamExt as _;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Aws, of_aws};

/// By how much the limits are shortened, and what becomes of them.
const HASTE: (&str, &str) = ("EKS_BOOTSTRAP_TEST_HASTE", "20");
const AWS: Duration = Duration::from_secs(6);
const KUBE: Duration = Duration::from_secs(3);
const PLUGIN: Duration = Duration::from_secs(3);
const HELM: Duration = Duration::from_secs(3);

/// What comes instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Silence,
    OneByteASecond,
    Html,
    HalfAHead,
}

const ANSWERS: [Answer; 4] = [Answer::Silence, Answer::OneByteASecond, Answer::Html, Answer::HalfAHead];

/// A server that answers like this; its address.
async fn server(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 16384];
                while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                    let body = "<html>sign in</html>";
                    let text = match answer {
                        Answer::Silence => continue,
                        Answer::OneByteASecond => {
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
                                .to_owned()
                        }
                        Answer::Html => {
                            let length = body.len();
                            format!(
                                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n{body}"
                            )
                        }
                        Answer::HalfAHead => "HTTP/1.1 200 OK\r\ncontent-ty".to_owned(),
                    };
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                    while answer == Answer::OneByteASecond && stream.write_all(b" ").await.is_ok() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

/// A program that answers like this.
fn program(aws: &Aws, name: &str, answer: Answer) -> PathBuf {
    let script = match answer {
        Answer::Silence => "exec sleep 600",
        Answer::OneByteASecond => "while :; do printf '{'; printf . >&2; sleep 1; done",
        Answer::Html => "echo '<html>sign in</html>'",
        Answer::HalfAHead => "printf '{\"apiVersion\":'; echo 'waiting for the portal' >&2; exec sleep 600",
    };
    let path = aws.file(name);
    std::fs::write(&path, format!("#!/bin/sh\necho $$ >> \"$0.ids\"\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A kubeconfig for a server, signed in by this user.
fn kubeconfig(aws: &Aws, server: &str, user: &serde_json::Value) -> String {
    let path = aws.file("kubeconfig");
    let document = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "c", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    std::fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

/// Who does not answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Sts,
    Iam,
    Eks,
    ApiServer,
    Plugin,
    Helm,
    CredentialProcess,
}

const ALL: [Who; 7] = [Who::Sts, Who::Iam, Who::Eks, Who::ApiServer, Who::Plugin, Who::Helm, Who::CredentialProcess];

async fn row(who: Who, answer: Answer) {
    let aws = Aws::start(|_| {}).await;
    let mut command: Vec<&str> = vec!["plan", "-c", "demo"];
    let mut variables: Vec<(&str, String)> = vec![(HASTE.0, HASTE.1.to_owned())];
    let on_aws = of_aws(&["plan", "-c", "demo"]);
    let mut flags: Vec<String> = Vec::new();
    // Who is named, within which limit, and with which exit code.
    let (named, limit, code) = match who {
        Who::Sts | Who::Iam | Who::Eks => {
            let url = server(answer).await;
            let variable = match who {
                Who::Sts => "AWS_ENDPOINT_URL_STS",
                Who::Iam => "AWS_ENDPOINT_URL_IAM",
                _ => "AWS_ENDPOINT_URL_EKS",
            };
            command = on_aws.clone();
            variables.push((variable, url.clone()));
            (url, AWS, 1)
        }
        Who::ApiServer => {
            let url = server(answer).await;
            flags.extend(["--kubeconfig".to_owned(), kubeconfig(&aws, &url, &serde_json::json!({"token": "t"}))]);
            (url, KUBE, 1)
        }
        Who::Plugin => {
            let plugin = program(&aws, "sign-in", answer).display().to_string();
            let exec = serde_json::json!({"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never",
            }});
            flags.extend(["--kubeconfig".to_owned(), kubeconfig(&aws, "http://127.0.0.1:9", &exec)]);
            (plugin, PLUGIN, 77)
        }
        Who::Helm => {
            let helm = program(&aws, "helm", answer).display().to_string();
            command = vec!["images"];
            flags.extend(["--helm".to_owned(), helm]);
            ("helm version".to_owned(), HELM, 1)
        }
        Who::CredentialProcess => {
            let path = program(&aws, "credentials", answer).display().to_string();
            std::fs::create_dir_all(aws.file(".aws")).unwrap();
            let profile = format!("[profile slow]\nregion = eu-west-1\ncredential_process = {path}\n");
            std::fs::write(aws.file(".aws/config"), profile).unwrap();
            for (name, value) in [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_PROFILE", "slow")] {
                variables.push((name, value.to_owned()));
            }
            ("credential".to_owned(), AWS, 77)
        }
    };
    command.extend(flags.iter().map(String::as_str));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let began = Instant::now();
    let ended = tokio::select! {
        run = aws.run(&command, &variables) => Some(run),
        () = tokio::time::sleep(limit + Duration::from_secs(20)) => None,
    };
    let Some(run) = ended else {
        aws.send(Signal::KILL);
        panic!("{who:?} {answer:?}: {command:?} goes on and on");
    };
    let (run, took) = (run.expect(code), began.elapsed());
    assert!(took < limit + Duration::from_secs(5), "{who:?} {answer:?} took {took:?}: {}", run.stderr);
    assert!(run.stderr.contains(&named), "{who:?} {answer:?}: {named} is not in {}", run.stderr);
    let tells_status = matches!(who, Who::Sts | Who::Iam | Who::Eks | Who::ApiServer)
        && matches!(answer, Answer::Html | Answer::OneByteASecond);
    assert!(!tells_status || run.stderr.contains("HTTP 200"), "{who:?} {answer:?}: {}", run.stderr);
    // No program outlives us.
    for name in ["sign-in", "helm", "credentials"] {
        let ids = std::fs::read_to_string(aws.file(&format!("{name}.ids"))).unwrap_or_default();
        for id in ids.split_whitespace() {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            assert!(stat.is_empty() || stat.contains(") Z "), "{who:?} {answer:?}: {stat}");
        }
    }
    if who == Who::Plugin && answer == Answer::HalfAHead {
        assert!(run.stderr.contains("waiting for the portal"), "{}", run.stderr);
        assert!(!run.stderr.contains("apiVersion\":"), "{}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_ends_within_its_limit_and_names_who_did_not_answer() {
    let rows = ALL.into_iter().flat_map(|who| ANSWERS.map(|answer| (who, answer)));
    // Side by side, but not so many that the machine itself is what is slow.
    let rows = futures::stream::iter(rows.map(|(who, answer)| tokio::spawn(row(who, answer))));
    let ended: Vec<_> = rows.buffer_unordered(10).collect().await;
    let failed: Vec<_> = ended.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_credentials_with_two_minutes_of_life_are_loaded_once() {
    let aws = Aws::start(|_| {}).await;
    let credential = &Seed::builtin().credentials[0];
    let (path, count) = (aws.file("credentials"), aws.file("count"));
    let script = format!(
        "#!/bin/sh\necho x >> '{}'\nsleep 1\nends=$(date -u -d '+2 minutes' +%Y-%m-%dT%H:%M:%SZ)\n\
         echo \"{{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"{}\\\",\\\"SecretAccessKey\\\":\\\"{}\\\",\\\"Expiration\\\":\\\"$ends\\\"}}\"\n",
        count.display(),
        credential.access_key_id,
        credential.secret_access_key
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(aws.file(".aws")).unwrap();
    let profile = format!("[profile slow]\nregion = eu-west-1\ncredential_process = {}\n", path.display());
    std::fs::write(aws.file(".aws/config"), profile).unwrap();
    let variables = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_PROFILE", "slow")];
    // The API server cannot be reached, and is asked with a token by nearly every step.
    let began = Instant::now();
    let run = aws.run(&["plan", "-c", "demo"], &variables);
    let run = tokio::time::timeout(Duration::from_mins(1), run).await.expect("it hangs").expect(1);
    assert!(run.stderr.contains("does not answer"), "{}", run.stderr);
    let runs = std::fs::read_to_string(count).unwrap().lines().count();
    assert!(runs <= 2, "{runs} runs in {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_get_no_answer_end_in_time_too() {
    for (variable, limit) in [("AWS_ENDPOINT_URL_IAM", AWS), ("", KUBE)] {
        let aws = Aws::start(|_| {}).await;
        let url = server(Answer::Silence).await;
        let kubeconfig = kubeconfig(&aws, &url, &serde_json::json!({"token": "t"}));
        let mut command = vec!["verify", "-c", "demo"];
        let mut variables = vec![HASTE];
        if variable.is_empty() {
            command.extend(["--kubeconfig", &kubeconfig]);
        } else {
            variables.push((variable, &url));
        }
        let began = Instant::now();
        let run = aws.run(&command, &variables).await.expect(3);
        let took = began.elapsed();
        assert!(took < limit + Duration::from_secs(5), "{variable} took {took:?}");
        assert!(run.stdout.contains(&url), "{}", run.stdout);
    }
}
