//! Secrets and credentials around helm: what helm repeats of the values that it was given is hidden, and a helm that reaches no
//! cluster and no credential helper is started without the caller's credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::sources::registry::{CHARTS, archive};
use crate::support::{Run, program};

const SECRET: &str = "hunter2-hunter2";

/// Whether a terminal would obey it, or show something else; layout is line breaks.
fn is_obeyed(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Makes sure that outputs can be looked at, and tell no secret.
fn is_clean(run: Run) -> Run {
    for text in [&run.stdout, &run.stderr] {
        let obeyed: Vec<_> = text.lines().filter(|line| line.chars().any(is_obeyed)).collect();
        assert!(obeyed.is_empty(), "{obeyed:?}");
        assert!(!text.contains(SECRET), "{text}");
    }
    run
}

/// An executable file.
fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helm_without_a_cluster_has_no_credentials_and_repeats_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let of = |name: &str| home.path().join(name);
    // It fails with what it was given, as helm does where a schema refuses a value.
    let fails = "printf '%s %s\\n' \"$1\" \"$(env | grep -c '^AWS_')\" >> \"$0.log\"\n\
                 for word; do case \"$word\" in *.json) cat \"$word\" >&2 ;; esac; done\nexit 1";
    executable(&of("helm"), &format!("#!/bin/sh\n[ \"$1\" = version ] && echo v4.0.0 && exit 0\n{fails}\n"));
    fs::create_dir(of("charts")).unwrap();
    for (name, version) in CHARTS {
        fs::write(of("charts").join(format!("{name}-{version}.tgz")), archive(name)).unwrap();
    }
    let values =
        format!("{{db: {{password: {SECRET}}}, list: [{{name: A_TOKEN, value: {SECRET}}}], host: db.example}}");
    let components = format!("{{awsLoadBalancerController: {{values: {values}}}}}");
    let file =
        format!("apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec: {{components: {components}}}\n");
    fs::write(of("file.yaml"), file).unwrap();
    fs::create_dir(of("docker")).unwrap();
    fs::write(of("docker/config.json"), r#"{"credHelpers": {"127.0.0.1:9": "ecr-login"}}"#).unwrap();
    let run = |arguments: &[&str], docker: &str| {
        let mut command = program(arguments, home.path());
        command.env("EKS_BOOTSTRAP_HELM", of("helm")).env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        command.env("AWS_SECRET_ACCESS_KEY", "x").env("DOCKER_CONFIG", of(docker));
        is_clean(command.output().unwrap().into()).expect(1)
    };
    let rendered = run(&["images", "-f", "file.yaml", "--charts", "charts"], "nothing");
    assert!(rendered.stderr.contains("(hidden)") && rendered.stderr.contains("db.example"), "{}", rendered.stderr);
    let repository = ["images", "--chart-repository", "aws-load-balancer-controller=oci://127.0.0.1:9/charts"];
    run(&repository, "nothing");
    run(&repository, "docker");
    let log = fs::read_to_string(of("helm.log")).unwrap();
    let runs: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let [("template", "0"), ("pull", "0"), ("pull", kept)] = runs.as_slice() else { panic!("{log}") };
    assert_ne!(*kept, "0", "the helper of this registry needs them");
}
