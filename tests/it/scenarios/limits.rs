//! Quotas of IAM, partitions, and what a configuration asks for that cannot be: said before anything is written.
//!
//! Failure modes 5, 6, 16, 17, 22 and 25, as far as AWS alone can tell them. Five versions of a policy are in `identity.rs`, more
//! KMS keys than one policy holds in `bad_values.rs`, the whole life in every partition in `partitions.rs`. How many OIDC
//! providers an account may have is not readable, so only `verify --pre` and IAM's own answer speak of it.

use std::collections::BTreeMap;

use eks_bootstrap::sandbox::aws::{Seed, SeedProvider, SeedQuotas, SeedRole};
use serde_json::{Value, json};

use crate::support::{Aws, of_aws};

const ROLE: &str = "arn:aws:iam::111122223333:role/shared";

/// A role that someone else made.
fn shared(seed: &mut Seed, trust: Value, attached: &[&str]) {
    let more: Seed = serde_saphyr::from_str(
        "account: \"111122223333\"\nregion: eu-west-1\nroles:\n- name: shared\n  trust: {Version: \"2012-10-17\", Statement: []}\n",
    )
    .unwrap();
    let attached = attached.iter().map(|name| format!("arn:aws:iam::aws:policy/{name}")).collect();
    seed.roles.push(SeedRole { trust, attached, ..more.roles[0].clone() });
}

fn of_other_clusters(count: usize) -> Value {
    let statement = |number: usize| {
        let issuer = format!("oidc.eks.eu-west-1.amazonaws.com/id/{number:032}");
        json!({"Sid": format!("Cluster{number}"), "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": format!("arn:aws:iam::111122223333:oidc-provider/{issuer}")},
        "Condition": {"StringEquals": {
            format!("{issuer}:aud"): "sts.amazonaws.com",
            format!("{issuer}:sub"): "system:serviceaccount:kube-system:aws-load-balancer-controller",
        }}})
    };
    json!({"Version": "2012-10-17", "Statement": (0..count).map(statement).collect::<Vec<_>>()})
}

/// The plan says it of the step, apply refuses, and nothing is written.
async fn is_refused(aws: &Aws, wanted: &[&'static str], step: &str, says: &str, mend: &str) {
    let command = |words: &[&'static str]| [&of_aws(words)[..], &["-c", "demo"], wanted].concat();
    let plan = aws.run(&command(&["plan", "-o", "json"]), &[]).await.expect(0).json();
    let found = plan["steps"].as_array().unwrap().iter().find(|found| found["id"] == step).unwrap();
    assert_eq!(found["action"], "blocked", "{found:#}");
    assert!(found["reason"].as_str().unwrap().contains(says), "{found:#}");
    assert!(found["mend"].as_str().unwrap().contains(mend), "{found:#}");
    aws.simulator.clear_calls();
    let refused = aws.run(&command(&["apply", "--yes"]), &[]).await.expect(4).stderr;
    assert!(refused.contains(says) && refused.contains(mend), "{refused}");
    assert_eq!(aws.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn full_roles_are_told_in_the_plan() {
    let ten = [
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEC2ContainerRegistryReadOnly",
        "AmazonEKSClusterPolicy",
        "AmazonEKSServicePolicy",
        "AmazonEKSVPCResourceController",
        "AmazonEKSWorkerNodeMinimalPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonSSMManagedInstanceCore",
        "CloudWatchAgentServerPolicy",
    ];
    let wanted = ["--lbc-role-arn", ROLE];
    let aws = Aws::start(|seed| shared(seed, of_other_clusters(1), &ten)).await;
    let says = "role shared holds 10 policies, IAM takes 10, and 1 more is needed";
    let mend = "aws iam list-attached-role-policies --role-name shared";
    is_refused(&aws, &wanted, "iam.attachment.lbc", says, mend).await;

    let aws = Aws::start(|seed| shared(seed, of_other_clusters(6), &[])).await;
    let says = "IAM takes 2048; 6 other clusters use it too";
    is_refused(&aws, &wanted, "iam.role.lbc", says, "--lbc-role-arn with another role").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_full_of_providers_is_told_before_and_when_it_happens() {
    let aws = Aws::start(|seed| {
        seed.oidc_providers.extend((0..100 - seed.oidc_providers.len()).map(|number| SeedProvider {
            url: format!("https://oidc.eks.eu-west-1.amazonaws.com/id/{number:032}"),
            client_ids: vec!["sts.amazonaws.com".to_owned()],
            thumbprints: Vec::new(),
            tags: BTreeMap::new(),
        }));
    })
    .await;
    let run = aws.run(&["verify", "--pre", "-c", "demo", "-o", "json"], &[]).await.json();
    let found = run["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "EKB-OIDC-003").unwrap();
    assert_eq!((&found["status"], &found["observed"]), (&json!("warning"), &json!("100 providers")), "{found:#}");
    let apply = [&of_aws(&["apply", "--yes"])[..], &["-c", "demo"]].concat();
    let failed = aws.run(&apply, &[]).await.expect(1).stderr;
    for part in ["OpenIdConnectProvidersPerAccount: 100", "aws iam list-open-id-connect-providers", "pod-identity"] {
        assert!(failed.contains(part), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_full_of_roles_is_told_before_and_when_it_happens() {
    let found = async |aws: &Aws| {
        let run = aws.run(&["verify", "--pre", "-c", "demo", "-o", "json"], &[]).await.json();
        let findings = run["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["id"] == "EKB-POL-008").cloned().unwrap()
    };
    let aws = Aws::start(|_| {}).await;
    assert_eq!(found(&aws).await["status"], "ok");
    let aws = Aws::start(|seed| {
        seed.quotas = SeedQuotas { roles: seed.roles.len() + 1, ..SeedQuotas::default() };
    })
    .await;
    let full = found(&aws).await;
    assert_eq!((&full["status"], &full["expected"]), (&json!("warning"), &json!("room for 2 roles")), "{full:#}");
    let apply = [&of_aws(&["apply", "--yes"])[..], &["-c", "demo"]].concat();
    let failed = aws.run(&apply, &[]).await.expect(1).stderr;
    assert!(failed.contains("RolesPerAccount"), "{failed}");

    // The printed policy is enough to ask, and whoever has less is told.
    let printed = aws.run(&["permissions", "-c", "demo", "--for", "verify"], &[]).await.expect(0).stdout;
    let allow =
        |text: &str| aws.simulator.set_caller_policy(Some(eks_bootstrap::policy::Document::parse(text).unwrap()));
    allow(&printed);
    assert_eq!(found(&aws).await["status"], "warning");
    allow(&printed.replace("iam:GetAccountSummary", "iam:GetAccountName"));
    let unread = found(&aws).await;
    assert_eq!(unread["status"], "unknown", "{unread:#}");
    assert!(unread["mend"].as_str().unwrap().starts_with("allow iam:GetAccountSummary"), "{unread:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_quota_of_trust_policies_is_asked_for_and_used() {
    let aws = Aws::start(|seed| {
        shared(seed, of_other_clusters(6), &[]);
        seed.quotas.trust_policy_size = 4096;
    })
    .await;
    let apply = [&of_aws(&["apply", "--yes"])[..], &["-c", "demo", "--lbc-role-arn", ROLE]].concat();
    aws.run(&apply, &[]).await.expect(0);
    let trust = aws.simulator.snapshot()["roles"]["shared"]["trust"].to_string();
    assert!(trust.len() > 2048 && trust.contains("EksBootstrapIrsa"), "{trust}");
}

#[tokio::test(flavor = "multi_thread")]
async fn arns_of_another_partition_are_refused_before_the_first_call() {
    let aws = Aws::start(|_| {}).await;
    let class = "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec: {components: {gp3StorageClass: {enabled: \
                 true, kmsKeyId: \"arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"}}}\n";
    std::fs::write(aws.file("class.yaml"), class).unwrap();
    let role = "arn:aws-cn:iam::111122223333:role/x";
    let policy = "arn:aws-us-gov:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";
    let key = "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for (flags, field, value) in [
        (&["--assume-role", role][..], "--assume-role", role),
        (&["--permissions-boundary", policy], "--permissions-boundary", policy),
        (&["--lbc-role-arn", role], "--lbc-role-arn", role),
        (&["--ebs-role-arn", role], "--ebs-role-arn", role),
        (&["--lbc-policy-arn", policy], "--lbc-policy-arn", policy),
        (&["--ebs-policy-arn", policy], "--ebs-policy-arn", policy),
        (&["--kms-key", key], "--kms-key", key),
        (&["--attach-node-role", "--node-role", role], "--node-role", role),
        (&["-f", "class.yaml"], "kmsKeyId of gp3-storage-class", key),
    ] {
        let run = aws.run(&[&["plan", "-c", "demo"], flags].concat(), &[]).await.expect(64);
        for part in [field, value, "the cluster of aws", "begins with `arn:aws:`"] {
            assert!(run.stderr.contains(part), "{flags:?} without {part}: {}", run.stderr);
        }
    }
    assert_eq!(aws.simulator.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_partition_lacks_the_newer_policy_the_older_one_serves() {
    let aws = Aws::start(|seed| seed.absent_managed_policies.push("AmazonEBSCSIDriverPolicyV2".to_owned())).await;
    let command = |words: &[&'static str], more: &[&'static str]| [&of_aws(words)[..], &["-c", "demo"], more].concat();
    let plan = aws.run(&command(&["plan", "-o", "json"], &[]), &[]).await.expect(0).json();
    let steps = plan["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["id"] == "iam.attachment.ebs").unwrap();
    assert_eq!(found["reason"], "attach AmazonEBSCSIDriverPolicy", "{found:#}");
    let refused = aws.run(&command(&["apply", "--yes"], &["--ebs-policy", "v2"]), &[]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("AmazonEBSCSIDriverPolicyV2 exists in this partition"), "{}", refused.stderr);
    assert_eq!(aws.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_the_class_has_is_told_in_the_plan() {
    let aws = Aws::start(|_| {}).await;
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let file = |driver: &str| {
        let head = "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  components:\n";
        let text = format!(
            "{head}    gp3StorageClass: {{enabled: true, kmsKeyId: \"{key}\"}}\n    awsEbsCsiDriver: {{{driver}}}\n"
        );
        std::fs::write(aws.file("keys.yaml"), text).unwrap();
    };
    let plan = [&of_aws(&["plan", "-o", "json"])[..], &["-c", "demo", "-f", "keys.yaml"]].concat();
    file("");
    let told = aws.run(&plan, &[]).await.expect(0).json()["diagnostics"].to_string();
    assert!(
        told.contains("no policy lets the driver use it") && told.contains(&format!("--kms-key {key} makes one")),
        "{told}"
    );
    for driver in [format!("kmsKeys: [\"{key}\"]"), format!("roleArn: \"{ROLE}\"")] {
        file(&driver);
        let told = aws.run(&plan, &[]).await.expect(0).json()["diagnostics"].to_string();
        assert!(!told.contains("no policy lets the driver"), "{driver}: {told}");
    }
}

/// 22: what a node's role may do, every pod on the node may do.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_role_with_the_drivers_policy_is_a_warning() {
    let aws = Aws::start(|_| {}).await;
    let policy = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";
    let found = async |wanted: &[&'static str]| {
        let verify = [&["verify", "-c", "demo", "-o", "json"], wanted].concat();
        let run = aws.run(&verify, &[]).await.json();
        let findings = run["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["id"] == "EKB-POL-007").cloned().unwrap()
    };
    let apply = |more: &[&'static str]| {
        [&of_aws(&["apply", "--yes", "--only", "iam.node-role.ebs"])[..], &["-c", "demo"], more].concat()
    };
    aws.run(&apply(&[]), &[]).await.expect(0);
    assert_eq!(found(&[]).await["says"], "on none of the 2 roles of the node groups");

    // Ours, from a run that asked for it.
    aws.run(&apply(&["--attach-node-role"]), &[]).await.expect(0);
    assert_eq!(found(&["--attach-node-role"]).await["status"], "ok");
    let ours = found(&[]).await;
    assert_eq!((&ours["status"], &ours["about"]), (&json!("warning"), &json!("ebs")), "{ours:#}");
    assert!(ours["observed"].as_str().unwrap().starts_with("AmazonEBSCSIDriverPolicyV2 on demo-nodes-system, "));
    assert_eq!(ours["mend"], "eks-bootstrap apply --only iam.node-role.ebs");
    aws.run(&["apply", "--yes", "-c", "demo", "--only", "iam.node-role.ebs"], &[]).await.expect(0);
    assert_eq!(found(&[]).await["status"], "ok");

    // Someone else's, which stays theirs to take off.
    let iam = crate::permissions_enforced::iam(&aws.simulator);
    iam.attach_role_policy().role_name("demo-nodes-workers").policy_arn(policy).send().await.unwrap();
    let mend = format!("aws iam detach-role-policy --role-name demo-nodes-workers --policy-arn {policy}");
    assert_eq!(found(&[]).await["mend"], mend.as_str());

    // The printed policy is enough for the look, and who has less is told.
    let printed = aws.run(&["permissions", "-c", "demo", "--for", "verify"], &[]).await.expect(0).stdout;
    aws.simulator.set_caller_policy(Some(eks_bootstrap::policy::Document::parse(&printed).unwrap()));
    assert_eq!(found(&[]).await["mend"], mend.as_str());
}
