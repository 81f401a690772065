//! The reader over `SimulatePrincipalPolicy`: pages joined, decisions and missing keys kept, requests in their order.

use eks_bootstrap::error::Error;
use eks_bootstrap::read::iam::IamRead;
use eks_bootstrap::read::simulation::SimulatedDecision::{Allowed, ImplicitDeny};
use eks_bootstrap::read::simulation::SimulationRequest;
use eks_bootstrap::sandbox::aws::{Seed, Simulator};

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
    let reader = reader(&Simulator::new(seed).unwrap());
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
