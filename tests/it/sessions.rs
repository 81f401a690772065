//! Credentials that are dear: codes of MFA devices, programs that take their time, regions that take nobody's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::{AccessKey, Seed};
use rustix::process::Signal;

use crate::pty::Pty;
use crate::support::{Aws, Lab, Run, finish, helm, of_aws, program, signal};

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/jane";
const QUESTION: &str = "Enter the MFA code of arn:aws:iam::111122223333:mfa/jane (AWS profile `prod`): ";
/// Keys of a user, who may do nothing without a role.
const KEYS: [&str; 2] = ["AKIASANDBOXJANE00001", "sandbox/not-a-secret/for-the-simulator-3"];

/// A user with a device, and the role that wants its codes.
fn world(seed: &mut Seed) {
    let more = format!(
        "account: \"111122223333\"\nregion: eu-west-1\n\
         credentials:\n- {{accessKeyId: {}, secretAccessKey: {}, caller: \"arn:aws:iam::111122223333:user/jane\", deny: [\"iam:*\", \"eks:*\", \"ec2:*\", \"tag:*\"]}}\n\
         mfaDevices:\n- {{user: \"arn:aws:iam::111122223333:user/jane\", serial: \"{DEVICE}\", codes: [\"123456\", \"234567\"]}}\n\
         roles:\n- name: admin\n  attached: [\"arn:aws:iam::aws:policy/AdministratorAccess\"]\n  trust:\n    Version: \"2012-10-17\"\n    \
         Statement:\n    - Effect: Allow\n      Principal: {{AWS: \"arn:aws:iam::111122223333:root\"}}\n      \
         Action: \"sts:AssumeRole\"\n      Condition: {{Bool: {{\"aws:MultiFactorAuthPresent\": \"true\"}}}}\n",
        KEYS[0], KEYS[1]
    );
    let more: Seed = serde_saphyr::from_str(&more).unwrap();
    seed.roles.extend(more.roles);
    seed.credentials.extend(more.credentials);
    seed.mfa_devices.extend(more.mfa_devices);
}

/// Writes a shared file with the profiles of the user and of the role.
fn profiles(folder: &Path) -> String {
    let path = folder.join("profiles");
    let text = format!(
        "[profile user]\naws_access_key_id = {}\naws_secret_access_key = {}\nmfa_serial = {DEVICE}\n\
         [profile prod]\nregion = eu-west-1\nrole_arn = arn:aws:iam::111122223333:role/admin\nsource_profile = user\n\
         mfa_serial = {DEVICE}\n",
        KEYS[0], KEYS[1]
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Variables that are changed for a run.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// A variable, and nothing of the keys that tests have.
fn instead_of_keys<'a>(name: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
    [(name, value), ("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_is_enough_for_a_run_with_helm() {
    let mut seed = Seed::builtin();
    world(&mut seed);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let file = profiles(lab.work.path());
    let mut command = program(&["apply", "--yes", "-c", "demo", "--profile", "prod"], lab.work.path());
    command.envs(lab.sandbox.environment()).env("AWS_CONFIG_FILE", &file);
    // What would lead the children of helm elsewhere, if it counted.
    command.env("AWS_SESSION_TOKEN", "of-other-keys");
    lab.forget();
    let pty = Pty::open();
    let child = pty.start(command);
    pty.shows(QUESTION, 1).await;
    assert!(!pty.echoes());
    pty.types("999999");
    pty.shows(QUESTION, 2).await;
    pty.types("123456");
    let run = finish(child).await;
    let screen = pty.screen();
    assert_eq!(run.code, 0, "{screen}");
    assert!(pty.echoes());
    assert!(screen.contains("AWS did not accept this code"), "{screen}");
    assert_eq!(screen.matches(QUESTION).count(), 2, "{screen}");
    for typed in ["999999", "123456"] {
        assert!(!screen.contains(typed) && !run.stdout.contains(typed), "{screen}");
    }
    assert!(!lab.helm_writes().is_empty());
    let calls = lab.sandbox.simulator.calls();
    assert_eq!(calls.iter().filter(|call| call.operation == "AssumeRole").count(), 2);
    let writer = "arn:aws:sts::111122223333:assumed-role/admin/eks-bootstrap";
    assert!(calls.iter().filter(|call| call.write).all(|call| call.caller.as_deref() == Some(writer)), "{calls:?}");
    // Nothing secret is on a command line of helm.
    assert!(!lab.helm_runs().iter().any(|run| run.contains(KEYS[1]) || run.contains("ASIA")), "{:?}", lab.helm_runs());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_nobody_can_be_asked_for_or_that_is_broken_off_changes_nothing() {
    let aws = Aws::start(world).await;
    let file = profiles(aws.file("x").parent().unwrap());
    let variables = instead_of_keys("AWS_CONFIG_FILE", &file);
    let plan = of_aws(&["plan", "-c", "demo"]);
    let role = ["--profile", "user", "--assume-role", "arn:aws:iam::111122223333:role/admin"];
    // Without a terminal, however the profile is named.
    let by_variable = [&variables[..], &[("AWS_PROFILE", "prod")]].concat();
    let export = "aws configure export-credentials --profile prod --format env";
    let rows: [(&[&str], Variables<'_>, &str); 3] = [
        (&["--profile", "prod"], &variables, export),
        (&[], &by_variable, export),
        (&role, &variables, "--serial-number arn:aws:iam::111122223333:mfa/jane --token-code CODE"),
    ];
    for (flags, variables, how) in rows {
        let run = aws.run(&[&plan, flags].concat(), variables).await.expect(77);
        assert!(
            run.stderr.contains("requires a code from the MFA device") && run.stderr.contains(how),
            "{}",
            run.stderr
        );
    }
    let run = aws.run(&["token", "-c", "demo", "--profile", "prod"], &variables).await.expect(77);
    assert!(run.stderr.contains("there is no terminal to ask on"), "{}", run.stderr);
    // Who only prints what somebody else needs is asked for none.
    for more in [&[][..], &["--kubernetes"]] {
        let print = ["permissions", "-c", "demo", "--profile", "prod", "--account", "111122223333", "--for", "plan"];
        aws.run(&[&print[..], more].concat(), &variables).await.expect(0);
    }
    // Keys of the environment count before a profile that only AWS' variable names, as in the SDKs.
    let keys = [("AWS_CONFIG_FILE", file.as_str()), ("AWS_PROFILE", "prod")];
    aws.run(&plan, &keys).await.expect(0);
    let calls = aws.simulator.calls();
    assert!(!calls.iter().any(|call| call.operation == "AssumeRole"), "{calls:?}");

    // Ctrl-C at the question, and the code for the role of the flag.
    let pty = Pty::open();
    let child = pty.start(aws.command(&[&plan[..], &["--profile", "prod"]].concat(), &variables));
    pty.shows(QUESTION, 1).await;
    signal(&child, Signal::INT);
    let run = finish(child).await;
    assert_eq!(run.code, 130, "{}", pty.screen());
    pty.shows("nothing was changed", 1).await;
    assert!(pty.echoes(), "{}", pty.screen());
    let child = pty.start(aws.command(&[&plan[..], &role].concat(), &variables));
    pty.shows("(AWS profile `user`): ", 1).await;
    pty.types("123456");
    let run = finish(child).await;
    assert_eq!(run.code, 0, "{}", pty.screen());
    assert!(run.stdout.contains("role/admin"), "{}", run.stdout);
    assert!(aws.writes().is_empty());
}

/// A program that gives these keys for so many minutes and counts how often it is asked; its profile, and the count.
fn counted(folder: &Path, key: &AccessKey, minutes: u32) -> (String, PathBuf) {
    let (path, count) = (folder.join(format!("credentials-{minutes}")), folder.join(format!("count-{minutes}")));
    let ends = match minutes {
        0 => String::new(),
        minutes => format!(",\\\"Expiration\\\":\\\"$(date -u -d '+{minutes} minutes' +%Y-%m-%dT%H:%M:%SZ)\\\""),
    };
    let script = format!(
        "#!/bin/sh\necho x >> '{}'\n\
         echo \"{{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"{}\\\",\\\"SecretAccessKey\\\":\\\"{}\\\"{ends}}}\"\n",
        count.display(),
        key.access_key_id,
        key.secret_access_key
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.join(format!("config-{minutes}"));
    std::fs::write(&file, format!("[profile c]\nregion = eu-west-1\ncredential_process = {}\n", path.display()))
        .unwrap();
    (file.display().to_string(), count)
}

fn asked(count: &Path) -> usize {
    std::fs::read_to_string(count).unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_for_credentials_once_in_a_run_with_helm() {
    let lab = Lab::start().await;
    let key = lab.sandbox.simulator.access_key();
    let (file, count) = counted(lab.work.path(), &key, 60);
    let variables = instead_of_keys("AWS_CONFIG_FILE", &file);
    lab.run_with(&["apply", "--yes", "-c", "demo", "--profile", "c"], &variables).await.expect(0);
    assert!(lab.helm_writes().len() > 1, "{:?}", lab.helm_writes());
    assert_eq!(asked(&count), 1);
    // Without an end, and so near to it that they are renewed on the way.
    for (minutes, most) in [(0, 1), (2, 2)] {
        let (file, count) = counted(lab.work.path(), &key, minutes);
        let variables = instead_of_keys("AWS_CONFIG_FILE", &file);
        lab.run_with(&["plan", "-c", "demo", "--profile", "c"], &variables).await.expect(0);
        assert!((1..=most).contains(&asked(&count)), "{minutes}: {}", asked(&count));
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_not_enabled_is_named_as_such() {
    let aws = Aws::start(|seed| seed.disabled_regions.push("ap-east-1".to_owned())).await;
    let named = |run: Run| {
        let hint = "region ap-east-1 may not be enabled for this account";
        assert!(run.stderr.contains(hint), "{}", run.stderr);
        assert!(run.stderr.contains("aws account get-region-opt-status --region-name ap-east-1"), "{}", run.stderr);
    };
    let there = [("AWS_REGION", "ap-east-1")];
    named(aws.run(&["apply", "--yes", "-c", "demo", "-r", "ap-east-1"], &[]).await.expect(77));
    named(aws.run(&["plan", "-c", "demo"], &there).await.expect(77));
    let role = ["plan", "-c", "demo", "--assume-role", "arn:aws:iam::111122223333:role/demo-nodes-system"];
    named(aws.run(&role, &there).await.expect(77));
    let run = aws.run(&["verify", "-c", "demo"], &there).await.expect(77);
    assert!(run.stdout.contains("EKB-CRED-001") && run.stdout.contains("may not be enabled"), "{}", run.stdout);
    // Keys that are wrong in a region that every account has are wrong keys.
    let wrong = [("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN000000001")];
    let run = aws.run(&["plan", "-c", "demo"], &wrong).await.expect(77);
    assert!(run.stderr.contains("AWS does not know these credentials"), "{}", run.stderr);
}
