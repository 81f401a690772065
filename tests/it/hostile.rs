//! Words of others: hostile keys, values, tags and paths in the configuration, hostile versions, annotations and descriptions in the
//! cluster and in AWS. No output holds what a terminal would obey, the printed script runs the commands that were meant and nothing
//! else, and no secret is shown.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sources::registry::{CHARTS, archive};
use crate::support::{Lab, Run, program};

/// Breaks lines, comments and quotes, runs commands, moves the cursor, and reads from right to left.
const HOSTILE: &str =
    "x\n$(touch PWNED)\r\n`touch PWNED`\u{1b}]0;t\u{7}\u{1b}[31m'; touch PWNED; \"; touch PWNED #\u{9b}2J\u{202e}\n";
/// The same in the characters of IAM's paths.
const PATH: &str = "/$(touch${IFS}PWNED)'\";touch${IFS}PWNED;`touch${IFS}PWNED`#/";
/// Tags of AWS that the shorthand of its CLI does not hold.
const TAGS: [(&str, &str); 2] = [("team x", "= b"), ("mail@x", "a:b/c")];
const SECRET: &str = "hunter2-hunter2";
const LBC: &str = "aws-load-balancer-controller";

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
        let forged = text.lines().any(|line| line.starts_with("$(touch") || line.starts_with("`touch"));
        assert!(!forged, "{text}");
    }
    run
}

/// A configuration; `iam` is its part about IAM.
fn file(lab: &Lab, name: &str, iam: &Value, secret: &str) -> String {
    let values = json!({
        "extra": {HOSTILE: HOSTILE, "list": [HOSTILE]},
        "db": {"password": secret, "host": "db.example"},
        "more": [{"name": "API_TOKEN", "value": secret}, {"name": "PLAIN", "value": "1"}],
    });
    let document = json!({"apiVersion": "eks-bootstrap.dev/v1alpha1", "kind": "ClusterBootstrap", "spec": {
        "cluster": {"name": "demo", "region": "eu-west-1"},
        "iam": iam,
        "components": {"awsLoadBalancerController": {"values": values}},
    }});
    let path = lab.work.path().join(name);
    // YAML wants control characters escaped too.
    fs::write(&path, eks_bootstrap::escape::line(&document.to_string()).as_ref()).unwrap();
    path.display().to_string()
}

/// An executable file.
fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// One run of a fake program: its words, and what it was given on standard input.
#[derive(Debug)]
struct Called {
    words: Vec<String>,
    input: String,
}

/// Runs a script in an empty folder, with fakes that record how they were called.
fn run_script(script: &str, variables: &[(&str, &Path)]) -> (Output, Vec<Called>) {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    for name in ["fakes", "calls", "empty"] {
        fs::create_dir(of(name)).unwrap();
    }
    // Numbered, since the script runs one after the other.
    let fake = "#!/bin/bash\nn=$(printf %03d \"$(ls \"$CALLS\" | wc -l)\")\n\
                printf '%s\\0' \"${0##*/}\" \"$@\" > \"$CALLS/$n.words\"\ncat > \"$CALLS/$n.words.input\"\n";
    for name in ["aws", "kubectl", "helm"] {
        executable(&of("fakes").join(name), fake);
    }
    fs::write(of("script"), script).unwrap();
    let output = Command::new("bash")
        .arg(of("script"))
        .current_dir(of("empty"))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", of("fakes").display()))
        .env("CALLS", of("calls"))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let left: Vec<_> = fs::read_dir(of("empty")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "the script made {left:?}");
    let mut files: Vec<PathBuf> = fs::read_dir(of("calls")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "words"));
    files.sort();
    let called = files.iter().map(|file| {
        let words = fs::read_to_string(file).unwrap();
        let words = words.trim_end_matches('\0').split('\0').map(ToOwned::to_owned).collect();
        Called { words, input: fs::read_to_string(file.with_extension("words.input")).unwrap() }
    });
    (output, called.collect())
}

/// The calls of a plan in order, each by the program and the verb of its command.
fn calls(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap().iter();
    let calls = steps.flat_map(|step| step["calls"].as_array().unwrap());
    calls
        .map(|call| match call.as_str().unwrap().split_once(':').unwrap() {
            ("k8s", _) => "kubectl".to_owned(),
            ("helm", verb) => format!("helm {verb}"),
            (service, operation) => format!("aws {service} {}", operation.to_lowercase()),
        })
        .collect()
}

fn verb(called: &Called) -> String {
    match called.words.as_slice() {
        [program, service, operation, ..] if program == "aws" => {
            format!("aws {service} {}", operation.replace('-', ""))
        }
        words if words[0] == "kubectl" => "kubectl".to_owned(),
        words => words[..2].join(" "),
    }
}

fn word_after<'a>(called: &'a Called, flag: &str) -> &'a str {
    let at = called.words.iter().position(|word| word == flag).unwrap_or_else(|| panic!("{flag}: {called:?}"));
    &called.words[at + 1]
}

/// A script for a cluster with nothing in it: the words of the configuration arrive as they are.
async fn a_script_runs_what_was_meant(lab: &Lab) {
    let tags: BTreeMap<_, _> = TAGS.into();
    let file = file(lab, "hostile.yaml", &json!({"path": PATH, "tags": tags}), SECRET);
    let script = is_clean(lab.run(&["plan", "-o", "commands", "-f", &file]).await.expect(0)).stdout;
    let plan = is_clean(lab.run(&["plan", "-o", "json", "-f", &file]).await.expect(0)).json();
    assert!(plan.to_string().contains("(hidden)"), "{plan:#}");
    is_clean(lab.run(&["plan", "-f", &file]).await.expect(0));

    // What is secret is asked for, before anything runs.
    let (output, called) = run_script(&script, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("names no file"), "{stderr}");
    assert!(called.is_empty(), "{called:?}");
    assert!(script.contains("SECRETS_AWS_LOAD_BALANCER_CONTROLLER has to name a YAML file"), "{script}");

    let secrets = lab.work.path().join("secrets.yaml");
    let (output, called) = run_script(&script, &[("SECRETS_AWS_LOAD_BALANCER_CONTROLLER", &secrets)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(called.iter().map(verb).collect::<Vec<_>>(), calls(&plan), "{script}");
    let role = called.iter().find(|called| verb(called) == "aws iam createrole").unwrap();
    assert_eq!(word_after(role, "--path"), PATH);
    let given: Vec<BTreeMap<String, String>> = serde_json::from_str(word_after(role, "--tags")).unwrap();
    for (key, value) in TAGS {
        assert!(given.iter().any(|tag| tag["Key"] == key && tag["Value"] == value), "{given:?}");
    }
    let upgrade = called.iter().find(|called| verb(called) == "helm upgrade" && called.words[3] == LBC).unwrap();
    let values: Value = serde_json::from_str(&upgrade.input).unwrap();
    assert_eq!((&values["extra"][HOSTILE], &values["extra"]["list"][0]), (&json!(HOSTILE), &json!(HOSTILE)));
    assert_eq!((&values["db"], values.get("more")), (&json!({"host": "db.example"}), None));
    assert_eq!(upgrade.words.last().unwrap(), secrets.to_str().unwrap());

    // The configuration is shown without them, and what is shown is still a file.
    let view = is_clean(lab.run(&["config", "view", "-f", &file]).await.expect(0)).stdout;
    let read: Value = serde_saphyr::from_str(&view).unwrap();
    let values = &read["spec"]["components"]["awsLoadBalancerController"]["values"];
    assert_eq!((&values["extra"][HOSTILE], &values["db"]["password"]), (&json!(HOSTILE), &json!("(hidden)")));
    let view = is_clean(lab.run(&["config", "view", "-o", "json", "-f", &file]).await.expect(0)).json();
    assert!(view.as_array().unwrap().iter().any(|setting| setting["value"] == HOSTILE), "{view:#}");
}

/// A saved plan still holds what it hides, and helm has credentials only where it writes.
async fn secrets_arrive_and_are_compared(lab: &Lab) {
    let config = file(lab, "plain.yaml", &json!({}), SECRET);
    let recorder = lab.work.path().join("recorder");
    let real = crate::support::helm(crate::support::HelmMajor::Four);
    let record = "printf '%s %s\\n' \"$1\" \"$(env | grep -c '^AWS_')\" >> \"$0.log\"";
    executable(&recorder, &format!("#!/bin/sh\n{record}\nexec '{}' \"$@\"\n", real.display()));
    let recorder = recorder.display().to_string();
    is_clean(lab.run(&["plan", "--out", "saved.json", "-f", &config]).await.expect(0));
    is_clean(lab.run(&["-v", "apply", "--yes", "saved.json", "--helm", &recorder]).await.expect(0));
    let log = fs::read_to_string(format!("{recorder}.log")).unwrap();
    for (command, has_keys) in [("version", false), ("template", false), ("upgrade", true)] {
        let runs: Vec<_> = log.lines().filter_map(|line| line.strip_prefix(command)).map(str::trim).collect();
        assert!(!runs.is_empty() && runs.iter().all(|count| (*count != "0") == has_keys), "{command}: {log}");
    }
    let again = is_clean(lab.run(&["plan", "-o", "json", "-f", &config]).await.expect(0)).json();
    assert_eq!(calls(&again), Vec::<String>::new(), "helm recorded the secrets themselves");
    let other = file(lab, "other.yaml", &json!({}), "hunter3-hunter3");
    let changed = is_clean(lab.run(&["plan", "-f", &other]).await.expect(0)).stdout;
    assert!(changed.contains("values.db.password  (hidden) -> (hidden, changed)"), "{changed}");
    assert!(!changed.contains("hunter3"), "{changed}");
}

/// Makes the release of the controller one of somebody else's, with a chart of this version.
async fn forge_release(lab: &Lab, version: &str) {
    let records = lab.reader().await.list("v1", "Secret", "kube-system", &format!("owner=helm,name={LBC}")).await;
    let record = records.unwrap().pop().unwrap();
    let packed = STANDARD.decode(STANDARD.decode(record["data"]["release"].as_str().unwrap()).unwrap()).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    let mut release: Value = serde_json::from_str(&text).unwrap();
    release["chart"]["metadata"]["version"] = json!(version);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(release.to_string().as_bytes()).unwrap();
    let text = STANDARD.encode(STANDARD.encode(gzip.finish().unwrap()));
    let labels = record["metadata"]["labels"].as_object().unwrap().keys().filter(|name| name.contains('/'));
    let labels: BTreeMap<_, _> = labels.map(|name| (name.clone(), Value::Null)).collect();
    let path = format!("/api/v1/namespaces/kube-system/secrets/{}", record["metadata"]["name"].as_str().unwrap());
    lab.patch(&path, &json!({"data": {"release": text}, "metadata": {"labels": labels}})).await;
}

/// A world in which somebody else wrote all texts.
async fn what_the_world_says_is_data(lab: &Lab) {
    let config = file(lab, "plain.yaml", &json!({}), SECRET);
    let config = ["-f", &config];
    let roles = lab.iam().await.list_roles().send().await.unwrap();
    let role = roles.roles().iter().find(|role| role.role_name().contains(LBC)).unwrap().role_name().to_owned();
    // IAM takes no other control characters.
    let described = "x\n$(touch PWNED)\r\n`touch PWNED`\n# '; touch PWNED";
    lab.iam().await.update_role().role_name(&role).description(described).send().await.unwrap();
    let account = format!("/api/v1/namespaces/kube-system/serviceaccounts/{LBC}");
    let annotations = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": HOSTILE}}});
    lab.patch(&account, &annotations).await;
    forge_release(lab, HOSTILE).await;

    let script = is_clean(lab.run(&[&["plan", "-o", "commands"][..], &config].concat()).await.expect(0)).stdout;
    let (output, called) = run_script(&script, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan = is_clean(lab.run(&[&["plan", "-o", "json"][..], &config].concat()).await.expect(0)).json();
    assert_eq!(called.iter().map(verb).collect::<Vec<_>>(), calls(&plan), "{script}");
    let steps = plan["steps"].as_array().unwrap();
    let step = |id: &str| steps.iter().find(|step| step["id"] == id).unwrap();
    // The version reached the plan, and JSON holds it as it is.
    assert_eq!(step("helm.lbc")["action"], "blocked");
    assert!(step("helm.lbc")["reason"].as_str().unwrap().contains(HOSTILE), "{:#}", step("helm.lbc"));
    let before = &step("iam.role.lbc")["fields"][0]["before"];
    assert_eq!(before, described, "{:#}", step("iam.role.lbc"));
    for form in [&["plan"][..], &["-vv", "plan"], &["verify"], &["verify", "-o", "json"]] {
        is_clean(lab.run(&[form, &config].concat()).await);
    }
    for form in ["short", "junit"] {
        is_clean(lab.run(&[&["verify", "-o", form][..], &config].concat()).await);
    }
    for arguments in
        [["plan", "-c", HOSTILE], ["plan", "--tag", HOSTILE], ["plan", "-f", HOSTILE], ["plan", HOSTILE, "-q"]]
    {
        is_clean(lab.run(&arguments).await.expect(64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_others_are_data() {
    let lab = Lab::start().await;
    a_script_runs_what_was_meant(&lab).await;
    secrets_arrive_and_are_compared(&lab).await;
    what_the_world_says_is_data(&lab).await;
    lab.stop().await;
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
