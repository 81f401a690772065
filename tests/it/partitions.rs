//! Every partition of AWS: the whole life of a bootstrap in its own region, with its own ARNs, hosts and policies.

use crate::support::HelmMajor;
use eks_bootstrap::policy::PARTITIONS;
use eks_bootstrap::sandbox::aws::Seed;

use crate::support::{Lab, helm};

/// A region of each partition, in the order of [`PARTITIONS`].
const REGIONS: [&str; 8] = [
    "eu-west-1",
    "cn-north-1",
    "us-gov-west-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
];

async fn whole_life(partition: &str, region: &str) {
    let seed = Seed::from_yaml(&format!(
        "account: \"111122223333\"\npartition: {partition}\nregion: {region}\n\
         clusters:\n- name: demo\n  nodegroups: [{{name: a, role: nodes}}]\n"
    ))
    .unwrap();
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let before = lab.sandbox.simulator.snapshot();
    lab.run(&["apply", "--yes"]).await.expect(0);
    let world = lab.sandbox.simulator.snapshot().to_string();
    let role = format!("arn:{partition}:iam::111122223333:role/demo-aws-load-balancer-controller-");
    assert!(world.contains(&role), "{partition}: {world}");
    for other in PARTITIONS.iter().filter(|other| **other != partition) {
        assert!(!world.contains(&format!("arn:{other}:")), "{partition}: {world}");
    }
    // A web identity token is for this audience in every partition.
    assert!(world.contains("sts.amazonaws.com"), "{partition}: {world}");
    lab.run(&["plan", "--detailed-exitcode"]).await.expect(0);
    lab.run(&["verify"]).await.expect(0);
    lab.run(&["destroy", "--confirm", "demo"]).await.expect(0);
    assert_eq!(lab.sandbox.simulator.snapshot(), before, "{partition}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commercial_china_and_government() {
    for (partition, region) in PARTITIONS.iter().zip(REGIONS).take(4) {
        whole_life(partition, region).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn isolated() {
    for (partition, region) in PARTITIONS.iter().zip(REGIONS).skip(4) {
        whole_life(partition, region).await;
    }
}
