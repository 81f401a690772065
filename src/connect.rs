//! From a configuration to facts and clients: the calls that every command starts with, and the guards on their answers.

mod partition;

use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_eks::types::{Cluster, ComputeConfigResponse, VpcConfigResponse};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use base64::Engine as _;

use crate::authorities::{self, Authorities};
use crate::config::{Config, check_cluster};
use crate::context::{Facts, ReadContext};
use crate::credentials::Kept;
use crate::error::{Error, Result, endpoint};
use crate::helm_process::Helm;
use crate::kube_client::KubeTarget;
use crate::limits::{AWS_ATTEMPT, AWS_OPERATION};
use crate::mfa::{self, AtTerminal};
use crate::names;
use crate::profile::Profiles;
use crate::read::accelerator::AcceleratorRead;
use crate::read::chart::ChartRead;
use crate::read::ec2::Ec2Read;
use crate::read::eks::{self, EksRead};
use crate::read::elbv2::ElbRead;
use crate::read::iam::IamRead;
use crate::read::kube::KubeRead;
use crate::read::sts::{Caller, StsRead};
use crate::read::tagging::TaggingRead;
use crate::token::TokenSigner;
use crate::validate;

/// What connecting gives: the read context and what writers are made from.
pub struct Connection {
    /// Facts and readers.
    pub read: ReadContext,
    /// For the AWS writers.
    pub aws: SdkConfig,
    /// For the Kubernetes writer and helm.
    pub kube: KubeTarget,
    /// The helm binary, looked for when it is needed.
    pub helm: Helm,
}

/// How often the SDK tries a call: IAM throttles at a few writes a second, and a run should outlast that.
const ATTEMPTS: u32 = 8;
/// The longest wait between two tries, so that a network that is down is known within half a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// How long a connection to AWS may take; a network that drops packets stays silent.
const CONNECT: Duration = Duration::from_secs(10);

/// The AWS configuration: region, credentials, endpoint, retries. `http_client` replaces the connector (tests).
///
/// # Errors
/// No region, or credentials that nobody can give.
pub async fn aws_config(config: &Config, http_client: Option<SharedHttpClient>) -> Result<SdkConfig> {
    let profiles = Profiles::read(config.profile.as_deref()).await?;
    let base = Box::pin(loaded(config, &profiles, http_client)).await?;
    if let Some(chain) = profiles.roles(config.assume_role.as_deref())? {
        let first = profiles.base_provider(&chain.base, &base);
        let provider = Box::pin(mfa::provider(&base, first, &chain.roles, &AtTerminal)).await?;
        return Ok(base.into_builder().credentials_provider(provider).build());
    }
    let base = match profiles.provider(&base) {
        Some(provider) => base.into_builder().credentials_provider(provider).build(),
        None => base,
    };
    let base = with_provider(kept(base, Kept::of_profile), |provider| profiles.signed_in(provider));
    let Some(arn) = &config.assume_role else { return Ok(base) };
    let provider =
        aws_config::sts::AssumeRoleProvider::builder(arn).session_name("eks-bootstrap").configure(&base).build().await;
    Ok(kept(base.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build(), Kept::new))
}

/// The same for who only needs to know the region: nobody is asked for a code.
///
/// # Errors
/// No region.
pub(crate) async fn without_credentials(config: &Config) -> Result<SdkConfig> {
    let profiles = Profiles::read(config.profile.as_deref()).await?;
    let mut builder = Box::pin(loaded(config, &profiles, None)).await?.into_builder();
    builder.set_credentials_provider(None);
    Ok(builder.build())
}

async fn loaded(config: &Config, profiles: &Profiles, http_client: Option<SharedHttpClient>) -> Result<SdkConfig> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(
            aws_config::retry::RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_WAIT),
        )
        // A call is given up in time; the SDK sets no limit of its own.
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT.min(AWS_ATTEMPT.get()))
                .operation_attempt_timeout(AWS_ATTEMPT.get())
                .operation_timeout(AWS_OPERATION.get())
                .build(),
        )
        // Credentials bound themselves; the SDK would give up a slow `credential_process` after five seconds.
        .identity_cache(IdentityCache::lazy().load_timeout(AWS_OPERATION.get() + Duration::from_secs(1)).build())
        .app_name(aws_config::AppName::new("eks-bootstrap").expect("a valid name"))
        .profile_files(profiles.files());
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(url) = &config.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let authorities = Authorities::of_aws(config.profile.as_deref()).await?;
    if let Some(client) = http_client.or_else(|| authorities::http_client(authorities.as_ref())) {
        loader = loader.http_client(client);
    }
    let base = loader.load().await;
    if base.region().is_none() {
        return Err(Error::Usage {
            message: match profiles.remark() {
                Some(remark) => format!("no AWS region is known ({remark})"),
                None => "no AWS region is known".to_owned(),
            },
            mend: "pass --region, set AWS_REGION, or give the profile a region".to_owned(),
        });
    }
    endpoint::remember(&base);
    Ok(base)
}

/// Helm as the user names it, which trusts whom AWS' clients trust.
///
/// # Errors
/// A file of certificates that cannot be used.
pub(crate) async fn helm(config: &Config) -> Result<Helm> {
    let authorities = Authorities::of_aws(config.profile.as_deref()).await?;
    Ok(Helm::new(config.helm.clone()).trusting(authorities.as_ref()))
}

/// The same with credentials that are loaded once for the SDK and for tokens.
fn kept(aws: SdkConfig, keep: fn(SharedCredentialsProvider) -> Kept) -> SdkConfig {
    with_provider(aws, |provider| SharedCredentialsProvider::new(keep(provider)))
}

fn with_provider(
    aws: SdkConfig,
    change: impl FnOnce(SharedCredentialsProvider) -> SharedCredentialsProvider,
) -> SdkConfig {
    let Some(provider) = aws.credentials_provider() else { return aws };
    aws.into_builder().credentials_provider(change(provider)).build()
}

/// Makes sure that there are credentials, so that their absence is one clear error rather than one of every call.
pub(crate) async fn credentials(aws: &SdkConfig) -> Result<SharedCredentialsProvider> {
    let provider = aws
        .credentials_provider()
        .ok_or_else(|| Error::Credentials { source: "no credentials provider is configured".into() })?;
    match provider.provide_credentials().await {
        Ok(_) => Ok(provider),
        // Only the innermost text says which providers were asked and why each had nothing.
        Err(source) => {
            let text = crate::error::chain_of(&source).pop().unwrap_or_default();
            Err(Error::Credentials { source: text.into() })
        }
    }
}

/// Asks who we are and what the cluster is, checks the guards, and makes the readers.
///
/// # Errors
/// No credentials, another account, no such cluster, a cluster that is not ACTIVE.
pub async fn connect(config: Config, http_client: Option<SharedHttpClient>) -> Result<Connection> {
    // The futures of the SDKs are large, and those of the commands would be with them.
    Box::pin(connected(config, http_client)).await
}

async fn connected(config: Config, http_client: Option<SharedHttpClient>) -> Result<Connection> {
    let aws = aws_config(&config, http_client).await?;
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    partition::check(&config, names::partition_of_region(&region), None)?;
    let provider = credentials(&aws).await?;
    let sts = StsRead::new(&aws);
    let eks = EksRead::new(&aws);
    let (caller, cluster) = tokio::join!(sts.caller(), eks.cluster(&config.cluster));
    let facts = facts(&config, &aws, caller?, cluster, &eks).await?;
    partition::check(&config, &facts.partition, Some(&facts.account))?;
    check_cluster(&config, &facts)?;
    let kube = match &config.kubeconfig {
        Some(path) => KubeTarget::Kubeconfig { path: path.clone(), context: config.context.clone() },
        None => KubeTarget::Endpoint {
            url: facts.endpoint.clone(),
            ca_pem: facts.ca_pem.clone(),
            private_only: !facts.endpoint_public,
            signer: TokenSigner::new(
                provider,
                &facts.region,
                names::dns_suffix(&facts.partition),
                facts.token_subject(),
            ),
        },
    };
    let helm = helm(&config).await?;
    let read = ReadContext {
        iam: IamRead::new(&aws),
        eks,
        sts,
        elb: ElbRead::new(&aws),
        accelerators: (facts.partition == "aws" && !config.isolated).then(|| AcceleratorRead::new(&aws)),
        ec2: Ec2Read::new(&aws),
        tagging: TaggingRead::new(&aws),
        kube: KubeRead::connect(&kube).await?,
        charts: ChartRead::new(helm.clone()),
        dry_runs: false,
        facts: Arc::new(facts),
        config: Arc::new(config),
    };
    Ok(Connection { read, aws, kube, helm })
}

async fn facts(
    config: &Config,
    aws: &SdkConfig,
    caller: Caller,
    cluster: Result<Option<Cluster>>,
    eks_read: &EksRead,
) -> Result<Facts> {
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    if let Some(expected) = &config.account
        && *expected != caller.account
    {
        return Err(Error::WrongAccount { actual: caller.account, expected: expected.clone() });
    }
    let Some(cluster) = cluster? else {
        // Only a courtesy: a caller who may not list clusters still gets the main message.
        let names = eks_read.clusters().await.unwrap_or_default();
        let mut near: Vec<_> = validate::nearest(&config.cluster, names.iter().map(String::as_str))
            .into_iter()
            .map(ToOwned::to_owned)
            .collect();
        let rest: Vec<_> = names.iter().filter(|name| !near.contains(name)).cloned().collect();
        near.extend(rest);
        near.truncate(5);
        return Err(Error::ClusterNotFound { name: config.cluster.clone(), region, account: caller.account, near });
    };
    let name = cluster.name().unwrap_or(&config.cluster).to_owned();
    let status = cluster.status().map(|status| status.as_str().to_owned()).unwrap_or_default();
    // An update (of a tag, of logging) leaves the cluster usable.
    if !matches!(status.as_str(), "ACTIVE" | "UPDATING") {
        return Err(Error::ClusterNotActive { name, status });
    }
    let missing = |what: &str| Error::Refused {
        what: format!("cluster `{name}` has no {what}"),
        mend: "is it an EKS cluster of this account, and not a connected one?".to_owned(),
    };
    let arn = cluster.arn().ok_or_else(|| missing("ARN"))?.to_owned();
    let mut parts = arn.split(':').skip(1);
    let partition = parts.next().unwrap_or("aws").to_owned();
    let account = parts.nth(2).unwrap_or(&caller.account).to_owned();
    let issuer = cluster.identity().and_then(|identity| identity.oidc()).and_then(|oidc| oidc.issuer());
    let ca =
        cluster.certificate_authority().and_then(|ca| ca.data()).ok_or_else(|| missing("certificate authority"))?;
    let ca =
        base64::engine::general_purpose::STANDARD.decode(ca).map_err(|_| missing("readable certificate authority"))?;
    let vpc = cluster.resources_vpc_config();
    Ok(Facts {
        partition,
        account,
        region,
        kubernetes_version: cluster.version().unwrap_or("?").to_owned(),
        issuer: issuer.ok_or_else(|| missing("OIDC issuer"))?.to_owned(),
        endpoint: cluster.endpoint().ok_or_else(|| missing("endpoint"))?.to_owned(),
        ca_pem: String::from_utf8(ca).map_err(|_| missing("readable certificate authority"))?,
        vpc: vpc.and_then(|vpc| vpc.vpc_id()).unwrap_or_default().to_owned(),
        subnets: vpc.map(|vpc| vpc.subnet_ids().to_vec()).unwrap_or_default(),
        security_group: vpc.and_then(|vpc| vpc.cluster_security_group_id()).unwrap_or_default().to_owned(),
        security_groups: vpc.map(|vpc| vpc.security_group_ids().to_vec()).unwrap_or_default(),
        // Clusters in the region have no id; an Outpost's nodes alone do not make the cluster local.
        outpost_id: cluster.outpost_config().and(cluster.id()).map(ToOwned::to_owned),
        endpoint_public: vpc.is_some_and(VpcConfigResponse::endpoint_public_access),
        auto_mode: cluster.compute_config().and_then(ComputeConfigResponse::enabled).unwrap_or(false),
        access_entries: Some(eks::takes_access_entries(&cluster)),
        caller_arn: caller.arn,
        clock_skew: caller.clock_skew,
        cluster: name,
        arn: arn.clone(),
    })
}
