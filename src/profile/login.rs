//! Profiles whose credentials are a session of `aws login`. The SDK reads and renews it; here its errors get the profile's name and the way
//! to a new session. <https://docs.aws.amazon.com/sdkref/latest/guide/access-login.html>

use aws_config::profile::Profile;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::Profiles;
use super::roles::{Base, walk};
use crate::error::{NoSession, chain_of};

/// The settings that the SDK looks for before `login_session`.
const BEFORE: [&str; 7] = [
    "credential_source",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "sso_region",
    "sso_account_id",
    "sso_role_name",
];

impl Profiles {
    /// The provider of the run's profile, which says how to sign in again where the credentials are a session of `aws login`.
    pub(crate) fn signed_in(&self, inner: SharedCredentialsProvider) -> SharedCredentialsProvider {
        match self.login() {
            Some(profile) => SharedCredentialsProvider::new(SignedIn { inner, profile: profile.to_owned() }),
            None => inner,
        }
    }

    /// The profile whose session of `aws login` the run's credentials come from.
    fn login(&self) -> Option<&str> {
        let (links, base) = walk(&self.set, self.used()?);
        let (Base::Profile(name) | Base::WithoutRole(name)) = base.ok()? else { return None };
        let profile = self.set.get_profile(&name).filter(|profile| logs_in(profile, links.is_empty()))?;
        Some(profile.name())
    }
}

/// A session of `aws login`.
#[derive(Debug)]
struct SignedIn {
    inner: SharedCredentialsProvider,
    profile: String,
}

impl ProvideCredentials for SignedIn {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.inner.provide_credentials().await.map_err(|error| {
                // The innermost text says what is wrong with the session.
                let reason = chain_of(&error).pop().unwrap_or_default();
                CredentialsError::provider_error(NoSession::of_login(&self.profile, &reason))
            })
        })
    }
}

/// Whether the SDK would read the session; `first` is the profile of the run, and of its sources keys count before all else.
fn logs_in(profile: &Profile, first: bool) -> bool {
    let has = |key: &str| profile.get(key).is_some();
    has("login_session") && !BEFORE.into_iter().any(has) && (first || !has("aws_access_key_id"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::profiles;

    const SESSION: &str = "login_session = arn:aws:iam::111122223333:user/jane\n";
    const ROLE: &str = "[profile role]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = console\n";

    #[tokio::test]
    async fn the_profile_whose_session_is_used_is_known() {
        let keys = "aws_access_key_id = AKIA\naws_secret_access_key = s\n";
        let sso = "sso_start_url = https://d-1.awsapps.com/start\n";
        for (config, used, expected) in [
            (format!("[profile console]\n{SESSION}{ROLE}"), "console", Some("console")),
            (format!("[profile console]\n{SESSION}{ROLE}"), "role", Some("console")),
            // What counts before it.
            (format!("[profile console]\n{SESSION}{sso}"), "console", None),
            (format!("[profile console]\n{SESSION}{keys}{ROLE}"), "role", None),
            (format!("[profile console]\n{keys}"), "console", None),
        ] {
            assert_eq!(profiles(&config, used).await.login(), expected, "{used}: {config}");
        }
    }
}
