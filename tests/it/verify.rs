//! `verify` as a person and a pipeline see it: forms, exit codes, what is skipped, what is not known, and that it writes
//! nothing. What the single checks find is planted in `scenarios`.

use std::collections::BTreeMap;

use crate::support::HelmMajor;
use eks_bootstrap::checks;
use eks_bootstrap::sandbox::aws::Seed;
use serde_json::{Value, json};

use crate::permissions;
use crate::support::{Aws, Lab, Run, helm};

/// The finding of a check, about a component.
fn finding(run: &Run, id: &str, about: Option<&str>) -> Value {
    let document = run.json();
    let findings = document["findings"].as_array().unwrap();
    let of = |finding: &&Value| finding["id"] == id && finding["about"].as_str() == about;
    findings.iter().find(of).unwrap_or_else(|| panic!("no {id} in {document:#}")).clone()
}

fn status(run: &Run, id: &str, about: Option<&str>) -> String {
    finding(run, id, about)["status"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_answer_is_said_once() {
    let aws = Aws::start(|seed| seed.clusters[0].endpoint_public_access = false).await;
    let run = aws.run(&["verify", "-c", "demo", "-o", "json"], &[]).await.expect(3);
    assert_eq!(run.json()["schema"], "eks-bootstrap/verify/v1");
    assert_eq!(status(&run, "EKB-CLUS-003", None), "failed");
    assert_eq!(status(&run, "EKB-CLUS-007", None), "warning");
    assert_eq!(status(&run, "EKB-OIDC-001", None), "failed");
    assert_eq!(finding(&run, "EKB-IRSA-001", Some("lbc"))["reason"], "needs EKB-CLUS-003");
    // What AWS alone can tell is told all the same.
    assert_eq!(status(&run, "EKB-IRSA-003", Some("ebs")), "failed");
    assert_eq!(finding(&run, "EKB-IRSA-004", Some("ebs"))["reason"], "needs EKB-IRSA-003");

    let junit = aws.run(&["verify", "-c", "demo", "-o", "junit"], &[]).await.expect(3).stdout;
    assert!(junit.starts_with("<?xml") && junit.contains("EKB-CLUS-003") && junit.contains("<failure"), "{junit}");
    let short = aws.run(&["verify", "-c", "demo", "-o", "short"], &[]).await.expect(3).stdout;
    assert!(short.lines().any(|line| line.starts_with("fail  EKB-OIDC-001  ")), "{short}");
    assert!(!short.contains("EKB-CRED-001"), "only what is not as it should be: {short}");
    assert_eq!(aws.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_unknown_and_says_what_to_allow() {
    let aws = Aws::start(|seed| {
        seed.deny = ["iam:GetRole", "iam:Simulate*", "eks:ListPodIdentityAssociations"].map(str::to_owned).to_vec();
    })
    .await;
    let run = aws.run(&["verify", "-c", "demo", "-o", "json"], &[]).await.expect(3);
    for id in ["EKB-IRSA-003", "EKB-IRSA-004", "EKB-IRSA-009", "EKB-POL-005"] {
        let finding = finding(&run, id, Some("lbc"));
        assert_eq!(finding["status"], "unknown", "{finding}");
        assert!(finding["mend"].as_str().unwrap().starts_with("allow iam:GetRole for the caller"), "{finding}");
    }
    let finding = finding(&run, "EKB-POL-004", Some("lbc"));
    assert_eq!(finding["status"], "warning", "an advice that is missing is no failure");
    assert!(finding["mend"].as_str().unwrap().starts_with("allow iam:SimulatePrincipalPolicy"), "{finding}");
    assert_eq!(status(&run, "EKB-PODID-001", Some("lbc")), "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_credentials_usage_and_findings_apart() {
    let aws = Aws::start(|_| {}).await;
    let bare = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let run = aws.run(&["verify", "-c", "demo", "-o", "json"], &bare).await.expect(77);
    assert_eq!(status(&run, "EKB-CRED-001", None), "failed");
    let run = aws.run(&["verify", "-c", "demmo", "-o", "json"], &[]).await.expect(3);
    assert!(finding(&run, "EKB-CLUS-001", None)["mend"].as_str().unwrap().contains("did you mean demo"));
    for (wrong, says) in [
        (&["--skip", "EKB-NOPE"][..], "EKB-NOPE"),
        (&["--skip", "EKB-IRSA-999"], "EKB-IRSA-00"),
        (&["--wait", "soon"], "soon"),
        (&["--fail-on", "everything"], "everything"),
    ] {
        let run = aws.run(&[&["verify", "-c", "demo"], wrong].concat(), &[]).await.expect(64);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    let named = "arn:aws:iam::111122223333:role/nobody";
    let run = aws.run(&["verify", "-c", "demo", "-o", "json", "--lbc-role-arn", named], &[]).await.expect(3);
    let mend = finding(&run, "EKB-IRSA-003", Some("lbc"))["mend"].as_str().unwrap().to_owned();
    assert!(mend.starts_with("correct --lbc-role-arn"), "{mend}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_listed_explained_and_skipped() {
    let aws = Aws::start(|_| {}).await;
    let list = aws.run(&["verify", "--list-checks"], &[]).await.expect(0).stdout;
    for check in checks::all() {
        assert!(list.contains(check.id) && list.contains(check.title), "{} is not in {list}", check.id);
    }
    for id in ["EKB-IRSA-004", "EKB-PERM-001", "EKB-OWN-003", "EKB-POL-004"] {
        let text = aws.run(&["explain", id], &[]).await.expect(0).stdout;
        let check = checks::of(id).unwrap();
        assert!(text.contains(check.why) && text.contains(check.references[0]), "{text}");
    }
    assert!(aws.simulator.calls().is_empty(), "nothing was asked of AWS");
    let families: Vec<_> = checks::FAMILIES.iter().map(|family| format!("EKB-{}", family.code)).collect();
    let skips: Vec<_> = families.iter().flat_map(|family| ["--skip", family.as_str()]).collect();
    let run = aws.run(&[&["verify", "-c", "demo", "-o", "json"], &skips[..]].concat(), &[]).await.expect(0);
    let reasons = run.json()["findings"].as_array().unwrap().iter().map(|it| it["reason"].clone()).collect::<Vec<_>>();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason == "by --skip"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_mode_needs_no_components_unless_they_are_asked_for() {
    let aws = Aws::start(|seed| seed.clusters[0].auto_mode = true).await;
    let run = aws.run(&["verify", "-c", "demo", "-o", "json"], &[]).await.expect(3);
    assert_eq!(status(&run, "EKB-CLUS-006", None), "skipped");
    assert_eq!(status(&run, "EKB-IRSA-003", None), "skipped");
    let enabled = ["verify", "-c", "demo", "-o", "json", "--enable", "aws-ebs-csi-driver"];
    let run = aws.run(&enabled, &[]).await.expect(3);
    let finding = finding(&run, "EKB-CLUS-006", None);
    assert_eq!(finding["mend"], "eks-bootstrap destroy --enable aws-ebs-csi-driver");
    assert_eq!(status(&run, "EKB-IRSA-003", Some("ebs")), "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_may_not_make_roles_knows_it_before() {
    let aws = Aws::start(|seed| {
        let admin = seed.roles.iter_mut().find(|role| role.name == "platform-admin").unwrap();
        let deny = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*"}]});
        admin.inline = BTreeMap::from([("no-roles".to_owned(), deny)]);
        seed.clusters[0].version = Some("1.99".to_owned());
    })
    .await;
    let run = aws.run(&["verify", "--pre", "-c", "demo", "-o", "json"], &[]).await.expect(3);
    assert_eq!(run.json()["stage"], "before");
    let denied = finding(&run, "EKB-PERM-001", None);
    assert_eq!(
        (denied["status"].as_str(), denied["mend"].as_str()),
        (Some("failed"), Some("eks-bootstrap permissions --for apply"),)
    );
    let observed = denied["observed"].as_str().unwrap();
    assert!(observed.starts_with("iam:CreateRole on arn:aws:iam::111122223333:role/demo-"), "{observed}");
    assert!(observed.ends_with("denied by policy role_platform-admin_no-roles"), "{observed}");
    assert_eq!(status(&run, "EKB-CLUS-005", None), "warning", "a Kubernetes that nobody tried");
    assert!(run.json()["findings"].as_array().unwrap().iter().all(|it| it["id"] != "EKB-IRSA-001"));
    assert_eq!(aws.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_rights_in_the_cluster_knows_it_before() {
    let mut seed = Seed::builtin();
    seed.caller.groups = Some(vec!["viewers".to_owned()]);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let run = lab.run(&["verify", "--pre", "-o", "json"]).await.expect(3);
    assert_eq!(status(&run, "EKB-CLUS-003", None), "ok", "forbidden is an answer");
    assert_eq!(status(&run, "EKB-CLUS-004", None), "unknown");
    assert_eq!(status(&run, "EKB-PERM-001", None), "ok");
    let denied = finding(&run, "EKB-PERM-002", None);
    assert_eq!(denied["status"], "failed");
    for part in ["create serviceaccounts/token", "create customresourcedefinitions.apiextensions.k8s.io"] {
        assert!(denied["observed"].as_str().unwrap().contains(part), "{denied}");
    }
    lab.stop().await;
}

/// The versions of everything in the cluster that changes only when someone writes it.
async fn versions(lab: &Lab) -> BTreeMap<String, Value> {
    let reader = lab.reader().await;
    let mut versions = BTreeMap::new();
    for (api_version, kind) in [
        ("v1", "Secret"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("v1", "ConfigMap"),
        ("v1", "Namespace"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("networking.k8s.io/v1", "Ingress"),
        ("networking.k8s.io/v1", "IngressClass"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("storage.k8s.io/v1", "CSIDriver"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ] {
        for object in reader.list(api_version, kind, "", "").await.unwrap() {
            let name = format!("{kind}/{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]);
            versions.insert(name, object["metadata"]["resourceVersion"].clone());
        }
    }
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn before_and_after_an_installation_it_looks_and_writes_nothing() {
    let lab = Lab::start().await;
    let run = lab.run(&["verify", "--pre", "-o", "json"]).await.expect(0);
    for (id, about) in [
        ("EKB-TOOL-001", None),
        ("EKB-TOOL-002", Some("lbc")),
        ("EKB-PERM-001", None),
        ("EKB-PERM-002", None),
        ("EKB-CRED-003", None),
        ("EKB-OWN-004", Some("ebs")),
    ] {
        assert_eq!(status(&run, id, about), "ok", "{}", finding(&run, id, about));
    }
    let without = [("HELM_BIN", ""), ("EKS_BOOTSTRAP_HELM", ""), ("PATH", "/nowhere")];
    let run = lab.run_with(&["verify", "--pre", "-o", "json"], &without).await.expect(3);
    assert_eq!(finding(&run, "EKB-TOOL-001", None)["says"], "there is no helm");
    let run = lab.run(&["verify", "--pre", "-o", "json", "--lbc-version", "9.9.9"]).await.expect(3);
    let chart = finding(&run, "EKB-TOOL-002", Some("lbc"));
    assert!(chart["observed"].as_str().unwrap().contains("it holds aws-load-balancer-controller 3.5.0"), "{chart}");
    // Nothing is installed yet: the same command without --pre says so, with the one command that is missing.
    let run = lab.run(&["verify", "-o", "json"]).await.expect(3);
    assert_eq!(finding(&run, "EKB-OWN-003", Some("lbc"))["mend"], "eks-bootstrap apply");
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (Vec::new(), Vec::new()));

    lab.run(&["apply", "--yes"]).await.expect(0);
    lab.run(&["verify", "--wait", "60s"]).await.expect(0);
    let allowed = permissions::of(&lab, "verify").await;
    let before = versions(&lab).await;
    lab.forget();
    let run = lab.run(&["verify"]).await.expect(0);
    permissions::covered(&allowed, &lab.sandbox.simulator.calls());
    assert!(run.stdout.contains("\nIRSA\n  ok    EKB-IRSA-001  lbc: service account"), "{}", run.stdout);
    assert_eq!((lab.aws_writes(), lab.helm_runs()), (Vec::new(), Vec::new()));
    assert_eq!(versions(&lab).await, before);

    // A warning fails a run only where that is asked for.
    let iam = lab.iam().await;
    let roles = iam.list_roles().send().await.unwrap();
    let role =
        roles.roles().iter().map(aws_sdk_iam::types::Role::role_name).find(|name| name.contains("ebs-csi")).unwrap();
    let older = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";
    iam.attach_role_policy().role_name(role).policy_arn(older).send().await.unwrap();
    let run = lab.run(&["verify", "-o", "json"]).await.expect(0);
    assert_eq!(status(&run, "EKB-POL-006", Some("ebs")), "warning");
    // That no StorageClass is the default is a warning of its own.
    let strict = ["verify", "--fail-on", "warning", "--skip", "EKB-SC"];
    lab.run(&strict).await.expect(3);
    lab.run(&[&strict[..], &["--skip", "EKB-POL-006"]].concat()).await.expect(0);
    lab.stop().await;
}
