//! The ways out of organisations: proxies that everything has to take, and certificates of authorities of their own.

mod between;

use std::net::SocketAddr;
use std::path::Path;

use crate::support::HelmMajor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::sources::registry::Registry;
use crate::support::{Aws, Lab, Run, helm, program};
use between::{Authority, Proxy};

/// A name of the API server's certificate that nobody resolves but the proxy.
const API: &str = "kubernetes.default.svc";
/// `me:p@ss` in base 64.
const LOGIN: &str = "bWU6cEBzcw==";

/// The hosts that the program asks, by the names that AWS gives them.
const HOSTS: [&str; 7] = [
    "sts.eu-west-1.amazonaws.com",
    "eks.eu-west-1.amazonaws.com",
    "iam.amazonaws.com",
    "ec2.eu-west-1.amazonaws.com",
    "tagging.eu-west-1.amazonaws.com",
    "elasticloadbalancing.eu-west-1.amazonaws.com",
    "globalaccelerator.us-west-2.amazonaws.com",
];

fn address(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

fn kubeconfig(lab: &Lab, change: impl FnOnce(&mut Value)) -> String {
    let variables = lab.sandbox.environment();
    let (_, path) = variables.iter().find(|(name, _)| *name == "KUBECONFIG").unwrap();
    let mut document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    change(&mut document["clusters"][0]["cluster"]);
    let path = lab.work.path().join("kubeconfig");
    std::fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// No way out but a proxy that asks who comes, AWS behind certificates of the organisation, and an API server whose name only
/// the proxy knows: the program, its readers and writers, helm, and the `token` that helm calls all get there.
#[tokio::test(flavor = "multi_thread")]
async fn everything_takes_the_proxy_and_trusts_the_bundle() {
    let lab = Lab::start().await;
    let authority = Authority::new("Example Corp");
    let aws = authority.terminate(&HOSTS, address(&lab.sandbox.aws_url())).await;
    let api = address(lab.sandbox.plane.endpoint());
    let mut names: Vec<_> = HOSTS.iter().map(|host| (format!("{host}:443"), aws)).collect();
    names.push((format!("{API}:{}", api.port()), api));
    lab.sandbox.simulator.set_cluster_endpoint(
        "demo",
        &format!("https://{API}:{}", api.port()),
        lab.sandbox.plane.ca_pem(),
    );
    let proxy = Proxy::start(&names, Some(LOGIN)).await;
    let url = format!("http://me:p%40ss@127.0.0.1:{}", proxy.port);
    let bundle = write(lab.work.path(), "corp.pem", &authority.pem());
    let ways = [("AWS_ENDPOINT_URL", ""), ("HTTPS_PROXY", url.as_str()), ("AWS_CA_BUNDLE", bundle.as_str())];
    // A newcomer behind such a proxy is told what is missing.
    let run = lab.run_with(&["plan"], &ways[..2]).await.expect(1);
    assert!(run.stderr.contains("give its CA in AWS_CA_BUNDLE"), "{}", run.stderr);
    // On an image without authorities that would not help.
    let nobody = tempfile::tempdir().unwrap();
    let bare = [("SSL_CERT_DIR", nobody.path().to_str().unwrap())];
    let run = lab.run_with(&["plan"], &[&ways[..2], &bare].concat()).await.expect(1);
    assert!(run.stderr.contains("no certificate authorities on this machine"), "{}", run.stderr);
    // The proxy's own name in NO_PROXY says nothing of the API server.
    let run = lab.run_with(&["apply", "--yes"], &[&ways[..], &[("NO_PROXY", "127.0.0.1,")]].concat()).await.expect(0);
    assert!(!run.stdout.contains("p%40ss") && !run.stderr.contains("p%40ss"), "{}{}", run.stdout, run.stderr);
    let seen = proxy.seen();
    for host in ["sts.eu-west-1.amazonaws.com:443", "eks.eu-west-1.amazonaws.com:443", &format!("{API}:{}", api.port())]
    {
        assert!(seen.iter().any(|target| target == host), "{host}: {seen:?}");
    }
    assert!(lab.helm_writes().len() >= 2, "{:?}", lab.helm_runs());

    // The bundle that the profile names, by a proxy that is named for everything.
    let profile = write(lab.work.path(), "config", &format!("[default]\nca_bundle = {bundle}\n"));
    let ways = [("AWS_ENDPOINT_URL", ""), ("all_proxy", url.as_str()), ("AWS_CONFIG_FILE", profile.as_str())];
    lab.run_with(&["plan", "--detailed-exitcode"], &ways).await.expect(0);
    // Without it nobody vouches for AWS, and what the machine itself trusts is not asked besides a bundle.
    let ways = [("AWS_ENDPOINT_URL", ""), ("HTTPS_PROXY", url.as_str())];
    let run = lab.run_with(&["plan"], &ways).await.expect(1);
    assert!(run.stderr.contains("certificate"), "{}", run.stderr);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_is_about_the_server_and_proxy_url_is_about_everything() {
    let lab = Lab::start().await;
    let api = address(lab.sandbox.plane.endpoint()).to_string();
    let proxy = Proxy::start(&[], None).await;
    let url = format!("http://localhost:{}", proxy.port);
    let plain = kubeconfig(&lab, |_| ());
    for (no_proxy, through) in [("localhost", true), ("localhost,", true), ("127.0.0.1", false), ("*", false)] {
        let ways = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", no_proxy)];
        lab.run_with(&["plan", "--kubeconfig", &plain], &ways).await.expect(0);
        assert_eq!(proxy.seen().contains(&api), through, "NO_PROXY={no_proxy}");
    }
    // Nothing of the environment overrules the kubeconfig.
    let named = kubeconfig(&lab, |cluster| cluster["proxy-url"] = json!(url));
    let ways = [("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "*")];
    lab.run_with(&["plan", "--kubeconfig", &named], &ways).await.expect(0);
    assert!(proxy.seen().contains(&api));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let aws = Aws::start(|_| ()).await;
    let run = aws.run(&["plan", "-c", "demo"], &[("HTTPS_PROXY", "http://me:hidden@127.0.0.1:9")]).await.expect(1);
    let expected = "does not answer through the proxy http://127.0.0.1:9 (HTTPS_PROXY)";
    assert!(run.stderr.contains(expected) && run.stderr.contains("NO_PROXY"), "{}", run.stderr);
    assert!(!run.stderr.contains("hidden"), "{}", run.stderr);
    let run = aws.run(&["apply", "--yes", "-c", "demo"], &[("https_proxy", "ftp://me:hidden@proxy")]).await.expect(64);
    assert!(run.stderr.contains("invalid value `ftp://proxy` for HTTPS_PROXY"), "{}", run.stderr);
    assert!(aws.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_authorities_that_are_none_are_named_before_anything_is_asked() {
    let aws = Aws::start(|_| ()).await;
    let empty = write(aws.file(".").as_path(), "empty.pem", "no certificate\n");
    let profile = write(aws.file(".").as_path(), "config", &format!("[profile corp]\nca_bundle = {empty}\n"));
    for (variables, named) in [
        (vec![("AWS_CA_BUNDLE", "/nowhere/corp.pem")], "`/nowhere/corp.pem` for AWS_CA_BUNDLE: "),
        (vec![("AWS_CA_BUNDLE", empty.as_str())], "empty.pem` for AWS_CA_BUNDLE: it holds no certificate"),
        (
            vec![("AWS_CONFIG_FILE", profile.as_str()), ("AWS_PROFILE", "corp")],
            "empty.pem` for ca_bundle of the profile corp: it holds no certificate",
        ),
        (vec![("SSL_CERT_FILE", "/nowhere/corp.pem")], "`/nowhere/corp.pem` for SSL_CERT_FILE: "),
    ] {
        let run = aws.run(&["apply", "--yes", "-c", "demo"], &variables).await.expect(64);
        assert!(run.stderr.contains(named), "{}", run.stderr);
        assert!(aws.simulator.calls().is_empty());
    }
}

/// Helm downloads charts from a repository behind the organisation's certificate.
#[tokio::test(flavor = "multi_thread")]
async fn helm_trusts_the_bundle_too() {
    let registry = Registry::start(None).await;
    let authority = Authority::new("Example Corp");
    let front = authority.terminate(&["127.0.0.1"], registry.host.parse().unwrap()).await;
    let home = tempfile::tempdir().unwrap();
    let bundle = write(home.path(), "corp.pem", &authority.pem());
    let from = format!("aws-load-balancer-controller=https://{front}/repository");
    for major in [HelmMajor::Three, HelmMajor::Four] {
        let run = |variables: Vec<(&'static str, String)>| {
            let mut command =
                program(&["images", "--disable", "aws-ebs-csi-driver", "--chart-repository", &from], home.path());
            command.env("EKS_BOOTSTRAP_HELM", helm(major)).envs(variables);
            let output = tokio::task::spawn_blocking(move || command.output());
            async move { Run::from(output.await.unwrap().unwrap()) }
        };
        let refused = run(Vec::new()).await.expect(1);
        assert!(refused.stderr.contains("in AWS_CA_BUNDLE or SSL_CERT_FILE"), "{}", refused.stderr);
        run(vec![("AWS_CA_BUNDLE", bundle.clone())]).await.expect(0);
        run(vec![("SSL_CERT_FILE", bundle.clone())]).await.expect(0);
    }
}

/// The date with which a token is signed, in seconds since 1970.
fn signed_at(token: &str) -> i64 {
    let url = URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.").unwrap()).unwrap();
    let url = url::Url::parse(&String::from_utf8(url).unwrap()).unwrap();
    let (_, date) = url.query_pairs().find(|(name, _)| name == "X-Amz-Date").unwrap();
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &*date)
        .unwrap()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .unwrap()
        .timestamp()
        .as_second()
}

/// By this machine's clock AWS is twenty minutes ahead.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_signed_by_the_clock_of_aws() {
    const AHEAD: i64 = 1200;
    let aws = Aws::start(|_| ()).await;
    let dated = between::dated(address(&aws.url()), AHEAD).await;
    let authority = Authority::new("kubernetes");
    let (behind, asked) = between::listening().await;
    let api = authority.terminate(&["127.0.0.1"], behind).await;
    aws.simulator.set_cluster_endpoint("demo", &format!("https://{api}"), &authority.pem());
    let run = aws.run(&["plan", "-c", "demo"], &[("AWS_ENDPOINT_URL", &format!("http://{dated}"))]).await;
    let asked = asked.lock().unwrap().join("\n");
    let token = asked.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let token = token.unwrap_or_else(|| panic!("no token was shown: {asked}{}{}", run.stdout, run.stderr));
    let ahead = signed_at(token) - jiff::Timestamp::now().as_second();
    assert!((AHEAD - 120..=AHEAD + 5).contains(&ahead), "{ahead}");

    // Helm's `token` asks nobody, so it is told; helm goes by this machine's clock.
    let told = [("EKS_BOOTSTRAP_MEASURED_SKEW", "1200")];
    let run = aws.run(&["token", "-c", "demo"], &told).await.expect(0);
    let status = run.json()["status"].clone();
    let ahead = signed_at(status["token"].as_str().unwrap()) - jiff::Timestamp::now().as_second();
    assert!((AHEAD - 120..=AHEAD + 5).contains(&ahead), "{ahead}");
    let ends: jiff::Timestamp = status["expirationTimestamp"].as_str().unwrap().parse().unwrap();
    let left = ends.as_second() - jiff::Timestamp::now().as_second();
    assert!((600..=840).contains(&left), "{left}");
}

/// A proxy that inspects TLS answers in the API server's place; only the cluster's own authority counts, whatever is trusted for AWS.
#[tokio::test(flavor = "multi_thread")]
async fn an_intercepted_api_server_is_called_that() {
    let aws = Aws::start(|_| ()).await;
    let (behind, asked) = between::listening().await;
    let inspecting = Authority::new("Example Corp Inspection");
    let api = inspecting.terminate(&["127.0.0.1"], behind).await;
    aws.simulator.set_cluster_endpoint("demo", &format!("https://{api}"), &Authority::new("kubernetes").pem());
    let bundle = write(aws.file(".").as_path(), "corp.pem", &inspecting.pem());
    let run =
        aws.run(&["plan", "-c", "demo"], &[("AWS_CA_BUNDLE", &bundle), ("SSL_CERT_FILE", &bundle)]).await.expect(1);
    let expected =
        format!("the Kubernetes API server https://{api} is answered for by another server, whose certificate");
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    assert!(run.stderr.contains("inspects TLS") && run.stderr.contains("NO_PROXY"), "{}", run.stderr);
    assert!(asked.lock().unwrap().is_empty(), "no token was shown");
}
