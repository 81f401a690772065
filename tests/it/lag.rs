//! How late the built-in world shows changes: what a sandbox of the user's has by default. The documented lags of AWS, each from both sides.

use std::time::{Duration, Instant};

use aws_sdk_iam::error::ProvideErrorMetadata as _;
use eks_bootstrap::sandbox::aws::{Clock, ManualClock, Seed, Simulator};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},
    "Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const RULES: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeVpcs","Resource":"*"}]}"#;

/// Clients of one account.
struct Account {
    iam: aws_sdk_iam::Client,
    eks: aws_sdk_eks::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
}

fn account(clock: Clock) -> Account {
    let simulator = Simulator::with_clock(Seed::builtin(), clock).unwrap();
    let key = simulator.access_key();
    let key = aws_credential_types::Credentials::new(key.access_key_id, key.secret_access_key, None, None, "lag");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-1"))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(key))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(simulator.http_client())
        .build();
    Account {
        iam: aws_sdk_iam::Client::new(&config),
        eks: aws_sdk_eks::Client::new(&config),
        tagging: aws_sdk_resourcegroupstagging::Client::new(&config),
    }
}

impl Account {
    async fn create_role(&self) -> String {
        let made = self.iam.create_role().role_name("new").assume_role_policy_document(TRUST).send().await.unwrap();
        made.role.unwrap().arn
    }

    /// The code with which EKS refuses the role, if it does; what it made.
    async fn associate(&self, role: &str) -> Result<String, String> {
        let call = self.eks.create_pod_identity_association().cluster_name("demo").namespace("kube-system");
        let made = call.service_account("new").role_arn(role).tags("lag", "late").send().await;
        match made {
            Ok(made) => Ok(made.association.unwrap().association_id.unwrap()),
            Err(error) => Err(error.code().unwrap().to_owned()),
        }
    }

    /// Whether the tagging API shows what is tagged here.
    async fn shown(&self) -> bool {
        let filter = aws_sdk_resourcegroupstagging::types::TagFilter::builder().key("lag").values("late").build();
        let found = self.tagging.get_resources().tag_filters(filter).send().await.unwrap();
        !found.resource_tag_mapping_list.unwrap_or_default().is_empty()
    }
}

#[tokio::test]
async fn iam_sts_eks_and_the_tagging_api_show_changes_when_they_have_spread() {
    let clock = ManualClock::starting_at(jiff::Timestamp::now());
    let account = account(Clock::Manual(clock.clone()));
    let seconds = |count| clock.advance(Duration::from_secs(count));
    let role = account.create_role().await;
    let policy = account.iam.create_policy().policy_name("new").policy_document(RULES).send().await.unwrap();
    let policy = policy.policy.unwrap().arn.unwrap();
    account.iam.attach_role_policy().role_name("new").policy_arn(&policy).send().await.unwrap();
    let url = "https://oidc.example.com/id/LAG";
    let provider = account.iam.create_open_id_connect_provider().url(url).send().await.unwrap();
    let provider = provider.open_id_connect_provider_arn.unwrap();

    // Writes know of each other; reads show none of it, and what was there before they show.
    let seen = async || {
        let role = account.iam.get_role().role_name("new").send().await.is_ok();
        let policy = account.iam.get_policy().policy_arn(&policy).send().await.is_ok();
        let provider = account.iam.get_open_id_connect_provider().open_id_connect_provider_arn(&provider).send().await;
        let attached = account.iam.list_attached_role_policies().role_name("new").send().await;
        let attached = attached.is_ok_and(|it| !it.attached_policies.unwrap_or_default().is_empty());
        (role, policy, provider.is_ok(), attached)
    };
    assert_eq!(seen().await, (false, false, false, false));
    assert!(account.iam.get_role().role_name("platform-admin").send().await.is_ok());
    let again = account.iam.create_role().role_name("new").assume_role_policy_document(TRUST).send().await;
    assert_eq!(again.unwrap_err().code(), Some("EntityAlreadyExists"));
    seconds(1);
    assert_eq!(seen().await, (true, true, true, true));

    // EKS knows the role eight seconds after it was made.
    seconds(6);
    assert_eq!(account.associate(&role).await.unwrap_err(), "InvalidParameterException");
    seconds(1);
    let association = account.associate(&role).await.unwrap();

    // The tagging API shows it twenty-five seconds later, and long after it is gone.
    seconds(24);
    assert!(!account.shown().await);
    seconds(1);
    assert!(account.shown().await);
    let delete = account.eks.delete_pod_identity_association().cluster_name("demo").association_id(association);
    delete.send().await.unwrap();
    seconds(60);
    assert!(account.shown().await, "a ghost");
    seconds(3_600);
    assert!(!account.shown().await);
}

#[tokio::test]
async fn whoever_has_other_work_hardly_waits() {
    let account = account(Clock::System);
    let begun = Instant::now();
    let role = account.create_role().await;
    assert!(account.associate(&role).await.is_err());
    for _ in 0..40 {
        account.iam.list_roles().send().await.unwrap();
    }
    account.associate(&role).await.unwrap();
    // The calls themselves take a second or two, and several on a machine with other work.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
