//! Where charts and images come from: registries, repositories, bundles, digests, a registry for images, and clusters that
//! have no way out. Real helms pull from a registry on loopback; what is installed runs in the sandbox.

pub(crate) mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::HelmMajor;
use eks_bootstrap::images::of_objects;
use eks_bootstrap::read::chart::digest_of;
use eks_bootstrap::sandbox::aws::Seed;
use eks_bootstrap::{component, versions};
use serde_json::Value;

use crate::support::{Aws, Lab, Run, helm, program};
use registry::{CHARTS, Registry, archive};

const MIRROR: &str = "registry.example.com/mirror";

/// Runs the program where neither AWS nor a cluster is: an endpoint that nobody answers at.
async fn alone(home: &Path, major: HelmMajor, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = program(arguments, home);
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("EKS_BOOTSTRAP_HELM", helm(major));
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
}

/// A folder with the archives of all charts.
fn archives() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, version) in CHARTS {
        fs::write(folder.path().join(format!("{name}-{version}.tgz")), archive(name)).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn both_helms_pull_from_registries_and_repositories_into_the_same_bundle() {
    let registry = Registry::start(None).await;
    let home = tempfile::tempdir().unwrap();
    let (oci, repository) = (registry.oci(), registry.repository());
    let from = [
        format!("aws-load-balancer-controller={oci}"),
        // An address may end with the chart's name.
        format!("metrics-server={oci}/metrics-server"),
        format!("aws-ebs-csi-driver={repository}"),
    ];
    let digest = format!("metrics-server={}", digest_of(&archive("metrics-server")));
    let mut bundles = Vec::new();
    for (major, file) in [(HelmMajor::Three, "three.tar"), (HelmMajor::Four, "four.tar")] {
        let mut arguments = vec!["bundle", "--out", file, "--enable", "metrics-server", "--chart-digest", &digest];
        arguments.extend(from.iter().flat_map(|from| ["--chart-repository", from]));
        let run = alone(home.path(), major, &[&arguments[..], &["-o", "json"]].concat(), &[]).await.expect(0);
        let charts = run.json()["bundle"]["charts"].as_array().unwrap().clone();
        for (name, version) in CHARTS {
            let chart = charts.iter().find(|chart| chart["name"] == name).unwrap();
            assert_eq!(
                (chart["version"].as_str(), &chart["digest"]),
                (Some(version), &digest_of(&archive(name)).into())
            );
        }
        let source = |name: &str| charts.iter().find(|chart| chart["name"] == name).unwrap()["source"].clone();
        assert_eq!(source("metrics-server"), format!("{oci}/metrics-server"));
        assert_eq!(source("aws-load-balancer-controller"), format!("{oci}/aws-load-balancer-controller"));
        let asked = registry.asked();
        for path in ["/v2/charts/metrics-server/manifests/3.13.1", "/repository/aws-ebs-csi-driver-2.64.0.tgz"] {
            assert!(asked.iter().any(|asked| asked == path), "{path}: {asked:?}");
        }
        bundles.push(fs::read(home.path().join(file)).unwrap());
    }
    assert!(bundles[0] == bundles[1], "the same charts give the same bytes");

    // What came out can be listed by anyone, and gives the same images as the charts themselves.
    let bundle = home.path().join("four.tar");
    let mut archive = tar::Archive::new(fs::File::open(&bundle).unwrap());
    let names: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    let expected = [
        "bundle.json",
        "aws-ebs-csi-driver-2.64.0.tgz",
        "aws-load-balancer-controller-3.5.0.tgz",
        "metrics-server-3.13.1.tgz",
    ];
    assert_eq!(names, expected.map(std::path::PathBuf::from));
    let run = alone(home.path(), HelmMajor::Four, &["images", "--charts", "four.tar"], &[]).await.expect(0);
    assert!(run.stdout.contains("public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0\n"), "{}", run.stdout);
    assert!(registry.asked().is_empty(), "a bundle is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_to_registries_are_the_users() {
    // me:secret
    let registry = Registry::start(Some("bWU6c2VjcmV0")).await;
    let home = tempfile::tempdir().unwrap();
    let from = format!("aws-load-balancer-controller={}", registry.oci());
    let arguments = ["images", "--disable", "aws-ebs-csi-driver", "--chart-repository", &from];
    for major in [HelmMajor::Three, HelmMajor::Four] {
        let run = alone(home.path(), major, &arguments, &[]).await.expect(1);
        assert!(run.stderr.contains("helm registry login"), "{}", run.stderr);
    }
    // As `helm registry login` leaves it, and where the variable says.
    let login = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"bWU6c2VjcmV0\"}}}}}}", registry.host);
    let named = home.path().join("logins.json");
    fs::write(&named, &login).unwrap();
    for major in [HelmMajor::Three, HelmMajor::Four] {
        let variables = [("HELM_REGISTRY_CONFIG", named.to_str().unwrap())];
        alone(home.path(), major, &arguments, &variables).await.expect(0);
    }
    let folder = home.path().join("own/helm/registry");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), &login).unwrap();
    let own = home.path().join("own");
    for major in [HelmMajor::Three, HelmMajor::Four] {
        alone(home.path(), major, &arguments, &[("XDG_CONFIG_HOME", own.to_str().unwrap())]).await.expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_that_is_not_there_or_not_the_right_one_is_named() {
    let registry = Registry::start(None).await;
    let home = tempfile::tempdir().unwrap();
    let from = format!("metrics-server={}", registry.oci());
    let only = ["--disable", "aws-ebs-csi-driver", "--disable", "aws-load-balancer-controller"];
    let base =
        [&["bundle", "--out", "x.tar", "--enable", "metrics-server", "--chart-repository", &from], &only[..]].concat();
    for major in [HelmMajor::Three, HelmMajor::Four] {
        let missing = [&base[..], &["--metrics-server-version", "9.9.9"]].concat();
        let run = alone(home.path(), major, &missing, &[]).await.expect(1);
        assert!(run.stderr.contains("chart `metrics-server` 9.9.9 not found in oci://"), "{}", run.stderr);

        let other = format!("metrics-server={}", digest_of(b"other"));
        let run = alone(home.path(), major, &[&base[..], &["--chart-digest", &other]].concat(), &[]).await.expect(4);
        for digest in [digest_of(b"other"), digest_of(&archive("metrics-server"))] {
            assert!(run.stderr.contains(&digest), "{}", run.stderr);
        }
    }
    assert!(!home.path().join("x.tar").exists());
    let none = [&["bundle", "--out", "x.tar"], &only[..]].concat();
    let run = alone(home.path(), HelmMajor::Four, &none, &[]).await.expect(64);
    assert!(run.stderr.contains("no component is wanted that has a chart"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_values_are_refused_before_any_call() {
    let aws = Aws::start(|_| {}).await;
    fs::write(aws.file("not-a-bundle.tar"), "x").unwrap();
    fs::create_dir(aws.file("charts")).unwrap();
    let digest = digest_of(b"x");
    let upper = format!("metrics-server={}", digest.to_uppercase());
    let short = format!("metrics-server={}", &digest[..70]);
    let cases: [(&[&str], &[&str]); 20] = [
        (&["--chart-repository", "oci://public.ecr.aws/x"], &["--chart-repository", "no `=`"]),
        (
            &["--chart-repository", "metric-server=oci://a.example/x"],
            &["--chart-repository", "did you mean `metrics-server`"],
        ),
        (&["--chart-repository", "gp3-storage-class=oci://a.example/x"], &["not known", "metrics-server"]),
        (&["--chart-repository", "metrics-server=a.example/x"], &["chart repository of metrics-server", "no scheme"]),
        (&["--chart-repository", "metrics-server="], &["chart repository of metrics-server", "no scheme"]),
        (&["--chart-repository", "metrics-server=file:///x"], &["the scheme is not https, http or oci"]),
        (&["--chart-repository", "metrics-server=oci://"], &["no host"]),
        (&["--chart-repository", "metrics-server=oci://a.example/x:1.0.0"], &["tag or digest"]),
        (&["--chart-repository", "metrics-server=https://u:p@a.example"], &["credentials", "helm registry login"]),
        (&["--chart-repository", "metrics-server=http://a.example"], &["plain HTTP", "--chart-digest"]),
        (
            &["--chart-repository", "metrics-server=oci://a.example/x", "--charts", "charts"],
            &["--chart-repository", "--charts", "EKS_BOOTSTRAP_CHARTS"],
        ),
        (&["--chart-digest", "sha256:00"], &["--chart-digest", "no `=`"]),
        (&["--chart-digest", "ebs=sha256:00"], &["--chart-digest", "not known"]),
        (&["--chart-digest", &upper], &["chart digest of metrics-server", "64 lower-case"]),
        (&["--chart-digest", &short], &["not a SHA-256 digest"]),
        (&["--chart-digest", "metrics-server=md5:00"], &["not a SHA-256 digest"]),
        (&["--image-registry", "https://a.example"], &["--image-registry", "scheme"]),
        (&["--image-registry", "mirror"], &["--image-registry", "not the host of a registry"]),
        (&["--charts", "nowhere"], &["--charts", "no such folder or file"]),
        (&["--charts", "not-a-bundle.tar"], &["--charts", "cannot be used as a bundle"]),
    ];
    for (arguments, expected) in cases {
        let run = aws.run(&[&["plan", "-c", "demo"], arguments].concat(), &[]).await.expect(64);
        for text in expected {
            assert!(run.stderr.contains(text), "{arguments:?}: {text}: {}", run.stderr);
        }
        assert!(run.stderr.contains("hint: "), "{arguments:?}: {}", run.stderr);
    }
    let file = "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {name: demo}\n";
    for (spec, expected) in [
        ("  imageRegistry: a.example/\n", "--image-registry"),
        ("  isolated: maybe\n", "spec.isolated: invalid type"),
        ("  components: {metricsServer: {chart: {repository: x}}}\n", "chart repository of metrics-server"),
        ("  components: {metricsServer: {chart: {digest: x}}}\n", "chart digest of metrics-server"),
        ("  components: {metricsServer: {chart: {repo: x}}}\n", "did you mean `repository`"),
    ] {
        fs::write(aws.file("demo.yaml"), format!("{file}{spec}")).unwrap();
        let run = aws.run(&["plan", "-f", "demo.yaml"], &[]).await.expect(64);
        assert!(run.stderr.contains(expected), "{spec}: {}", run.stderr);
    }
    assert!(aws.simulator.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_cluster_takes_charts_only_from_where_it_is_told() {
    let aws = Aws::start(|_| {}).await;
    let own = "aws-load-balancer-controller=oci://registry.internal/charts";
    let ebs = "aws-ebs-csi-driver=https://charts.internal";
    for (arguments, open) in [
        (&["--isolated"][..], "aws-load-balancer-controller, aws-ebs-csi-driver"),
        (&["--isolated", "--chart-repository", own], "charts of aws-ebs-csi-driver would"),
    ] {
        for command in [&["plan"][..], &["apply", "--yes"]] {
            let run = aws.run(&[command, &["-c", "demo"], arguments].concat(), &[]).await.expect(64);
            assert!(run.stderr.contains(open) && run.stderr.contains("--charts"), "{}", run.stderr);
        }
    }
    assert!(aws.simulator.calls().is_empty());
    // Where each is named, or off, AWS is asked.
    let named = ["plan", "-c", "demo", "--isolated", "--chart-repository", own, "--chart-repository", ebs];
    let only = ["--only", "iam.role.lbc"];
    aws.run(&[&named[..], &only].concat(), &[]).await.expect(0);
    assert!(!aws.simulator.calls().is_empty());
}

/// Values at paths that end with `.repository`.
fn repositories(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match field {
            Value::String(text) if name == "repository" => {
                found.insert(path, text.clone());
            }
            field => repositories(field, &path, found),
        }
    }
}

#[test]
fn known_images_are_those_of_the_charts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [root.join("templates/sandbox/charts"), root.join("../shared/upstream/charts")] {
        for component in component::BUILT_IN {
            // A plain clone has the stand-ins only.
            let Ok(text) = fs::read_to_string(folder.join(component.name).join("values.yaml")) else {
                assert!(folder.ends_with("upstream/charts"), "{} has no values", component.name);
                continue;
            };
            let mut theirs = BTreeMap::new();
            repositories(&serde_saphyr::from_str(&text).unwrap(), "", &mut theirs);
            let ours: BTreeMap<_, _> =
                component.images.iter().map(|image| (image.value.to_owned(), image.repository.to_owned())).collect();
            assert_eq!(ours, theirs, "{} in {}", component.name, folder.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_and_moved_all_of_them() {
    let home = tempfile::tempdir().unwrap();
    let charts = archives();
    let charts = charts.path().to_str().unwrap();
    // Everything that the charts can run.
    let file = "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  components:\n    \
        metricsServer: {enabled: true, values: {addonResizer: {enabled: true}}}\n    \
        awsEbsCsiDriver: {values: {controller: {volumeModificationFeature: {enabled: true}}}}\n";
    fs::write(home.path().join("all.yaml"), file).unwrap();
    let base = ["images", "-f", "all.yaml", "--charts", charts];
    let plain = alone(home.path(), HelmMajor::Three, &base, &[]).await.expect(0).stdout;
    let listed: BTreeSet<_> = plain.lines().map(|image| image.rsplit_once(':').unwrap().0).collect();
    let known: BTreeSet<_> =
        component::BUILT_IN.iter().flat_map(|part| part.images).map(|image| image.repository).collect();
    assert_eq!(listed, known, "every image is listed, and each is known");
    let tried: BTreeSet<_> = versions::TRIED.iter().flat_map(|set| set.images).copied().collect();
    assert_eq!(plain.lines().collect::<BTreeSet<_>>(), tried, "the tested sets name them with their tags");

    let moved = [&base[..], &["--image-registry", MIRROR]].concat();
    let text = alone(home.path(), HelmMajor::Four, &moved, &[]).await.expect(0);
    assert_eq!(text.stdout.lines().count(), plain.lines().count());
    assert!(text.stdout.lines().all(|image| image.starts_with("registry.example.com/mirror/")), "{}", text.stdout);
    assert_eq!(text.stderr, "");
    let document =
        alone(home.path(), HelmMajor::Four, &[&moved[..], &["-o", "json"]].concat(), &[]).await.expect(0).json();
    for image in document["images"].as_array().unwrap() {
        assert!(image["value"].as_str().unwrap().ends_with("image.repository"), "{image}");
        assert!(plain.lines().any(|line| image["source"] == line), "{image} is to be copied from where it is");
    }

    // What the user's own values name stays; what nobody knows is said.
    let file = "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  components:\n    \
        awsEbsCsiDriver: {enabled: false}\n    awsLoadBalancerController: {values: {image: {repository: own.example/lbc}}}\n";
    fs::write(home.path().join("own.yaml"), file).unwrap();
    let own = ["images", "-f", "own.yaml", "--charts", charts, "--image-registry", MIRROR];
    let run = alone(home.path(), HelmMajor::Four, &own, &[]).await.expect(0);
    assert_eq!(run.stdout, "own.example/lbc:v3.5.0\n");
    assert!(run.stderr.contains("by your own chart values"), "{}", run.stderr);

    // A chart that names an image in its template, where no value reaches it.
    let folder = home.path().join("charts");
    fs::create_dir_all(folder.join("metrics-server/templates")).unwrap();
    fs::write(folder.join("metrics-server/Chart.yaml"), "apiVersion: v2\nname: metrics-server\nversion: 3.13.1\n")
        .unwrap();
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: \"docker.io/a/b:1\"}]}\n";
    fs::write(folder.join("metrics-server/templates/pod.yaml"), pod).unwrap();
    let other = [
        "images",
        "--charts",
        "charts",
        "--image-registry",
        MIRROR,
        "--enable",
        "metrics-server",
        "--disable",
        "aws-ebs-csi-driver",
        "--disable",
        "aws-load-balancer-controller",
    ];
    let run = alone(home.path(), HelmMajor::Four, &other, &[]).await.expect(1);
    assert!(run.stderr.contains("metrics-server runs docker.io/a/b:1 outside"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_cluster_is_set_up_from_a_bundle() {
    let lab = Lab::with(Seed::builtin(), helm(HelmMajor::Three)).await;
    let charts = archives();
    let charts = charts.path().to_str().unwrap();
    let run =
        lab.run(&["bundle", "--out", "charts.tar", "--charts", charts, "--enable", "metrics-server"]).await.expect(0);
    assert!(run.stdout.contains("use it with --charts charts.tar"), "{}", run.stdout);
    assert_eq!(lab.sandbox.simulator.calls().len(), 0, "no AWS call is needed");
    let wanted = ["--charts", "charts.tar", "--isolated", "--enable", "metrics-server"];
    let with = |command: &[&'static str], more: &[&'static str]| [command, &wanted, more].concat();

    let diagnostics = |run: Run| run.json()["diagnostics"].to_string();
    let plan = lab.run(&with(&["plan", "-o", "json"], &[])).await.expect(0);
    assert!(diagnostics(plan).contains("--image-registry"));

    // Another file than the expected one: nothing is written.
    lab.forget();
    let other = format!("metrics-server={}", digest_of(b"other"));
    let wrong = [&with(&["apply", "--yes"], &["--image-registry", MIRROR])[..], &["--chart-digest", &other]].concat();
    let run = lab.run(&wrong).await.expect(4);
    assert!(run.stderr.contains(&digest_of(b"other")), "{}", run.stderr);
    assert_eq!((lab.aws_writes(), lab.helm_writes()), (vec![], vec![]));

    let right = digest_of(&archive("metrics-server"));
    let run = lab.run(&with(&["plan"], &["--image-registry", MIRROR])).await.expect(0);
    assert!(run.stdout.contains(&format!("+ {right}")), "{}", run.stdout);
    assert!(!run.stdout.contains("warning"), "{}", run.stdout);
    let pinned = format!("metrics-server={right}");
    let apply = [&with(&["apply", "--yes"], &["--image-registry", MIRROR])[..], &["--chart-digest", &pinned]].concat();
    lab.run(&apply).await.expect(0);
    assert!(lab.helm_runs().iter().all(|run| !run.starts_with("pull")), "{:?}", lab.helm_runs());

    let reader = lab.reader().await;
    let mut running = Vec::new();
    for kind in ["Deployment", "DaemonSet"] {
        // EKS's own workloads are not ours to move.
        let ours = "app.kubernetes.io/managed-by=Helm";
        running.extend(reader.list("apps/v1", kind, "kube-system", ours).await.unwrap());
    }
    let images = of_objects(&running);
    assert!(running.len() >= 4 && images.len() >= 7, "{images:?}");
    assert!(images.iter().all(|image| image.starts_with("registry.example.com/mirror/")), "{images:?}");
    let controller = lab.object("apps/v1", "Deployment", "aws-load-balancer-controller").await.to_string();
    for argument in ["--enable-shield=false", "--enable-waf=false", "--enable-wafv2=false"] {
        assert!(controller.contains(argument), "{argument}: {controller}");
    }
    lab.forget();
    lab.run(&with(&["plan", "--detailed-exitcode"], &["--image-registry", MIRROR])).await.expect(0);
    lab.run(&apply).await.expect(0);
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (vec![], vec![]));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_without_the_public_registries_are_told_of_a_mirror() {
    let seed = "account: \"111122223333\"\npartition: aws-cn\nregion: cn-north-1\n\
                clusters:\n- name: demo\n  nodegroups: [{name: a, role: nodes}]\n";
    let lab = Lab::with(Seed::from_yaml(seed).unwrap(), helm(HelmMajor::Four)).await;
    let warned = |run: Run| run.json()["diagnostics"].to_string().contains("--image-registry");
    assert!(warned(lab.run(&["plan", "-o", "json"]).await.expect(0)));
    assert!(!warned(lab.run(&["plan", "-o", "json", "--image-registry", MIRROR]).await.expect(0)));
    // Steps without pods need no images.
    assert!(!warned(lab.run(&["plan", "-o", "json", "--only", "iam.role.lbc"]).await.expect(0)));
    lab.stop().await;
}
