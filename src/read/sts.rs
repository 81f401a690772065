//! STS: who asks, and whether a service account's token really is exchanged for a role.
//!
//! `AssumeRoleWithWebIdentity` gives credentials but changes nothing, so it belongs to the readers.

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;

use crate::clock::Skew;
use crate::error::{AwsError, Error, Result, WEB_IDENTITY};
use crate::heard::Heard;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account of the credentials.
    pub account: String,
    /// The caller's ARN; an assumed role has no path in it.
    pub arn: String,
    /// Seconds by which AWS' clock is ahead of this machine's; none where its answer has no date.
    pub clock_skew: Option<i64>,
}

/// STS.
#[derive(Clone, Debug)]
pub struct StsRead {
    client: Client,
}

impl StsRead {
    /// A reader over `config`.
    pub fn new(config: &aws_config::SdkConfig) -> StsRead {
        StsRead {
            client: Client::from_conf(aws_sdk_sts::config::Builder::from(config).interceptor(Heard::of("sts")).build()),
        }
    }

    /// Who asks.
    pub async fn caller(&self) -> Result<Caller> {
        let skew = Skew::new();
        let answer = self.client.get_caller_identity().customize().interceptor(skew.clone()).send().await;
        let answer = answer.map_err(|error| AwsError::new("sts:GetCallerIdentity", &error))?;
        Ok(Caller {
            clock_skew: skew.seconds(),
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// Exchanges a service account's token for the role, as a pod would, and throws the credentials away.
    pub async fn assume_with_token(&self, role_arn: &str, token: &str) -> Result<()> {
        self.exchange(role_arn, token).await.map(drop)
    }

    /// Exchanges a service account's token for the role and asks AWS, with what it gave, who that is: the ARN that a pod would
    /// have. The credentials are thrown away.
    pub async fn identity_with_token(&self, role_arn: &str, token: &str) -> Result<String> {
        let credentials = self.exchange(role_arn, token).await?;
        let with_them = aws_sdk_sts::config::Builder::new().credentials_provider(credentials);
        let answer = self.client.get_caller_identity().customize().config_override(with_them).send().await;
        let answer = answer.map_err(|error| AwsError::new("sts:GetCallerIdentity", &error))?;
        Ok(answer.arn().unwrap_or_default().to_owned())
    }

    async fn exchange(&self, role_arn: &str, token: &str) -> Result<Credentials> {
        let answer = self
            .client
            .assume_role_with_web_identity()
            .role_arn(role_arn)
            .role_session_name("eks-bootstrap-proof")
            .web_identity_token(token)
            // The shortest session that STS grants.
            .duration_seconds(900)
            .send()
            .await;
        let answer = answer.map_err(|error| AwsError::new(WEB_IDENTITY, &error))?;
        let Some(given) = answer.credentials() else {
            return Err(Error::Refused {
                what: format!("sts:AssumeRoleWithWebIdentity gave no credentials for {role_arn}"),
                mend: "check --endpoint-url".to_owned(),
            });
        };
        let session = Some(given.session_token().to_owned());
        Ok(Credentials::new(given.access_key_id(), given.secret_access_key(), session, None, "web identity"))
    }
}

/// Shortens a caller's ARN to `role/NAME` or `user/NAME`, as the plan's head line shows it.
pub fn short_caller(arn: &str) -> String {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    match resource.strip_prefix("assumed-role/") {
        Some(role) => format!("role/{}", role.split('/').next().unwrap_or(role)),
        None => resource.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::short_caller;

    #[test]
    fn callers_are_shortened() {
        assert_eq!(short_caller("arn:aws:sts::111122223333:assumed-role/platform-admin/me"), "role/platform-admin");
        assert_eq!(short_caller("arn:aws:iam::111122223333:user/ops/me"), "user/ops/me");
        assert_eq!(short_caller("arn:aws:iam::111122223333:root"), "root");
    }
}
