//! The reader over `SimulatePrincipalPolicy`: pages joined, decisions and missing keys kept, requests in their order, actions that
//! IAM refuses together asked apart; and what `verify` makes of an organisation's denial.

use eks_bootstrap::error::Error;
use eks_bootstrap::read::iam::IamRead;
use eks_bootstrap::read::simulation::SimulatedDecision::{Allowed, ImplicitDeny};
use eks_bootstrap::read::simulation::SimulationRequest;
use eks_bootstrap::sandbox::aws::{Seed, SeedOrganization, Simulator};
use serde_json::Value;

use crate::support::{Aws, of_aws};

const ROLE: &str = "arn:aws:iam::111122223333:role/driver";
const VOLUME: &str = "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1";

fn reader(simulator: &Simulator) -> IamRead {
    let key = simulator.access_key();
    let credentials =
        aws_credential_types::Credentials::new(key.access_key_id, key.secret_access_key, None, None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-1"))
        .http_client(simulator.http_client())
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .build();
    IamRead::new(&config)
}

#[tokio::test]
async fn what_a_role_may_do_is_read_page_by_page() {
    let seed = Seed::from_yaml(
        "account: \"111122223333\"\nregion: eu-west-1\npageSize: 1\nroles:\n- name: driver\n  trust: {Version: \"2012-10-17\", \
         Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: sts:AssumeRole}]}\n  \
         attached: [\"arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2\"]\n  \
         boundary: arn:aws:iam::aws:policy/AdministratorAccess\n",
    )
    .unwrap();
    let simulator = Simulator::new(seed).unwrap();
    let reader = reader(&simulator);
    let text = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    let requests = [
        SimulationRequest {
            actions: text(&["ec2:DescribeVolumes", "ec2:RunInstances"]),
            ..SimulationRequest::default()
        },
        SimulationRequest {
            actions: text(&["ec2:CreateVolume", "ec2:DeleteVolume"]),
            resources: text(&[VOLUME]),
            context: vec![("aws:RequestTag/ebs.csi.aws.com/cluster".to_owned(), text(&["true"]))],
        },
    ];
    let told = reader.simulate(ROLE, &requests).await.unwrap();
    let decisions: Vec<_> = told.iter().map(|result| (result.action.as_str(), result.decision)).collect();
    let expected = [
        ("ec2:DescribeVolumes", Allowed),
        ("ec2:RunInstances", ImplicitDeny),
        ("ec2:CreateVolume", Allowed),
        ("ec2:DeleteVolume", ImplicitDeny),
    ];
    assert_eq!(decisions, expected);
    // The first request is refused as a whole, since its actions need different things, and then asked action by action.
    let asked = simulator.calls().into_iter().filter(|call| call.operation == "SimulatePrincipalPolicy");
    let refused: Vec<_> = asked.filter_map(|call| call.error).collect();
    assert_eq!(refused, ["InvalidInput"]);
    assert_eq!((told[0].resource.as_str(), told[2].resource.as_str()), ("*", VOLUME));
    assert!(told.iter().all(|result| result.within_boundary == Some(true)), "{told:?}");
    assert_eq!(told[2].policies, ["AmazonEBSCSIDriverPolicyV2", "AdministratorAccess"]);
    assert!(
        told[2].missing.is_empty() && told[3].missing.iter().all(|key| key.starts_with("ec2:ResourceTag/")),
        "{told:?}"
    );
    let error = reader.simulate("arn:aws:iam::111122223333:role/none", &requests).await.unwrap_err();
    assert!(matches!(&error, Error::Aws(error) if error.not_found()), "{error:?}");
}

fn finding<'a>(run: &'a Value, id: &str, about: Option<&str>) -> &'a Value {
    let about = about.map_or(Value::Null, Value::from);
    let all = run["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["id"] == id && finding["about"] == about).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_organisation_denies_is_told_of_the_organisation() {
    let aws = Aws::start(|seed| {
        seed.organization =
            Some(SeedOrganization { deny: vec!["ec2:CreateVolume".to_owned(), "iam:UpdateRole".to_owned()] });
    })
    .await;
    let ask = "ask whoever keeps the organisation's service control policies";
    let before = aws.run(&["verify", "--pre", "-c", "demo", "-o", "json"], &[]).await.json();
    let caller = finding(&before, "EKB-PERM-001", None);
    assert_eq!(caller["says"], "a policy of the organisation denies iam:UpdateRole to the caller", "{caller:#}");
    assert!(caller["mend"].as_str().unwrap().starts_with(ask), "{caller:#}");

    let of = |words: &[&'static str]| [&of_aws(words)[..], &["-c", "demo"]].concat();
    aws.run(&of(&["apply", "--yes"]), &[]).await.expect(0);
    let installed = aws.run(&["verify", "-c", "demo", "-o", "json"], &[]).await.json();
    let driver = finding(&installed, "EKB-POL-004", Some("ebs"));
    assert_eq!(driver["observed"], "denied by a service control policy: ec2:CreateVolume", "{driver:#}");
    assert!(driver["mend"].as_str().unwrap().starts_with(ask), "{driver:#}");
    assert_eq!(finding(&installed, "EKB-POL-004", Some("lbc"))["status"], "ok");

    // The same denial for the call itself, which nothing of the caller's lifts.
    let iam = crate::permissions_enforced::iam(&aws.simulator);
    let role = "demo-aws-ebs-csi-driver-2bfeae5e";
    let denied = iam.update_role().role_name(role).description("x").send().await.unwrap_err().into_service_error();
    let said = aws_smithy_types::error::metadata::ProvideErrorMetadata::message(&denied).unwrap_or_default().to_owned();
    assert!(said.ends_with("with an explicit deny in a service control policy"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_description_keeps_the_length_of_sessions() {
    let aws = Aws::start(|_| {}).await;
    let of = |words: &[&'static str]| [&of_aws(words)[..], &["-c", "demo"]].concat();
    aws.run(&of(&["apply", "--yes"]), &[]).await.expect(0);
    let iam = crate::permissions_enforced::iam(&aws.simulator);
    let role = "demo-aws-ebs-csi-driver-2bfeae5e";
    iam.update_role().role_name(role).description("mine").max_session_duration(14_400).send().await.unwrap();
    aws.run(&of(&["apply", "--yes"]), &[]).await.expect(0);
    let found = iam.get_role().role_name(role).send().await.unwrap().role.unwrap();
    assert_eq!(
        (found.description(), found.max_session_duration()),
        (Some("Amazon EBS CSI driver of EKS cluster demo"), Some(14_400))
    );
    aws.run(&of(&["plan", "--detailed-exitcode"]), &[]).await.expect(0);
}
